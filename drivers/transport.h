// The kinds of channels that devices have: how one is named, opened and held, and what to say when
// that fails.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/far_end.h"
#include "drivers/port_users.h"
#include "runtime/realtime/port.h"

namespace instep {

// All but `port` is for start-up and for people, and may allocate and wait.
struct Transport {
  std::string_view what;  // as in "needs a serial port, as /dev/ttyUSB0"
  PortOperations port;
  // Whether a channel may have that name, whether or not it is there.
  bool (*fits)(const std::string& name);
  // Whether the name can only mean a device that is there, or an address.
  bool (*is_device)(const std::string& name);
  // Where the channel is; `number` is its TCP port. Throws std::runtime_error or std::length_error.
  PortAddress (*address)(const std::string& name, int number);
  // Takes the right to the device, as lock_host() does; null: port.claim() does it.
  int (*lock)(const std::string& name);
  // Who has it or may take it.
  std::vector<PortUser> (*users)(const std::string& name);
  // Why it could not be opened, with that errno value, and what to do about it.
  std::string (*trouble)(const std::string& name, int error);
  // Who may take it from this program, and why.
  std::vector<std::string> (*warnings)(const std::string& name);
  // Who reads takes the bytes away from all others who have it open.
  bool has_one_reader = false;
  // The name is a path of this machine, and not an address.
  bool is_at_path = false;
  // The device's end of such a channel, `number` is its TCP port, for simulations on real time.
  std::unique_ptr<FarEnd> (*make_far_end)(const SimulationOptions& options, int number) = nullptr;
};

extern const Transport kSerialTransport;
extern const Transport kTcpClientTransport;
// The device connects to this machine: the name is the address to listen at.
extern const Transport kTcpServerTransport;

}  // namespace instep

// The device's end of a channel, for simulations on real time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "drivers/simulation.h"

namespace instep {

// One client at a time. One thread. Methods throw std::runtime_error when the system refuses.
class FarEnd {
 public:
  FarEnd() = default;
  FarEnd(const FarEnd&) = delete;
  FarEnd& operator=(const FarEnd&) = delete;
  virtual ~FarEnd() = default;

  // Looks whether a client has come or gone, and answers whether there is one.
  virtual bool follow() = 0;
  virtual bool has_client() const = 0;
  // Closes the client's connection, where there is such a thing.
  virtual void hang_up() = 0;
  // An unplugged channel has no client.
  virtual void set_plugged(bool is_plugged) = 0;
  // Becomes readable when there is something to do; -1: there is nothing to wait for.
  virtual int descriptor() const = 0;
  // Bytes that the client has sent; answers how many.
  virtual std::size_t read(std::span<std::uint8_t> out) = 0;
  // Bytes for the client. What finds no room is lost.
  virtual void write(std::span<const std::uint8_t> bytes) = 0;
  virtual std::string name() const = 0;  // where clients find it, for people
};

// Of a serial port: a pseudo-terminal at options.path.
std::unique_ptr<FarEnd> make_serial_far_end(const SimulationOptions& options, int number);
// Of a TCP client, and of a TCP server, at options.address and that port.
std::unique_ptr<FarEnd> make_tcp_client_far_end(const SimulationOptions& options, int number);
std::unique_ptr<FarEnd> make_tcp_server_far_end(const SimulationOptions& options, int number);

}  // namespace instep

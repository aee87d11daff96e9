// One channel of a device as the runtime opens it: a serial port, a TCP connection. Drivers say
// how.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace instep {

// Where a port is, and how to know it again when it comes back under another name. Plain data of
// fixed size: the guardian process has a copy.
struct PortAddress {
  static constexpr std::size_t kPathMax = 512;
  static constexpr std::size_t kNamesMax = 4096;

  std::array<char, kPathMax> given{};   // as the user named it; a stable link may change its target
  std::array<char, kPathMax> stable{};  // another name that stays with the device; empty: none
  std::array<char, kPathMax> node{};    // where it was opened last; empty: never yet
  std::array<char, 256> identity{};     // what only this device says of itself; empty: nothing
  // All names that led to it while it was open, absolute, a line each: links come and go with a
  // device, and whoever looks for it may know another name. Empty: `given` is the only one.
  std::array<char, kNamesMax> names{};
};

// Throws std::length_error where the path is longer than an address can hold.
PortAddress make_port_address(std::string_view path);

// What look() found at the port's settings. Negative numbers are errno values: the descriptor is
// dead, or the port cannot be set up.
enum PortLook : int {
  kPortUnchanged = 0,  // or nothing that matters to the bytes
  // Somebody had changed them so that bytes did not pass as they are: what was sent meanwhile may
  // not have been heard.
  kPortMended = 1,
};

// Plain functions that neither allocate nor wait, so that real-time threads and the guardian
// process can call them, too. Only the first open() of an address, and claim(), belong to start-up.
struct PortOperations {
  // Opens the port for reading and writing without blocking, set up for the device, and overwrites
  // address->node. An address that was opened before is only opened where the same device is.
  // Answers a descriptor or a negative errno value.
  int (*open)(PortAddress* address) = nullptr;
  // Of a port that open() may answer before it can be used (a TCP connection): 0 once it can be,
  // EINPROGRESS while that takes time, or why it cannot. poll() ends with POLLOUT when it is
  // settled. Null: it can be used at once.
  int (*connected)(int descriptor) = nullptr;
  // Takes the opened port for the holders of this descriptor alone, and forgets what had been
  // received before. Answers 0 or an errno value: EBUSY, another program has it.
  int (*claim)(int descriptor) = nullptr;
  // Looks at the settings, and sets what is not as the device needs it. Before each attempt to
  // write, and as often as reading matters. Answers a PortLook or a negative errno value.
  int (*prepare)(int descriptor) = nullptr;
  // Pulls the wake line or lets it go; null where a port has none.
  void (*set_wake_line)(int descriptor, bool is_low) = nullptr;
  // Empties what the operating system has buffered for sending; null: nothing to do.
  void (*discard_output)(int descriptor) = nullptr;
  // Waits, for at most a second, until what was written has left this machine; null: nothing to do.
  // Not for real-time threads.
  void (*drain)(int descriptor) = nullptr;
};

}  // namespace instep

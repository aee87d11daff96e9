// A device's port as the runtime opens it; drivers say how.
#pragma once

#include <cstdint>
#include <span>

namespace instep {

// Plain functions, so that the guardian process can call them too.
struct PortOperations {
  // Opens the port for reading and writing without blocking, set up for the device. Answers a
  // descriptor or a negative errno value.
  int (*open)(const char* path) = nullptr;
  // Pulls the wake line or lets it go; null where a port has none.
  void (*set_wake_line)(int descriptor, bool is_low) = nullptr;
  // Empties what the operating system has buffered for sending; null: nothing to do.
  void (*discard_output)(int descriptor) = nullptr;
};

}  // namespace instep

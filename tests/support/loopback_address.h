// An address of this machine that no other test has, so that tests may run side by side.
#pragma once

#include <unistd.h>

#include <string>

namespace instep {

// Of the calling process alone: two that run at once have different numbers, and 65,024 of those
// different addresses.
inline std::string own_loopback_address() {
  const int process = getpid();
  return "127.122." + std::to_string(process / 254 % 256) + '.' + std::to_string(1 + process % 254);
}

}  // namespace instep

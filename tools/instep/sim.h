// The sim command: a simulated device behind a real file or real sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace instep {

struct SimOptions {
  std::string device;   // a driver's name
  std::string link;     // where a device with a port is to be found
  std::string address;  // the IPv4 address of one with sockets
  std::string model;    // of several; empty: the first
  bool is_strict = false;
  std::uint64_t seed = 0;
  std::optional<std::uint64_t> fault_seed;  // a schedule of faults, without end
};

// Simulates until Ctrl-C, on real time; reads what is to happen to the robot from stdin, a word and
// perhaps numbers a line. Answers an exit code; throws CommandError.
int run_sim(const SimOptions& options);

// The devices that there are, for people: "create2, ur".
std::string simulated_devices();

}  // namespace instep

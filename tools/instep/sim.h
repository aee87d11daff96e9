// The sim command: a simulated device behind a real file or real sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace instep {

struct SimOptions {
  std::string device;         // "create2" or "ur"
  std::string link;           // create2: where the pseudo-terminal is to be found
  std::string address;        // ur: the IPv4 address whose ports are the controller's
  std::string model = "cb3";  // ur: or "e-series"
  bool is_strict = false;     // forgives nothing that a robot and its adapter would not
  std::uint64_t seed = 0;
  std::optional<std::uint64_t> fault_seed;  // a schedule of faults, without end
};

// Simulates until Ctrl-C, on real time; reads what is to happen to the robot from stdin, a word and
// perhaps numbers a line. Answers an exit code; throws CommandError.
int run_sim(const SimOptions& options);

}  // namespace instep

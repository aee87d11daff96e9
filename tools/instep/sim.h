// The sim command: a device that is not there, behind a real file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace instep {

struct SimOptions {
  std::string device;      // "create2"
  std::string link;        // where the pseudo-terminal is to be found
  bool is_strict = false;  // forgives nothing that a robot and its adapter would not
  std::uint64_t seed = 0;
  std::optional<std::uint64_t> fault_seed;  // a schedule of faults, without end
};

// Simulates until Ctrl-C, on real time; reads what is to happen to the robot from stdin, a word and
// perhaps numbers a line. Answers an exit code; throws CommandError.
int run_sim(const SimOptions& options);

}  // namespace instep

// The profile command: where the time of a tick goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/settings.h"

namespace instep {

struct ProfileOptions {
  std::string task;  // or a run, whose task and settings are taken
  std::int64_t updates = 20'000;
  std::uint64_t seed = 0;
  std::string backend = "auto";
  std::string path;
  std::optional<Schedule> schedule;
  std::vector<std::string> set;
  int agents = 0;        // that share a GPU; 0: measure a task's ticks instead
  double rate_hz = 0.0;  // 0: as fast as it goes; else on real time, for `seconds`
  double seconds = 10.0;
  int core = -1;  // of the loop on real time; -1: where it happens to begin
  bool json = false;
};

// Learns on the task for that many updates after a warm-up and prints percentiles of every phase.
// Ctrl-C leaves it at what was measured by then. Writes no file. Answers an exit code; throws
// CommandError.
int run_profile(const ProfileOptions& options);

}  // namespace instep

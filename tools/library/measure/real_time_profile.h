// How punctual this machine is, with the whole real path and a learner at work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "tools/library/measure/profile.h"
#include "tools/library/report/run_summary.h"

namespace instep {

struct RealTimeProfile {
  std::string task;
  double rate_hz = 0.0;
  std::size_t windows = 0;
  double window_s = 0.0;
  std::uint64_t ticks = 0;
  std::optional<Percentiles> wakeup_us{};
  std::optional<Percentiles> baseline_wakeup_us{};  // of the bare system
  double wakeup_p99_median_us = 0.0;                // over the windows
  double baseline_p99_median_us = 0.0;
  std::optional<Percentiles> packet_age_us{};
  std::optional<Percentiles> packet_to_wire_us{};
  std::optional<Percentiles> command_to_wire_us{};
  // Of the old packets: the device's thread had sent none, or one was on the way.
  std::int64_t old_of_device = 0;
  std::int64_t old_of_link = 0;
  std::int64_t baseline_late_ticks = 0;  // that the bare system woke a period late
  std::int64_t preempted = 0;
  std::uint64_t late_ticks = 0;                // that found the learner at work
  std::uint64_t transitions_dropped_late = 0;  // for it
  bool has_priority = false;                   // of real time
  int core = -1;                               // that the loop stayed on; -1: none
  OverrunSummary overruns{};
  std::string sizes{};  // of the learner's layers, in words
  std::string machine{};

  double wakeup_over_baseline() const { return wakeup_p99_median_us / baseline_p99_median_us; }
};

// Runs the learner of the task or run against a device behind a pseudo-terminal that sends rate_hz
// packets a second, for so many seconds, in windows that alternate with windows in which the same
// thread, on the same core, does nothing but sleep: what a latency test of the bare system shows.
// Says on stderr which rights were refused. Of whole windows alone where it was stopped, nothing
// where there was none. Throws CommandError.
std::optional<RealTimeProfile> profile_in_real_time(const ProfileOptions& options);

}  // namespace instep

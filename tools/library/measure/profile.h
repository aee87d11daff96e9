// Where the time of a tick goes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/settings.h"
#include "tools/library/measure/doctor.h"
#include "tools/library/measure/machine.h"
#include "tools/library/report/run_summary.h"
#include "tools/library/run/stop_request.h"

namespace instep {

struct ProfileOptions {
  std::string task;  // or a run's folder, whose task and settings are taken
  std::int64_t updates = 20'000;
  std::uint64_t seed = 0;
  std::string backend = "auto";
  std::string path{};
  std::optional<Schedule> schedule{};
  std::vector<std::string> set{};
  int agents = 0;        // of profile_agents()
  double rate_hz = 0.0;  // of profile_in_real_time(): ticks a second
  double seconds = 10.0;
  int core = -1;  // of the loop on real time; -1: where it happens to begin
  const StopRequest* stop = nullptr;
};

struct PhaseProfile {
  std::string name;
  std::optional<Percentiles> us{};
  std::size_t bytes = 0;  // of memory that it moves; 0: not known
  double gb_per_s = 0.0;
};

// What one update cannot be faster than, in microseconds, by measurement: see Bound.
struct BoundProfile {
  double memory_us = 0.0;
  double square_root_us = 0.0;
  double largest_us = 0.0;
  double ratio = 0.0;     // of the update's time to the largest
  std::size_t bytes = 0;  // of all phases
  double gb_per_s = 0.0;
};

struct Profile {
  std::string task;
  std::int64_t updates = 0;  // made; fewer than asked for where it was stopped
  std::optional<Percentiles> update_us{};
  std::optional<Percentiles> observation_to_action_us{};
  std::optional<Percentiles> world_us{};
  double step_cpu_us = 0.0;  // on average, world and update together
  std::vector<PhaseProfile> phases{};
  std::optional<BoundProfile> bound{};
  std::size_t state_bytes = 0;
  std::string backend{};
  std::string path{};
  std::string schedule{};
  std::string arithmetic{};
  Disturbance::Result disturbance{};
  std::string machine{};
  std::vector<Finding> findings{};  // of examine(), by the period of the task or the rate
};

// Told how many tenths of the updates have been made, between two of them.
using ProfileTold = std::function<void(int tenths)>;

// Learns on the task for that many updates after a warm-up, in the calling thread. A stop leaves it
// at what was measured by then, which may be nothing. Writes no file. Throws CommandError.
std::optional<Profile> profile(const ProfileOptions& options, const ProfileTold& told = {});

}  // namespace instep

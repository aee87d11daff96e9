// Several runs of one configuration, a seed each, in one folder: OUT/s0, OUT/s1, ...
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/settings.h"
#include "tools/library/report/run_summary.h"

namespace instep {

// What the runs have in common. Kept in the folder, as seeds.json and seeds.toml, so that --resume
// can start those that were not started yet.
struct SeedPlan {
  static constexpr const char* kName = "seeds.json";
  static constexpr const char* kConfigName = "seeds.toml";

  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::string change;  // as in RunStart
  std::string init;
  RunConfig config;  // of each, but for the seed
};

// Whether several seeds were started in that folder.
bool is_seeds_folder(const std::string& folder);

// Both throw CommandError.
void write_seed_plan(const std::string& folder, const SeedPlan& plan);
SeedPlan read_seed_plan(const std::string& folder);

// How far one of the runs has come.
struct SeedState {
  enum class Progress { kNotStarted, kHalfDone, kDone };

  std::uint64_t seed = 0;
  std::string folder;  // empty where no folder of it is known
  Progress progress = Progress::kNotStarted;
  std::int64_t steps = 0;               // made and kept
  std::string ended{};                  // of the summary; empty without
  std::optional<RunSummary> summary{};  // of the last part of the run
  std::string trouble{};                // why its folder cannot be read
};

// Looks into a run's folder: it is done when all `steps` were made.
SeedState look_at_seed(std::uint64_t seed, const std::string& folder, std::int64_t steps);

// The runs of a folder of several seeds that were begun, in order of their seeds. Throws
// CommandError.
std::vector<std::string> begun_seeds(const std::string& folder);

// The mean of the last eighth's mean return over the seeds that are done. Half-done ones have other
// numbers of steps, so they are left out.
struct SeedsResult {
  std::vector<SeedState> seeds;
  std::int64_t done = 0;
  std::int64_t with_mean = 0;        // of the seeds that are done
  std::optional<double> mean;        // none where no seed is done, or none ended an episode
  std::optional<double> half_width;  // of the 95 % interval; none below two
};
SeedsResult result_of(std::vector<SeedState> seeds);

}  // namespace instep

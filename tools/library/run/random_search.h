// Many runs by one plan, which may be interrupted and gone on with: settings of a task are looked
// for.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tools/library/run/stop_request.h"

namespace instep {

struct RandomSearchOptions {
  std::string task{};
  std::string out{};  // the study's folder; one that exists is gone on with
  int cells = 16;
  int seeds = 2;           // of each cell, from 1000 on: not those that results are reported of
  std::int64_t steps = 0;  // of each run; 0: the task's default
  std::uint64_t seed = 0;  // of the draws
  int jobs = 1;
  const StopRequest* stop = nullptr;
};

struct CellResult {
  int cell = 0;
  double mean = 0.0;   // over the seeds, of the return in the last tenth
  double worst = 0.0;  // seed
  std::vector<std::pair<std::string, std::string>> settings{};
};

struct RandomSearchResult {
  std::vector<CellResult> cells{};  // best first; none while not all runs are done
  int worst_exit_code = 0;          // of the runs that were made
};

// Cell 0 is the task's own settings; the others draw actor_lr from 3e-4 to 1e-2, critic_lr from
// 5e-4 to 2e-2 and entropy_coef from 3e-3 to 0.15, logarithmically, and discount of 0.97, 0.99,
// 0.995. Writes manifest.json first, then runs its cells, each run in a folder and a process of its
// own that is resumed where it was left, and at last results.csv and best.toml (for train
// --config). Throws CommandError.
RandomSearchResult random_search(const RandomSearchOptions& options);

// results.csv.
std::string csv_text(const std::vector<CellResult>& cells);

}  // namespace instep

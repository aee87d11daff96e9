// Training of several seeds, side by side.
#pragma once

#include <string>
#include <vector>

#include "tools/library/run/seeds.h"
#include "tools/library/run/train.h"

namespace instep {

struct SeedRuns {
  SeedPlan plan;
  std::string parent{};                // empty: the runs share no folder
  std::vector<std::string> folders{};  // of each seed; empty where it was not begun
  int worst = 0;                       // of all exit codes
};

// Runs a seed each, in processes of their own. Throws CommandError.
SeedRuns train_seeds(const TrainOptions& options, const TrainTold& told = {});

// Goes on with the runs of the folder options.resume that are not done: each from where it was
// left, and those that were not started from their start. Throws CommandError.
SeedRuns resume_seeds(const TrainOptions& options);

}  // namespace instep

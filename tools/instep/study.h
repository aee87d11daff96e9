// The study command: many runs by one plan, which may be interrupted and gone on with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace instep {

struct RandomSearchOptions {
  std::string task;
  std::string out;  // the study's folder; one that exists is gone on with
  int cells = 16;
  int seeds = 2;           // of each cell, from 1000 on: not those that results are reported of
  std::int64_t steps = 0;  // of each run; 0: the task's default
  std::uint64_t seed = 0;  // of the draws
  int jobs = 1;
};

// Cell 0 is the task's own settings; the others draw actor_lr from 3e-4 to 1e-2, critic_lr from
// 5e-4 to 2e-2 and entropy_coef from 3e-3 to 0.15, logarithmically, and discount of 0.97, 0.99,
// 0.995. Writes manifest.json first, then runs its cells, each run in a folder of its own that is
// resumed where it was left, and at last results.csv and best.toml (for train --config). Answers an
// exit code; throws CommandError.
int run_random_search(const RandomSearchOptions& options);

struct YardstickOptions {
  std::string task = "create_mover";  // or ur_reacher2
  int episodes = 10;                  // of each seed
  int seeds = 5;                      // from 0 on
  std::vector<std::string> runs;      // of that task
};

// What a task is measured against. What create_mover is measured against: the best of 21 x 21
// constant actions, whose grid is printed, a hand-written avoider of walls, and each run's policy:
// as it is, with the light bumpers of another moment shown at every step, and with its six light
// bumpers in another order. What ur_reacher2 is: a Cartesian P controller and an arm that stands,
// in the episodes that `eval` of a seed has; and where each run's policy lies between them in its
// own seed's.
int run_yardsticks(const YardstickOptions& options);

}  // namespace instep

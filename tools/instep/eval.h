// The eval command: a run's policy without learning.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "runtime/environment.h"
#include "runtime/policy.h"
#include "tasks/registry.h"

namespace instep {

// Which episode: where it starts and what is drawn on the way follow from (seed, number).
struct EvaluationEpisode {
  std::uint64_t seed = 0;
  std::uint64_t number = 0;
  bool deterministic = false;  // the squashed mean instead of a draw
};

// How an episode without learning went.
struct EpisodeResult {
  double episode_return = 0.0;
  std::int64_t length = 0;  // steps
  bool terminated = false;
  bool is_cut = false;  // a robot was held or lost on the way, or no episode could begin
};

// One episode of a world under a policy. `on_state` is called after the reset and after every step.
EpisodeResult run_evaluation_episode(Policy& policy, const TaskInfo& task, Environment& world,
                                     const EvaluationEpisode& episode,
                                     const std::function<void()>& on_state = {});

struct EvalOptions {
  std::string run;  // folder
  std::int64_t episodes = 10;
  std::optional<std::uint64_t> seed;  // the run's own when absent
  bool deterministic = false;         // the squashed mean instead of a draw
  std::string device;                 // a robot's port; simulated time when empty
  bool json = false;
};

// Runs episodes with the newest checkpoint's weights and statistics; episode i starts from (seed,
// i). On a robot an episode that was cut is made anew, and Ctrl-C leaves it at those that are
// whole. No file is written. Answers an exit code; throws CommandError.
int run_eval(const EvalOptions& options);

}  // namespace instep

// The eval command: a run's policy without learning.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "runtime/policy.h"
#include "tools/instep/session.h"

namespace instep {

// How an episode without learning went.
struct EpisodeResult {
  double episode_return = 0.0;
  std::int64_t length = 0;  // steps
  bool terminated = false;
};

// One episode of the session's world under a policy; where it starts follows from (seed, episode).
// `on_state` is called after the reset and after every step.
EpisodeResult run_evaluation_episode(Policy& policy, RunSession& session, std::uint64_t seed,
                                     std::uint64_t episode, bool deterministic,
                                     const std::function<void()>& on_state = {});

struct EvalOptions {
  std::string run;  // folder
  std::int64_t episodes = 10;
  std::optional<std::uint64_t> seed;  // the run's own when absent
  bool deterministic = false;         // the squashed mean instead of a draw
  bool json = false;
};

// Runs episodes with the newest checkpoint's weights and statistics; episode i starts from (seed,
// i). No file is written. Answers an exit code; throws CommandError.
int run_eval(const EvalOptions& options);

}  // namespace instep

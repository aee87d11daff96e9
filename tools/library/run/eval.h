// Evaluation: a run's policy without learning.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/shape.h"
#include "runtime/environment.h"
#include "runtime/policy.h"
#include "tools/library/run/stop_request.h"

namespace instep {

// How an episode without learning went.
struct EpisodeResult {
  double episode_return = 0.0;
  std::int64_t length = 0;  // steps
  bool terminated = false;
  bool is_cut = false;  // a robot was held or lost on the way, or no episode could begin
};

// So many in a row, and evaluation gives up.
inline constexpr int kCutEpisodesMax = 10;

// The draws of evaluation, which training never meets.
Random evaluation_random(std::uint64_t seed, Stream stream);

// What the policy does at a step of the seed's evaluation: a draw as in training. Valid until the
// policy's next action.
const float* draw_action(Policy& policy, int action_dim, std::uint64_t seed, std::uint64_t step,
                         const double* observation);

// One episode of a world, which starts from (seed, number). `act(observation, step)` answers the
// action; steps of different episodes differ. Allocates nothing.
template <typename Act>
EpisodeResult run_episode(Environment& world, std::uint64_t seed, std::uint64_t number,
                          const Act& act) {
  std::array<double, kObservationDimMax> observation;
  world.reset(evaluation_random(seed, Stream::kTaskReset), number, observation.data());
  EpisodeResult result;
  // Where no episode can begin any more there is nothing to be seen.
  result.is_cut = std::isnan(observation[0]);
  for (bool has_ended = result.is_cut; !has_ended;) {
    const std::uint64_t step = (number << 32) + static_cast<std::uint64_t>(result.length);
    const Outcome outcome = world.step(act(observation.data(), step), observation.data());
    result.terminated = outcome.terminated;
    result.is_cut = outcome.carries_no_step;
    if (result.is_cut) break;
    has_ended = outcome.terminated || outcome.truncated;
    result.episode_return += outcome.reward;
    ++result.length;
  }
  return result;
}

// The next episode that is not cut, from `number` on, which becomes that of the one to come.
// Nothing after kCutEpisodesMax that were. Allocates nothing.
template <typename Act>
std::optional<EpisodeResult> run_whole_episode(Environment& world, std::uint64_t seed,
                                               std::uint64_t& number, const Act& act) {
  for (int i = 0; i < kCutEpisodesMax; ++i) {
    const EpisodeResult result = run_episode(world, seed, number++, act);
    if (!result.is_cut) return result;
  }
  return std::nullopt;
}

// Says that run_whole_episode() has given up.
std::string cut_episodes_text();

struct EvalOptions {
  std::string run;  // folder
  std::int64_t episodes = 10;
  std::optional<std::uint64_t> seed{};  // the run's own when absent
  bool deterministic = false;           // the squashed mean instead of a draw
  std::string device{};                 // a robot's port; simulated time when empty
  int core = -1;                        // that the loop on the robot stays on
  const StopRequest* stop = nullptr;
};

// What an evaluation came to.
struct Evaluation {
  std::string task;
  std::int64_t step = 0;  // of the checkpoint
  std::uint64_t seed = 0;
  std::vector<EpisodeResult> episodes{};  // whole ones; fewer than asked for where it was stopped
  // Of a robot of which nothing shows that it stands now: what to do, for people. Else empty.
  std::string standing_trouble{};

  std::optional<double> mean_return() const;         // none without an episode
  std::optional<double> standard_deviation() const;  // none with less than two
};

// Told of each whole episode as soon as it has ended, in the calling thread.
using EpisodeTold = std::function<void(std::size_t number, const EpisodeResult& result)>;

// Runs episodes with the newest checkpoint's weights and statistics; episode i starts from (seed,
// i). An episode that was cut is made anew, and a stop leaves it at those that are whole. Prints
// nothing and writes no file. Throws CommandError.
Evaluation evaluate(const EvalOptions& options, const EpisodeTold& told = {});

}  // namespace instep

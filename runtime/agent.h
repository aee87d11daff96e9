// The learner as the control loop sees it: an observation goes in, an action comes out at once, and
// the learning is done afterwards while the robot moves.
#pragma once

#include <cstdint>

#include "kernels/learner.h"
#include "kernels/philox.h"
#include "runtime/memory.h"

namespace instep {

// Everything that decides an agent's bits.
struct AgentConfig {
  Shape shape;
  LearnerSettings settings;  // settings.hidden == shape.hidden_dim
  Schedule schedule = Schedule::kActFirst;
  const Executor* executor = nullptr;
  std::uint64_t seed = 0;
};

// Where the standard normal draws of a step come from. The agent's own source is Philox;
// verification plugs in recorded draws. Overwrites out [action_dim] for kExploration or
// kNextAction.
struct NoiseSource {
  void* self = nullptr;
  void (*fill)(void* self, Stream stream, std::uint64_t step, float* out, int count) = nullptr;
};

// One learner with its memory, its noise and its step counter. The constructor allocates, nothing
// else does. One thread.
class Agent {
 public:
  // Starts from clear statistics and the seed's initial weights. Throws std::bad_alloc.
  explicit Agent(const AgentConfig& config);

  // Opens an episode with its first observation [observation_dim]. Answers the action [action_dim],
  // valid until the next call, or null when nothing may be sent: the observation or the action is
  // not finite.
  const float* begin_episode(const double* observation);

  // Takes what followed the last action: the next observation, the reward, and whether the episode
  // ended. Answers the next action, or null when there is none: the episode ended, or
  // (was_dropped()) something was not finite; then no statistic has seen it, and the episode cannot
  // go on.
  const float* sense(const double* observation, double reward, bool terminated, bool truncated);

  // The rest of the tick: learns from the transition that sense() closed and opens the next one. To
  // be called once after every begin_episode() or sense(), when the command has been sent.
  void update();

  // As sense() and update() for a transition after which nothing more happens: learns from it,
  // draws no action. Verification compares the learner here.
  void close(const double* observation, double reward, bool terminated, bool truncated);

  // True when the last call met a number that is not finite, or is beyond a float's range.
  bool was_dropped() const { return was_dropped_; }

  // Closed transitions so far, dropped ones included: the clock of the random streams.
  std::uint64_t step() const { return step_; }
  void set_step(std::uint64_t step) { step_ = step; }

  const AgentConfig& config() const { return config_; }
  const Learner& learner() const { return learner_; }
  void set_noise_source(const NoiseSource& source) { noise_ = source; }

  // Completes what the throughput schedule put off, so that the block is the same under both
  // schedules.
  void flush() { config_.executor->flush(learner_); }

 private:
  bool take(const double* observation, double reward, bool terminated, bool truncated);
  const float* act();
  void learn();

  AgentConfig config_;
  MemoryBlock memory_;
  Learner learner_;
  NoiseSource noise_;
  std::uint64_t step_ = 0;
  // The transition that sense() has closed and update() is to learn from.
  double reward_ = 0.0;
  bool terminated_ = false;
  bool truncated_ = false;
  bool must_learn_ = false;
  bool must_prepare_ = false;
  bool was_dropped_ = false;
};

}  // namespace instep

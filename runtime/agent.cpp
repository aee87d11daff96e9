#include "runtime/agent.h"

#include <cmath>
#include <limits>

#include "kernels/check.h"
#include "runtime/initial_weights.h"

namespace instep {
namespace {

Learner make_learner(const AgentConfig& config, std::uint8_t* block) {
  return {config.settings, config.schedule,
          make_layout(config.shape, config.settings.algorithm, config.settings.beta1 > 0.0), block};
}

// Finite also as a float. A larger double is, squared, infinite in a running variance for good.
bool is_finite(double value) {
  return std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max());
}

template <typename Real>
bool all_finite(const Real* values, int count) {
  for (int i = 0; i < count; ++i) {
    if (!is_finite(static_cast<double>(values[i]))) return false;
  }
  return true;
}

void fill_from_philox(void* self, Stream stream, std::uint64_t step, float* out, int count) {
  const std::uint64_t seed = static_cast<const AgentConfig*>(self)->seed;
  Random{seed, static_cast<std::uint32_t>(stream)}.normal(step, out, count);
}

}  // namespace

Agent::Agent(const AgentConfig& config)
    : config_(config),
      memory_(
          make_layout(config.shape, config.settings.algorithm, config.settings.beta1 > 0.0).bytes),
      learner_(make_learner(config, memory_.data())),
      noise_{&config_, fill_from_philox} {
  INSTEP_CHECK(is_valid(config.shape) && config.executor != nullptr &&
               config.settings.hidden == config.shape.hidden_dim);
  clear(learner_);
  initialize_weights(learner_, config.seed);
}

const float* Agent::act() {
  float noise[kActionDimMax];
  noise_.fill(noise_.self, Stream::kExploration, step_, noise, config_.shape.action_dim);
  config_.executor->act(learner_, noise);
  const TapeLayout& tape = learner_.layout.actor_tape;
  const float* action = learner_.newest_actor_tape() + tape.action;
  // An infinite mean gives a finite action, but its log probability would enter the statistics.
  const float* log_prob = learner_.newest_actor_tape() + tape.scalars + kLogProb;
  if (!all_finite(action, config_.shape.action_dim) || !all_finite(log_prob, 1)) {
    was_dropped_ = true;
    return nullptr;
  }
  must_prepare_ = true;
  return action;
}

const float* Agent::begin_episode(const double* observation) {
  INSTEP_CHECK(!must_learn_ && !must_prepare_);
  was_dropped_ = !all_finite(observation, config_.shape.observation_dim);
  if (was_dropped_) return nullptr;
  config_.executor->observe(learner_, observation);
  return act();
}

// Observes what closes the open transition; false when it is not finite and the transition was
// dropped.
bool Agent::take(const double* observation, double reward, bool terminated, bool truncated) {
  INSTEP_CHECK(!must_learn_ && !must_prepare_);
  ++step_;
  was_dropped_ = !is_finite(reward) || !all_finite(observation, config_.shape.observation_dim);
  if (was_dropped_) {
    config_.executor->drop(learner_);
    return false;
  }
  reward_ = reward;
  terminated_ = terminated;
  truncated_ = truncated;
  must_learn_ = true;
  config_.executor->observe(learner_, observation);
  return true;
}

const float* Agent::sense(const double* observation, double reward, bool terminated,
                          bool truncated) {
  if (!take(observation, reward, terminated, truncated)) return nullptr;
  // IAC's next action comes from the actor that has learnt from this transition.
  if (config_.settings.algorithm == Algorithm::kIac) learn();
  return terminated || truncated ? nullptr : act();
}

void Agent::close(const double* observation, double reward, bool terminated, bool truncated) {
  if (take(observation, reward, terminated, truncated)) learn();
}

void Agent::learn() {
  float noise[kActionDimMax];
  noise_.fill(noise_.self, Stream::kNextAction, step_ - 1, noise, config_.shape.action_dim);
  config_.executor->learn(learner_, reward_, terminated_, truncated_, noise);
  must_learn_ = false;
}

void Agent::update() {
  if (must_learn_) learn();
  if (must_prepare_) config_.executor->prepare(learner_);
  must_prepare_ = false;
}

}  // namespace instep

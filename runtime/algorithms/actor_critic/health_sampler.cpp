#include "runtime/algorithms/actor_critic/health_sampler.h"

#include <algorithm>
#include <cmath>

namespace instep {
namespace {

double as_double(float x) {
  return static_cast<double>(x);
}

double norm_of(float inverse) {
  return inverse > 0.0F ? 1.0 / as_double(inverse) : 0.0;
}

}  // namespace

void HealthSampler::add_tick(const Learner& learner) {
  const Layout& layout = learner.layout;
  const TapeLayout& tape = layout.actor_tape;
  const float* actor = learner.open_actor_tape();
  const float* critic = learner.open_critic_tape();
  const auto m = static_cast<std::size_t>(layout.shape.action_dim);
  ++ticks_;
  entropy_sum_ -= as_double(actor[tape.scalars + kLogProb]);
  const double td_error = as_double(learner.state().td_error);
  td_error_squares_ += td_error * td_error;
  q_sum_ += as_double(critic[layout.critic_tape.head]);
  actor_feature_sum_ += norm_of(actor[tape.scalars + kInverseNorm]);
  critic_feature_sum_ += norm_of(critic[layout.critic_tape.scalars + kInverseNorm]);
  int clamped = 0;
  int saturated = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const float l = actor[tape.log_variance + i];
    clamped +=
        l <= learner.settings.log_variance_min || l >= learner.settings.log_variance_max ? 1 : 0;
    saturated += std::fabs(actor[tape.action + i]) > 0.99F ? 1 : 0;
  }
  clamped_ += clamped;
  saturated_ += saturated;
}

HealthSample HealthSampler::sample(const Learner& learner) {
  const HealthSample result = peek(learner);
  *this = {};
  return result;
}

HealthSample HealthSampler::peek(const Learner& learner) const {
  const Layout& layout = learner.layout;
  const LearnerState& state = learner.state();
  HealthSample sample;
  sample.ticks = ticks_;
  const double ticks = std::max<double>(1.0, static_cast<double>(ticks_));
  const double actions = ticks * layout.shape.action_dim;
  sample.entropy = entropy_sum_ / ticks;
  sample.td_error_rms = std::sqrt(td_error_squares_ / ticks);
  sample.td_error_scale = state.td_error_scale;
  sample.q_value = q_sum_ / ticks;
  sample.clamped_share = clamped_ / actions;
  sample.saturated_share = saturated_ / actions;
  sample.actor_feature_norm = actor_feature_sum_ / ticks;
  sample.critic_feature_norm = critic_feature_sum_ / ticks;
  // The two buffers are the actor before and after its last step.
  const float* before = learner.floats(layout.actor_weights[1 - state.actor_newest]);
  const float* after = learner.floats(layout.actor_weights[state.actor_newest]);
  double squares = 0.0;
  double step_squares = 0.0;
  for (std::size_t i = 0; i < layout.actor.floats; ++i) {
    const double step = as_double(after[i] - before[i]);
    squares += as_double(after[i]) * as_double(after[i]);
    step_squares += step * step;
  }
  sample.actor_weight_norm = std::sqrt(squares);
  sample.actor_update_ratio = squares > 0.0 ? std::sqrt(step_squares / squares) : 0.0;
  return sample;
}

}  // namespace instep

#include "runtime/algorithms/actor_critic/health_sampler.h"

#include <algorithm>
#include <cmath>

namespace instep {
namespace {

double as_double(float x) {
  return static_cast<double>(x);
}

struct SquaredLengths {
  double after = 0.0;
  double step = 0.0;
  double ratio() const { return after > 0.0 ? std::sqrt(step / after) : 0.0; }
};

SquaredLengths lengths_of(const float* before, const float* after, std::size_t floats) {
  SquaredLengths sums;
  for (std::size_t i = 0; i < floats; ++i) {
    const double step = as_double(after[i] - before[i]);
    sums.after += as_double(after[i]) * as_double(after[i]);
    sums.step += step * step;
  }
  return sums;
}

const float* actor_of(const Learner& learner) {
  return learner.floats(learner.layout.actor_weights[learner.state().actor_newest]);
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
  ++sums_.ticks;
  sums_.entropy -= as_double(actor[tape.scalars + kLogProb]);
  const double td_error = as_double(learner.state().td_error);
  sums_.td_error_squares += td_error * td_error;
  sums_.q += as_double(critic[layout.critic_tape.head]);
  sums_.actor_feature += norm_of(actor[tape.scalars + kInverseNorm]);
  sums_.critic_feature += norm_of(critic[layout.critic_tape.scalars + kInverseNorm]);
  int clamped = 0;
  int saturated = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const float l = actor[tape.log_variance + i];
    clamped +=
        l <= learner.settings.log_variance_min || l >= learner.settings.log_variance_max ? 1 : 0;
    saturated += std::fabs(actor[tape.action + i]) > 0.99F ? 1 : 0;
  }
  sums_.clamped += clamped;
  sums_.saturated += saturated;
  if (!before_.empty() && sums_.tries < kTriesMax) look_for_update(learner);
}

// An update may come late, or two of them in one tick.
void HealthSampler::look_for_update(const Learner& learner) {
  ++sums_.tries;
  const std::int64_t updates = learner.state().actor_updates;
  const float* actor = actor_of(learner);
  if (has_before_ && updates == before_updates_ + 1) {
    sums_.update_ratio = lengths_of(before_.data(), actor, before_.size()).ratio();
    sums_.tries = kTriesMax;
    has_before_ = false;
    return;
  }
  if (has_before_ && updates == before_updates_) return;
  std::copy_n(actor, before_.size(), before_.begin());
  before_updates_ = updates;
  has_before_ = true;
}

HealthSample HealthSampler::sample(const Learner& learner) {
  const HealthSample result = peek(learner);
  sums_ = {};
  return result;
}

HealthSample HealthSampler::peek(const Learner& learner) const {
  const Layout& layout = learner.layout;
  const LearnerState& state = learner.state();
  HealthSample sample;
  sample.ticks = sums_.ticks;
  const double ticks = std::max<double>(1.0, static_cast<double>(sums_.ticks));
  const double actions = ticks * layout.shape.action_dim;
  sample.entropy = sums_.entropy / ticks;
  sample.td_error_rms = std::sqrt(sums_.td_error_squares / ticks);
  sample.td_error_scale = state.td_error_scale;
  sample.q_value = sums_.q / ticks;
  sample.clamped_share = sums_.clamped / actions;
  sample.saturated_share = sums_.saturated / actions;
  sample.actor_feature_norm = sums_.actor_feature / ticks;
  sample.critic_feature_norm = sums_.critic_feature / ticks;
  // Where the actor is not updated in place, the two buffers are it before and after its last step.
  const SquaredLengths lengths =
      lengths_of(learner.floats(layout.actor_weights[1 - state.actor_newest]), actor_of(learner),
                 layout.actor.floats);
  sample.actor_weight_norm = std::sqrt(lengths.after);
  sample.actor_update_ratio = before_.empty() ? lengths.ratio() : sums_.update_ratio;
  return sample;
}

}  // namespace instep

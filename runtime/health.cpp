#include "runtime/health.h"

#include <algorithm>
#include <cmath>

namespace instep {
namespace {

constexpr int kEpisodesMin = 10;  // of a window that says something
// Of the best mean return, lost: how a collapse was defined when ten-million-step runs of the
// reference's settings were studied.
constexpr double kFallenShare = 0.4;
constexpr std::int64_t kFallenEpisodes = 20;

double as_double(float x) {
  return static_cast<double>(x);
}

double norm_of(float inverse) {
  return inverse > 0.0F ? 1.0 / as_double(inverse) : 0.0;
}

}  // namespace

std::string_view health_warning_name(HealthWarning warning) {
  switch (warning) {
    case kEntropyAtClamp:
      return "entropy at its clamp";
    case kFeaturesVanish:
      return "features vanish";
    case kUpdatesTooLarge:
      return "updates too large";
    case kReturnFalls:
      return "return has fallen";
  }
  return "";
}

std::string_view health_warning_text(HealthWarning warning) {
  switch (warning) {
    case kEntropyAtClamp:
      return "the policy's variance stands at its limit: entropy_coef is too small or too large "
             "for these rewards";
    case kFeaturesVanish:
      return "the features vanish: the step sizes are too large, or the observations hold nothing";
    case kUpdatesTooLarge:
      return "single updates move the actor by more than a tenth of its length: lower actor_lr";
    case kReturnFalls:
      return "the return has fallen well below its best: AVG often recovers by itself; the best "
             "weights are kept in best/";
  }
  return "";
}

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

  ticks_ = 0;
  entropy_sum_ = td_error_squares_ = q_sum_ = 0.0;
  clamped_ = saturated_ = actor_feature_sum_ = critic_feature_sum_ = 0.0;
  return sample;
}

void Health::add_episode(double episode_return) {
  returns_[static_cast<std::size_t>(episodes_ % kWindow)] = episode_return;
  ++episodes_;
  if (episodes_ < kEpisodesMin) return;
  const auto count = std::min<std::int64_t>(episodes_, kWindow);
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += returns_[static_cast<std::size_t>(i)];
  const double mean = sum / static_cast<double>(count);
  if (!has_best_ || mean > best_mean_return_) {
    best_mean_return_ = mean;
    has_best_ = true;
    has_new_best_ = true;
  }
  const bool has_fallen = best_mean_return_ - mean > kFallenShare * std::fabs(best_mean_return_);
  episodes_below_ = has_fallen ? episodes_below_ + 1 : 0;
}

bool Health::take_new_best() {
  const bool result = has_new_best_;
  has_new_best_ = false;
  return result;
}

void Health::add_sample(const HealthSample& sample) {
  largest_feature_norm_ = std::max(largest_feature_norm_, sample.actor_feature_norm);
  const double vanishing = std::max(1e-12, 1e-6 * largest_feature_norm_);
  warnings_ = 0;
  if (sample.clamped_share > 0.5) warnings_ |= kEntropyAtClamp;
  if (sample.ticks > 0 &&
      std::min(sample.actor_feature_norm, sample.critic_feature_norm) < vanishing) {
    warnings_ |= kFeaturesVanish;
  }
  if (sample.actor_update_ratio > 0.1) warnings_ |= kUpdatesTooLarge;
  if (episodes_below_ >= kFallenEpisodes) warnings_ |= kReturnFalls;
  warnings_ever_ |= warnings_;
}

}  // namespace instep

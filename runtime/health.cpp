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

HealthSample joined(const HealthSample& earlier, const HealthSample& later) {
  if (earlier.ticks == 0) return later;
  HealthSample both = later.ticks == 0 ? earlier : later;  // of what is newest, and no mean
  both.ticks = earlier.ticks + later.ticks;
  const auto mean = [&](double a, double b) {
    return (a * static_cast<double>(earlier.ticks) + b * static_cast<double>(later.ticks)) /
           static_cast<double>(both.ticks);
  };
  both.entropy = mean(earlier.entropy, later.entropy);
  both.td_error_rms = std::sqrt(
      mean(earlier.td_error_rms * earlier.td_error_rms, later.td_error_rms * later.td_error_rms));
  both.q_value = mean(earlier.q_value, later.q_value);
  both.clamped_share = mean(earlier.clamped_share, later.clamped_share);
  both.saturated_share = mean(earlier.saturated_share, later.saturated_share);
  both.actor_feature_norm = mean(earlier.actor_feature_norm, later.actor_feature_norm);
  both.critic_feature_norm = mean(earlier.critic_feature_norm, later.critic_feature_norm);
  return both;
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
  double& largest = memory_.largest_feature_norm;
  largest = std::max(largest, sample.actor_feature_norm);
  const double vanishing = std::max(1e-12, 1e-6 * largest);
  warnings_ = 0;
  if (sample.clamped_share > 0.5) warnings_ |= kEntropyAtClamp;
  if (sample.ticks > 0 &&
      std::min(sample.actor_feature_norm, sample.critic_feature_norm) < vanishing) {
    warnings_ |= kFeaturesVanish;
  }
  if (sample.actor_update_ratio > 0.1) warnings_ |= kUpdatesTooLarge;
  if (episodes_below_ >= kFallenEpisodes) warnings_ |= kReturnFalls;
  memory_.warnings_ever |= warnings_;
}

}  // namespace instep

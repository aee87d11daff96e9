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

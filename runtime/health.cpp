#include "runtime/health.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace instep {
namespace {

constexpr int kEpisodesMin = 10;  // of a window that says something
// Of what was gained, lost. AVG loses half of its return now and then and gets it back.
constexpr double kFallenShare = 0.6;
constexpr double kStandardErrors = 3.0;  // a smaller difference between two means may be chance
constexpr std::int64_t kFallenEpisodes = 20;
// The newest steps: so many, or that share of all. They must have been bad for as long.
constexpr double kNewestStepsMin = 5000.0;
constexpr double kNewestStepsShare = 0.05;

double newest_steps(std::int64_t step) {
  return std::max(kNewestStepsMin, kNewestStepsShare * static_cast<double>(step));
}

// Of newest steps, which may be of a few episodes only.
constexpr double kFallenShareOfSteps = 0.8;

// Whether that share of what was gained is lost. Returns above zero count as gained from there on:
// a run may begin with weights that have learnt. Where returns are costs there must have been a
// gain, of half of what it cost at first: whoever only lives longer pays more, and learns.
bool is_far_below(double mean, double best, double first, double share) {
  const double gained = best - first;
  if (best <= 0.0 && gained < 0.5 * std::fabs(first)) return false;
  return best - mean > share * std::max(gained, best);
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
      return "the policy's variance stands at its limit and the return does not rise: entropy_coef "
             "is too small or too large for these rewards";
    case kFeaturesVanish:
      return "the features vanish: the step sizes are too large, or the observations hold nothing";
    case kUpdatesTooLarge:
      return "single updates move the actor by more than a tenth of its length and the return does "
             "not rise: lower actor_lr";
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
  if (std::isnan(both.actor_update_ratio)) both.actor_update_ratio = earlier.actor_update_ratio;
  // An algorithm that learns now and then may have a number in one of them alone.
  const auto mean = [&](double a, double b) {
    if (std::isnan(a)) return b;
    if (std::isnan(b)) return a;
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

// Older steps count less and less.
void Health::follow_steps(double episode_return, std::int64_t length, std::int64_t step) {
  StepMean& now = step_mean_;
  const double kept = std::exp(-static_cast<double>(length) / newest_steps(step));
  now.mean = now.episodes > 0.0 ? kept * now.mean + (1.0 - kept) * episode_return : episode_return;
  now.episodes = kept * now.episodes + 1.0;
  if (now.episodes >= kEpisodesMin) {
    if (!now.has_best) now.first = now.mean;
    now.best = now.has_best ? std::max(now.best, now.mean) : now.mean;
    now.has_best = true;
  }
  const bool is_low =
      now.has_best && is_far_below(now.mean, now.best, now.first, kFallenShareOfSteps);
  if (!is_low) now.fallen_since = -1;
  if (is_low && now.fallen_since < 0) now.fallen_since = step;
}

bool Health::has_fallen(std::int64_t step) const {
  if (episodes_below_ >= kFallenEpisodes) return true;
  const std::int64_t since = step_mean_.fallen_since;
  return since >= 0 && static_cast<double>(step - since) >= newest_steps(step);
}

void Health::add_episode(double episode_return, std::int64_t length, std::int64_t step) {
  if (!std::isfinite(episode_return)) return;
  follow_steps(episode_return, length, step);
  returns_[static_cast<std::size_t>(episodes_ % kWindow)] = episode_return;
  ++episodes_;
  if (episodes_ < kEpisodesMin) return;
  const auto count = std::min<std::int64_t>(episodes_, kWindow);
  double sum = 0.0;
  double squares = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += returns_[static_cast<std::size_t>(i)];
  const double mean = sum / static_cast<double>(count);
  for (std::int64_t i = 0; i < count; ++i) {
    const double apart = returns_[static_cast<std::size_t>(i)] - mean;
    squares += apart * apart;
  }
  chance_ = kStandardErrors * std::sqrt(squares) / static_cast<double>(count);
  if (!has_best_) first_mean_return_ = mean;
  if (!has_best_ || mean > best_mean_return_) {
    best_mean_return_ = mean;
    has_best_ = true;
    has_new_best_ = true;
  }
  const bool is_low = is_far_below(mean, best_mean_return_, first_mean_return_, kFallenShare) &&
                      best_mean_return_ - mean > chance_;
  episodes_below_ = is_low ? episodes_below_ + 1 : 0;
}

bool Health::take_new_best() {
  const bool result = has_new_best_;
  has_new_best_ = false;
  return result;
}

// Before there are enough episodes nothing is known, and nothing warned of.
bool Health::shows_learning() const {
  if (episodes_ < 2 * kEpisodesMin) return true;
  if (has_fallen(memory_.newest_step)) return false;
  return best_mean_return_ - first_mean_return_ > chance_;
}

void Health::add_sample(const HealthSample& sample, std::int64_t step) {
  double& largest = memory_.largest_feature_norm;
  largest = std::max(largest, sample.actor_feature_norm);
  memory_.newest_step = step;
  const double vanishing = std::max(1e-12, 1e-6 * largest);
  warnings_ = 0;
  std::uint32_t& clamped = memory_.clamped;
  std::uint32_t& too_large = memory_.too_large;
  constexpr std::uint32_t kNewest = (1U << kSamples) - 1;
  clamped = (clamped << 1 | (sample.clamped_share > 0.5 ? 1U : 0U)) & kNewest;
  too_large = (too_large << 1 | (sample.actor_update_ratio > 0.1 ? 1U : 0U)) & kNewest;
  const auto are_most = [](std::uint32_t samples) { return 2 * std::popcount(samples) > kSamples; };
  if (!shows_learning() && are_most(clamped)) warnings_ |= kEntropyAtClamp;
  if (!shows_learning() && are_most(too_large)) warnings_ |= kUpdatesTooLarge;
  if (sample.ticks > 0 &&
      std::min(sample.actor_feature_norm, sample.critic_feature_norm) < vanishing) {
    warnings_ |= kFeaturesVanish;
  }
  if (has_fallen(step)) warnings_ |= kReturnFalls;
  ++memory_.samples;
  for (std::size_t i = 0; i < memory_.counts.size(); ++i) {
    if ((warnings_ & (1U << i)) == 0) continue;
    WarningCount& count = memory_.counts[i];
    if (count.samples++ == 0) count.first_step = step;
    count.last_step = step;
  }
}

}  // namespace instep

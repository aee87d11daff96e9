// Does the learning go well? A few numbers per tick, which cost the tick no time, and the warnings
// that follow from them.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

namespace instep {

// Means over the ticks since the sample before. NaN: the algorithm has no such number.
struct HealthSample {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  std::int64_t ticks = 0;          // how many
  double entropy = kNone;          // of the policy, sampled: -log pi(A|s), in nats
  double td_error_rms = kNone;     // after division by its scale
  double td_error_scale = kNone;   // the newest sigma
  double q_value = kNone;          // critic at (s, A)
  double clamped_share = kNone;    // of log variances at either end of their clamp, 0 .. 1
  double saturated_share = kNone;  // of actions beyond +-0.99, 0 .. 1
  // Length of the second layer's output, before it is divided by it.
  double actor_feature_norm = kNone;
  double critic_feature_norm = kNone;
  double actor_update_ratio =
      kNone;  // |last step| / |weights|, both Euclidean over the whole actor
  double actor_weight_norm = kNone;
};

// One sample of the ticks of two, one after the other.
HealthSample joined(const HealthSample& earlier, const HealthSample& later);

// Conditions worth a word to the user; bits of Health::warnings().
enum HealthWarning : std::uint32_t {
  kEntropyAtClamp = 1,   // more than half of the log variances stand at the clamp (*)
  kFeaturesVanish = 2,   // a feature norm below 1e-6 of the largest seen, or below 1e-12
  kUpdatesTooLarge = 4,  // a step moves the actor by more than a tenth of its own length (*)
  kReturnFalls = 8,      // the last hundred episodes return much less than the best hundred did,
                         // or the newest steps much less than the best of them
  // (*) in most of the newest samples, and only while the return does not rise: learners that do
  // well have such moments, too.
};
inline constexpr int kHealthWarnings = 4;

// In two or three words, zero-terminated; the key in summaries.
std::string_view health_warning_name(HealthWarning warning);

// One line for the user: what was seen and what usually helps.
std::string_view health_warning_text(HealthWarning warning);

// How often and when a warning was raised in a run.
struct WarningCount {
  std::int64_t samples = 0;
  std::int64_t first_step = 0;  // of the first of these samples
  std::int64_t last_step = 0;   // of the newest
};

// The part of Health that a run's episodes cannot restore.
struct HealthMemory {
  std::int64_t samples = 0;                            // in all
  std::int64_t newest_step = 0;                        // of the newest
  std::array<WarningCount, kHealthWarnings> counts{};  // by the warning's bit
  double largest_feature_norm = 0.0;
  std::uint32_t clamped = 0;  // of the newest samples, a bit each
  std::uint32_t too_large = 0;
};

// Judges what was gathered and how episodes went. Nothing here allocates; one thread.
class Health {
 public:
  // After each episode of so many steps; `step`: of the run, at its end. Leaves out what is not
  // finite.
  void add_episode(double episode_return, std::int64_t length, std::int64_t step);
  // Updates the warnings. `step`: of the run.
  void add_sample(const HealthSample& sample, std::int64_t step);

  std::uint32_t warnings() const { return warnings_; }  // now
  const HealthMemory& memory() const { return memory_; }
  void remember(const HealthMemory& memory) { memory_ = memory; }

  // True once after the mean return of the last kWindow episodes has become the best so far.
  bool take_new_best();
  double best_mean_return() const { return best_mean_return_; }
  bool has_best() const { return has_best_; }

  // So many of the newest samples must agree before they warn.
  static constexpr int kSamples = 10;
  static constexpr int kWindow = 100;  // episodes; fewer count as a window once there are ten

 private:
  // The mean return over the newest steps of the run. A hundred episodes may be many more steps
  // than are left: a policy that has fallen over may need as many for a single one.
  struct StepMean {
    double mean = 0.0;
    double episodes = 0.0;  // that it is of
    double first = 0.0;     // the first one of enough episodes
    double best = 0.0;
    bool has_best = false;
    std::int64_t fallen_since = -1;  // the step since when it is far below its best
  };

  bool shows_learning() const;
  void follow_steps(double episode_return, std::int64_t length, std::int64_t step);
  bool has_fallen(std::int64_t step) const;

  HealthMemory memory_;

  std::array<double, kWindow> returns_{};
  std::int64_t episodes_ = 0;
  double first_mean_return_ = 0.0;  // of the first window that says something
  double best_mean_return_ = 0.0;
  double chance_ = 0.0;  // what a mean of the window may be off by
  bool has_best_ = false;
  bool has_new_best_ = false;
  std::int64_t episodes_below_ = 0;
  StepMean step_mean_;

  std::uint32_t warnings_ = 0;
};

}  // namespace instep

// What a tick of the actor-critic says of its health, gathered without slowing it.
#pragma once

#include <cstdint>

#include "kernels/learner.h"
#include "runtime/health.h"

namespace instep {

// Gathers samples on the side that learns. Nothing here allocates.
class HealthSampler {
 public:
  // After each tick.
  void add_tick(const Learner& learner);
  // Means since the last call. Reads all actor weights: every thousand ticks will do.
  HealthSample sample(const Learner& learner);
  // The same, but everything is kept.
  HealthSample peek(const Learner& learner) const;
  std::int64_t ticks() const { return ticks_; }  // since the last sample

 private:
  std::int64_t ticks_ = 0;
  double entropy_sum_ = 0.0;
  double td_error_squares_ = 0.0;
  double q_sum_ = 0.0;
  double clamped_ = 0.0;
  double saturated_ = 0.0;
  double actor_feature_sum_ = 0.0;
  double critic_feature_sum_ = 0.0;
};

}  // namespace instep

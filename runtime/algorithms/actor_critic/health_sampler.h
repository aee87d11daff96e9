// What a tick of the actor-critic says of its health, gathered without slowing it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/learner.h"
#include "runtime/health.h"

namespace instep {

// Gathers samples on the side that learns. Nothing allocates after the constructor.
class HealthSampler {
 public:
  // `actor_floats`: of a learner that updates its actor in place, so that its two buffers do not
  // tell the last step. The step that is measured then is one of the first after a sample.
  explicit HealthSampler(std::size_t actor_floats = 0) : before_(actor_floats) {}

  // After each tick.
  void add_tick(const Learner& learner);
  // Means since the last call. Reads all actor weights: every thousand ticks will do.
  HealthSample sample(const Learner& learner);
  // The same, but everything is kept.
  HealthSample peek(const Learner& learner) const;
  std::int64_t ticks() const { return sums_.ticks; }  // since the last sample

 private:
  static constexpr int kTriesMax = 16;  // ticks, to see an update of the actor

  struct Sums {
    std::int64_t ticks = 0;
    double entropy = 0.0;
    double td_error_squares = 0.0;
    double q = 0.0;
    double clamped = 0.0;
    double saturated = 0.0;
    double actor_feature = 0.0;
    double critic_feature = 0.0;
    double update_ratio = HealthSample::kNone;  // where the actor is updated in place
    int tries = 0;
  };

  void look_for_update(const Learner& learner);

  Sums sums_;
  std::vector<float> before_;  // the actor after before_updates_ updates
  std::int64_t before_updates_ = 0;
  bool has_before_ = false;
};

}  // namespace instep

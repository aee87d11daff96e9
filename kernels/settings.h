// The numbers a learner is run with. Names, bounds and help texts for users are in
// runtime/settings.h.
#pragma once

#include <cstdint>

#include "kernels/shape.h"

namespace instep {

// What a time limit does to the running return G that scales the TD error. kCarry is the
// reference's rule: G runs on into the next episode. kPush ends it there: G is pushed (with a
// discount of 0) and cleared, as at a termination; the target still bootstraps.
enum class TruncationReturn : std::uint32_t { kCarry = 0, kPush = 1 };

// kPortable: every path gives the same bits (no fused multiply-add, correctly rounded quotients).
// kFast: a path may use fused multiply-add and a Newton-refined reciprocal, within the golden
// tolerances; repeats are still bit-identical on one path.
enum class Arithmetic : std::uint32_t { kFast = 0, kPortable = 1 };

// When what can be put off is done (step 7 of kernels/learner.h). kActFirst: at once. kThroughput:
// with the next tick's pass over the same weights (for simulation, where nothing moves meanwhile).
// The same bits either way; IAC has one schedule.
enum class Schedule : std::uint32_t { kActFirst = 0, kThroughput = 1 };

// Settings of one learner. Defaults are those shared by all of AVG's published runs; the step
// sizes, entropy coefficient and discount are half_cheetah's (facts of each task stand in
// tasks/registry.cpp).
struct LearnerSettings {
  Algorithm algorithm = Algorithm::kAvg;
  int hidden = 256;

  double discount = 0.99;      // gamma, 0 .. 1
  double entropy_coef = 0.07;  // eta of the paper, >= 0
  double actor_lr = 0.0063;    // Adam step size, > 0
  double critic_lr = 0.0087;   // Adam step size, > 0
  double beta1 = 0.0;          // 0 <= beta1 < 1; no first moment is stored when it is 0
  double beta2 = 0.999;        // 0 <= beta2 < 1
  double adam_eps = 1e-8;      // > 0, added to the root of the corrected second moment

  // RAC's, whose learning rates are of its weight step and whose entropy_coef is in units of the
  // reward's scale (kernels/decayed_maximum.h, reward_scale.h).
  double trace_decay = 0.8;        // lambda of the critic's trace, 0 <= lambda < 1
  double maximum_decay = 0.99995;  // 0 < decay < 1, per update

  bool observation_norm = true;  // the three normalisations, each a switch of its own
  bool feature_norm = true;
  bool td_error_scaling = true;

  TruncationReturn truncation_return = TruncationReturn::kCarry;
  std::int64_t observation_norm_horizon = 0;  // 0: whole life; N: forget older than about N steps
  Arithmetic arithmetic = Arithmetic::kFast;

  // Constants of the networks. Not offered to users: the published runs never change them.
  float leaky_slope = 0.01F;  // > 0
  float log_variance_min = -20.0F;
  float log_variance_max = 2.0F;
};

}  // namespace instep

// The weight steps of the CPU paths as rules of a pass, and a learner's two networks as passes.
// Included only by the sources of the CPU paths, each time inside that path's own namespace.
#pragma once

#include "kernels/adam.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/passes.h"
#include "kernels/decayed_maximum.h"
#include "kernels/learner.h"
#include "kernels/td_error.h"

namespace instep::INSTEP_PATH_NAMESPACE {
namespace {

// Adam's weight step on sixteen weights.
template <bool kHasFirst>
struct AdamRule {
  static constexpr int kArrays = kHasFirst ? 2 : 1;
  Adam<Lanes> adam;

  using Constants = AdamStep<float>;
  INSTEP_LANE explicit AdamRule(const Constants& step)
      : adam{set(step.beta2), set(step.one_minus_beta2), set(step.one_minus_beta1), set(-step.lr),
             set(step.eps)} {}

  // What all weights of sixteen outputs share, of gradients d with respect to their sums.
  using Output = Adam<Lanes>::Output;
  INSTEP_LANE Output output(const Lanes& d) const { return adam.output(d); }

  // First half of the step of weights whose gradient is d * x: what the step is divided by.
  using Begun = Lanes;
  INSTEP_LANE Begun begin(const Output& output, const Lanes& x, const OptimizerArrays& arrays,
                          std::size_t at) const {
    float* const second = arrays.begin[kSecondMoment] + at;
    const Lanes v = adam.second_moment(output, x * x, load(second));
    store(second, v);
    return adam.denominator(v);
  }

  // Second half: the new weights.
  INSTEP_LANE Lanes finish(const Output& output, const Begun& begun, const Lanes& x,
                           const Lanes& weight, const OptimizerArrays& arrays,
                           std::size_t at) const {
    if constexpr (kHasFirst) {
      float* const first = arrays.begin[kFirstMoment] + at;
      const Lanes m = adam.first_moment(output, x, load(first));
      store(first, m);
      return adam.weight(m, begun, weight);
    } else {
      return adam.weight(output, x, begun, weight);
    }
  }
};

// The constants of a step by the decayed maximum.
struct MaximumStep {
  float decay = 0.0F;
  float lr = 0.0F;
  float trace_factor = 0.0F;  // what the trace keeps
  float loss_factor = 0.0F;   // gradient of the loss by the output whose gradient is traced
};

// The step by the decayed maximum on sixteen weights.
template <bool kHasTrace>
struct MaximumRule {
  static constexpr int kArrays = kHasTrace ? 2 : 1;
  DecayedMaximum<Lanes> step;
  Lanes trace_factor;
  Lanes loss_step;  // -lr times the loss factor
  Lanes magnitude;  // of the loss factor

  using Constants = MaximumStep;
  INSTEP_LANE explicit MaximumRule(const Constants& c)
      : step{set(c.decay), set(-c.lr), set(static_cast<float>(kMaximumEps))},
        trace_factor(set(c.trace_factor)),
        loss_step(set(-c.lr * c.loss_factor)),
        magnitude(set(c.loss_factor < 0.0F ? -c.loss_factor : c.loss_factor)) {}

  INSTEP_LANE static Lanes absolute(const Lanes& x) { return larger(x, set(0.0F) - x); }

  struct Output {
    Lanes d;
    Lanes d_magnitude;
    Lanes d_step;  // -lr d: the step without a trace
  };
  INSTEP_LANE Output output(const Lanes& d) const { return {d, absolute(d), step.minus_lr * d}; }

  // First half: the new maximum, and the new trace.
  using Begun = Lanes;
  INSTEP_LANE Begun begin(const Output& output, const Lanes& x, const OptimizerArrays& arrays,
                          std::size_t at) const {
    float* const maximum = arrays.begin[kMaximum] + at;
    Lanes v;
    if constexpr (kHasTrace) {
      float* const trace = arrays.begin[kTrace] + at;
      const Lanes e = multiply_add(output.d, x, trace_factor * load(trace));
      store(trace, e);
      v = step.maximum(magnitude * absolute(e), load(maximum));
    } else {
      v = step.maximum(output.d_magnitude * absolute(x), load(maximum));
    }
    store(maximum, v);
    return v;
  }
  INSTEP_LANE Lanes finish(const Output& output, const Begun& begun, const Lanes& x,
                           const Lanes& weight, const OptimizerArrays& arrays,
                           std::size_t at) const {
    if constexpr (kHasTrace) {
      return step.weight(loss_step * load(arrays.begin[kTrace] + at), begun, weight);
    } else {
      return step.weight(output.d_step * x, begun, weight);
    }
  }
};

// ---------------------------------------------------------------------------------------------------
// The two networks as passes

enum class Network { kActor, kCritic };

// AVG's and IAC's: Adam, and features of length 1.
struct AdamPass : Pass<UnitFeature> {
  AdamStep<float> adam;
  bool has_first = false;  // moments

  void set_norm(const Learner& learner) {
    norm = {learner.settings.feature_norm, learner.settings.leaky_slope, network->width,
            tape->scalars + kInverseNorm};
    has_first = learner.layout.actor_arrays > kFirstMoment;
  }

  // The critic's loss is td_error^2, whose gradient carries what the TD error was divided by.
  bool begin_critic_loss(const Learner& learner, float divisor) {
    gradient_scale = d_critic_output(learner.state().td_error, divisor);
#ifdef INSTEP_BREAK_UPDATE  // a build option that proves that the tests notice a wrong sign
    gradient_scale = -gradient_scale;
#endif
    return is_update_finite(*this);
  }

  // Counts a step and takes its constants.
  template <Network kNetwork>
  void begin_step(const Learner& learner) {
    LearnerState& state = learner.state();
    const LearnerSettings& settings = learner.settings;
    adam = kNetwork == Network::kActor
               ? advance_adam(settings, settings.actor_lr, state.actor_updates,
                              state.actor_beta1_power, state.actor_beta2_power)
               : advance_adam(settings, settings.critic_lr, state.critic_updates,
                              state.critic_beta1_power, state.critic_beta2_power);
  }
};

template <bool kOld, bool kUpdate, bool kNew>
void run_pass(const AdamPass& pass) {
  using PassForm = Form<kOld, kUpdate, kNew>;
  if constexpr (!kUpdate) {
    run_pass<PassForm, NoStep>(pass, {});
  } else if (pass.has_first) {
    run_pass<PassForm, AdamRule<true>>(pass, pass.adam);
  } else {
    run_pass<PassForm, AdamRule<false>>(pass, pass.adam);
  }
}

// RAC's: the decayed maximum, and both hidden layers normalised.
struct MaximumPass : Pass<LayerNorm> {
  MaximumStep step;
  bool has_trace = false;

  void set_norm(const Learner& learner) {
    norm = {learner.settings.leaky_slope,
            network->width,
            hidden_dim,
            {tape->scalars + kFirstInverseNorm, tape->scalars + kInverseNorm}};
    has_trace = network == &learner.layout.critic && learner.layout.critic_arrays > kTrace;
    step.loss_factor = 1.0F;
  }

  // The critic's loss is td_error^2 / 2. A trace adds up gradients of the critic's output, which
  // must leave room for that and for the TD errors to come.
  bool begin_critic_loss(const Learner& learner, float) {
    float factor = -learner.state().td_error;
#ifdef INSTEP_BREAK_UPDATE
    factor = -factor;
#endif
    if (!has_trace) {
      gradient_scale = factor;
      return is_update_finite(*this);
    }
    step.loss_factor = factor;
    const float magnitude = factor < 0.0F ? -factor : factor;
    return magnitude < kLargestTraced && is_update_finite(*this, kLargestTraced);
  }

  template <Network kNetwork>
  void begin_step(const Learner& learner) {
    LearnerState& state = learner.state();
    const LearnerSettings& settings = learner.settings;
    step.decay = static_cast<float>(settings.maximum_decay);
    step.trace_factor = static_cast<float>(trace_factor(settings));
    const bool is_actor = kNetwork == Network::kActor;
    step.lr = static_cast<float>(is_actor ? settings.actor_lr : settings.critic_lr);
    ++(is_actor ? state.actor_updates : state.critic_updates);
  }

 private:
  static constexpr float kLargestTraced = 1e9F;
};

template <bool kOld, bool kUpdate, bool kNew>
void run_pass(const MaximumPass& pass) {
  using PassForm = Form<kOld, kUpdate, kNew>;
  if constexpr (!kUpdate) {
    run_pass<PassForm, NoStep>(pass, {});
  } else if (pass.has_trace) {
    run_pass<PassForm, MaximumRule<true>>(pass, pass.step);
  } else {
    run_pass<PassForm, MaximumRule<false>>(pass, pass.step);
  }
}

template <typename NetworkPass>
NetworkPass make_pass(const Learner& learner, const NetworkLayout& network, const TapeLayout& tape,
                      const std::size_t (&arrays)[kOptimizerArraysMax], int count) {
  NetworkPass pass;
  pass.network = &network;
  pass.tape = &tape;
  pass.hidden_dim = learner.layout.shape.hidden_dim;
  pass.set_norm(learner);
  for (int i = 0; i < count; ++i) pass.arrays.begin[i] = learner.floats(arrays[i]);
  return pass;
}

// The actor with the weights of one buffer; an update goes to the other.
template <typename NetworkPass>
NetworkPass actor_pass(const Learner& learner, std::uint32_t buffer) {
  const Layout& layout = learner.layout;
  auto pass = make_pass<NetworkPass>(learner, layout.actor, layout.actor_tape,
                                     layout.actor_optimizer, layout.actor_arrays);
  pass.weights = learner.floats(layout.actor_weights[buffer]);
  pass.new_weights = learner.floats(layout.actor_weights[1 - buffer]);
  return pass;
}

template <typename NetworkPass>
NetworkPass critic_pass(const Learner& learner) {
  const Layout& layout = learner.layout;
  auto pass = make_pass<NetworkPass>(learner, layout.critic, layout.critic_tape,
                                     layout.critic_optimizer, layout.critic_arrays);
  pass.weights = learner.floats(layout.critic_weights);
  pass.new_weights = learner.floats(layout.critic_weights);
  return pass;
}

}  // namespace
}  // namespace instep::INSTEP_PATH_NAMESPACE

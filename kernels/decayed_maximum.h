// The weight step by a decayed maximum, for every kind of number it is taken with: a float, a
// double, a vector of lanes. With u the gradient of a loss,
//
//   v = max(decay v, |u|),   w -= lr u / (v + eps)
//
// so that no weight moves further than lr. With a trace, u is the loss's factor delta times what
// has been remembered of the output's gradient g:
//
//   e = trace_decay e + g,   u = delta e
#pragma once

#include "kernels/elementary.h"
#include "kernels/settings.h"

namespace instep {

// Its arrays in a layout's list of an optimiser's arrays. The actor has no trace.
enum MaximumArray : int { kMaximum = 0, kTrace = 1 };

inline constexpr double kMaximumEps = 1e-8;

// How many of them the critic stores: without trace_decay the trace is the gradient itself.
constexpr int maximum_critic_arrays(const LearnerSettings& settings) {
  return settings.trace_decay > 0.0 ? 2 : 1;
}

// What a trace of outputs' gradients keeps from one step to the next.
constexpr double trace_factor(const LearnerSettings& settings) {
  return settings.discount * settings.trace_decay;
}

// The step on values of type V, which has +, -, *, larger, multiply_add and add_quotient.
template <typename V>
struct DecayedMaximum {
  V decay;
  V minus_lr;
  V eps;

  // The new maximum, by the magnitude of the gradient.
  INSTEP_HD V maximum(const V& magnitude, const V& old) const {
    return larger(decay * old, magnitude);
  }
  // The new weight, by -lr times the gradient.
  INSTEP_HD V weight(const V& step, const V& maximum, const V& old) const {
    return add_quotient(step, maximum + eps, old);
  }
};

}  // namespace instep

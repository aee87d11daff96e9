// Adam's weight step, for every kind of number it is taken with: a float, a double, a vector of
// lanes.
//
//   m += (1 - beta1) (g - m),   v = beta2 v + (1 - beta2) g^2,   w -= lr m / (sqrt(v) + eps)
//
// Both bias corrections are folded into lr and eps. A batch of one has gradients g = d x, of an
// output's d and an input's x, so what depends on d alone is computed once for each output.
#pragma once

#include <cstdint>

#include "kernels/elementary.h"
#include "kernels/settings.h"

namespace instep {

// Its arrays in a layout's list of an optimiser's arrays.
enum AdamArray : int { kSecondMoment = 0, kFirstMoment = 1 };

// How many of them are stored: without beta1 the first moment is the gradient itself.
constexpr int adam_arrays(const LearnerSettings& settings) {
  return settings.beta1 > 0.0 ? 2 : 1;
}

// The constants of one step.
template <typename Real>
struct AdamStep {
  Real beta2{};
  Real one_minus_beta2{};
  Real one_minus_beta1{};
  Real lr{};
  Real eps{};
};

// Those of the step whose powers of beta are given (step t: beta^t).
template <typename Real>
INSTEP_HD AdamStep<Real> make_adam_step(const LearnerSettings& settings, double lr,
                                        double beta1_power, double beta2_power) {
  const double root = square_root(1.0 - beta2_power);
  AdamStep<Real> step;
  step.beta2 = static_cast<Real>(settings.beta2);
  step.one_minus_beta2 = static_cast<Real>(1.0 - settings.beta2);
  step.one_minus_beta1 = static_cast<Real>(1.0 - settings.beta1);
  step.lr = static_cast<Real>(lr * root / (1.0 - beta1_power));
  step.eps = static_cast<Real>(settings.adam_eps * root);
  return step;
}

// Advances a network's counter and powers, and answers the constants of that step.
INSTEP_HD AdamStep<float> advance_adam(const LearnerSettings& settings, double lr,
                                       std::int64_t& updates, double& beta1_power,
                                       double& beta2_power) {
  ++updates;
  beta1_power *= settings.beta1;
  beta2_power *= settings.beta2;
  return make_adam_step<float>(settings, lr, beta1_power, beta2_power);
}

// The step on values of type V, which has +, -, *, square_root, multiply_add and add_quotient.
template <typename V>
struct Adam {
  V beta2;
  V one_minus_beta2;
  V one_minus_beta1;
  V minus_lr;
  V eps;

  // What all weights of one output share.
  struct Output {
    V d;
    V d_square;  // (1 - beta2) d^2
    V d_step;    // -lr d: the step without a first moment
  };
  INSTEP_HD Output output(const V& d) const { return {d, one_minus_beta2 * (d * d), minus_lr * d}; }

  // The new second moment, and what a step is divided by then.
  INSTEP_HD V second_moment(const Output& output, const V& x_square, const V& old) const {
    return multiply_add(output.d_square, x_square, beta2 * old);
  }
  INSTEP_HD V denominator(const V& second_moment) const { return square_root(second_moment) + eps; }

  // The new first moment.
  INSTEP_HD V first_moment(const Output& output, const V& x, const V& old) const {
    return multiply_add(output.d * x - old, one_minus_beta1, old);
  }

  // The new weight, with a first moment and without one.
  INSTEP_HD V weight(const V& first_moment, const V& denominator, const V& old) const {
    return add_quotient(minus_lr * first_moment, denominator, old);
  }
  INSTEP_HD V weight(const Output& output, const V& x, const V& denominator, const V& old) const {
    return add_quotient(output.d_step * x, denominator, old);
  }
};

}  // namespace instep

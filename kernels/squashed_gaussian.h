// The policy's arithmetic, one action dimension at a time: an action a = tanh(u) with u drawn from
// a normal distribution of mean mu and log variance l, and the gradients of both actor losses with
// respect to mu and l. Float or double, on host and device.
//
//   s = exp(l / 2),   u = mu + s e,   log pi(a) = log N(u; mu, s^2) - log(1 - a^2)
#pragma once

#include "kernels/elementary.h"

namespace instep {

inline constexpr double kLog2 = 0.69314718055994530942;
inline constexpr double kLog2Pi = 1.83787706640934548356;

// l: a network's output, kept within the clamp.
template <typename Real>
INSTEP_HD Real clamp_log_variance(Real raw, Real min, Real max) {
  const Real bounded = raw < min ? min : raw;
  return bounded > max ? max : bounded;
}

// The clamp is flat strictly outside its bounds.
template <typename Real>
INSTEP_HD bool is_within_clamp(Real raw, Real min, Real max) {
  return raw >= min && raw <= max;
}

// s. The head that the reference calls log_std is a log variance: it passes exp() of it as a
// covariance.
INSTEP_HD float std_dev_of(float log_variance) {
  return exp_float(0.5F * log_variance);
}
INSTEP_HD double std_dev_of(double log_variance) {
  return exp_double(0.5 * log_variance);
}

// a
INSTEP_HD float squash(float action_pre) {
  return tanh_float(action_pre);
}
INSTEP_HD double squash(double action_pre) {
  return tanh_double(action_pre);
}

// log(1 - a^2) = 2 (log 2 - u - softplus(-2 u)), exact for large u too.
INSTEP_HD double log_squash_slope(double action_pre) {
  return 2.0 * (kLog2 - action_pre - softplus_double(-2.0 * action_pre));
}

// log pi of m dimensions is log_prob_start(m) plus one part for each, from its draw e.
INSTEP_HD double log_prob_start(int action_dim) {
  return -0.5 * kLog2Pi * action_dim;
}
INSTEP_HD double log_prob_part(double noise, double log_variance, double action_pre) {
  return -0.5 * (noise * noise + log_variance) - log_squash_slope(action_pre);
}

// The Gaussian's own entropy, before the squash, likewise.
INSTEP_HD double entropy_start(int action_dim) {
  return 0.5 * (1.0 + kLog2Pi) * action_dim;
}
INSTEP_HD double entropy_part(double log_variance) {
  return 0.5 * log_variance;
}

// Gradient of an actor's loss with respect to its two outputs for one dimension.
template <typename Real>
struct HeadGradient {
  Real d_mean;
  Real d_log_variance;  // before the clamp is looked at
};

// AVG's loss is eta log pi(a|s) - Q(s, a) through the reparametrised action; the draw e is a
// constant. d_q = dQ/da.
template <typename Real>
INSTEP_HD HeadGradient<Real> reparametrised_gradient(Real entropy_coef, Real action, Real noise,
                                                     Real std_dev, Real d_q) {
  const Real half = static_cast<Real>(0.5);
  const Real d_pre = static_cast<Real>(2.0) * entropy_coef * action -
                     d_q * (static_cast<Real>(1.0) - action * action);
  return {d_pre, half * d_pre * noise * std_dev - half * entropy_coef};
}

// IAC's loss is -(log pi(a|s) td_error + eta H); action and TD error are constants.
template <typename Real>
INSTEP_HD HeadGradient<Real> score_gradient(Real entropy_coef, Real noise, Real std_dev,
                                            Real td_error) {
  const Real half = static_cast<Real>(0.5);
  return {-td_error * noise / std_dev,
          -half * td_error * (noise * noise - static_cast<Real>(1.0)) - half * entropy_coef};
}

}  // namespace instep

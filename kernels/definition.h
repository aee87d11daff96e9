// The definition of the learner's arithmetic in plain loops: both networks, their gradients, the
// losses of AVG, IAC and RAC, and both weight steps. It defines the answer; the executors must
// match it (learner_test.cpp), and it must match finite differences of the losses
// (definition_test.cpp). Nothing here is fast, and nothing here allocates: the caller owns every
// array. Matrices are row-major.
//
// Symbols: x input, z = W x + b (RAC: N(W x + b), a layer norm), h = max(z, slope z), f = h2 / |h2|
// feature (RAC: h2), mu mean, l log
// variance, s = exp(l / 2), e standard normal draw, u = mu + s e action_pre, a = tanh(u) action,
// eta entropy_coef, gamma discount, delta td_error, sigma td_error_scale. d_x is the gradient of x.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/adam.h"
#include "kernels/decayed_maximum.h"
#include "kernels/layout.h"
#include "kernels/settings.h"
#include "kernels/shape.h"
#include "kernels/squashed_gaussian.h"
#include "kernels/td_error.h"

namespace instep::definition {

inline constexpr int kInputDimMax = kObservationDimMax + kActionDimMax;
inline constexpr int kOutputDimMax = 2 * kActionDimMax;

// Sizes of one network. The actor's outputs are m means, then m log variances; the critic has one.
struct NetworkShape {
  int inputs = 0;   // 1 .. kInputDimMax
  int hidden = 0;   // 1 .. kHiddenDimMax, both hidden layers
  int outputs = 0;  // 1 .. kOutputDimMax
};

// The arrays of a network, or of its gradient or its moments, within one flat array.
template <typename Real>
struct Parameters {
  Real* w1;  // [hidden, inputs]
  Real* b1;  // [hidden]
  Real* w2;  // [hidden, hidden]
  Real* b2;  // [hidden]
  Real* w3;  // [outputs, hidden]
  Real* b3;  // [outputs]
};

// Length of the flat array.
constexpr std::size_t parameter_count(const NetworkShape& shape) {
  return static_cast<std::size_t>((shape.inputs + 1 + shape.hidden + 1) * shape.hidden +
                                  (shape.hidden + 1) * shape.outputs);
}

// Views flat [parameter_count] as w1, b1, w2, b2, w3, b3, in this order.
template <typename Real>
Parameters<Real> split(const NetworkShape& shape, Real* flat) {
  Parameters<Real> parts{};
  parts.w1 = flat;
  parts.b1 = parts.w1 + shape.hidden * shape.inputs;
  parts.w2 = parts.b1 + shape.hidden;
  parts.b2 = parts.w2 + shape.hidden * shape.hidden;
  parts.w3 = parts.b2 + shape.hidden;
  parts.b3 = parts.w3 + shape.outputs * shape.hidden;
  return parts;
}

// What a forward pass leaves for the backward pass. Of each array the network's own size is used.
template <typename Real>
struct Trace {
  Real input[kInputDimMax] = {};
  Real z1[kHiddenDimMax] = {};  // what LeakyReLU is taken of
  Real hidden1[kHiddenDimMax] = {};
  Real z2[kHiddenDimMax] = {};
  Real feature[kHiddenDimMax] = {};
  Real output[kOutputDimMax] = {};
  Real norm = 1;             // |h2|; 1 without feature_norm
  Real std_dev[2] = {1, 1};  // RAC: of each hidden layer's sums
};

// Overwrites out [rows] with w [rows, columns] x + b.
template <typename Real>
void affine(const Real* w, const Real* b, const Real* x, int rows, int columns, Real* out) {
  for (int i = 0; i < rows; ++i) {
    out[i] = b[i];
    for (int j = 0; j < columns; ++j) out[i] += w[i * columns + j] * x[j];
  }
}

// z [count] less its mean, divided by its standard deviation sqrt(var + eps), which it answers: in
// place.
template <typename Real>
Real normalize_layer(int count, Real* z) {
  Real mean = 0;
  for (int i = 0; i < count; ++i) mean += z[i] / static_cast<Real>(count);
  Real variance = 0;
  for (int i = 0; i < count; ++i) {
    z[i] -= mean;
    variance += z[i] * z[i] / static_cast<Real>(count);
  }
  const Real std_dev = std::sqrt(variance + static_cast<Real>(kLayerNormEps));
  for (int i = 0; i < count; ++i) z[i] /= std_dev;
  return std_dev;
}

// From the gradient of a layer norm's outputs z [count] to that of its inputs, in place:
// (d - mean(d) - z mean(d z)) / std_dev.
template <typename Real>
void normalize_layer_backward(int count, const Real* z, Real std_dev, Real* d) {
  Real mean = 0;
  Real along = 0;
  for (int i = 0; i < count; ++i) {
    mean += d[i] / static_cast<Real>(count);
    along += d[i] * z[i] / static_cast<Real>(count);
  }
  for (int i = 0; i < count; ++i) d[i] = (d[i] - mean - z[i] * along) / std_dev;
}

inline bool has_layer_norm(const LearnerSettings& settings) {
  return settings.algorithm == Algorithm::kRac;
}
inline bool has_feature_norm(const LearnerSettings& settings) {
  return settings.feature_norm && !has_layer_norm(settings);
}

// x -> h1 = leaky(W1 x + b1) -> h2 = leaky(W2 h1 + b2) -> f = h2 / |h2| -> output = W3 f + b3;
// RAC: x -> h1 = leaky(N(W1 x + b1)) -> f = leaky(N(W2 h1 + b2)). Overwrites the trace; input is
// [inputs], flat [parameter_count].
template <typename Real>
void forward(const NetworkShape& shape, const LearnerSettings& settings, const Real* flat,
             const Real* input, Trace<Real>* trace) {
  const Parameters<const Real> p = split(shape, flat);
  const Real slope = static_cast<Real>(settings.leaky_slope);
  const auto leaky = [slope](Real z) { return z > 0 ? z : slope * z; };
  for (int j = 0; j < shape.inputs; ++j) trace->input[j] = input[j];
  affine(p.w1, p.b1, input, shape.hidden, shape.inputs, trace->z1);
  if (has_layer_norm(settings)) trace->std_dev[0] = normalize_layer(shape.hidden, trace->z1);
  for (int i = 0; i < shape.hidden; ++i) trace->hidden1[i] = leaky(trace->z1[i]);
  affine(p.w2, p.b2, trace->hidden1, shape.hidden, shape.hidden, trace->z2);
  if (has_layer_norm(settings)) trace->std_dev[1] = normalize_layer(shape.hidden, trace->z2);
  Real* feature = trace->feature;
  Real sum_squares = 0;
  for (int i = 0; i < shape.hidden; ++i) {
    feature[i] = leaky(trace->z2[i]);
    sum_squares += feature[i] * feature[i];
  }
  trace->norm = has_feature_norm(settings) ? std::sqrt(sum_squares) : Real{1};
  for (int i = 0; i < shape.hidden; ++i) feature[i] /= trace->norm;
  affine(p.w3, p.b3, feature, shape.outputs, shape.hidden, trace->output);
}

// Chain rule from d_output [outputs] to every parameter: overwrites d_flat [parameter_count] and,
// unless it is null, d_input [inputs].
//   d_W3 = d_output f',  d_f = W3' d_output,  d_h2 = (d_f - f (f . d_f)) / |h2|,
//   d_z = d_h * (1 or slope) (RAC: and back through N),  d_W = d_z x',  d_x = W' d_z
template <typename Real>
void backward(const NetworkShape& shape, const LearnerSettings& settings, const Real* flat,
              const Trace<Real>& trace, const Real* d_output, Real* d_flat, Real* d_input) {
  const Parameters<const Real> p = split(shape, flat);
  const Parameters<Real> d = split(shape, d_flat);
  const Real slope = static_cast<Real>(settings.leaky_slope);
  const int h = shape.hidden;
  const Real* feature = trace.feature;

  // Biases' gradients serve as the layers' own: d_b = d_z.
  Real d_feature[kHiddenDimMax] = {};
  Real along = 0;  // f . d_f: a longer h2 changes nothing
  for (int i = 0; i < h; ++i) {
    for (int row = 0; row < shape.outputs; ++row) {
      d.w3[row * h + i] = d_output[row] * feature[i];
      d_feature[i] += p.w3[row * h + i] * d_output[row];
    }
    along += feature[i] * d_feature[i];
  }
  for (int row = 0; row < shape.outputs; ++row) d.b3[row] = d_output[row];
  for (int i = 0; i < h; ++i) {
    const Real across = has_feature_norm(settings) ? feature[i] * along : Real{0};
    d.b2[i] = (d_feature[i] - across) / trace.norm * (trace.z2[i] > 0 ? 1 : slope);
  }
  if (has_layer_norm(settings)) normalize_layer_backward(h, trace.z2, trace.std_dev[1], d.b2);
  for (int i = 0; i < h; ++i) {
    for (int j = 0; j < h; ++j) d.w2[i * h + j] = d.b2[i] * trace.hidden1[j];
  }
  for (int j = 0; j < h; ++j) {
    Real d_hidden1 = 0;
    for (int i = 0; i < h; ++i) d_hidden1 += p.w2[i * h + j] * d.b2[i];
    d.b1[j] = d_hidden1 * (trace.z1[j] > 0 ? 1 : slope);
  }
  if (has_layer_norm(settings)) normalize_layer_backward(h, trace.z1, trace.std_dev[0], d.b1);
  for (int j = 0; j < h; ++j) {
    for (int k = 0; k < shape.inputs; ++k) {
      d.w1[j * shape.inputs + k] = d.b1[j] * trace.input[k];
    }
  }
  if (d_input == nullptr) return;
  for (int k = 0; k < shape.inputs; ++k) {
    d_input[k] = 0;
    for (int j = 0; j < h; ++j) d_input[k] += p.w1[j * shape.inputs + k] * d.b1[j];
  }
}

// The squashed Gaussian policy at one observation, [action_dim] each.
template <typename Real>
struct Policy {
  Real mean[kActionDimMax] = {};
  Real log_variance_raw[kActionDimMax] = {};
  Real log_variance[kActionDimMax] = {};  // clamped
  Real std_dev[kActionDimMax] = {};
  Real noise[kActionDimMax] = {};
  Real action_pre[kActionDimMax] = {};
  Real action[kActionDimMax] = {};
  Real log_prob = 0;  // of the action, after the squash
  Real entropy = 0;   // of the Gaussian, before it
};

// log N(u; mu, exp(l)) summed over the dimensions: -((u - mu)^2 / exp(l) + l + log 2 pi) / 2.
template <typename Real>
Real gaussian_log_prob(int action_dim, const Real* mean, const Real* log_variance,
                       const Real* action_pre) {
  Real sum = 0;
  for (int i = 0; i < action_dim; ++i) {
    const Real away = action_pre[i] - mean[i];
    sum -=
        (away * away / std::exp(log_variance[i]) + log_variance[i] + static_cast<Real>(kLog2Pi)) /
        2;
  }
  return sum;
}

// Overwrites the policy from the actor's output [2 action_dim] and noise [action_dim].
template <typename Real>
void sample_action(int action_dim, const LearnerSettings& settings, const Real* output,
                   const Real* noise, Policy<Real>* policy) {
  const Real low = static_cast<Real>(settings.log_variance_min);
  const Real high = static_cast<Real>(settings.log_variance_max);
  double log_prob = log_prob_start(action_dim);
  double entropy = entropy_start(action_dim);
  for (int i = 0; i < action_dim; ++i) {
    const Real raw = output[action_dim + i];
    const Real log_variance = clamp_log_variance(raw, low, high);
    const Real std_dev = std_dev_of(log_variance);
    const Real u = output[i] + std_dev * noise[i];
    policy->mean[i] = output[i];
    policy->log_variance_raw[i] = raw;
    policy->log_variance[i] = log_variance;
    policy->std_dev[i] = std_dev;
    policy->noise[i] = noise[i];
    policy->action_pre[i] = u;
    policy->action[i] = squash(u);
    log_prob += log_prob_part(static_cast<double>(noise[i]), static_cast<double>(log_variance),
                              static_cast<double>(u));
    entropy += entropy_part(static_cast<double>(log_variance));
  }
  policy->log_prob = static_cast<Real>(log_prob);
  policy->entropy = static_cast<Real>(entropy);
}

// Overwrites an entry pair of d_output [2 action_dim] with one dimension's gradient.
template <typename Real>
void set_head_gradient(int action_dim, const LearnerSettings& settings, const Policy<Real>& policy,
                       int i, const HeadGradient<Real>& gradient, Real* d_output) {
  const bool is_inside =
      is_within_clamp(policy.log_variance_raw[i], static_cast<Real>(settings.log_variance_min),
                      static_cast<Real>(settings.log_variance_max));
  d_output[i] = gradient.d_mean;
  d_output[action_dim + i] = is_inside ? gradient.d_log_variance : Real{0};
}

// AVG's and RAC's actor loss is eta log pi(A|s) - Q(s, A) with A = tanh(mu + s e) a function of the
// weights (the draw e is the constant). Overwrites d_output [2 action_dim] given d_q = dQ/dA
// [action_dim].
template <typename Real>
void d_actor_output_avg(int action_dim, const LearnerSettings& settings, const Policy<Real>& policy,
                        const Real* d_q, Real* d_output) {
  const Real eta = static_cast<Real>(settings.entropy_coef);
  for (int i = 0; i < action_dim; ++i) {
    set_head_gradient(
        action_dim, settings, policy, i,
        reparametrised_gradient(eta, policy.action[i], policy.noise[i], policy.std_dev[i], d_q[i]),
        d_output);
  }
}

// IAC's actor loss is -(log pi(A|s) delta + eta H) with A and delta constants and H the Gaussian's
// entropy. Overwrites d_output [2 action_dim].
template <typename Real>
void d_actor_output_iac(int action_dim, const LearnerSettings& settings, const Policy<Real>& policy,
                        Real td_error, Real* d_output) {
  const Real eta = static_cast<Real>(settings.entropy_coef);
  for (int i = 0; i < action_dim; ++i) {
    set_head_gradient(action_dim, settings, policy, i,
                      score_gradient(eta, policy.noise[i], policy.std_dev[i], td_error), d_output);
  }
}

// Adam's step number `step` (the first is 1) on `count` parameters.
template <typename Real>
void adam_step(std::size_t count, const LearnerSettings& settings, double lr, std::int64_t step,
               const Real* gradient, Real* weights, Real* first, Real* second) {
  const double t = static_cast<double>(step);
  const AdamStep<Real> c =
      make_adam_step<Real>(settings, lr, std::pow(settings.beta1, t), std::pow(settings.beta2, t));
  const Adam<Real> adam{c.beta2, c.one_minus_beta2, c.one_minus_beta1, -c.lr, c.eps};
  for (std::size_t i = 0; i < count; ++i) {
    const typename Adam<Real>::Output output = adam.output(gradient[i]);
    first[i] = adam.first_moment(output, Real{1}, first[i]);
    second[i] = adam.second_moment(output, Real{1}, second[i]);
    weights[i] = adam.weight(first[i], adam.denominator(second[i]), weights[i]);
  }
}

// RAC's step on `count` parameters by the gradient of a network's output, whose loss has the
// gradient `loss_factor` by that output. trace [count] is null where the network has none.
template <typename Real>
void maximum_step(std::size_t count, const LearnerSettings& settings, double lr, Real loss_factor,
                  const Real* gradient, Real* weights, Real* trace, Real* maximum) {
  const DecayedMaximum<Real> rule{static_cast<Real>(settings.maximum_decay), static_cast<Real>(-lr),
                                  static_cast<Real>(kMaximumEps)};
  for (std::size_t i = 0; i < count; ++i) {
    Real traced = gradient[i];
    if (trace != nullptr) {
      trace[i] = static_cast<Real>(trace_factor(settings)) * trace[i] + gradient[i];
      traced = trace[i];
    }
    const Real u = loss_factor * traced;
    maximum[i] = rule.maximum(u < 0 ? -u : u, maximum[i]);
    weights[i] = rule.weight(rule.minus_lr * u, maximum[i], weights[i]);
  }
}

// Multiplies a critic's head, and with it every value that it answers.
template <typename Real>
void scale_head(const NetworkShape& shape, Real factor, Real* flat) {
  const Parameters<Real> p = split(shape, flat);
  for (int i = 0; i < shape.outputs * shape.hidden; ++i) p.w3[i] *= factor;
  for (int i = 0; i < shape.outputs; ++i) p.b3[i] *= factor;
}

}  // namespace instep::definition

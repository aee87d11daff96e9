// What cuBLAS has no call for in AVG's update: the small kernels between its products. Compiled for
// GPUs (graph_kernels.cu) and, for tests, for the host.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/shape.h"

namespace instep::graph {

inline constexpr int kThreads = 256;  // of a block, at most
inline constexpr float kSlope = 0.01F;

// What the host sends: the observation is normalised already.
struct Input {
  float observation[kObservationDimMax];
  float noise[kActionDimMax];
  float next_noise[kActionDimMax];
  double reward;
  std::uint32_t terminated;
};

// A squashed Gaussian draw.
struct Draw {
  float mean[kActionDimMax];
  float raw_log_variance[kActionDimMax];
  float log_variance[kActionDimMax];
  float std_dev[kActionDimMax];
  float pre[kActionDimMax];
  float action[kActionDimMax];
  double log_prob;
  double entropy;
};

// Count, mean and sum of squared deviations.
struct Moments {
  double count;
  double mean;
  double sum_squares;
};

// Everything but networks and tapes.
struct Scalars {
  int observation_dim;
  int action_dim;
  double discount;
  double entropy_coef;
  double actor_lr;
  double critic_lr;
  double beta2;
  double adam_eps;
  double beta2_power;
  Moments reward;
  Moments discounts;
  Moments returns;
  Moments return_squares;
  double running_return;
  double return_before_clear;
  double reward_stat;
  double td_error_scale;
  float q;
  float q_next;
  float td_error;
  float critic_slope;
  float actor_loss;
  float actor_step;  // learning rates and epsilon with Adam's bias correction
  float critic_step;
  float eps;
  Draw open;
  Draw next;
  Input input;
};

enum Kernel : int {
  kCopy,       // out[count] = in
  kLeaky,      // out[count] = leaky(out + in)
  kNormalize,  // as kLeaky, then out2[count] = out / |out|, out2[count] itself = 1 / |out|
  kSample,     // a draw from outputs in and biases in2 with the noise `which`; its action to out
  kTdError,    // from outputs in (of s, a) and in2 (of s', a'), both without the bias out; the
               // critic's slope also to out2
  kJacobian,   // out[count] = gradient before the last nonlinearity from that of the feature, in,
               // and the feature, in2, behind which its inverse length stands
  kMask,       // out[count] *= leaky'(in)
  kActorHead,  // out[2 action_dim] from dQ/da, in
  kScale,      // out[count] *= the critic's slope
  kAdam,       // out[count], with gradient in and second moment out2; the step size `which`
};

// Of one launch; what a kernel needs not is null.
struct Arguments {
  Kernel kernel;
  int count;
  int which;  // 0: the open transition's or the actor's, 1: the next one's or the critic's
  float* out;
  float* out2;
  const float* in;
  const float* in2;
  Scalars* scalars;
};

INSTEP_DEVICE float leaky(float x) {
  return x > 0.0F ? x : kSlope * x;
}

// The sum of a block's values, for every thread.
template <typename Block>
INSTEP_DEVICE float block_sum(const Block& block, float value) {
  float* scratch = block.scratch();
  scratch[block.thread()] = value;
  block.barrier();
  for (int half = block.threads() / 2; half > 0; half /= 2) {
    if (block.thread() < half) scratch[block.thread()] += scratch[block.thread() + half];
    block.barrier();
  }
  return scratch[0];
}

INSTEP_DEVICE void push(Moments& moments, double x) {
  moments.count += 1.0;
  const double delta = x - moments.mean;
  moments.mean += delta / moments.count;
  moments.sum_squares += delta * (x - moments.mean);
}

INSTEP_DEVICE double variance(const Moments& moments) {
  return moments.count > 0.0 ? moments.sum_squares / moments.count : 0.0;
}

template <typename Block>
INSTEP_DEVICE void sample(const Block& block, const Arguments& a) {
  constexpr double kLog2 = 0.69314718055994530942;
  constexpr double kLog2Pi = 1.83787706640934548356;
  Scalars& s = *a.scalars;
  const int m = s.action_dim;
  Draw& draw = a.which == 0 ? s.open : s.next;
  const float* noise = a.which == 0 ? s.input.noise : s.input.next_noise;
  float log_prob = 0.0F;
  float entropy = 0.0F;
  for (int i = block.thread(); i < m; i += block.threads()) {
    const float mean = a.in[i] + a.in2[i];
    const float raw = a.in[m + i] + a.in2[m + i];
    const float l = raw < -20.0F ? -20.0F : raw > 2.0F ? 2.0F : raw;
    const float std_dev = exp_float(0.5F * l);
    const float pre = mean + std_dev * noise[i];
    const auto e = static_cast<double>(noise[i]);
    const auto u = static_cast<double>(pre);
    const double part =
        -0.5 * (e * e + static_cast<double>(l)) - 2.0 * (kLog2 - u - softplus_double(-2.0 * u));
    log_prob += static_cast<float>(part);
    entropy += 0.5F * l;
    draw.mean[i] = mean;
    draw.raw_log_variance[i] = raw;
    draw.log_variance[i] = l;
    draw.std_dev[i] = std_dev;
    draw.pre[i] = pre;
    draw.action[i] = tanh_float(pre);
    a.out[i] = draw.action[i];
  }
  log_prob = block_sum(block, log_prob);
  block.barrier();
  entropy = block_sum(block, entropy);
  if (block.thread() != 0) return;
  draw.log_prob = static_cast<double>(log_prob) - 0.5 * kLog2Pi * m;
  draw.entropy = static_cast<double>(entropy) + 0.5 * (1.0 + kLog2Pi) * m;
}

// Schaul et al. 2021; and the constants of both Adam steps.
INSTEP_DEVICE void td_error(const Arguments& a) {
  Scalars& s = *a.scalars;
  const bool terminated = s.input.terminated != 0;
  s.q = *a.in + *a.out;
  s.q_next = *a.in2 + *a.out;
  s.reward_stat = s.input.reward - s.entropy_coef * s.open.log_prob;
  s.running_return += s.reward_stat;
  s.return_before_clear = s.running_return;
  push(s.reward, s.reward_stat);
  push(s.discounts, terminated ? 0.0 : s.discount);
  if (terminated) {
    push(s.returns, s.running_return);
    push(s.return_squares, s.running_return * s.running_return);
    s.running_return = 0.0;
  }
  double square = variance(s.reward) + variance(s.discounts) * s.return_squares.mean;
  if (square < 1e-4) square = 1e-4;
  const bool is_start = square <= 0.01 && s.returns.count == 0.0;
  s.td_error_scale = is_start ? 1.0 : square_root(square);
  const auto divisor = static_cast<float>(s.td_error_scale);
  const float bootstrap = terminated ? 0.0F : static_cast<float>(s.discount);
  const float soft_value = s.q_next - static_cast<float>(s.entropy_coef * s.next.log_prob);
  s.td_error = (static_cast<float>(s.input.reward) + bootstrap * soft_value - s.q) / divisor;
  s.critic_slope = -2.0F * s.td_error / divisor;
  *a.out2 = s.critic_slope;
  s.actor_loss = static_cast<float>(s.entropy_coef * s.open.log_prob) - s.q;
  s.beta2_power *= s.beta2;
  const double root = square_root(1.0 - s.beta2_power);
  s.actor_step = static_cast<float>(s.actor_lr * root);
  s.critic_step = static_cast<float>(s.critic_lr * root);
  s.eps = static_cast<float>(s.adam_eps * root);
}

template <typename Block>
INSTEP_DEVICE void normalize(const Block& block, const Arguments& a) {
  float square = 0.0F;
  for (int i = block.thread(); i < a.count; i += block.threads()) {
    a.out[i] = leaky(a.out[i] + a.in[i]);
    square = multiply_add(a.out[i], a.out[i], square);
  }
  const float inverse = 1.0F / square_root(block_sum(block, square));
  for (int i = block.thread(); i < a.count; i += block.threads()) a.out2[i] = a.out[i] * inverse;
  if (block.thread() == 0) a.out2[a.count] = inverse;
}

template <typename Block>
INSTEP_DEVICE void jacobian(const Block& block, const Arguments& a) {
  float dot = 0.0F;
  for (int i = block.thread(); i < a.count; i += block.threads()) {
    dot = multiply_add(a.in2[i], a.in[i], dot);
  }
  dot = block_sum(block, dot);
  const float inverse = a.in2[a.count];
  for (int i = block.thread(); i < a.count; i += block.threads()) {
    const float d = (a.in[i] - a.in2[i] * dot) * inverse;
    a.out[i] = a.in2[i] > 0.0F ? d : kSlope * d;
  }
}

template <typename Block>
INSTEP_DEVICE void actor_head(const Block& block, const Arguments& a) {
  const Scalars& s = *a.scalars;
  const Draw& draw = s.open;
  const int m = s.action_dim;
  const auto entropy_coef = static_cast<float>(s.entropy_coef);
  for (int i = block.thread(); i < m; i += block.threads()) {
    const float action = draw.action[i];
    const float d_mean = 2.0F * entropy_coef * action - a.in[i] * (1.0F - action * action);
    const bool is_inside = draw.raw_log_variance[i] == draw.log_variance[i];
    a.out[i] = d_mean;
    a.out[m + i] =
        is_inside ? 0.5F * d_mean * s.input.noise[i] * draw.std_dev[i] - 0.5F * entropy_coef : 0.0F;
  }
}

INSTEP_DEVICE void adam(const Arguments& a, int i) {
  const Scalars& s = *a.scalars;
  const auto beta2 = static_cast<float>(s.beta2);
  const auto rest = static_cast<float>(1.0 - s.beta2);
  const float gradient = a.in[i];
  const float second = multiply_add(rest * gradient, gradient, beta2 * a.out2[i]);
  a.out2[i] = second;
  a.out[i] -=
      (a.which == 0 ? s.actor_step : s.critic_step) * gradient / (square_root(second) + s.eps);
}

template <typename Block>
INSTEP_DEVICE void run(const Block& block, const Arguments& a) {
  const int first = block.block() * block.threads() + block.thread();
  const int all = block.blocks() * block.threads();
  switch (a.kernel) {
    case kCopy:
      for (int i = first; i < a.count; i += all) a.out[i] = a.in[i];
      break;
    case kLeaky:
      for (int i = first; i < a.count; i += all) a.out[i] = leaky(a.out[i] + a.in[i]);
      break;
    case kNormalize:
      normalize(block, a);
      break;
    case kSample:
      sample(block, a);
      break;
    case kTdError:
      if (first == 0) td_error(a);
      break;
    case kJacobian:
      jacobian(block, a);
      break;
    case kMask:
      for (int i = first; i < a.count; i += all) a.out[i] *= a.in[i] > 0.0F ? 1.0F : kSlope;
      break;
    case kActorHead:
      actor_head(block, a);
      break;
    case kScale:
      for (int i = first; i < a.count; i += all) a.out[i] *= a.scalars->critic_slope;
      break;
    case kAdam:
      for (int i = first; i < a.count; i += all) adam(a, i);
      break;
  }
}

}  // namespace instep::graph

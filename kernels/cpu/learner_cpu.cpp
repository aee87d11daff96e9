// The learner on one CPU core. This file is compiled once per instruction set and arithmetic (see
// kernels/CMakeLists.txt); kernels/definition.h states the same networks and gradients in plain
// loops.
//
// Every gradient of a batch of one is an outer product: of a layer's output gradients d and its
// inputs x. It is never stored: one pass over a weight array forms d[i] * x[j], steps Adam, and at
// the same time takes the forward sums with the weights before and after the step. Each output has
// its own lane and adds its inputs in order, so fusing passes changes no bit.

#include "kernels/check.h"
#include "kernels/cpu/lanes.h"
#include "kernels/elementary.h"
#include "kernels/learner.h"

namespace instep::INSTEP_PATH_NAMESPACE {
namespace {

constexpr int kGroups = kOutputBlock / kLanes;  // vectors in one block of outputs
constexpr float kLargestFactor = 1e18F;         // squares of larger factors would overflow

// d(td_error^2) / d(td_error) with its sign for Q(s, a). INSTEP_BREAK_UPDATE is a build option that
// proves that the tests notice a wrong constant.
#ifdef INSTEP_BREAK_UPDATE
constexpr float kCriticLossSlope = 2.0F;
#else
constexpr float kCriticLossSlope = -2.0F;
#endif

// ---------------------------------------------------------------------------------------------------
// Adam

// One step's constants, bias corrections folded in: w -= lr * m / (sqrt(v) + eps).
struct AdamStep {
  float beta2 = 0.0F;
  float one_minus_beta2 = 0.0F;
  float one_minus_beta1 = 0.0F;
  float lr = 0.0F;
  float eps = 0.0F;
};

float float_sqrt(float x) {
  return __builtin_sqrtf(x);
}
double double_sqrt(double x) {
  return __builtin_sqrt(x);
}

// Advances a network's counter and powers of beta, and folds the corrections of that step.
AdamStep advance_adam(const LearnerSettings& settings, double lr, std::int64_t& updates,
                      double& beta1_power, double& beta2_power) {
  ++updates;
  beta1_power *= settings.beta1;
  beta2_power *= settings.beta2;
  const double root = double_sqrt(1.0 - beta2_power);
  AdamStep step;
  step.beta2 = static_cast<float>(settings.beta2);
  step.one_minus_beta2 = static_cast<float>(1.0 - settings.beta2);
  step.one_minus_beta1 = static_cast<float>(1.0 - settings.beta1);
  step.lr = static_cast<float>(lr * root / (1.0 - beta1_power));
  step.eps = static_cast<float>(settings.adam_eps * root);
  return step;
}

// The same in every lane. Passes keep it in locals: the compiler must assume that a store of a
// vector changes anything else.
struct AdamLanes {
  Lanes beta2;
  Lanes one_minus_beta2;
  Lanes one_minus_beta1;
  Lanes minus_lr;
  Lanes eps;
};

INSTEP_LANE AdamLanes in_lanes(const AdamStep& adam) {
  return {set(adam.beta2), set(adam.one_minus_beta2), set(adam.one_minus_beta1), set(-adam.lr),
          set(adam.eps)};
}

// What one vector of outputs needs: its gradient factor d, squared and scaled beforehand.
struct OutputFactor {
  Lanes d;         // with a first moment
  Lanes d_square;  // (1 - beta2) d^2
  Lanes d_step;    // -lr * d, without a first moment
};

INSTEP_LANE OutputFactor output_factor(const AdamLanes& adam, const Lanes& d) {
  return {d, adam.one_minus_beta2 * (d * d), adam.minus_lr * d};
}

// Adam for 16 weights whose gradient is factor.d * x. First half: updates the second moment in
// place and returns what the step is divided by.
INSTEP_LANE Lanes adam_denominator(const AdamLanes& adam, const OutputFactor& factor,
                                   const Lanes& x_square, float* second) {
  const Lanes v = multiply_add(factor.d_square, x_square, adam.beta2 * load(second));
  store(second, v);
  return square_root(v) + adam.eps;
}

// Second half: updates the first moment, where there is one, and returns the new weights.
template <bool kMoment>
INSTEP_LANE Lanes adam_step(const AdamLanes& adam, const OutputFactor& factor, const Lanes& x,
                            const Lanes& denominator, const Lanes& weight, float* first) {
  if constexpr (kMoment) {
    const Lanes m_old = load(first);
    const Lanes m = multiply_add(factor.d * x - m_old, adam.one_minus_beta1, m_old);
    store(first, m);
    return add_quotient(adam.minus_lr * m, denominator, weight);
  } else {
    return add_quotient(factor.d_step * x, denominator, weight);
  }
}

template <bool kMoment>
INSTEP_LANE Lanes adam_update(const AdamLanes& adam, const OutputFactor& factor, const Lanes& x,
                              const Lanes& x_square, const Lanes& weight, float* second,
                              float* first) {
  const Lanes denominator = adam_denominator(adam, factor, x_square, second);
  return adam_step<kMoment>(adam, factor, x, denominator, weight, first);
}

// ---------------------------------------------------------------------------------------------------
// One network: forward, update, and both at once

// The arrays of one network and what a pass does with them. Tapes are null where they are not used.
struct Pass {
  const NetworkLayout* network = nullptr;
  const TapeLayout* tape = nullptr;
  int hidden_dim = 0;
  float leaky_slope = 0.0F;
  bool feature_norm = true;
  const float* weights = nullptr;  // before the step
  float* new_weights = nullptr;    // after it; may be the same array
  float* second = nullptr;
  float* first = nullptr;
  const float* gradient = nullptr;  // tape whose factors step the weights
  float gradient_scale = 1.0F;
  AdamStep adam;
  float* old_forward = nullptr;  // tapes to fill: forward with the weights before,
  float* new_forward = nullptr;  // and after the step. Their inputs are set by the caller.
};

// One hidden layer within a pass: where its arrays begin.
struct HiddenLayer {
  int inputs = 0;
  std::size_t weights = 0;
  std::size_t bias = 0;
  std::size_t d = 0;  // offsets in a tape
  std::size_t input = 0;
  std::size_t output = 0;
};

template <bool kOld, bool kUpdate, bool kNew, bool kMoment>
void hidden_block(const Pass& pass, const HiddenLayer& layer, int block) {
  const auto inputs = static_cast<std::size_t>(layer.inputs);
  const std::size_t first_output = static_cast<std::size_t>(block) * kOutputBlock;
  const AdamLanes adam = in_lanes(pass.adam);
  const Lanes scale = set(pass.gradient_scale);
  const Lanes one = set(1.0F);
  Lanes old_sum[kGroups];
  Lanes new_sum[kGroups];
  OutputFactor factor[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    const std::size_t bias = layer.bias + first_output + static_cast<std::size_t>(g * kLanes);
    const Lanes old_bias = load(pass.weights + bias);
    Lanes new_bias = old_bias;
    if constexpr (kUpdate) {
      const std::size_t d = layer.d + first_output + static_cast<std::size_t>(g * kLanes);
      factor[g] = output_factor(adam, scale * load(pass.gradient + d));
      new_bias = adam_update<kMoment>(adam, factor[g], one, one, old_bias, pass.second + bias,
                                      kMoment ? pass.first + bias : nullptr);
      store(pass.new_weights + bias, new_bias);
    }
    if constexpr (kOld) old_sum[g] = old_bias;
    if constexpr (kNew) new_sum[g] = new_bias;
  }

  const std::size_t block_weights = layer.weights + first_output * inputs;
  const float* const weights = pass.weights + block_weights;
  float* const new_weights = kUpdate ? pass.new_weights + block_weights : nullptr;
  float* const second = kUpdate ? pass.second + block_weights : nullptr;
  float* const first = kMoment ? pass.first + block_weights : nullptr;
  const float* const gradient_input = kUpdate ? pass.gradient + layer.input : nullptr;
  const float* const old_input = kOld ? pass.old_forward + layer.input : nullptr;
  const float* const new_input = kNew ? pass.new_forward + layer.input : nullptr;
  const auto offset = [](std::size_t j, int g) INSTEP_LANE_LAMBDA {
    return j * kOutputBlock + static_cast<std::size_t>(g * kLanes);
  };
  const auto begin_input = [&](std::size_t j, Lanes* denominator) INSTEP_LANE_LAMBDA {
    if constexpr (kUpdate) {
      const Lanes x = set(gradient_input[j]);
      const Lanes x_square = x * x;
      for (int g = 0; g < kGroups; ++g) {
        denominator[g] = adam_denominator(adam, factor[g], x_square, second + offset(j, g));
      }
    }
  };
  const auto finish_input = [&](std::size_t j, const Lanes* denominator) INSTEP_LANE_LAMBDA {
    const Lanes x = kUpdate ? set(gradient_input[j]) : one;
    const Lanes old_x = kOld ? set(old_input[j]) : one;
    const Lanes new_x = kNew ? set(new_input[j]) : one;
    for (int g = 0; g < kGroups; ++g) {
      Lanes weight = load(weights + offset(j, g));
      if constexpr (kOld) old_sum[g] = multiply_add(weight, old_x, old_sum[g]);
      if constexpr (kUpdate) {
        weight = adam_step<kMoment>(adam, factor[g], x, denominator[g], weight,
                                    kMoment ? first + offset(j, g) : nullptr);
        store(new_weights + offset(j, g), weight);
      }
      if constexpr (kNew) new_sum[g] = multiply_add(weight, new_x, new_sum[g]);
    }
  };
  // Square roots are begun one input ahead: operations that wait for one would fill the processor's
  // queues and keep it from reaching the next.
  Lanes denominator[kGroups];
  begin_input(0, denominator);
  for (std::size_t j = 0; j + 1 < inputs; ++j) {
    Lanes next[kGroups];
    begin_input(j + 1, next);
    finish_input(j, denominator);
    for (int g = 0; g < kGroups; ++g) denominator[g] = next[g];
  }
  finish_input(inputs - 1, denominator);

  const Lanes slope = set(pass.leaky_slope);
  for (int g = 0; g < kGroups; ++g) {
    const std::size_t output = layer.output + first_output + static_cast<std::size_t>(g * kLanes);
    if constexpr (kOld) {
      store(pass.old_forward + output, where_positive(old_sum[g], old_sum[g], slope * old_sum[g]));
    }
    if constexpr (kNew) {
      store(pass.new_forward + output, where_positive(new_sum[g], new_sum[g], slope * new_sum[g]));
    }
  }
}

// Divides the second layer's output by its Euclidean length. A length of 0 makes it NaN, which
// every later test takes for what it is.
void normalize_feature(const Pass& pass, float* tape) {
  float inverse = 1.0F;
  float* feature = tape + pass.tape->feature;
  if (pass.feature_norm) {
    Lanes sum = set(0.0F);
    for (int i = 0; i < pass.network->width; i += kLanes) {
      const Lanes h = load(feature + i);
      sum = multiply_add(h, h, sum);
    }
    inverse = 1.0F / float_sqrt(sum_lanes(sum));
    for (int i = 0; i < pass.network->width; i += kLanes) {
      store(feature + i, load(feature + i) * set(inverse));
    }
  }
  tape[pass.tape->scalars + kInverseNorm] = inverse;
}

// The linear outputs: a dot product a row, each row updated by its own d.
template <bool kOld, bool kUpdate, bool kNew, bool kMoment>
void head_rows(const Pass& pass) {
  const NetworkLayout& network = *pass.network;
  const TapeLayout& tape = *pass.tape;
  const AdamLanes adam = in_lanes(pass.adam);
  for (int row = 0; row < network.rows; ++row) {
    const auto r = static_cast<std::size_t>(row);
    OutputFactor factor;
    if constexpr (kUpdate) {
      factor = output_factor(adam, set(pass.gradient_scale * pass.gradient[tape.d_head + r]));
    }
    Lanes old_sum = set(0.0F);
    Lanes new_sum = set(0.0F);
    for (int i = 0; i < network.width; i += kLanes) {
      const auto lane = static_cast<std::size_t>(i);
      const std::size_t at = network.w_head + r * static_cast<std::size_t>(network.width) + lane;
      Lanes weight = load(pass.weights + at);
      if constexpr (kOld) {
        old_sum = multiply_add(weight, load(pass.old_forward + tape.feature + lane), old_sum);
      }
      if constexpr (kUpdate) {
        const Lanes x = load(pass.gradient + tape.feature + lane);
        weight = adam_update<kMoment>(adam, factor, x, x * x, weight, pass.second + at,
                                      kMoment ? pass.first + at : nullptr);
        store(pass.new_weights + at, weight);
      }
      if constexpr (kNew) {
        new_sum = multiply_add(weight, load(pass.new_forward + tape.feature + lane), new_sum);
      }
    }
    if constexpr (kOld) pass.old_forward[tape.head + r] = sum_lanes(old_sum);
    if constexpr (kNew) pass.new_forward[tape.head + r] = sum_lanes(new_sum);
  }
  const Lanes one = set(1.0F);
  for (int row = 0; row < network.rows; row += kLanes) {
    const auto r = static_cast<std::size_t>(row);
    const std::size_t at = network.b_head + r;
    Lanes bias = load(pass.weights + at);
    if constexpr (kOld) {
      store(pass.old_forward + tape.head + r, load(pass.old_forward + tape.head + r) + bias);
    }
    if constexpr (kUpdate) {
      const Lanes d = set(pass.gradient_scale) * load(pass.gradient + tape.d_head + r);
      bias = adam_update<kMoment>(adam, output_factor(adam, d), one, one, bias, pass.second + at,
                                  kMoment ? pass.first + at : nullptr);
      store(pass.new_weights + at, bias);
    }
    if constexpr (kNew) {
      store(pass.new_forward + tape.head + r, load(pass.new_forward + tape.head + r) + bias);
    }
  }
}

template <bool kOld, bool kUpdate, bool kNew, bool kMoment>
void run_pass(const Pass& pass) {
  const NetworkLayout& network = *pass.network;
  const TapeLayout& tape = *pass.tape;
  const HiddenLayer layers[2] = {
      {network.inputs, network.w1, network.b1, tape.d_hidden1, tape.input, tape.hidden1},
      {pass.hidden_dim, network.w2, network.b2, tape.d_hidden2, tape.hidden1, tape.feature}};
  for (const HiddenLayer& layer : layers) {
    for (int block = 0; block < network.width / kOutputBlock; ++block) {
      hidden_block<kOld, kUpdate, kNew, kMoment>(pass, layer, block);
    }
  }
  if constexpr (kOld) normalize_feature(pass, pass.old_forward);
  if constexpr (kNew) normalize_feature(pass, pass.new_forward);
  head_rows<kOld, kUpdate, kNew, kMoment>(pass);
}

template <bool kOld, bool kUpdate, bool kNew>
void run_pass(const Pass& pass) {
  if (kUpdate && pass.first != nullptr) {
    run_pass<kOld, kUpdate, kNew, true>(pass);
  } else {
    run_pass<kOld, kUpdate, kNew, false>(pass);
  }
}

// ---------------------------------------------------------------------------------------------------
// Backward

// A transposed_product of four blocks of outputs, the usual width, where a vector is one register:
// the factors of all blocks stay in registers, and no sum goes to memory. The same bits.
void transposed_product_of_four(const float* weights, int inputs, const float* d, float* out) {
  constexpr int kBlocks = 4;
  const std::size_t block_floats = static_cast<std::size_t>(inputs) * kOutputBlock;
  Lanes factor[kBlocks * kGroups];
  for (int i = 0; i < kBlocks * kGroups; ++i) factor[i] = load(d + i * kLanes);
  for (int j = 0; j < inputs; j += kLanes) {
    const int count = inputs - j < kLanes ? inputs - j : kLanes;
    Lanes sixteen[kLanes];
    for (int c = count; c < kLanes; ++c) sixteen[c] = set(0.0F);
    for (int c = 0; c < count; ++c, weights += kOutputBlock) {
      Lanes sum = set(0.0F);
      for (std::size_t block = 0; block < kBlocks; ++block) {
        for (int g = 0; g < kGroups; ++g) {
          sum = multiply_add(load(weights + block * block_floats + g * kLanes),
                             factor[block * kGroups + g], sum);
        }
      }
      sixteen[c] = sum;
    }
    store(out + j, sum_lanes_each(sixteen));
  }
}

// out[j] = sum over i of weight(i, j) * d[i]: the gradient of a hidden layer's `inputs` inputs by
// that of its `width` outputs. Overwrites out as far as whole vectors go.
void transposed_product(const float* weights, int inputs, int width, const float* d, float* out) {
  if (kParts == 1 && width == 4 * kOutputBlock) {
    transposed_product_of_four(weights, inputs, d, out);
    return;
  }
  // The weights are read as they lie in memory, which is what the processor's prefetchers see
  // through; the sums, one vector for each input, are small enough for the nearest cache.
  alignas(64) float sums[kHiddenDimMax * kLanes];
  for (int j = 0; j < (inputs + kLanes - 1) / kLanes * kLanes; ++j) {
    store(sums + j * kLanes, set(0.0F));
  }
  for (int i = 0; i < width; i += kOutputBlock) {
    Lanes factor[kGroups];
    for (int g = 0; g < kGroups; ++g) factor[g] = load(d + i + g * kLanes);
    for (int j = 0; j < inputs; ++j, weights += kOutputBlock) {
      Lanes sum = load(sums + j * kLanes);
      for (int g = 0; g < kGroups; ++g) {
        sum = multiply_add(load(weights + g * kLanes), factor[g], sum);
      }
      store(sums + j * kLanes, sum);
    }
  }
  for (int j = 0; j < inputs; j += kLanes) {
    Lanes sixteen[kLanes];
    for (int c = 0; c < kLanes; ++c) sixteen[c] = load(sums + (j + c) * kLanes);
    store(out + j, sum_lanes_each(sixteen));
  }
}

// From the gradient of the features (in `d_feature`, [width], overwritten) to those of both hidden
// layers, which go to the tape.
void backward(const Pass& pass, float* tape_data, float* d_feature) {
  const NetworkLayout& network = *pass.network;
  const TapeLayout& tape = *pass.tape;
  const float* feature = tape_data + tape.feature;
  float* d_hidden2 = tape_data + tape.d_hidden2;
  const Lanes slope = set(pass.leaky_slope);

  // Jacobian of h / |h|: the part of the gradient along the feature does nothing.
  Lanes along = set(0.0F);
  if (pass.feature_norm) {
    for (int i = 0; i < network.width; i += kLanes) {
      along = multiply_add(load(feature + i), load(d_feature + i), along);
    }
  }
  const Lanes projection = set(sum_lanes(along));
  const Lanes inverse = set(tape_data[tape.scalars + kInverseNorm]);
  for (int i = 0; i < network.width; i += kLanes) {
    const Lanes f = load(feature + i);
    const Lanes d = (load(d_feature + i) - f * projection) * inverse;
    store(d_hidden2 + i, where_positive(f, d, slope * d));
  }

  float* d_hidden1 = tape_data + tape.d_hidden1;
  transposed_product(pass.weights + network.w2, pass.hidden_dim, network.width, d_hidden2,
                     d_hidden1);
  const float* hidden1 = tape_data + tape.hidden1;
  for (int j = 0; j < network.width; j += kLanes) {
    const Lanes d = load(d_hidden1 + j);
    store(d_hidden1 + j, where_positive(load(hidden1 + j), d, slope * d));
  }
}

// The largest magnitude among `count` floats (padded with zeros to whole vectors), or infinity when
// any is not finite.
float largest(const float* values, int count) {
  Lanes maximum = set(0.0F);
  Lanes spoiled = set(0.0F);
  for (int i = 0; i < count; i += kLanes) {
    const Lanes v = load(values + i);
    maximum = larger(maximum, larger(v, set(0.0F) - v));
    spoiled = spoiled + (v - v);  // 0 for finite numbers, NaN otherwise
  }
  if (sum_lanes(spoiled) != 0.0F) return __builtin_inff();
  return largest_lane(maximum);
}

// Whether an update by this tape's factors keeps every number finite: tested on the rank-1 factors,
// before anything is touched.
bool is_update_finite(const Pass& pass) {
  const NetworkLayout& network = *pass.network;
  const TapeLayout& tape = *pass.tape;
  const float* t = pass.gradient;
  const float scale = pass.gradient_scale < 0.0F ? -pass.gradient_scale : pass.gradient_scale;
  const float d[3] = {largest(t + tape.d_hidden1, network.width),
                      largest(t + tape.d_hidden2, network.width),
                      largest(t + tape.d_head, network.rows)};
  const float x[3] = {largest(t + tape.input, network.inputs),
                      largest(t + tape.hidden1, network.width),
                      largest(t + tape.feature, network.width)};
  for (int layer = 0; layer < 3; ++layer) {
    const float factor = scale * d[layer];
    const float input = x[layer] > 1.0F ? x[layer] : 1.0F;  // a bias has input 1
    if (!(factor < kLargestFactor && input < kLargestFactor && factor * input < kLargestFactor)) {
      return false;
    }
  }
  return true;
}

// ---------------------------------------------------------------------------------------------------
// The two networks as passes

Pass make_pass(const Learner& learner, const NetworkLayout& network, const TapeLayout& tape) {
  Pass pass;
  pass.network = &network;
  pass.tape = &tape;
  pass.hidden_dim = learner.layout.shape.hidden_dim;
  pass.leaky_slope = learner.settings.leaky_slope;
  pass.feature_norm = learner.settings.feature_norm;
  return pass;
}

// The actor with the weights of one buffer; an update goes to the other.
Pass actor_pass(const Learner& learner, std::uint32_t buffer) {
  const Layout& layout = learner.layout;
  Pass pass = make_pass(learner, layout.actor, layout.actor_tape);
  pass.weights = learner.floats(layout.actor_weights[buffer]);
  pass.new_weights = learner.floats(layout.actor_weights[1 - buffer]);
  pass.second = learner.floats(layout.actor_second);
  pass.first = layout.has_first_moments ? learner.floats(layout.actor_first) : nullptr;
  return pass;
}

Pass critic_pass(const Learner& learner) {
  const Layout& layout = learner.layout;
  Pass pass = make_pass(learner, layout.critic, layout.critic_tape);
  pass.weights = learner.floats(layout.critic_weights);
  pass.new_weights = learner.floats(layout.critic_weights);
  pass.second = learner.floats(layout.critic_second);
  pass.first = layout.has_first_moments ? learner.floats(layout.critic_first) : nullptr;
  return pass;
}

void copy_floats(float* out, const float* in, int count) {
  for (int i = 0; i < count; ++i) out[i] = in[i];
}

// Writes the critic's input, the observation and for AVG the action, to a critic tape.
void set_critic_input(const Learner& learner, float* critic_tape, const float* observation,
                      const float* action) {
  const Shape& shape = learner.layout.shape;
  float* input = critic_tape + learner.layout.critic_tape.input;
  copy_floats(input, observation, shape.observation_dim);
  if (learner.layout.algorithm == Algorithm::kAvg) {
    copy_floats(input + shape.observation_dim, action, shape.action_dim);
  }
}

// Draws the squashed Gaussian action from a tape's head outputs and the given noise. The
// log-variance head is what the reference calls log_std: it passes exp() of it as a covariance.
void sample_action(const Learner& learner, float* tape_data, const float* noise) {
  const TapeLayout& tape = learner.layout.actor_tape;
  const LearnerSettings& settings = learner.settings;
  const int m = learner.layout.shape.action_dim;
  constexpr double kLog2 = 0.69314718055994530942;
  constexpr double kLog2Pi = 1.83787706640934548356;
  constexpr int kBatch = 8;  // as many dimensions at once as there are doubles in a wide vector
  double log_prob = -0.5 * kLog2Pi * m;
  double entropy = 0.5 * (1.0 + kLog2Pi) * m;
  for (int first = 0; first < m; first += kBatch) {
    const int count = m - first < kBatch ? m - first : kBatch;
    const auto start = static_cast<std::size_t>(first);
    float mean[kBatch] = {};
    float log_variance[kBatch] = {};
    float e[kBatch] = {};
    copy_floats(mean, tape_data + tape.head + start, count);
    copy_floats(log_variance, tape_data + tape.head + start + static_cast<std::size_t>(m), count);
    copy_floats(e, noise + first, count);
    float std_dev[kBatch];
    float pre[kBatch];
    float action[kBatch];
    double log_prob_part[kBatch];
    for (float& l : log_variance) {
      l = l < settings.log_variance_min ? settings.log_variance_min : l;
      l = l > settings.log_variance_max ? settings.log_variance_max : l;
    }
    for (int i = 0; i < kBatch; ++i) std_dev[i] = exp_float(0.5F * log_variance[i]);
    for (int i = 0; i < kBatch; ++i) pre[i] = mean[i] + std_dev[i] * e[i];
    for (int i = 0; i < kBatch; ++i) action[i] = tanh_float(pre[i]);
    for (int i = 0; i < kBatch; ++i) {
      const auto draw = static_cast<double>(e[i]);
      const auto u = static_cast<double>(pre[i]);
      const auto l = static_cast<double>(log_variance[i]);
      log_prob_part[i] = -0.5 * (draw * draw + l) - 2.0 * (kLog2 - u - softplus_double(-2.0 * u));
    }
    for (int i = 0; i < count; ++i) {
      log_prob += log_prob_part[i];
      entropy += 0.5 * static_cast<double>(log_variance[i]);
    }
    copy_floats(tape_data + tape.noise + start, e, count);
    copy_floats(tape_data + tape.log_variance + start, log_variance, count);
    copy_floats(tape_data + tape.std_dev + start, std_dev, count);
    copy_floats(tape_data + tape.action_pre + start, pre, count);
    copy_floats(tape_data + tape.action + start, action, count);
  }
  tape_data[tape.scalars + kLogProb] = static_cast<float>(log_prob);
  tape_data[tape.scalars + kEntropy] = static_cast<float>(entropy);
}

// ---------------------------------------------------------------------------------------------------
// Statistics

// Gymnasium's NormalizeObservation: the sample enters the running mean and variance
// (parallel-variance update with a batch of one) before it is normalised by them. With a horizon
// the count stops growing, so that old samples fade.
void normalize(const Learner& learner, const double* observation, float* out) {
  const LearnerSettings& settings = learner.settings;
  LearnerState& state = learner.state();
  const int n = learner.layout.shape.observation_dim;
  if (!settings.observation_norm) {
    for (int i = 0; i < n; ++i) out[i] = static_cast<float>(observation[i]);
    return;
  }
  double* mean = learner.doubles(learner.layout.normalizer_mean);
  double* variance = learner.doubles(learner.layout.normalizer_variance);
  const double count = state.normalizer_count;
  const double total = count + 1.0;
  for (int i = 0; i < n; ++i) {
    const double delta = observation[i] - mean[i];
    const double sum_squares = variance[i] * count + delta * delta * count / total;
    mean[i] += delta / total;
    variance[i] = sum_squares / total;
    out[i] = static_cast<float>((observation[i] - mean[i]) / double_sqrt(variance[i] + 1e-8));
  }
  const auto horizon = static_cast<double>(settings.observation_norm_horizon);
  state.normalizer_count = horizon > 0.0 && total > horizon ? horizon : total;
}

void push(Moments& moments, double x) {
  moments.count += 1.0;
  const double delta = x - moments.mean;
  moments.mean += delta / moments.count;
  moments.sum_squares += delta * (x - moments.mean);
}

double population_variance(const Moments& moments) {
  return moments.count > 0.0 ? moments.sum_squares / moments.count : 0.0;
}

// Scale of the TD error after Schaul et al. 2021 (arXiv 2105.05347), with the reference's floors.
// The sample is pushed before the scale is read.
double update_td_error_scale(const Learner& learner, double reward_stat, bool terminated,
                             bool truncated) {
  LearnerState& state = learner.state();
  const LearnerSettings& settings = learner.settings;
  const bool ends_return =
      terminated || (truncated && settings.truncation_return == TruncationReturn::kPush);
  state.reward_stat = reward_stat;
  state.return_before_clear = state.running_return;
  if (ends_return) {
    push(state.return_square_moments, state.running_return * state.running_return);
    push(state.return_moments, state.running_return);
    state.running_return = 0.0;
  }
  push(state.reward_moments, reward_stat);
  push(state.discount_moments, ends_return ? 0.0 : settings.discount);

  double variance = population_variance(state.reward_moments) +
                    population_variance(state.discount_moments) * state.return_square_moments.mean;
  if (variance < 1e-4) variance = 1e-4;
  const bool is_start = variance <= 0.01 && state.return_square_moments.count == 0.0;
  state.td_error_scale = is_start ? 1.0 : double_sqrt(variance);
  return settings.td_error_scaling ? state.td_error_scale : 1.0;
}

// AVG's reward statistics and return take a reward and the log probability of the action it
// followed. Answers what the TD error is divided by.
double take_reward(const Learner& learner, double reward, float log_prob, bool terminated,
                   bool truncated) {
  const double reward_stat = reward - learner.settings.entropy_coef * static_cast<double>(log_prob);
  learner.state().running_return += reward_stat;
  return update_td_error_scale(learner, reward_stat, terminated, truncated);
}

void account(const Learner& learner, double reward, float log_prob, bool terminated,
             bool truncated) {
  INSTEP_CHECK(learner.layout.algorithm == Algorithm::kAvg);
  take_reward(learner, reward, log_prob, terminated, truncated);
}

// ---------------------------------------------------------------------------------------------------
// The steps of a tick

// Makes the buffer that nobody needs after a dropped or finished update a copy of the newest
// weights, so that what stands in it does not tell the schedules apart.
void copy_newest_actor(const Learner& learner) {
  const Layout& layout = learner.layout;
  const std::uint32_t newest = learner.state().actor_newest;
  copy_floats(learner.floats(layout.actor_weights[1 - newest]),
              learner.floats(layout.actor_weights[newest]), static_cast<int>(layout.actor.floats));
}

// With no update under way: brings the newest weights home, to buffer (number of updates) % 2.
// There they are by themselves when every update goes to the other buffer.
void bring_actor_home(const Learner& learner) {
  LearnerState& state = learner.state();
  const auto home = static_cast<std::uint32_t>(state.actor_updates % 2);
  if (state.actor_newest == home) return;
  copy_newest_actor(learner);
  state.actor_acted = state.actor_newest = home;
}

// Where an actor update goes. Into the other buffer: the weights that acted stay. In place, which
// costs less memory traffic: for a pass that evaluates them at the same time.
enum class Destination { kOtherBuffer, kInPlace };

// The pass of a pending or immediate actor update from `gradient_tape`: reads the weights that
// acted. Answers false, and counts, when the update must be dropped.
bool begin_actor_update(const Learner& learner, const float* gradient_tape, Destination destination,
                        Pass& pass) {
  LearnerState& state = learner.state();
  pass = actor_pass(learner, state.actor_acted);
  pass.gradient = gradient_tape;
  if (!is_update_finite(pass)) {
    ++state.actor_updates_dropped;
    return false;
  }
  pass.adam = advance_adam(learner.settings, learner.settings.actor_lr, state.actor_updates,
                           state.actor_beta1_power, state.actor_beta2_power);
  if (destination == Destination::kInPlace) {
    pass.new_weights = learner.floats(learner.layout.actor_weights[state.actor_acted]);
  } else {
    state.actor_newest = 1 - state.actor_acted;
  }
  return true;
}

// Step 7 by itself, from the tape whose factors are ready.
void update_actor(const Learner& learner, const float* gradient_tape) {
  Pass pass;
  if (begin_actor_update(learner, gradient_tape, Destination::kOtherBuffer, pass)) {
    run_pass<false, true, false>(pass);
  } else {
    copy_newest_actor(learner);
  }
}

// Gives the scratch tape of actor(old) the newest observation.
float* old_actor_tape(const Learner& learner) {
  float* tape = learner.floats(learner.layout.actor_tapes[2]);
  const std::size_t input = learner.layout.actor_tape.input;
  copy_floats(tape + input, learner.newest_actor_tape() + input,
              learner.layout.shape.observation_dim);
  return tape;
}

void observe(const Learner& learner, const double* observation) {
  LearnerState& state = learner.state();
  normalize(learner, observation, learner.newest_actor_tape() + learner.layout.actor_tape.input);
  state.has_action = 0;
  state.has_old_forward = 0;
  state.has_critic_forward = 0;
}

void act(const Learner& learner, const float* noise) {
  LearnerState& state = learner.state();
  float* tape = learner.newest_actor_tape();
  Pass pass;
  if (state.has_pending_actor_update != 0) {
    state.has_pending_actor_update = 0;
    if (begin_actor_update(learner, learner.open_actor_tape(), Destination::kInPlace, pass)) {
      pass.new_forward = tape;
      pass.old_forward = old_actor_tape(learner);
      run_pass<true, true, true>(pass);
      state.has_old_forward = 1;
      sample_action(learner, tape, noise);
      state.has_action = 1;
      return;
    }
  }
  pass = actor_pass(learner, state.actor_newest);
  pass.new_forward = tape;
  run_pass<false, false, true>(pass);
  sample_action(learner, tape, noise);
  state.has_action = 1;
}

void act_apart(const Learner& learner, std::uint32_t buffer, float* tape, const float* noise) {
  Pass pass = actor_pass(learner, buffer);
  pass.new_forward = tape;
  run_pass<false, false, true>(pass);
  sample_action(learner, tape, noise);
}

// Steps the critic by the open transition's stored gradient and, when the successor's (s', A') is
// already known, evaluates it there with the new weights (step 5).
void update_critic(const Learner& learner, float divisor, bool evaluate_next) {
  LearnerState& state = learner.state();
  Pass pass = critic_pass(learner);
  pass.gradient = learner.open_critic_tape();
  pass.gradient_scale = kCriticLossSlope * state.td_error / divisor;
  pass.new_forward = learner.newest_critic_tape();
  const bool finite = is_update_finite(pass);
  if (finite) {
    pass.adam = advance_adam(learner.settings, learner.settings.critic_lr, state.critic_updates,
                             state.critic_beta1_power, state.critic_beta2_power);
  } else {
    ++state.critic_updates_dropped;
  }
  if (evaluate_next) {
    if (finite) {
      run_pass<false, true, true>(pass);
    } else {
      run_pass<false, false, true>(pass);
    }
    state.has_critic_forward = 1;
  } else if (finite) {
    run_pass<false, true, false>(pass);
  }
}

void learn_avg(const Learner& learner, double reward, bool terminated, bool truncated,
               const float* next_noise) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  const LearnerSettings& settings = learner.settings;

  // 3: the target's own action, by the actor that acted.
  float* old_tape = learner.floats(layout.actor_tapes[2]);
  if (state.has_old_forward == 0) {
    old_tape = old_actor_tape(learner);
    Pass pass;
    if (state.has_pending_actor_update != 0) bring_actor_home(learner);
    if (state.has_pending_actor_update != 0 &&
        begin_actor_update(learner, learner.open_actor_tape(), Destination::kOtherBuffer, pass)) {
      pass.old_forward = old_tape;
      run_pass<true, true, false>(pass);
    } else {
      pass = actor_pass(learner, state.actor_acted);
      pass.new_forward = old_tape;
      run_pass<false, false, true>(pass);
    }
    state.has_pending_actor_update = 0;
  }
  sample_action(learner, old_tape, next_noise);
  state.next_log_prob = old_tape[layout.actor_tape.scalars + kLogProb];

  // 4: the target.
  float* next_tape = learner.floats(layout.critic_tapes[2]);
  set_critic_input(learner, next_tape, old_tape + layout.actor_tape.input,
                   old_tape + layout.actor_tape.action);
  Pass next = critic_pass(learner);
  next.new_forward = next_tape;
  run_pass<false, false, true>(next);
  state.q_next = next_tape[layout.critic_tape.head];

  const float log_prob = learner.open_actor_tape()[layout.actor_tape.scalars + kLogProb];
  const auto divisor =
      static_cast<float>(take_reward(learner, reward, log_prob, terminated, truncated));
  const float q = learner.open_critic_tape()[layout.critic_tape.head];
  const float bootstrap = terminated ? 0.0F : static_cast<float>(settings.discount);
  const float soft_value =
      state.q_next - static_cast<float>(settings.entropy_coef) * state.next_log_prob;
  state.td_error = (static_cast<float>(reward) + bootstrap * soft_value - q) / divisor;
  state.critic_loss = state.td_error * state.td_error;

  // 5
  const bool evaluate_next = state.has_action != 0;
  if (evaluate_next) {
    const float* newest = learner.newest_actor_tape();
    set_critic_input(learner, learner.newest_critic_tape(), newest + layout.actor_tape.input,
                     newest + layout.actor_tape.action);
  }
  update_critic(learner, divisor, evaluate_next);
}

// The gradient of the features from that of the head's outputs: sum over rows of d_head * weights.
void head_backward(const Pass& pass, const float* tape_data, float* d_feature) {
  const NetworkLayout& network = *pass.network;
  for (int i = 0; i < network.width; i += kLanes) {
    Lanes sum = set(0.0F);
    for (int row = 0; row < network.rows; ++row) {
      const auto r = static_cast<std::size_t>(row);
      const float* weights =
          pass.weights + network.w_head + r * static_cast<std::size_t>(network.width);
      sum = multiply_add(set(tape_data[pass.tape->d_head + r]), load(weights + i), sum);
    }
    store(d_feature + i, sum);
  }
}

// Sets the actor's head gradients from d(loss)/d(mean) and d(loss)/d(log variance) of one action;
// the clamp is flat outside its bounds.
void set_actor_head_gradient(const Learner& learner, float* tape_data, int i, float d_mean,
                             float d_log_variance) {
  const TapeLayout& tape = learner.layout.actor_tape;
  const int m = learner.layout.shape.action_dim;
  const float raw = tape_data[tape.head + static_cast<std::size_t>(m + i)];
  const bool inside =
      raw >= learner.settings.log_variance_min && raw <= learner.settings.log_variance_max;
  tape_data[tape.d_head + static_cast<std::size_t>(i)] = d_mean;
  tape_data[tape.d_head + static_cast<std::size_t>(m + i)] = inside ? d_log_variance : 0.0F;
}

// Backward through the actor by the weights of one buffer, from the head gradients in its tape.
void backward_actor(const Learner& learner, float* tape_data, std::uint32_t buffer) {
  const Pass pass = actor_pass(learner, buffer);
  float* d_feature = learner.floats(learner.layout.scratch);
  head_backward(pass, tape_data, d_feature);
  backward(pass, tape_data, d_feature);
}

void learn_iac(const Learner& learner, double reward, bool terminated, bool truncated) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  const LearnerSettings& settings = learner.settings;
  const TapeLayout& tape = layout.actor_tape;

  float* next_tape = learner.floats(layout.critic_tapes[2]);
  set_critic_input(learner, next_tape, learner.newest_actor_tape() + tape.input, nullptr);
  Pass next = critic_pass(learner);
  next.new_forward = next_tape;
  run_pass<false, false, true>(next);
  state.q_next = next_tape[layout.critic_tape.head];

  // IAC's G is a discounted trace of plain rewards.
  state.running_return = settings.discount * state.running_return + reward;
  const auto divisor =
      static_cast<float>(update_td_error_scale(learner, reward, terminated, truncated));
  const float value = learner.open_critic_tape()[layout.critic_tape.head];
  const float bootstrap = terminated ? 0.0F : static_cast<float>(settings.discount);
  state.td_error = (static_cast<float>(reward) + bootstrap * state.q_next - value) / divisor;
  state.critic_loss = state.td_error * state.td_error;

  // Score-function gradient of -(log pi * td_error + entropy_coef * entropy); the draw is a
  // constant.
  float* open = learner.open_actor_tape();
  const auto entropy_coef = static_cast<float>(settings.entropy_coef);
  for (int i = 0; i < layout.shape.action_dim; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float e = open[tape.noise + at];
    const float d_mean = -state.td_error * e / open[tape.std_dev + at];
    const float d_log_variance = -0.5F * state.td_error * (e * e - 1.0F) - 0.5F * entropy_coef;
    set_actor_head_gradient(learner, open, i, d_mean, d_log_variance);
  }
  open[tape.scalars + kActorLoss] = -(open[tape.scalars + kLogProb] * state.td_error +
                                      entropy_coef * open[tape.scalars + kEntropy]);
  backward_actor(learner, open, state.actor_acted);
  update_actor(learner, open);

  set_critic_input(learner, learner.newest_critic_tape(), learner.newest_actor_tape() + tape.input,
                   nullptr);
  update_critic(learner, divisor, true);
}

void learn(const Learner& learner, double reward, bool terminated, bool truncated,
           const float* next_noise) {
  INSTEP_CHECK(learner.state().is_open != 0);
  if (learner.layout.algorithm == Algorithm::kAvg) {
    learn_avg(learner, reward, terminated, truncated, next_noise);
  } else {
    learn_iac(learner, reward, terminated, truncated);
  }
  learner.state().is_open = 0;
  learner.state().has_old_forward = 0;  // used up; prepare() does not follow a refused action
}

// Step 6: the gradient of the critic's output itself (not yet of a loss), and for AVG of its
// action.
void backward_critic(const Learner& learner, float* tape_data) {
  const Layout& layout = learner.layout;
  const TapeLayout& tape = layout.critic_tape;
  const Pass pass = critic_pass(learner);
  float* d_feature = learner.floats(layout.scratch);
  tape_data[tape.d_head] = 1.0F;
  copy_floats(d_feature, pass.weights + layout.critic.w_head, layout.critic.width);
  backward(pass, tape_data, d_feature);
  if (layout.algorithm != Algorithm::kAvg) return;

  const float* d_hidden1 = tape_data + tape.d_hidden1;
  const std::size_t block_floats = static_cast<std::size_t>(layout.critic.inputs) * kOutputBlock;
  for (int a = 0; a < layout.shape.action_dim; ++a) {
    const float* column = pass.weights + layout.critic.w1 +
                          static_cast<std::size_t>(layout.shape.observation_dim + a) * kOutputBlock;
    Lanes sum = set(0.0F);
    for (int i = 0; i < layout.critic.width; i += kOutputBlock, column += block_floats) {
      for (int g = 0; g < kOutputBlock; g += kLanes) {
        sum = multiply_add(load(column + g), load(d_hidden1 + i + g), sum);
      }
    }
    tape_data[tape.d_action + static_cast<std::size_t>(a)] = sum_lanes(sum);
  }
}

// Step 7's gradient: of entropy_coef * log pi(A|s) - Q(s, A) through the reparametrised action.
void backward_actor_avg(const Learner& learner, float* tape_data, const float* critic_tape) {
  const Layout& layout = learner.layout;
  const TapeLayout& tape = layout.actor_tape;
  const auto entropy_coef = static_cast<float>(learner.settings.entropy_coef);
  for (int i = 0; i < layout.shape.action_dim; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float action = tape_data[tape.action + at];
    const float d_q = critic_tape[layout.critic_tape.d_action + at];
    const float d_pre = 2.0F * entropy_coef * action - d_q * (1.0F - action * action);
    const float d_log_variance =
        0.5F * d_pre * tape_data[tape.noise + at] * tape_data[tape.std_dev + at] -
        0.5F * entropy_coef;
    set_actor_head_gradient(learner, tape_data, i, d_pre, d_log_variance);
  }
  tape_data[tape.scalars + kActorLoss] =
      entropy_coef * tape_data[tape.scalars + kLogProb] - critic_tape[layout.critic_tape.head];
  backward_actor(learner, tape_data, learner.state().actor_newest);
}

void prepare(const Learner& learner) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  INSTEP_CHECK(state.has_action != 0 && state.has_pending_actor_update == 0);
  float* tape = learner.newest_actor_tape();
  float* critic_tape = learner.newest_critic_tape();
  if (state.has_critic_forward == 0) {
    set_critic_input(learner, critic_tape, tape + layout.actor_tape.input,
                     tape + layout.actor_tape.action);
    Pass pass = critic_pass(learner);
    pass.new_forward = critic_tape;
    run_pass<false, false, true>(pass);
  }
  backward_critic(learner, critic_tape);
  state.actor_acted = state.actor_newest;
  if (layout.algorithm == Algorithm::kAvg) {
    backward_actor_avg(learner, tape, critic_tape);
    if (learner.schedule == Schedule::kActFirst) {
      update_actor(learner, tape);
    } else {
      state.has_pending_actor_update = 1;
    }
  }
  state.open_tape = 1 - state.open_tape;
  state.is_open = 1;
  // From here on the block no longer tells how this tick was scheduled.
  state.has_action = 0;
  state.has_old_forward = 0;
  state.has_critic_forward = 0;
}

void flush(const Learner& learner) {
  LearnerState& state = learner.state();
  if (state.has_pending_actor_update != 0) {
    state.has_pending_actor_update = 0;
    bring_actor_home(learner);
    update_actor(learner, learner.open_actor_tape());
  }
  // Only updates in place leave the buffers otherwise than act-first does.
  const bool is_in_place = learner.schedule == Schedule::kThroughput &&
                           learner.layout.algorithm == Algorithm::kAvg &&
                           state.actor_acted == state.actor_newest;
  if (!is_in_place) return;
  bring_actor_home(learner);
  copy_newest_actor(learner);
  // An action that could not be sent: no prepare() has followed it.
  if (state.is_open == 0 && state.has_action != 0) state.actor_acted = 1 - state.actor_newest;
}

void drop(const Learner& learner) {
  LearnerState& state = learner.state();
  if (state.is_open == 0) return;
  flush(learner);
  state.is_open = 0;
  ++state.transitions_dropped;
}

}  // namespace

extern const BoundLoops kBoundLoops;  // bound_cpu.cpp
extern const Executor kExecutor;
const Executor kExecutor = {
    .path = INSTEP_PATH_NAME,
    .arithmetic = INSTEP_ARITHMETIC_PORTABLE ? Arithmetic::kPortable : Arithmetic::kFast,
    .bound = &kBoundLoops,
    .observe = observe,
    .act = act,
    .learn = learn,
    .prepare = prepare,
    .flush = flush,
    .drop = drop,
    .normalize = normalize,
    .act_apart = act_apart,
    .account = account,
};

}  // namespace instep::INSTEP_PATH_NAMESPACE

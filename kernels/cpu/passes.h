// One network on lanes: forward, the weight step, both at once, and the way back. Included only by
// the sources of the CPU paths, each time inside that path's own namespace.
//
// Every gradient of a batch of one is an outer product: of a layer's output gradients d and its
// inputs x. It is never stored: one pass over a weight array forms d[i] * x[j], steps the weight,
// and at the same time takes the forward sums with the weights before and after the step. Each
// output has its own lane and adds its inputs in order, so fusing passes changes no bit.
//
// What may differ from learner to learner is a type: how a weight is stepped (a Rule: NoStep, and
// those of rules.h) and what makes a hidden layer's sums its outputs (a Norm: UnitFeature,
// LayerNorm).
#pragma once

#include "kernels/cpu/lanes.h"
#include "kernels/elementary.h"
#include "kernels/layout.h"

namespace instep::INSTEP_PATH_NAMESPACE {

using instep::larger;  // of numbers, beside those of lanes
using instep::square_root;

namespace {

constexpr int kGroups = kOutputBlock / kLanes;  // vectors in one block of outputs
constexpr float kLargestFactor = 1e18F;         // squares of larger factors would overflow

// What a pass does at each weight: forward before the step, the step, forward after it.
template <bool kOldForward, bool kStep, bool kNewForward>
struct Form {
  static constexpr bool kOld = kOldForward;
  static constexpr bool kUpdate = kStep;
  static constexpr bool kNew = kNewForward;
};

// Where an optimiser's arrays begin, in the order of the layout's list.
struct OptimizerArrays {
  float* begin[kOptimizerArraysMax] = {};
};

// The rule of a pass that steps no weight. What a rule has beside these types: output(d), begin()
// and finish(), as AdamRule (rules.h) says.
struct NoStep {
  static constexpr int kArrays = 0;  // of the optimiser's, that it reads and writes
  struct Constants {};
  struct Output {};
  struct Begun {};
  explicit NoStep(const Constants&) {}
};

// One hidden layer: where its arrays begin in a network and in a tape.
struct HiddenLayer {
  bool is_last = false;
  int inputs = 0;
  std::size_t weights = 0;
  std::size_t bias = 0;
  std::size_t d = 0;  // of its sums
  std::size_t input = 0;
  std::size_t output = 0;
};

// LeakyReLU, and where it is on, the last layer's output divided by its Euclidean length.
struct UnitFeature {
  bool is_on = true;
  float leaky_slope = 0.0F;
  int width = 0;
  std::size_t inverse = 0;  // 1 / length, in a tape

  // Outputs from sums, one vector.
  INSTEP_LANE Lanes activate(const Lanes& sum) const {
    return where_positive(sum, sum, set(leaky_slope) * sum);
  }

  // Once all outputs of a layer stand in the tape. A length of 0 makes them NaN, which every later
  // test takes for what it is.
  void finish(const HiddenLayer& layer, float* tape) const {
    if (!layer.is_last) return;
    tape[inverse] = 1.0F;
    if (!is_on) return;
    float* feature = tape + layer.output;
    Lanes sum = set(0.0F);
    for (int i = 0; i < width; i += kLanes) {
      const Lanes h = load(feature + i);
      sum = multiply_add(h, h, sum);
    }
    const float factor = 1.0F / square_root(sum_lanes(sum));
    for (int i = 0; i < width; i += kLanes) store(feature + i, load(feature + i) * set(factor));
    tape[inverse] = factor;
  }

  // Writes to the tape the gradient of a layer's sums, from that of its outputs `d` [width], which
  // may be where the result goes. Jacobian of h / |h|: the part of the gradient along the feature
  // does nothing.
  void backward(const HiddenLayer& layer, float* tape, const float* d) const {
    const float* output = tape + layer.output;
    const Lanes slope = set(leaky_slope);
    if (!layer.is_last) {
      for (int i = 0; i < width; i += kLanes) {
        const Lanes di = load(d + i);
        store(tape + layer.d + i, where_positive(load(output + i), di, slope * di));
      }
      return;
    }
    Lanes along = set(0.0F);
    if (is_on) {
      for (int i = 0; i < width; i += kLanes) {
        along = multiply_add(load(output + i), load(d + i), along);
      }
    }
    const Lanes projection = set(sum_lanes(along));
    const Lanes factor = set(tape[inverse]);
    for (int i = 0; i < width; i += kLanes) {
      const Lanes f = load(output + i);
      const Lanes di = (load(d + i) - f * projection) * factor;
      store(tape + layer.d + i, where_positive(f, di, slope * di));
    }
  }
};

// Either layer's sums less their mean, divided by their standard deviation, then LeakyReLU. A layer
// has `width` sums with the padding, which is zero and stays zero.
struct LayerNorm {
  float leaky_slope = 0.0F;
  int width = 0;
  int hidden_dim = 0;
  std::size_t inverses[2] =
      {};  // 1 / standard deviation of the first and the last layer, in a tape

  // Until finish() the tape holds the sums themselves.
  INSTEP_LANE Lanes activate(const Lanes& sum) const { return sum; }

  void finish(const HiddenLayer& layer, float* tape) const {
    float* const output = tape + layer.output;
    const auto count = static_cast<float>(hidden_dim);
    Lanes sum = set(0.0F);
    for (int i = 0; i < width; i += kLanes) sum = sum + load(output + i);
    const Lanes mean = set(sum_lanes(sum) / count);
    for (int i = 0; i < width; i += kLanes) store(output + i, load(output + i) - mean);
    clear_padding(output);
    Lanes squares = set(0.0F);
    for (int i = 0; i < width; i += kLanes) {
      const Lanes z = load(output + i);
      squares = multiply_add(z, z, squares);
    }
    const float factor = 1.0F / square_root(sum_lanes(squares) / count + kLayerNormEps);
    for (int i = 0; i < width; i += kLanes) {
      const Lanes x = load(output + i) * set(factor);
      store(output + i, where_positive(x, x, set(leaky_slope) * x));
    }
    tape[inverse(layer)] = factor;
  }

  // As UnitFeature's. Of the gradient, its mean does nothing, nor does what lies along the outputs.
  void backward(const HiddenLayer& layer, float* tape, const float* d) const {
    const float* const output = tape + layer.output;
    float* const result = tape + layer.d;
    const auto count = static_cast<float>(hidden_dim);
    const Lanes slope = set(leaky_slope);
    const Lanes inverse_slope = set(1.0F / leaky_slope);
    Lanes sum = set(0.0F);
    Lanes along = set(0.0F);
    for (int i = 0; i < width; i += kLanes) {
      const Lanes out = load(output + i);
      const Lanes di = load(d + i);
      const Lanes dx = where_positive(out, di, slope * di);
      sum = sum + dx;
      along = multiply_add(where_positive(out, out, inverse_slope * out), dx, along);
      store(result + i, dx);
    }
    const Lanes mean = set(sum_lanes(sum) / count);
    const Lanes projection = set(sum_lanes(along) / count);
    const Lanes factor = set(tape[inverse(layer)]);
    for (int i = 0; i < width; i += kLanes) {
      const Lanes out = load(output + i);
      const Lanes x = where_positive(out, out, inverse_slope * out);
      store(result + i, (load(result + i) - mean - x * projection) * factor);
    }
    clear_padding(result);
  }

 private:
  std::size_t inverse(const HiddenLayer& layer) const { return inverses[layer.is_last ? 1 : 0]; }
  void clear_padding(float* values) const {
    for (int i = hidden_dim; i < width; ++i) values[i] = 0.0F;
  }
};

// The arrays of one network and what a pass does with them. Tapes are null where they are not used.
template <typename Norm>
struct Pass {
  const NetworkLayout* network = nullptr;
  const TapeLayout* tape = nullptr;
  int hidden_dim = 0;
  Norm norm;
  const float* weights = nullptr;  // before the step
  float* new_weights = nullptr;    // after it; may be the same array
  OptimizerArrays arrays;
  const float* gradient = nullptr;  // tape whose factors step the weights
  float gradient_scale = 1.0F;
  float* old_forward = nullptr;  // tapes to fill: forward with the weights before,
  float* new_forward = nullptr;  // and after the step. Their inputs are set by the caller.

  HiddenLayer first_layer() const {
    return {false,           network->inputs, network->w1,  network->b1,
            tape->d_hidden1, tape->input,     tape->hidden1};
  }
  HiddenLayer last_layer() const {
    return {true,          hidden_dim,   network->w2, network->b2, tape->d_hidden2,
            tape->hidden1, tape->feature};
  }
};

// ---------------------------------------------------------------------------------------------------
// Forward and step

// A block of outputs of a hidden layer under way. Everything is kept in locals: the compiler must
// assume that a store of a vector changes anything else.
template <typename Form, typename Rule>
struct HiddenBlock {
  Rule rule;
  typename Rule::Output output[kGroups];
  Lanes old_sum[kGroups];
  Lanes new_sum[kGroups];
  const float* weights;  // from the block's first one on
  float* new_weights;
  OptimizerArrays arrays;
  const float* gradient_input;
  const float* old_input;
  const float* new_input;

  INSTEP_LANE explicit HiddenBlock(const typename Rule::Constants& step) : rule(step) {}

  INSTEP_LANE static std::size_t offset(std::size_t j, int g) {
    return j * kOutputBlock + static_cast<std::size_t>(g * kLanes);
  }

  // The biases are stepped, and the sums begin with them.
  template <typename Norm>
  INSTEP_LANE void begin(const Pass<Norm>& pass, const HiddenLayer& layer,
                         std::size_t first_output) {
    const Lanes scale = set(pass.gradient_scale);
    for (int g = 0; g < kGroups; ++g) {
      const std::size_t lane = first_output + static_cast<std::size_t>(g * kLanes);
      const std::size_t at = layer.bias + lane;
      const Lanes old_bias = load(pass.weights + at);
      Lanes new_bias = old_bias;
      if constexpr (Form::kUpdate) {
        output[g] = rule.output(scale * load(pass.gradient + layer.d + lane));
        new_bias = step_weight(rule, output[g], set(1.0F), old_bias, pass.arrays, at);
        store(pass.new_weights + at, new_bias);
      }
      if constexpr (Form::kOld) old_sum[g] = old_bias;
      if constexpr (Form::kNew) new_sum[g] = new_bias;
    }
    const std::size_t at = layer.weights + first_output * static_cast<std::size_t>(layer.inputs);
    weights = pass.weights + at;
    if constexpr (Form::kUpdate) {
      new_weights = pass.new_weights + at;
      for (int i = 0; i < Rule::kArrays; ++i) arrays.begin[i] = pass.arrays.begin[i] + at;
      gradient_input = pass.gradient + layer.input;
    }
    if constexpr (Form::kOld) old_input = pass.old_forward + layer.input;
    if constexpr (Form::kNew) new_input = pass.new_forward + layer.input;
  }

  INSTEP_LANE void begin_input(std::size_t j, typename Rule::Begun* begun) const {
    if constexpr (Form::kUpdate) {
      const Lanes x = set(gradient_input[j]);
      for (int g = 0; g < kGroups; ++g) {
        begun[g] = rule.begin(output[g], x, arrays, offset(j, g));
      }
    }
  }

  INSTEP_LANE void finish_input(std::size_t j, const typename Rule::Begun* begun) {
    Lanes x, old_x, new_x;
    if constexpr (Form::kUpdate) x = set(gradient_input[j]);
    if constexpr (Form::kOld) old_x = set(old_input[j]);
    if constexpr (Form::kNew) new_x = set(new_input[j]);
    for (int g = 0; g < kGroups; ++g) {
      Lanes weight = load(weights + offset(j, g));
      if constexpr (Form::kOld) old_sum[g] = multiply_add(weight, old_x, old_sum[g]);
      if constexpr (Form::kUpdate) {
        weight = rule.finish(output[g], begun[g], x, weight, arrays, offset(j, g));
        store(new_weights + offset(j, g), weight);
      }
      if constexpr (Form::kNew) new_sum[g] = multiply_add(weight, new_x, new_sum[g]);
    }
  }
};

// Sixteen weights stepped at once; the gradient is the output's d times x.
template <typename Rule>
INSTEP_LANE Lanes step_weight(const Rule& rule, const typename Rule::Output& output, const Lanes& x,
                              const Lanes& weight, const OptimizerArrays& arrays, std::size_t at) {
  return rule.finish(output, rule.begin(output, x, arrays, at), x, weight, arrays, at);
}

// Out of line, so that its loop has all registers.
template <typename Form, typename Rule, typename Norm>
[[gnu::noinline]] void hidden_block(const Pass<Norm>& pass, const typename Rule::Constants& step,
                                    const HiddenLayer& layer, int block) {
  const std::size_t first_output = static_cast<std::size_t>(block) * kOutputBlock;
  const auto inputs = static_cast<std::size_t>(layer.inputs);
  HiddenBlock<Form, Rule> columns(step);
  columns.begin(pass, layer, first_output);
  // Square roots are begun one input ahead: operations that wait for one would fill the processor's
  // queues and keep it from reaching the next.
  typename Rule::Begun begun[kGroups];
  columns.begin_input(0, begun);
  for (std::size_t j = 0; j + 1 < inputs; ++j) {
    typename Rule::Begun next[kGroups];
    columns.begin_input(j + 1, next);
    columns.finish_input(j, begun);
    for (int g = 0; g < kGroups; ++g) begun[g] = next[g];
  }
  columns.finish_input(inputs - 1, begun);

  for (int g = 0; g < kGroups; ++g) {
    const std::size_t output = layer.output + first_output + static_cast<std::size_t>(g * kLanes);
    if constexpr (Form::kOld) {
      store(pass.old_forward + output, pass.norm.activate(columns.old_sum[g]));
    }
    if constexpr (Form::kNew) {
      store(pass.new_forward + output, pass.norm.activate(columns.new_sum[g]));
    }
  }
}

// The linear outputs: a dot product a row, each row updated by its own d.
template <typename Form, typename Rule, typename Norm>
void head_rows(const Pass<Norm>& pass, const typename Rule::Constants& step) {
  const Rule rule(step);
  const NetworkLayout& network = *pass.network;
  const TapeLayout& tape = *pass.tape;
  for (int row = 0; row < network.rows; ++row) {
    const auto r = static_cast<std::size_t>(row);
    typename Rule::Output output;
    if constexpr (Form::kUpdate) {
      output = rule.output(set(pass.gradient_scale * pass.gradient[tape.d_head + r]));
    }
    Lanes old_sum = set(0.0F);
    Lanes new_sum = set(0.0F);
    for (int i = 0; i < network.width; i += kLanes) {
      const auto lane = static_cast<std::size_t>(i);
      const std::size_t at = network.w_head + r * static_cast<std::size_t>(network.width) + lane;
      Lanes weight = load(pass.weights + at);
      if constexpr (Form::kOld) {
        old_sum = multiply_add(weight, load(pass.old_forward + tape.feature + lane), old_sum);
      }
      if constexpr (Form::kUpdate) {
        const Lanes x = load(pass.gradient + tape.feature + lane);
        weight = step_weight(rule, output, x, weight, pass.arrays, at);
        store(pass.new_weights + at, weight);
      }
      if constexpr (Form::kNew) {
        new_sum = multiply_add(weight, load(pass.new_forward + tape.feature + lane), new_sum);
      }
    }
    if constexpr (Form::kOld) pass.old_forward[tape.head + r] = sum_lanes(old_sum);
    if constexpr (Form::kNew) pass.new_forward[tape.head + r] = sum_lanes(new_sum);
  }
}

template <typename Form, typename Rule, typename Norm>
void head_biases(const Pass<Norm>& pass, const typename Rule::Constants& step) {
  const Rule rule(step);
  const TapeLayout& tape = *pass.tape;
  for (int row = 0; row < pass.network->rows; row += kLanes) {
    const auto r = static_cast<std::size_t>(row);
    const std::size_t at = pass.network->b_head + r;
    Lanes bias = load(pass.weights + at);
    if constexpr (Form::kOld) {
      store(pass.old_forward + tape.head + r, load(pass.old_forward + tape.head + r) + bias);
    }
    if constexpr (Form::kUpdate) {
      const Lanes d = set(pass.gradient_scale) * load(pass.gradient + tape.d_head + r);
      bias = step_weight(rule, rule.output(d), set(1.0F), bias, pass.arrays, at);
      store(pass.new_weights + at, bias);
    }
    if constexpr (Form::kNew) {
      store(pass.new_forward + tape.head + r, load(pass.new_forward + tape.head + r) + bias);
    }
  }
}

template <typename Form, typename Rule, typename Norm>
void run_pass(const Pass<Norm>& pass, const typename Rule::Constants& step) {
  for (const HiddenLayer& layer : {pass.first_layer(), pass.last_layer()}) {
    for (int block = 0; block < pass.network->width / kOutputBlock; ++block) {
      hidden_block<Form, Rule>(pass, step, layer, block);
    }
    if constexpr (Form::kOld) pass.norm.finish(layer, pass.old_forward);
    if constexpr (Form::kNew) pass.norm.finish(layer, pass.new_forward);
  }
  head_rows<Form, Rule>(pass, step);
  head_biases<Form, Rule>(pass, step);
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
        for (std::size_t g = 0; g < kGroups; ++g) {
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

// The gradient of the features [width] from that of the head's outputs: sum over rows of d_head *
// weights.
template <typename Norm>
void head_backward(const Pass<Norm>& pass, const float* tape_data, float* d_feature) {
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

// From the gradient of the features [width] to those of both hidden layers' sums, which go to the
// tape.
template <typename Norm>
void hidden_backward(const Pass<Norm>& pass, float* tape_data, const float* d_feature) {
  const HiddenLayer first = pass.first_layer();
  const HiddenLayer last = pass.last_layer();
  pass.norm.backward(last, tape_data, d_feature);
  float* d_hidden1 = tape_data + first.d;
  transposed_product(pass.weights + last.weights, last.inputs, pass.network->width,
                     tape_data + last.d, d_hidden1);
  pass.norm.backward(first, tape_data, d_hidden1);
}

// ---------------------------------------------------------------------------------------------------
// Whether a step may be taken

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
// before anything is touched. None of them, nor a product of two, may reach the limit.
template <typename Norm>
bool is_update_finite(const Pass<Norm>& pass, float limit = kLargestFactor) {
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
    if (!(factor < limit && input < limit && factor * input < limit)) return false;
  }
  return true;
}

}  // namespace
}  // namespace instep::INSTEP_PATH_NAMESPACE

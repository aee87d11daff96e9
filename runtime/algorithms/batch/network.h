// A fully connected network of two hidden layers that learns from whole batches.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"
#include "runtime/algorithms/batch/block_plan.h"

namespace instep {

struct NetworkShape {
  int inputs = 0;
  int hidden = 0;
  int outputs = 0;
  Activation activation = Activation::kRelu;  // of the hidden layers
};

// Where weights and biases of the three layers begin, in floats.
struct NetworkOffsets {
  std::size_t w1, b1, w2, b2, w3, b3;
  std::size_t count;  // in all
};
constexpr NetworkOffsets network_offsets(const NetworkShape& shape) {
  const auto size = [](int a, int b) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
  };
  NetworkOffsets at{};
  at.b1 = size(shape.hidden, shape.inputs);
  at.w2 = at.b1 + size(shape.hidden, 1);
  at.b2 = at.w2 + size(shape.hidden, shape.hidden);
  at.w3 = at.b2 + size(shape.hidden, 1);
  at.b3 = at.w3 + size(shape.outputs, shape.hidden);
  at.count = at.b3 + size(shape.outputs, 1);
  return at;
}

// What one pass over a batch leaves behind: outputs of the layers, a column for each sample.
struct NetworkTape {
  float* first = nullptr;   // [hidden, batch]
  float* second = nullptr;  // [hidden, batch]
  float* output = nullptr;  // [outputs, batch]
};

// Scratch of a backward pass.
struct NetworkScratch {
  float* first = nullptr;   // [hidden, batch]
  float* second = nullptr;  // [hidden, batch]
};

// x [inputs, batch]; overwrites the tape.
void run_network(const MatrixPath& path, const NetworkShape& shape, const float* weights, int batch,
                 const float* x, const NetworkTape& tape);

// From d_output [outputs, batch], the gradient by the output of the pass on this tape: overwrites
// `gradient`, laid out as the weights, and d_x [inputs, batch]; either may be null.
void run_network_backward(const MatrixPath& path, const NetworkShape& shape, const float* weights,
                          int batch, const float* x, const NetworkTape& tape, const float* d_output,
                          const NetworkScratch& scratch, float* gradient, float* d_x);

// Adam's counters for one list of weights; torch's defaults but for eps.
struct AdamCounters {
  std::int64_t updates = 0;
  double beta1_power = 1.0;
  double beta2_power = 1.0;
};
inline constexpr double kBatchBeta1 = 0.9;
inline constexpr double kBatchBeta2 = 0.999;

// Counts a step, and answers its constants.
DenseAdamStep next_adam_step(AdamCounters& counters, double lr, double eps);

// Overwrites the weights with torch's defaults for linear layers: weights and biases uniform within
// 1 / sqrt(inputs of the layer). `network` tells several networks of one seed apart.
void initialize_uniform(const NetworkShape& shape, std::uint64_t seed, std::uint64_t network,
                        float* weights);

// Orthogonal matrices, scaled by `gain` in the hidden layers and `output_gain` in the last one;
// biases are zero.
void initialize_orthogonal(const NetworkShape& shape, double gain, double output_gain,
                           std::uint64_t seed, std::uint64_t network, float* weights);

}  // namespace instep

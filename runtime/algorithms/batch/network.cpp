#include "runtime/algorithms/batch/network.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/philox.h"
#include "runtime/algorithms/orthogonal_matrix.h"

namespace instep {
namespace {

constexpr std::uint64_t kMatricesPerNetwork = 4;

Random weights_of(std::uint64_t seed) {
  return {seed, static_cast<std::uint32_t>(Stream::kInitialWeights)};
}

void fill_uniform(const Random& random, std::uint64_t number, int inputs, std::size_t count,
                  float* out) {
  std::vector<double> draws(count);
  random.uniform(number, draws.data(), static_cast<int>(count));
  const double bound = 1.0 / std::sqrt(static_cast<double>(inputs));
  std::transform(draws.begin(), draws.end(), out,
                 [bound](double u) { return static_cast<float>((2.0 * u - 1.0) * bound); });
}

// w [outputs, inputs], orthogonal, times gain.
void fill_orthogonal(const Random& random, std::uint64_t number, int outputs, int inputs,
                     double gain, float* w) {
  const OrthogonalMatrix matrix(random, number, outputs, inputs);
  for (int j = 0; j < inputs; ++j) {
    for (int i = 0; i < outputs; ++i) *w++ = static_cast<float>(gain) * matrix(i, j);
  }
}

}  // namespace

void run_network(const MatrixPath& path, const NetworkShape& shape, const float* weights, int batch,
                 const float* x, const NetworkTape& tape) {
  const NetworkOffsets at = network_offsets(shape);
  path.forward(shape.hidden, shape.inputs, batch, shape.activation, weights + at.w1,
               weights + at.b1, x, tape.first);
  path.forward(shape.hidden, shape.hidden, batch, shape.activation, weights + at.w2,
               weights + at.b2, tape.first, tape.second);
  path.forward(shape.outputs, shape.hidden, batch, Activation::kNone, weights + at.w3,
               weights + at.b3, tape.second, tape.output);
}

void run_network_backward(const MatrixPath& path, const NetworkShape& shape, const float* weights,
                          int batch, const float* x, const NetworkTape& tape, const float* d_output,
                          const NetworkScratch& scratch, float* gradient, float* d_x) {
  const NetworkOffsets at = network_offsets(shape);
  const std::size_t hidden_count =
      static_cast<std::size_t>(shape.hidden) * static_cast<std::size_t>(batch);
  path.input_gradient(shape.outputs, shape.hidden, batch, weights + at.w3, d_output,
                      scratch.second);
  path.through_activation(hidden_count, shape.activation, tape.second, scratch.second);
  path.input_gradient(shape.hidden, shape.hidden, batch, weights + at.w2, scratch.second,
                      scratch.first);
  path.through_activation(hidden_count, shape.activation, tape.first, scratch.first);
  if (gradient != nullptr) {
    path.weight_gradient(shape.outputs, shape.hidden, batch, d_output, tape.second,
                         gradient + at.w3, gradient + at.b3);
    path.weight_gradient(shape.hidden, shape.hidden, batch, scratch.second, tape.first,
                         gradient + at.w2, gradient + at.b2);
    path.weight_gradient(shape.hidden, shape.inputs, batch, scratch.first, x, gradient + at.w1,
                         gradient + at.b1);
  }
  if (d_x != nullptr) {
    path.input_gradient(shape.hidden, shape.inputs, batch, weights + at.w1, scratch.first, d_x);
  }
}

DenseAdamStep next_adam_step(AdamCounters& counters, double lr, double eps) {
  ++counters.updates;
  counters.beta1_power *= kBatchBeta1;
  counters.beta2_power *= kBatchBeta2;
  const double root = std::sqrt(1.0 - counters.beta2_power);
  return {.beta1 = static_cast<float>(kBatchBeta1),
          .beta2 = static_cast<float>(kBatchBeta2),
          .lr = static_cast<float>(lr * root / (1.0 - counters.beta1_power)),
          .eps = static_cast<float>(eps * root)};
}

void initialize_uniform(const NetworkShape& shape, std::uint64_t seed, std::uint64_t network,
                        float* weights) {
  const NetworkOffsets at = network_offsets(shape);
  const Random random = weights_of(seed);
  const std::uint64_t first = network * kMatricesPerNetwork;
  // Weights and biases of a layer stand one after the other and share a bound.
  fill_uniform(random, first, shape.inputs, at.w2, weights);
  fill_uniform(random, first + 1, shape.hidden, at.w3 - at.w2, weights + at.w2);
  fill_uniform(random, first + 2, shape.hidden, at.count - at.w3, weights + at.w3);
}

void initialize_orthogonal(const NetworkShape& shape, double gain, double output_gain,
                           std::uint64_t seed, std::uint64_t network, float* weights) {
  const NetworkOffsets at = network_offsets(shape);
  const Random random = weights_of(seed);
  const std::uint64_t first = network * kMatricesPerNetwork;
  std::fill(weights, weights + at.count, 0.0F);
  fill_orthogonal(random, first, shape.hidden, shape.inputs, gain, weights + at.w1);
  fill_orthogonal(random, first + 1, shape.hidden, shape.hidden, gain, weights + at.w2);
  fill_orthogonal(random, first + 2, shape.outputs, shape.hidden, output_gain, weights + at.w3);
}

}  // namespace instep

// Networks' passes over a whole batch, as products of dense matrices: single precision, one column
// for each sample, columns one after the other (a weight matrix [outputs, inputs] likewise).
#pragma once

#include <cstddef>
#include <span>

namespace instep {

enum class Activation { kNone, kRelu, kTanh };

// Adam's step with both bias corrections folded into lr and eps.
struct DenseAdamStep {
  float beta1 = 0.0F;
  float beta2 = 0.0F;
  float lr = 0.0F;
  float eps = 0.0F;
};

// Compiled once for each instruction set. Nothing allocates; sums are taken in an order that
// depends on the path and the sizes alone, so that equal calls give equal bits. Outputs are
// overwritten and must not overlap inputs.
struct MatrixPath {
  const char* name = nullptr;  // for example "avx2"

  // y [outputs, batch] = activation(w [outputs, inputs] x [inputs, batch] + b [outputs])
  void (*forward)(int outputs, int inputs, int batch, Activation activation, const float* w,
                  const float* b, const float* x, float* y) = nullptr;
  // dy [count], a gradient by y, becomes one by what the activation was given.
  void (*through_activation)(std::size_t count, Activation activation, const float* y,
                             float* dy) = nullptr;
  // dw [outputs, inputs] = dy x^T, db [outputs] = the sum of dy's columns
  void (*weight_gradient)(int outputs, int inputs, int batch, const float* dy, const float* x,
                          float* dw, float* db) = nullptr;
  // dx [inputs, batch] = w^T dy
  void (*input_gradient)(int outputs, int inputs, int batch, const float* w, const float* dy,
                         float* dx) = nullptr;
  // One step of `count` weights w with moments m and v, by their gradient g.
  void (*adam)(std::size_t count, const DenseAdamStep& step, const float* g, float* w, float* m,
               float* v) = nullptr;
  // target += share (source - target)
  void (*blend)(std::size_t count, float share, const float* source, float* target) = nullptr;
};

// Those that this machine can run, best first. The last one is "scalar", whose bits are the same on
// every processor. Static lifetime.
std::span<const MatrixPath* const> matrix_paths();

}  // namespace instep

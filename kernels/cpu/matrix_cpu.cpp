// Compiled once per path. The macro gives each copy of the library a namespace of its own, so that
// the linker cannot put one path's code into another's place.
#define Eigen INSTEP_PATH_EIGEN
// Blocks of a product fit on the stack: nothing is to allocate.
#define EIGEN_STACK_ALLOCATION_LIMIT (4 * 1024 * 1024)
#define EIGEN_NO_IO
#define EIGEN_NO_DEBUG
#define EIGEN_DONT_PARALLELIZE

#include <Eigen/Core>

#include "kernels/elementary.h"
#include "kernels/matrix.h"

namespace instep::INSTEP_PATH_NAMESPACE {
namespace {

using Matrix = Eigen::MatrixXf;
using In = Eigen::Map<const Matrix>;
using Out = Eigen::Map<Matrix>;
using InColumn = Eigen::Map<const Eigen::VectorXf>;
using OutColumn = Eigen::Map<Eigen::VectorXf>;

void activate(std::size_t count, Activation activation, float* y) {
  if (activation == Activation::kRelu) {
    for (std::size_t i = 0; i < count; ++i) y[i] = y[i] > 0.0F ? y[i] : 0.0F;
  } else if (activation == Activation::kTanh) {
    for (std::size_t i = 0; i < count; ++i) y[i] = tanh_float(y[i]);
  }
}

void forward(int outputs, int inputs, int batch, Activation activation, const float* w,
             const float* b, const float* x, float* y) {
  Out out(y, outputs, batch);
  out.colwise() = InColumn(b, outputs);
  out.noalias() += In(w, outputs, inputs) * In(x, inputs, batch);
  activate(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(batch), activation, y);
}

void through_activation(std::size_t count, Activation activation, const float* y, float* dy) {
  if (activation == Activation::kRelu) {
    for (std::size_t i = 0; i < count; ++i) dy[i] = y[i] > 0.0F ? dy[i] : 0.0F;
  } else if (activation == Activation::kTanh) {
    for (std::size_t i = 0; i < count; ++i) dy[i] *= 1.0F - y[i] * y[i];
  }
}

void weight_gradient(int outputs, int inputs, int batch, const float* dy, const float* x, float* dw,
                     float* db) {
  const In gradient(dy, outputs, batch);
  Out(dw, outputs, inputs).noalias() = gradient * In(x, inputs, batch).transpose();
  OutColumn(db, outputs) = gradient.rowwise().sum();
}

void input_gradient(int outputs, int inputs, int batch, const float* w, const float* dy,
                    float* dx) {
  Out(dx, inputs, batch).noalias() = In(w, outputs, inputs).transpose() * In(dy, outputs, batch);
}

void adam(std::size_t count, const DenseAdamStep& step, const float* __restrict g,
          float* __restrict w, float* __restrict m, float* __restrict v) {
  for (std::size_t i = 0; i < count; ++i) {
    m[i] += (1.0F - step.beta1) * (g[i] - m[i]);
    v[i] = step.beta2 * v[i] + (1.0F - step.beta2) * (g[i] * g[i]);
    w[i] -= step.lr * m[i] / (__builtin_sqrtf(v[i]) + step.eps);
  }
}

void blend(std::size_t count, float share, const float* __restrict source,
           float* __restrict target) {
  for (std::size_t i = 0; i < count; ++i) target[i] += share * (source[i] - target[i]);
}

}  // namespace

// By default the sizes of this machine's caches would decide how sums are split.
void prepare_matrices() {
  Eigen::setCpuCacheSizes(32 * 1024, 512 * 1024, 4 * 1024 * 1024);
}

extern const MatrixPath kMatrixPath;
constinit const MatrixPath kMatrixPath = {
    .name = INSTEP_PATH_NAME,
    .forward = forward,
    .through_activation = through_activation,
    .weight_gradient = weight_gradient,
    .input_gradient = input_gradient,
    .adam = adam,
    .blend = blend,
};

}  // namespace instep::INSTEP_PATH_NAMESPACE

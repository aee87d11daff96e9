// Products over batches, on every path, against loops in double precision; odd sizes, so that edges
// of vectors and blocks are met, and batches of one.
#include "kernels/matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/philox.h"

namespace instep {
namespace {

struct Sizes {
  int outputs, inputs, batch;
};
constexpr Sizes kSizes[] = {{1, 1, 1}, {3, 17, 1}, {33, 5, 7}, {256, 393, 65}, {17, 256, 256}};

std::vector<float> draw(std::uint64_t number, int rows, int columns) {
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  Random{1, 2}.normal(number, values.data(), rows * columns);
  return values;
}

double at(const std::vector<float>& matrix, int rows, int i, int j) {
  return static_cast<double>(matrix[static_cast<std::size_t>(j * rows + i)]);
}

class Matrix : public testing::TestWithParam<const MatrixPath*> {};

TEST_P(Matrix, ForwardAddsTheBiasAndActivates) {
  for (const Sizes& size : kSizes) {
    const auto w = draw(1, size.outputs, size.inputs);
    const auto b = draw(2, size.outputs, 1);
    const auto x = draw(3, size.inputs, size.batch);
    for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kTanh}) {
      std::vector<float> y(static_cast<std::size_t>(size.outputs * size.batch), 99.0F);
      GetParam()->forward(size.outputs, size.inputs, size.batch, activation, w.data(), b.data(),
                          x.data(), y.data());
      for (int k = 0; k < size.batch; ++k) {
        for (int i = 0; i < size.outputs; ++i) {
          double sum = at(b, size.outputs, i, 0);
          for (int j = 0; j < size.inputs; ++j) {
            sum += at(w, size.outputs, i, j) * at(x, size.inputs, j, k);
          }
          if (activation == Activation::kRelu) sum = std::max(sum, 0.0);
          if (activation == Activation::kTanh) sum = std::tanh(sum);
          ASSERT_NEAR(at(y, size.outputs, i, k), sum, 2e-4) << size.outputs << " " << size.inputs;
        }
      }
    }
  }
}

TEST_P(Matrix, GradientsAreSumsOverTheBatch) {
  for (const Sizes& size : kSizes) {
    const auto w = draw(1, size.outputs, size.inputs);
    const auto x = draw(3, size.inputs, size.batch);
    const auto dy = draw(4, size.outputs, size.batch);
    std::vector<float> dw(w.size(), 99.0F);
    std::vector<float> db(static_cast<std::size_t>(size.outputs), 99.0F);
    std::vector<float> dx(x.size(), 99.0F);
    GetParam()->weight_gradient(size.outputs, size.inputs, size.batch, dy.data(), x.data(),
                                dw.data(), db.data());
    GetParam()->input_gradient(size.outputs, size.inputs, size.batch, w.data(), dy.data(),
                               dx.data());
    for (int i = 0; i < size.outputs; ++i) {
      double bias = 0.0;
      for (int k = 0; k < size.batch; ++k) bias += at(dy, size.outputs, i, k);
      ASSERT_NEAR(at(db, size.outputs, i, 0), bias, 2e-4);
      for (int j = 0; j < size.inputs; ++j) {
        double sum = 0.0;
        for (int k = 0; k < size.batch; ++k) {
          sum += at(dy, size.outputs, i, k) * at(x, size.inputs, j, k);
        }
        ASSERT_NEAR(at(dw, size.outputs, i, j), sum, 2e-4);
      }
    }
    for (int k = 0; k < size.batch; ++k) {
      for (int j = 0; j < size.inputs; ++j) {
        double sum = 0.0;
        for (int i = 0; i < size.outputs; ++i) {
          sum += at(w, size.outputs, i, j) * at(dy, size.outputs, i, k);
        }
        ASSERT_NEAR(at(dx, size.inputs, j, k), sum, 2e-4);
      }
    }
  }
}

TEST_P(Matrix, ActivationsPassTheirGradient) {
  constexpr std::size_t kCount = 37;
  const auto y = draw(5, kCount, 1);
  const auto dy = draw(6, kCount, 1);
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kTanh}) {
    auto passed = dy;
    GetParam()->through_activation(kCount, activation, y.data(), passed.data());
    for (std::size_t i = 0; i < kCount; ++i) {
      const float slope = activation == Activation::kNone   ? 1.0F
                          : activation == Activation::kRelu ? (y[i] > 0.0F ? 1.0F : 0.0F)
                                                            : 1.0F - y[i] * y[i];
      ASSERT_FLOAT_EQ(passed[i], dy[i] * slope);
    }
  }
}

TEST_P(Matrix, AdamAndBlendAreElementwise) {
  constexpr std::size_t kCount = 37;
  const auto w = draw(7, kCount, 1);
  const auto g = draw(8, kCount, 1);
  auto stepped = w;
  auto m = draw(9, kCount, 1);
  std::vector<float> v(kCount, 0.25F);
  const auto m_before = m;
  GetParam()->adam(kCount, {.beta1 = 0.9F, .beta2 = 0.99F, .lr = 0.1F, .eps = 1e-3F}, g.data(),
                   stepped.data(), m.data(), v.data());
  for (std::size_t i = 0; i < kCount; ++i) {
    const double first = 0.9 * m_before[i] + 0.1 * g[i];
    const double second = 0.99 * 0.25 + 0.01 * g[i] * g[i];
    ASSERT_NEAR(m[i], first, 1e-6);
    ASSERT_NEAR(v[i], second, 1e-6);
    ASSERT_NEAR(stepped[i], w[i] - 0.1 * first / (std::sqrt(second) + 1e-3), 1e-5);
  }
  auto target = w;
  GetParam()->blend(kCount, 0.125F, g.data(), target.data());
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_NEAR(target[i], w[i] + 0.125F * (g[i] - w[i]), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, Matrix,
                         testing::ValuesIn(matrix_paths().begin(), matrix_paths().end()),
                         [](const auto& path) { return std::string(path.param->name); });

}  // namespace
}  // namespace instep

// Where learning starts: every matrix orthogonal, every bias zero, the same bits for one seed.
#include "runtime/algorithms/actor_critic/initial_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "runtime/memory.h"

namespace instep {
namespace {

// A learner with its initial weights.
class Start {
 public:
  Start(const Shape& shape, Algorithm algorithm, std::uint64_t seed)
      : memory_(make_layout(shape, algorithm, 1).bytes) {
    learner_.settings.algorithm = algorithm;
    learner_.settings.hidden = shape.hidden_dim;
    learner_.layout = make_layout(shape, algorithm, 1);
    learner_.block = memory_.data();
    clear(learner_);
    initialize_weights(learner_, seed);
  }
  const Learner& learner() const { return learner_; }
  const Layout& layout() const { return learner_.layout; }
  const float* actor() const { return learner_.floats(layout().actor_weights[0]); }
  const float* critic() const { return learner_.floats(layout().critic_weights); }

 private:
  MemoryBlock memory_;
  Learner learner_;
};

// A [rows, columns] matrix, row-major.
struct Matrix {
  int rows = 0;
  int columns = 0;
  std::vector<double> values;
  double at(int i, int j) const { return values[static_cast<std::size_t>(i * columns + j)]; }
};

Matrix read_hidden(const float* weights, int outputs, int inputs) {
  Matrix matrix{outputs, inputs, {}};
  for (int i = 0; i < outputs; ++i) {
    for (int j = 0; j < inputs; ++j) {
      matrix.values.push_back(static_cast<double>(weights[hidden_weight_index(inputs, i, j)]));
    }
  }
  return matrix;
}

Matrix read_head(const float* weights, int first_row, int rows, int columns, int width) {
  Matrix matrix{rows, columns, {}};
  for (int i = 0; i < rows; ++i) {
    const float* row = weights + static_cast<std::ptrdiff_t>(first_row + i) * width;
    matrix.values.insert(matrix.values.end(), row, row + columns);
  }
  return matrix;
}

// Whichever of rows and columns are fewer are orthonormal.
void expect_orthonormal(const Matrix& matrix) {
  const bool is_wide = matrix.rows <= matrix.columns;
  const int count = is_wide ? matrix.rows : matrix.columns;
  const int length = is_wide ? matrix.columns : matrix.rows;
  for (int a = 0; a < count; ++a) {
    for (int b = 0; b <= a; ++b) {
      double dot = 0.0;
      for (int k = 0; k < length; ++k) {
        dot += is_wide ? matrix.at(a, k) * matrix.at(b, k) : matrix.at(k, a) * matrix.at(k, b);
      }
      ASSERT_NEAR(dot, a == b ? 1.0 : 0.0, 1e-6) << matrix.rows << "x" << matrix.columns;
    }
  }
}

void expect_network(const NetworkLayout& network, const float* weights, int hidden_dim, int heads) {
  expect_orthonormal(read_hidden(weights + network.w1, hidden_dim, network.inputs));
  expect_orthonormal(read_hidden(weights + network.w2, hidden_dim, hidden_dim));
  const int rows = network.rows / heads;
  for (int head = 0; head < heads; ++head) {
    expect_orthonormal(
        read_head(weights + network.w_head, head * rows, rows, hidden_dim, network.width));
  }
}

TEST(InitialWeights, AreOrthogonalMatricesHeadByHead) {
  for (const Shape shape : {Shape{8, 2, 64}, Shape{100, 6, 32}, Shape{17, 6, 100}, Shape{64, 4, 64},
                            Shape{1, 1, 4}, Shape{20, 32, 4}}) {
    for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
      const Start start(shape, algorithm, 5);
      expect_network(start.layout().actor, start.actor(), shape.hidden_dim, 2);
      expect_network(start.layout().critic, start.critic(), shape.hidden_dim, 1);
    }
  }
}

// How many entries of a network are neither zero nor a weight, bias or head entry that may be
// nonzero.
std::size_t count_nonzero(const NetworkLayout& network, const float* weights) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < network.floats; ++i) count += weights[i] != 0.0F;
  return count;
}

TEST(InitialWeights, LeaveBiasesAndPaddingZero) {
  // Gaussian draws are never exactly zero, so the nonzero numbers are the matrices' and no others.
  const Shape shape{9, 3, 100};
  const Start start(shape, Algorithm::kAvg, 1);
  const auto matrices = [](const NetworkLayout& network) {
    return static_cast<std::size_t>(100 * network.inputs + 100 * 100 + network.rows * 100);
  };
  EXPECT_EQ(count_nonzero(start.layout().actor, start.actor()), matrices(start.layout().actor));
  EXPECT_EQ(count_nonzero(start.layout().critic, start.critic()), matrices(start.layout().critic));
  for (const NetworkLayout* network : {&start.layout().actor, &start.layout().critic}) {
    const float* weights = network == &start.layout().actor ? start.actor() : start.critic();
    for (int i = 0; i < network->width; ++i) {
      EXPECT_EQ(weights[network->b1 + static_cast<std::size_t>(i)], 0.0F);
      EXPECT_EQ(weights[network->b2 + static_cast<std::size_t>(i)], 0.0F);
    }
    for (int i = 0; i < network->rows; ++i) {
      EXPECT_EQ(weights[network->b_head + static_cast<std::size_t>(i)], 0.0F);
    }
  }
}

TEST(InitialWeights, FillBothActorBuffersAlike) {
  const Start start({8, 2, 64}, Algorithm::kAvg, 1);
  EXPECT_EQ(std::memcmp(start.learner().floats(start.layout().actor_weights[0]),
                        start.learner().floats(start.layout().actor_weights[1]),
                        start.layout().actor.floats * sizeof(float)),
            0);
}

TEST(InitialWeights, DrawEveryMatrixAnew) {
  // Same sizes throughout, so that equal draws would give equal matrices.
  const Start start({4, 4, 4}, Algorithm::kIac, 3);
  const NetworkLayout& actor = start.layout().actor;
  const NetworkLayout& critic = start.layout().critic;
  const std::vector<Matrix> matrices = {
      read_hidden(start.actor() + actor.w1, 4, 4),
      read_hidden(start.actor() + actor.w2, 4, 4),
      read_head(start.actor() + actor.w_head, 0, 4, 4, actor.width),
      read_head(start.actor() + actor.w_head, 4, 4, 4, actor.width),
      read_hidden(start.critic() + critic.w1, 4, 4),
      read_hidden(start.critic() + critic.w2, 4, 4)};
  for (std::size_t a = 0; a < matrices.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) EXPECT_NE(matrices[a].values, matrices[b].values) << a << b;
  }
}

std::uint64_t hash_of(const Start& start) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a over bytes
  for (std::size_t i = 0; i < start.layout().bytes; ++i) {
    hash = (hash ^ start.learner().block[i]) * 0x100000001b3U;
  }
  return hash;
}

TEST(InitialWeights, AreDecidedByTheSeed) {
  const Shape shape{8, 2, 64};
  EXPECT_EQ(hash_of({shape, Algorithm::kAvg, 7}), hash_of({shape, Algorithm::kAvg, 7}));
  EXPECT_NE(hash_of({shape, Algorithm::kAvg, 7}), hash_of({shape, Algorithm::kAvg, 8}));
  // Pinned: other machines and compilers must give the same bits.
  EXPECT_EQ(hash_of({shape, Algorithm::kAvg, 7}), 0x96f54ee9031e96c3U);
}

}  // namespace
}  // namespace instep

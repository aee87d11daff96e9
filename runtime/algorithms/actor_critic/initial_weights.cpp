#include "runtime/algorithms/actor_critic/initial_weights.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/philox.h"

namespace instep {
namespace {

double dot(const double* a, const double* b, int count) {
  double sum = 0.0;
  for (int i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// Rows of a [rows, columns] Gaussian matrix made orthonormal one after the other (Gram-Schmidt,
// each projection done twice, which is as exact as Householder's method). Needs rows <= columns.
// The result is uniform over orthogonal matrices, as torch.nn.init.orthogonal_'s.
void orthonormalize_rows(std::vector<double>& matrix, int rows, int columns) {
  for (int i = 0; i < rows; ++i) {
    double* row = &matrix[static_cast<std::size_t>(i * columns)];
    for (int pass = 0; pass < 2; ++pass) {
      for (int k = 0; k < i; ++k) {
        const double* earlier = &matrix[static_cast<std::size_t>(k * columns)];
        const double along = dot(row, earlier, columns);
        for (int j = 0; j < columns; ++j) row[j] -= along * earlier[j];
      }
    }
    const double length = std::sqrt(dot(row, row, columns));
    for (int j = 0; j < columns; ++j) row[j] /= length;
  }
}

// Entry (i, j) of a [outputs, inputs] matrix with orthonormal rows or columns, whichever are fewer.
class OrthogonalMatrix {
 public:
  OrthogonalMatrix(const Random& random, std::uint64_t step, int outputs, int inputs)
      : is_wide_(outputs <= inputs), columns_(is_wide_ ? inputs : outputs) {
    const int rows = is_wide_ ? outputs : inputs;
    values_.resize(static_cast<std::size_t>(rows * columns_));
    random.normal(step, values_.data(), rows * columns_);
    orthonormalize_rows(values_, rows, columns_);
  }
  float operator()(int i, int j) const {
    const int at = is_wide_ ? i * columns_ + j : j * columns_ + i;
    return static_cast<float>(values_[static_cast<std::size_t>(at)]);
  }

 private:
  bool is_wide_;
  int columns_;
  std::vector<double> values_;
};

void fill_hidden(const OrthogonalMatrix& matrix, int outputs, int inputs, float* weights) {
  for (int i = 0; i < outputs; ++i) {
    for (int j = 0; j < inputs; ++j) weights[hidden_weight_index(inputs, i, j)] = matrix(i, j);
  }
}

// `first_matrix` numbers the matrices across networks, so that each has draws of its own.
void initialize_network(const NetworkLayout& network, int hidden_dim, int heads,
                        const Random& random, std::uint64_t first_matrix, float* weights) {
  fill_hidden({random, first_matrix, hidden_dim, network.inputs}, hidden_dim, network.inputs,
              weights + network.w1);
  fill_hidden({random, first_matrix + 1, hidden_dim, hidden_dim}, hidden_dim, hidden_dim,
              weights + network.w2);
  const int rows = network.rows / heads;
  for (int head = 0; head < heads; ++head) {
    const OrthogonalMatrix matrix(random, first_matrix + 2 + static_cast<std::uint64_t>(head), rows,
                                  hidden_dim);
    for (int i = 0; i < rows; ++i) {
      float* row =
          weights + network.w_head + static_cast<std::size_t>((head * rows + i) * network.width);
      for (int j = 0; j < hidden_dim; ++j) row[j] = matrix(i, j);
    }
  }
}

}  // namespace

void initialize_weights(const Learner& learner, std::uint64_t seed) {
  const Layout& layout = learner.layout;
  const int hidden_dim = layout.shape.hidden_dim;
  const Random random{seed, static_cast<std::uint32_t>(Stream::kInitialWeights)};
  float* actor = learner.floats(layout.actor_weights[0]);
  initialize_network(layout.actor, hidden_dim, 2, random, 0, actor);
  std::memcpy(learner.floats(layout.actor_weights[1]), actor, layout.actor.floats * sizeof(float));
  initialize_network(layout.critic, hidden_dim, 1, random, 4,
                     learner.floats(layout.critic_weights));
}

void copy_weights(const Learner& from, const Learner& to) {
  const Layout& layout = from.layout;
  const float* actor = from.floats(layout.actor_weights[from.state().actor_newest]);
  const std::size_t actor_bytes = layout.actor.floats * sizeof(float);
  for (const std::size_t weights : to.layout.actor_weights) {
    std::memcpy(to.floats(weights), actor, actor_bytes);
  }
  std::memcpy(to.floats(to.layout.critic_weights), from.floats(layout.critic_weights),
              layout.critic.floats * sizeof(float));
  for (int i = 0; i < layout.shape.observation_dim; ++i) {
    to.doubles(to.layout.normalizer_mean)[i] = from.doubles(layout.normalizer_mean)[i];
    to.doubles(to.layout.normalizer_variance)[i] = from.doubles(layout.normalizer_variance)[i];
  }
  to.state().normalizer_count = from.state().normalizer_count;
}

}  // namespace instep

#include "runtime/algorithms/actor_critic/initial_weights.h"

#include <cstring>

#include "kernels/philox.h"
#include "runtime/algorithms/orthogonal_matrix.h"

namespace instep {
namespace {

// RAC's heads begin small: actions near the middle, values near 0.
constexpr float kSmallHeadGain = 0.05F;

void fill_hidden(const OrthogonalMatrix& matrix, int outputs, int inputs, float* weights) {
  for (int i = 0; i < outputs; ++i) {
    for (int j = 0; j < inputs; ++j) weights[hidden_weight_index(inputs, i, j)] = matrix(i, j);
  }
}

// `head_gain`: length of the heads' rows. `first_matrix` numbers the matrices across networks, so
// that each has draws of its own.
void initialize_network(const NetworkLayout& network, int hidden_dim, int heads, float head_gain,
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
      for (int j = 0; j < hidden_dim; ++j) row[j] = head_gain * matrix(i, j);
    }
  }
}

}  // namespace

void initialize_weights(const Learner& learner, std::uint64_t seed) {
  const Layout& layout = learner.layout;
  const int hidden_dim = layout.shape.hidden_dim;
  const Random random{seed, static_cast<std::uint32_t>(Stream::kInitialWeights)};
  float* actor = learner.floats(layout.actor_weights[0]);
  const float head_gain = layout.algorithm == Algorithm::kRac ? kSmallHeadGain : 1.0F;
  initialize_network(layout.actor, hidden_dim, 2, head_gain, random, 0, actor);
  std::memcpy(learner.floats(layout.actor_weights[1]), actor, layout.actor.floats * sizeof(float));
  initialize_network(layout.critic, hidden_dim, 1, head_gain, random, 4,
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

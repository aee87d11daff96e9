#include "runtime/policy.h"

#include <cmath>

namespace instep {

Policy::Policy(const Learner& learner, const Executor& executor)
    : learner_(learner), executor_(executor) {
  executor_.flush(learner_);
}

const float* Policy::act(const double* observation, const float* noise) {
  const Layout& layout = learner_.layout;
  const double* mean = learner_.doubles(layout.normalizer_mean);
  const double* variance = learner_.doubles(layout.normalizer_variance);
  float* input = learner_.newest_actor_tape() + layout.actor_tape.input;
  for (int i = 0; i < layout.shape.observation_dim; ++i) {
    const double normalized = (observation[i] - mean[i]) / std::sqrt(variance[i] + 1e-8);
    input[i] = static_cast<float>(learner_.settings.observation_norm ? normalized : observation[i]);
  }
  executor_.act(learner_, noise);
  return learner_.newest_actor_tape() + layout.actor_tape.action;
}

}  // namespace instep

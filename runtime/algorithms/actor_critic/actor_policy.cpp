#include "runtime/algorithms/actor_critic/actor_policy.h"

#include "kernels/normalizer.h"

namespace instep {

ActorPolicy::ActorPolicy(const Learner& learner, const Executor& executor, bool adapts_normalizer)
    : learner_(learner),
      // The policy writes to the block itself, so it acts where the block is.
      executor_(executor.fetch == nullptr ? executor : *executors(executor.arithmetic).front()),
      adapts_normalizer_(adapts_normalizer) {
  executor.flush(learner_);
}

const float* ActorPolicy::act(const double* observation, const float* noise) {
  const Layout& layout = learner_.layout;
  float* input = learner_.newest_actor_tape() + layout.actor_tape.input;
  if (adapts_normalizer_) {
    executor_.normalize(learner_, observation, input);
    executor_.act(learner_, noise);
    return learner_.newest_actor_tape() + layout.actor_tape.action;
  }
  const double* mean = learner_.doubles(layout.normalizer_mean);
  const double* variance = learner_.doubles(layout.normalizer_variance);
  for (int i = 0; i < layout.shape.observation_dim; ++i) {
    input[i] = learner_.settings.observation_norm ? normalized(observation[i], mean[i], variance[i])
                                                  : static_cast<float>(observation[i]);
  }
  executor_.act(learner_, noise);
  return learner_.newest_actor_tape() + layout.actor_tape.action;
}

}  // namespace instep

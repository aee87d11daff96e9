// The policy of an actor-critic, without learning.
#pragma once

#include "kernels/learner.h"
#include "runtime/policy.h"

namespace instep {

// Acts with a learner's weights and statistics as they are: neither changes unless asked for. It
// borrows the learner's block and uses its tapes as scratch, so that learning cannot go on
// afterwards. One thread.
class ActorPolicy final : public Policy {
 public:
  // With `adapts_normalizer` the normaliser alone goes on taking every observation, as in training.
  ActorPolicy(const Learner& learner, const Executor& executor, bool adapts_normalizer = false);

  const float* act(const double* observation, const float* noise) override;

 private:
  Learner learner_;
  const Executor& executor_;
  bool adapts_normalizer_;
};

}  // namespace instep

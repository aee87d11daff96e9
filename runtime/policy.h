// Acting without learning: what evaluation runs.
#pragma once

#include "kernels/learner.h"

namespace instep {

// The policy of a learner with its weights and statistics as they are: neither changes unless asked
// for. It borrows the learner's block and uses its tapes as scratch, so that learning cannot go on
// afterwards. One thread.
class Policy {
 public:
  // With `adapts_normalizer` the normaliser alone goes on taking every observation, as in training.
  Policy(const Learner& learner, const Executor& executor, bool adapts_normalizer = false);

  // The action [action_dim] for an observation [observation_dim], drawn by noise [action_dim]
  // (zeros: the squashed mean). Valid until the next call.
  const float* act(const double* observation, const float* noise);

 private:
  Learner learner_;
  const Executor& executor_;
  bool adapts_normalizer_;
};

}  // namespace instep

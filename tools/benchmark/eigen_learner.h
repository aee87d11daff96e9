// AVG's update written straightforwardly with Eigen: dense gradient matrices and Adam on whole
// arrays. It is what the fused learner is measured against, and shares no code with it.
#pragma once

#include <memory>

#include "kernels/settings.h"
#include "kernels/shape.h"
#include "tools/benchmark/named_values.h"

namespace instep {

// One learner: float networks, double statistics. One thread.
class EigenLearner {
 public:
  // Starts from random weights of a linear layer's usual size. AVG with beta1 = 0 only.
  EigenLearner(const Shape& shape, const LearnerSettings& settings);
  ~EigenLearner();
  EigenLearner(const EigenLearner&) = delete;
  EigenLearner& operator=(const EigenLearner&) = delete;

  // Opens an episode with a raw observation [observation_dim].
  void begin_episode(const double* observation);
  // Draws an action [action_dim] at the newest observation by standard normal noise [action_dim];
  // valid until the next call.
  const float* act(const float* noise);
  // Learns from the action drawn last: what followed it, and noise [action_dim] for the target's
  // action.
  void update(const double* next_observation, double reward, bool terminated,
              const float* next_noise);

  // Overwrites all weights; the names are those of weights(). Throws std::out_of_range for a
  // missing one.
  void set_weights(const NamedValues& weights);
  // What the last update computed, by the names below "out/".
  NamedValues outputs() const;
  // Weights, second moments and statistics, by the names below "final/".
  NamedValues state() const;

 private:
  struct Arrays;
  std::unique_ptr<Arrays> arrays_;
};

}  // namespace instep

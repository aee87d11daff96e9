// Acting without learning: what evaluation runs.
#pragma once

namespace instep {

class Policy {
 public:
  virtual ~Policy() = default;
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  // The action [action_dim] for an observation [observation_dim], drawn by standard normal noise
  // [action_dim] (zeros: the policy's middle). Valid until the next call.
  virtual const float* act(const double* observation, const float* noise) = 0;

 protected:
  Policy() = default;
};

}  // namespace instep

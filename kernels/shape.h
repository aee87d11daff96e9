// Sizes of a learner and the limits they must keep.
#pragma once

#include <cstdint>

namespace instep {

// Limits on what one learner may be asked for. Everything that is sized at compile time follows
// them.
inline constexpr int kObservationDimMax = 512;
inline constexpr int kActionDimMax = 32;
inline constexpr int kHiddenDimMax = 512;

// Outputs of a hidden layer are stored in blocks of this many, each output in a lane of its own.
inline constexpr int kOutputBlock = 64;

// The incremental actor-critics that share this learner: AVG and RAC (reparametrisation gradient
// through a critic Q(s, a)) and IAC (score-function gradient with a critic V(s)).
enum class Algorithm : std::uint32_t { kAvg = 0, kIac = 1, kRac = 2 };

// Whether the critic is of an action, too.
constexpr bool has_q_critic(Algorithm algorithm) {
  return algorithm != Algorithm::kIac;
}

// n, m and h of the papers: sizes of the observation, the action and both hidden layers.
struct Shape {
  int observation_dim = 0;  // 1 .. kObservationDimMax
  int action_dim = 0;       // 1 .. kActionDimMax
  int hidden_dim = 0;       // a multiple of 4, 4 .. kHiddenDimMax

  friend constexpr bool operator==(const Shape& a, const Shape& b) {
    return a.observation_dim == b.observation_dim && a.action_dim == b.action_dim &&
           a.hidden_dim == b.hidden_dim;
  }
};

// True when every size is within its limits.
constexpr bool is_valid(const Shape& shape) {
  return shape.observation_dim >= 1 && shape.observation_dim <= kObservationDimMax &&
         shape.action_dim >= 1 && shape.action_dim <= kActionDimMax && shape.hidden_dim >= 4 &&
         shape.hidden_dim <= kHiddenDimMax && shape.hidden_dim % 4 == 0;
}

// Length of the critic's input: a Q takes the observation then the action, a V the observation.
constexpr int critic_input_dim(const Shape& shape, Algorithm algorithm) {
  return shape.observation_dim + (has_q_critic(algorithm) ? shape.action_dim : 0);
}

// `count` rounded up to a whole number of output blocks.
constexpr int padded(int count) {
  return (count + kOutputBlock - 1) / kOutputBlock * kOutputBlock;
}

}  // namespace instep

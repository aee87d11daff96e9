// The TD error and its scale.
#pragma once

#include "kernels/elementary.h"
#include "kernels/layout.h"
#include "kernels/settings.h"

namespace instep {

// delta = (r + (1 - terminated) gamma next_value - value) / sigma. AVG: value = Q(s, a), next_value
// = Q(s', a') - eta log pi(a'|s') with a fresh a' from the actor that acted. IAC: V(s) and V(s').
template <typename Real>
INSTEP_HD Real td_error(Real reward, bool terminated, Real discount, Real next_value, Real value,
                        Real scale) {
  const Real bootstrap = terminated ? static_cast<Real>(0.0) : discount;
  return (reward + bootstrap * next_value - value) / scale;
}

// Gradient of the critic's loss delta^2 with respect to its output; the target is a constant.
template <typename Real>
INSTEP_HD Real d_critic_output(Real td_error, Real scale) {
  return static_cast<Real>(-2.0) * td_error / scale;
}

INSTEP_HD void push(Moments& moments, double x) {
  moments.count += 1.0;
  const double delta = x - moments.mean;
  moments.mean += delta / moments.count;
  moments.sum_squares += delta * (x - moments.mean);
}

INSTEP_HD double population_variance(const Moments& moments) {
  return moments.count > 0.0 ? moments.sum_squares / moments.count : 0.0;
}

// Scale of the TD error after Schaul et al. 2021 (arXiv 2105.05347), with the reference's floors.
// The sample is pushed before the scale is read. Answers what the TD error is divided by.
INSTEP_HD double update_td_error_scale(const LearnerSettings& settings, LearnerState& state,
                                       double reward_stat, bool terminated, bool truncated) {
  const bool ends_return =
      terminated || (truncated && settings.truncation_return == TruncationReturn::kPush);
  state.reward_stat = reward_stat;
  state.return_before_clear = state.running_return;
  if (ends_return) {
    push(state.return_square_moments, state.running_return * state.running_return);
    push(state.return_moments, state.running_return);
    state.running_return = 0.0;
  }
  push(state.reward_moments, reward_stat);
  push(state.discount_moments, ends_return ? 0.0 : settings.discount);

  double variance = population_variance(state.reward_moments) +
                    population_variance(state.discount_moments) * state.return_square_moments.mean;
  if (variance < 1e-4) variance = 1e-4;
  const bool is_start = variance <= 0.01 && state.return_square_moments.count == 0.0;
  state.td_error_scale = is_start ? 1.0 : square_root(variance);
  return settings.td_error_scaling ? state.td_error_scale : 1.0;
}

// AVG's reward statistics and return take a reward and the log probability of the action it
// followed. Answers what the TD error is divided by.
INSTEP_HD double take_soft_reward(const LearnerSettings& settings, LearnerState& state,
                                  double reward, float log_prob, bool terminated, bool truncated) {
  const double reward_stat = reward - settings.entropy_coef * static_cast<double>(log_prob);
  state.running_return += reward_stat;
  return update_td_error_scale(settings, state, reward_stat, terminated, truncated);
}

// IAC's G is a discounted trace of plain rewards.
INSTEP_HD double take_plain_reward(const LearnerSettings& settings, LearnerState& state,
                                   double reward, bool terminated, bool truncated) {
  state.running_return = settings.discount * state.running_return + reward;
  return update_td_error_scale(settings, state, reward, terminated, truncated);
}

}  // namespace instep

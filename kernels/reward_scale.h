// RAC's scale of rewards: the standard deviation of their discounted sum over the whole life.
#pragma once

#include "kernels/elementary.h"
#include "kernels/layout.h"
#include "kernels/settings.h"
#include "kernels/td_error.h"

namespace instep {

// U = gamma U + r takes a plain reward, its moments take U, and either end of an episode clears U.
// The scale is sqrt(Var[U] + 1e-8), no less than 0.01, and 1 until two rewards have been seen.
// Answers what the critic's values are multiplied by to stay what they were: old scale / new scale.
INSTEP_HD double update_reward_scale(const LearnerSettings& settings, LearnerState& state,
                                     double reward, bool terminated, bool truncated) {
  state.reward_stat = reward;
  state.running_return = settings.discount * state.running_return + reward;
  state.return_before_clear = state.running_return;
  push(state.return_moments, state.running_return);
  if (terminated || truncated) state.running_return = 0.0;

  const double before = state.td_error_scale;
  if (state.return_moments.count >= 2.0) {
    const double scale = square_root(population_variance(state.return_moments) + 1e-8);
    state.td_error_scale = scale < 0.01 ? 0.01 : scale;
  }
  return before / state.td_error_scale;
}

}  // namespace instep

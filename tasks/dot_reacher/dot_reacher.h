// DotReacher, the easy variant of AVG's reference: a point in a square box, pushed by its
// acceleration, has to reach the middle slowly.
#pragma once

#include <memory>

#include "runtime/environment.h"

namespace instep {

inline constexpr int kDotReacherObservationDim = 4;  // x, y, velocity x, velocity y
inline constexpr int kDotReacherActionDim = 2;       // acceleration along x and y
inline constexpr double kDotReacherPeriodS = 0.2;
inline constexpr int kDotReacherStepsMax = 20000;

// A DotReacher at rest in the middle, until its first reset. The box is [-1, 1] x [-1, 1]; a step
// pays -1; within 0.25 of the middle at no more than 0.1 along both axes an episode is terminated.
// The step that reaches the limit counts as terminated and truncated both, as in the reference. The
// saved state is five doubles: the observation, and the steps of the episode.
std::unique_ptr<Environment> make_dot_reacher();

}  // namespace instep

// Which backend computes an update soonest here: measured, not guessed.
#pragma once

#include "kernels/learner.h"
#include "tools/instep/names.h"

namespace instep {

// Runs a few hundred updates of that learner on the CPU's best path and on every path of a GPU, and
// answers the one with the shortest median; prints what it measured. Without a GPU it answers the
// CPU at once, and prints nothing.
BackendChoice fastest_backend(const Shape& shape, const LearnerSettings& settings,
                              Schedule schedule);

}  // namespace instep

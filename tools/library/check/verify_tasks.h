// Replays of task golden files ("mujoco-golden-1").
#pragma once

#include "tools/library/check/safetensors.h"
#include "tools/library/check/verify_learner.h"

namespace instep {

// Applies the file's controls to our model of its task and compares observation, state, reward and
// end with the recorded ones, as far as the claims of tests/golden reach (rounding grows
// chaotically in HalfCheetah and Ant). Throws DataError for an inconsistent file, or when this
// build has no MuJoCo.
void replay_task(const TensorFile& file, WorstError& worst);

}  // namespace instep

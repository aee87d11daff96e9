// The Eigen peer against the golden files.
#pragma once

#include "tools/instep/safetensors.h"
#include "tools/instep/verify_learner.h"

namespace instep {

// Replays an AVG golden file with beta1 = 0 through an EigenLearner and compares every output of
// every update and the state at the end. Throws DataError for a file that is not of this kind.
void replay_eigen(const TensorFile& file, WorstError& worst);

}  // namespace instep

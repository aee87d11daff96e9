// train with --seeds, and --resume of a folder of several seeds.
#pragma once

#include "tools/instep/train.h"

namespace instep {

// Runs a seed each, side by side, and prints what they came to and how to go on where they did not
// all come to their end. Answers an exit code; throws CommandError.
int train_seeds(const TrainOptions& options);

// Goes on with the runs of such a folder that are not done: each from where it was left, and those
// that were not started from their start.
int resume_seeds(const TrainOptions& options);

}  // namespace instep

// train with --seeds, and --resume of a folder of several seeds.
#pragma once

#include "tools/instep/train.h"

namespace instep {

// Trains, and prints what the runs came to and how to go on where they did not all come to their
// end. Answers an exit code; throws CommandError.
int run_train_seeds(const TrainCommand& options, const TrainTold& told);

}  // namespace instep

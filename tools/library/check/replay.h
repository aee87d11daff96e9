// The replay command: a run on a robot, once more without it.
#pragma once

#include <string>

namespace instep {

// Gives the ticks of a record to the learner of the run beside it, and compares every action and
// the checkpoint. Answers 0 when all are the same, bit for bit. Throws CommandError.
int run_replay(const std::string& file, bool json);

}  // namespace instep

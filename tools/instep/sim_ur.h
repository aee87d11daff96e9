// The simulated UR5 behind real sockets: the ports of its controller on one address.
#pragma once

#include <string>

#include "tools/instep/sim.h"

namespace instep {

// As run_sim() for `ur`: serves until Ctrl-C. Answers an exit code; throws CommandError.
int run_ur_sim(const SimOptions& options);

// What may stand on stdin, for people.
std::string ur_sim_words();

}  // namespace instep

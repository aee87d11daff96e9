// Several agents that share a GPU: how much longer one step of all takes than one step of one.
#pragma once

#include "tools/library/measure/profile.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/settings_io.h"

namespace instep {

// Learns from random transitions with options.agents agents at once, each with a block, grid or
// cluster of its own in the same launch, then with each of them alone. Answers an exit code: 1 when
// an agent has other bits than alone; 0, soon, when a stop is requested. Throws CommandError.
int profile_agents(const ProfileOptions& options, const RunConfig& config,
                   const BackendChoice& choice);

}  // namespace instep

// Proximal Policy Optimization (Schulman et al., 2017) in the settings of its usual single-file
// implementation (CleanRL's ppo_continuous_action.py); a time limit bootstraps.
#pragma once

#include "runtime/algorithm.h"

namespace instep {

extern const AlgorithmInfo kPpoInfo;

}  // namespace instep

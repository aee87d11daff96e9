// Soft Actor-Critic (Haarnoja et al., 2018) with a learnt entropy weight, in the settings of its
// usual single-file implementation (CleanRL's sac_continuous_action.py).
#pragma once

#include "runtime/algorithm.h"

namespace instep {

extern const AlgorithmInfo kSacInfo;

}  // namespace instep

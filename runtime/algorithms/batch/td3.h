// Twin Delayed Deep Deterministic policy gradient (Fujimoto et al., 2018), in the settings of its
// usual single-file implementation (CleanRL's td3_continuous_action.py).
#pragma once

#include "runtime/algorithm.h"

namespace instep {

extern const AlgorithmInfo kTd3Info;

}  // namespace instep

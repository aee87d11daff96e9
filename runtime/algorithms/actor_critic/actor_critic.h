// AVG, IAC and RAC as entries of the algorithm table: incremental actor-critics on one learner
// (kernels/learner.h).
#pragma once

#include <string_view>

#include "kernels/learner.h"
#include "runtime/algorithm.h"

namespace instep {

extern const AlgorithmInfo kAvgInfo;
extern const AlgorithmInfo kIacInfo;
extern const AlgorithmInfo kRacInfo;

// The learner's settings from values of one of their tables.
LearnerSettings learner_settings(Algorithm algorithm, const SettingValues& values,
                                 Arithmetic arithmetic);

// The executor of that path in any backend of this machine, or null. An empty path is the CPU's
// best one.
const Executor* find_executor_anywhere(std::string_view path, Arithmetic arithmetic);

}  // namespace instep

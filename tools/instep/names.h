// The words users type and read for the things of the program.
#pragma once

#include <string>
#include <string_view>

#include "kernels/learner.h"

namespace instep {

std::string_view schedule_name(Schedule schedule);     // "act_first", "throughput"
std::string_view algorithm_name(Algorithm algorithm);  // "avg", "iac"

// Throws UsageError unless this version has the backend.
void check_backend(std::string_view backend);

// The executor of that path, or the best one of this machine when path is empty. Throws UsageError
// naming the paths that exist here.
const Executor& choose_executor(std::string_view path, Arithmetic arithmetic);

}  // namespace instep

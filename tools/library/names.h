// The words users type and read for the things of the program.
#pragma once

#include <string>
#include <string_view>

#include "kernels/learner.h"

namespace instep {

std::string_view schedule_name(Schedule schedule);     // "act_first", "throughput"
std::string_view algorithm_name(Algorithm algorithm);  // "avg", "iac"

// What computes. Paths have names of their own in every backend.
struct BackendChoice {
  std::string_view backend;  // "cpu", "cuda-emulated"
  const Executor* executor = nullptr;
};

// The executor of that path, or the best one of the backend ("auto": the CPU's) when path is empty.
// Throws UsageError naming what exists here.
BackendChoice choose_backend(std::string_view backend, std::string_view path,
                             Arithmetic arithmetic);

// The executor of that path in any backend, the CPU's best one when path is empty. Throws
// UsageError.
const Executor& choose_executor(std::string_view path, Arithmetic arithmetic);

// The executor of that path in any backend of this machine, or null.
const Executor* find_any_executor(std::string_view path, Arithmetic arithmetic);

}  // namespace instep

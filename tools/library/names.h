// The words users type and read for the things of the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/settings.h"

namespace instep {

std::string_view schedule_name(Schedule schedule);  // "act_first", "throughput"

// "hidden layers of 256", where the algorithm has such a setting; else its name.
std::string sizes_text(const RunSettings& settings);

// What computes. Paths have names of their own in every backend.
struct BackendChoice {
  std::string_view backend;  // "cpu", "cuda-emulated", "cuda"
  std::string_view path;
};

// That path, or the best one of the backend ("auto": the CPU's) when path is empty. Throws
// UsageError naming what exists here.
BackendChoice choose_backend(std::string_view backend, std::string_view path,
                             const RunSettings& settings);

// Whether any backend of this machine has that path for the run's algorithm.
bool has_path(std::string_view path, const RunSettings& settings);

}  // namespace instep

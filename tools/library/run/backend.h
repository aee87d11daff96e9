// Which of this machine's backends and paths computes a run.
#pragma once

#include <string_view>

#include "runtime/settings.h"

namespace instep {

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

// What computes a run: as asked for, or what is fastest here, measured and not guessed.
#pragma once

#include <string>

#include "runtime/settings.h"
#include "tasks/registry.h"

namespace instep {

struct BackendRequest {
  std::string backend = "auto";
  std::string path;  // empty: the backend's best one
  // Without a backend and a path: takes the one that computes an update soonest.
  bool measures = false;
};

struct BackendNames {
  std::string backend;
  std::string path;
  std::string measured{};  // in words, where something was; or why a GPU cannot be used
};

// choose_backend(), or where it is to measure, a few hundred updates of that learner on the CPU's
// best path and on every path of a GPU: answers the one with the shortest median. Without a GPU it
// answers the CPU at once. A process of its own does it: processes that are forked after
// a GPU's driver was opened could not use the GPU, and a path that fails while it is tried is no
// trouble of the run's. Throws CommandError.
BackendNames find_backend(const BackendRequest& request, const TaskInfo& task,
                          const RunSettings& settings, Schedule schedule);

}  // namespace instep

// The tasks this build can make, as parameters of a test, and random actions for them.
#pragma once

#include <ostream>
#include <vector>

#include "kernels/philox.h"
#include "tasks/registry.h"

namespace instep {

inline std::vector<const TaskInfo*> available_tasks() {
  std::vector<const TaskInfo*> available;
  for (const TaskInfo& task : all_tasks()) {
    if (task.make != nullptr) {
      available.push_back(&task);
    }
  }
  return available;
}

// GoogleTest names the parameter with it.
inline void PrintTo(const TaskInfo* task, std::ostream* out) {
  *out << task->name;
}

// Overwrites action with draws from (-1, 1) that depend on nothing but seed and step.
inline void random_action(std::uint64_t seed, std::uint64_t step, std::vector<float>* action) {
  std::vector<double> draws(action->size());
  const Random random{.seed = seed, .stream = static_cast<std::uint32_t>(Stream::kExploration)};
  random.uniform(step, draws.data(), static_cast<int>(draws.size()));
  for (std::size_t i = 0; i < draws.size(); ++i) {
    (*action)[i] = static_cast<float>(2.0 * draws[i] - 1.0);
  }
}

inline Random reset_random(std::uint64_t seed) {
  return {.seed = seed, .stream = static_cast<std::uint32_t>(Stream::kTaskReset)};
}

}  // namespace instep

// The commands that only tell: info, tasks, compare.
#pragma once

#include <string>

namespace instep {

// Build, backends and paths found; for a task (or the default learner) or a run's checkpoint the
// memory table. `run_or_task` may be empty, or name a task. Answers an exit code; throws
// CommandError.
int run_info(const std::string& run_or_task, const std::string& task, bool json);

// Every task with its sizes, period, bounds and default settings.
int run_tasks(bool json);

// Every key of an algorithm (empty: the default one) with its default value, for a task where one
// is named, its bounds and its meaning. Answers an exit code; throws UsageError.
int run_settings(const std::string& task, const std::string& algorithm, bool json);

// Where two runs differ first: settings, then episodes, then the newest checkpoint by named parts.
// Exit code 0 when their episodes and checkpoints are equal, 1 when they differ.
int run_compare(const std::string& first, const std::string& second);

}  // namespace instep

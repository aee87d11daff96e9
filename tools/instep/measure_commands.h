// The commands that tell of this build and this machine: info, tasks, settings, doctor, profile.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/library/measure/doctor.h"
#include "tools/library/measure/profile.h"

namespace instep {

// Each prints what it found, answers an exit code, and throws CommandError.

// Build, backends and paths found; for a task (or the default learner) or a run's checkpoint the
// memory table. `run_or_task` may be empty, or name a task.
int run_info(const std::string& run_or_task, const std::string& task, bool json);

// Every task with its sizes, period, bounds and default settings.
int run_tasks(bool json);

// Every key of an algorithm (empty: the default one) with its default value, for a task where one
// is named, its bounds and its meaning.
int run_settings(const std::string& task, const std::string& algorithm, bool json);

// Of this machine, or of the one that the files below `root` tell of, by the period of a task, or
// the shortest where `task` is empty. kCheckFailed when real time cannot be promised.
int run_doctor(const std::string& root, const std::string& task, bool json);

// {"real_time":bool,"findings":[{"check","level","text","mend"}]}, mend null where nothing is to
// mend.
nlohmann::json findings_json(const std::vector<Finding>& findings);

// Percentiles of every phase of an update; with options.agents of several agents on a GPU, with
// options.rate_hz on real time as well. Ctrl-C leaves it at what was measured by then.
int run_profile(const ProfileOptions& options, bool json);

}  // namespace instep

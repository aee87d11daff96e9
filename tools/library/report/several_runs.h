// The body of a report of several runs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/library/report/digest.h"

namespace instep {

// Runs that share a property, of at least one run.
using RunGroup = std::vector<const ReportedRun*>;

// The runs by task, each task where its first run stood.
std::vector<RunGroup> grouped_by_task(std::span<const ReportedRun> runs);

// The runs side by side, as HTML: each task with axes of its own, since returns of different tasks
// have nothing in common; each algorithm with the mean over its runs and the 95 % interval.
std::string several_runs_body(std::span<const ReportedRun> runs);

}  // namespace instep

// The body of a report of several runs.
#pragma once

#include <span>
#include <string>

#include "tools/library/report/digest.h"

namespace instep {

// The runs side by side, as HTML: each task with axes of its own, since returns of different tasks
// have nothing in common; runs of the same thing with their mean and its 95 % interval. What the
// runs do not share is said, and half-done ones are left out of means.
std::string several_runs_body(std::span<const ReportedRun> runs);

}  // namespace instep

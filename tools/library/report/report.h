// The HTML report of runs: one file that needs no network, no script and no other file.
#pragma once

#include <span>
#include <string>

#include "tools/library/report/run_record.h"

namespace instep {

// Renders one run in detail, or several side by side: each task with axes of its own, each
// algorithm with the mean over its runs and the 95 % interval. Numbers that are not finite are left
// out and counted. The size is bounded whatever the number of episodes. Throws UsageError without a
// run.
std::string render_report(std::span<const RunRecord> runs);

}  // namespace instep

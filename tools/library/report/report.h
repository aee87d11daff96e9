// The HTML report of runs: one file that needs no network, no script and no other file.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/library/report/run_record.h"

namespace instep {

// Renders one run in detail, or several side by side: each task with axes of its own, runs of the
// same thing with their mean and its 95 % interval. Numbers that are not finite are left out and
// counted. The size is bounded whatever the number of episodes. Throws UsageError without a run.
std::string render_report(std::span<const RunRecord> runs);

// The report command: reads the runs, of which a folder of several seeds names all, and writes the
// file `out`; when that is empty, report.html in the one folder named, or here. Nothing is written
// unless all runs could be read. Answers an exit code; throws CommandError.
int run_report(const std::vector<std::string>& folders, const std::string& out);

}  // namespace instep

// The HTML report of runs: one file that needs no network, no script and no other file.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tools/library/report/run_record.h"

namespace instep {

// Renders one run in detail, or several side by side: each task with axes of its own, runs of the
// same thing with their mean and its 95 % interval. Numbers that are not finite are left out and
// counted. The size is bounded whatever the number of episodes. Throws UsageError without a run.
std::string render_report(std::span<const RunRecord> runs);

// Told of what is odd about runs that can be read all the same.
using WarningTold = std::function<void(const std::string& warning)>;

// Reads the runs, of which a folder of several seeds names all, and writes the file `out`; when
// that is empty, report.html in the one folder named, or here. Answers the file's name. Nothing is
// written unless all runs could be read. Throws CommandError.
std::string write_report(const std::vector<std::string>& folders, const std::string& out,
                         const WarningTold& told = {});

}  // namespace instep

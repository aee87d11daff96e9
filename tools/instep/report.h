// The HTML report of runs: one file that needs no network, no script and no other file.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "tools/instep/run_record.h"

namespace instep {

// A mean and how far its 95 % interval reaches to either side.
struct MeanInterval {
  double mean = 0;
  double half_width = 0;
};

// What 95 % of Student's t distribution lies within, to either side of zero; right to 2e-4.
// Needs at least one degree of freedom.
double student_t_95(std::size_t degrees_of_freedom);

// The mean of independent values, with its 95 % interval; none of fewer than two values.
std::optional<MeanInterval> mean_interval_95(std::span<const double> values);

// Renders one run in detail, or several side by side: with the mean over runs and its 95 % interval
// where all have the same task and algorithm. Numbers that are not finite are left out and counted.
// The size is bounded whatever the number of episodes. Throws UsageError without a run.
std::string render_report(std::span<const RunRecord> runs);

}  // namespace instep

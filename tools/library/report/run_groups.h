// Which of several runs are runs of the same thing.
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

// Runs of one task that learnt under the same conditions: their mean is the mean of one thing.
struct AlikeRuns {
  std::string label;  // what tells them from the other groups; empty for a single group
  RunGroup runs;
  RunGroup counted;  // those that means are of: see Comparison
};

// How the runs of one task are compared.
struct Comparison {
  std::vector<AlikeRuns> groups;       // each where its first run stood
  std::vector<std::string> differing;  // names of the conditions in which the groups differ
  RunGroup left_out;                   // half-done ones, where some are done
  bool is_none_done = false;           // then all are counted
  // The step at which all counted runs are compared: the length of the shortest.
  double step = 0;
  double step_most = 0;  // the length of the longest

  bool has_different_lengths() const { return step < step_most; }
};
Comparison compare_runs(const RunGroup& runs);

}  // namespace instep

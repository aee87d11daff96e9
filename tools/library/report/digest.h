// What a report needs to know of a run.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/library/report/chart.h"
#include "tools/library/report/run_record.h"

namespace instep {

// A run digested. Its record must outlive it.
struct ReportedRun {
  const RunRecord* record = nullptr;
  std::string name;  // the end of its path
  std::string task;
  std::string algo;
  std::string seed;
  double steps = 0;
  double steps_planned = 0;  // 0 where it is not known
  // What decides how it learns, as words: the algorithm, every setting, what happens to the world,
  // robot or simulation. Not: seed, length, and what computed it.
  std::map<std::string, std::string> conditions;
  std::vector<Point> returns;      // of the episodes with a usable return, in order of step
  std::size_t left_out_count = 0;  // episodes without
  std::optional<double> first_eighth;
  std::optional<double> last_eighth;

  // Of a run without one, everything in it is empty.
  const RunSummary& summary() const;
  // Whether it has made the steps that it was to make.
  bool is_done() const;
  // The mean return of the episodes that ended in the eighth of `steps` before `steps`.
  std::optional<double> eighth_before(double at) const;
};

ReportedRun digest(const RunRecord& record);

// Every value of config.toml by its key, as words; none of a damaged one.
std::map<std::string, std::string> config_values(const std::string& config);

// Gives each run the shortest end of its path that tells it from the others.
void name_apart(std::span<ReportedRun> runs);

// A running mean at `count` steps, evenly spaced up to `steps`: of the episodes that ended in the
// last twentieth of `steps` before, or the value before where none did. It begins with the first
// episode and does not go beyond the run's own end.
std::vector<std::optional<double>> running_mean(const ReportedRun& run, double steps,
                                                std::size_t count);

}  // namespace instep

// What a report needs to know of a run.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/library/report/chart.h"
#include "tools/library/report/run_record.h"

namespace instep {

// A run digested. Its record must outlive it.
struct ReportedRun {
  const RunRecord* record = nullptr;
  std::string name;  // the folder's own name
  std::string task;
  std::string algo;
  std::string seed;
  double steps = 0;
  std::vector<Point> returns;      // of the episodes with a usable return, in order of step
  std::size_t left_out_count = 0;  // episodes without
  std::optional<double> first_eighth;
  std::optional<double> last_eighth;
};

ReportedRun digest(const RunRecord& record);

// A running mean at `count` steps, evenly spaced up to `steps`: of the episodes that ended in the
// last twentieth of `steps` before, or the value before where none did. It begins with the first
// episode and does not go beyond the run's own end.
std::vector<std::optional<double>> running_mean(const ReportedRun& run, double steps,
                                                std::size_t count);

// What a summary has under a key: null, none, "" or empty where it is missing, of another type or
// no usable number.
const nlohmann::json* value_at(const nlohmann::json& object, const char* key);
std::optional<double> number_at(const nlohmann::json& object, const char* key);
std::string text_at(const nlohmann::json& object, const char* key);
std::vector<nlohmann::json> entries_at(const nlohmann::json& object, const char* key);

}  // namespace instep

// summary.json: its one writer and its one reader.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "tools/library/report/run_summary.h"

namespace instep {

nlohmann::json to_json(const RunSummary& summary);
nlohmann::json to_json(const std::optional<Percentiles>& percentiles);  // null for none
nlohmann::json to_json(const std::vector<MemoryRow>& rows);
nlohmann::json to_json(const OverrunSummary& overruns);

// Reads what to_json() wrote, of this version or an earlier one. Throws DataError naming what is
// not as it must be, or that no run comes to.
RunSummary summary_from_json(const nlohmann::json& json);

}  // namespace instep

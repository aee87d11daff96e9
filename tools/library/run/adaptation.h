// A world that changes on the way, and what a learner gains over a policy that does not learn.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "runtime/settings.h"
#include "tasks/registry.h"

namespace instep {

// What happens to the world before the step-th control step, for good. As text: "at=N" and one or
// more of "what=value" or "what", which is 1; what there is, the task says (Environment::change).
struct WorldChange {
  static constexpr const char* kName = "change.txt";             // in the run's folder
  static constexpr const char* kFolder = "before_change";        // the run as it was at that step
  static constexpr const char* kResultName = "adaptation.json";  // what compare_with_frozen() says

  std::int64_t step = 0;
  std::vector<std::pair<std::string, double>> values;
  std::string text;
};

// Throws UsageError: the text is none.
WorldChange parse_change(const std::string& text);

// Reads what a run has kept. Throws DataError.
WorldChange read_change(const std::string& path);

// Throws UsageError unless that task knows such changes.
void check_change(const WorldChange& change, const TaskInfo& task);

// To a world whose task check_change() has accepted. Allocates nothing.
void apply_change(const WorldChange& change, Environment& world);

// The run in `folder` made `steps` steps, of which the last ones were in the changed world. Has two
// copies of what it was before act in the changed world for as many steps: one with frozen weights,
// whose normaliser goes on, and one in which nothing changes any more. Answers an object: `change`,
// `at`, `points` (each `step` and the mean return of the episodes that ended up to it since the
// last one: `learning`, `frozen_weights`, `frozen`, null where none did), and the same three over
// the last tenth of the steps, with `_end` behind their names. Throws DataError or IoError.
nlohmann::json compare_with_frozen(const RunConfig& config, const std::string& folder,
                                   const WorldChange& change, std::int64_t steps);

}  // namespace instep

// A world that changes on the way, and what a learner gains over a policy that does not learn.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/settings.h"
#include "tasks/registry.h"

namespace instep {

// What happens to the world before the step-th control step, for good. As text: "at=N" and one or
// more of "what=value" or "what", which is 1, or "what=value,value" for what_1 and what_2; what
// there is, the task says (Environment::change).
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

// The mean return of the episodes that ended up to a step since the last point; none where none
// did.
struct AdaptationPoint {
  std::int64_t step = 0;
  std::optional<double> learning{};        // the run itself
  std::optional<double> frozen_weights{};  // a copy whose normaliser alone goes on
  std::optional<double> frozen{};          // a copy in which nothing changes any more
};

// adaptation.json: what learning on gained when the world changed. The keys are the names of the
// fields.
struct Adaptation {
  std::string change;  // as text
  std::int64_t at = 0;
  std::int64_t steps = 0;
  std::vector<AdaptationPoint> points;
  std::optional<double> before;        // mean returns: of the last tenth of the steps before,
  std::optional<double> learning_end;  // and of the last tenth of those after
  std::optional<double> frozen_weights_end;
  std::optional<double> frozen_end;
  std::optional<double> learning_peak;  // of all steps after: the best of the points,
  std::optional<double> frozen_weights_peak;
  std::optional<double> frozen_peak;
  std::optional<double> learning_mean;  // the mean,
  std::optional<double> frozen_weights_mean;
  std::optional<double> frozen_mean;
  // and what each of the three, as it is at the end, earns without learning when the old world
  // comes back, over a tenth of the steps after.
  std::optional<double> learning_old_world;
  std::optional<double> frozen_weights_old_world;
  std::optional<double> frozen_old_world;
};

// The run in `folder` made `steps` steps, of which the last ones were in the changed world. Has two
// copies of what it was before act in the changed world for as many steps, and all three in the old
// one. Throws DataError or IoError.
Adaptation compare_with_frozen(const RunConfig& config, const std::string& folder,
                               const WorldChange& change, std::int64_t steps);

}  // namespace instep

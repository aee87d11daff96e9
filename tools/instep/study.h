// The study command.
#pragma once

#include <string>

#include "tools/library/measure/yardsticks.h"
#include "tools/library/run/random_search.h"

namespace instep {

// Each prints what it found, answers an exit code, and throws CommandError.
int run_random_search(const RandomSearchOptions& options);

struct YardstickCommand : YardstickOptions {
  std::string task = "create_mover";  // or ur_reacher2
};
int run_yardsticks(const YardstickCommand& options);

}  // namespace instep

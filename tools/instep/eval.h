// The eval command.
#pragma once

#include "tools/library/run/eval.h"

namespace instep {

// Evaluates and prints. Answers an exit code; throws CommandError.
int run_eval(const EvalOptions& options, bool json);

}  // namespace instep

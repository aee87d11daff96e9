// The eval command: a run's policy without learning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace instep {

struct EvalOptions {
  std::string run;  // folder
  std::int64_t episodes = 10;
  std::optional<std::uint64_t> seed;  // the run's own when absent
  bool deterministic = false;         // the squashed mean instead of a draw
  bool json = false;
};

// Runs episodes with the newest checkpoint's weights and statistics; episode i starts from (seed,
// i). No file is written. Answers an exit code; throws CommandError.
int run_eval(const EvalOptions& options);

}  // namespace instep

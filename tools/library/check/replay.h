// A run on a robot, once more without it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace instep {

struct ReplayResult {
  std::uint64_t ticks = 0;
  std::uint64_t actions = 0;                       // that were compared
  std::optional<std::int64_t> first_difference{};  // the step from which on actions differ
  std::int64_t checkpoint_step = 0;
  std::optional<bool> is_checkpoint_same{};  // none: the checkpoint is of another step

  bool passes() const { return !first_difference && is_checkpoint_same.value_or(true); }
};

// Gives the ticks of a record to the learner of the run beside it, and compares every action and
// the checkpoint, bit for bit. Throws CommandError.
ReplayResult replay(const std::string& file);

}  // namespace instep

#include "runtime/safety.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "kernels/check.h"

namespace instep {
namespace {

// Whatever the state and the event: a policy commands only after homing, what was held or faulted
// never goes on where it was, and a stop leads to rest from everywhere.
constexpr bool keeps_the_robot_safe() {
  for (int i = 0; i < kSafetyStates; ++i) {
    for (int k = 0; k < kSafetyEvents; ++k) {
      const auto state = static_cast<SafetyState>(i);
      const auto event = static_cast<SafetyEvent>(k);
      const SafetyState next = next_safety_state(state, event);
      const bool begins_to_run = next == SafetyState::kRunning && state != SafetyState::kRunning;
      if (begins_to_run && (state != SafetyState::kHoming || event != SafetyEvent::kHomed)) {
        return false;
      }
      if (event == SafetyEvent::kStop && next != SafetyState::kIdle) return false;
      const bool moves = next == SafetyState::kRunning || next == SafetyState::kHoming;
      if (moves && (event == SafetyEvent::kHold || event == SafetyEvent::kFault)) return false;
    }
  }
  return true;
}
static_assert(keeps_the_robot_safe());

}  // namespace

Limiter::Limiter(const CommandLimits& limits, double period_s)
    : limits_(limits), period_s_(period_s) {
  bool is_valid = limits.count >= 0 && limits.count <= Command::kValuesMax && period_s > 0.0;
  for (std::size_t i = 0; is_valid && i < static_cast<std::size_t>(limits.count); ++i) {
    is_valid = limits.lower[i] <= limits.upper[i] && limits.rate_max[i] > 0.0;
  }
  if (!is_valid) throw std::invalid_argument("command limits contradict themselves");
  for (std::size_t i = 0; i < static_cast<std::size_t>(limits.count); ++i) {
    standing_[i] = std::clamp(0.0, limits.lower[i], limits.upper[i]);
  }
  stand_still();
}

void Limiter::set_standing(std::span<const double> values) {
  INSTEP_CHECK(values.size() == static_cast<std::size_t>(limits_.count));
  for (const double value : values) INSTEP_CHECK(std::isfinite(value));
  std::copy(values.begin(), values.end(), standing_.begin());
}

std::uint32_t Limiter::apply(Command* command) {
  INSTEP_CHECK(command->count >= 0 && command->count <= Command::kValuesMax);
  const auto count = static_cast<std::size_t>(command->count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isfinite(command->values[i])) {
      *command = Command{};
      stand_still();
      return kNotFinite;
    }
  }
  if (command->kind != Command::kMove) {
    stand_still();
    return 0;
  }
  INSTEP_CHECK(command->count == limits_.count);
  std::uint32_t flags = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double wanted = command->values[i];
    const double in_range = std::clamp(wanted, limits_.lower[i], limits_.upper[i]);
    const double change_max = limits_.rate_max[i] * period_s_;
    const double sent = std::clamp(in_range, last_[i] - change_max, last_[i] + change_max);
    if (in_range != wanted) flags |= kLimitedRange;
    if (sent != in_range) flags |= kLimitedRate;
    // Once more, in other words, as this is the last that is between a number and a motor: within
    // the range, or no further from it than the rate lets it come back. A NaN fails.
    INSTEP_CHECK(sent >= std::min(limits_.lower[i], last_[i] - change_max) &&
                 sent <= std::max(limits_.upper[i], last_[i] + change_max));
    command->values[i] = last_[i] = sent;
  }
  return flags;
}

}  // namespace instep

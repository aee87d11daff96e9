// What stands between a policy and a motor: a state machine that decides whether commands may go
// out at all, and the limits that every command passes.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "runtime/robot.h"

namespace instep {

enum class SafetyState : std::uint8_t {
  kIdle,     // nobody wants the robot to move; it is stopped
  kHoming,   // on the way to an episode's start; the task commands
  kRunning,  // the policy commands
  kHeld,     // stopped until the reason is gone: a key, old sensors, a lost link
  kFaulted,  // stopped by the robot's own fault, a failed homing or a command that is no number
};
inline constexpr int kSafetyStates = 5;

enum class SafetyEvent : std::uint8_t {
  kBegin,    // an episode is wanted
  kHomed,    // the robot stands where an episode begins
  kHold,     // there is a reason to stand still
  kRelease,  // there is none any more
  kFault,
  kStop,  // the run is over
};
inline constexpr int kSafetyEvents = 6;

// The state after an event. A robot that was held or faulted never goes on where it was: it is
// homed first. An event that means nothing in a state does not change it.
constexpr SafetyState next_safety_state(SafetyState state, SafetyEvent event) {
  switch (event) {
    case SafetyEvent::kBegin:
      return state == SafetyState::kHeld ? state : SafetyState::kHoming;
    case SafetyEvent::kHomed:
      return state == SafetyState::kHoming ? SafetyState::kRunning : state;
    case SafetyEvent::kHold:
      return state == SafetyState::kHoming || state == SafetyState::kRunning ? SafetyState::kHeld
                                                                             : state;
    case SafetyEvent::kRelease:
      return state == SafetyState::kHeld ? SafetyState::kHoming : state;
    case SafetyEvent::kFault:
      return state == SafetyState::kIdle ? state : SafetyState::kFaulted;
    case SafetyEvent::kStop:
      return SafetyState::kIdle;
  }
  return SafetyState::kFaulted;
}

// What the limiter did to one command; bits.
enum LimitFlag : std::uint32_t {
  kLimitedRange = 1,
  kLimitedRate = 2,
  kNotFinite = 4,  // replaced by a stop
};

// Applies a task's limits to one command after another. It limits kMove. Any other kind passes, as
// long as its values are numbers, and the next kMove's rate starts from standing still.
class Limiter {
 public:
  // `period_s`: the time for which a command stands, which the rate limits refer to. Throws
  // std::invalid_argument when the limits contradict themselves.
  Limiter(const CommandLimits& limits, double period_s);

  // Changes *command to what may be sent; answers LimitFlags, 0 when it went through unchanged. A
  // kMove must have limits.count values.
  std::uint32_t apply(Command* command);

  // The values at which the robot stands, [limits.count], from now on; at first those nearest to 0.
  void set_standing(std::span<const double> values);
  // The next rate limit starts from there.
  void stand_still() { last_ = standing_; }

  // The values that the next rate limit starts from.
  const std::array<double, Command::kValuesMax>& last_values() const { return last_; }
  void set_last_values(const std::array<double, Command::kValuesMax>& values) { last_ = values; }

 private:
  CommandLimits limits_;
  double period_s_;
  std::array<double, Command::kValuesMax> standing_{};
  std::array<double, Command::kValuesMax> last_{};
};

}  // namespace instep

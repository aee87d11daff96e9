#include "runtime/safety.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/philox.h"

namespace instep {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Every state and event, written out: rows are states, columns begin, homed, hold, release, fault,
// stop.
TEST(SafetyState, EveryTransition) {
  constexpr SafetyState I = SafetyState::kIdle;
  constexpr SafetyState H = SafetyState::kHoming;
  constexpr SafetyState R = SafetyState::kRunning;
  constexpr SafetyState D = SafetyState::kHeld;
  constexpr SafetyState F = SafetyState::kFaulted;
  constexpr SafetyState kExpected[kSafetyStates][kSafetyEvents] = {
      {H, I, I, I, I, I},  // idle
      {H, R, D, H, F, I},  // homing
      {H, R, D, R, F, I},  // running
      {D, D, D, H, F, I},  // held
      {H, F, F, F, F, I},  // faulted
  };
  for (int state = 0; state < kSafetyStates; ++state) {
    for (int event = 0; event < kSafetyEvents; ++event) {
      EXPECT_EQ(next_safety_state(static_cast<SafetyState>(state), static_cast<SafetyEvent>(event)),
                kExpected[state][event])
          << "state " << state << ", event " << event;
    }
  }
}

CommandLimits two_limits() {
  CommandLimits limits;
  limits.count = 2;
  limits.lower = {-1.0, 0.5};
  limits.upper = {1.0, 2.0};
  limits.rate_max = {10.0, kInfinity};
  return limits;
}

Command move(double first, double second) {
  return {.kind = Command::kMove, .count = 2, .values = {first, second}};
}

TEST(Limiter, LetsThroughWhatIsAllowed) {
  Limiter limiter(two_limits(), 0.1);
  Command command = move(0.25, 1.5);
  EXPECT_EQ(limiter.apply(&command), 0U);
  EXPECT_EQ(command.values[0], 0.25);
  EXPECT_EQ(command.values[1], 1.5);
}

TEST(Limiter, ClampsToTheRange) {
  Limiter limiter(two_limits(), 0.1);
  Command command = move(-3.0, 0.0);
  EXPECT_EQ(limiter.apply(&command), kLimitedRange);
  EXPECT_EQ(command.values[0], -1.0);
  EXPECT_EQ(command.values[1], 0.5);
}

TEST(Limiter, ClampsTheChangeFromWhatWasSent) {
  Limiter limiter(two_limits(), 0.05);  // 0.5 a period
  const double expected[] = {0.5, 1.0, 1.0};
  for (const double sent : expected) {
    Command command = move(1.0, 1.0);
    EXPECT_EQ(limiter.apply(&command), sent < 1.0 ? kLimitedRate : 0U);
    EXPECT_EQ(command.values[0], sent);
  }
  Command both = move(-5.0, 1.0);
  EXPECT_EQ(limiter.apply(&both), kLimitedRange | kLimitedRate);
  EXPECT_EQ(both.values[0], 0.5);
}

TEST(Limiter, StartsFromStandingStillAfterAnythingElse) {
  Limiter limiter(two_limits(), 0.05);
  for (int i = 0; i < 3; ++i) {
    Command command = move(1.0, 1.0);
    limiter.apply(&command);
  }
  Command stop;
  EXPECT_EQ(limiter.apply(&stop), 0U);
  EXPECT_EQ(limiter.last_values()[0], 0.0);
  EXPECT_EQ(limiter.last_values()[1], 0.5);
  Command command = move(1.0, 1.0);
  EXPECT_EQ(limiter.apply(&command), kLimitedRate);
  EXPECT_EQ(command.values[0], 0.5);
}

TEST(Limiter, StandsNowhereThatIsNoNumber) {
  Limiter limiter(two_limits(), 0.05);
  const std::array<double, 2> pose = {0.0, std::numeric_limits<double>::quiet_NaN()};
  EXPECT_THROW(limiter.set_standing(pose), std::logic_error);
}

TEST(Limiter, TurnsWhatIsNoNumberIntoAStop) {
  for (const double bad : {std::nan(""), kInfinity, -kInfinity}) {
    Limiter limiter(two_limits(), 0.1);
    Command command = move(0.0, bad);
    EXPECT_EQ(limiter.apply(&command), kNotFinite);
    EXPECT_EQ(command.kind, Command::kStop);
    EXPECT_EQ(command.count, 0);
  }
}

TEST(Limiter, PassesADevicesOwnCommands) {
  Limiter limiter(two_limits(), 0.1);
  Command command{.kind = Command::kDeviceSpecific, .count = 1, .values = {500.0}};
  EXPECT_EQ(limiter.apply(&command), 0U);
  EXPECT_EQ(command.values[0], 500.0);
  command.values[0] = kInfinity;
  EXPECT_EQ(limiter.apply(&command), kNotFinite);
  EXPECT_EQ(command.kind, Command::kStop);
}

// The property itself, over random commands of which some are no numbers.
TEST(Limiter, SendsNothingBeyondTheLimitsWhateverItIsGiven) {
  const CommandLimits limits = two_limits();
  Limiter limiter(limits, 0.02);
  const Random random{1, 0};
  double last = 0.0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    double draw[4];
    random.uniform(i, draw, 4);
    Command command = move(std::tan(3.14 * (draw[0] - 0.5)), 10.0 * draw[1] - 5.0);
    if (draw[2] < 0.02) command.values[0] = std::nan("");
    if (draw[2] > 0.98) command = Command{};
    limiter.apply(&command);
    if (command.kind == Command::kStop) {
      last = 0.0;
      continue;
    }
    ASSERT_GE(command.values[0], -1.0);
    ASSERT_LE(command.values[0], 1.0);
    ASSERT_GE(command.values[1], 0.5);
    ASSERT_LE(command.values[1], 2.0);
    ASSERT_LE(std::fabs(command.values[0] - last), 10.0 * 0.02 + 1e-12);
    last = command.values[0];
  }
}

TEST(Limiter, RefusesLimitsThatContradictThemselves) {
  CommandLimits limits = two_limits();
  limits.lower[0] = 2.0;
  EXPECT_THROW(Limiter(limits, 0.1), std::invalid_argument);
  limits = two_limits();
  limits.rate_max[1] = 0.0;
  EXPECT_THROW(Limiter(limits, 0.1), std::invalid_argument);
  limits = two_limits();
  limits.upper[1] = std::nan("");
  EXPECT_THROW(Limiter(limits, 0.1), std::invalid_argument);
  limits = two_limits();
  limits.count = Command::kValuesMax + 1;
  EXPECT_THROW(Limiter(limits, 0.1), std::invalid_argument);
  EXPECT_THROW(Limiter(two_limits(), 0.0), std::invalid_argument);
}

}  // namespace
}  // namespace instep

#include "runtime/robot_world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <vector>

#include "allocation_count.h"
#include "scripted_robot.h"

namespace instep {
namespace {

constexpr std::int64_t kPeriodNs = 10'000'000;
constexpr Random kRandom{7, static_cast<std::uint32_t>(Stream::kTaskReset)};
constexpr float kForward[2] = {0.5F, -0.25F};

struct Rig {
  explicit Rig(bool is_dry_run = false)
      : world(task, link, signals,
              {.period_ns = kPeriodNs,
               .observation_dim = ScriptedRobotTask::kObservationDim,
               .is_phase_locked = false,
               .is_dry_run = is_dry_run}) {}

  void reset(std::uint64_t step = 0) { world.reset(kRandom, step, observation); }
  Outcome step(const float* action = kForward) { return world.step(action, observation); }

  ScriptedLink link;
  ScriptedRobotTask task;
  RobotSignals signals;
  RobotWorld world;
  double observation[ScriptedRobotTask::kObservationDim] = {};
};

bool is_stop(const Command& command) {
  return command.kind == Command::kStop;
}

TEST(RobotWorld, WaitsForSensorsThenHomesThenRuns) {
  Rig rig;
  EXPECT_EQ(rig.world.safety(), SafetyState::kIdle);
  rig.reset(42);
  EXPECT_EQ(rig.world.safety(), SafetyState::kRunning);
  EXPECT_EQ(rig.task.homings, 1);
  EXPECT_EQ(rig.task.homing_seed, 7U);
  EXPECT_EQ(rig.task.homing_step, 42U);
  // A stop while nothing is known, then two periods of homing; 10 ms at -0.5 each.
  ASSERT_EQ(rig.link.commands.size(), 3U);
  EXPECT_TRUE(is_stop(rig.link.commands[0]));
  EXPECT_EQ(rig.link.commands[1].values[0], -0.5);
  EXPECT_EQ(rig.link.commands[2].values[0], -0.5);
  EXPECT_NEAR(rig.observation[0], -0.01, 1e-12);
  EXPECT_EQ(rig.world.counters().homing_ticks, 2U);
  EXPECT_EQ(rig.world.counters().held_ticks, 1U);
}

TEST(RobotWorld, SendsEarlyAndSensesAPeriodLater) {
  Rig rig;
  rig.reset();
  const double before = rig.observation[0];
  const std::size_t commands = rig.link.commands.size();
  rig.world.send(kForward);
  ASSERT_EQ(rig.link.commands.size(), commands + 1);
  EXPECT_EQ(rig.link.commands.back().values[0], 0.5);
  EXPECT_EQ(rig.link.commands.back().values[1], -0.25);
  const Outcome outcome = rig.step();
  EXPECT_EQ(rig.link.commands.size(), commands + 1) << "sent once";
  EXPECT_FALSE(outcome.carries_no_step);
  EXPECT_NEAR(outcome.reward, before + 0.005, 1e-12);
  EXPECT_EQ(rig.observation[0], outcome.reward);
  // Without send(), step() sends.
  rig.step();
  EXPECT_EQ(rig.link.commands.size(), commands + 2);
}

TEST(RobotWorld, WaitsForAbsoluteDeadlines) {
  Rig rig;
  rig.link.late_ns = 3'000'000;
  rig.reset();
  for (int i = 0; i < 20; ++i) rig.step();
  for (std::size_t i = 1; i < rig.link.waits.size(); ++i) {
    EXPECT_EQ(rig.link.waits[i] - rig.link.waits[i - 1], kPeriodNs);
  }
  EXPECT_EQ(rig.world.counters().missed_periods, 0U);
  rig.link.late_ns = 25'000'000;
  rig.step();
  EXPECT_EQ(rig.world.counters().missed_periods, 2U);
}

TEST(RobotWorld, GivesEveryPacketToTheTaskInEveryState) {
  Rig rig;
  rig.reset();
  for (int i = 0; i < 5; ++i) rig.step();
  rig.signals.hold = true;
  rig.step();
  rig.link.wait_until(rig.link.now + 3 * kPeriodNs);
  rig.signals.hold = false;
  rig.reset();
  EXPECT_EQ(static_cast<std::size_t>(rig.task.taken), rig.link.queue.size());
}

TEST(RobotWorld, LimitsCommandsAndCountsIt) {
  Rig rig;
  rig.task.gain = 100.0;
  rig.reset();
  rig.step();
  EXPECT_EQ(rig.link.commands.back().values[0], 1.0);
  EXPECT_EQ(rig.link.commands.back().values[1], -1.0);
  EXPECT_EQ(rig.world.counters().commands_limited_range, 1U);
  EXPECT_EQ(rig.world.last_limit_flags(), kLimitedRange);
}

TEST(RobotWorld, StopsAtAnEpisodesEndBeforeAnybodyLearns) {
  Rig rig;
  for (const bool terminated : {true, false}) {
    rig.reset();
    rig.task.next = {.terminated = terminated, .truncated = !terminated};
    const Outcome outcome = rig.step();
    EXPECT_EQ(outcome.terminated, terminated);
    EXPECT_EQ(outcome.truncated, !terminated);
    EXPECT_FALSE(outcome.carries_no_step);
    EXPECT_TRUE(is_stop(rig.link.commands.back()));
    EXPECT_EQ(rig.link.velocity, 0.0);
  }
}

// Each reason to stand still: the robot is stopped in the same tick, nothing is learnt from it, and
// when the reason has gone the robot is homed again.
struct HoldCase {
  HoldCause cause;
  void (*begin)(Rig&);
  void (*end)(Rig&);
};

class RobotWorldHold : public testing::TestWithParam<HoldCase> {};

TEST_P(RobotWorldHold, StopsAndHomesAgain) {
  Rig rig;
  rig.reset();
  rig.step();
  const int senses = rig.task.senses;
  GetParam().begin(rig);
  Outcome outcome = rig.step();
  // Sensors grow old only with time.
  for (int i = 0; i < 2 && !outcome.carries_no_step; ++i) outcome = rig.step();
  ASSERT_TRUE(outcome.carries_no_step);
  EXPECT_EQ(rig.world.safety(), SafetyState::kHeld);
  EXPECT_TRUE(is_stop(rig.link.commands.back()));
  EXPECT_LE(rig.task.senses, senses + 1);
  EXPECT_EQ(rig.world.counters().holds[static_cast<std::size_t>(GetParam().cause)], 1U);

  GetParam().end(rig);
  rig.reset(9);
  EXPECT_EQ(rig.world.safety(), SafetyState::kRunning);
  EXPECT_EQ(rig.task.homings, 2);
  EXPECT_FALSE(rig.step().carries_no_step);
}

// The same while homing: the way starts afresh.
TEST_P(RobotWorldHold, StopsHomingToo) {
  Rig rig;
  rig.task.homing_ticks = 20;
  // The link is the only one who sees each tick of a reset: let it begin and end the reason.
  class MeddlingLink final : public RobotLink {
   public:
    explicit MeddlingLink(Rig& rig) : rig_(rig) {}
    std::int64_t now_ns() const override { return rig_.link.now_ns(); }
    void post(const Command& command) override {
      EXPECT_TRUE(!held_ || ticks_ <= 7 || is_stop(command)) << ticks_;
      rig_.link.post(command);
    }
    void wait_until(std::int64_t deadline_ns) override {
      if (++ticks_ == 5) GetParam().begin(rig_);
      if (ticks_ == 5) held_ = true;
      if (ticks_ == 15) GetParam().end(rig_);
      rig_.link.wait_until(deadline_ns);
      if (ticks_ == 15) held_ = false;
    }
    bool next_packet(Packet* out) override { return rig_.link.next_packet(out); }
    LinkState state() const override { return rig_.link.state(); }

   private:
    Rig& rig_;
    int ticks_ = 0;
    bool held_ = false;
  };
  MeddlingLink link(rig);
  RobotWorld world(rig.task, link, rig.signals,
                   {.period_ns = kPeriodNs, .observation_dim = 3, .is_phase_locked = false});
  world.reset(kRandom, 0, rig.observation);
  EXPECT_EQ(world.safety(), SafetyState::kRunning);
  EXPECT_EQ(rig.task.homings, 2);
  EXPECT_EQ(world.counters().holds[static_cast<std::size_t>(GetParam().cause)], 1U);
  EXPECT_GE(world.counters().held_ticks, 8U);
}

INSTANTIATE_TEST_SUITE_P(
    Causes, RobotWorldHold,
    testing::Values(HoldCase{HoldCause::kKey, [](Rig& rig) { rig.signals.hold = true; },
                             [](Rig& rig) { rig.signals.hold = false; }},
                    HoldCase{HoldCause::kStaleSensors, [](Rig& rig) { rig.link.is_silent = true; },
                             [](Rig& rig) { rig.link.is_silent = false; }},
                    HoldCase{HoldCause::kLinkLost,
                             [](Rig& rig) { rig.link.link_state = LinkState::kLost; },
                             [](Rig& rig) { rig.link.link_state = LinkState::kReady; }},
                    HoldCase{HoldCause::kTakenOver,
                             [](Rig& rig) { rig.link.link_state = LinkState::kTakenOver; },
                             [](Rig& rig) {
                               rig.link.link_state = LinkState::kReady;
                               rig.signals.hold = false;
                             }}));

// Only a person may say that the run goes on, and the link is told so.
TEST(RobotWorld, WaitsForAPersonAfterSomebodyElseHasTakenTheRobotOver) {
  Rig rig;
  rig.reset();
  rig.link.link_state = LinkState::kTakenOver;
  EXPECT_TRUE(rig.step().carries_no_step);
  EXPECT_EQ(rig.world.status(), RobotStatus::kTakenOver);
  EXPECT_TRUE(rig.signals.hold);
  rig.link.link_state = LinkState::kReady;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(rig.step().carries_no_step) << i;
  EXPECT_EQ(rig.link.commands.back().acknowledged, 0);
  rig.signals.hold = false;
  rig.link.link_state = LinkState::kTakenOver;  // the link has not heard it yet
  const std::size_t first = rig.link.commands.size();
  EXPECT_TRUE(rig.step().carries_no_step);
  EXPECT_FALSE(rig.signals.hold) << "one key is enough";
  EXPECT_EQ(rig.link.commands.back().acknowledged, 1);
  rig.link.link_state = LinkState::kReady;
  rig.reset();
  EXPECT_EQ(rig.world.safety(), SafetyState::kRunning);
  EXPECT_EQ(rig.task.homings, 2);
  EXPECT_GT(rig.link.commands.size(), first);
  // Somebody does it again.
  for (int i = 0; i < 150; ++i) rig.step();
  rig.link.link_state = LinkState::kTakenOver;
  EXPECT_TRUE(rig.step().carries_no_step);
  EXPECT_TRUE(rig.signals.hold);
  EXPECT_EQ(rig.world.counters().holds[static_cast<std::size_t>(HoldCause::kTakenOver)], 2U);
}

TEST(RobotWorld, CountsWhoTookItOverWhileItWasHeld) {
  Rig rig;
  rig.reset();
  rig.link.link_state = LinkState::kLost;
  EXPECT_TRUE(rig.step().carries_no_step);
  rig.link.link_state = LinkState::kTakenOver;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(rig.step().carries_no_step);
  const auto& holds = rig.world.counters().holds;
  EXPECT_EQ(holds[static_cast<std::size_t>(HoldCause::kLinkLost)], 1U);
  EXPECT_EQ(holds[static_cast<std::size_t>(HoldCause::kTakenOver)], 1U);
}

TEST(RobotWorld, LetsOthersDriveInADryRun) {
  Rig rig(true);
  rig.reset();
  rig.link.link_state = LinkState::kTakenOver;
  EXPECT_FALSE(rig.step().carries_no_step);
  EXPECT_FALSE(rig.signals.hold);
}

// A joint that is told positions, at 1.5 rad, and may move by 0.04 rad a tick.
struct PositionRig {
  PositionRig() {
    task.command_limits.are_positions = true;
    task.command_limits.lower = {-3.0, -3.0};
    task.command_limits.upper = {3.0, 3.0};
    task.command_limits.rate_max.fill(4.0);
    task.homing_value = 1.6;
    link.takes_positions = true;
    link.position = 1.5;
    world.emplace(task, link, signals,
                  RobotWorldConfig{.period_ns = kPeriodNs,
                                   .observation_dim = ScriptedRobotTask::kObservationDim,
                                   .is_phase_locked = false});
  }

  void reset() { world->reset(kRandom, 0, observation); }
  Outcome step(float to) {
    const float action[2] = {to, 0.0F};
    return world->step(action, observation);
  }
  const Command& last() const { return link.commands.back(); }
  // Every position that it was sent since, one after the other, is at most one tick away.
  void expect_no_jump(std::size_t first, double from) const {
    for (std::size_t i = first; i < link.commands.size(); ++i) {
      const Command& command = link.commands[i];
      if (command.kind != Command::kMove) continue;
      EXPECT_NEAR(command.values[0], from, 0.0401) << i;
      from = command.values[0];
    }
  }

  ScriptedLink link;
  ScriptedRobotTask task;
  RobotSignals signals;
  double observation[ScriptedRobotTask::kObservationDim] = {};
  std::optional<RobotWorld> world;
};

TEST(RobotWorldPositions, BeginWhereTheRobotIs) {
  PositionRig rig;
  rig.reset();
  EXPECT_TRUE(is_stop(rig.link.commands[0])) << "no pose is known yet";
  EXPECT_EQ(rig.link.commands[1].kind, Command::kMove);
  rig.expect_no_jump(1, 1.5);
  for (int i = 0; i < 20; ++i) rig.step(2.0F);
  rig.expect_no_jump(1, 1.5);
  EXPECT_EQ(rig.last().values[0], 2.0);
}

TEST(RobotWorldPositions, StandStillAtTheLastMeasuredPose) {
  PositionRig rig;
  rig.reset();
  rig.step(1.5F);
  rig.link.sag_per_packet = 1e-4;
  rig.signals.hold = true;
  const Outcome outcome = rig.step(2.0F);
  ASSERT_TRUE(outcome.carries_no_step);
  const double pose = rig.task.position;
  const std::size_t first = rig.link.commands.size();
  EXPECT_EQ(rig.last().kind, Command::kMove);
  EXPECT_EQ(rig.last().values[0], pose);
  // As long as it is held it is the same pose, and does not sink with what is measured.
  std::size_t ticks = 0;
  class Releasing final : public RobotLink {
   public:
    Releasing(PositionRig& rig, std::size_t& ticks) : rig_(rig), ticks_(ticks) {}
    std::int64_t now_ns() const override { return rig_.link.now_ns(); }
    void post(const Command& command) override { rig_.link.post(command); }
    void wait_until(std::int64_t deadline_ns) override {
      if (++ticks_ == 50) rig_.signals.hold = false;
      rig_.link.wait_until(deadline_ns);
    }
    bool next_packet(Packet* out) override { return rig_.link.next_packet(out); }
    LinkState state() const override { return rig_.link.state(); }

   private:
    PositionRig& rig_;
    std::size_t& ticks_;
  };
  Releasing link(rig, ticks);
  RobotWorld world(rig.task, link, rig.signals,
                   {.period_ns = kPeriodNs, .observation_dim = 3, .is_phase_locked = false});
  world.reset(kRandom, 0, rig.observation);
  std::size_t held = 0;
  for (std::size_t i = first; i < rig.link.commands.size(); ++i) {
    const Command& command = rig.link.commands[i];
    if (command.kind != Command::kMove || i > first + 49) continue;
    EXPECT_NEAR(command.values[0], pose, 2e-3) << i;
    EXPECT_EQ(command.values[0], rig.link.commands[first + 1].values[0]) << i;
    ++held;
  }
  EXPECT_GE(held, 48U);
  rig.expect_no_jump(first, pose);
}

TEST(RobotWorldPositions, AreSentAsTheyAreBeyondTheLimits) {
  PositionRig rig;
  rig.reset();
  rig.step(1.5F);
  rig.link.position = 3.2;  // somebody has pushed it
  rig.link.is_jammed = true;
  rig.signals.hold = true;
  rig.step(2.9F);
  EXPECT_EQ(rig.last().values[0], 3.2);
}

TEST(RobotWorldPositions, StandWhereTheyWereAfterACommandThatIsNoNumber) {
  PositionRig rig;
  rig.reset();
  rig.step(1.5F);
  rig.task.gain = std::nan("");
  rig.link.is_jammed = true;
  EXPECT_TRUE(rig.step(1.0F).carries_no_step);
  EXPECT_EQ(rig.world->safety(), SafetyState::kFaulted);
  EXPECT_EQ(rig.last().kind, Command::kMove);
  EXPECT_EQ(rig.last().values[0], rig.task.position);
}

// Whoever has lost sight of the robot does not know where it stands: no old pose is sent, neither
// then nor when it is back.
TEST(RobotWorldPositions, AreNotHeldAtAPoseThatNobodyMeasures) {
  for (const bool is_lost : {false, true}) {
    PositionRig rig;
    rig.reset();
    for (int i = 0; i < 10; ++i) rig.step(1.6F);
    if (is_lost) rig.link.link_state = LinkState::kLost;
    rig.link.is_silent = true;
    Outcome outcome;
    for (int i = 0; i < 4 && !outcome.carries_no_step; ++i) outcome = rig.step(1.6F);
    ASSERT_TRUE(outcome.carries_no_step);
    EXPECT_TRUE(is_stop(rig.last()));
    rig.link.wait_until(rig.link.now + 5 * kPeriodNs);
    rig.link.position = 0.3;
    rig.link.link_state = LinkState::kReady;
    rig.link.is_silent = false;
    const std::size_t first = rig.link.commands.size();
    rig.reset();
    rig.step(1.0F);
    rig.expect_no_jump(first, 0.3);
  }
}

TEST(RobotWorldPositions, GoOnFromASavedState) {
  PositionRig rig;
  rig.reset();
  for (int i = 0; i < 3; ++i) rig.step(2.0F);
  std::vector<std::uint8_t> state(rig.world->state_bytes());
  rig.world->save_state(state);
  PositionRig fresh;
  fresh.link.now = rig.link.now;
  fresh.link.next_packet_ns = rig.link.next_packet_ns;
  fresh.link.position = rig.link.position;
  fresh.link.sequence = rig.link.sequence;
  ASSERT_TRUE(fresh.world->load_state(state));
  for (int i = 0; i < 10; ++i) {
    rig.step(2.0F);
    fresh.step(2.0F);
    EXPECT_EQ(fresh.last().values[0], rig.last().values[0]) << i;
  }
}

TEST(RobotWorld, HomesAfterTheRobotsOwnFault) {
  Rig rig;
  rig.reset();
  rig.task.next = {.is_faulted = true};
  EXPECT_TRUE(rig.step().carries_no_step);
  EXPECT_EQ(rig.world.safety(), SafetyState::kFaulted);
  EXPECT_TRUE(is_stop(rig.link.commands.back()));
  rig.reset();
  EXPECT_EQ(rig.world.safety(), SafetyState::kRunning);
  EXPECT_EQ(rig.task.homings, 2);
  EXPECT_EQ(rig.world.counters().faults, 1U);
}

TEST(RobotWorld, TakesACommandThatIsNoNumberForAFault) {
  Rig rig;
  rig.reset();
  rig.task.gain = std::nan("");
  EXPECT_TRUE(rig.step().carries_no_step);
  for (const Command& command : rig.link.commands) EXPECT_TRUE(std::isfinite(command.values[0]));
  EXPECT_TRUE(is_stop(rig.link.commands.back()));
  EXPECT_EQ(rig.world.safety(), SafetyState::kFaulted);
  EXPECT_EQ(rig.world.counters().commands_not_finite, 1U);
}

TEST(RobotWorld, GivesUpAfterHomingHasFailedOftenEnough) {
  Rig rig;
  rig.task.homing_fails = true;
  rig.reset();
  EXPECT_TRUE(std::isnan(rig.observation[0]));
  EXPECT_EQ(rig.world.end(), RobotEnd::kHomingFailed);
  EXPECT_EQ(rig.task.homings, 5);
  EXPECT_EQ(rig.world.safety(), SafetyState::kIdle);
  EXPECT_TRUE(is_stop(rig.link.commands.back()));
}

TEST(RobotWorld, BeginsNoEpisodeOnceStopped) {
  Rig rig;
  rig.reset();
  rig.step();
  rig.signals.stop = true;
  rig.reset();
  for (const double value : rig.observation) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(rig.world.end(), RobotEnd::kStopped);
  EXPECT_EQ(rig.world.safety(), SafetyState::kIdle);
  EXPECT_TRUE(is_stop(rig.link.commands.back()));
  EXPECT_EQ(rig.task.homings, 1);
}

TEST(RobotWorld, GivesUpOnALinkThatHasFailed) {
  Rig rig;
  rig.link.link_state = LinkState::kFailed;
  rig.reset();
  EXPECT_EQ(rig.world.end(), RobotEnd::kLinkFailed);
  EXPECT_TRUE(std::isnan(rig.observation[0]));
}

TEST(RobotWorld, GivesUpOnALinkThatIsLostForTooLong) {
  Rig rig;
  rig.reset();
  rig.link.link_state = LinkState::kLost;
  rig.link.is_silent = true;
  const std::int64_t lost_ns = rig.link.now;
  EXPECT_TRUE(rig.step().carries_no_step);
  rig.reset();
  EXPECT_EQ(rig.world.end(), RobotEnd::kLinkFailed);
  EXPECT_NEAR(static_cast<double>(rig.link.now - lost_ns), 600e9, 1e9);
}

TEST(RobotWorld, SendsNothingAtAllInADryRun) {
  Rig rig(true);
  rig.reset();
  EXPECT_EQ(rig.world.safety(), SafetyState::kRunning);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(rig.step().carries_no_step);
  rig.world.stop();
  EXPECT_TRUE(rig.link.commands.empty());
  EXPECT_EQ(rig.task.senses, 10);
}

TEST(RobotWorld, GoesOnFromASavedState) {
  Rig rig;
  rig.task.command_limits.rate_max.fill(20.0);
  Rig fresh;
  rig.reset();
  for (int i = 0; i < 5; ++i) rig.step();
  rig.world.send(kForward);
  std::vector<std::uint8_t> state(rig.world.state_bytes());
  rig.world.save_state(state);

  fresh.link.now = rig.link.now;
  fresh.link.next_packet_ns = rig.link.next_packet_ns;
  fresh.link.position = rig.link.position;
  fresh.link.velocity = rig.link.velocity;
  fresh.link.sequence = rig.link.sequence;
  ASSERT_TRUE(fresh.world.load_state(state));
  for (int i = 0; i < 10; ++i) {
    const Outcome expected = rig.step();
    const Outcome outcome = fresh.step();
    EXPECT_EQ(outcome.reward, expected.reward);
    EXPECT_EQ(fresh.link.waits.back(), rig.link.waits.back());
    EXPECT_EQ(fresh.link.commands.size(), static_cast<std::size_t>(i)) << "the first was sent";
    rig.world.send(kForward);
    fresh.world.send(kForward);
  }
}

TEST(RobotWorld, RefusesBytesThatAreNoState) {
  Rig rig;
  rig.reset();
  rig.world.send(kForward);
  std::vector<std::uint8_t> state(rig.world.state_bytes());
  rig.world.save_state(state);
  std::vector<std::uint8_t> cut(state.begin(), state.end() - 1);
  EXPECT_FALSE(rig.world.load_state(cut));
  state[0] = 77;
  EXPECT_FALSE(rig.world.load_state(state));
}

TEST(RobotWorld, AllocatesNothingAfterItsConstructor) {
  if (!INSTEP_COUNTS_ALLOCATIONS) GTEST_SKIP() << "a sanitizer brings its own malloc";
  Rig rig;
  rig.link.queue.reserve(10'000);
  rig.link.commands.reserve(10'000);
  rig.link.waits.reserve(10'000);
  allocation_count = 0;
  counting_condition = [] { return true; };
  for (int episode = 0; episode < 10; ++episode) {
    rig.reset();
    for (int i = 0; i < 20; ++i) rig.step();
  }
  counting_condition = nullptr;
  EXPECT_EQ(allocation_count, 0);
}

}  // namespace
}  // namespace instep

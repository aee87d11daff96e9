// create_mover's rules against numbers worked out by hand, and hours of it on simulated time.
#include "tasks/create_mover/create_mover.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <vector>

#include "drivers/create2/session.h"
#include "drivers/create2/simulator.h"
#include "runtime/robot_world.h"
#include "runtime/simulated_link.h"
#include "tasks/create_mover/wall_avoider.h"

namespace instep {
namespace {

constexpr std::int64_t kPeriodNs = 150'000'000;

TEST(CreateMover, ScalesLightBumpersAsItsOriginDoes) {
  EXPECT_NEAR(normalized_light_bump(20), -1.0, 1e-12);
  EXPECT_NEAR(normalized_light_bump(50), -0.12, 0.005);
  EXPECT_NEAR(normalized_light_bump(100), 0.266, 0.0005);
  EXPECT_NEAR(normalized_light_bump(500), 0.752, 0.0005);
  EXPECT_NEAR(normalized_light_bump(1000), 0.864, 0.0005);
  EXPECT_NEAR(normalized_light_bump(4095), 1.0, 1e-12);
  // Free air, which would be -2.39 and -7.34 there.
  EXPECT_EQ(normalized_light_bump(10), -1.0);
  EXPECT_EQ(normalized_light_bump(0), -1.0);
}

// The task, fed with frames by hand.
class Frames : public testing::Test {
 protected:
  void feed(const std::map<int, std::uint32_t>& values) {
    Create2FrameWriter writer;
    writer.begin();
    for (const std::uint8_t id : kCreate2StreamIds) {
      const auto found = values.find(id);
      writer.add(id, found != values.end() ? found->second : id == 25 || id == 26 ? 2600 : 0);
    }
    const auto frame = writer.finish();
    Packet packet;
    packet.size = static_cast<std::uint32_t>(frame.size());
    std::copy(frame.begin(), frame.end(), packet.bytes.begin());
    task_.take(packet);
  }

  Sensed sense() { return task_.sense(observation_.data()); }

  CreateMover task_;
  std::array<double, kCreateMoverObservationDim> observation_{};
};

TEST_F(Frames, PayForEveryMillimetreOnce) {
  feed({{43, 65530}, {44, 65530}});
  task_.first_observation(observation_.data());
  feed({{43, 1}, {44, 1}});
  feed({{43, 1}, {44, 1}});  // a repeated frame
  feed({{43, 51}, {44, 31}});
  // 57 and 37 counts of 0.444565 mm.
  EXPECT_NEAR(sense().reward, 0.15 * 47 * 0.444565, 1e-4);
  EXPECT_EQ(sense().reward, 0.0);
  feed({{43, 31}, {44, 11}});
  EXPECT_NEAR(sense().reward, -0.15 * 20 * 0.444565, 1e-4);
}

TEST_F(Frames, EndAnEpisodeAtContactsDropsCliffsAndTheDock) {
  const auto ends = [this](int id, std::uint32_t value) {
    feed({});
    task_.first_observation(observation_.data());
    feed({{id, value}});
    feed({});  // over before the tick
    const Sensed sensed = sense();
    EXPECT_FALSE(sense().terminated);
    return sensed.terminated;
  };
  for (const std::uint32_t bumps : {1U, 2U, 4U, 8U}) EXPECT_TRUE(ends(7, bumps));
  for (const int cliff : {9, 10, 11, 12}) EXPECT_TRUE(ends(cliff, 1));
  EXPECT_TRUE(ends(34, 2));
  EXPECT_FALSE(ends(34, 1));  // the internal charger
  EXPECT_FALSE(ends(58, 1));
}

TEST_F(Frames, AreObservedWithTheActionBeforeThem) {
  feed({{46, 100}, {51, 4095}});
  task_.first_observation(observation_.data());
  EXPECT_NEAR(observation_[0], 0.266, 0.0005);
  EXPECT_NEAR(observation_[5], 1.0, 1e-12);
  EXPECT_EQ(observation_[6], 0.0);
  const float action[] = {0.5F, -1.0F};
  Command command;
  task_.to_command(action, &command);
  EXPECT_EQ(command.kind, Command::kMove);
  EXPECT_EQ(command.values[0], 75.0);
  EXPECT_EQ(command.values[1], -150.0);
  sense();
  EXPECT_EQ(observation_[6], 0.5);
  EXPECT_EQ(observation_[7], -1.0);
  EXPECT_EQ(task_.limits().upper[0], 150.0);
  EXPECT_EQ(task_.limits().lower[1], -150.0);
}

TEST_F(Frames, AreTruncatedAfterSixHundredSteps) {
  feed({});
  task_.first_observation(observation_.data());
  for (int i = 0; i < 599; ++i) EXPECT_FALSE(sense().truncated);
  const Sensed last = sense();
  EXPECT_TRUE(last.truncated);
  EXPECT_FALSE(last.terminated);
}

TEST_F(Frames, HoldHomingWhileAWheelHangs) {
  feed({{7, 4}});
  task_.begin_homing({1, 2}, 0, 0);
  Command command;
  for (std::int64_t tick = 0; tick < 1000; ++tick) {
    EXPECT_EQ(task_.home(tick * kPeriodNs, &command), Homing::kContinues);
    EXPECT_EQ(command.kind, Command::kStop);
  }
  feed({});
  task_.home(1000 * kPeriodNs, &command);
  EXPECT_EQ(command.kind, Command::kMove);
  EXPECT_EQ(command.values[0], -150.0);
}

TEST_F(Frames, SendARobotWithALowBatteryHome) {
  feed({{25, 1500}});
  task_.begin_homing({1, 2}, 0, 0);
  Command command;
  task_.home(kPeriodNs, &command);
  EXPECT_EQ(command.kind, kCreate2SeekDock);
  feed({{25, 1500}, {34, 2}});
  task_.home(2 * kPeriodNs, &command);
  task_.home(3 * kPeriodNs, &command);
  EXPECT_EQ(command.kind, kCreate2Rest);
  // A connection that was lost meanwhile begins homing anew: it goes on charging.
  feed({{25, 2000}, {34, 2}});
  task_.begin_homing({1, 2}, 0, 4 * kPeriodNs);
  task_.home(5 * kPeriodNs, &command);
  EXPECT_EQ(command.kind, kCreate2Rest);
  feed({{25, 2600}, {34, 2}});
  task_.home(6 * kPeriodNs, &command);
  task_.home(7 * kPeriodNs, &command);
  EXPECT_EQ(command.kind, Command::kMove);
  EXPECT_EQ(command.values[0], -150.0);
}

// No one moves this robot: between episodes it homes itself, and when its battery is low it finds
// its dock, sleeps there, is woken, and drives off again.
TEST(CreateMoverForHours, ChargesByItself) {
  Create2Simulator simulator({.seed = 4, .speed_limit_mm_s = 150.0, .clock_drift = 2e-4});
  simulator.restart({4, static_cast<std::uint32_t>(Stream::kTaskReset)}, 0);
  Create2Session session;
  SimulatedLink link(session, simulator);
  link.restart();
  CreateMover task;
  RobotSignals signals;
  RobotWorld world(task, link, signals,
                   {.period_ns = kPeriodNs, .observation_dim = kCreateMoverObservationDim});
  const Random random{4, static_cast<std::uint32_t>(Stream::kTaskReset)};
  std::array<double, kCreateMoverObservationDim> observation{};
  std::array<float, kCreateMoverActionDim> action{};
  int episodes = 0;
  int charges = 0;
  double charge = simulator.charge_mah();
  double longest_reset_s = 0.0;
  while (link.now_ns() < 6 * 3'600'000'000'000 && world.end() == RobotEnd::kNone) {
    const std::int64_t begin_ns = link.now_ns();
    world.reset(random, static_cast<std::uint64_t>(episodes), observation.data());
    ASSERT_EQ(world.end(), RobotEnd::kNone);
    longest_reset_s =
        std::max(longest_reset_s, static_cast<double>(link.now_ns() - begin_ns) * 1e-9);
    if (simulator.charge_mah() > charge + 500) ++charges;
    charge = simulator.charge_mah();
    ++episodes;
    for (Outcome outcome; !outcome.terminated && !outcome.truncated && !outcome.carries_no_step;) {
      wall_avoider(observation.data(), action.data());
      outcome = world.step(action.data(), observation.data());
    }
  }
  EXPECT_GE(charges, 2);
  EXPECT_GT(episodes, 100);
  EXPECT_GT(simulator.charge_mah(), 1300);
  EXPECT_LT(longest_reset_s, 2 * 3600.0);
  EXPECT_EQ(simulator.counters().limit_violations, 0);
}

TEST(CreateMoverChanges, AreThoseThatItNames) {
  const auto world = make_create_mover();
  EXPECT_TRUE(world->change("left_wheel", 0.6));
  EXPECT_TRUE(world->change("right_wheel", 1.0));
  EXPECT_TRUE(world->change("sensor_swap", 1.0));
  EXPECT_TRUE(world->change("delay", 1.0));
  EXPECT_FALSE(world->change("left_wheel", 1.6));
  EXPECT_FALSE(world->change("left_wheel", std::nan("")));
  EXPECT_FALSE(world->change("sensor_swap", 0.5));
  EXPECT_FALSE(world->change("delay", 7.0));
  EXPECT_FALSE(world->change("gravity", 1.0));
}

// Full speed from the same start, before and after a change.
TEST(CreateMoverChanges, LastThroughResetsAndCheckpoints) {
  const Random random{3, static_cast<std::uint32_t>(Stream::kTaskReset)};
  std::array<double, kCreateMoverObservationDim> observation{};
  const float ahead[] = {1.0F, 1.0F};
  const auto second_reward = [&](Environment& world) {
    world.reset(random, 7, observation.data());
    for (int i = 0; i < 2; ++i) world.step(ahead, observation.data());
    return world.step(ahead, observation.data()).reward;
  };
  const auto world = make_create_mover();
  const double before = second_reward(*world);
  EXPECT_NEAR(before, 0.15 * 0.15 * 142.5, 0.1);
  ASSERT_TRUE(world->change("left_wheel", 0.6));
  const double after = second_reward(*world);
  EXPECT_NEAR(after, 0.15 * 0.15 * 142.5 * 0.8, 0.1);
  std::vector<std::uint8_t> state(world->state_bytes());
  world->save_state(state);
  const auto other = make_create_mover();
  ASSERT_TRUE(other->load_state(state));
  EXPECT_EQ(second_reward(*other), after);
}

}  // namespace
}  // namespace instep

// create_mover's rules against numbers worked out by hand, and hours of it on simulated time.
#include "tasks/create_mover/create_mover.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <string>
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
    std::array<double, kCreate2Fields> read{};
    ASSERT_TRUE(task_.packets().decode(packet, read));
    task_.take({packet.time_ns, read});
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

// Whatever a frame says, no tick pays more than wheels can drive, and a way that no wheel can have
// driven pays nothing; a little too much is paid later.
TEST_F(Frames, PayNoMoreThanWheelsCanDrive) {
  constexpr double kMost = 0.15 * 150 * 0.15 * 1.05 + 0.1;
  feed({});
  task_.first_observation(observation_.data());
  feed({{43, 30000}, {44, 30000}});
  EXPECT_EQ(sense().reward, 0.0);
  feed({{43, 30060}, {44, 30060}});  // 26.7 mm
  feed({{43, 30070}, {44, 30060}});
  const double first = sense().reward;
  EXPECT_LT(first, kMost);
  EXPECT_NEAR(first + sense().reward, 0.15 * 65 * 0.444565, 1e-4);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    feed({{43, 7919 * i % 65536}, {44, 104'729 * i % 65536}});
    EXPECT_LT(std::abs(sense().reward), kMost);
  }
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

// A battery that holds half of what it did is full and low at half the charge.
TEST_F(Frames, KnowABatteryByItsCapacity) {
  const auto goes_to_the_dock = [this](std::uint32_t charge, std::uint32_t capacity) {
    task_.restart();
    for (int i = 0; i < 30; ++i) feed({{25, charge}, {26, capacity}});
    task_.begin_homing({1, 2}, 0, 0);
    Command command;
    task_.home(kPeriodNs, &command);
    return command.kind == kCreate2SeekDock;
  };
  EXPECT_FALSE(goes_to_the_dock(2600, 2696));
  EXPECT_TRUE(goes_to_the_dock(1500, 2696));
  EXPECT_FALSE(goes_to_the_dock(1200, 1348)) << "a worn one";
  EXPECT_TRUE(goes_to_the_dock(700, 1348));
  EXPECT_FALSE(goes_to_the_dock(4000, 5200)) << "a larger one";
  EXPECT_TRUE(goes_to_the_dock(2900, 5200));
  EXPECT_STREQ(task_.notice(), "battery low: looking for its dock, up to 20 min");
  // What tells nonsense tells nothing.
  EXPECT_FALSE(goes_to_the_dock(65529, 2696));
  EXPECT_NE(std::string(task_.notice()).find("battery unknown"), std::string::npos);
  EXPECT_FALSE(goes_to_the_dock(100, 0));
  EXPECT_FALSE(goes_to_the_dock(100, 65535));
}

// Ticks of homing until it has failed, in seconds; -1 after a day.
template <typename Feed>
double seconds_until_failed(CreateMover& task, const Feed& feed) {
  task.begin_homing({1, 2}, 0, 0);
  Command command;
  for (std::int64_t tick = 1; tick < 576'000; ++tick) {
    feed(tick);
    // A robot that sleeps on its dock is lost for a moment, and homed again, every minute.
    if (tick % 400 == 0) task.begin_homing({1, 2}, 0, tick * kPeriodNs);
    if (task.home(tick * kPeriodNs, &command) == Homing::kFailed) {
      return static_cast<double>(tick) * kCreateMoverPeriodS;
    }
  }
  return -1.0;
}

TEST_F(Frames, WaitForNothingForEver) {
  const auto says = [this](const std::string& text) {
    EXPECT_NE(std::string(task_.notice()).find(text), std::string::npos) << task_.notice();
  };
  feed({{7, 4}});
  EXPECT_NEAR(seconds_until_failed(task_, [&](auto) { feed({{7, 4}}); }), 600.0, 1.0);
  says("wheel hangs in the air");

  task_.restart();
  feed({{25, 1000}});
  EXPECT_NEAR(seconds_until_failed(task_, [&](auto) { feed({{25, 1000}}); }), 1200.0, 10.0);
  says("looking for its dock");

  task_.restart();
  const std::map<int, std::uint32_t> fault = {{25, 1000}, {34, 2}, {21, 5}};
  feed(fault);
  EXPECT_NEAR(seconds_until_failed(task_, [&](auto) { feed(fault); }), 60.0, 1.0);
  says("charging fault");

  task_.restart();
  const std::map<int, std::uint32_t> stuck = {{25, 1000}, {34, 2}, {21, 2}};
  feed(stuck);
  EXPECT_NEAR(seconds_until_failed(task_, [&](auto) { feed(stuck); }), 1800.0, 1.0);
  says("charging");

  // A charge that rises, however slowly, is waited for.
  task_.restart();
  feed({{25, 1000}, {34, 2}, {21, 2}});
  std::uint32_t charge = 1000;
  const double seconds = seconds_until_failed(task_, [&](std::int64_t tick) {
    if (tick % 800 == 0 && charge < 2400) ++charge;
    feed({{25, charge}, {34, 2}, {21, 2}});
  });
  EXPECT_EQ(seconds, -1.0);
}

// The task on a simulated robot, bytes and all.
struct SimulatedRobot {
  explicit SimulatedRobot(const Create2SimulatorOptions& options) : simulator(options) {}

  void begin(std::uint64_t step) { world.reset(random, step, observation.data()); }
  // The steps of an episode until it is over; answers how many.
  template <class AfterStep>
  std::uint64_t drive(const AfterStep& after_step) {
    std::uint64_t steps = 0;
    for (Outcome outcome; !outcome.terminated && !outcome.truncated && !outcome.carries_no_step;) {
      wall_avoider(observation.data(), action.data());
      outcome = world.step(action.data(), observation.data());
      ++steps;
      after_step(outcome);
    }
    return steps;
  }

  Create2Simulator simulator;
  Create2Session session;
  SimulatedLink link{session, simulator};
  CreateMover task;
  RobotSignals signals;
  RobotWorld world{
      task, link, signals, {.period_ns = kPeriodNs, .observation_dim = kCreateMoverObservationDim}};
  Random random{4, static_cast<std::uint32_t>(Stream::kTaskReset)};
  std::array<double, kCreateMoverObservationDim> observation{};
  std::array<float, kCreateMoverActionDim> action{};
};

// Frames that are damaged and have the right checksum all the same, on the whole way from the robot
// to the learner.
TEST(CreateMoverForHours, IsPaidForNothingThatItDidNotDrive) {
  double most = 0.0;
  for (const double share : {0.01, 0.3}) {
    SimulatedRobot robot({.seed = 4});
    robot.simulator.set_line_faults({.forged = share});
    robot.link.restart();
    std::uint64_t steps = 0;
    while (robot.link.now_ns() < 1'200'000'000'000) {
      robot.begin(steps);
      steps += robot.drive([&](const Outcome& outcome) {
        most = std::max(most, std::abs(outcome.reward));
        robot.signals.hold = false;  // a damaged mode may look like somebody else's
      });
    }
    EXPECT_GT(steps, 200U);
    EXPECT_GT(robot.session.counters().frames_impossible, 100U);
  }
  std::printf("largest reward %.3f\n", most);
  EXPECT_LT(most, 3.4) << "150 mm/s on both wheels pay 3.375";
}

// Wedged between a wall and an obstacle, where a small turn leads nowhere.
TEST(CreateMoverHoming, GetsOutFromBetweenTwoThings) {
  for (std::uint64_t step = 0; step < 200; ++step) {
    const Random random{3, static_cast<std::uint32_t>(Stream::kTaskReset)};
    SimulatedRobot robot({.seed = 3});
    robot.simulator.restart(random, step);
    robot.simulator.place(1052.6, 1326.0, -2.670);
    robot.link.restart();
    robot.world.reset(random, step, robot.observation.data());
    EXPECT_EQ(robot.world.end(), RobotEnd::kNone) << step;
    EXPECT_EQ(robot.world.counters().faults, 0U) << step;
  }
}

// No one moves this robot: between episodes it homes itself, and when its battery is low it finds
// its dock, sleeps there, is woken, and drives off again.
TEST(CreateMoverForHours, ChargesByItself) {
  SimulatedRobot robot({.seed = 4, .speed_limit_mm_s = 150.0, .clock_drift = 2e-4});
  Create2Simulator& simulator = robot.simulator;
  simulator.restart(robot.random, 0);
  robot.link.restart();
  int episodes = 0;
  int charges = 0;
  double charge = simulator.charge_mah();
  double longest_reset_s = 0.0;
  while (robot.link.now_ns() < 6 * 3'600'000'000'000) {
    const std::int64_t begin_ns = robot.link.now_ns();
    robot.begin(static_cast<std::uint64_t>(episodes));
    ASSERT_EQ(robot.world.end(), RobotEnd::kNone);
    longest_reset_s =
        std::max(longest_reset_s, static_cast<double>(robot.link.now_ns() - begin_ns) * 1e-9);
    if (simulator.charge_mah() > charge + 500) ++charges;
    charge = simulator.charge_mah();
    ++episodes;
    robot.drive([](const Outcome&) {});
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

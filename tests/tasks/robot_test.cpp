// What every task on a robot must keep, for all of them: on its driver's simulated device, through
// the device's bytes.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "available_tasks.h"
#include "drivers/registry.h"
#include "faulty_device.h"
#include "runtime/robot_world.h"
#include "runtime/simulated_link.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// Passes everything on, and checks what the task commands.
class WatchedLink final : public RobotLink {
 public:
  WatchedLink(RobotLink& link, const CommandLimits& limits) : link_(link), limits_(limits) {}

  std::int64_t now_ns() const override { return link_.now_ns(); }
  void post(const Command& command) override {
    check(command);
    link_.post(command);
  }
  void post_standing(const Command& command) override { link_.post_standing(command); }
  void wait_until(std::int64_t deadline_ns) override { link_.wait_until(deadline_ns); }
  bool next_packet(Packet* out) override { return link_.next_packet(out); }
  LinkState state() const override { return link_.state(); }

  int moves = 0;  // that were posted

 private:
  void check(const Command& command) {
    if (command.kind != Command::kMove) return;
    ++moves;
    ASSERT_EQ(command.count, limits_.count);
    for (int i = 0; i < command.count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_GE(command.values[at], limits_.lower[at]);
      EXPECT_LE(command.values[at], limits_.upper[at]);
    }
  }

  RobotLink& link_;
  const CommandLimits& limits_;
};

struct Rig {
  explicit Rig(const TaskInfo& of)
      : info(of),
        period_ns(std::llround(of.period_s * 1e9)),
        device(find_driver(of.driver)->make_simulator(3)),
        session(find_driver(of.driver)->make_session(period_ns)),
        task(of.make_robot()),
        simulated(*session, device),
        link(simulated, task->limits()),
        world(*task, link, signals,
              {.period_ns = period_ns, .observation_dim = of.observation_dim}),
        observation(static_cast<std::size_t>(of.observation_dim)),
        action(static_cast<std::size_t>(of.action_dim)) {}

  bool begin(std::uint64_t step) {
    world.reset(reset_random(7), step, observation.data());
    return is_observed();
  }
  bool is_observed() const {
    for (const double value : observation) {
      if (!std::isfinite(value)) return false;
    }
    return true;
  }
  // With an action that is drawn, and larger than it should be every now and then.
  Outcome step(std::uint64_t number) {
    random_action(7, number, &action);
    if (number % 7 == 0) {
      for (float& value : action) value *= 4.0F;
    }
    return world.step(action.data(), observation.data());
  }

  const TaskInfo& info;
  std::int64_t period_ns;
  FaultyDevice device;
  std::unique_ptr<Session> session;
  std::unique_ptr<RobotTask> task;
  SimulatedLink simulated;
  WatchedLink link;
  RobotSignals signals;
  RobotWorld world;
  std::vector<double> observation;
  std::vector<float> action;
};

class EveryRobotTask : public testing::TestWithParam<const TaskInfo*> {};

TEST_P(EveryRobotTask, HasTheLimitsAndPacketsOfItsDriver) {
  const TaskInfo& task = *GetParam();
  const DriverInfo* const driver = find_driver(task.driver);
  ASSERT_NE(driver, nullptr);
  const auto robot = task.make_robot();
  const CommandLimits& limits = robot->limits();
  EXPECT_EQ(limits.count, driver->command_count);
  EXPECT_EQ(&robot->packets(), driver->packets);
  EXPECT_GT(limits.packet_age_max_ns, 0);
  for (int i = 0; i < limits.count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_LE(limits.lower[at], limits.upper[at]);
    EXPECT_LE(std::fabs(limits.lower[at]), driver->command_max);
    EXPECT_LE(std::fabs(limits.upper[at]), driver->command_max);
    EXPECT_GT(limits.rate_max[at], 0.0);
  }
  EXPECT_NO_THROW(Limiter(limits, task.period_s));
}

TEST_P(EveryRobotTask, CommandsWithinItsLimits) {
  Rig rig(*GetParam());
  ASSERT_TRUE(rig.begin(0));
  for (std::uint64_t i = 0; i < 300; ++i) {
    const Outcome outcome = rig.step(i);
    ASSERT_TRUE(rig.is_observed());
    ASSERT_TRUE(std::isfinite(outcome.reward));
    if (outcome.terminated || outcome.truncated || outcome.carries_no_step) {
      ASSERT_TRUE(rig.begin(i));
    }
  }
  EXPECT_GE(rig.link.moves, 300);
}

TEST_P(EveryRobotTask, StopsTheRobotForAnActionThatIsNoNumber) {
  Rig rig(*GetParam());
  ASSERT_TRUE(rig.begin(0));
  rig.step(1);
  rig.action.assign(rig.action.size(), std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(rig.world.step(rig.action.data(), rig.observation.data()).carries_no_step);
  EXPECT_EQ(rig.world.safety(), SafetyState::kFaulted);
  rig.simulated.wait_until(rig.simulated.now_ns() + 1'000 * kMs);
  EXPECT_FALSE(rig.device.moves());
  EXPECT_TRUE(rig.begin(2)) << "it goes on from a new start";
}

TEST_P(EveryRobotTask, HoldsWhileItsLinkIsLostAndGoesOn) {
  Rig rig(*GetParam());
  ASSERT_TRUE(rig.begin(0));
  rig.step(1);
  rig.device.is_cut = true;
  bool is_held = false;
  for (std::uint64_t i = 2; i < 200 && !is_held; ++i) {
    is_held = rig.step(i).carries_no_step;
  }
  EXPECT_TRUE(is_held);
  EXPECT_EQ(rig.world.safety(), SafetyState::kHeld);
  rig.simulated.wait_until(rig.simulated.now_ns() + 500 * kMs);
  rig.device.is_cut = false;
  EXPECT_TRUE(rig.begin(200));
  EXPECT_FALSE(rig.step(201).carries_no_step);
}

TEST_P(EveryRobotTask, StandsWhenItIsToStop) {
  Rig rig(*GetParam());
  ASSERT_TRUE(rig.begin(0));
  for (std::uint64_t i = 1; i < 6; ++i) rig.step(i);
  rig.signals.stop = true;
  EXPECT_TRUE(rig.step(6).carries_no_step);
  rig.simulated.wait_until(rig.simulated.now_ns() + 1'000 * kMs);
  EXPECT_FALSE(rig.device.moves());
  EXPECT_FALSE(rig.begin(7));
  EXPECT_EQ(rig.world.end(), RobotEnd::kStopped);
}

std::vector<const TaskInfo*> robot_tasks() {
  std::vector<const TaskInfo*> tasks;
  for (const TaskInfo* task : available_tasks()) {
    if (task->make_robot != nullptr) tasks.push_back(task);
  }
  return tasks;
}

INSTANTIATE_TEST_SUITE_P(Tasks, EveryRobotTask, testing::ValuesIn(robot_tasks()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace instep

// UR-Reacher-2: its numbers against SenseAct's, and the task on the simulated arm, bytes and all.
#include "tasks/ur_reacher2/ur_reacher2.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "drivers/ur/simulated_device.h"
#include "runtime/robot_world.h"
#include "runtime/simulated_link.h"

namespace instep {
namespace {

constexpr auto kPeriodNs = static_cast<std::int64_t>(kUrReacher2PeriodS * 1e9);

// Gives the task a packet of a running arm.
void feed(UrReacher2& task, const UrVector& q, const UrVector& qd = {}, double slider = 1.0,
          UrSafetyMode safety = UrSafetyMode::kNormal) {
  std::array<double, kUrFields> values{};
  values[kUrFieldRobot] = static_cast<double>(UrRobotMode::kRunning);
  values[kUrFieldSafety] = static_cast<double>(safety);
  values[kUrFieldSlider] = slider;
  std::copy(q.begin(), q.end(), values.begin() + kUrFieldQ);
  std::copy(qd.begin(), qd.end(), values.begin() + kUrFieldQd);
  task.take({0, values});
}

UrVector at(double shoulder, double elbow) {
  UrVector q = ur_reacher2_start();
  q[1] = shoulder;
  q[2] = elbow;
  return q;
}

// The task on a simulated UR5.
struct Arm {
  explicit Arm(std::uint64_t seed = 1)
      : device(std::make_unique<UrSimulatedDevice>(
            UrControllerOptions{.seed = seed, .speed_limit_rad_s = kUrReacher2SpeedRadS + 1e-9})),
        session(UrSessionOptions{.dead_man_ns = 2 * kPeriodNs}),
        link(session, *device),
        world(task, link, signals,
              {.period_ns = kPeriodNs, .observation_dim = kUrReacher2ObservationDim}),
        random{seed, 2} {
    device->simulator().controller().place(ur_reacher2_start());
  }

  // The return of one episode of a policy.
  template <class Policy>
  double episode(const Policy& policy) {
    world.reset(random, ++episodes, observation.data());
    double sum = 0.0;
    for (;;) {
      std::array<float, 2> action{};
      policy(observation.data(), action.data());
      const Outcome outcome = world.step(action.data(), observation.data());
      EXPECT_FALSE(outcome.carries_no_step);
      sum += outcome.reward;
      if (outcome.truncated || outcome.terminated || outcome.carries_no_step) return sum;
    }
  }

  std::unique_ptr<UrSimulatedDevice> device;
  UrSession session;
  SimulatedLink link;
  UrReacher2 task;
  RobotSignals signals;
  RobotWorld world;
  Random random;
  std::uint64_t episodes = 0;
  std::array<double, kUrReacher2ObservationDim> observation{};
};

// Frame pitfall: SenseAct's y is the controller's with the other sign.
TEST(UrReacher2Test, TipIsInSenseActsFrame) {
  const UrPlace tip = ur_reacher2_tip(-2.4, 1.5);
  EXPECT_NEAR(tip[0], 0.01940, 5e-6);
  EXPECT_NEAR(tip[1], 0.76998, 5e-6);
}

TEST(UrReacher2Test, TargetsAreDistributedAsInSenseAct) {
  constexpr double kDegree = 3.14159265358979 / 180.0;
  int inside = 0;
  constexpr int kDraws = 20'000;
  const Random random{3, 9};
  double sum = 0.0;
  double most = 0.0;
  for (int i = 1; i <= kDraws; ++i) {
    std::array<double, 2> draws{};
    random.uniform(static_cast<std::uint64_t>(i), draws.data(), 2);
    const double shoulder = (-180.0 + 120.0 * draws[0]) * kDegree;
    const double elbow = (-120.0 + 250.0 * draws[1]) * kDegree;
    inside += ur_reacher2_is_inside(shoulder, elbow, 0.001) ? 1 : 0;
    const UrPlace target = ur_reacher2_target(random, static_cast<std::uint64_t>(i));
    const UrPlace tip = ur_reacher2_tip(-2.4, 1.5);
    const double distance = std::hypot(target[0] - tip[0], target[1] - tip[1]);
    sum += distance;
    most = std::max(most, distance);
    EXPECT_TRUE(target[0] >= -0.3 && target[0] <= 0.4 && target[1] >= 0.5 && target[1] <= 1.0);
  }
  EXPECT_NEAR(static_cast<double>(inside) / kDraws, 0.2551, 0.01);
  EXPECT_NEAR(sum / kDraws, 0.244, 0.005);
  EXPECT_NEAR(most, 0.462, 0.01);
}

TEST(UrReacher2Test, RewardIsSenseActs) {
  EXPECT_DOUBLE_EQ(ur_reacher2_reward(0.0), 5.0);
  EXPECT_NEAR(ur_reacher2_reward(0.244), -1.2, 0.02);
  EXPECT_NEAR(ur_reacher2_reward(0.1), 5.0 * (-0.1 + std::exp(-1.0)), 1e-12);
}

TEST(UrReacher2Test, ObservationHoldsWhatItSays) {
  UrReacher2 task;
  const Random random{5, 1};
  task.begin_homing(random, 7, 0);
  UrVector qd{};
  qd[1] = 0.15;
  qd[2] = -0.3;
  feed(task, at(-2.2, 1.3), qd);
  std::array<double, 8> observation{};
  task.first_observation(observation.data());
  EXPECT_EQ(observation[0], -2.2);
  EXPECT_EQ(observation[1], 1.3);
  EXPECT_DOUBLE_EQ(observation[2], 0.5);
  EXPECT_DOUBLE_EQ(observation[3], -1.0);
  const UrPlace tip = ur_reacher2_tip(-2.2, 1.3);
  EXPECT_DOUBLE_EQ(observation[4], tip[0] - task.target()[0]);
  EXPECT_DOUBLE_EQ(observation[5], tip[1] - task.target()[1]);
  // At first an action that nobody took.
  std::array<double, 2> draws{};
  random.uniform(7, draws.data(), 2);
  EXPECT_DOUBLE_EQ(observation[6], 2.0 * draws[0] - 1.0);
  const std::array<float, 2> action = {0.5F, -0.25F};
  Command command;
  task.to_command(action.data(), &command);
  EXPECT_EQ(command.count, 6);
  EXPECT_DOUBLE_EQ(command.values[1], 0.15);
  EXPECT_DOUBLE_EQ(command.values[2], -0.075);
  for (const std::size_t i : {0U, 3U, 4U, 5U}) EXPECT_EQ(command.values[i], 0.0);
  const Sensed sensed = task.sense(observation.data());
  EXPECT_FALSE(sensed.terminated || sensed.truncated || sensed.is_faulted);
  EXPECT_EQ(observation[6], 0.5);
  EXPECT_EQ(observation[7], -0.25);
  EXPECT_DOUBLE_EQ(sensed.reward, ur_reacher2_reward(std::hypot(observation[4], observation[5])));
}

TEST(UrReacher2Test, ChangesLieBetweenTheLearnerAndTheArm) {
  UrReacher2 task;
  task.begin_homing(Random{5, 1}, 7, 0);
  UrVector qd{};
  qd[1] = 0.15;
  feed(task, at(-2.2, 1.3), qd);
  std::array<double, 8> observation{};
  task.first_observation(observation.data());
  const std::array<float, 2> action = {0.5F, -0.25F};
  const std::array<float, 2> next = {1.0F, 1.0F};
  Command command;
  task.set_changes({.gain = {0.5, 1.0}, .sign = {-1.0, 1.0}});
  task.to_command(action.data(), &command);
  EXPECT_DOUBLE_EQ(command.values[1], -0.075);
  EXPECT_DOUBLE_EQ(command.values[2], -0.075);
  task.set_changes({.are_sensors_swapped = 1});
  task.sense(observation.data());
  EXPECT_EQ(observation[0], 1.3);
  EXPECT_EQ(observation[1], -2.2);
  EXPECT_DOUBLE_EQ(observation[2], 0.0);
  EXPECT_DOUBLE_EQ(observation[3], 0.5);
  EXPECT_EQ(observation[6], 0.5) << "the learner's own action, whatever became of it";
  // With a delay of two an episode begins with two steps of standing.
  task.set_changes({.delay = 2});
  task.first_observation(observation.data());
  const std::array<double, 5> expected = {0.0, 0.0, 0.15, 0.3, 0.3};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    task.to_command(i == 0 ? action.data() : next.data(), &command);
    EXPECT_DOUBLE_EQ(command.values[1], expected[i]) << i;
    task.sense(observation.data());
  }
  // The way back into the box is as it was.
  task.set_changes({.gain = {0.0, 0.0}, .sign = {-1.0, -1.0}});
  feed(task, at(-1.2, 0.2));
  task.to_command(action.data(), &command);
  EXPECT_NEAR(std::hypot(command.values[1], command.values[2]), 0.1, 1e-12);
  EXPECT_LT(command.values[1], 0.0);
}

TEST(UrReacher2Test, IsSeenAsAnArmAndItsTarget) {
  const auto world = make_ur_reacher2();
  std::array<double, 8> observation{};
  world->reset(Random{1, 2}, 3, observation.data());
  std::vector<Limb> limbs;
  world->get_limbs(limbs);
  ASSERT_EQ(limbs.size(), 7U);
  EXPECT_EQ(limbs[0].from[0], 0.0);
  const Limb& flange = limbs[5];
  EXPECT_NEAR(flange.to[0], 0.01940, 2e-3);
  EXPECT_NEAR(flange.to[2], 0.76998, 2e-3);
  EXPECT_NEAR(flange.to[0] - limbs[6].to[0], observation[4], 1e-3);
  EXPECT_NEAR(flange.to[2] - limbs[6].to[2], observation[5], 1e-3);
}

TEST(UrReacher2Test, NothingIsLearntFromASlowedOrStoppedArm) {
  UrReacher2 task;
  std::array<double, 8> observation{};
  feed(task, ur_reacher2_start());
  EXPECT_FALSE(task.sense(observation.data()).is_faulted);
  EXPECT_STREQ(task.notice(), "");
  feed(task, ur_reacher2_start(), {}, 0.5);
  EXPECT_TRUE(task.sense(observation.data()).is_faulted);
  EXPECT_NE(std::string(task.notice()).find("move the speed slider up to 100 %"),
            std::string::npos);
  feed(task, ur_reacher2_start(), {}, 1.0, UrSafetyMode::kProtectiveStop);
  EXPECT_TRUE(task.sense(observation.data()).is_faulted);
}

TEST(UrReacher2Test, LimitsOfJointsAndBoxGoBeforeTheAction) {
  UrReacher2 task;
  const std::array<float, 2> outwards = {1.0F, 1.0F};
  Command command;
  // Inside: what the action says.
  feed(task, ur_reacher2_start());
  task.to_command(outwards.data(), &command);
  EXPECT_DOUBLE_EQ(command.values[1], 0.3);
  // A joint at its limit, the tip still in the box: it goes inwards.
  constexpr double kDegree = 3.14159265358979 / 180.0;
  int limits = 0;
  for (const double shoulder : {-180.0 * kDegree, -60.0 * kDegree}) {
    for (double elbow = -2.0; elbow < 2.2; elbow += 0.01) {
      if (!ur_reacher2_is_inside(shoulder, elbow, 0.01)) continue;
      ++limits;
      feed(task, at(shoulder, elbow));
      task.to_command(outwards.data(), &command);
      EXPECT_DOUBLE_EQ(command.values[1], shoulder < -2.0 ? 0.3 : -0.3);
      EXPECT_DOUBLE_EQ(command.values[2], 0.3);
    }
  }
  for (const double elbow : {-120.0 * kDegree, 130.0 * kDegree}) {
    for (double shoulder = -3.1; shoulder < -1.1; shoulder += 0.01) {
      if (!ur_reacher2_is_inside(shoulder, elbow, 0.01)) continue;
      ++limits;
      feed(task, at(shoulder, elbow));
      task.to_command(outwards.data(), &command);
      EXPECT_DOUBLE_EQ(command.values[2], elbow < 0.0 ? 0.3 : -0.3);
    }
  }
  EXPECT_GT(limits, 0);
  // Beyond the box: back towards the start at 0.1 rad/s, whatever the action.
  ASSERT_FALSE(ur_reacher2_is_inside(-1.2, 0.2, 0.0));
  feed(task, at(-1.2, 0.2));
  task.to_command(outwards.data(), &command);
  EXPECT_NEAR(std::hypot(command.values[1], command.values[2]), 0.1, 1e-12);
  EXPECT_LT(command.values[1], 0.0);
  EXPECT_GT(command.values[2], 0.0);
}

// Symptom: the first observation after a reset is of before it.
TEST(UrReacher2Test, TheFirstObservationIsOfAnArmThatStandsAtItsStart) {
  Arm arm;
  for (const UrVector& from : {at(-2.4, 1.5), at(-2.0, 0.9), UrVector{1.2, -2.6, 1.9, 0, 1, 0.5}}) {
    arm.device->simulator().controller().place(from);
    arm.world.reset(arm.random, ++arm.episodes, arm.observation.data());
    EXPECT_NEAR(arm.observation[0], -2.4, 0.004);
    EXPECT_NEAR(arm.observation[1], 1.5, 0.004);
    EXPECT_LT(std::fabs(arm.observation[2]), 0.05);
    EXPECT_LT(std::fabs(arm.observation[3]), 0.05);
    EXPECT_EQ(ur_moves(arm.device->simulator().controller().arm()), false);
  }
}

TEST(UrReacher2Test, PControllerAndStandingAreTheYardsticks) {
  Arm p;
  Arm zero;
  constexpr int kEpisodes = 60;
  double p_sum = 0.0;
  double zero_sum = 0.0;
  for (int i = 0; i < kEpisodes; ++i) {
    p_sum += p.episode(ur_reacher2_p_controller);
    zero_sum += zero.episode([](const double*, float* action) { action[0] = action[1] = 0.0F; });
  }
  std::printf("P controller %.1f, standing %.1f\n", p_sum / kEpisodes, zero_sum / kEpisodes);
  EXPECT_NEAR(p_sum / kEpisodes, 290.0, 25.0);
  EXPECT_NEAR(zero_sum / kEpisodes, -106.0, 15.0);
  EXPECT_EQ(p.device->simulator().controller().counters().limit_violations, 0);
  EXPECT_EQ(p.device->simulator().controller().counters().protective_stops, 0);
  EXPECT_EQ(p.session.ur_counters().programs_sent, 1U);
  EXPECT_EQ(p.world.counters().faults, 0U);
}

TEST(UrReacher2Test, AnyPolicyStaysWithinTheWorkspace) {
  Arm arm;
  std::uint64_t step = 0;
  for (int episode = 0; episode < 40; ++episode) {
    const float side = episode % 2 == 0 ? 1.0F : -1.0F;
    arm.episode([&](const double*, float* action) {
      std::array<double, 2> draws{};
      Random{11, 3}.uniform(++step, draws.data(), 2);
      // Outwards for most of the time, at full speed.
      action[0] = draws[0] < 0.8 ? side : -side;
      action[1] = draws[1] < 0.8 ? (episode % 4 < 2 ? side : -side) : 0.3F;
      const UrPlace tip = arm.task.tip();
      // It comes back at 1.4 rad/s2, as in SenseAct: not before six centimetres.
      EXPECT_TRUE(tip[0] > -0.36 && tip[0] < 0.46 && tip[1] > 0.44 && tip[1] < 1.06)
          << tip[0] << " " << tip[1];
    });
  }
  EXPECT_EQ(arm.device->simulator().controller().counters().limit_violations, 0);
  EXPECT_EQ(arm.device->simulator().controller().counters().protective_stops, 0);
}

TEST(UrReacher2Test, TheSameSeedGivesTheSameEpisodes) {
  const auto returns = [](std::uint64_t seed) {
    Arm arm(seed);
    std::array<double, 3> sums{};
    for (double& sum : sums) sum = arm.episode(ur_reacher2_p_controller);
    return sums;
  };
  EXPECT_EQ(returns(4), returns(4));
  EXPECT_NE(returns(4), returns(5));
}

TEST(UrReacher2Test, AProtectiveStopIsNoStepAndTheNextEpisodeGoesOn) {
  Arm arm;
  arm.world.reset(arm.random, 1, arm.observation.data());
  const std::array<float, 2> action = {0.5F, 0.5F};
  for (int i = 0; i < 10; ++i) arm.world.step(action.data(), arm.observation.data());
  arm.device->simulator().controller().protective_stop("the test");
  bool was_held = false;
  for (int i = 0; i < 5; ++i) {
    was_held = was_held || arm.world.step(action.data(), arm.observation.data()).carries_no_step;
  }
  EXPECT_TRUE(was_held);
  EXPECT_FALSE(ur_moves(arm.device->simulator().controller().arm()));
  arm.link.wait_until(arm.link.now_ns() + 6'000'000'000);
  EXPECT_EQ(arm.device->simulator().controller().unlock_protective_stop(), nullptr);
  arm.world.reset(arm.random, 2, arm.observation.data());
  EXPECT_NEAR(arm.observation[0], -2.4, 0.004);
}

TEST(UrReacher2Test, StateIsCheckedWhenItIsLoaded) {
  UrReacher2 task;
  task.begin_homing(Random{1, 1}, 1, 5);
  feed(task, ur_reacher2_start());
  std::vector<std::uint8_t> state(task.state_bytes());
  task.save_state(state);
  UrReacher2 other;
  ASSERT_TRUE(other.load_state(state));
  std::vector<std::uint8_t> again(other.state_bytes());
  other.save_state(again);
  EXPECT_EQ(state, again);
  for (std::size_t i = 0; i < 8; ++i) state[i] = 0xFF;  // a NaN
  EXPECT_FALSE(other.load_state(state));
}

}  // namespace
}  // namespace instep

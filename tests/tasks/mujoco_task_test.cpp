// Semantics of the five MuJoCo tasks that recorded trajectories do not reach: resets, clipping,
// time limit, the bonus on the last step, and numbers a simulator cannot go on from.
#include "tasks/mujoco/mujoco_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "available_tasks.h"

namespace instep {
namespace {

struct Reset {
  const char* gymnasium_name;
  const char* name;
  std::size_t height_index;  // of the only coordinate that starts away from zero, quaternions apart
  double height;
  double noise;
  bool normal_velocity;
};

void PrintTo(const Reset& reset, std::ostream* out) {
  *out << reset.name;
}

constexpr Reset kResets[] = {
    {"Hopper", "hopper", 1, 1.25, 0.005, false},
    {"HalfCheetah", "half_cheetah", 1, 0.0, 0.1, true},
    {"Walker2d", "walker2d", 1, 1.25, 0.005, false},
    {"Ant", "ant", 2, 0.75, 0.1, true},
    {"Humanoid", "humanoid", 2, 1.4, 0.01, false},
};

bool all_nan(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isnan(x); });
}

class EveryRobot : public testing::TestWithParam<Reset> {
 protected:
  EveryRobot()
      : robot_(make_mujoco_task(GetParam().gymnasium_name)),
        observation_(static_cast<std::size_t>(robot_->observation_dim())) {}

  // A ball or free joint's quaternion is normalised by the simulator.
  bool is_quaternion(std::size_t index) const {
    return robot_->qpos().size() > robot_->qvel().size() && index >= 3 && index < 7;
  }

  std::unique_ptr<MujocoTask> robot_;
  std::vector<double> observation_;
};

TEST_P(EveryRobot, MatchesItsEntryInTheRegistry) {
  const TaskInfo* task = find_task(GetParam().name);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->observation_dim, robot_->observation_dim());
  EXPECT_EQ(task->action_dim, robot_->control_dim());
  EXPECT_EQ(task->action_limit, robot_->control_limit());
  EXPECT_NEAR(task->period_s, robot_->period_s(), 1e-15);
  EXPECT_EQ(task->episode_steps_max, kMujocoStepsMax);
}

TEST_P(EveryRobot, DrawsPositionsThenVelocitiesAtAReset) {
  const Reset& reset = GetParam();
  const Random random = reset_random(21);
  const std::size_t nq = robot_->qpos().size();
  const std::size_t nv = robot_->qvel().size();
  std::vector<double> position_draws(nq);
  std::vector<double> velocity_draws(nv);
  double extreme = 0.0;
  double velocity_square = 0.0;
  constexpr int kCount = 500;
  for (std::uint64_t step = 0; step < kCount; ++step) {
    robot_->reset(random, step, observation_.data());
    random.uniform(step, position_draws.data(), static_cast<int>(nq));
    const int first = static_cast<int>((nq + 3) / 4 * 4);
    if (reset.normal_velocity) {
      random.normal(step, velocity_draws.data(), static_cast<int>(nv), first);
    } else {
      random.uniform(step, velocity_draws.data(), static_cast<int>(nv), first);
    }
    for (std::size_t i = 0; i < nq; ++i) {
      if (!is_quaternion(i)) {
        const double start = i == reset.height_index ? reset.height : 0.0;
        const double noise = robot_->qpos()[i] - start;
        EXPECT_NEAR(noise, reset.noise * (2.0 * position_draws[i] - 1.0), 1e-15);
        EXPECT_LE(std::abs(noise), reset.noise);
        extreme = std::max(extreme, std::abs(noise));
      }
    }
    for (std::size_t i = 0; i < nv; ++i) {
      const double velocity = robot_->qvel()[i];
      const double draw = velocity_draws[i];
      EXPECT_EQ(velocity, reset.noise * (reset.normal_velocity ? draw : 2.0 * draw - 1.0));
      velocity_square += velocity * velocity / (kCount * static_cast<double>(nv));
    }
  }
  EXPECT_GT(extreme, 0.99 * reset.noise);
  const double variance = reset.noise * reset.noise * (reset.normal_velocity ? 1.0 : 1.0 / 3.0);
  EXPECT_NEAR(velocity_square, variance, 0.1 * variance);
}

TEST_P(EveryRobot, ClipsActionsButNotControls) {
  const auto action_size = static_cast<std::size_t>(robot_->control_dim());
  const double limit = robot_->control_limit();
  const auto other = make_mujoco_task(GetParam().gymnasium_name);
  auto other_observation = observation_;
  const auto restart = [&] {
    robot_->reset(reset_random(1), 0, observation_.data());
    other->reset(reset_random(1), 0, other_observation.data());
  };

  const std::vector<float> wide_action(action_size, 2.0F);
  const std::vector<double> narrow(action_size, limit);
  restart();
  const Outcome clipped = robot_->step(wide_action.data(), observation_.data());
  const Outcome at_limit = other->apply(narrow.data(), other_observation.data());
  EXPECT_EQ(clipped.reward, at_limit.reward);
  EXPECT_EQ(observation_, other_observation);

  // The motors get no more than the limit, but the cost counts all that was asked for.
  const std::vector<double> wide(action_size, 2.0 * limit);
  restart();
  const Outcome unclipped = robot_->apply(wide.data(), observation_.data());
  other->apply(narrow.data(), other_observation.data());
  EXPECT_EQ(observation_, other_observation);
  EXPECT_LT(unclipped.reward, at_limit.reward);
}

TEST_P(EveryRobot, ReportsNumbersItCannotGoOnFrom) {
  const std::string log = "MUJOCO_LOG.TXT";
  std::filesystem::remove(log);
  std::vector<double> control(static_cast<std::size_t>(robot_->control_dim()), 0.0);
  const auto expect_failed = [this, &control] {
    const Outcome outcome = robot_->apply(control.data(), observation_.data());
    EXPECT_TRUE(std::isnan(outcome.reward));
    EXPECT_FALSE(outcome.terminated);
    EXPECT_TRUE(outcome.truncated);
    EXPECT_TRUE(all_nan(observation_));
  };
  const auto expect_recovery = [this, &control] {
    std::fill(control.begin(), control.end(), 0.0);
    robot_->reset(reset_random(1), 0, observation_.data());
    const Outcome outcome = robot_->apply(control.data(), observation_.data());
    EXPECT_TRUE(std::isfinite(outcome.reward));
    EXPECT_FALSE(outcome.truncated);
    EXPECT_FALSE(all_nan(observation_));
  };

  robot_->reset(reset_random(1), 0, observation_.data());
  control[0] = std::numeric_limits<double>::quiet_NaN();
  expect_failed();
  control[0] = 0.0;
  expect_failed();  // until the next reset
  std::vector<std::uint8_t> state(robot_->state_bytes());
  robot_->save_state(state);
  expect_recovery();
  ASSERT_TRUE(robot_->load_state(state));
  expect_failed();
  expect_recovery();

  control[0] = std::numeric_limits<double>::infinity();
  expect_failed();
  expect_recovery();

  std::vector<double> qpos(robot_->qpos().begin(), robot_->qpos().end());
  std::vector<double> qvel(robot_->qvel().begin(), robot_->qvel().end());
  qpos[0] = std::numeric_limits<double>::quiet_NaN();
  robot_->reset_to(qpos.data(), qvel.data(), observation_.data());
  EXPECT_TRUE(all_nan(observation_));
  expect_failed();
  expect_recovery();

  qpos[0] = 0.0;
  qvel[0] = 1e11;
  robot_->reset_to(qpos.data(), qvel.data(), observation_.data());
  expect_failed();
  expect_recovery();
  EXPECT_FALSE(std::filesystem::exists(log));
}

INSTANTIATE_TEST_SUITE_P(Robots, EveryRobot, testing::ValuesIn(kResets),
                         testing::PrintToStringParamName());

TEST(MujocoTask, KnowsNoOtherNames) {
  EXPECT_EQ(make_mujoco_task("Swimmer"), nullptr);
  EXPECT_TRUE(mujoco_model_xml("Swimmer").empty());
  EXPECT_FALSE(mujoco_model_xml("Ant").empty());
}

TEST(MujocoTask, IsTruncatedAtTheTimeLimitAlsoAfterAResume) {
  const auto cheetah = make_mujoco_task("HalfCheetah");
  std::vector<double> observation(static_cast<std::size_t>(cheetah->observation_dim()));
  const std::vector<float> action(static_cast<std::size_t>(cheetah->control_dim()), 0.3F);
  cheetah->reset(reset_random(1), 0, observation.data());
  std::vector<std::uint8_t> state(cheetah->state_bytes());
  for (int step = 1; step < kMujocoStepsMax; ++step) {
    const Outcome outcome = cheetah->step(action.data(), observation.data());
    ASSERT_FALSE(outcome.terminated || outcome.truncated) << step;
    if (step == kMujocoStepsMax - 1) {
      cheetah->save_state(state);
    }
  }
  const Outcome last = cheetah->step(action.data(), observation.data());
  EXPECT_TRUE(last.truncated);
  EXPECT_FALSE(last.terminated);

  const auto resumed = make_mujoco_task("HalfCheetah");
  ASSERT_TRUE(resumed->load_state(state));
  EXPECT_TRUE(resumed->step(action.data(), observation.data()).truncated);
}

TEST(MujocoTask, PaysTheAliveBonusOnTheStepThatTerminates) {
  const auto hopper = make_mujoco_task("Hopper");
  std::vector<double> observation(static_cast<std::size_t>(hopper->observation_dim()));
  const std::vector<double> qpos = {0.0, 0.6, 0.0, 0.0, 0.0, 0.0};
  const std::vector<double> qvel(6, 0.0);
  const std::vector<double> control = {0.5, -0.5, 0.25};
  hopper->reset_to(qpos.data(), qvel.data(), observation.data());
  const Outcome outcome = hopper->apply(control.data(), observation.data());
  EXPECT_TRUE(outcome.terminated);
  EXPECT_FALSE(outcome.truncated);
  const double velocity = hopper->qpos()[0] / hopper->period_s();
  EXPECT_NEAR(outcome.reward, velocity + 1.0 - 0.001 * (0.25 + 0.25 + 0.0625), 1e-12);
}

TEST(MujocoTask, ObservesHoppersVelocitiesClippedAndEndsOnHugeOnes) {
  const auto hopper = make_mujoco_task("Hopper");
  std::vector<double> observation(static_cast<std::size_t>(hopper->observation_dim()));
  const std::vector<double> qpos = {0.0, 1.25, 0.0, 0.0, 0.0, 0.0};
  std::vector<double> qvel = {50.0, 0.0, 0.0, 0.0, 0.0, 0.0};
  hopper->reset_to(qpos.data(), qvel.data(), observation.data());
  EXPECT_EQ(observation[5], 10.0);
  const std::vector<double> control(3, 0.0);
  EXPECT_FALSE(hopper->apply(control.data(), observation.data()).terminated);
  qvel[0] = 150.0;
  hopper->reset_to(qpos.data(), qvel.data(), observation.data());
  EXPECT_TRUE(hopper->apply(control.data(), observation.data()).terminated);
}

}  // namespace
}  // namespace instep

// DotReacher's rules, each against numbers worked out by hand.
#include "tasks/dot_reacher/dot_reacher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/philox.h"

namespace instep {
namespace {

struct State {
  double x, y, velocity_x, velocity_y, steps;
};

struct Step {
  Outcome outcome;
  std::array<double, kDotReacherObservationDim> observation{};
};

Step step_from(const State& state, float action_x, float action_y) {
  const auto world = make_dot_reacher();
  std::vector<std::uint8_t> bytes(sizeof(State));
  std::memcpy(bytes.data(), &state, sizeof(State));
  EXPECT_TRUE(world->load_state(bytes));
  const std::array<float, kDotReacherActionDim> action = {action_x, action_y};
  Step step;
  step.outcome = world->step(action.data(), step.observation.data());
  return step;
}

void expect_observation(const Step& step, double x, double y, double velocity_x,
                        double velocity_y) {
  EXPECT_NEAR(step.observation[0], x, 1e-15);
  EXPECT_NEAR(step.observation[1], y, 1e-15);
  EXPECT_NEAR(step.observation[2], velocity_x, 1e-15);
  EXPECT_NEAR(step.observation[3], velocity_y, 1e-15);
}

TEST(DotReacher, MovesByVelocityAndAcceleration) {
  const Step step = step_from({0.5, -0.5, 0.3, -0.2, 0.0}, 1.0F, -0.5F);
  expect_observation(step, 0.58, -0.55, 0.5, -0.3);
  EXPECT_EQ(step.outcome.reward, -1.0);
  EXPECT_FALSE(step.outcome.terminated);
  EXPECT_FALSE(step.outcome.truncated);
}

TEST(DotReacher, ClipsTheAction) {
  const Step beyond = step_from({0.5, -0.5, 0.0, 0.0, 0.0}, 5.0F, -7.0F);
  expect_observation(beyond, 0.52, -0.52, 0.2, -0.2);
}

TEST(DotReacher, BouncesOffTheWallBeforeItAccelerates) {
  expect_observation(step_from({0.99, 0.5, 0.5, 0.0, 0.0}, 0.0F, 0.0F), 1.0, 0.5, -0.05, 0.0);
  expect_observation(step_from({0.99, 0.5, 0.5, 0.0, 0.0}, -1.0F, 0.0F), 1.0, 0.5, -0.25, 0.0);
  expect_observation(step_from({0.5, -0.99, 0.0, -0.5, 0.0}, 0.0F, 0.0F), 0.5, -1.0, 0.0, 0.05);
  // Exactly on the wall is inside.
  expect_observation(step_from({0.9, 0.5, 0.5, 0.0, 0.0}, 0.0F, 0.0F), 1.0, 0.5, 0.5, 0.0);
}

TEST(DotReacher, EndsInTheMiddleAtLowSpeedOnly) {
  EXPECT_TRUE(step_from({0.2, -0.2, 0.0, 0.0, 0.0}, 0.0F, 0.0F).outcome.terminated);
  EXPECT_TRUE(step_from({0.25, -0.25, 0.0, 0.0, 0.0}, 0.0F, 0.0F).outcome.terminated);
  EXPECT_TRUE(step_from({0.0, 0.0, 0.1, -0.1, 0.0}, 0.0F, 0.0F).outcome.terminated);
  EXPECT_FALSE(step_from({0.26, 0.0, 0.0, 0.0, 0.0}, 0.0F, 0.0F).outcome.terminated);
  EXPECT_FALSE(step_from({0.0, -0.26, 0.0, 0.0, 0.0}, 0.0F, 0.0F).outcome.terminated);
  EXPECT_FALSE(step_from({0.0, 0.0, 0.11, 0.0, 0.0}, 0.0F, 0.0F).outcome.terminated);
  // What counts is the velocity after the step.
  EXPECT_FALSE(step_from({0.0, 0.0, 0.0, 0.0, 0.0}, 0.0F, 1.0F).outcome.terminated);
  EXPECT_TRUE(step_from({0.0, 0.0, 0.2, 0.0, 0.0}, -1.0F, 0.0F).outcome.terminated);
}

TEST(DotReacher, CountsItsLimitAsTerminated) {
  const Step last_but_one = step_from({0.9, 0.9, 0.0, 0.0, 19998.0}, 0.0F, 0.0F);
  EXPECT_FALSE(last_but_one.outcome.terminated);
  EXPECT_FALSE(last_but_one.outcome.truncated);
  const Step last = step_from({0.9, 0.9, 0.0, 0.0, 19999.0}, 0.0F, 0.0F);
  EXPECT_TRUE(last.outcome.terminated);
  EXPECT_TRUE(last.outcome.truncated);
  EXPECT_EQ(last.outcome.reward, -1.0);
}

TEST(DotReacher, StartsAtRestAnywhereInTheBox) {
  const auto world = make_dot_reacher();
  const Random random{.seed = 11, .stream = static_cast<std::uint32_t>(Stream::kTaskReset)};
  std::array<double, kDotReacherObservationDim> observation{};
  double mean_x = 0.0;
  double mean_square_y = 0.0;
  double extreme = 0.0;
  constexpr int kCount = 4000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    world->reset(random, i, observation.data());
    EXPECT_EQ(observation[2], 0.0);
    EXPECT_EQ(observation[3], 0.0);
    extreme = std::max({extreme, std::abs(observation[0]), std::abs(observation[1])});
    mean_x += observation[0] / kCount;
    mean_square_y += observation[1] * observation[1] / kCount;
  }
  EXPECT_LT(extreme, 1.0);
  EXPECT_GT(extreme, 0.99);
  EXPECT_NEAR(mean_x, 0.0, 0.05);
  EXPECT_NEAR(mean_square_y, 1.0 / 3.0, 0.03);
}

TEST(DotReacher, RefusesStatesOutsideTheBox) {
  const auto world = make_dot_reacher();
  const auto loads = [&world](const State& state) {
    std::vector<std::uint8_t> bytes(sizeof(State));
    std::memcpy(bytes.data(), &state, sizeof(State));
    return world->load_state(bytes);
  };
  EXPECT_TRUE(loads({1.0, -1.0, 3.0, 0.0, 20000.0}));
  EXPECT_FALSE(loads({1.1, 0.0, 0.0, 0.0, 0.0}));
  EXPECT_FALSE(loads({0.0, std::nan(""), 0.0, 0.0, 0.0}));
  EXPECT_FALSE(loads({0.0, 0.0, HUGE_VAL, 0.0, 0.0}));
  EXPECT_FALSE(loads({0.0, 0.0, 0.0, 0.0, 0.5}));
  EXPECT_FALSE(loads({0.0, 0.0, 0.0, 0.0, -1.0}));
  EXPECT_FALSE(loads({0.0, 0.0, 0.0, 0.0, 20001.0}));
}

}  // namespace
}  // namespace instep

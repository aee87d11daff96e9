// Kinematics of the UR5 and UR5e, and the simulated arm's motions.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "drivers/ur/arm.h"
#include "drivers/ur/kinematics.h"
#include "kernels/philox.h"

namespace instep {
namespace {

constexpr double kPeriodS = 0.008;

UrVector random_vector(std::uint64_t step, double scale) {
  std::array<double, 6> draws{};
  Random{7, 0}.uniform(step, draws.data(), 6);
  UrVector q{};
  for (std::size_t i = 0; i < 6; ++i) q[i] = scale * (2.0 * draws[i] - 1.0);
  return q;
}

UrArm powered_arm() {
  UrArm arm;
  arm.is_powered = 1;
  return arm;
}

int ticks_until_done(UrArm& arm, double scaling = 1.0) {
  int ticks = 0;
  while (ticks < 10000 && (ticks == 0 || !ur_motion_is_done(arm))) {
    ur_advance(arm, kPeriodS, scaling);
    ++ticks;
  }
  return ticks;
}

TEST(UrKinematicsTest, FlangeIsWhereOthersFoundIt) {
  // Measured with the controller's own convention; SenseAct has x and y with other signs.
  const auto at_zero = ur_flange(UrModel::kCb3, {}).position;
  EXPECT_NEAR(at_zero[0], -0.81725, 1e-9);
  EXPECT_NEAR(at_zero[1], -0.19145, 1e-9);
  EXPECT_NEAR(at_zero[2], -0.005491, 1e-9);
  const UrVector reference = {1.58724391, -2.4, 1.5, -0.71790582, 1.63685572, 1.00910473};
  const auto at_reference = ur_flange(UrModel::kCb3, reference).position;
  EXPECT_NEAR(at_reference[0], 0.10405, 5e-6);
  EXPECT_NEAR(at_reference[1], -0.01940, 5e-6);
  EXPECT_NEAR(at_reference[2], 0.76998, 5e-6);
}

TEST(UrKinematicsTest, FindsTheJointsOfAFlange) {
  for (const UrModel model : {UrModel::kCb3, UrModel::kESeries}) {
    int others = 0;
    for (std::uint64_t step = 1; step <= 1000; ++step) {
      const UrVector there = random_vector(step, 6.0);
      const UrFrame flange = ur_flange(model, there);
      // From where it is they are its own.
      UrVector q{};
      ASSERT_TRUE(ur_joints_at(model, flange, there, &q)) << step;
      for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(q[i], there[i], 1e-6) << step << ' ' << i;
      // From anywhere they lead there.
      ASSERT_TRUE(ur_joints_at(model, flange, random_vector(step + 5000, 6.2), &q)) << step;
      const UrFrame at = ur_flange(model, q);
      for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(at.position[i], flange.position[i], 1e-9);
      for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(at.rotation[i], flange.rotation[i], 1e-9);
      for (const double angle : q) EXPECT_LE(std::fabs(angle), 2.0 * std::numbers::pi);
      others += std::fabs(q[2] - there[2]) > 0.1 ? 1 : 0;
    }
    EXPECT_GT(others, 500) << "other ways to bend it";
  }
}

TEST(UrKinematicsTest, FindsNoJointsBeyondItsReach) {
  const UrVector before = random_vector(1, 1.0);
  for (const std::array<double, 3>& place :
       {std::array{2.0, 0.0, 0.0}, std::array{0.0, 0.0, 0.3}, std::array{0.0, std::nan(""), 0.5}}) {
    UrFrame away;
    away.position = place;
    UrVector q = before;
    EXPECT_FALSE(ur_joints_at(UrModel::kCb3, away, before, &q));
    EXPECT_EQ(q, before);
  }
  // Stretched out, and with the wrist straight.
  for (const UrVector& edge : {UrVector{0.3, -1.0, 0.0, 0.5, 0.0, 0.2}, UrVector{}}) {
    const UrFrame flange = ur_flange(UrModel::kESeries, edge);
    UrVector q{};
    ASSERT_TRUE(ur_joints_at(UrModel::kESeries, flange, edge, &q));
    const UrFrame at = ur_flange(UrModel::kESeries, q);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(at.position[i], flange.position[i], 1e-6);
  }
}

TEST(UrKinematicsTest, EveryFrameIsARotation) {
  for (std::uint64_t step = 1; step < 200; ++step) {
    const auto model = step % 2 == 0 ? UrModel::kCb3 : UrModel::kESeries;
    for (const UrFrame& frame : ur_link_frames(model, random_vector(step, 6.0))) {
      const UrFrame identity = ur_product(frame, ur_inverse(frame));
      for (std::size_t i = 0; i < 9; ++i) {
        EXPECT_NEAR(identity.rotation[i], i % 4 == 0 ? 1.0 : 0.0, 1e-12);
      }
      for (const double p : identity.position) EXPECT_NEAR(p, 0.0, 1e-12);
    }
  }
}

TEST(UrKinematicsTest, PosesTurnIntoFramesAndBack) {
  for (std::uint64_t step = 1; step < 500; ++step) {
    UrVector pose = random_vector(step, 1.8);  // angles up to pi
    const double angle = std::hypot(pose[3], pose[4], pose[5]);
    if (angle > std::numbers::pi) continue;
    const UrVector again = ur_pose_of(ur_frame_of(pose));
    for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(again[i], pose[i], 1e-9) << step;
  }
  // Half turns, where the sine says nothing, and tiny ones.
  for (const UrVector& pose :
       {UrVector{0, 0, 0, std::numbers::pi, 0, 0}, UrVector{0, 0, 0, 0, std::numbers::pi, 0},
        UrVector{0, 0, 0, 0, 0, std::numbers::pi}, UrVector{0, 0, 0, 1e-9, -2e-9, 3e-9},
        UrVector{1, 2, 3, std::numbers::pi * 0.6, 0, std::numbers::pi * 0.8}}) {
    const UrFrame frame = ur_frame_of(pose);
    const UrFrame again = ur_frame_of(ur_pose_of(frame));
    for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(again.rotation[i], frame.rotation[i], 1e-9);
  }
}

TEST(UrKinematicsTest, SpeedIsTheDerivativeOfThePlace) {
  constexpr double kStep = 1e-6;
  for (std::uint64_t step = 1; step < 50; ++step) {
    const UrVector q = random_vector(step, 3.0);
    const UrVector qd = random_vector(step + 1000, 1.0);
    UrVector later = q;
    for (std::size_t i = 0; i < 6; ++i) later[i] += kStep * qd[i];
    const UrFrame a = ur_flange(UrModel::kESeries, q);
    const UrFrame b = ur_flange(UrModel::kESeries, later);
    const UrVector speed = ur_flange_speed(UrModel::kESeries, q, qd);
    const UrVector turn = ur_pose_of(ur_product({b.rotation, {}}, ur_inverse({a.rotation, {}})));
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR((b.position[i] - a.position[i]) / kStep, speed[i], 1e-4);
      EXPECT_NEAR(turn[3 + i] / kStep, speed[3 + i], 1e-4);
    }
  }
}

TEST(UrArmTest, SpeedjAcceleratesWithTheLeadingAxisAndKeepsItsSpeed) {
  UrArm arm = powered_arm();
  ur_speedj(arm, {0, 0.3, -0.15, 0, 0, 0}, 1.4, 0.04);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(ur_motion_is_done(arm));
    ur_advance(arm, kPeriodS, 1.0);
    // 1.4 rad/s2 for the second joint; the third arrives with it.
    EXPECT_NEAR(arm.target_qd[1], 1.4 * kPeriodS * (i + 1), 1e-12);
    EXPECT_NEAR(arm.target_qd[2], -0.5 * arm.target_qd[1], 1e-12);
  }
  EXPECT_TRUE(ur_motion_is_done(arm));  // after t, whether the speed is reached or not
  for (int i = 0; i < 200; ++i) ur_advance(arm, kPeriodS, 1.0);
  EXPECT_EQ(arm.target_qd[1], 0.3);  // t is no stop
  EXPECT_NEAR(arm.qd[1], 0.3, 1e-6);
}

TEST(UrArmTest, SpeedjWithoutTimeReturnsAtItsSpeed) {
  UrArm arm = powered_arm();
  ur_speedj(arm, {0.28, 0, 0, 0, 0, 0}, 1.4, 0.0);
  EXPECT_NEAR(ticks_until_done(arm), 25, 1);
}

TEST(UrArmTest, StopjStopsWithinSpeedByDeceleration) {
  UrArm arm = powered_arm();
  ur_speedj(arm, {0.3, 0.1, 0, 0, 0, -0.3}, 40.0, 0.1);
  ticks_until_done(arm);
  ur_stopj(arm, 4.0);
  const int ticks = ticks_until_done(arm);
  EXPECT_EQ(ticks, 10);  // 0.3 / 4 = 75 ms
  EXPECT_EQ(arm.target_qd, UrVector{});
}

TEST(UrArmTest, MovejIsATrapezoidThatArrives) {
  UrArm arm = powered_arm();
  const UrVector goal = {0.5, -1.0, 2.0, 0, 0.1, 0};
  ur_movej(arm, goal, 1.4, 1.05, 0.0);
  double fastest = 0.0;
  int ticks = 0;
  while (!ur_motion_is_done(arm) && ticks < 1000) {
    ur_advance(arm, kPeriodS, 1.0);
    fastest = std::max(fastest, std::fabs(arm.target_qd[2]));
    ++ticks;
  }
  EXPECT_NEAR(fastest, 1.05, 1e-6);
  EXPECT_NEAR(ticks * kPeriodS, 2.0 / 1.05 + 1.05 / 1.4, 2 * kPeriodS);
  EXPECT_EQ(arm.target_q, goal);
  for (int i = 0; i < 100; ++i) ur_advance(arm, kPeriodS, 1.0);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(arm.q[i], goal[i], 1e-6);
}

TEST(UrArmTest, MovejWithTimeTakesThatTimeAndTheSliderStretchesIt) {
  for (const double scaling : {1.0, 0.5}) {
    UrArm arm = powered_arm();
    ur_movej(arm, {0, 0.4, 0, 0, 0, 0}, 1.4, 1.05, 2.0);
    EXPECT_NEAR(ticks_until_done(arm, scaling) * kPeriodS, 2.0 / scaling, 3 * kPeriodS);
  }
}

// Whatever time it is given: the controller stops it for what its drives do then.
TEST(UrArmTest, MovejInTooShortATimeIsAsFastAsItsDrivesAndStopped) {
  for (const double duration_s : {1e-6, 0.004, 0.02, 0.5}) {
    UrArm arm = powered_arm();
    ur_movej(arm, {0, 4.0, 0, 0, 0, -2.0}, 1.4, 1.05, duration_s);
    bool is_stopped = false;
    for (int i = 0; i < 200; ++i) {
      const double before = arm.target_q[1];
      ur_advance(arm, kPeriodS, 1.0);
      EXPECT_LE(std::fabs(arm.target_q[1] - before), 3.3 * kPeriodS) << duration_s;
      EXPECT_LE(std::fabs(arm.qd[1]), 4.0) << duration_s << ", with what its follower overshoots";
      is_stopped = is_stopped || ur_overrun(arm) != nullptr;
    }
    EXPECT_TRUE(is_stopped) << duration_s;
    EXPECT_EQ(arm.target_q[1], 4.0) << "nobody stopped it here";
  }
}

TEST(UrArmTest, MovejFromAMotionComesToRestFirst) {
  UrArm arm = powered_arm();
  ur_speedj(arm, {0, 0.5, 0, 0, 0, 0}, 40.0, 0.1);
  ticks_until_done(arm);
  ur_movej(arm, {}, 1.4, 1.05, 0.0);
  double before = arm.target_qd[1];
  for (int i = 0; i < 1000 && !ur_motion_is_done(arm); ++i) {
    ur_advance(arm, kPeriodS, 1.0);
    EXPECT_LE(std::fabs(arm.target_qd[1] - before), 2.0 * 1.4 * kPeriodS);
    before = arm.target_qd[1];
  }
  EXPECT_NEAR(arm.target_q[1], 0.0, 1e-12);
}

// Symptom (34 ms of delay): what servoj lags behind is its look-ahead time.
TEST(UrArmTest, ServojLagsByItsLookahead) {
  for (const double lookahead : {0.03, 0.1}) {
    UrArm arm = powered_arm();
    double goal = 0.0;
    for (int i = 0; i < 400; ++i) {
      goal += 0.2 * kPeriodS;
      ur_servoj(arm, {0, 0, goal, 0, 0, 0}, kPeriodS, lookahead);
      ur_advance(arm, kPeriodS, 1.0);
    }
    EXPECT_NEAR((goal - arm.target_q[2]) / 0.2, lookahead, 0.3 * lookahead);
  }
}

TEST(UrArmTest, TheSliderSlowsSpeedj) {
  UrArm arm = powered_arm();
  ur_speedj(arm, {0.3, 0, 0, 0, 0, 0}, 1.4, 0.0);
  for (int i = 0; i < 100; ++i) ur_advance(arm, kPeriodS, 0.5);
  EXPECT_NEAR(arm.target_qd[0], 0.15, 1e-12);
}

TEST(UrArmTest, BrakesHold) {
  UrArm arm;
  ur_speedj(arm, {1, 1, 1, 1, 1, 1}, 40.0, 0.0);
  for (int i = 0; i < 100; ++i) ur_advance(arm, kPeriodS, 1.0);
  EXPECT_EQ(arm.q, UrVector{});
}

TEST(UrArmTest, JumpsAndLimitsAreOverruns) {
  UrArm arm = powered_arm();
  ur_servoj(arm, {0, 0, 2.0, 0, 0, 0}, kPeriodS, 0.1);
  EXPECT_NE(ur_overrun(arm), nullptr);
  ur_servoj(arm, {0, 0, 0.1, 0, 0, 0}, kPeriodS, 0.1);
  EXPECT_EQ(ur_overrun(arm), nullptr);
  arm.target_q[0] = 6.3;
  EXPECT_NE(ur_overrun(arm), nullptr);
  arm.target_q[0] = 0.0;
  arm.target_qd[4] = -3.3;
  EXPECT_NE(ur_overrun(arm), nullptr);
}

}  // namespace
}  // namespace instep

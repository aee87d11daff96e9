#include "drivers/ur/arm.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace instep {
namespace {

constexpr double kDriveMaxRadS = kUrSpeedMaxRadS + 0.1;  // more than the controller allows
constexpr double kFollowRadS = 80.0;
constexpr double kJointMaxRad = 2.0 * std::numbers::pi;
// A servoj target that would take a multiple of the joint's highest speed is a jump.
constexpr double kServoJumpRadS = 2.0 * kUrSpeedMaxRadS;

double largest(const UrVector& values) {
  double most = 0.0;
  for (const double value : values) most = std::max(most, std::fabs(value));
  return most;
}

double clip_acceleration(double acceleration) {
  return std::clamp(std::isfinite(acceleration) ? acceleration : 0.0, 1e-3, kUrAccelMaxRadS2);
}

void begin(UrArm& arm, UrMotion motion) {
  arm.motion = motion;
  arm.elapsed_s = 0.0;
  arm.blocked_s = 0.0;
}

// All joints' speeds arrive together; the one with the largest change has the acceleration.
void approach(UrArm& arm, const UrVector& qd, double change_max, double period_s) {
  UrVector change{};
  for (std::size_t i = 0; i < qd.size(); ++i) change[i] = qd[i] - arm.target_qd[i];
  const double most = largest(change);
  const double share = most > change_max ? change_max / most : 1.0;
  for (std::size_t i = 0; i < qd.size(); ++i) {
    const double next = share < 1.0 ? arm.target_qd[i] + share * change[i] : qd[i];
    arm.target_qdd[i] = (next - arm.target_qd[i]) / period_s;
    arm.target_qd[i] = next;
    arm.target_q[i] += next * period_s;
  }
}

// A joint-space trapezoid: the share of the way at time t, 0 .. 1, and its rate.
struct Progress {
  double way = 0.0;
  double rate = 0.0;
};
Progress trapezoid(double t, double ramp_s, double total_s) {
  const double top = 1.0 / (total_s - ramp_s);
  if (t <= 0.0) return {0.0, 0.0};
  if (t >= total_s) return {1.0, 0.0};
  if (t < ramp_s) return {0.5 * top * t * t / ramp_s, top * t / ramp_s};
  if (t <= total_s - ramp_s) return {top * (t - 0.5 * ramp_s), top};
  const double left = total_s - t;
  return {1.0 - 0.5 * top * left * left / ramp_s, top * left / ramp_s};
}

void plan_move(UrArm& arm) {
  UrVector way{};
  for (std::size_t i = 0; i < way.size(); ++i) way[i] = arm.goal[i] - arm.target_q[i];
  const double most = largest(way);
  arm.move_from = arm.target_q;
  begin(arm, UrMotion::kMove);
  if (most < 1e-9) {
    arm.move_ramp_s = arm.move_total_s = 0.0;
    return;
  }
  if (arm.duration_s > 0.0) {
    arm.move_total_s = arm.duration_s;
    arm.move_ramp_s = 0.25 * arm.duration_s;
    return;
  }
  const double v = std::min(arm.velocity, std::sqrt(most * arm.acceleration));
  arm.move_ramp_s = v / arm.acceleration;
  arm.move_total_s = most / v + arm.move_ramp_s;
}

// A time that is too short asks for more than a joint's drive can do: the arm does what it can, for
// which the controller stops it (ur_overrun()).
void advance_move(UrArm& arm, double period_s) {
  const Progress progress = arm.move_total_s > 0.0
                                ? trapezoid(arm.elapsed_s, arm.move_ramp_s, arm.move_total_s)
                                : Progress{1.0, 0.0};
  for (std::size_t i = 0; i < arm.goal.size(); ++i) {
    const double target = progress.way >= 1.0
                              ? arm.goal[i]
                              : arm.move_from[i] + progress.way * (arm.goal[i] - arm.move_from[i]);
    const double wish = (target - arm.target_q[i]) / period_s;
    const double rate = std::clamp(wish, -kDriveMaxRadS, kDriveMaxRadS);
    const bool is_there = rate == wish;
    arm.target_qdd[i] = (rate - arm.target_qd[i]) / period_s;
    arm.target_qd[i] = is_there && progress.way >= 1.0 ? 0.0 : rate;
    arm.target_q[i] = is_there ? target : arm.target_q[i] + rate * period_s;
  }
}

// Speed that brings the target to its goal within the look-ahead time: what is measured of
// servoj's delay is its look-ahead.
UrVector servo_speed(const UrArm& arm, double period_s) {
  UrVector speed{};
  for (std::size_t i = 0; i < speed.size(); ++i) {
    const double wish = (arm.goal[i] - arm.target_q[i]) / std::max(arm.lookahead_s, period_s);
    speed[i] = std::clamp(wish, -kUrSpeedMaxRadS, kUrSpeedMaxRadS);
  }
  return speed;
}

UrVector scaled(const UrVector& values, double factor) {
  UrVector result = values;
  for (double& value : result) value *= factor;
  return result;
}

void advance_target(UrArm& arm, double period_s, double scaling) {
  const double step = arm.acceleration * period_s;
  arm.target_qdd = {};
  switch (arm.motion) {
    case UrMotion::kNone:
      return approach(arm, arm.target_qd, step, period_s);
    case UrMotion::kSpeed:
      return approach(arm, scaled(arm.goal, scaling), step, period_s);
    case UrMotion::kStop:
      return approach(arm, {}, step, period_s);
    case UrMotion::kServo:
      return approach(arm, scaled(servo_speed(arm, period_s), scaling), kUrAccelMaxRadS2 * period_s,
                      period_s);
    case UrMotion::kMoveBegin:
      approach(arm, {}, step, period_s);
      if (!ur_moves(arm)) plan_move(arm);
      return;
    case UrMotion::kMove:
      return advance_move(arm, period_s);
  }
}

}  // namespace

void ur_speedj(UrArm& arm, const UrVector& qd, double acceleration, double duration_s) {
  begin(arm, UrMotion::kSpeed);
  arm.goal = qd;
  arm.acceleration = clip_acceleration(acceleration);
  arm.duration_s = duration_s;
}

void ur_stopj(UrArm& arm, double acceleration) {
  begin(arm, UrMotion::kStop);
  arm.acceleration = clip_acceleration(acceleration);
}

void ur_servoj(UrArm& arm, const UrVector& q, double duration_s, double lookahead_s) {
  begin(arm, UrMotion::kServo);
  arm.goal = q;
  arm.duration_s = duration_s;
  arm.lookahead_s = std::clamp(lookahead_s, 0.03, 0.2);
}

void ur_movej(UrArm& arm, const UrVector& q, double acceleration, double velocity,
              double duration_s) {
  begin(arm, UrMotion::kMoveBegin);
  arm.goal = q;
  arm.acceleration = clip_acceleration(acceleration);
  arm.velocity = std::clamp(velocity, 1e-3, kUrSpeedMaxRadS);
  arm.duration_s = duration_s;
  if (!ur_moves(arm)) plan_move(arm);
}

bool ur_moves(const UrArm& arm) {
  return largest(arm.target_qd) > 0.0;
}

bool ur_motion_is_done(const UrArm& arm) {
  switch (arm.motion) {
    case UrMotion::kNone:
      return true;
    case UrMotion::kSpeed:
      if (arm.duration_s > 0.0) return arm.blocked_s >= arm.duration_s - 1e-9;
      return arm.blocked_s > 0.0 && arm.target_qd == arm.goal;
    case UrMotion::kStop:
      return !ur_moves(arm);
    case UrMotion::kServo:
      return arm.blocked_s >= arm.duration_s - 1e-9;
    case UrMotion::kMoveBegin:
      return false;
    case UrMotion::kMove:
      return arm.elapsed_s >= arm.move_total_s && !ur_moves(arm);
  }
  return true;
}

void ur_advance(UrArm& arm, double period_s, double scaling) {
  if (arm.is_powered == 0) {
    // The brakes hold what they find.
    arm.target_q = arm.q;
    arm.target_qd = arm.target_qdd = arm.qd = {};
    arm.motion = UrMotion::kNone;
    return;
  }
  arm.elapsed_s += period_s * (arm.motion == UrMotion::kMove ? scaling : 1.0);
  arm.blocked_s += period_s;
  const UrVector before = arm.target_q;
  advance_target(arm, period_s, scaling);
  // How far the joints are from a target that has its new speed all along the period.
  const double decay = std::exp(-kFollowRadS * period_s);
  for (std::size_t i = 0; i < arm.q.size(); ++i) {
    const double gap = arm.q[i] - before[i];
    const double rate = arm.qd[i] - arm.target_qd[i];
    const double slope = rate + kFollowRadS * gap;
    arm.q[i] = arm.target_q[i] + (gap + slope * period_s) * decay;
    arm.qd[i] = arm.target_qd[i] + (rate - kFollowRadS * slope * period_s) * decay;
  }
}

const char* ur_overrun(const UrArm& arm) {
  for (std::size_t i = 0; i < arm.q.size(); ++i) {
    if (std::fabs(arm.target_q[i]) > kJointMaxRad) return "a joint is beyond its position limit";
    if (std::fabs(arm.target_qd[i]) > kUrSpeedMaxRadS + 0.05) {
      return "a joint is beyond its speed limit";
    }
    if (arm.motion == UrMotion::kServo &&
        std::fabs(arm.goal[i] - arm.target_q[i]) > kServoJumpRadS * arm.lookahead_s) {
      return "servoj: the target has jumped too far away";
    }
  }
  return nullptr;
}

}  // namespace instep

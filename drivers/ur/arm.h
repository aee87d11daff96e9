// The arm of a simulated UR5 or UR5e: six joints that follow motions as the controller plans them,
// one control period at a time. Plain data; deterministic.
//
// What UR does not publish is chosen here: joints follow their targets as a critically damped
// oscillator of 80 rad/s, a program's end brakes with 4 rad/s2, a protective or safeguard stop with
// 10, an emergency stop with 20.
#pragma once

#include <cstdint>

#include "drivers/ur/kinematics.h"

namespace instep {

inline constexpr double kUrSpeedMaxRadS = 3.14159265358979323846;  // of every joint
inline constexpr double kUrAccelMaxRadS2 = 40.0;                   // that a motion may ask for
inline constexpr double kUrProgramEndDecelRadS2 = 4.0;
inline constexpr double kUrProtectiveDecelRadS2 = 10.0;
inline constexpr double kUrEmergencyDecelRadS2 = 20.0;

enum class UrMotion : std::int64_t {
  kNone,       // nothing instructs the arm: it keeps the speed it has
  kSpeed,      // speedj
  kStop,       // stopj, and the controller's own stops
  kServo,      // servoj
  kMoveBegin,  // movej that must first come to rest
  kMove,       // movej on its trapezoid
};

// Members of eight bytes, so that no padding makes equal states differ.
struct UrArm {
  std::int64_t model = 0;  // a UrModel
  UrVector target_q{};
  UrVector target_qd{};
  UrVector target_qdd{};
  UrVector q{};
  UrVector qd{};
  std::int64_t is_powered = 0;  // with brakes released; otherwise every joint is held where it is

  UrMotion motion = UrMotion::kNone;
  UrVector goal{};            // speedj: rad/s; servoj and movej: rad
  double acceleration = 0.0;  // rad/s2, of the leading axis
  double velocity = 0.0;      // movej: rad/s
  double duration_s = 0.0;    // movej: 0 is none; speedj: 0 until the speed is reached
  double lookahead_s = 0.1;   // servoj
  double elapsed_s = 0.0;     // of the motion, in its own time: the slider slows it
  double blocked_s = 0.0;     // since the motion was commanded, in real time
  UrVector move_from{};
  double move_ramp_s = 0.0;  // movej: how long it accelerates, and brakes
  double move_total_s = 0.0;
};

// Motions. Each replaces the one that was. Accelerations are clipped to (0, kUrAccelMaxRadS2].
void ur_speedj(UrArm& arm, const UrVector& qd, double acceleration, double duration_s);
void ur_stopj(UrArm& arm, double acceleration);
void ur_servoj(UrArm& arm, const UrVector& q, double duration_s, double lookahead_s);
void ur_movej(UrArm& arm, const UrVector& q, double acceleration, double velocity,
              double duration_s);

// True when the call that commanded the motion returns.
bool ur_motion_is_done(const UrArm& arm);

// Whether any joint's target moves.
bool ur_moves(const UrArm& arm);

// One control period; `scaling` is the speed slider, 0 .. 1. What went too far is left in the arm
// for ur_overrun().
void ur_advance(UrArm& arm, double period_s, double scaling);

// What a controller stops protectively for; nullptr: nothing.
const char* ur_overrun(const UrArm& arm);

}  // namespace instep

// What a packet of a UR5 or UR5e says, in SI units, and what its numbers mean.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/robot.h"

namespace instep {

// The indices of a packet's values. Joints are numbered from the base on; the tool's pose is a
// rotation vector in the frame `base`.
enum UrField : std::size_t {
  kUrFieldRobot,                  // a UrRobotMode
  kUrFieldSafety,                 // a UrSafetyMode
  kUrFieldProgram,                // its state
  kUrFieldSlider,                 // of the speed, 0 .. 1
  kUrFieldTimestamp,              // s, since the controller's start
  kUrFieldQ,                      // rad, of six joints
  kUrFieldQd = kUrFieldQ + 6,     // rad/s
  kUrFieldPose = kUrFieldQd + 6,  // m, m, m, rad, rad, rad
  kUrFields = kUrFieldPose + 6    // how many there are
};

enum class UrRobotMode : std::int64_t {
  kNoController = -1,
  kDisconnected = 0,
  kConfirmSafety = 1,
  kBooting = 2,
  kPowerOff = 3,
  kPowerOn = 4,
  kIdle = 5,
  kBackdrive = 6,
  kRunning = 7,
};

enum class UrSafetyMode : std::int64_t {
  kNormal = 1,
  kReduced = 2,
  kProtectiveStop = 3,
  kRecovery = 4,
  kSafeguardStop = 5,
  kSystemEmergencyStop = 6,
  kRobotEmergencyStop = 7,
  kViolation = 8,
  kFault = 9,
};

// A speed slider from here on has the arm move as it is told.
inline constexpr double kUrFullSpeed = 0.999;

extern const PacketFormat kUrPackets;

}  // namespace instep

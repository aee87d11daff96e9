// What a packet of a Create 2 says, in SI units, and what its numbers are worth.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/robot.h"

namespace instep {

// The indices of a packet's values.
enum Create2Field : std::size_t {
  kCreate2FieldMode,
  kCreate2FieldCharging,     // a Create2Charging
  kCreate2FieldBattery,      // share of the capacity; NaN where the gauge tells nonsense
  kCreate2FieldLeftTurned,   // m; see create2_counts()
  kCreate2FieldRightTurned,  // m
  kCreate2FieldLeftAsked,    // m/s, as the robot repeats its last command
  kCreate2FieldRightAsked,   // m/s
  kCreate2FieldBumpLeft,     // 0 or 1, as those that follow
  kCreate2FieldBumpRight,
  kCreate2FieldDropLeft,  // the wheel hangs in the air
  kCreate2FieldDropRight,
  kCreate2FieldCliffLeft,
  kCreate2FieldCliffFrontLeft,
  kCreate2FieldCliffFrontRight,
  kCreate2FieldCliffRight,
  kCreate2FieldLightLeft,  // 0 .. 4095, a strength without a unit, as the five that follow
  kCreate2FieldLightFrontLeft,
  kCreate2FieldLightCenterLeft,
  kCreate2FieldLightCenterRight,
  kCreate2FieldLightFrontRight,
  kCreate2FieldLightRight,
  kCreate2FieldOnDock,  // 0 or 1
  kCreate2Fields        // how many there are
};

enum class Create2Charging : std::uint8_t {
  kNo,
  kReconditioning,
  kYes,
  kTrickle,
  kWaits,
  kFault,
};

extern const PacketFormat kCreate2Packets;

// A wheel of 72 mm turns once in 508.8 counts of its encoder.
inline constexpr double kCreate2MmPerCount = 3.14159265358979323846 * 72.0 / 508.8;

// A packet's way of a wheel, in counts of its encoder: exact. Counts wrap at 65536.
std::int16_t create2_counts(double turned_m);

// How far an encoder has turned: right as long as the difference is below half of 65536 counts,
// 14.5 m.
constexpr int create2_counts_between(std::int16_t from, std::int16_t to) {
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(static_cast<std::uint16_t>(to) -
                                                              static_cast<std::uint16_t>(from)));
}

// How many counts a wheel can have turned within that time, however its frames are dated: at 500
// mm/s from one frame before, and two counts more.
std::int64_t create2_counts_max(std::int64_t elapsed_ns);

}  // namespace instep

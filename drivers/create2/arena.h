// A Create 2 in a walled arena with two round obstacles and a dock: wheels, contacts, and what its
// sensors would say. Plain data and functions of it; millimetres, seconds, radians; x to the right,
// y up, angles counterclockwise.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/philox.h"

namespace instep {

inline constexpr double kArenaWidthMm = 2000.0;
inline constexpr double kArenaHeightMm = 1500.0;
inline constexpr double kObstacleRadiusMm = 150.0;
inline constexpr double kCreate2RadiusMm = 174.0;
// The robot docks with its nose to the middle of the left wall.
inline constexpr double kDockYMm = kArenaHeightMm / 2.0;
// Wheels follow commands in steps of this size, and no faster than this; the specification names
// the first and is silent about the second.
inline constexpr double kCreate2SpeedStepMmS = 28.5;
inline constexpr double kCreate2AccelerationMmS2 = 1200.0;

// What may be different from a robot that is as it should be.
struct Create2Changes {
  double left_wheel = 1.0;  // share of its speed that the wheel reaches
  double right_wheel = 1.0;
  double are_sensors_swapped = 0.0;  // not 0: light bumpers left for right
  double delay_s = 0.0;              // from a command to the wheels; at most kDelayMaxS
  static constexpr double kDelayMaxS = 1.0;
};

struct ArenaPoint {
  double x = 0.0;
  double y = 0.0;
};

struct Arena {
  std::array<ArenaPoint, 2> obstacles{};
  ArenaPoint robot;
  double heading = 0.0;
  double left_mm_s = 0.0;  // the wheels' speeds now
  double right_mm_s = 0.0;
  double left_counts = 0.0;  // the encoders, not wrapped
  double right_counts = 0.0;
  double contact_bearing = 0.0;  // of what the robot touches, from its nose
  std::int64_t is_touching = 0;
  std::int64_t is_lifted = 0;  // wheels in the air
  std::int64_t cliffs = 0;     // bits L, FL, FR, R: set from outside, the arena has none
};

// Places obstacles by the seed alone, and the robot at rest where `random` has it at `step`, with
// three centimetres around it and any heading.
void place_in_arena(const Random& random, std::uint64_t step, Arena* arena);

// Lets dt_s pass with both wheels told to reach these speeds.
void advance_arena(double left_mm_s, double right_mm_s, double dt_s, const Create2Changes& changes,
                   Arena* arena);

// 1 right, 2 left, 3 both, 0 none. Only the front has a bumper, and the dock does not press it.
int arena_bumps(const Arena& arena);

// How far the light bumper's sensor sees, from the robot's rim; L, FL, CL, CR, FR, R.
double arena_light_distance_mm(const Arena& arena, int sensor);
// The signal for a distance, without noise: 4000 at the rim, 33 at 20 cm. No published curve is
// known; this one has the shape of reflected light.
double light_bump_signal(double distance_mm);

bool is_on_dock(const Arena& arena);

// The shortest way to the dock from everywhere, for a robot that finds home by itself: steps of
// kCellMm, kNoWay where a robot does not fit or cannot come from.
struct ArenaMap {
  static constexpr int kCellMm = 25;
  static constexpr int kColumns = 80;
  static constexpr int kRows = 60;
  static constexpr std::uint16_t kNoWay = 0xFFFF;
  std::array<std::uint16_t, kColumns * kRows> steps{};
};
void map_way_to_dock(const Arena& arena, ArenaMap* map);
// A point a hand's breadth further on the way; the robot's own place where there is no way.
ArenaPoint next_on_way(const ArenaMap& map, ArenaPoint from);
// Where that way ends: in front of the dock.
inline constexpr ArenaPoint kDockFront = {kCreate2RadiusMm + 300.0, kDockYMm};

// True when these numbers can be an arena.
bool is_valid(const Arena& arena);

}  // namespace instep

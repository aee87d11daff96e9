#include "drivers/create2/arena.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "drivers/create2/codec.h"
#include "drivers/create2/fields.h"

namespace instep {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kTouchMm = 0.5;
constexpr double kStartClearanceMm = kCreate2RadiusMm + 30.0;
// The bumper's two halves overlap in the middle.
constexpr double kBumperReach = 80.0 * kPi / 180.0;
constexpr double kBumperOverlap = 20.0 * kPi / 180.0;
constexpr std::array<double, 6> kLightBearings = {60.0 * kPi / 180.0,  35.0 * kPi / 180.0,
                                                  12.0 * kPi / 180.0,  -12.0 * kPi / 180.0,
                                                  -35.0 * kPi / 180.0, -60.0 * kPi / 180.0};
constexpr int kPlacementsMax = 256;
// Obstacles do not overlap, and along one of the long walls, and along the right one, a
// robot gets past both.
constexpr double kApartMm = 2.5 * kObstacleRadiusMm;
constexpr double kLowWayMm = kObstacleRadiusMm + 2.0 * kCreate2RadiusMm + 60.0;
constexpr double kWayClearanceMm = kCreate2RadiusMm + 15.0;

double wrapped(double angle) {
  return std::remainder(angle, 2.0 * kPi);
}

double distance(ArenaPoint a, ArenaPoint b) {
  return std::hypot(a.x - b.x, a.y - b.y);
}

// How far a point is from the nearest wall or obstacle.
double clearance(const Arena& arena, ArenaPoint point) {
  double least = std::min({point.x, kArenaWidthMm - point.x, point.y, kArenaHeightMm - point.y});
  for (const ArenaPoint& obstacle : arena.obstacles) {
    least = std::min(least, distance(point, obstacle) - kObstacleRadiusMm);
  }
  return least;
}

// One thing that may be in the way: pushes the robot out of it, and notes where it touches. `away`
// is the unit vector from the thing to the robot, `gap` what lies between it and the robot's rim.
void keep_out(ArenaPoint away, double gap, Arena* arena) {
  if (gap > kTouchMm) return;
  if (gap < 0.0) {
    arena->robot.x -= gap * away.x;
    arena->robot.y -= gap * away.y;
  }
  const double bearing = wrapped(std::atan2(-away.y, -away.x) - arena->heading);
  // Of several contacts the one nearest the nose counts.
  if (arena->is_touching == 0 || std::abs(bearing) < std::abs(arena->contact_bearing)) {
    arena->contact_bearing = bearing;
  }
  arena->is_touching = 1;
}

void keep_inside(Arena* arena) {
  arena->is_touching = 0;
  for (const ArenaPoint& obstacle : arena->obstacles) {
    const double apart = std::max(distance(arena->robot, obstacle), 1e-6);
    const ArenaPoint away = {(arena->robot.x - obstacle.x) / apart,
                             (arena->robot.y - obstacle.y) / apart};
    keep_out(away, apart - kObstacleRadiusMm - kCreate2RadiusMm, arena);
  }
  keep_out({1.0, 0.0}, arena->robot.x - kCreate2RadiusMm, arena);
  keep_out({-1.0, 0.0}, kArenaWidthMm - kCreate2RadiusMm - arena->robot.x, arena);
  keep_out({0.0, 1.0}, arena->robot.y - kCreate2RadiusMm, arena);
  keep_out({0.0, -1.0}, kArenaHeightMm - kCreate2RadiusMm - arena->robot.y, arena);
}

double approach(double speed, double target, double dt_s) {
  const double most = kCreate2AccelerationMmS2 * dt_s;
  return speed + std::clamp(target - speed, -most, most);
}

double quantised(double mm_s) {
  return kCreate2SpeedStepMmS * std::round(mm_s / kCreate2SpeedStepMmS);
}

// Along a ray from the robot's middle to the arena's walls.
double wall_distance(ArenaPoint from, double cosine, double sine) {
  double nearest = kArenaWidthMm + kArenaHeightMm;
  if (cosine > 1e-9) nearest = std::min(nearest, (kArenaWidthMm - from.x) / cosine);
  if (cosine < -1e-9) nearest = std::min(nearest, -from.x / cosine);
  if (sine > 1e-9) nearest = std::min(nearest, (kArenaHeightMm - from.y) / sine);
  if (sine < -1e-9) nearest = std::min(nearest, -from.y / sine);
  return nearest;
}

}  // namespace

void place_in_arena(const Random& random, std::uint64_t step, Arena* arena) {
  *arena = Arena{};
  // Beside the dock's half of the arena, so that the way to the dock is free.
  double draws[4];
  const Random layout{random.seed, static_cast<std::uint32_t>(Stream::kTaskEvents)};
  for (std::uint64_t attempt = 0; attempt < kPlacementsMax; ++attempt) {
    layout.uniform(~attempt, draws, 4);
    arena->obstacles[0] = {800.0 + 640.0 * draws[0], 450.0 + 600.0 * draws[1]};
    arena->obstacles[1] = {800.0 + 640.0 * draws[2], 450.0 + 600.0 * draws[3]};
    const auto [low, high] = std::minmax(arena->obstacles[0].y, arena->obstacles[1].y);
    const bool leave_a_way = low > kLowWayMm || high < kArenaHeightMm - kLowWayMm;
    if (leave_a_way && distance(arena->obstacles[0], arena->obstacles[1]) > kApartMm) break;
  }
  for (int attempt = 0; attempt < kPlacementsMax; ++attempt) {
    random.uniform(step, draws, 4, 4 * attempt);
    arena->robot = {kArenaWidthMm * draws[0], kArenaHeightMm * draws[1]};
    arena->heading = kPi * (2.0 * draws[2] - 1.0);
    if (clearance(*arena, arena->robot) > kStartClearanceMm) return;
  }
  arena->robot = {400.0, 400.0};  // free whatever the obstacles
}

void advance_arena(double left_mm_s, double right_mm_s, double dt_s, const Create2Changes& changes,
                   Arena* arena) {
  arena->left_mm_s = approach(arena->left_mm_s, changes.left_wheel * quantised(left_mm_s), dt_s);
  arena->right_mm_s =
      approach(arena->right_mm_s, changes.right_wheel * quantised(right_mm_s), dt_s);
  // Wheels slip where the robot is held up: the encoders count on.
  arena->left_counts += arena->left_mm_s * dt_s / kCreate2MmPerCount;
  arena->right_counts += arena->right_mm_s * dt_s / kCreate2MmPerCount;
  if (arena->is_lifted != 0) return;
  const double speed = 0.5 * (arena->left_mm_s + arena->right_mm_s);
  const double turn = (arena->right_mm_s - arena->left_mm_s) * dt_s / kCreate2WheelBaseMm;
  const double middle = arena->heading + 0.5 * turn;
  arena->robot.x += speed * dt_s * std::cos(middle);
  arena->robot.y += speed * dt_s * std::sin(middle);
  arena->heading = wrapped(arena->heading + turn);
  keep_inside(arena);
}

int arena_bumps(const Arena& arena) {
  if (arena.is_touching == 0 || std::abs(arena.contact_bearing) > kBumperReach) return 0;
  if (is_on_dock(arena)) return 0;
  const int right = arena.contact_bearing < kBumperOverlap ? 1 : 0;
  const int left = arena.contact_bearing > -kBumperOverlap ? 2 : 0;
  return right | left;
}

double arena_light_distance_mm(const Arena& arena, int sensor) {
  const double direction = arena.heading + kLightBearings[static_cast<std::size_t>(sensor)];
  const double cosine = std::cos(direction);
  const double sine = std::sin(direction);
  double nearest = wall_distance(arena.robot, cosine, sine);
  for (const ArenaPoint& obstacle : arena.obstacles) {
    const double x = obstacle.x - arena.robot.x;
    const double y = obstacle.y - arena.robot.y;
    const double along = x * cosine + y * sine;
    const double aside = x * sine - y * cosine;
    const double half_chord = kObstacleRadiusMm * kObstacleRadiusMm - aside * aside;
    if (along > 0.0 && half_chord > 0.0) {
      nearest = std::min(nearest, along - std::sqrt(half_chord));
    }
  }
  return std::max(0.0, nearest - kCreate2RadiusMm);
}

double light_bump_signal(double distance_mm) {
  const double from_source = distance_mm + 20.0;
  return 1.6e6 / (from_source * from_source);
}

bool is_on_dock(const Arena& arena) {
  return arena.is_lifted == 0 && arena.robot.x < kCreate2RadiusMm + 6.0 &&
         std::abs(arena.robot.y - kDockYMm) < 40.0 &&
         std::abs(wrapped(arena.heading - kPi)) < 15.0 * kPi / 180.0;
}

// ------------------------------------------------------------------------------------------------
// The way home

namespace {

int column_of(double x) {
  return std::clamp(static_cast<int>(x) / ArenaMap::kCellMm, 0, ArenaMap::kColumns - 1);
}
int row_of(double y) {
  return std::clamp(static_cast<int>(y) / ArenaMap::kCellMm, 0, ArenaMap::kRows - 1);
}
std::size_t cell(int column, int row) {
  return static_cast<std::size_t>(row * ArenaMap::kColumns + column);
}
ArenaPoint middle_of(int column, int row) {
  return {ArenaMap::kCellMm * (column + 0.5), ArenaMap::kCellMm * (row + 0.5)};
}

// The neighbour with the fewest steps, within `reach` cells.
void descend(const ArenaMap& map, int reach, int* column, int* row) {
  const int from_column = *column;
  const int from_row = *row;
  for (int r = std::max(0, from_row - reach); r <= std::min(ArenaMap::kRows - 1, from_row + reach);
       ++r) {
    for (int c = std::max(0, from_column - reach);
         c <= std::min(ArenaMap::kColumns - 1, from_column + reach); ++c) {
      if (map.steps[cell(c, r)] < map.steps[cell(*column, *row)]) {
        *column = c;
        *row = r;
      }
    }
  }
}

}  // namespace

void map_way_to_dock(const Arena& arena, ArenaMap* map) {
  map->steps.fill(ArenaMap::kNoWay);
  std::array<std::uint16_t, ArenaMap::kColumns * ArenaMap::kRows> queue;
  std::size_t first = 0;
  std::size_t last = 0;
  const auto visit = [&](int column, int row, int steps) {
    if (column < 0 || column >= ArenaMap::kColumns || row < 0 || row >= ArenaMap::kRows) return;
    std::uint16_t& known = map->steps[cell(column, row)];
    if (known != ArenaMap::kNoWay || clearance(arena, middle_of(column, row)) < kWayClearanceMm) {
      return;
    }
    known = static_cast<std::uint16_t>(steps);
    queue[last++] = static_cast<std::uint16_t>(cell(column, row));
  };
  visit(column_of(kDockFront.x), row_of(kDockFront.y), 0);
  while (first < last) {
    const int at = queue[first++];
    const int column = at % ArenaMap::kColumns;
    const int row = at / ArenaMap::kColumns;
    const int steps = map->steps[static_cast<std::size_t>(at)] + 1;
    visit(column - 1, row, steps);
    visit(column + 1, row, steps);
    visit(column, row - 1, steps);
    visit(column, row + 1, steps);
  }
}

ArenaPoint next_on_way(const ArenaMap& map, ArenaPoint from) {
  int column = column_of(from.x);
  int row = row_of(from.y);
  // Where it stands too close to something, first to the nearest cells that are free.
  if (map.steps[cell(column, row)] == ArenaMap::kNoWay) descend(map, 4, &column, &row);
  for (int i = 0; i < 4; ++i) descend(map, 1, &column, &row);
  return map.steps[cell(column, row)] == ArenaMap::kNoWay ? from : middle_of(column, row);
}

bool is_valid(const Arena& arena) {
  const auto inside = [](ArenaPoint p) {
    return p.x >= 0.0 && p.x <= kArenaWidthMm && p.y >= 0.0 && p.y <= kArenaHeightMm;
  };
  const auto within = [](double value, double most) { return std::abs(value) <= most; };
  return inside(arena.robot) && inside(arena.obstacles[0]) && inside(arena.obstacles[1]) &&
         within(arena.heading, 4.0) && within(arena.left_mm_s, 1000.0) &&
         within(arena.right_mm_s, 1000.0) && within(arena.left_counts, 1e15) &&
         within(arena.right_counts, 1e15) && within(arena.contact_bearing, 4.0) &&
         (arena.is_touching == 0 || arena.is_touching == 1) &&
         (arena.is_lifted == 0 || arena.is_lifted == 1) && arena.cliffs >= 0 && arena.cliffs < 16;
}

}  // namespace instep

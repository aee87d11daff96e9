#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "drivers/create2/session.h"
#include "drivers/create2/simulator.h"
#include "kernels/check.h"
#include "runtime/robot_world.h"
#include "runtime/simulated_link.h"
#include "tasks/create_mover/create_mover.h"

namespace instep {
namespace {

constexpr auto kPeriodNs = static_cast<std::int64_t>(kCreateMoverPeriodS * 1e9);

class CreateMoverSimulation final : public Environment {
 public:
  CreateMoverSimulation() { world_.emplace(task_, link_, signals_, kConfig); }

  void reset(const Random& random, std::uint64_t step, double* observation) override {
    simulator_.restart(random, step);
    session_.restart();
    link_.restart();
    task_.restart();
    world_.emplace(task_, link_, signals_, kConfig);
    world_->reset(random, step, observation);
  }

  void send(const float* action) override { world_->send(action); }

  Outcome step(const float* action, double* observation) override {
    const Outcome outcome = world_->step(action, observation);
    if (outcome.carries_no_step) {
      std::fill_n(observation, kCreateMoverObservationDim,
                  std::numeric_limits<double>::quiet_NaN());
    }
    return outcome;
  }

  // left_wheel, right_wheel: the share of its speed that a wheel reaches, 0 .. 1.5; sensor_swap: 1
  // exchanges the light bumpers of left and right; delay: steps from a command to the wheels, 0
  // .. 6.
  bool change(std::string_view what, double value) override {
    Create2Changes changes = simulator_.changes();
    const bool is_share = value >= 0.0 && value <= 1.5;
    const bool is_delay = value >= 0.0 && value * kCreateMoverPeriodS <= Create2Changes::kDelayMaxS;
    if (what == "left_wheel" && is_share) {
      changes.left_wheel = value;
    } else if (what == "right_wheel" && is_share) {
      changes.right_wheel = value;
    } else if (what == "sensor_swap" && (value == 0.0 || value == 1.0)) {
      changes.are_sensors_swapped = value;
    } else if (what == "delay" && is_delay) {
      changes.delay_s = value * kCreateMoverPeriodS;
    } else {
      return false;
    }
    simulator_.set_changes(changes);
    return follow_changes();
  }

  bool is_map() const override { return true; }

  // From above, the arena's middle at 0 0: the robot and its nose; behind them obstacles, walls and
  // the dock.
  void get_limbs(std::vector<Limb>& limbs) const override {
    constexpr double kNoseRadiusMm = 25.0;
    constexpr double kWallRadiusMm = 12.0;
    constexpr double kDockMm = 160.0;
    const Arena& arena = simulator_.arena();
    limbs.clear();
    const auto add = [&limbs](ArenaPoint from, ArenaPoint to, double radius_mm, double behind) {
      const auto x = [](double mm) { return (mm - kArenaWidthMm / 2.0) / 1000.0; };
      limbs.push_back({{x(from.x), behind, from.y / 1000.0},
                       {x(to.x), behind, to.y / 1000.0},
                       radius_mm / 1000.0});
    };
    const auto ahead = [&arena](double mm) {
      return ArenaPoint{arena.robot.x + mm * std::cos(arena.heading),
                        arena.robot.y + mm * std::sin(arena.heading)};
    };
    constexpr double kBehind = 1.0;
    add(arena.robot, arena.robot, kCreate2RadiusMm, 0.0);
    add(ahead(0.5 * kCreate2RadiusMm), ahead(kCreate2RadiusMm - kNoseRadiusMm), kNoseRadiusMm, 0.0);
    for (const ArenaPoint& obstacle : arena.obstacles) {
      add(obstacle, obstacle, kObstacleRadiusMm, kBehind);
    }
    const std::array<ArenaPoint, 5> corners = {
        {{-kWallRadiusMm, -kWallRadiusMm},
         {kArenaWidthMm + kWallRadiusMm, -kWallRadiusMm},
         {kArenaWidthMm + kWallRadiusMm, kArenaHeightMm + kWallRadiusMm},
         {-kWallRadiusMm, kArenaHeightMm + kWallRadiusMm},
         {-kWallRadiusMm, -kWallRadiusMm}}};
    for (std::size_t i = 0; i + 1 < corners.size(); ++i) {
      add(corners[i], corners[i + 1], kWallRadiusMm, kBehind);
    }
    add({0.0, kDockYMm - kDockMm / 2.0}, {0.0, kDockYMm + kDockMm / 2.0}, 2.0 * kWallRadiusMm,
        kBehind);
  }

  std::size_t state_bytes() const override {
    return Create2Simulator::state_bytes() + Create2Session::state_bytes() +
           SimulatedLink::state_bytes() + world_->state_bytes();
  }

  void save_state(std::span<std::uint8_t> out) const override {
    INSTEP_CHECK(out.size() == state_bytes());
    const auto next = [&out](std::size_t bytes) {
      const auto part = out.first(bytes);
      out = out.subspan(bytes);
      return part;
    };
    simulator_.save_state(next(Create2Simulator::state_bytes()));
    session_.save_state(next(Create2Session::state_bytes()));
    link_.save_state(next(SimulatedLink::state_bytes()));
    world_->save_state(next(world_->state_bytes()));
  }

  // The parts check themselves one after the other. What one of them has taken before another
  // refuses is no harm: without a reset() nothing goes on from there.
  bool load_state(std::span<const std::uint8_t> in) override {
    if (in.size() != state_bytes()) return false;
    const auto next = [&in](std::size_t bytes) {
      const auto part = in.first(bytes);
      in = in.subspan(bytes);
      return part;
    };
    return simulator_.load_state(next(Create2Simulator::state_bytes())) &&
           session_.load_state(next(Create2Session::state_bytes())) &&
           link_.load_state(next(SimulatedLink::state_bytes())) &&
           world_->load_state(next(world_->state_bytes())) && follow_changes();
  }

 private:
  // The task pays for wheels that are faster than they should be, where the world has such.
  bool follow_changes() {
    const Create2Changes& changes = simulator_.changes();
    task_.set_wheel_share_max(std::max({1.0, changes.left_wheel, changes.right_wheel}));
    return true;
  }

  static constexpr RobotWorldConfig kConfig = {.period_ns = kPeriodNs,
                                               .observation_dim = kCreateMoverObservationDim};

  Create2Simulator simulator_{{.speed_limit_mm_s = kCreateMoverSpeedMmS}};
  Create2Session session_{{.dead_man_ns = 2 * kPeriodNs}};
  SimulatedLink link_{session_, simulator_};
  CreateMover task_;
  RobotSignals signals_;
  // Made anew for every episode: an episode is a function of seed and step alone.
  std::optional<RobotWorld> world_;
};

}  // namespace

std::unique_ptr<Environment> make_create_mover() {
  return std::make_unique<CreateMoverSimulation>();
}

}  // namespace instep

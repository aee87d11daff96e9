// Create-Mover, as SenseAct defines it: an iRobot Create 2 drives forward in an arena, sees with
// the six sensors of its light bumper, and must not bump.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "drivers/create2/fields.h"
#include "runtime/environment.h"
#include "runtime/robot.h"

namespace instep {

inline constexpr int kCreateMoverObservationDim = 8;  // six light bumpers, the previous action
inline constexpr int kCreateMoverActionDim = 2;       // left and right wheel, shares of 150 mm/s
inline constexpr double kCreateMoverPeriodS = 0.15;
inline constexpr int kCreateMoverStepsMax = 600;
inline constexpr double kCreateMoverSpeedMmS = 150.0;
inline constexpr double kCreateMoverRewardPerMm = 0.15;

// A light bumper's signal as SenseAct scales it, from the square root of its strength: 20 is -1,
// 4095 is 1. What is below 20, free air, would go down to -7.3 and be nothing but noise; here it
// ends at -1.
double normalized_light_bump(double signal);

// The task on a robot: forward motion by the encoders pays 0.15 for a millimetre, so that 150 mm/s
// on both wheels pay 3.375 a step. Ends with a bump, a wheel that drops, a cliff or on the dock.
//
// A tick pays at most for what its wheels can have driven. The ticks that follow pay for the rest
// of what the encoders say; nothing pays for what no wheel can have driven.
//
// Homing: with a low battery first to the dock, until it is full, and off it; then back 22 cm and a
// turn by any angle. As long as a wheel hangs in the air nothing moves. Each wait has an end, after
// which homing has failed, and notice() says what it is for.
class CreateMover final : public RobotTask {
 public:
  CreateMover();

  // As made.
  void restart() { state_ = State{}; }
  // The share of its speed that the faster wheel reaches, in worlds where it is not 1.
  void set_wheel_share_max(double share) { wheel_share_max_ = share; }

  const PacketFormat& packets() const override { return kCreate2Packets; }
  const CommandLimits& limits() const override { return limits_; }
  void take(const PacketValues& packet) override;
  void begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) override;
  Homing home(std::int64_t now_ns, Command* command) override;
  void first_observation(double* observation) override;
  void to_command(const float* action, Command* command) override;
  Sensed sense(double* observation) override;
  const char* notice() const override;

  std::size_t state_bytes() const override { return sizeof state_; }
  void save_state(std::span<std::uint8_t> out) const override;
  [[nodiscard]] bool load_state(std::span<const std::uint8_t> in) override;

 private:
  enum Phase : std::int64_t { kBack, kTurn, kStand, kSeekDock, kCharge, kUndock };
  enum Wait : std::int64_t { kNothing, kLifted, kDock, kCharging, kChargingFault };

  // Members of eight bytes, so that no padding makes equal states differ.
  struct State {
    std::array<double, 6> light_bump{};
    std::array<double, 2> previous_action{};
    std::int64_t has_packet = 0;
    std::int64_t packet_ns = 0;
    std::int64_t sensed_ns = 0;     // the newest packet's time at the last sense()
    std::int64_t encoder_left = 0;  // counts, as last reported
    std::int64_t encoder_right = 0;
    std::int64_t counts = 0;     // of both wheels, not paid yet
    std::int64_t has_ended = 0;  // a packet since the last sense() ends the episode
    std::int64_t is_bumped = 0;
    std::int64_t is_dropped = 0;
    std::int64_t is_on_dock = 0;
    std::int64_t charging_state = 0;
    double charge = -1.0;               // share of the capacity; below 0: never known
    std::int64_t nonsense_packets = 0;  // in a row, of the battery's gauge
    std::int64_t steps = 0;             // of the episode
    // Homing.
    std::int64_t must_charge = 0;
    std::int64_t phase = kBack;
    std::int64_t phase_ns = 0;  // since when
    std::int64_t tries = 0;
    std::int64_t wait = kNothing;
    std::int64_t wait_ns = 0;         // since when, without progress
    double charge_at_progress = 0.0;  // when charging made some last
    double turn_draw = 0.0;
    double turn_s = 0.0;  // with both wheels at full speed; below 0: clockwise
  };

  void enter(Phase phase, std::int64_t now_ns);
  void observe(double* observation) const;
  void take_encoders(const PacketValues& packet);
  void take_battery(const PacketValues& packet);
  bool is_battery_known() const;
  bool is_charged() const;
  bool has_waited_too_long(Wait wait, std::int64_t now_ns);
  void choose_turn();
  bool try_again();
  Homing home_to_dock(std::int64_t now_ns, Command* command);

  double wheel_share_max_ = 1.0;
  CommandLimits limits_;
  State state_;
};

// The task on the simulated robot, bytes and all, on simulated time. An episode starts with a robot
// that has just been switched on, anywhere in the arena of its seed.
std::unique_ptr<Environment> make_create_mover();

}  // namespace instep

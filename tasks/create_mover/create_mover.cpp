#include "tasks/create_mover/create_mover.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "drivers/create2/session.h"
#include "kernels/check.h"

namespace instep {
namespace {

constexpr double kSecondNs = 1e9;
constexpr double kBackS = 1.5;
constexpr double kUndockS = 2.5;
constexpr double kStandS = 0.3;
constexpr double kSeekDockS = 120.0;
constexpr double kTurnSMax = 2.46;  // half a turn: 235 mm between wheels at 150 mm/s
constexpr int kTriesMax = 10;
// A battery below the first is charged until it has the second, or nearly all that it can hold.
constexpr std::int64_t kLowMah = 1500;
constexpr std::int64_t kEnoughMah = 2600;
constexpr std::int64_t kTrickleCharging = 3;

constexpr std::uint8_t kHomeBase = 2;

void set_move(double left, double right, Command* command) {
  command->kind = Command::kMove;
  command->count = 2;
  command->values[0] = left;
  command->values[1] = right;
}

}  // namespace

double normalized_light_bump(double signal) {
  // SenseAct's scale runs from the value of 20 to the value of 4095 under this root.
  const auto root = [](double s) { return 1.0 / std::sqrt(std::max(1.0, s - 4.2)); };
  const double at_20 = root(20.0);
  const double at_4095 = root(4095.0);
  const double share = (root(signal) - at_20) / (at_4095 - at_20);
  return std::clamp(2.0 * share - 1.0, -1.0, 1.0);
}

CreateMover::CreateMover() {
  limits_.count = kCreateMoverActionDim;
  for (std::size_t i = 0; i < kCreateMoverActionDim; ++i) {
    limits_.lower[i] = -kCreateMoverSpeedMmS;
    limits_.upper[i] = kCreateMoverSpeedMmS;
    // The robot's own wheels bound their acceleration.
    limits_.rate_max[i] = std::numeric_limits<double>::infinity();
  }
  limits_.packet_age_max_ns = 100'000'000;
}

void CreateMover::take(const Packet& packet) {
  Create2Readings readings;
  if (!decode_create2_frame(packet.view(), &readings)) return;
  if (state_.has_packet != 0) {
    // Counts go on from what was seen last, so that lost or repeated frames lose and repeat
    // nothing.
    const auto since = [](std::int64_t last, std::int16_t now) {
      return create2_counts_between(static_cast<std::int16_t>(last), now);
    };
    state_.counts += since(state_.encoder_left, readings.encoder_left) +
                     since(state_.encoder_right, readings.encoder_right);
  }
  state_.has_packet = 1;
  state_.encoder_left = readings.encoder_left;
  state_.encoder_right = readings.encoder_right;
  for (std::size_t i = 0; i < state_.light_bump.size(); ++i) {
    state_.light_bump[i] = normalized_light_bump(readings.light_bump[i]);
  }
  const auto& cliff = readings.cliff;
  const bool is_at_cliff = std::any_of(cliff.begin(), cliff.end(), [](bool c) { return c; });
  const bool is_bumped = readings.bump_left || readings.bump_right;
  const bool is_dropped = readings.drop_left || readings.drop_right;
  const bool is_on_dock = (readings.charging_sources & kHomeBase) != 0;
  state_.is_bumped = is_bumped || is_at_cliff ? 1 : 0;
  state_.is_dropped = is_dropped ? 1 : 0;
  state_.is_on_dock = is_on_dock ? 1 : 0;
  if (is_bumped || is_at_cliff || is_dropped || is_on_dock) state_.has_ended = 1;
  state_.charging_state = readings.charging_state;
  state_.charge_mah = readings.charge_mah;
  state_.capacity_mah = readings.capacity_mah;
}

// ------------------------------------------------------------------------------------------------
// Homing

void CreateMover::enter(Phase phase, std::int64_t now_ns) {
  state_.phase = phase;
  state_.phase_ns = now_ns;
}

bool CreateMover::is_charged() const {
  return state_.charge_mah >= kEnoughMah || state_.charging_state == kTrickleCharging;
}

void CreateMover::begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) {
  double draw = 0.0;
  // Behind the draws of a simulated robot's place.
  random.uniform(step, &draw, 1, 4096);
  state_.turn_s = kTurnSMax * (2.0 * draw - 1.0);
  state_.tries = 0;
  if (state_.charge_mah <= kLowMah) state_.must_charge = 1;
  if (state_.must_charge != 0) {
    enter(state_.is_on_dock != 0 ? kCharge : kSeekDock, now_ns);
  } else {
    enter(state_.is_on_dock != 0 ? kUndock : kBack, now_ns);
  }
}

// Phases have a time; what it takes on top of it, because the robot was in the air, is its own.
Homing CreateMover::home(std::int64_t now_ns, Command* command) {
  *command = Command{};
  const double in_phase_s = static_cast<double>(now_ns - state_.phase_ns) / kSecondNs;
  if (state_.is_dropped != 0) {
    state_.phase_ns = now_ns;
    return Homing::kContinues;
  }
  switch (state_.phase) {
    case kSeekDock:
      command->kind = kCreate2SeekDock;
      if (state_.is_on_dock != 0) {
        enter(kCharge, now_ns);
      } else if (is_charged()) {
        // Another battery, or a gauge that was wrong.
        state_.must_charge = 0;
        enter(kBack, now_ns);
      } else if (in_phase_s > kSeekDockS) {
        // From another place it may find the way.
        if (++state_.tries > kTriesMax) return Homing::kFailed;
        enter(kBack, now_ns);
      }
      return Homing::kContinues;
    case kCharge:
      command->kind = kCreate2Rest;
      if (state_.is_on_dock == 0) {
        enter(kSeekDock, now_ns);
      } else if (is_charged()) {
        state_.must_charge = 0;
        enter(kUndock, now_ns);
      }
      return Homing::kContinues;
    case kUndock:
    case kBack: {
      set_move(-kCreateMoverSpeedMmS, -kCreateMoverSpeedMmS, command);
      if (in_phase_s > (state_.phase == kUndock ? kUndockS : kBackS)) enter(kTurn, now_ns);
      return Homing::kContinues;
    }
    case kTurn: {
      const double speed = std::copysign(kCreateMoverSpeedMmS, state_.turn_s);
      if (in_phase_s < std::abs(state_.turn_s)) {
        set_move(-speed, speed, command);
      } else {
        enter(kStand, now_ns);
      }
      return Homing::kContinues;
    }
    default:
      break;
  }
  if (in_phase_s < kStandS) return Homing::kContinues;
  if (state_.must_charge != 0) {
    enter(kSeekDock, now_ns);
    return Homing::kContinues;
  }
  if (state_.is_bumped == 0 && state_.is_on_dock == 0) return Homing::kDone;
  if (++state_.tries > kTriesMax) return Homing::kFailed;
  enter(state_.is_on_dock != 0 ? kUndock : kBack, now_ns);
  return Homing::kContinues;
}

// ------------------------------------------------------------------------------------------------
// An episode

void CreateMover::observe(double* observation) const {
  double* next = std::copy(state_.light_bump.begin(), state_.light_bump.end(), observation);
  std::copy(state_.previous_action.begin(), state_.previous_action.end(), next);
}

void CreateMover::first_observation(double* observation) {
  state_.previous_action = {0.0, 0.0};
  state_.counts = 0;
  state_.has_ended = 0;
  state_.steps = 0;
  observe(observation);
}

void CreateMover::to_command(const float* action, Command* command) {
  for (std::size_t i = 0; i < kCreateMoverActionDim; ++i) {
    state_.previous_action[i] = static_cast<double>(action[i]);
  }
  set_move(kCreateMoverSpeedMmS * state_.previous_action[0],
           kCreateMoverSpeedMmS * state_.previous_action[1], command);
}

Sensed CreateMover::sense(double* observation) {
  const double distance_mm = 0.5 * static_cast<double>(state_.counts) * kCreate2MmPerCount;
  Sensed sensed;
  sensed.reward = kCreateMoverRewardPerMm * distance_mm;
  sensed.terminated = state_.has_ended != 0;
  ++state_.steps;
  sensed.truncated = !sensed.terminated && state_.steps >= kCreateMoverStepsMax;
  state_.counts = 0;
  state_.has_ended = 0;
  observe(observation);
  return sensed;
}

// ------------------------------------------------------------------------------------------------
// Checkpoints

void CreateMover::save_state(std::span<std::uint8_t> out) const {
  INSTEP_CHECK(out.size() == state_bytes());
  std::memcpy(out.data(), &state_, sizeof state_);
}

bool CreateMover::load_state(std::span<const std::uint8_t> in) {
  if (in.size() != state_bytes()) return false;
  State state;
  std::memcpy(&state, in.data(), sizeof state);
  // Written so that a NaN fails.
  const auto is_unit = [](double value) { return value >= -1.0 && value <= 1.0; };
  const auto is_count = [](std::int64_t value) { return value >= -32768 && value <= 32767; };
  constexpr std::int64_t kCountsMax = std::int64_t{1} << 40;
  const bool valid =
      std::all_of(state.light_bump.begin(), state.light_bump.end(), is_unit) &&
      std::all_of(state.previous_action.begin(), state.previous_action.end(), is_unit) &&
      is_count(state.encoder_left) && is_count(state.encoder_right) &&
      std::abs(state.counts) < kCountsMax && state.steps >= 0 &&
      state.steps < kCreateMoverStepsMax && state.phase >= kBack && state.phase <= kUndock &&
      state.phase_ns >= 0 && state.tries >= 0 && state.tries <= kTriesMax &&
      std::abs(state.turn_s) <= kTurnSMax;
  if (valid) state_ = state;
  return valid;
}

}  // namespace instep

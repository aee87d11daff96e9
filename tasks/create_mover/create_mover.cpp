#include "tasks/create_mover/create_mover.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "drivers/create2/session.h"
#include "kernels/check.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

constexpr double kSecondNs = 1e9;
constexpr double kBackS = 1.5;
constexpr double kUndockS = 2.5;
constexpr double kStandS = 0.3;
constexpr double kSeekDockS = 120.0;
constexpr double kTurnSMax = 2.46;  // half a turn: 235 mm between wheels at 150 mm/s
constexpr int kTriesMax = 10;
// A battery with no more than the first share of its capacity is charged until it has the second,
// or the robot says that it is full. Of a new one, of 2696 mAh, these are 1563 and 2600 (SenseAct:
// 1500 and 2600, of every battery).
constexpr double kLowCharge = 0.58;
constexpr double kEnoughCharge = 0.964;
static_assert(kLowCharge < kEnoughCharge && kEnoughCharge < 1.0);
constexpr std::int64_t kNonsensePackets = 20;  // in a row: the gauge cannot be believed
constexpr auto kReconditioning = static_cast<std::int64_t>(Create2Charging::kReconditioning);
constexpr auto kTrickleCharging = static_cast<std::int64_t>(Create2Charging::kTrickle);
constexpr auto kFault = static_cast<std::int64_t>(Create2Charging::kFault);

// How long a wait may last without progress.
constexpr double kLiftedS = 600.0;
constexpr double kDockS = 1200.0;
constexpr double kChargingS = 1800.0;
constexpr double kReconditioningS = 16.0 * 3600.0;
constexpr double kChargingFaultS = 60.0;
constexpr double kProgress = 0.004;  // of the capacity

static_assert(kSeekDockS < kDockS && kChargingFaultS < kChargingS && kUndockS > kBackS);

// What the dates of packets may be wrong by.
constexpr std::int64_t kDateNs = 100'000'000;

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

void CreateMover::take(const PacketValues& packet) {
  take_encoders(packet);
  take_battery(packet);
  for (std::size_t i = 0; i < state_.light_bump.size(); ++i) {
    state_.light_bump[i] = normalized_light_bump(packet[kCreate2FieldLightLeft + i]);
  }
  const auto is_any_on = [&packet](std::size_t first, std::size_t last) {
    for (std::size_t field = first; field <= last; ++field) {
      if (packet[field] != 0.0) return true;
    }
    return false;
  };
  const bool is_bumped = is_any_on(kCreate2FieldBumpLeft, kCreate2FieldBumpRight) ||
                         is_any_on(kCreate2FieldCliffLeft, kCreate2FieldCliffRight);
  const bool is_dropped = is_any_on(kCreate2FieldDropLeft, kCreate2FieldDropRight);
  const bool is_on_dock = packet[kCreate2FieldOnDock] != 0.0;
  state_.is_bumped = is_bumped ? 1 : 0;
  state_.is_dropped = is_dropped ? 1 : 0;
  state_.is_on_dock = is_on_dock ? 1 : 0;
  if (is_bumped || is_dropped || is_on_dock) state_.has_ended = 1;
}

// Counts go on from what was seen last, so that lost or repeated packets lose and repeat nothing. A
// jump that no wheel can have made is no way.
void CreateMover::take_encoders(const PacketValues& packet) {
  const std::int16_t left = create2_counts(packet[kCreate2FieldLeftTurned]);
  const std::int16_t right = create2_counts(packet[kCreate2FieldRightTurned]);
  if (state_.has_packet != 0) {
    const auto since = [](std::int64_t last, std::int16_t now) {
      return create2_counts_between(static_cast<std::int16_t>(last), now);
    };
    const int way_left = since(state_.encoder_left, left);
    const int way_right = since(state_.encoder_right, right);
    const std::int64_t most = create2_counts_max(packet.time_ns - state_.packet_ns + kDateNs);
    if (std::abs(way_left) <= most && std::abs(way_right) <= most) {
      state_.counts += way_left + way_right;
    }
  }
  state_.has_packet = 1;
  state_.packet_ns = packet.time_ns;
  state_.encoder_left = left;
  state_.encoder_right = right;
}

void CreateMover::take_battery(const PacketValues& packet) {
  state_.charging_state = static_cast<std::int64_t>(packet[kCreate2FieldCharging]);
  const double battery = packet[kCreate2FieldBattery];
  if (std::isnan(battery)) {
    ++state_.nonsense_packets;
    return;
  }
  state_.nonsense_packets = 0;
  state_.charge = battery;
}

// ------------------------------------------------------------------------------------------------
// Homing

void CreateMover::enter(Phase phase, std::int64_t now_ns) {
  state_.phase = phase;
  state_.phase_ns = now_ns;
}

bool CreateMover::is_battery_known() const {
  return state_.charge >= 0.0 && state_.nonsense_packets < kNonsensePackets;
}

bool CreateMover::is_charged() const {
  return state_.charge >= kEnoughCharge || state_.charging_state == kTrickleCharging;
}

const char* CreateMover::notice() const {
  switch (state_.wait) {
    case kLifted:
      return "a wheel hangs in the air: put the robot down; waiting up to 10 min";
    case kDock:
      return "battery low: looking for its dock, up to 20 min";
    case kCharging:
      return "charging; waiting as long as the charge rises";
    case kChargingFault:
      return "charging fault: clean the contacts of robot and dock; waiting up to 1 min";
    default:
      break;
  }
  if (state_.has_packet == 0 || is_battery_known()) return "";
  return "battery unknown, its gauge tells nonsense: the robot does not look for its dock";
}

// Notes what is waited for. A connection that was lost meanwhile does not begin the wait anew; a
// charge that rises does.
bool CreateMover::has_waited_too_long(Wait wait, std::int64_t now_ns) {
  const bool is_new = state_.wait != wait;
  const bool has_progress =
      wait == kCharging && state_.charge >= state_.charge_at_progress + kProgress;
  if (is_new || has_progress) {
    state_.wait = wait;
    state_.wait_ns = now_ns;
    state_.charge_at_progress = state_.charge;
  }
  const double longest = wait == kLifted                            ? kLiftedS
                         : wait == kDock                            ? kDockS
                         : wait == kChargingFault                   ? kChargingFaultS
                         : state_.charging_state == kReconditioning ? kReconditioningS
                                                                    : kChargingS;
  if (static_cast<double>(now_ns - state_.wait_ns) / kSecondNs <= longest) return false;
  // The next homing has as long again.
  state_.wait_ns = now_ns;
  return true;
}

void CreateMover::begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) {
  double draw = 0.0;
  // Behind the draws of a simulated robot's place.
  random.uniform(step, &draw, 1, 4096);
  state_.turn_draw = draw;
  state_.tries = 0;
  choose_turn();
  if (is_battery_known() && state_.charge <= kLowCharge) state_.must_charge = 1;
  if (state_.must_charge != 0) {
    enter(state_.is_on_dock != 0 ? kCharge : kSeekDock, now_ns);
  } else {
    enter(state_.is_on_dock != 0 ? kUndock : kBack, now_ns);
  }
}

// By any angle; each try by another one, far from those before, or a robot between two things might
// turn to and fro for ever.
void CreateMover::choose_turn() {
  constexpr double kGoldenRatio = 0.6180339887498949;
  const double draw = state_.turn_draw + kGoldenRatio * static_cast<double>(state_.tries);
  state_.turn_s = kTurnSMax * (2.0 * (draw - std::floor(draw)) - 1.0);
}

bool CreateMover::try_again() {
  if (state_.tries >= kTriesMax) return false;
  ++state_.tries;
  choose_turn();
  return true;
}

// To the dock, and on it until the battery is full. A gauge that tells nonsense is no reason to.
Homing CreateMover::home_to_dock(std::int64_t now_ns, Command* command) {
  const bool is_done = is_charged() || !is_battery_known();
  if (state_.phase == kSeekDock) {
    command->kind = kCreate2SeekDock;
    if (state_.is_on_dock != 0) {
      enter(kCharge, now_ns);
    } else if (is_done) {
      // Another battery, or a gauge that was wrong.
      state_.must_charge = 0;
      enter(kBack, now_ns);
    } else if (has_waited_too_long(kDock, now_ns)) {
      return Homing::kFailed;
    } else if (static_cast<double>(now_ns - state_.phase_ns) / kSecondNs > kSeekDockS) {
      // From another place it may find the way.
      if (!try_again()) return Homing::kFailed;
      enter(kBack, now_ns);
    }
    return Homing::kContinues;
  }
  command->kind = kCreate2Rest;
  if (state_.is_on_dock == 0) {
    enter(kSeekDock, now_ns);
  } else if (is_done) {
    state_.must_charge = 0;
    enter(kUndock, now_ns);
  } else if (has_waited_too_long(state_.charging_state == kFault ? kChargingFault : kCharging,
                                 now_ns)) {
    return Homing::kFailed;
  }
  return Homing::kContinues;
}

// Phases have a time; what it takes on top of it, because the robot was in the air, is its own.
Homing CreateMover::home(std::int64_t now_ns, Command* command) {
  *command = Command{};
  const double in_phase_s = static_cast<double>(now_ns - state_.phase_ns) / kSecondNs;
  if (state_.is_dropped != 0) {
    state_.phase_ns = now_ns;
    return has_waited_too_long(kLifted, now_ns) ? Homing::kFailed : Homing::kContinues;
  }
  if (state_.wait == kLifted || state_.must_charge == 0) state_.wait = kNothing;
  switch (state_.phase) {
    case kSeekDock:
    case kCharge:
      return home_to_dock(now_ns, command);
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
  if (!try_again()) return Homing::kFailed;
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
  state_.sensed_ns = state_.packet_ns;
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
  // Several periods pay together where the ticks between them did not come. A frame more than a
  // period holds pays in the next tick: over time no wheel is faster than it is told.
  const std::int64_t elapsed_ns = state_.packet_ns - state_.sensed_ns;
  const double periods =
      std::max(1.0, std::floor(static_cast<double>(elapsed_ns) / kSecondNs / kCreateMoverPeriodS));
  const double counts_max = 2.0 * wheel_share_max_ * kCreateMoverSpeedMmS * periods *
                            kCreateMoverPeriodS / kCreate2MmPerCount;
  const auto most = static_cast<std::int64_t>(counts_max);
  const std::int64_t paid = std::clamp(state_.counts, -most, most);
  const double distance_mm = 0.5 * static_cast<double>(paid) * kCreate2MmPerCount;
  Sensed sensed;
  sensed.reward = kCreateMoverRewardPerMm * distance_mm;
  sensed.terminated = state_.has_ended != 0;
  ++state_.steps;
  sensed.truncated = !sensed.terminated && state_.steps >= kCreateMoverStepsMax;
  state_.counts -= paid;
  state_.sensed_ns = state_.packet_ns;
  state_.has_ended = 0;
  observe(observation);
  return sensed;
}

// ------------------------------------------------------------------------------------------------
// Checkpoints

void CreateMover::save_state(std::span<std::uint8_t> out) const {
  save_plain(state_, out);
}

bool CreateMover::load_state(std::span<const std::uint8_t> in) {
  // Written so that a NaN fails.
  const auto is_unit = [](double value) { return value >= -1.0 && value <= 1.0; };
  const auto is_count = [](std::int64_t value) { return value >= -32768 && value <= 32767; };
  constexpr std::int64_t kCountsMax = std::int64_t{1} << 40;
  return load_plain(in, state_, [&](const State& state) {
    return std::all_of(state.light_bump.begin(), state.light_bump.end(), is_unit) &&
           std::all_of(state.previous_action.begin(), state.previous_action.end(), is_unit) &&
           is_count(state.encoder_left) && is_count(state.encoder_right) &&
           std::abs(state.counts) < kCountsMax && state.steps >= 0 &&
           state.steps < kCreateMoverStepsMax && state.phase >= kBack && state.phase <= kUndock &&
           state.phase_ns >= 0 && state.tries >= 0 && state.tries <= kTriesMax &&
           state.packet_ns >= 0 && state.packet_ns < INT64_MAX / 4 && state.sensed_ns >= 0 &&
           state.sensed_ns <= state.packet_ns && state.charge >= -1.0 && state.charge <= 1.0 &&
           state.nonsense_packets >= 0 && state.nonsense_packets < INT64_MAX / 4 &&
           state.wait >= kNothing && state.wait <= kChargingFault && state.wait_ns >= 0 &&
           state.charge_at_progress >= -1.0 && state.charge_at_progress <= 1.0 &&
           state.turn_draw >= 0.0 && state.turn_draw < 1.0 && std::abs(state.turn_s) <= kTurnSMax;
  });
}

}  // namespace instep

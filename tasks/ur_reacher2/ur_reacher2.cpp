#include "tasks/ur_reacher2/ur_reacher2.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/check.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

constexpr std::size_t kShoulder = 1;
constexpr std::size_t kElbow = 2;
constexpr double kDegree = std::numbers::pi / 180.0;
constexpr UrVector kStart = {1.58724391, -2.4, 1.5, -0.71790582, 1.63685572, 1.00910473};
constexpr std::array<double, 2> kJointLower = {-180.0 * kDegree, -120.0 * kDegree};
constexpr std::array<double, 2> kJointUpper = {-60.0 * kDegree, 130.0 * kDegree};
// Of x, y and z; x of the tip is within 0.0988 and 0.110 whatever the two joints do.
constexpr std::array<double, 3> kBoxLower = {-0.2, -0.3, 0.5};
constexpr std::array<double, 3> kBoxUpper = {0.2, 0.4, 1.0};
constexpr double kBoxBuffer = 0.001;
constexpr double kJointBuffer = 0.001;

// A target must have room between the limits, and homing ends within them.
constexpr bool are_limits_right() {
  for (std::size_t i = 0; i < kJointLower.size(); ++i) {
    const double start = kStart[kShoulder + i];
    if (kJointLower[i] + kJointBuffer >= start || start >= kJointUpper[i] - kJointBuffer)
      return false;
  }
  for (std::size_t i = 0; i < kBoxLower.size(); ++i) {
    if (kBoxLower[i] + kBoxBuffer >= kBoxUpper[i] - kBoxBuffer) return false;
  }
  return kElbow == kShoulder + 1;
}
static_assert(are_limits_right());

constexpr double kReturnRadS = 0.1;
// SenseAct pays for each 8 ms.
constexpr double kStepsPaid = kUrReacher2PeriodS / 0.008;
constexpr std::uint32_t kDrawsMax = 4096;  // a quarter of them is inside

constexpr std::int64_t kHomingNsMax = 60'000'000'000;
constexpr double kAtStartRad = 0.003;
constexpr double kStandsRadS = 0.01;
constexpr std::int64_t kStandsTicks = 3;

struct Jacobian {
  double y1, y2, z1, z2;  // by shoulder and by elbow
};
Jacobian jacobian(double shoulder, double elbow) {
  UrVector q = kStart;
  q[kShoulder] = shoulder;
  q[kElbow] = elbow;
  const auto of = [&q](std::size_t joint) {
    UrVector qd{};
    qd[joint] = 1.0;
    return ur_flange_speed(UrModel::kCb3, q, qd);
  };
  const UrVector first = of(kShoulder);
  const UrVector second = of(kElbow);
  return {-first[1], -second[1], first[2], second[2]};
}

std::array<double, 3> tip_of(double shoulder, double elbow) {
  UrVector q = kStart;
  q[kShoulder] = shoulder;
  q[kElbow] = elbow;
  const auto place = ur_flange(UrModel::kCb3, q).position;
  return {-place[0], -place[1], place[2]};
}

void set_speeds(Command* command, const UrVector& speeds) {
  command->kind = Command::kMove;
  command->count = kUrJoints;
  std::copy(speeds.begin(), speeds.end(), command->values.begin());
}

}  // namespace

const UrVector& ur_reacher2_start() {
  return kStart;
}

UrPlace ur_reacher2_tip(double shoulder, double elbow) {
  const auto tip = tip_of(shoulder, elbow);
  return {tip[1], tip[2]};
}

bool ur_reacher2_is_inside(double shoulder, double elbow, double buffer) {
  const auto tip = tip_of(shoulder, elbow);
  for (std::size_t i = 0; i < tip.size(); ++i) {
    if (!(tip[i] >= kBoxLower[i] + buffer && tip[i] <= kBoxUpper[i] - buffer)) return false;
  }
  return true;
}

UrPlace ur_reacher2_target(const Random& random, std::uint64_t step) {
  for (std::uint32_t i = 0; i < kDrawsMax; ++i) {
    std::array<double, 2> draws{};
    random.uniform(step, draws.data(), 2, static_cast<int>(4 * (i + 1)));
    const double shoulder = kJointLower[0] + draws[0] * (kJointUpper[0] - kJointLower[0]);
    const double elbow = kJointLower[1] + draws[1] * (kJointUpper[1] - kJointLower[1]);
    if (ur_reacher2_is_inside(shoulder, elbow, kBoxBuffer)) return ur_reacher2_tip(shoulder, elbow);
  }
  return ur_reacher2_tip(kStart[kShoulder], kStart[kElbow]);
}

double ur_reacher2_reward(double distance) {
  return kStepsPaid * (-distance + std::exp(-distance * distance / 0.01));
}

bool UrReacher2Changes::is_valid() const {
  const auto is_gain = [](double value) { return value >= 0.0 && value <= 1.0; };
  const auto is_sign = [](double value) { return value == 1.0 || value == -1.0; };
  return std::all_of(gain.begin(), gain.end(), is_gain) &&
         std::all_of(sign.begin(), sign.end(), is_sign) && are_sensors_swapped >= 0 &&
         are_sensors_swapped <= 1 && delay >= 0 && delay <= kDelayMax;
}

UrReacher2::UrReacher2() {
  limits_.count = kUrJoints;
  for (std::size_t i = 0; i < kUrJoints; ++i) {
    limits_.lower[i] = -kUrReacher2SpeedRadS;
    limits_.upper[i] = kUrReacher2SpeedRadS;
    // The controller bounds the acceleration, at 1.4 rad/s2.
    limits_.rate_max[i] = std::numeric_limits<double>::infinity();
  }
  limits_.packet_age_max_ns = 60'000'000;
}

void UrReacher2::take(const PacketValues& packet) {
  for (std::size_t i = 0; i < kUrJoints; ++i) {
    state_.q[i] = packet[kUrFieldQ + i];
    state_.qd[i] = packet[kUrFieldQd + i];
  }
  state_.has_packet = 1;
  ++state_.packets;
  const auto is = [&packet](UrField field, auto mode) {
    return packet[field] == static_cast<double>(mode);
  };
  const bool is_safe =
      is(kUrFieldSafety, UrSafetyMode::kNormal) || is(kUrFieldSafety, UrSafetyMode::kReduced);
  const bool is_running = is(kUrFieldRobot, UrRobotMode::kRunning);
  // A slider below 100 % makes another arm of it: nothing is learnt then.
  is_slowed_ = packet[kUrFieldSlider] < kUrFullSpeed;
  state_.is_normal = is_safe && is_running && !is_slowed_ ? 1 : 0;
}

const char* UrReacher2::notice() const {
  return is_slowed_ ? "waiting: move the speed slider up to 100 % at the teach pendant" : "";
}

// ------------------------------------------------------------------------------------------------
// Homing

void UrReacher2::begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) {
  state_.homing_ns = now_ns;
  state_.standing_ticks = 0;
  state_.packets = 0;
  state_.target = ur_reacher2_target(random, step);
  // As in SenseAct an episode begins with a previous action that nobody took.
  random.uniform(step, state_.previous_action.data(), 2);
  for (double& action : state_.previous_action) action = 2.0 * action - 1.0;
}

Homing UrReacher2::home(std::int64_t now_ns, Command* command) {
  *command = Command{};
  if (now_ns - state_.homing_ns > kHomingNsMax) return Homing::kFailed;
  // Only what has come since the last tick tells where the arm is.
  const bool is_fresh = state_.packets > 0;
  state_.packets = 0;
  if (!is_fresh || state_.is_normal == 0) {
    state_.standing_ticks = 0;
    return Homing::kContinues;
  }
  double furthest = 0.0;
  double fastest = 0.0;
  UrVector speeds{};
  for (std::size_t i = 0; i < kUrJoints; ++i) {
    const double way = kStart[i] - state_.q[i];
    furthest = std::max(furthest, std::fabs(way));
    fastest = std::max(fastest, std::fabs(state_.qd[i]));
    speeds[i] = way;
  }
  if (furthest < kAtStartRad) {
    // Standing is told to stand: small errors are not chased.
    state_.standing_ticks = fastest < kStandsRadS ? state_.standing_ticks + 1 : 0;
    return state_.standing_ticks >= kStandsTicks ? Homing::kDone : Homing::kContinues;
  }
  state_.standing_ticks = 0;
  // Straight through the joints' space, slower and slower at its end.
  const double rate = std::min(3.0, kUrReacher2SpeedRadS / furthest);
  for (double& speed : speeds) speed *= rate;
  set_speeds(command, speeds);
  return Homing::kContinues;
}

// ------------------------------------------------------------------------------------------------
// An episode

void UrReacher2::observe(double* observation) const {
  const UrPlace place = tip();
  const bool is_swapped = state_.changes.are_sensors_swapped != 0;
  const std::size_t first = is_swapped ? kElbow : kShoulder;
  const std::size_t second = is_swapped ? kShoulder : kElbow;
  observation[0] = state_.q[first];
  observation[1] = state_.q[second];
  observation[2] = state_.qd[first] / kUrReacher2SpeedRadS;
  observation[3] = state_.qd[second] / kUrReacher2SpeedRadS;
  observation[4] = place[0] - state_.target[0];
  observation[5] = place[1] - state_.target[1];
  observation[6] = state_.previous_action[0];
  observation[7] = state_.previous_action[1];
}

void UrReacher2::first_observation(double* observation) {
  state_.steps = 0;
  state_.actions = {};
  observe(observation);
}

void UrReacher2::to_command(const float* action, Command* command) {
  UrVector speeds{};
  const std::array<std::size_t, 2> joints = {kShoulder, kElbow};
  const UrReacher2Changes& changes = state_.changes;
  const auto place = [this](std::int64_t step) -> std::array<double, 2>& {
    const auto count = static_cast<std::int64_t>(state_.actions.size());
    return state_.actions[static_cast<std::size_t>((step + count) % count)];
  };
  for (std::size_t i = 0; i < joints.size(); ++i) {
    state_.previous_action[i] = static_cast<double>(action[i]);
  }
  place(state_.steps) = state_.previous_action;
  for (std::size_t i = 0; i < joints.size(); ++i) {
    const double acting = place(state_.steps - changes.delay)[i];
    speeds[joints[i]] =
        changes.gain[i] * changes.sign[i] * kUrReacher2SpeedRadS * std::clamp(acting, -1.0, 1.0);
  }
  const double most = std::max(std::fabs(speeds[kShoulder]), std::fabs(speeds[kElbow]));
  if (!ur_reacher2_is_inside(state_.q[kShoulder], state_.q[kElbow], 0.0)) {
    const double shoulder = kStart[kShoulder] - state_.q[kShoulder];
    const double elbow = kStart[kElbow] - state_.q[kElbow];
    const double way = std::max(std::hypot(shoulder, elbow), 1e-9);
    speeds[kShoulder] = kReturnRadS * shoulder / way;
    speeds[kElbow] = kReturnRadS * elbow / way;
  } else {
    for (std::size_t i = 0; i < joints.size(); ++i) {
      const double q = state_.q[joints[i]];
      if (q < kJointLower[i] + kJointBuffer) speeds[joints[i]] = most;
      if (q > kJointUpper[i] - kJointBuffer) speeds[joints[i]] = -most;
    }
  }
  set_speeds(command, speeds);
}

Sensed UrReacher2::sense(double* observation) {
  const UrPlace place = tip();
  Sensed sensed;
  sensed.is_faulted = state_.is_normal == 0;
  sensed.reward =
      ur_reacher2_reward(std::hypot(place[0] - state_.target[0], place[1] - state_.target[1]));
  ++state_.steps;
  sensed.truncated = state_.steps >= kUrReacher2StepsMax;
  observe(observation);
  return sensed;
}

void ur_reacher2_p_controller(const double* observation, float* action) {
  constexpr double kGain = 8.0;
  const Jacobian j = jacobian(observation[0], observation[1]);
  const double y = -kGain * observation[4];
  const double z = -kGain * observation[5];
  // A stretched arm has directions in which it cannot go: damped there.
  const double determinant = j.y1 * j.z2 - j.y2 * j.z1;
  const double damped = std::copysign(std::max(std::fabs(determinant), 0.02), determinant);
  const double shoulder = (j.z2 * y - j.y2 * z) / damped / kUrReacher2SpeedRadS;
  const double elbow = (j.y1 * z - j.z1 * y) / damped / kUrReacher2SpeedRadS;
  const double most = std::max({1.0, std::fabs(shoulder), std::fabs(elbow)});
  action[0] = static_cast<float>(shoulder / most);
  action[1] = static_cast<float>(elbow / most);
}

// ------------------------------------------------------------------------------------------------
// Checkpoints

void UrReacher2::save_state(std::span<std::uint8_t> out) const {
  save_plain(state_, out);
}

bool UrReacher2::load_state(std::span<const std::uint8_t> in) {
  // Written so that a NaN fails.
  const auto all_within = [](std::span<const double> values, double limit) {
    return std::all_of(values.begin(), values.end(),
                       [limit](double value) { return std::fabs(value) <= limit; });
  };
  const auto is_flag = [](std::int64_t value) { return value == 0 || value == 1; };
  return load_plain(in, state_, [&](const State& state) {
    return all_within(state.q, 10.0) && all_within(state.qd, 100.0) &&
           all_within(state.target, 2.0) && all_within(state.previous_action, 1.0) &&
           is_flag(state.has_packet) && is_flag(state.is_normal) && state.steps >= 0 &&
           state.steps < kUrReacher2StepsMax && state.homing_ns >= 0 && state.standing_ticks >= 0 &&
           state.packets >= 0 && state.changes.is_valid() &&
           std::all_of(state.actions.begin(), state.actions.end(),
                       [&](const auto& action) { return all_within(action, 1.0); });
  });
}

}  // namespace instep

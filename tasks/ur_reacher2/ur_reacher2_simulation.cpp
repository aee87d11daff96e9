#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "drivers/ur/session.h"
#include "drivers/ur/simulated_device.h"
#include "kernels/check.h"
#include "runtime/plain_state.h"
#include "runtime/robot_world.h"
#include "runtime/simulated_link.h"
#include "tasks/ur_reacher2/ur_reacher2.h"

namespace instep {
namespace {

constexpr auto kPeriodNs = static_cast<std::int64_t>(kUrReacher2PeriodS * 1e9);
constexpr std::uint32_t kArmBlock = 1U << 20;  // of the draws at a step: behind the target's

// An arm at its start, whose controller has just been switched on, and everything up to the loop.
struct Arm {
  explicit Arm(std::uint64_t seed)
      : device({.seed = seed, .speed_limit_rad_s = kUrReacher2SpeedRadS + 1e-9}) {
    device.simulator().controller().place(ur_reacher2_start());
  }

  UrSimulatedDevice device;
  UrSession session{{.dead_man_ns = 2 * kPeriodNs}};
  SimulatedLink link{session, device};
  UrReacher2 task;
  RobotSignals signals;
  RobotWorld world{
      task, link, signals, {.period_ns = kPeriodNs, .observation_dim = kUrReacher2ObservationDim}};
};

class UrReacher2Simulation final : public Environment {
 public:
  UrReacher2Simulation() { arm_.emplace(0); }

  void reset(const Random& random, std::uint64_t step, double* observation) override {
    state_ = {.seed = random.seed,
              .stream = random.stream,
              .step = step,
              .has_begun = 1,
              .before = state_.changes,
              .changes = state_.changes};
    begin(observation);
  }

  void send(const float* action) override {
    note(action);
    state_.is_sent = 1;
    arm_->world.send(action);
  }

  Outcome step(const float* action, double* observation) override {
    if (state_.is_sent == 0) note(action);
    state_.is_sent = 0;
    ++state_.steps;
    const Outcome outcome = arm_->world.step(action, observation);
    if (outcome.carries_no_step) {
      std::fill_n(observation, kUrReacher2ObservationDim, std::numeric_limits<double>::quiet_NaN());
    }
    return outcome;
  }

  // joint_gain: the share of its speed that a joint reaches, 0 .. 1; joint_sign: -1 turns it round;
  // both of shoulder (_1), elbow (_2), or, without a number, of both; sensor_swap: 1 has shoulder
  // and elbow taken for each other; delay: steps from an action to the arm, 0 .. 6.
  bool change(std::string_view what, double value) override {
    UrReacher2Changes changes = state_.changes;
    const bool is_count = value >= 0.0 && value <= 100.0 && value == std::floor(value);
    if (what == "sensor_swap" && is_count) {
      changes.are_sensors_swapped = std::lround(value);
    } else if (what == "delay" && is_count) {
      changes.delay = std::lround(value);
    } else if (!set_joints(what, "joint_gain", value, changes.gain) &&
               !set_joints(what, "joint_sign", value, changes.sign)) {
      return false;
    }
    if (!changes.is_valid()) return false;
    if (state_.changed_at != moment()) state_.before = state_.changes;
    state_.changed_at = moment();
    state_.changes = changes;
    arm_->task.set_changes(changes);
    return true;
  }

  // The arm from its side, in SenseAct's frame, and the target behind it.
  void get_limbs(std::vector<Limb>& limbs) const override {
    constexpr std::array<double, kUrJoints> kRadii = {0.06, 0.055, 0.05, 0.04, 0.035, 0.03};
    constexpr double kTargetRadius = 0.03;
    limbs.assign(kRadii.size() + 1, {});
    const auto frames =
        ur_link_frames(UrModel::kCb3, arm_->device.simulator().controller().arm().q);
    std::array<double, 3> from{};
    for (std::size_t i = 0; i < kRadii.size(); ++i) {
      const auto& to = frames[i].position;
      limbs[i] = {{-from[1], from[0], from[2]}, {-to[1], to[0], to[2]}, kRadii[i]};
      from = to;
    }
    const UrPlace target = arm_->task.target();
    limbs.back() = {{target[0], 1.0, target[1]}, {target[0], 1.0, target[1]}, kTargetRadius};
  }

  std::size_t state_bytes() const override { return sizeof state_; }

  void save_state(std::span<std::uint8_t> out) const override { save_plain(state_, out); }

  bool load_state(std::span<const std::uint8_t> in) override {
    const bool is_taken = load_plain(in, state_, [](const State& state) {
      return state.has_begun == 1 && state.stream <= UINT32_MAX && state.steps >= 0 &&
             state.steps < static_cast<std::int64_t>(kActionsMax) && state.is_sent >= 0 &&
             state.is_sent <= 1 && state.changed_at >= -1 && state.before.is_valid() &&
             state.changes.is_valid();
    });
    if (is_taken) repeat();
    return is_taken;
  }

 private:
  static constexpr std::size_t kActionsMax = kUrReacher2StepsMax + 1;

  // The controller runs programs, and what it is in the middle of is large. An episode is short and
  // follows from its beginning and its actions: these are its state, and it is repeated from them.
  // Members of eight bytes or multiples of them, so that no padding makes equal states differ.
  struct State {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t step = 0;  // when it began
    std::int64_t has_begun = 0;
    std::int64_t steps = 0;
    std::int64_t is_sent = 0;      // the action of the step to come
    std::int64_t changed_at = -1;  // the moment() of this episode when the world changed last
    UrReacher2Changes before;      // until then
    UrReacher2Changes changes;
    std::array<std::array<float, kUrReacher2ActionDim>, kActionsMax> actions{};
  };

  // The value of the joint that `what` names behind `name`, or of both. False: it is another name.
  static bool set_joints(std::string_view what, std::string_view name, double value,
                         std::array<double, 2>& values) {
    if (!what.starts_with(name)) return false;
    const std::string_view joint = what.substr(name.size());
    if (joint.empty() || joint == "_1") values[0] = value;
    if (joint.empty() || joint == "_2") values[1] = value;
    return joint.empty() || joint == "_1" || joint == "_2";
  }

  // Twice the steps of the episode, and one more when the next action has been sent.
  std::int64_t moment() const { return 2 * state_.steps + state_.is_sent; }

  Random random() const { return {state_.seed, static_cast<std::uint32_t>(state_.stream)}; }

  void begin(double* observation) {
    const PhiloxBlock draw = random().bits(state_.step, kArmBlock);
    arm_.emplace(std::uint64_t{draw[0]} << 32 | draw[1]);
    arm_->task.set_changes(state_.before);
    arm_->world.reset(random(), state_.step, observation);
  }

  void note(const float* action) {
    INSTEP_CHECK(state_.steps < static_cast<std::int64_t>(kActionsMax));
    std::copy_n(action, kUrReacher2ActionDim,
                state_.actions[static_cast<std::size_t>(state_.steps)].begin());
  }

  void repeat() {
    std::array<double, kUrReacher2ObservationDim> observation;
    begin(observation.data());
    const std::int64_t end = moment();
    for (std::int64_t at = 0; at <= end; ++at) {
      if (at == state_.changed_at) arm_->task.set_changes(state_.changes);
      if (at == end) break;
      const auto i = static_cast<std::size_t>(at / 2);
      if (at % 2 == 0) {
        arm_->world.send(state_.actions[i].data());
      } else {
        arm_->world.step(state_.actions[i].data(), observation.data());
      }
    }
  }

  State state_;
  // Made anew for every episode: an episode is a function of seed and step alone.
  std::optional<Arm> arm_;
};

}  // namespace

std::unique_ptr<Environment> make_ur_reacher2() {
  return std::make_unique<UrReacher2Simulation>();
}

}  // namespace instep

// A task on its simulated robot, through the robot's bytes, as a world on simulated time.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>

#include "kernels/check.h"
#include "runtime/environment.h"
#include "runtime/plain_state.h"
#include "runtime/robot_world.h"
#include "runtime/simulated_link.h"

namespace instep {

// Of a robot whose world stays as it is.
struct NoChanges {
  std::int64_t none = 0;
  bool is_valid() const { return none == 0; }
};

template <class Robot>
struct ChangesOf {
  using Type = NoChanges;
};

template <class Robot>
requires requires {
  typename Robot::Changes;
}
struct ChangesOf<Robot> {
  using Type = typename Robot::Changes;
};

// `Robot` has the constants kObservationDim, kActionDim, kStepsMax (control steps of an episode)
// and kPeriodNs, is made from a seed (std::uint64_t), and has the members device (a
// DeviceSimulator), session (a Session) and task (a RobotTask). It is made anew for every episode,
// so that an episode is a function of seed and step alone; making it must not allocate.
//
// A robot whose world can change names a type Changes, of plain data without padding, which
// is_valid() when made, and has a task with set_changes(Changes).
//
// A world's state is how its episode began, and the actions since: load_state() repeats the episode
// from them. So neither device nor session need a state that can be saved.
template <class Robot>
class RobotSimulation : public Environment {
 public:
  RobotSimulation() { parts_.emplace(0); }

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
    parts_->world.send(action);
  }

  Outcome step(const float* action, double* observation) override {
    if (state_.is_sent == 0) note(action);
    state_.is_sent = 0;
    ++state_.steps;
    const Outcome outcome = parts_->world.step(action, observation);
    if (outcome.carries_no_step) {
      std::fill_n(observation, Robot::kObservationDim, std::numeric_limits<double>::quiet_NaN());
    }
    return outcome;
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

 protected:
  using Changes = typename ChangesOf<Robot>::Type;

  const Robot& robot() const { return parts_->robot; }
  const Changes& changes() const { return state_.changes; }

  // From now on. False, and nothing has changed, when they are not valid.
  bool set_changes(const Changes& changes) {
    if (!changes.is_valid()) return false;
    if (state_.changed_at != moment()) state_.before = state_.changes;
    state_.changed_at = moment();
    state_.changes = changes;
    pass_on(changes);
    return true;
  }

 private:
  static constexpr std::size_t kActionsMax = Robot::kStepsMax + 1;
  static constexpr std::uint32_t kRobotBlock = 1U << 20;  // of the draws at a step: behind a task's

  // Members of eight bytes or multiples of them, so that no padding makes equal states differ.
  struct State {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t step = 0;  // when it began
    std::int64_t has_begun = 0;
    std::int64_t steps = 0;
    std::int64_t is_sent = 0;      // the action of the step to come
    std::int64_t changed_at = -1;  // the moment() of this episode when the world changed last
    Changes before;                // until then
    Changes changes;
    std::array<float, (Robot::kActionDim * kActionsMax + 1) / 2 * 2> actions{};
  };

  // A robot at rest, and everything up to the loop.
  struct Parts {
    explicit Parts(std::uint64_t seed) : robot(seed) {}

    Robot robot;
    SimulatedLink link{robot.session, robot.device};
    RobotSignals signals;
    RobotWorld world{robot.task,
                     link,
                     signals,
                     {.period_ns = Robot::kPeriodNs, .observation_dim = Robot::kObservationDim}};
  };

  // Twice the steps of the episode, and one more when the next action has been sent.
  std::int64_t moment() const { return 2 * state_.steps + state_.is_sent; }

  void pass_on(const Changes& changes) {
    if constexpr (!std::is_same_v<Changes, NoChanges>) {
      parts_->robot.task.set_changes(changes);
    }
  }

  Random random() const { return {state_.seed, static_cast<std::uint32_t>(state_.stream)}; }

  void begin(double* observation) {
    const PhiloxBlock draw = random().bits(state_.step, kRobotBlock);
    parts_.emplace(std::uint64_t{draw[0]} << 32 | draw[1]);
    pass_on(state_.before);
    parts_->world.reset(random(), state_.step, observation);
  }

  float* action_of(std::int64_t step) { return state_.actions.data() + step * Robot::kActionDim; }

  void note(const float* action) {
    INSTEP_CHECK(state_.steps < static_cast<std::int64_t>(kActionsMax));
    std::copy_n(action, Robot::kActionDim, action_of(state_.steps));
  }

  void repeat() {
    std::array<double, Robot::kObservationDim> observation;
    begin(observation.data());
    const std::int64_t end = moment();
    for (std::int64_t at = 0; at <= end; ++at) {
      if (at == state_.changed_at) pass_on(state_.changes);
      if (at == end) break;
      if (at % 2 == 0) {
        parts_->world.send(action_of(at / 2));
      } else {
        parts_->world.step(action_of(at / 2), observation.data());
      }
    }
  }

  State state_;
  std::optional<Parts> parts_;
};

}  // namespace instep

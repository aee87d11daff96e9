#include <algorithm>
#include <array>
#include <limits>
#include <optional>

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
    state_ = {.seed = random.seed, .stream = random.stream, .step = step, .has_begun = 1};
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

  std::size_t state_bytes() const override { return sizeof state_; }

  void save_state(std::span<std::uint8_t> out) const override { save_plain(state_, out); }

  bool load_state(std::span<const std::uint8_t> in) override {
    const bool is_taken = load_plain(in, state_, [](const State& state) {
      return state.has_begun == 1 && state.stream <= UINT32_MAX && state.steps >= 0 &&
             state.steps < static_cast<std::int64_t>(kActionsMax) && state.is_sent >= 0 &&
             state.is_sent <= 1;
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
    std::int64_t is_sent = 0;  // the action of the step to come
    std::array<std::array<float, kUrReacher2ActionDim>, kActionsMax> actions{};
  };

  Random random() const { return {state_.seed, static_cast<std::uint32_t>(state_.stream)}; }

  void begin(double* observation) {
    const PhiloxBlock draw = random().bits(state_.step, kArmBlock);
    arm_.emplace(std::uint64_t{draw[0]} << 32 | draw[1]);
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
    for (std::int64_t i = 0; i < state_.steps; ++i) {
      arm_->world.step(state_.actions[static_cast<std::size_t>(i)].data(), observation.data());
    }
    if (state_.is_sent == 1) {
      arm_->world.send(state_.actions[static_cast<std::size_t>(state_.steps)].data());
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

// The instep command with a task of one's own: a cart on a rail is to come to rest in the middle.
#include <instep/command.h>

#include <algorithm>
#include <cmath>

#include "runtime/plain_state.h"

namespace {

constexpr int kSteps = 100;  // of an episode

class Cart final : public instep::Environment {
 public:
  void reset(const instep::Random& random, std::uint64_t step, double* observation) override {
    double draw = 0.0;
    random.uniform(step, &draw, 1);
    state_ = {.position = 2.0 * draw - 1.0};
    observe(observation);
  }

  instep::Outcome step(const float* action, double* observation) override {
    constexpr double kPeriodS = 0.05;
    const double force = static_cast<double>(action[0]);
    state_.speed = std::clamp(state_.speed + kPeriodS * 2.0 * force, -2.0, 2.0);
    state_.position = std::clamp(state_.position + kPeriodS * state_.speed, -1.0, 1.0);
    state_.steps += 1.0;
    observe(observation);
    return {.reward = -std::abs(state_.position) - 0.1 * std::abs(state_.speed),
            .truncated = state_.steps >= kSteps};
  }

  std::size_t state_bytes() const override { return sizeof state_; }
  void save_state(std::span<std::uint8_t> out) const override { instep::save_plain(state_, out); }
  bool load_state(std::span<const std::uint8_t> in) override {
    return instep::load_plain(in, state_, [](const State& state) {
      return std::abs(state.position) <= 1.0 && std::abs(state.speed) <= 2.0 &&
             state.steps >= 0.0 && state.steps <= kSteps;
    });
  }

 private:
  struct State {
    double position = 0.0;  // m
    double speed = 0.0;     // m/s
    double steps = 0.0;     // of this episode
  };

  void observe(double* observation) const {
    observation[0] = state_.position;
    observation[1] = state_.speed;
  }

  State state_;
};

constexpr instep::SettingDefault kDefaults[] = {{"avg", "actor_lr", 1e-3},
                                                {"avg", "critic_lr", 1e-2}};

}  // namespace

int main(int argc, char** argv) {
  const instep::TaskInfo cart = {
      .name = "cart",
      .summary = "a cart on a rail comes to rest in the middle",
      .observation_dim = 2,
      .action_dim = 1,
      .period_s = 0.05,
      .episode_steps_max = kSteps,
      .default_steps = 40'000,
      .defaults = kDefaults,
      .make = []() -> std::unique_ptr<instep::Environment> { return std::make_unique<Cart>(); }};
  return instep::command(argc, argv, {.tasks = {cart}});
}

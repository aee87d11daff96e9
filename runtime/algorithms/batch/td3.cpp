#include "runtime/algorithms/batch/td3.h"

#include <algorithm>

#include "kernels/elementary.h"
#include "runtime/algorithms/batch/replay_agent.h"
#include "runtime/algorithms/batch/replay_settings.h"

namespace instep {
namespace {

constexpr ReplayConfig kDefaults = {.learning_starts = 25'000, .actor_lr = 3e-4, .critic_lr = 3e-4};
constexpr auto kSettings = replay_settings(kDefaults);

constexpr float kExplorationNoise = 0.1F;  // standard deviations, of an action's range of +-1
constexpr float kTargetNoise = 0.2F;
constexpr float kTargetNoiseMax = 0.5F;

float bounded(float value, float limit) {
  return std::clamp(value, -limit, limit);
}

class Td3 final : public ReplayAgent {
 public:
  Td3(const AgentConfig& agent, const ReplayConfig& config) : ReplayAgent(agent, config) {}

 private:
  void squash_output(const float* output, const float* noise, float* action) const override {
    for (int i = 0; i < action_dim(); ++i) {
      action[i] = bounded(tanh_float(output[i]) + kExplorationNoise * noise[i], 1.0F);
    }
  }

  void act_next() override {
    const auto n = static_cast<std::size_t>(observation_dim());
    const auto m = static_cast<std::size_t>(action_dim());
    draw_noise(Stream::kNextAction, 0);
    run_actor(target_actor(), batch().next_observation);
    for (std::size_t i = 0; i < static_cast<std::size_t>(config().batch); ++i) {
      for (std::size_t j = 0; j < m; ++j) {
        const float smoothing = bounded(kTargetNoise * noise()[i * m + j], kTargetNoiseMax);
        batch().next_input[i * (n + m) + n + j] =
            bounded(tanh_float(output()[i * m + j]) + smoothing, 1.0F);
      }
      batch().next_bonus[i] = 0.0F;
    }
  }

  // The loss is the mean of -Q1(s, actor(s)).
  void learn_actor() override {
    const auto n = static_cast<std::size_t>(observation_dim());
    const auto m = static_cast<std::size_t>(action_dim());
    const auto samples = static_cast<std::size_t>(config().batch);
    run_actor(actor(), batch().observation);
    set_observations(batch().observation, batch().next_input);
    for (std::size_t i = 0; i < samples; ++i) {
      for (std::size_t j = 0; j < m; ++j) {
        batch().next_input[i * (n + m) + n + j] = tanh_float(output()[i * m + j]);
      }
      d_q()[i] = -1.0F / static_cast<float>(config().batch);
    }
    run_critics(batch().next_input, false);
    critic_input_gradient(0, batch().next_input, d_q());
    for (std::size_t i = 0; i < samples; ++i) {
      for (std::size_t j = 0; j < m; ++j) {
        const float action = batch().next_input[i * (n + m) + n + j];
        d_output()[i * m + j] = d_input()[i * (n + m) + n + j] * (1.0F - action * action);
      }
    }
    step_actor(batch().observation);
  }
};

std::unique_ptr<Agent> make(const AgentConfig& config) {
  ReplayConfig own = replay_config(config.settings);
  own.actor_outputs = config.action_dim;
  own.has_target_actor = true;
  return std::make_unique<Td3>(config, own);
}

}  // namespace

constinit const AlgorithmInfo kTd3Info = {
    .name = "td3",
    .summary = "TD3: a replay buffer, batches, twin critics, a delayed deterministic actor",
    .number = 3,
    .settings = kSettings,
    .constants = "exploration_noise=0.1\ntarget_noise=0.2\ntarget_noise_max=0.5\n",
    .why_not_apart =
        ": an update of a whole batch takes milliseconds, and the loop would wait for it",
    .paths = batch_paths,
    .make = make};

}  // namespace instep

#include "runtime/algorithms/batch/sac.h"

#include <cmath>

#include "kernels/elementary.h"
#include "kernels/squashed_gaussian.h"
#include "runtime/algorithms/batch/replay_agent.h"
#include "runtime/algorithms/batch/replay_settings.h"

namespace instep {
namespace {

constexpr ReplayConfig kDefaults = {.learning_starts = 5000, .actor_lr = 3e-4, .critic_lr = 1e-3};
constexpr auto kSettings = replay_settings(kDefaults);

// The head's second half gives the log standard deviation by tanh, stretched to these bounds.
constexpr double kLogStdMin = -5.0;
constexpr double kLogStdMax = 2.0;
// Keeps the logarithm of the squash's slope finite.
constexpr double kSlopeFloor = 1e-6;

// One dimension of a sampled action, with what its gradients need.
struct Sample {
  double action;
  double std_dev;
  double log_prob;       // its part
  double d_log_std_raw;  // d log std / d the head's output
};

Sample sample(double mean, double raw, double noise) {
  const double tanh_raw = tanh_double(raw);
  const double half_range = 0.5 * (kLogStdMax - kLogStdMin);
  const double log_std = kLogStdMin + half_range * (tanh_raw + 1.0);
  Sample result{};
  result.std_dev = exp_double(log_std);
  result.action = tanh_double(mean + result.std_dev * noise);
  result.log_prob = -0.5 * noise * noise - log_std - 0.5 * kLog2Pi -
                    log_double(1.0 - result.action * result.action + kSlopeFloor);
  result.d_log_std_raw = half_range * (1.0 - tanh_raw * tanh_raw);
  return result;
}

class Sac final : public ReplayAgent {
 public:
  Sac(const AgentConfig& agent, const ReplayConfig& config)
      : ReplayAgent(agent, config), target_entropy_(-static_cast<double>(agent.action_dim)) {}

  std::vector<NamedNumber> numbers() const override {
    std::vector<NamedNumber> all = ReplayAgent::numbers();
    all.push_back({"entropy_coef", entropy_coef()});
    return all;
  }

 private:
  double entropy_coef() const { return exp_double(state().log_entropy_coef); }

  void squash_output(const float* output, const float* noise, float* action) const override {
    const int m = action_dim();
    for (int i = 0; i < m; ++i) {
      action[i] = static_cast<float>(sample(output[i], output[m + i], noise[i]).action);
    }
  }

  // Draws an action for each column of the actor's tape into `input`, below its observation.
  // Answers the mean of the log probabilities; log_probs [batch] may be null.
  double draw_actions(float* input, float* log_probs) {
    const auto n = static_cast<std::size_t>(observation_dim());
    const auto m = static_cast<std::size_t>(action_dim());
    double total = 0.0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(config().batch); ++i) {
      const float* head = output() + i * 2 * m;
      double log_prob = 0.0;
      for (std::size_t j = 0; j < m; ++j) {
        const Sample drawn = sample(head[j], head[m + j], noise()[i * m + j]);
        input[i * (n + m) + n + j] = static_cast<float>(drawn.action);
        log_prob += drawn.log_prob;
      }
      if (log_probs != nullptr) log_probs[i] = static_cast<float>(log_prob);
      total += log_prob;
    }
    return total / config().batch;
  }

  void act_next() override {
    draw_noise(Stream::kNextAction, 0);
    run_actor(actor(), batch().next_observation);
    draw_actions(batch().next_input, batch().next_bonus);
    const auto coef = static_cast<float>(entropy_coef());
    for (int i = 0; i < config().batch; ++i) batch().next_bonus[i] *= -coef;
  }

  // As many updates as critic updates have gone by since the last time.
  void learn_actor() override {
    for (int k = 0; k < config().actor_every; ++k) {
      draw_noise(Stream::kActorUpdate, 2 * k);
      run_actor(actor(), batch().observation);
      set_observations(batch().observation, batch().next_input);
      const double mean_log_prob = draw_actions(batch().next_input, nullptr);
      note_entropy(-mean_log_prob);
      find_output_gradient();
      step_actor(batch().observation);
      // The entropy weight learns from the new actor's own draws.
      draw_noise(Stream::kActorUpdate, 2 * k + 1);
      run_actor(actor(), batch().observation);
      step_entropy_coef(draw_actions(batch().next_input, nullptr));
    }
  }

  // The loss is the mean of coef * log pi(a|s) - min(Q1, Q2)(s, a): overwrites d_output().
  void find_output_gradient() {
    run_critics(batch().next_input, false);
    const auto n = static_cast<std::size_t>(observation_dim());
    const auto m = static_cast<std::size_t>(action_dim());
    const auto samples = static_cast<std::size_t>(config().batch);
    const double coef = entropy_coef();
    for (std::size_t k = 0; k < 2; ++k) {
      for (std::size_t i = 0; i < samples; ++i) {
        d_q()[i] = (q(0)[i] <= q(1)[i]) == (k == 0) ? 1.0F : 0.0F;
      }
      critic_input_gradient(k, batch().next_input, d_q());
      for (std::size_t i = 0; i < samples; ++i) {
        if (d_q()[i] == 0.0F) continue;
        const float* head = output() + i * 2 * m;
        for (std::size_t j = 0; j < m; ++j) {
          const double noise_j = noise()[i * m + j];
          const Sample drawn = sample(head[j], head[m + j], noise_j);
          const double slope = 1.0 - drawn.action * drawn.action;
          const double d_action = coef * 2.0 * drawn.action / (slope + kSlopeFloor) -
                                  static_cast<double>(d_input()[i * (n + m) + n + j]);
          const double d_mean = d_action * slope / config().batch;
          const double d_log_std = d_mean * noise_j * drawn.std_dev - coef / config().batch;
          d_output()[i * 2 * m + j] = static_cast<float>(d_mean);
          d_output()[i * 2 * m + m + j] = static_cast<float>(d_log_std * drawn.d_log_std_raw);
        }
      }
    }
  }

  // The loss is -coef (log pi + target entropy), by the logarithm of coef.
  void step_entropy_coef(double mean_log_prob) {
    State& now = state();
    const double gradient = -entropy_coef() * (mean_log_prob + target_entropy_);
    const DenseAdamStep step = next_adam_step(now.entropy, config().critic_lr, 1e-8);
    now.entropy_first_moment += (1.0 - kBatchBeta1) * (gradient - now.entropy_first_moment);
    now.entropy_second_moment =
        kBatchBeta2 * now.entropy_second_moment + (1.0 - kBatchBeta2) * gradient * gradient;
    now.log_entropy_coef -= static_cast<double>(step.lr) * now.entropy_first_moment /
                            (std::sqrt(now.entropy_second_moment) + static_cast<double>(step.eps));
  }

  double target_entropy_;
};

std::unique_ptr<Agent> make(const AgentConfig& config) {
  ReplayConfig own = replay_config(config.settings);
  own.actor_outputs = 2 * config.action_dim;
  return std::make_unique<Sac>(config, own);
}

}  // namespace

constinit const AlgorithmInfo kSacInfo = {
    .name = "sac",
    .summary = "Soft Actor-Critic: a replay buffer, batches, twin critics with targets",
    .number = 2,
    .settings = kSettings,
    .constants = "entropy_coef=learnt\nlog_std_min=-5\nlog_std_max=2\n",
    .why_not_apart =
        ": an update of a whole batch takes milliseconds, and the loop would wait for it",
    .paths = batch_paths,
    .make = make};

}  // namespace instep

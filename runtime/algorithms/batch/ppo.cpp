#include "runtime/algorithms/batch/ppo.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "kernels/check.h"
#include "kernels/elementary.h"
#include "kernels/normalizer.h"
#include "kernels/squashed_gaussian.h"
#include "runtime/algorithms/batch/batch_agent.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

constexpr double kAdamEps = 1e-5;
constexpr double kValueShare = 0.5;      // of the critic's loss
constexpr double kGradientLength = 0.5;  // longer ones are shortened to it
constexpr double kExponentMax = 100.0;   // of a ratio of probabilities
constexpr double kNormalizedMax = 10.0;  // of observations and rewards

constexpr std::array kSettings = {
    Setting{.name = "discount",
            .initial = 0.99,
            .max = 1.0,
            .unit = "per step",
            .help = "weight of the next step's value (gamma)"},
    Setting{.name = "lr",
            .initial = 3e-4,
            .max = 1.0,
            .above_min = true,
            .help = "step size of Adam at the start"},
    Setting{.name = "lr_steps",
            .kind = SettingKind::kInteger,
            .initial = 1e6,
            .max = 1e12,
            .unit = "steps",
            .help = "the step size falls to 0 over so many; 0: it stays"},
    Setting{.name = "rollout",
            .kind = SettingKind::kInteger,
            .initial = 2048,
            .min = 1.0,
            .max = 1e6,
            .unit = "steps",
            .help = "gathered for one round of updates"},
    Setting{.name = "minibatches",
            .kind = SettingKind::kInteger,
            .initial = 32,
            .min = 1.0,
            .max = 1e6,
            .help = "that a rollout is split into; what does not fill the last one is left out"},
    Setting{.name = "epochs",
            .kind = SettingKind::kInteger,
            .initial = 10,
            .min = 1.0,
            .max = 1000.0,
            .help = "how often each rollout is learnt from"},
    Setting{.name = "gae_lambda",
            .initial = 0.95,
            .max = 1.0,
            .help = "how far advantages look ahead (generalised advantage estimation)"},
    Setting{.name = "clip",
            .initial = 0.2,
            .max = 10.0,
            .above_min = true,
            .help = "how far a policy's probabilities may move in one round"},
    Setting{.name = "hidden",
            .kind = SettingKind::kInteger,
            .initial = 64,
            .min = 4.0,
            .max = 1024.0,
            .multiple_of = 4,
            .unit = "units",
            .help = "size of each hidden layer"},
};

struct PpoConfig {
  double discount;
  double lr;
  std::int64_t lr_steps;
  int rollout;
  int batch;  // of one minibatch
  int minibatches;
  int epochs;
  double gae_lambda;
  double clip;
  int hidden;
};

PpoConfig ppo_config(const SettingValues& values) {
  const auto integer = [&](std::string_view key) { return static_cast<int>(values.at(key)); };
  PpoConfig config{.discount = values.at("discount"),
                   .lr = values.at("lr"),
                   .lr_steps = static_cast<std::int64_t>(values.at("lr_steps")),
                   .rollout = integer("rollout"),
                   .batch = 1,
                   .minibatches = std::min(integer("minibatches"), integer("rollout")),
                   .epochs = integer("epochs"),
                   .gae_lambda = values.at("gae_lambda"),
                   .clip = values.at("clip"),
                   .hidden = integer("hidden")};
  config.batch = config.rollout / config.minibatches;
  return config;
}

float bounded(double value) {
  return static_cast<float>(std::clamp(value, -kNormalizedMax, kNormalizedMax));
}

// The action is drawn from a Gaussian and clipped where it is sent; the spread does not depend on
// the observation. All learnt numbers are one list: actor, log standard deviations, critic.
class Ppo final : public BatchAgent {
 public:
  Ppo(const AgentConfig& agent, const PpoConfig& config);

  bool take_weights(const Agent& other) override;
  std::vector<NamedNumber> numbers() const override {
    return {{"rounds", state().rounds}, {"updates", state().adam.updates}};
  }
  void act(const double* observation, const float* noise, float* action) override;

 private:
  // Members of eight bytes, so that no padding makes equal states differ.
  struct State {
    std::int64_t gathered = 0;  // steps of the rollout
    std::int64_t rounds = 0;
    AdamCounters adam;
    double open_value = 0.0;
    double open_log_prob = 0.0;
    double observations = 0.0;   // in the normaliser
    double reward_return = 0.0;  // discounted, whose spread scales rewards
    double returns = 0.0;        // in its statistics
    double return_mean = 0.0;
    double return_variance = 1.0;
  };

  void open(const double* observation, float* action) override;
  void close(const double* observation, double reward, bool terminated, bool truncated) override;
  void lose() override;
  void learn() override;
  bool is_valid_state(std::span<const std::uint8_t> in) const override;
  void fill_health(HealthSample& sample) const override;
  void forget_health() override;

  NetworkShape actor_shape() const {
    return {observation_dim(), hidden(), action_dim(), Activation::kTanh};
  }
  NetworkShape critic_shape() const { return {observation_dim(), hidden(), 1, Activation::kTanh}; }
  std::size_t spread_at() const { return network_offsets(actor_shape()).count; }
  std::size_t critic_at() const { return spread_at() + area(action_dim(), 1); }
  std::size_t weight_count() const { return critic_at() + network_offsets(critic_shape()).count; }

  State& state() { return *at<State>(state_at_); }
  const State& state() const { return *at<const State>(state_at_); }
  float* weights() const { return at<float>(weights_at_); }
  float* spread() const { return weights() + spread_at(); }
  float* column(std::size_t array, std::size_t rows, std::size_t i) const {
    return at<float>(array) + i * rows;
  }

  void normalize(const double* observation, float* out) const;
  // The action before it is clipped: overwrites drawn [action_dim].
  void draw(const float* normalized_observation, const float* noise, float* drawn);
  double value_of(const float* normalized_observation);
  double scaled_reward(double reward, bool terminated);
  void find_advantages();
  void shuffle(int epoch);
  void learn_minibatch(int first, double lr);
  void gather(int first);
  double learn_sample(std::size_t i, std::size_t slot, double advantage);

  PpoConfig config_;
  // Offsets in the block.
  std::size_t state_at_ = 0, weights_at_ = 0, moments_at_ = 0;
  std::size_t mean_at_ = 0, variance_at_ = 0;  // of observations, doubles
  std::size_t open_observation_at_ = 0, open_drawn_at_ = 0;
  // Of the rollout, a column for each step.
  std::size_t observation_at_ = 0, drawn_at_ = 0, log_prob_at_ = 0, reward_at_ = 0, value_at_ = 0,
              end_at_ = 0;
  std::size_t advantage_at_ = 0, return_at_ = 0, order_at_ = 0;
  // Of a minibatch.
  std::size_t input_at_ = 0, d_mean_at_ = 0, d_value_at_ = 0, gradient_at_ = 0, acting_at_ = 0;
  NetworkTape actor_tape_, critic_tape_, acting_tape_;
  NetworkScratch scratch_;

  std::int64_t samples_ = 0;  // since health was asked for
  double error_squares_ = 0.0;
  double values_ = 0.0;
};

Ppo::Ppo(const AgentConfig& agent, const PpoConfig& config)
    : BatchAgent(agent, config.hidden), config_(config) {
  const int n = observation_dim();
  const int m = action_dim();
  const int steps = config.rollout;
  state_at_ = plan("counters", sizeof(State));
  mean_at_ = plan("observation means", area(n, 1) * sizeof(double));
  variance_at_ = plan("observation variances", area(n, 1) * sizeof(double));
  open_observation_at_ = plan_floats("open observation", area(n, 1));
  open_drawn_at_ = plan_floats("open draw", area(m, 1));
  weights_at_ = plan_floats("weights", weight_count());
  moments_at_ = plan_floats("moments", 2 * weight_count());
  observation_at_ = plan_floats("rollout observations", area(n, steps));
  drawn_at_ = plan_floats("rollout actions", area(m, steps));
  log_prob_at_ = plan_floats("rollout log probabilities", area(steps, 1));
  reward_at_ = plan_floats("rollout rewards", area(steps, 1));
  value_at_ = plan_floats("rollout values", area(steps, 1));
  end_at_ = plan_floats("rollout ends", area(steps, 1));
  end_state();
  const auto scratch = [&](std::size_t count) { return plan_floats("scratch", count); };
  advantage_at_ = scratch(area(steps, 1));
  return_at_ = scratch(area(steps, 1));
  order_at_ = plan("scratch", area(steps, 1) * sizeof(int));
  input_at_ = scratch(area(n, config.batch));
  d_mean_at_ = scratch(area(m, config.batch));
  d_value_at_ = scratch(area(config.batch, 1));
  gradient_at_ = scratch(weight_count());
  acting_at_ = scratch(area(n, 1));
  const auto hidden_scratch = [&](int columns) { return scratch(area(hidden(), columns)); };
  const std::size_t layers[] = {hidden_scratch(config.batch),
                                hidden_scratch(config.batch),
                                hidden_scratch(config.batch),
                                hidden_scratch(config.batch),
                                hidden_scratch(config.batch),
                                hidden_scratch(config.batch),
                                hidden_scratch(1),
                                hidden_scratch(1)};
  const std::size_t outputs[] = {scratch(area(m, config.batch)), scratch(area(config.batch, 1)),
                                 scratch(area(m + 1, 1))};
  allocate();
  actor_tape_ = {at<float>(layers[0]), at<float>(layers[1]), at<float>(outputs[0])};
  critic_tape_ = {at<float>(layers[2]), at<float>(layers[3]), at<float>(outputs[1])};
  scratch_ = {at<float>(layers[4]), at<float>(layers[5])};
  acting_tape_ = {at<float>(layers[6]), at<float>(layers[7]), at<float>(outputs[2])};
  state() = State{};
  std::fill_n(at<double>(variance_at_), n, 1.0);
  initialize_orthogonal(actor_shape(), std::sqrt(2.0), 0.01, seed(), 0, weights());
  initialize_orthogonal(critic_shape(), std::sqrt(2.0), 1.0, seed(), 1, weights() + critic_at());
}

// ---------------------------------------------------------------------------------------------------
// The tick

void Ppo::normalize(const double* observation, float* out) const {
  const double* mean = at<double>(mean_at_);
  const double* variance = at<double>(variance_at_);
  for (int i = 0; i < observation_dim(); ++i) {
    out[i] = bounded(static_cast<double>(normalized(observation[i], mean[i], variance[i])));
  }
}

double Ppo::value_of(const float* normalized_observation) {
  run_network(path(), critic_shape(), weights() + critic_at(), 1, normalized_observation,
              acting_tape_);
  return static_cast<double>(acting_tape_.output[0]);
}

void Ppo::act(const double* observation, const float* noise, float* action) {
  float* const input = at<float>(acting_at_);
  normalize(observation, input);
  draw(input, noise, action);
  for (int i = 0; i < action_dim(); ++i) action[i] = std::clamp(action[i], -1.0F, 1.0F);
}

void Ppo::draw(const float* normalized_observation, const float* noise, float* drawn) {
  run_network(path(), actor_shape(), weights(), 1, normalized_observation, acting_tape_);
  for (int i = 0; i < action_dim(); ++i) {
    drawn[i] = acting_tape_.output[i] + exp_float(spread()[i]) * noise[i];
  }
}

void Ppo::open(const double* observation, float* action) {
  State& now = state();
  double* const mean = at<double>(mean_at_);
  double* const variance = at<double>(variance_at_);
  for (int i = 0; i < observation_dim(); ++i) {
    add_to_normalizer(observation[i], now.observations, mean[i], variance[i]);
  }
  now.observations += 1.0;
  float* const input = at<float>(open_observation_at_);
  normalize(observation, input);
  float noise[kActionDimMax];
  random(Stream::kExploration).normal(step(), noise, action_dim());
  float* const drawn = at<float>(open_drawn_at_);
  draw(input, noise, drawn);
  now.open_log_prob = 0.0;
  for (int i = 0; i < action_dim(); ++i) {
    action[i] = std::clamp(drawn[i], -1.0F, 1.0F);
    const auto e = static_cast<double>(noise[i]);
    now.open_log_prob -= 0.5 * e * e + static_cast<double>(spread()[i]) + 0.5 * kLog2Pi;
  }
  now.open_value = value_of(input);
}

// As Gymnasium's NormalizeReward: by the standard deviation of a discounted return.
double Ppo::scaled_reward(double reward, bool terminated) {
  State& now = state();
  now.reward_return = now.reward_return * config_.discount * (terminated ? 0.0 : 1.0) + reward;
  add_to_normalizer(now.reward_return, now.returns, now.return_mean, now.return_variance);
  now.returns += 1.0;
  return static_cast<double>(bounded(reward / std::sqrt(now.return_variance + 1e-8)));
}

void Ppo::close(const double* observation, double reward, bool terminated, bool truncated) {
  State& now = state();
  INSTEP_CHECK(now.gathered >= 0 && now.gathered < config_.rollout);
  const auto slot = static_cast<std::size_t>(now.gathered);
  const auto n = static_cast<std::size_t>(observation_dim());
  const auto m = static_cast<std::size_t>(action_dim());
  double worth = scaled_reward(reward, terminated);
  if (truncated && !terminated) {
    float* const input = at<float>(acting_at_);
    normalize(observation, input);
    worth += config_.discount * value_of(input);
  }
  std::memcpy(column(observation_at_, n, slot), at<float>(open_observation_at_), n * sizeof(float));
  std::memcpy(column(drawn_at_, m, slot), at<float>(open_drawn_at_), m * sizeof(float));
  at<float>(log_prob_at_)[slot] = static_cast<float>(now.open_log_prob);
  at<float>(value_at_)[slot] = static_cast<float>(now.open_value);
  at<float>(reward_at_)[slot] = static_cast<float>(worth);
  at<float>(end_at_)[slot] = terminated || truncated ? 1.0F : 0.0F;
  ++now.gathered;
}

// The step before it ends there, and is worth what the lost one was expected to bring.
void Ppo::lose() {
  State& now = state();
  if (now.gathered == 0) return;
  const auto last = static_cast<std::size_t>(now.gathered - 1);
  if (std::exchange(at<float>(end_at_)[last], 1.0F) != 0.0F) return;
  at<float>(reward_at_)[last] += static_cast<float>(config_.discount * now.open_value);
}

// ---------------------------------------------------------------------------------------------------
// Learning

void Ppo::learn() {
  State& now = state();
  if (now.gathered < config_.rollout) return;
  find_advantages();
  const double rounds = static_cast<double>(config_.lr_steps) / config_.rollout;
  const double left = rounds > 0.0 ? 1.0 - static_cast<double>(now.rounds) / rounds : 1.0;
  const double lr = config_.lr * std::max(left, 0.0);
  for (int epoch = 0; epoch < config_.epochs; ++epoch) {
    shuffle(epoch);
    for (int k = 0; k < config_.minibatches; ++k) learn_minibatch(k * config_.batch, lr);
  }
  ++now.rounds;
  now.gathered = 0;
}

void Ppo::find_advantages() {
  const float* const values = at<float>(value_at_);
  const float* const rewards = at<float>(reward_at_);
  const float* const ends = at<float>(end_at_);
  double advantage = 0.0;
  double next_value = state().open_value;  // of the last step, unless an episode ended there
  for (std::size_t i = static_cast<std::size_t>(config_.rollout); i-- > 0;) {
    const double goes_on = 1.0 - static_cast<double>(ends[i]);
    const auto value = static_cast<double>(values[i]);
    const double error =
        static_cast<double>(rewards[i]) + config_.discount * goes_on * next_value - value;
    advantage = error + config_.discount * config_.gae_lambda * goes_on * advantage;
    at<float>(advantage_at_)[i] = static_cast<float>(advantage);
    at<float>(return_at_)[i] = static_cast<float>(advantage + value);
    next_value = value;
  }
}

// Fisher and Yates.
void Ppo::shuffle(int epoch) {
  int* const order = at<int>(order_at_);
  if (epoch == 0) std::iota(order, order + config_.rollout, 0);
  const Random draws = random(Stream::kBatch);
  for (int i = config_.rollout - 1; i > 0; --i) {
    const auto block = static_cast<std::uint32_t>(epoch * config_.rollout + i);
    const std::uint64_t word = draws.bits(step(), block)[0];
    std::swap(order[i], order[(word * static_cast<std::uint64_t>(i + 1)) >> 32U]);
  }
}

void Ppo::gather(int first) {
  const auto n = static_cast<std::size_t>(observation_dim());
  const int* const order = at<int>(order_at_) + first;
  for (std::size_t i = 0; i < static_cast<std::size_t>(config_.batch); ++i) {
    std::memcpy(column(input_at_, n, i),
                column(observation_at_, n, static_cast<std::size_t>(order[i])), n * sizeof(float));
  }
}

// The loss's gradient for one sample by its mean and value, and the spread's share of it. Answers
// the squared error of the value.
double Ppo::learn_sample(std::size_t i, std::size_t slot, double advantage) {
  const auto m = static_cast<std::size_t>(action_dim());
  const float* const drawn = column(drawn_at_, m, slot);
  const float* const mean = actor_tape_.output + i * m;
  const double share = 1.0 / config_.batch;
  double log_prob = 0.0;
  for (std::size_t j = 0; j < m; ++j) {
    const auto log_std = static_cast<double>(spread()[j]);
    const double e =
        (static_cast<double>(drawn[j]) - static_cast<double>(mean[j])) / exp_double(log_std);
    log_prob -= 0.5 * e * e + log_std + 0.5 * kLog2Pi;
  }
  const double moved_by = log_prob - static_cast<double>(at<float>(log_prob_at_)[slot]);
  const double ratio = exp_double(std::clamp(moved_by, -kExponentMax, kExponentMax));
  const double clipped = std::clamp(ratio, 1.0 - config_.clip, 1.0 + config_.clip);
  // max(-A ratio, -A clipped): flat where the clipped one is larger.
  const bool is_flat = -advantage * clipped > -advantage * ratio;
  const double d_log_prob = is_flat ? 0.0 : -advantage * ratio * share;
  for (std::size_t j = 0; j < m; ++j) {
    const double std_dev = exp_double(static_cast<double>(spread()[j]));
    const double e = (static_cast<double>(drawn[j]) - static_cast<double>(mean[j])) / std_dev;
    column(d_mean_at_, m, i)[j] = static_cast<float>(d_log_prob * e / std_dev);
    at<float>(gradient_at_)[spread_at() + j] += static_cast<float>(d_log_prob * (e * e - 1.0));
  }
  const auto value = static_cast<double>(critic_tape_.output[i]);
  const auto old_value = static_cast<double>(at<float>(value_at_)[slot]);
  const auto goal = static_cast<double>(at<float>(return_at_)[slot]);
  const double moved = std::clamp(value - old_value, -config_.clip, config_.clip);
  const double error = value - goal;
  const double clipped_error = old_value + moved - goal;
  const bool is_value_flat = clipped_error * clipped_error > error * error;
  at<float>(d_value_at_)[i] = static_cast<float>(is_value_flat ? 0.0 : kValueShare * share * error);
  values_ += value;
  return error * error;
}

void Ppo::learn_minibatch(int first, double lr) {
  gather(first);
  const int* const order = at<int>(order_at_) + first;
  const auto samples = static_cast<std::size_t>(config_.batch);
  const float* const input = at<float>(input_at_);
  float* const gradient = at<float>(gradient_at_);
  run_network(path(), actor_shape(), weights(), config_.batch, input, actor_tape_);
  run_network(path(), critic_shape(), weights() + critic_at(), config_.batch, input, critic_tape_);
  double mean = 0.0;
  double squares = 0.0;
  const auto advantage = [&](std::size_t i) {
    return static_cast<double>(at<float>(advantage_at_)[order[i]]);
  };
  for (std::size_t i = 0; i < samples; ++i) mean += advantage(i) / config_.batch;
  for (std::size_t i = 0; i < samples; ++i)
    squares += (advantage(i) - mean) * (advantage(i) - mean);
  const double spread_of_them = config_.batch > 1 ? std::sqrt(squares / (config_.batch - 1)) : 0.0;
  std::fill_n(gradient + spread_at(), action_dim(), 0.0F);
  for (std::size_t i = 0; i < samples; ++i) {
    error_squares_ += learn_sample(i, static_cast<std::size_t>(order[i]),
                                   (advantage(i) - mean) / (spread_of_them + 1e-8));
  }
  samples_ += config_.batch;
  run_network_backward(path(), actor_shape(), weights(), config_.batch, input, actor_tape_,
                       at<float>(d_mean_at_), scratch_, gradient, nullptr);
  run_network_backward(path(), critic_shape(), weights() + critic_at(), config_.batch, input,
                       critic_tape_, at<float>(d_value_at_), scratch_, gradient + critic_at(),
                       nullptr);
  const double length = length_of(gradient, weight_count());
  if (length > kGradientLength) {
    const auto shorter = static_cast<float>(kGradientLength / (length + 1e-6));
    std::transform(gradient, gradient + weight_count(), gradient,
                   [shorter](float g) { return g * shorter; });
  }
  float* const moments = at<float>(moments_at_);
  path().adam(weight_count(), next_adam_step(state().adam, lr, kAdamEps), gradient, weights(),
              moments, moments + weight_count());
}

// ---------------------------------------------------------------------------------------------------
// State, and what it tells of itself

bool Ppo::is_valid_state(std::span<const std::uint8_t> in) const {
  const auto read = read_plain<State>(in.subspan(state_at_));
  return read.gathered >= 0 && read.gathered < config_.rollout && read.rounds >= 0;
}

bool Ppo::take_weights(const Agent& other) {
  const auto* const from = dynamic_cast<const Ppo*>(&other);
  if (from == nullptr || from->observation_dim() != observation_dim() ||
      from->action_dim() != action_dim() || from->hidden() != hidden()) {
    return false;
  }
  std::memcpy(weights(), from->weights(), weight_count() * sizeof(float));
  const std::size_t doubles = area(observation_dim(), 1) * sizeof(double);
  std::memcpy(at<double>(mean_at_), from->at<double>(from->mean_at_), doubles);
  std::memcpy(at<double>(variance_at_), from->at<double>(from->variance_at_), doubles);
  state().observations = from->state().observations;
  return true;
}

void Ppo::fill_health(HealthSample& sample) const {
  const auto samples = static_cast<double>(samples_);
  if (samples > 0.0) {
    sample.td_error_rms = std::sqrt(error_squares_ / samples);
    sample.q_value = values_ / samples;
  }
  sample.entropy = 0.5 * (1.0 + kLog2Pi) * action_dim();
  for (int i = 0; i < action_dim(); ++i) sample.entropy += static_cast<double>(spread()[i]);
  sample.actor_weight_norm = length_of(weights(), spread_at());
}

void Ppo::forget_health() {
  samples_ = 0;
  error_squares_ = 0.0;
  values_ = 0.0;
}

std::unique_ptr<Agent> make(const AgentConfig& config) {
  return std::make_unique<Ppo>(config, ppo_config(config.settings));
}

}  // namespace

constinit const AlgorithmInfo kPpoInfo = {
    .name = "ppo",
    .summary = "PPO: rollouts, minibatches, a clipped step of the policy",
    .number = 4,
    .settings = kSettings,
    .constants = "value_share=0.5\ngradient_length=0.5\nnormalized_max=10\nadam_eps=1e-5\n",
    .why_not_apart =
        ": a round of updates takes a good part of a second, and the loop would wait for it",
    .paths = batch_paths,
    .make = make};

}  // namespace instep

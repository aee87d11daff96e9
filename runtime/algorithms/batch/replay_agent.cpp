#include "runtime/algorithms/batch/replay_agent.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/check.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

constexpr double kAdamEps = 1e-8;
enum ReplayArray { kObservation, kNextObservation, kAction, kReward, kTerminated };

}  // namespace

ReplayAgent::ReplayAgent(const AgentConfig& agent, const ReplayConfig& config)
    : BatchAgent(agent, config.hidden), config_(config) {
  INSTEP_CHECK(config.batch >= 1 && config.buffer >= 1 && config.actor_outputs >= 1);
  plan_state();
  end_state();
  const auto arrays = scratch_arrays();
  std::vector<std::size_t> offsets;
  for (const auto& array : arrays) offsets.push_back(plan_floats("scratch", array.second));
  const std::size_t draws = plan("scratch", area(config.batch, 1) * sizeof(double));
  allocate();
  for (std::size_t i = 0; i < arrays.size(); ++i) *arrays[i].first = at<float>(offsets[i]);
  draws_ = at<double>(draws);
  initialize();
}

// ---------------------------------------------------------------------------------------------------
// Memory

void ReplayAgent::plan_state() {
  const int n = observation_dim();
  const std::size_t actor_floats = network_offsets(actor_shape()).count;
  const std::size_t critic_floats = network_offsets(critic_shape()).count;
  state_at_ = plan("counters", sizeof(State));
  open_observation_at_ = plan_floats("open observation", area(n, 1));
  actor_at_ = plan_floats("actor weights", actor_floats);
  actor_moments_at_ = plan_floats("actor moments", 2 * actor_floats);
  if (config_.has_target_actor) target_actor_at_ = plan_floats("target actor", actor_floats);
  critics_at_ = plan_floats("critic weights", 2 * critic_floats);
  critic_moments_at_ = plan_floats("critic moments", 4 * critic_floats);
  target_critics_at_ = plan_floats("target critics", 2 * critic_floats);
  const std::int64_t sizes[] = {n, n, action_dim(), 1, 1};
  constexpr std::string_view kNames[] = {"replay observations", "replay next observations",
                                         "replay actions", "replay rewards", "replay terminations"};
  for (std::size_t i = 0; i < 5; ++i) {
    replay_at_[i] = plan_floats(kNames[i], area(sizes[i], config_.buffer));
  }
}

// What lives for one call only.
std::vector<std::pair<float**, std::size_t>> ReplayAgent::scratch_arrays() {
  const int n = observation_dim();
  const int m = action_dim();
  const int batch = config_.batch;
  const std::size_t gradient =
      std::max(network_offsets(actor_shape()).count, network_offsets(critic_shape()).count);
  std::vector<std::pair<float**, std::size_t>> arrays = {
      {&batch_.observation, area(n, batch)},
      {&batch_.next_observation, area(n, batch)},
      {&batch_.critic_input, area(n + m, batch)},
      {&batch_.next_input, area(n + m, batch)},
      {&batch_.reward, area(batch, 1)},
      {&batch_.continues, area(batch, 1)},
      {&batch_.next_bonus, area(batch, 1)},
      {&scratch_.first, area(hidden(), batch)},
      {&scratch_.second, area(hidden(), batch)},
      {&acting_input_, area(n, 1)},
      {&noise_, area(m, batch)},
      {&d_q_, area(batch, 1)},
      {&d_output_, area(config_.actor_outputs, batch)},
      {&d_input_, area(n + m, batch)},
      {&gradient_, gradient}};
  const auto add_tape = [&](NetworkTape& tape, int outputs, int columns) {
    arrays.push_back({&tape.first, area(hidden(), columns)});
    arrays.push_back({&tape.second, area(hidden(), columns)});
    arrays.push_back({&tape.output, area(outputs, columns)});
  };
  add_tape(acting_tape_, config_.actor_outputs, 1);
  add_tape(actor_tape_, config_.actor_outputs, batch);
  for (NetworkTape& tape : critic_tapes_) add_tape(tape, 1, batch);
  return arrays;
}

void ReplayAgent::initialize() {
  state() = State{};
  const std::size_t actor_floats = network_offsets(actor_shape()).count;
  const std::size_t critic_floats = network_offsets(critic_shape()).count;
  initialize_uniform(actor_shape(), seed(), 0, actor());
  for (std::uint64_t k = 0; k < 2; ++k) {
    initialize_uniform(critic_shape(), seed(), 1 + k, at<float>(critics_at_) + k * critic_floats);
  }
  std::memcpy(at<float>(target_critics_at_), at<float>(critics_at_),
              2 * critic_floats * sizeof(float));
  if (config_.has_target_actor) {
    std::memcpy(target_actor(), actor(), actor_floats * sizeof(float));
  }
}

// ---------------------------------------------------------------------------------------------------
// The tick

void ReplayAgent::act(const double* observation, const float* noise, float* action) {
  std::copy_n(observation, observation_dim(), acting_input_);
  run_network(path(), actor_shape(), actor(), 1, acting_input_, acting_tape_);
  squash_output(acting_tape_.output, noise, action);
}

void ReplayAgent::open(const double* observation, float* action) {
  std::copy_n(observation, observation_dim(), at<float>(open_observation_at_));
  const Random exploration = random(Stream::kExploration);
  if (step() < static_cast<std::uint64_t>(config_.learning_starts)) {
    double uniform[kActionDimMax];
    exploration.uniform(step(), uniform, action_dim());
    for (int i = 0; i < action_dim(); ++i) action[i] = static_cast<float>(2.0 * uniform[i] - 1.0);
    return;
  }
  float noise[kActionDimMax];
  exploration.normal(step(), noise, action_dim());
  act(observation, noise, action);
}

void ReplayAgent::close(const double* observation, double reward, bool terminated,
                        bool /*truncated*/) {
  State& now = state();
  INSTEP_CHECK(now.next >= 0 && now.next < config_.buffer);
  const auto slot = static_cast<std::size_t>(now.next);
  const auto n = static_cast<std::size_t>(observation_dim());
  const auto m = static_cast<std::size_t>(action_dim());
  std::memcpy(at<float>(replay_at_[kObservation]) + slot * n, at<float>(open_observation_at_),
              n * sizeof(float));
  std::copy_n(observation, n, at<float>(replay_at_[kNextObservation]) + slot * n);
  std::memcpy(at<float>(replay_at_[kAction]) + slot * m, action(), m * sizeof(float));
  at<float>(replay_at_[kReward])[slot] = static_cast<float>(reward);
  at<float>(replay_at_[kTerminated])[slot] = terminated ? 1.0F : 0.0F;
  now.next = (now.next + 1) % config_.buffer;
  now.stored = std::min(now.stored + 1, config_.buffer);
}

// ---------------------------------------------------------------------------------------------------
// Learning

// With replacement, as the usual buffers draw.
void ReplayAgent::draw_batch() {
  random(Stream::kBatch).uniform(step(), draws_, config_.batch);
  const auto n = static_cast<std::size_t>(observation_dim());
  const auto m = static_cast<std::size_t>(action_dim());
  const auto stored = static_cast<double>(state().stored);
  for (std::size_t i = 0; i < static_cast<std::size_t>(config_.batch); ++i) {
    const auto slot = static_cast<std::size_t>(draws_[i] * stored);
    INSTEP_CHECK(slot < static_cast<std::size_t>(state().stored));
    const float* observation = at<float>(replay_at_[kObservation]) + slot * n;
    std::memcpy(batch_.observation + i * n, observation, n * sizeof(float));
    std::memcpy(batch_.next_observation + i * n, at<float>(replay_at_[kNextObservation]) + slot * n,
                n * sizeof(float));
    float* input = batch_.critic_input + i * (n + m);
    std::memcpy(input, observation, n * sizeof(float));
    std::memcpy(input + n, at<float>(replay_at_[kAction]) + slot * m, m * sizeof(float));
    batch_.reward[i] = at<float>(replay_at_[kReward])[slot];
    batch_.continues[i] = 1.0F - at<float>(replay_at_[kTerminated])[slot];
  }
}

void ReplayAgent::learn() {
  if (state().stored == 0 || step() <= static_cast<std::uint64_t>(config_.learning_starts)) return;
  draw_batch();
  set_observations(batch_.next_observation, batch_.next_input);
  act_next();
  learn_critics();
  ++state().critic_updates;
  const bool is_actors_turn = state().critic_updates % config_.actor_every == 0;
  if (is_actors_turn) learn_actor();
  follow(is_actors_turn);
  ++health_.updates;
}

void ReplayAgent::learn_critics() {
  const NetworkShape shape = critic_shape();
  const std::size_t count = network_offsets(shape).count;
  const auto samples = static_cast<std::size_t>(config_.batch);
  run_critics(batch_.next_input, true);
  float* const target = batch_.next_bonus;
  for (std::size_t i = 0; i < samples; ++i) {
    const float next = std::min(critic_tapes_[0].output[i], critic_tapes_[1].output[i]) + target[i];
    target[i] =
        batch_.reward[i] + batch_.continues[i] * static_cast<float>(config_.discount) * next;
  }
  run_critics(batch_.critic_input, false);
  const DenseAdamStep step = next_adam_step(state().critic, config_.critic_lr, kAdamEps);
  for (std::size_t k = 0; k < 2; ++k) {
    float* const weights = at<float>(critics_at_) + k * count;
    float* const moments = at<float>(critic_moments_at_) + 2 * k * count;
    double squares = 0.0;
    for (std::size_t i = 0; i < samples; ++i) {
      const float error = critic_tapes_[k].output[i] - target[i];
      squares += static_cast<double>(error) * static_cast<double>(error);
      d_q_[i] = 2.0F / static_cast<float>(config_.batch) * error;
    }
    health_.td_error_squares += 0.5 * squares / static_cast<double>(samples);
    health_.q += 0.5 * static_cast<double>(critic_tapes_[k].output[0]);
    run_network_backward(path(), shape, weights, config_.batch, batch_.critic_input,
                         critic_tapes_[k], d_q_, scratch_, gradient_, nullptr);
    path().adam(count, step, gradient_, weights, moments, moments + count);
  }
}

// Lets the targets follow.
void ReplayAgent::follow(bool is_actors_turn) {
  if (config_.has_target_actor && !is_actors_turn) return;
  const auto share = static_cast<float>(config_.target_share);
  path().blend(2 * network_offsets(critic_shape()).count, share, at<float>(critics_at_),
               at<float>(target_critics_at_));
  if (config_.has_target_actor) {
    path().blend(network_offsets(actor_shape()).count, share, actor(), target_actor());
  }
}

void ReplayAgent::draw_noise(Stream stream, int block) {
  const int count = config_.batch * action_dim();
  random(stream).normal(step(), noise_, count, block * ((count + 3) / 4 * 4));
}

void ReplayAgent::set_observations(const float* observations, float* input) const {
  const auto n = static_cast<std::size_t>(observation_dim());
  const auto rows = n + static_cast<std::size_t>(action_dim());
  for (std::size_t i = 0; i < static_cast<std::size_t>(config_.batch); ++i) {
    std::memcpy(input + i * rows, observations + i * n, n * sizeof(float));
  }
}

void ReplayAgent::run_critics(const float* input, bool are_targets) {
  const std::size_t count = network_offsets(critic_shape()).count;
  const float* const weights = at<float>(are_targets ? target_critics_at_ : critics_at_);
  for (std::size_t k = 0; k < 2; ++k) {
    run_network(path(), critic_shape(), weights + k * count, config_.batch, input,
                critic_tapes_[k]);
  }
}

void ReplayAgent::run_actor(const float* weights, const float* observations) {
  run_network(path(), actor_shape(), weights, config_.batch, observations, actor_tape_);
}

void ReplayAgent::step_actor(const float* observations) {
  const NetworkShape shape = actor_shape();
  const std::size_t count = network_offsets(shape).count;
  run_network_backward(path(), shape, actor(), config_.batch, observations, actor_tape_, d_output_,
                       scratch_, gradient_, nullptr);
  float* const moments = at<float>(actor_moments_at_);
  path().adam(count, next_adam_step(state().actor, config_.actor_lr, kAdamEps), gradient_, actor(),
              moments, moments + count);
}

void ReplayAgent::critic_input_gradient(std::size_t k, const float* input, const float* d_q) {
  const float* const weights = at<float>(critics_at_) + k * network_offsets(critic_shape()).count;
  run_network_backward(path(), critic_shape(), weights, config_.batch, input, critic_tapes_[k], d_q,
                       scratch_, nullptr, d_input_);
}

// ---------------------------------------------------------------------------------------------------
// State

bool ReplayAgent::is_valid_state(std::span<const std::uint8_t> in) const {
  const auto read = read_plain<State>(in.subspan(state_at_));
  return read.stored >= 0 && read.stored <= config_.buffer && read.next >= 0 &&
         read.next < config_.buffer;
}

bool ReplayAgent::take_weights(const Agent& other) {
  const auto* const from = dynamic_cast<const ReplayAgent*>(&other);
  if (from == nullptr || from->observation_dim() != observation_dim() ||
      from->action_dim() != action_dim() || from->hidden() != hidden() ||
      from->config_.actor_outputs != config_.actor_outputs) {
    return false;
  }
  const std::size_t actor_bytes = network_offsets(actor_shape()).count * sizeof(float);
  const std::size_t critic_bytes = 2 * network_offsets(critic_shape()).count * sizeof(float);
  const auto copy = [&](std::size_t to, std::size_t source, std::size_t bytes) {
    std::memcpy(at<float>(to), from->at<float>(source), bytes);
  };
  copy(actor_at_, from->actor_at_, actor_bytes);
  if (config_.has_target_actor) copy(target_actor_at_, from->target_actor_at_, actor_bytes);
  copy(critics_at_, from->critics_at_, critic_bytes);
  copy(target_critics_at_, from->target_critics_at_, critic_bytes);
  return true;
}

// ---------------------------------------------------------------------------------------------------
// What it tells of itself

std::vector<NamedNumber> ReplayAgent::numbers() const {
  return {{"critic_updates", state().critic_updates},
          {"actor_updates", state().actor.updates},
          {"stored_transitions", state().stored}};
}

void ReplayAgent::note_entropy(double entropy) {
  health_.entropy += entropy;
  ++health_.entropies;
}

void ReplayAgent::fill_health(HealthSample& sample) const {
  const HealthSums& sums = health_;
  if (sums.updates > 0) {
    const auto updates = static_cast<double>(sums.updates);
    sample.td_error_rms = std::sqrt(sums.td_error_squares / updates);
    sample.q_value = sums.q / updates;
  }
  if (sums.entropies > 0) sample.entropy = sums.entropy / static_cast<double>(sums.entropies);
  sample.actor_weight_norm = length_of(actor(), network_offsets(actor_shape()).count);
}

}  // namespace instep

#include "runtime/algorithms/actor_critic/agent.h"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "kernels/check.h"
#include "runtime/algorithms/actor_critic/actor_policy.h"
#include "runtime/algorithms/actor_critic/block_table.h"
#include "runtime/algorithms/actor_critic/initial_weights.h"
#include "runtime/algorithms/actor_critic/timed_executor.h"
#include "runtime/algorithms/actor_critic/update_work.h"
#include "runtime/algorithms/finite.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

// The largest learner of a robot task lives in the block that is part of the program.
constexpr Shape kLargestRobotShape{8, 2, 256};
static_assert(make_layout(kLargestRobotShape, Algorithm::kAvg, kOptimizerArraysMax).bytes <=
              kStaticBlockBytes);

Layout layout_of(const ActorCriticConfig& config) {
  INSTEP_CHECK(is_valid(config.shape) && config.executor != nullptr &&
               config.settings.hidden == config.shape.hidden_dim);
  return learner_layout(config.shape, config.settings);
}

void fill_from_philox(void* self, Stream stream, std::uint64_t step, float* out, int count) {
  const std::uint64_t seed = static_cast<const ActorCriticConfig*>(self)->seed;
  Random{seed, static_cast<std::uint32_t>(stream)}.normal(step, out, count);
}

// A state is saved between ticks. Some of these words name one of two buffers: any other number
// there would lead out of the block.
bool is_between_ticks(const LearnerState& state) {
  return state.actor_acted <= 1 && state.actor_newest <= 1 && state.open_tape <= 1 &&
         state.is_open <= 1 && state.has_action == 0 && state.has_old_forward == 0 &&
         state.has_critic_forward == 0 && state.has_pending_actor_update == 0;
}

}  // namespace

ActorCriticAgent::ActorCriticAgent(const ActorCriticConfig& config)
    : config_(config),
      memory_(layout_of(config).bytes),
      learner_{config.settings, config.schedule, layout_of(config), memory_.data()},
      noise_{&config_, fill_from_philox},
      sampler_(config.schedule == Schedule::kThroughput ? learner_.layout.actor.floats : 0) {
  clear(learner_);
  initialize_weights(learner_, config.seed);
  if (config.executor->attach != nullptr) config.executor->attach(learner_);
  if (config.phases != nullptr) {
    timed_ = timed_executor(*config.executor, learner_, *config.phases);
    config_.executor = &timed_;
  }
}

ActorCriticAgent::~ActorCriticAgent() {
  if (executor().detach != nullptr) executor().detach(learner_);
}

// ---------------------------------------------------------------------------------------------------
// The tick

void ActorCriticAgent::begin_call() {
  INSTEP_CHECK(!must_learn_ && !must_prepare_);
  was_dropped_ = false;
}

bool ActorCriticAgent::is_usable(const double* observation, double reward) const {
  return all_finite(&reward, 1) && all_finite(observation, config_.shape.observation_dim);
}

// An infinite mean gives a finite action, but its log probability would enter the statistics.
const float* ActorCriticAgent::checked_action(const float* tape_data) {
  const TapeLayout& tape = learner_.layout.actor_tape;
  const float* action = tape_data + tape.action;
  if (all_finite(action, config_.shape.action_dim) &&
      all_finite(tape_data + tape.scalars + kLogProb, 1)) {
    return action;
  }
  was_dropped_ = true;
  return nullptr;
}

void ActorCriticAgent::draw_exploration(float* noise) const {
  noise_.fill(noise_.self, Stream::kExploration, step_, noise, config_.shape.action_dim);
}

const float* ActorCriticAgent::act() {
  float noise[kActionDimMax];
  draw_exploration(noise);
  executor().act(learner_, noise);
  const float* action = checked_action(learner_.newest_actor_tape());
  must_prepare_ = action != nullptr;
  return action;
}

const float* ActorCriticAgent::begin_episode(const double* observation) {
  begin_call();
  if (!is_usable(observation, 0.0)) {
    was_dropped_ = true;
    return nullptr;
  }
  executor().observe(learner_, observation);
  return act();
}

const float* ActorCriticAgent::sense(const double* observation, double reward, bool terminated,
                                     bool truncated) {
  begin_call();
  ++step_;
  if (!is_usable(observation, reward)) {
    was_dropped_ = true;
    drop_open();
    return nullptr;
  }
  closed_ = {terminated, truncated, reward, step_ - 1};
  must_learn_ = true;
  executor().observe(learner_, observation);
  // IAC's next action comes from the actor that has learnt from this transition.
  if (config_.settings.algorithm == Algorithm::kIac) {
    learn(closed_);
    must_learn_ = false;
  }
  return terminated || truncated ? nullptr : act();
}

void ActorCriticAgent::update() {
  if (must_learn_) learn(closed_);
  if (must_prepare_) executor().prepare(learner_);
  must_learn_ = must_prepare_ = false;
  if (!was_dropped_) tell_updated();
}

void ActorCriticAgent::interrupt() {
  begin_call();
  ++step_;
  was_dropped_ = true;
  drop_open();
}

void ActorCriticAgent::close(const double* observation, double reward, bool terminated,
                             bool truncated) {
  begin_call();
  ++step_;
  if (!is_usable(observation, reward)) {
    was_dropped_ = true;
    drop_open();
    return;
  }
  executor().observe(learner_, observation);
  learn({terminated, truncated, reward, step_ - 1});
}

void ActorCriticAgent::learn(const Transition& transition) {
  float noise[kActionDimMax];
  noise_.fill(noise_.self, Stream::kNextAction, transition.step, noise, config_.shape.action_dim);
  executor().learn(learner_, transition.reward, transition.terminated, transition.truncated, noise);
}

// ---------------------------------------------------------------------------------------------------
// State

void ActorCriticAgent::save_state(std::span<std::uint8_t> out) {
  INSTEP_CHECK(out.size() == state_bytes());
  flush();
  std::memcpy(out.data(), learner_.block, out.size());
}

bool ActorCriticAgent::load_state(std::span<const std::uint8_t> in, std::uint64_t step) {
  if (in.size() != state_bytes() || !is_between_ticks(read_plain<LearnerState>(in))) return false;
  std::memcpy(learner_.block, in.data(), in.size());
  step_ = step;
  return true;
}

const float* ActorCriticAgent::open_action() const {
  if (learner_.state().is_open == 0) return nullptr;
  return learner_.open_actor_tape() + learner_.layout.actor_tape.action;
}

void ActorCriticAgent::drop_open() {
  executor().drop(learner_);
}

bool ActorCriticAgent::take_weights(const Agent& other) {
  const auto* const from = dynamic_cast<const ActorCriticAgent*>(&other);
  if (from == nullptr || !(from->config_.shape == config_.shape) ||
      from->config_.settings.algorithm != config_.settings.algorithm) {
    return false;
  }
  copy_weights(from->learner_, learner_);
  return true;
}

std::unique_ptr<Policy> ActorCriticAgent::make_policy(bool adapts_normalizer) {
  return std::make_unique<ActorPolicy>(learner_, executor(), adapts_normalizer);
}

// ---------------------------------------------------------------------------------------------------
// What it tells of itself

std::vector<MemoryPart> ActorCriticAgent::memory_parts() const {
  return block_parts(learner_.layout);
}

DropCounts ActorCriticAgent::drop_counts() const {
  const LearnerState& state = learner_.state();
  return {state.actor_updates_dropped + state.critic_updates_dropped, state.transitions_dropped};
}

std::vector<NamedNumber> ActorCriticAgent::numbers() const {
  const LearnerState& state = learner_.state();
  return {{"actor_updates", state.actor_updates},
          {"critic_updates", state.critic_updates},
          {"td_error_scale", state.td_error_scale},
          {"running_return", state.running_return}};
}

HealthSample ActorCriticAgent::take_health() {
  fetch();
  return sampler_.sample(learner_);
}

std::optional<LeastWork> ActorCriticAgent::least_work() const {
  return update_work(learner_, executor());
}

}  // namespace instep

#include "runtime/agent.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "kernels/adam.h"
#include "kernels/check.h"
#include "runtime/initial_weights.h"

namespace instep {
namespace {

Learner make_learner(const AgentConfig& config, std::uint8_t* block) {
  return {config.settings, config.schedule,
          make_layout(config.shape, config.settings.algorithm, adam_arrays(config.settings)),
          block};
}

// Finite also as a float. A larger double is, squared, infinite in a running variance for good.
bool is_finite(double value) {
  return std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max());
}

template <typename Real>
bool all_finite(const Real* values, int count) {
  for (int i = 0; i < count; ++i) {
    if (!is_finite(static_cast<double>(values[i]))) return false;
  }
  return true;
}

void fill_from_philox(void* self, Stream stream, std::uint64_t step, float* out, int count) {
  const std::uint64_t seed = static_cast<const AgentConfig*>(self)->seed;
  Random{seed, static_cast<std::uint32_t>(stream)}.normal(step, out, count);
}

}  // namespace

Agent::Agent(const AgentConfig& config)
    : config_(config),
      memory_(
          make_layout(config.shape, config.settings.algorithm, adam_arrays(config.settings)).bytes),
      learner_(make_learner(config, memory_.data())),
      noise_{&config_, fill_from_philox} {
  INSTEP_CHECK(is_valid(config.shape) && config.executor != nullptr &&
               config.settings.hidden == config.shape.hidden_dim);
  INSTEP_CHECK(!config.learns_apart || config.executor->act_apart != nullptr);
  INSTEP_CHECK(!config.learns_apart || (config.settings.algorithm == Algorithm::kAvg &&
                                        config.schedule == Schedule::kActFirst));
  if (config.learns_apart) {
    const std::size_t tape_lines = learner_.layout.actor_tape.floats / 16;
    apart_memory_.resize(tape_lines + kObservationDimMax / 16);
    apart_tape_ = apart_memory_[0].floats;
    close_observation_ = apart_memory_[tape_lines].floats;
  }
  clear(learner_);
  initialize_weights(learner_, config.seed);
  if (config.executor->attach != nullptr) config.executor->attach(learner_);
}

Agent::~Agent() {
  if (config_.executor->detach != nullptr) config_.executor->detach(learner_);
}

void Agent::set_step(std::uint64_t step) {
  step_ = step;
  is_begun_ = learner_.state().is_open != 0;
  acting_buffer_ = learner_.state().actor_acted;
}

// ---------------------------------------------------------------------------------------------------
// The loop's side

// Answers whether the learner is at work, in which case this tick goes on without it.
bool Agent::begin_tick() {
  INSTEP_CHECK(!must_update_ && pending_count_ == 0);
  was_dropped_ = false;
  is_late_ = !is_learner_idle();
  if (is_late_) ++late_.ticks;
  return is_late_;
}

bool Agent::is_usable(const double* observation, double reward) const {
  return is_finite(reward) && all_finite(observation, config_.shape.observation_dim);
}

void Agent::pend(const Task& task) {
  pending_[pending_count_++] = task;
}

// The action in a tape, or null when it may not be sent. An infinite mean gives a finite action,
// but its log probability would enter the statistics.
const float* Agent::checked_action(const float* tape_data) {
  const TapeLayout& tape = learner_.layout.actor_tape;
  const float* action = tape_data + tape.action;
  if (all_finite(action, config_.shape.action_dim) &&
      all_finite(tape_data + tape.scalars + kLogProb, 1)) {
    return action;
  }
  was_dropped_ = true;
  return nullptr;
}

const float* Agent::act() {
  float noise[kActionDimMax];
  noise_.fill(noise_.self, Stream::kExploration, step_, noise, config_.shape.action_dim);
  config_.executor->act(learner_, noise);
  acting_buffer_ = learner_.state().actor_newest;
  const float* action = checked_action(learner_.newest_actor_tape());
  if (action != nullptr) update_.must_prepare = must_update_ = is_begun_ = true;
  return action;
}

const float* Agent::act_apart() {
  float noise[kActionDimMax];
  noise_.fill(noise_.self, Stream::kExploration, step_, noise, config_.shape.action_dim);
  config_.executor->act_apart(learner_, acting_buffer_, apart_tape_, noise);
  apart_log_prob_ = apart_tape_[learner_.layout.actor_tape.scalars + kLogProb];
  return checked_action(apart_tape_);
}

void Agent::normalize_apart(const double* observation) {
  config_.executor->normalize(learner_, observation,
                              apart_tape_ + learner_.layout.actor_tape.input);
}

const float* Agent::begin_episode(const double* observation) {
  const bool is_busy = begin_tick();
  update_ = {};
  is_begun_ = false;
  if (!is_usable(observation, 0.0)) {
    was_dropped_ = true;
    return nullptr;
  }
  if (is_busy) {
    normalize_apart(observation);
    return act_apart();
  }
  config_.executor->observe(learner_, observation);
  return act();
}

void Agent::drop_open() {
  was_dropped_ = true;
  if (!is_late_) {
    config_.executor->drop(learner_);
  } else if (is_begun_) {
    pend({.kind = Task::Kind::kDrop});
  }
  is_begun_ = false;
}

void Agent::interrupt() {
  begin_tick();
  ++step_;
  drop_open();
}

// The last action was drawn apart: nothing can be learnt from it, but its reward is a fact.
void Agent::account(double reward, bool terminated, bool truncated) {
  ++late_.transitions_dropped;
  pend({.kind = Task::Kind::kAccount,
        .terminated = terminated,
        .truncated = truncated,
        .log_prob = apart_log_prob_,
        .reward = reward});
}

const float* Agent::sense(const double* observation, double reward, bool terminated,
                          bool truncated) {
  const bool is_busy = begin_tick();
  ++step_;
  if (!is_usable(observation, reward)) {
    drop_open();
    return nullptr;
  }
  if (is_busy) return sense_apart(observation, reward, terminated, truncated);
  const bool was_begun = is_begun_ || !config_.learns_apart;
  is_begun_ = false;
  if (!was_begun) account(reward, terminated, truncated);
  update_ = {.must_learn = was_begun,
             .terminated = terminated,
             .truncated = truncated,
             .reward = reward,
             .step = step_ - 1};
  must_update_ = was_begun;
  config_.executor->observe(learner_, observation);
  // IAC's next action comes from the actor that has learnt from this transition.
  if (config_.settings.algorithm == Algorithm::kIac) {
    learn(update_);
    update_.must_learn = false;
  }
  return terminated || truncated ? nullptr : act();
}

const float* Agent::sense_apart(const double* observation, double reward, bool terminated,
                                bool truncated) {
  normalize_apart(observation);
  if (is_begun_) {
    const float* input = apart_tape_ + learner_.layout.actor_tape.input;
    std::copy_n(input, config_.shape.observation_dim, close_observation_);
    pend({.kind = Task::Kind::kClose,
          .terminated = terminated,
          .truncated = truncated,
          .reward = reward,
          .step = step_ - 1});
  } else {
    account(reward, terminated, truncated);
  }
  is_begun_ = false;
  return terminated || truncated ? nullptr : act_apart();
}

void Agent::close(const double* observation, double reward, bool terminated, bool truncated) {
  begin_tick();
  ++step_;
  if (!is_usable(observation, reward)) return drop_open();
  config_.executor->observe(learner_, observation);
  is_begun_ = false;
  learn({.terminated = terminated, .truncated = truncated, .reward = reward, .step = step_ - 1});
}

void Agent::update() {
  if (must_update_) pend(update_);
  must_update_ = false;
  for (int i = 0; i < pending_count_; ++i) {
    if (!config_.learns_apart) {
      run(pending_[i]);
    } else if (!tasks_.push(pending_[i])) {
      ++late_.tasks_lost;
    }
  }
  if (pending_count_ > 0 && hooks_.posted != nullptr) hooks_.posted(hooks_.self);
  pending_count_ = 0;
}

bool Agent::request_snapshot(std::uint8_t* out) {
  INSTEP_CHECK(config_.learns_apart);
  // The normaliser is the loop's, and as it is now; the learner fills in the rest.
  const Layout& layout = learner_.layout;
  std::memcpy(out + offsetof(LearnerState, normalizer_count), &learner_.state().normalizer_count,
              sizeof(double));
  std::memcpy(out + layout.normalizer_mean, learner_.block + layout.normalizer_mean,
              layout.scratch - layout.normalizer_mean);
  // Only one is asked for at a time, so the learner is not reading this.
  snapshot_ = out;
  const bool is_told = tasks_.push({.kind = Task::Kind::kSnapshot, .step = step_});
  if (is_told && hooks_.posted != nullptr) hooks_.posted(hooks_.self);
  return is_told;
}

// ---------------------------------------------------------------------------------------------------
// The learner's side

void Agent::learn(const Task& task) {
  float noise[kActionDimMax];
  noise_.fill(noise_.self, Stream::kNextAction, task.step, noise, config_.shape.action_dim);
  config_.executor->learn(learner_, task.reward, task.terminated, task.truncated, noise);
}

void Agent::run(const Task& task) {
  switch (task.kind) {
    case Task::Kind::kUpdate:
      if (task.must_learn) learn(task);
      if (task.must_prepare) config_.executor->prepare(learner_);
      if (hooks_.updated != nullptr) hooks_.updated(hooks_.self, learner_);
      return;
    case Task::Kind::kClose: {
      float* input = learner_.newest_actor_tape() + learner_.layout.actor_tape.input;
      std::copy_n(close_observation_, config_.shape.observation_dim, input);
      learn(task);
      if (hooks_.updated != nullptr) hooks_.updated(hooks_.self, learner_);
      return;
    }
    case Task::Kind::kAccount:
      config_.executor->account(learner_, task.reward, task.log_prob, task.terminated,
                                task.truncated);
      return;
    case Task::Kind::kDrop:
      config_.executor->drop(learner_);
      return;
    case Task::Kind::kSnapshot:
      flush();
      copy_block();
      if (hooks_.snapshot_taken != nullptr) hooks_.snapshot_taken(hooks_.self, task.step);
      return;
  }
}

bool Agent::run_next_task() {
  const Task* task = tasks_.front();
  if (task == nullptr) return false;
  run(*task);
  tasks_.pop();
  return true;
}

// All but the normaliser, which the loop may be writing.
void Agent::copy_block() {
  const Layout& layout = learner_.layout;
  constexpr std::size_t kCount = offsetof(LearnerState, normalizer_count);
  const auto copy = [&](std::size_t begin, std::size_t end) {
    std::memcpy(snapshot_ + begin, learner_.block + begin, end - begin);
  };
  copy(0, kCount);
  copy(kCount + sizeof(double), layout.normalizer_mean);
  copy(layout.scratch, layout.bytes);
}

}  // namespace instep

#include "runtime/algorithms/actor_critic/apart_agent.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/check.h"

namespace instep {

ApartAgent::ApartAgent(const ActorCriticConfig& config) : ActorCriticAgent(config) {
  INSTEP_CHECK(config.executor->act_apart != nullptr);
  INSTEP_CHECK(has_q_critic(config.settings.algorithm) && config.schedule == Schedule::kActFirst);
  const std::size_t tape_lines = learner().layout.actor_tape.floats / 16;
  memory_apart_.resize(tape_lines + kObservationDimMax / 16);
  tape_ = memory_apart_[0].floats;
  close_observation_ = memory_apart_[tape_lines].floats;
}

bool ApartAgent::load_state(std::span<const std::uint8_t> in, std::uint64_t step) {
  INSTEP_CHECK(is_learner_idle());
  if (!ActorCriticAgent::load_state(in, step)) return false;
  is_begun_ = learner().state().is_open != 0;
  acting_buffer_ = learner().state().actor_acted;
  return true;
}

void ApartAgent::drop_open() {
  INSTEP_CHECK(is_learner_idle());
  ActorCriticAgent::drop_open();
  is_begun_ = false;
}

// ---------------------------------------------------------------------------------------------------
// The loop's side

// Answers whether the learner is at work, in which case this tick goes on without it.
bool ApartAgent::begin_tick() {
  begin_call();
  INSTEP_CHECK(pending_count_ == 0);
  is_late_ = !is_learner_idle();
  if (is_late_) ++late_.ticks;
  return is_late_;
}

const float* ApartAgent::act_together() {
  const float* action = act();
  acting_buffer_ = learner().state().actor_newest;
  if (action != nullptr) is_begun_ = true;
  return action;
}

const float* ApartAgent::act_apart() {
  float noise[kActionDimMax];
  draw_exploration(noise);
  executor().act_apart(learner(), acting_buffer_, tape_, noise);
  log_prob_ = tape_[learner().layout.actor_tape.scalars + kLogProb];
  return checked_action(tape_);
}

void ApartAgent::normalize_apart(const double* observation) {
  executor().normalize(learner(), observation, tape_ + learner().layout.actor_tape.input);
}

const float* ApartAgent::begin_episode(const double* observation) {
  const bool is_busy = begin_tick();
  is_begun_ = false;
  if (!is_usable(observation, 0.0)) {
    set_dropped();
    return nullptr;
  }
  if (is_busy) {
    normalize_apart(observation);
    return act_apart();
  }
  executor().observe(learner(), observation);
  return act_together();
}

void ApartAgent::drop_transition() {
  set_dropped();
  if (!is_late_) {
    ActorCriticAgent::drop_open();
  } else if (is_begun_) {
    pend({.kind = Task::Kind::kDrop});
  }
  is_begun_ = false;
}

void ApartAgent::interrupt() {
  begin_tick();
  count_step();
  drop_transition();
}

// The last action was drawn apart: nothing can be learnt from it, but its reward is a fact.
void ApartAgent::account(const Transition& transition) {
  ++late_.transitions_dropped;
  pend({.kind = Task::Kind::kAccount, .log_prob = log_prob_, .transition = transition});
}

const float* ApartAgent::sense(const double* observation, double reward, bool terminated,
                               bool truncated) {
  const bool is_busy = begin_tick();
  count_step();
  if (!is_usable(observation, reward)) {
    drop_transition();
    return nullptr;
  }
  const Transition transition{terminated, truncated, reward, step() - 1};
  if (is_busy) return sense_apart(observation, transition);
  if (!is_begun_) account(transition);
  closed_ = transition;
  must_learn_ = is_begun_;
  is_begun_ = false;
  executor().observe(learner(), observation);
  return terminated || truncated ? nullptr : act_together();
}

const float* ApartAgent::sense_apart(const double* observation, const Transition& transition) {
  normalize_apart(observation);
  if (is_begun_) {
    const float* input = tape_ + learner().layout.actor_tape.input;
    std::copy_n(input, config().shape.observation_dim, close_observation_);
    pend({.kind = Task::Kind::kClose, .transition = transition});
  } else {
    account(transition);
  }
  is_begun_ = false;
  return transition.terminated || transition.truncated ? nullptr : act_apart();
}

void ApartAgent::update() {
  if (must_learn_ || must_prepare_) {
    pend({.kind = Task::Kind::kUpdate,
          .must_learn = must_learn_,
          .must_prepare = must_prepare_,
          .transition = closed_});
  }
  must_learn_ = must_prepare_ = false;
  for (int i = 0; i < pending_count_; ++i) {
    if (!tasks_.push(pending_[i])) ++late_.tasks_lost;
  }
  if (pending_count_ > 0 && hooks_.posted != nullptr) hooks_.posted(hooks_.self);
  pending_count_ = 0;
}

bool ApartAgent::request_state(std::span<std::uint8_t> out) {
  INSTEP_CHECK(out.size() == state_bytes());
  // The normaliser is the loop's, and as it is now; the learner fills in the rest.
  const Layout& layout = learner().layout;
  std::memcpy(out.data() + offsetof(LearnerState, normalizer_count),
              &learner().state().normalizer_count, sizeof(double));
  std::memcpy(out.data() + layout.normalizer_mean, learner().block + layout.normalizer_mean,
              layout.scratch - layout.normalizer_mean);
  // Only one is asked for at a time, so the learner is not reading this.
  state_out_ = out.data();
  const bool is_told = tasks_.push({.kind = Task::Kind::kState, .transition = {.step = step()}});
  if (is_told && hooks_.posted != nullptr) hooks_.posted(hooks_.self);
  return is_told;
}

// ---------------------------------------------------------------------------------------------------
// The learner's side

void ApartAgent::run(const Task& task) {
  const Transition& transition = task.transition;
  switch (task.kind) {
    case Task::Kind::kUpdate:
      if (task.must_learn) learn(transition);
      if (task.must_prepare) executor().prepare(learner());
      tell_updated();
      return;
    case Task::Kind::kClose: {
      float* input = learner().newest_actor_tape() + learner().layout.actor_tape.input;
      std::copy_n(close_observation_, config().shape.observation_dim, input);
      learn(transition);
      tell_updated();
      return;
    }
    case Task::Kind::kAccount:
      executor().account(learner(), transition.reward, task.log_prob, transition.terminated,
                         transition.truncated);
      return;
    case Task::Kind::kDrop:
      executor().drop(learner());
      return;
    case Task::Kind::kState:
      executor().flush(learner());
      copy_block();
      if (hooks_.state_taken != nullptr) hooks_.state_taken(hooks_.self, transition.step);
      return;
  }
}

bool ApartAgent::run_next_task() {
  const Task* task = tasks_.front();
  if (task == nullptr) return false;
  run(*task);
  tasks_.pop();
  return true;
}

// All but the normaliser, which the loop may be writing.
void ApartAgent::copy_block() {
  const Layout& layout = learner().layout;
  constexpr std::size_t kCount = offsetof(LearnerState, normalizer_count);
  const auto copy = [&](std::size_t begin, std::size_t end) {
    std::memcpy(state_out_ + begin, learner().block + begin, end - begin);
  };
  copy(0, kCount);
  copy(kCount + sizeof(double), layout.normalizer_mean);
  copy(layout.scratch, layout.bytes);
}

}  // namespace instep

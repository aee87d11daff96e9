// TeamLearner: the operations of a tick, numbered as in kernels/learner.h.
#pragma once

#include "kernels/cuda/team_learner.h"

namespace instep::cuda {

// The actor by the weights of one buffer; an update goes to the other.
template <typename Team>
INSTEP_DEVICE Pass TeamLearner<Team>::actor_pass(std::uint32_t buffer) const {
  Pass pass = {};
  pass.is_actor = true;
  pass.weights = buffer == 0 ? kActor0 : kActor1;
  pass.new_weights = buffer == 0 ? kActor1 : kActor0;
  pass.scale = 1.0F;
  return pass;
}

template <typename Team>
INSTEP_DEVICE Pass TeamLearner<Team>::critic_pass() const {
  Pass pass = {};
  pass.weights = kCritic;
  pass.new_weights = kCritic;
  pass.scale = 1.0F;
  return pass;
}

// Copies the noise of an action to shared memory, a barrier before the action is drawn: a host may
// change its request as soon as the first block has done it.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::take_noise(const float* noise) {
  for (int i = team_.thread(); i < layout_.shape.action_dim; i += team_.threads()) {
    s_.noise[i] = noise[i];
  }
}

// Draws the squashed Gaussian action from the outputs that finish_heads() has left in every block,
// and records it in the tape. The log probability is there for the block's first thread.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::sample_action(float* tape_data, int which) {
  const TapeLayout& tape = layout_.actor_tape;
  const int m = layout_.shape.action_dim;
  for (int i = team_.thread(); i < m; i += team_.threads()) {
    const float mean = s_.head[which][i];
    const float log_variance = clamp_log_variance(s_.head[which][m + i], settings_.log_variance_min,
                                                  settings_.log_variance_max);
    const float std_dev = std_dev_of(log_variance);
    const float noise = s_.noise[i];
    const float pre = mean + std_dev * noise;
    const float action = squash(pre);
    s_.action[i] = action;
    const auto l = static_cast<double>(log_variance);
    s_.log_prob_part[i] = log_prob_part(static_cast<double>(noise), l, static_cast<double>(pre));
    s_.entropy_part[i] = entropy_part(l);
    if (is_first_block()) {
      const auto at = static_cast<std::size_t>(i);
      tape_data[tape.noise + at] = noise;
      tape_data[tape.log_variance + at] = log_variance;
      tape_data[tape.std_dev + at] = std_dev;
      tape_data[tape.action_pre + at] = pre;
      tape_data[tape.action + at] = action;
    }
  }
  team_.template block_barrier<kSampled>();
  if (!is_lead()) return;
  double log_prob = log_prob_start(m);
  double entropy = entropy_start(m);
  for (int i = 0; i < m; ++i) {
    log_prob += s_.log_prob_part[i];
    entropy += s_.entropy_part[i];
  }
  s_.log_prob = static_cast<float>(log_prob);
  if (!is_first_block()) return;
  tape_data[tape.scalars + kLogProb] = s_.log_prob;
  tape_data[tape.scalars + kEntropy] = static_cast<float>(entropy);
}

template <typename Team>
INSTEP_DEVICE double TeamLearner<Team>::next_count() const {
  const double count = s_.state.normalizer_count;
  return settings_.observation_norm
             ? next_normalizer_count(count, settings_.observation_norm_horizon)
             : count;
}

// 1. Gymnasium's running statistics; each entry belongs to one thread of the whole team.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::observe() {
  const Request& request = *s_.request;
  const int n = layout_.shape.observation_dim;
  const double* observation = request.observation;
  double* mean = doubles(layout_.normalizer_mean);
  double* variance = doubles(layout_.normalizer_variance);
  float* out = newest_actor_tape() + layout_.actor_tape.input;
  const double count = s_.state.normalizer_count;
  const int first = team_.block() * team_.threads() + team_.thread();
  for (int i = first; i < n; i += team_.blocks() * team_.threads()) {
    if (!settings_.observation_norm) {
      out[i] = static_cast<float>(observation[i]);
      continue;
    }
    add_to_normalizer(observation[i], count, mean[i], variance[i]);
    out[i] = normalized(observation[i], mean[i], variance[i]);
  }
  const double next = next_count();
  finish_together([=](LearnerState& state) {
    state.normalizer_count = next;
    state.has_action = 0;
    state.has_old_forward = 0;
    state.has_critic_forward = 0;
  });
}

// 1, where 2 follows at once: every block normalises everything for itself, to where its first
// layer reads its inputs, and the blocks need not meet. The statistics wait until all have read the
// old.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::observe_in_every_block() {
  const Request& request = *s_.request;
  const double count = s_.state.normalizer_count;
  for (int i = team_.thread(); i < layout_.shape.observation_dim; i += team_.threads()) {
    const double observation = request.observation[i];
    if (!settings_.observation_norm) {
      s_.input[2][i] = static_cast<float>(observation);
      continue;
    }
    double of[2] = {doubles(layout_.normalizer_mean)[i], doubles(layout_.normalizer_variance)[i]};
    add_to_normalizer(observation, count, of[0], of[1]);
    s_.input[2][i] = normalized(observation, of[0], of[1]);
    if (i / team_.threads() % team_.blocks() != team_.block()) continue;
    float* kept = team_.exchange(team_.block()) + exchange_.statistics + 4 * i;
    __builtin_memcpy(kept, of, sizeof of);
  }
}

// Writes what observe_in_every_block() has left, a team's barrier later; each thread its own.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::keep_statistics() {
  if (!settings_.observation_norm) return;
  for (int i = team_.thread(); i < layout_.shape.observation_dim; i += team_.threads()) {
    if (i / team_.threads() % team_.blocks() != team_.block()) continue;
    double of[2];
    __builtin_memcpy(of, told(exchange_.statistics + 4 * i), sizeof of);
    doubles(layout_.normalizer_mean)[i] = of[0];
    doubles(layout_.normalizer_variance)[i] = of[1];
  }
}

template <typename Team>
INSTEP_DEVICE bool TeamLearner<Team>::begin_actor_update(const float* gradient, Pass& pass) {
  pass = actor_pass(s_.state.actor_acted);
  pass.gradient = gradient;
  return begin_update(pass, settings_.actor_lr);
}

// 7, by itself. The factors must be there for every block.
template <typename Team>
INSTEP_DEVICE bool TeamLearner<Team>::update_actor(const float* gradient) {
  Pass pass = {};
  if (!begin_actor_update(gradient, pass)) return false;
  run_pass<false, true, false>(pass);
  return true;
}

// 2, and 1 before it if it observes.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::act(bool observes) {
  const bool is_pending = s_.state.has_pending_actor_update != 0;
  take_noise(s_.request->noise);
  if (observes) observe_in_every_block();
  float* tape = newest_actor_tape();
  const float* observation = observes ? s_.input[2] : tape + layout_.actor_tape.input;
  Pass pass = {};
  bool has_old_forward = false;
  if (is_pending && begin_actor_update(open_actor_tape(), pass)) {
    has_old_forward = true;
    pass.before = {floats(layout_.actor_tapes[2]), observation, nullptr};
    pass.after = {tape, observation, nullptr};
    run_pass<true, true, true>(pass);
  } else {
    pass = actor_pass(s_.state.actor_newest);
    pass.new_weights = pass.weights;
    pass.after = {tape, observation, nullptr};
    run_pass<false, false, true>(pass);
  }
  if (observes) keep_statistics();
  sample_action(tape, 1);
  finish([&](LearnerState& state) {
    if (observes) state.normalizer_count = next_count();
    state.has_pending_actor_update = 0;
    if (has_old_forward || observes) state.has_old_forward = has_old_forward ? 1 : 0;
    if (observes) state.has_critic_forward = 0;
    state.has_action = 1;
  });
}

// 5. The TD error and its divisor must be there for the block's first thread.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::update_critic(bool evaluate_next) {
  Pass pass = critic_pass();
  pass.gradient = open_critic_tape();
  const float* newest = newest_actor_tape();
  pass.after = {newest_critic_tape(), newest + layout_.actor_tape.input,
                newest + layout_.actor_tape.action};
  const bool is_finite = begin_update(pass, settings_.critic_lr);
  if (is_finite && evaluate_next) {
    run_pass<false, true, true>(pass);
  } else if (is_finite) {
    run_pass<false, true, false>(pass);
  } else if (evaluate_next) {
    run_pass<false, false, true>(pass);
  }
}

// 3: the target's own action comes from the actor that acted.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::forward_old_actor() {
  const float* observation = newest_actor_tape() + layout_.actor_tape.input;
  const Forward forward = {floats(layout_.actor_tapes[2]), observation, nullptr};
  const bool is_pending = s_.state.has_pending_actor_update != 0;
  Pass pass = {};
  if (is_pending && begin_actor_update(open_actor_tape(), pass)) {
    pass.before = forward;
    run_pass<true, true, false>(pass);
    return;
  }
  pass = actor_pass(s_.state.actor_acted);
  pass.new_weights = pass.weights;
  pass.before = forward;
  run_pass<true, false, false>(pass);
}

// The old actor's outputs at s', where its forward pass has been part of the action: still there,
// or in the tape if that was another request.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::stage_old_heads(bool has_just_acted) {
  const float* tape_data = floats(layout_.actor_tapes[2]);
  for (int row = team_.thread(); row < layout_.actor.rows && !has_just_acted;
       row += team_.threads()) {
    s_.head[0][row] = tape_data[layout_.actor_tape.head + static_cast<std::size_t>(row)];
  }
  team_.template block_barrier<kOldHeadsStaged>();
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::learn_avg(bool has_just_acted) {
  float* old_tape = floats(layout_.actor_tapes[2]);
  take_noise(s_.request->next_noise);
  if (s_.state.has_old_forward == 0) {
    forward_old_actor();
  } else {
    stage_old_heads(has_just_acted);
  }
  sample_action(old_tape, 0);

  // 4: the target.
  Pass next = critic_pass();
  next.after = {floats(layout_.critic_tapes[2]), newest_actor_tape() + layout_.actor_tape.input,
                s_.action};
  run_pass<false, false, true>(next);
  if (is_lead()) {
    LearnerState& state = s_.state;
    const bool terminated = s_.terminated != 0;
    state.next_log_prob = s_.log_prob;
    state.q_next = s_.head[1][0];
    const float log_prob = open_actor_tape()[layout_.actor_tape.scalars + kLogProb];
    s_.divisor = static_cast<float>(
        take_soft_reward(settings_, state, s_.reward, log_prob, terminated, s_.truncated != 0));
    const float q = open_critic_tape()[layout_.critic_tape.head];
    const float soft_value =
        state.q_next - static_cast<float>(settings_.entropy_coef) * state.next_log_prob;
    state.td_error = td_error(static_cast<float>(s_.reward), terminated,
                              static_cast<float>(settings_.discount), soft_value, q, s_.divisor);
    state.critic_loss = state.td_error * state.td_error;
  }
  const bool evaluate_next = s_.state.has_action != 0;
  // An update without a forward pass meets nowhere, and another block may still be reading the old
  // bias.
  if (!evaluate_next) team_.template team_barrier<kTargetDone>();
  update_critic(evaluate_next);
}

// An actor's head gradients for one action dimension.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::set_actor_head_gradient(float* tape_data, int i,
                                                              const HeadGradient<float>& gradient) {
  const TapeLayout& tape = layout_.actor_tape;
  const int m = layout_.shape.action_dim;
  const float raw = tape_data[tape.head + static_cast<std::size_t>(m + i)];
  const bool inside = is_within_clamp(raw, settings_.log_variance_min, settings_.log_variance_max);
  const float d_l = inside ? gradient.d_log_variance : 0.0F;
  s_.d_head[i] = gradient.d_mean;
  s_.d_head[m + i] = d_l;
  if (!is_first_block()) return;
  tape_data[tape.d_head + static_cast<std::size_t>(i)] = gradient.d_mean;
  tape_data[tape.d_head + static_cast<std::size_t>(m + i)] = d_l;
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::learn_iac() {
  Pass next = critic_pass();
  next.after = {floats(layout_.critic_tapes[2]), newest_actor_tape() + layout_.actor_tape.input,
                nullptr};
  run_pass<false, false, true>(next);
  float* open = open_actor_tape();
  const TapeLayout& tape = layout_.actor_tape;
  const auto entropy_coef = static_cast<float>(settings_.entropy_coef);
  if (is_lead()) {
    LearnerState& state = s_.state;
    const bool terminated = s_.terminated != 0;
    state.q_next = s_.head[1][0];
    s_.divisor = static_cast<float>(
        take_plain_reward(settings_, state, s_.reward, terminated, s_.truncated != 0));
    const float value = open_critic_tape()[layout_.critic_tape.head];
    state.td_error =
        td_error(static_cast<float>(s_.reward), terminated, static_cast<float>(settings_.discount),
                 state.q_next, value, s_.divisor);
    state.critic_loss = state.td_error * state.td_error;
    if (is_first_block()) {
      open[tape.scalars + kActorLoss] = -(open[tape.scalars + kLogProb] * state.td_error +
                                          entropy_coef * open[tape.scalars + kEntropy]);
    }
  }
  team_.template block_barrier<kErrorReady>();
  for (int i = team_.thread(); i < layout_.shape.action_dim; i += team_.threads()) {
    const auto at = static_cast<std::size_t>(i);
    set_actor_head_gradient(open, i,
                            score_gradient(entropy_coef, open[tape.noise + at],
                                           open[tape.std_dev + at], s_.state.td_error));
  }
  team_.template block_barrier<kDHeadReady>();
  backward(true, s_.state.actor_acted == 0 ? kActor0 : kActor1, open);
  team_.template team_barrier<kGradientDone>();
  update_actor(open);
  update_critic(true);
}

// 3-5
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::learn(bool has_just_acted) {
  // Read early: it may be in the host's memory.
  if (is_lead()) {
    s_.reward = s_.request->reward;
    s_.terminated = s_.request->terminated;
    s_.truncated = s_.request->truncated;
  }
  const bool has_action = s_.state.has_action != 0;
  const bool is_avg = layout_.algorithm == Algorithm::kAvg;
  if (is_avg) {
    learn_avg(has_just_acted);
  } else {
    learn_iac();
  }
  finish([=](LearnerState& state) {
    if (is_avg) state.has_pending_actor_update = 0;
    state.has_critic_forward = !is_avg || has_action ? 1 : 0;
    state.is_open = 0;
    state.has_old_forward = 0;
  });
}

// 6-7
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::prepare(bool has_just_learned) {
  float* tape_data = newest_actor_tape();
  float* critic_tape = newest_critic_tape();
  const TapeLayout& tape = layout_.actor_tape;
  if (s_.state.has_critic_forward == 0) {
    team_.template team_barrier<kActionWritten>();
    Pass pass = critic_pass();
    pass.after = {critic_tape, tape_data + tape.input, tape_data + tape.action};
    run_pass<false, false, true>(pass);
  } else if (!has_just_learned) {
    if (is_lead()) {
      s_.head[1][0] = critic_tape[layout_.critic_tape.head];
      s_.inverse_norm[1] = critic_tape[layout_.critic_tape.scalars + kInverseNorm];
    }
    team_.template block_barrier<kCriticStaged>();
  }
  if (is_first_block() && is_lead()) critic_tape[layout_.critic_tape.d_head] = 1.0F;
  backward(false, kCritic, critic_tape);
  const bool is_avg = layout_.algorithm == Algorithm::kAvg;
  const std::uint32_t newest = s_.state.actor_newest;
  const bool is_act_first = learner_.is_throughput == 0;
  if (is_avg) {
    // Each thread takes the entries of dQ/da that it has itself added up.
    const auto entropy_coef = static_cast<float>(settings_.entropy_coef);
    for (int i = team_.thread(); i < layout_.shape.action_dim; i += team_.threads()) {
      const auto at = static_cast<std::size_t>(i);
      set_actor_head_gradient(
          tape_data, i,
          reparametrised_gradient(entropy_coef, tape_data[tape.action + at],
                                  tape_data[tape.noise + at], tape_data[tape.std_dev + at],
                                  s_.d_action[i]));
    }
    if (is_lead()) {
      s_.state.actor_acted = newest;
      if (is_first_block()) {
        tape_data[tape.scalars + kActorLoss] = entropy_coef * tape_data[tape.scalars + kLogProb] -
                                               critic_tape[layout_.critic_tape.head];
      }
    }
    team_.template block_barrier<kDHeadReady>();
    backward(true, newest == 0 ? kActor0 : kActor1, tape_data);
    if (is_act_first) {
      team_.template team_barrier<kGradientDone>();
      update_actor(tape_data);
    }
  }
  finish([=](LearnerState& state) {
    state.actor_acted = newest;
    if (is_avg && !is_act_first) state.has_pending_actor_update = 1;
    state.open_tape = 1 - state.open_tape;
    state.is_open = 1;
    state.has_action = 0;
    state.has_old_forward = 0;
    state.has_critic_forward = 0;
  });
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::flush() {
  if (s_.state.has_pending_actor_update != 0) update_actor(open_actor_tape());
  // Also when there was nothing to do: no block may store the state before all have read it.
  finish_together([](LearnerState& state) { state.has_pending_actor_update = 0; });
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::drop() {
  flush();
  const bool is_open = s_.state.is_open != 0;
  finish_together([=](LearnerState& state) {
    if (!is_open) return;
    state.is_open = 0;
    ++state.transitions_dropped;
  });
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::run(std::uint32_t operations) {
  if ((operations & kDrop) != 0) drop();
  if ((operations & kFlush) != 0) flush();
  const bool is_avg = layout_.algorithm == Algorithm::kAvg;
  const std::uint32_t both = kObserve | kAct;
  // One block meets at no cost.
  const bool observes_in_act = is_avg && (operations & both) == both && team_.blocks() > 1;
  if ((operations & kObserve) != 0 && !observes_in_act) observe();
  // A loop, so that the compiler writes each of them down once.
  INSTEP_NO_UNROLL
  for (int turn = 0; turn < 2; ++turn) {
    const bool may_act = (turn == 0) == is_avg;
    if (may_act && (operations & kAct) != 0) act(observes_in_act);
    if (!may_act && (operations & kLearn) != 0) learn((operations & kAct) != 0);
  }
  if ((operations & kPrepare) != 0) prepare(is_avg && (operations & kLearn) != 0);
}

}  // namespace instep::cuda

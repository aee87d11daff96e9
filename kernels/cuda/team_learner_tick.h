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

// Draws the squashed Gaussian action from the outputs that finish_heads() has left in every block,
// and records it in the tape. The log probability is there for the block's first thread.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::sample_action(float* tape_data, int which,
                                                    const float* noise) {
  const TapeLayout& tape = layout_.actor_tape;
  const int m = layout_.shape.action_dim;
  constexpr double kLog2 = 0.69314718055994530942;
  constexpr double kLog2Pi = 1.83787706640934548356;
  for (int i = team_.thread(); i < m; i += team_.threads()) {
    const float mean = s_.head[which][i];
    const float raw = s_.head[which][m + i];
    float log_variance = raw;
    if (raw < settings_.log_variance_min) log_variance = settings_.log_variance_min;
    if (raw > settings_.log_variance_max) log_variance = settings_.log_variance_max;
    const float std_dev = exp_float(0.5F * log_variance);
    const float pre = mean + std_dev * noise[i];
    const float action = tanh_float(pre);
    s_.action[i] = action;
    const auto e = static_cast<double>(noise[i]);
    const auto u = static_cast<double>(pre);
    const auto l = static_cast<double>(log_variance);
    s_.log_prob_part[i] = -0.5 * (e * e + l) - 2.0 * (kLog2 - u - softplus_double(-2.0 * u));
    s_.entropy_part[i] = 0.5 * l;
    if (is_first_block()) {
      const auto at = static_cast<std::size_t>(i);
      tape_data[tape.noise + at] = noise[i];
      tape_data[tape.log_variance + at] = log_variance;
      tape_data[tape.std_dev + at] = std_dev;
      tape_data[tape.action_pre + at] = pre;
      tape_data[tape.action + at] = action;
    }
  }
  team_.template block_barrier<kSampled>();
  if (!is_lead()) return;
  double log_prob = -0.5 * kLog2Pi * m;
  double entropy = 0.5 * (1.0 + kLog2Pi) * m;
  for (int i = 0; i < m; ++i) {
    log_prob += s_.log_prob_part[i];
    entropy += s_.entropy_part[i];
  }
  s_.log_prob = static_cast<float>(log_prob);
  if (!is_first_block()) return;
  tape_data[tape.scalars + kLogProb] = s_.log_prob;
  tape_data[tape.scalars + kEntropy] = static_cast<float>(entropy);
}

// 1. Gymnasium's running statistics; each entry belongs to one thread of the whole team.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::observe(const Request& request) {
  const int n = layout_.shape.observation_dim;
  const double* observation = request.observation;
  double* mean = doubles(layout_.normalizer_mean);
  double* variance = doubles(layout_.normalizer_variance);
  float* out = newest_actor_tape() + layout_.actor_tape.input;
  const double count = s_.state.normalizer_count;
  const double total = count + 1.0;
  const int first = team_.block() * team_.threads() + team_.thread();
  for (int i = first; i < n; i += team_.blocks() * team_.threads()) {
    if (!settings_.observation_norm) {
      out[i] = static_cast<float>(observation[i]);
      continue;
    }
    const double delta = observation[i] - mean[i];
    const double sum_squares = variance[i] * count + delta * delta * count / total;
    mean[i] += delta / total;
    variance[i] = sum_squares / total;
    out[i] = static_cast<float>((observation[i] - mean[i]) / square_root(variance[i] + 1e-8));
  }
  const auto horizon = static_cast<double>(settings_.observation_norm_horizon);
  const bool counts = settings_.observation_norm;
  finish([=](LearnerState& state) {
    if (counts) state.normalizer_count = horizon > 0.0 && total > horizon ? horizon : total;
    state.has_action = 0;
    state.has_old_forward = 0;
    state.has_critic_forward = 0;
  });
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

// 2
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::act(const Request& request) {
  const bool is_pending = s_.state.has_pending_actor_update != 0;
  float* tape = newest_actor_tape();
  const float* observation = tape + layout_.actor_tape.input;
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
  sample_action(tape, 1, request.noise);
  finish([=](LearnerState& state) {
    state.has_pending_actor_update = 0;
    if (has_old_forward) state.has_old_forward = 1;
    state.has_action = 1;
  });
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::push(Moments& moments, double x) const {
  moments.count += 1.0;
  const double delta = x - moments.mean;
  moments.mean += delta / moments.count;
  moments.sum_squares += delta * (x - moments.mean);
}

// Scale of the TD error (Schaul et al. 2021); the sample is pushed before the scale is read. By a
// block's first thread.
template <typename Team>
INSTEP_DEVICE double TeamLearner<Team>::update_td_error_scale(double reward_stat, bool terminated,
                                                              bool truncated) {
  LearnerState& state = s_.state;
  const bool ends_return =
      terminated || (truncated && settings_.truncation_return == TruncationReturn::kPush);
  state.reward_stat = reward_stat;
  state.return_before_clear = state.running_return;
  if (ends_return) {
    push(state.return_square_moments, state.running_return * state.running_return);
    push(state.return_moments, state.running_return);
    state.running_return = 0.0;
  }
  push(state.reward_moments, reward_stat);
  push(state.discount_moments, ends_return ? 0.0 : settings_.discount);
  const auto population_variance = [](const Moments& moments) {
    return moments.count > 0.0 ? moments.sum_squares / moments.count : 0.0;
  };
  double variance = population_variance(state.reward_moments) +
                    population_variance(state.discount_moments) * state.return_square_moments.mean;
  if (variance < 1e-4) variance = 1e-4;
  const bool is_start = variance <= 0.01 && state.return_square_moments.count == 0.0;
  state.td_error_scale = is_start ? 1.0 : square_root(variance);
  return settings_.td_error_scaling ? state.td_error_scale : 1.0;
}

// 5. The TD error and its divisor must be there for the block.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::update_critic(bool evaluate_next) {
  Pass pass = critic_pass();
  pass.gradient = open_critic_tape();
  pass.scale = kCriticLossSlope * s_.state.td_error / s_.divisor;
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

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::learn_avg(const Request& request) {
  float* old_tape = floats(layout_.actor_tapes[2]);
  if (s_.state.has_old_forward == 0) {
    forward_old_actor();
  } else {
    for (int row = team_.thread(); row < layout_.actor.rows; row += team_.threads()) {
      s_.head[0][row] = old_tape[layout_.actor_tape.head + static_cast<std::size_t>(row)];
    }
    team_.template block_barrier<kOldHeadsStaged>();
  }
  sample_action(old_tape, 0, request.next_noise);

  // 4: the target.
  Pass next = critic_pass();
  next.after = {floats(layout_.critic_tapes[2]), newest_actor_tape() + layout_.actor_tape.input,
                s_.action};
  run_pass<false, false, true>(next);
  const bool terminated = request.terminated != 0;
  if (is_lead()) {
    LearnerState& state = s_.state;
    state.next_log_prob = s_.log_prob;
    state.q_next = s_.head[1][0];
    const auto log_prob =
        static_cast<double>(open_actor_tape()[layout_.actor_tape.scalars + kLogProb]);
    const double reward_stat = request.reward - settings_.entropy_coef * log_prob;
    state.running_return += reward_stat;
    s_.divisor =
        static_cast<float>(update_td_error_scale(reward_stat, terminated, request.truncated != 0));
    const float q = open_critic_tape()[layout_.critic_tape.head];
    const float bootstrap = terminated ? 0.0F : static_cast<float>(settings_.discount);
    const float soft_value =
        state.q_next - static_cast<float>(settings_.entropy_coef) * state.next_log_prob;
    state.td_error = (static_cast<float>(request.reward) + bootstrap * soft_value - q) / s_.divisor;
    state.critic_loss = state.td_error * state.td_error;
  }
  team_.template block_barrier<kErrorReady>();
  const bool evaluate_next = s_.state.has_action != 0;
  // An update without a forward pass meets nowhere, and another block may still be reading the old
  // bias.
  if (!evaluate_next) team_.template team_barrier<kTargetDone>();
  update_critic(evaluate_next);
}

// An actor's head gradients from d(loss)/d(mean) and d(loss)/d(log variance) of one action; the
// clamp is flat outside its bounds.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::set_actor_head_gradient(float* tape_data, int i, float d_mean,
                                                              float d_log_variance) {
  const TapeLayout& tape = layout_.actor_tape;
  const int m = layout_.shape.action_dim;
  const float raw = tape_data[tape.head + static_cast<std::size_t>(m + i)];
  const bool inside = raw >= settings_.log_variance_min && raw <= settings_.log_variance_max;
  const float d_l = inside ? d_log_variance : 0.0F;
  s_.d_head[i] = d_mean;
  s_.d_head[m + i] = d_l;
  if (!is_first_block()) return;
  tape_data[tape.d_head + static_cast<std::size_t>(i)] = d_mean;
  tape_data[tape.d_head + static_cast<std::size_t>(m + i)] = d_l;
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::learn_iac(const Request& request) {
  Pass next = critic_pass();
  next.after = {floats(layout_.critic_tapes[2]), newest_actor_tape() + layout_.actor_tape.input,
                nullptr};
  run_pass<false, false, true>(next);
  const bool terminated = request.terminated != 0;
  float* open = open_actor_tape();
  const TapeLayout& tape = layout_.actor_tape;
  const auto entropy_coef = static_cast<float>(settings_.entropy_coef);
  if (is_lead()) {
    LearnerState& state = s_.state;
    state.q_next = s_.head[1][0];
    // IAC's G is a discounted trace of plain rewards.
    state.running_return = settings_.discount * state.running_return + request.reward;
    s_.divisor = static_cast<float>(
        update_td_error_scale(request.reward, terminated, request.truncated != 0));
    const float value = open_critic_tape()[layout_.critic_tape.head];
    const float bootstrap = terminated ? 0.0F : static_cast<float>(settings_.discount);
    state.td_error =
        (static_cast<float>(request.reward) + bootstrap * state.q_next - value) / s_.divisor;
    state.critic_loss = state.td_error * state.td_error;
    if (is_first_block()) {
      open[tape.scalars + kActorLoss] = -(open[tape.scalars + kLogProb] * state.td_error +
                                          entropy_coef * open[tape.scalars + kEntropy]);
    }
  }
  team_.template block_barrier<kErrorReady>();
  // Score-function gradient of -(log pi * td_error + entropy_coef * entropy); the draw is a
  // constant.
  const float td_error = s_.state.td_error;
  for (int i = team_.thread(); i < layout_.shape.action_dim; i += team_.threads()) {
    const auto at = static_cast<std::size_t>(i);
    const float e = open[tape.noise + at];
    const float d_mean = -td_error * e / open[tape.std_dev + at];
    const float d_log_variance = -0.5F * td_error * (e * e - 1.0F) - 0.5F * entropy_coef;
    set_actor_head_gradient(open, i, d_mean, d_log_variance);
  }
  team_.template block_barrier<kDHeadReady>();
  backward(true, s_.state.actor_acted == 0 ? kActor0 : kActor1, open);
  team_.template team_barrier<kGradientDone>();
  update_actor(open);
  team_.template block_barrier<kActorUpdated>();
  update_critic(true);
}

// 3-5
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::learn(const Request& request) {
  const bool has_action = s_.state.has_action != 0;
  const bool is_avg = layout_.algorithm == Algorithm::kAvg;
  if (is_avg) {
    learn_avg(request);
  } else {
    learn_iac(request);
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
INSTEP_DEVICE void TeamLearner<Team>::prepare() {
  float* tape_data = newest_actor_tape();
  float* critic_tape = newest_critic_tape();
  const TapeLayout& tape = layout_.actor_tape;
  if (s_.state.has_critic_forward == 0) {
    Pass pass = critic_pass();
    pass.after = {critic_tape, tape_data + tape.input, tape_data + tape.action};
    run_pass<false, false, true>(pass);
    team_.template team_barrier<kForwardDone>();
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
      const float action = tape_data[tape.action + at];
      const float d_q = s_.d_action[i];
      const float d_pre = 2.0F * entropy_coef * action - d_q * (1.0F - action * action);
      const float d_log_variance =
          0.5F * d_pre * tape_data[tape.noise + at] * tape_data[tape.std_dev + at] -
          0.5F * entropy_coef;
      set_actor_head_gradient(tape_data, i, d_pre, d_log_variance);
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
  finish([](LearnerState& state) { state.has_pending_actor_update = 0; });
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::drop() {
  flush();
  const bool is_open = s_.state.is_open != 0;
  finish([=](LearnerState& state) {
    if (!is_open) return;
    state.is_open = 0;
    ++state.transitions_dropped;
  });
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::run(const Request& request, std::uint32_t operations) {
  if ((operations & kDrop) != 0) drop();
  if ((operations & kFlush) != 0) flush();
  if ((operations & kObserve) != 0) observe(request);
  // A loop, so that the compiler writes each of them down once.
  INSTEP_NO_UNROLL
  for (int turn = 0; turn < 2; ++turn) {
    const bool may_act = (turn == 0) == (layout_.algorithm == Algorithm::kAvg);
    if (may_act && (operations & kAct) != 0) act(request);
    if (!may_act && (operations & kLearn) != 0) learn(request);
  }
  if ((operations & kPrepare) != 0) prepare();
}

}  // namespace instep::cuda

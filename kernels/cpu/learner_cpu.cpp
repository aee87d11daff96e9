// The incremental learner on one CPU core: the ticks of AVG, IAC and RAC. This file is compiled
// once per instruction set and arithmetic (see kernels/CMakeLists.txt); kernels/definition.h states
// the same networks and gradients in plain loops.

#include <type_traits>

#include "kernels/check.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/passes.h"
#include "kernels/cpu/rules.h"
#include "kernels/elementary.h"
#include "kernels/learner.h"
#include "kernels/normalizer.h"
#include "kernels/reward_scale.h"
#include "kernels/squashed_gaussian.h"
#include "kernels/td_error.h"

namespace instep::INSTEP_PATH_NAMESPACE {
namespace {

void copy_floats(float* out, const float* in, int count) {
  for (int i = 0; i < count; ++i) out[i] = in[i];
}

// Writes the critic's input, the observation and for a Q the action, to a critic tape.
void set_critic_input(const Learner& learner, float* critic_tape, const float* observation,
                      const float* action) {
  const Shape& shape = learner.layout.shape;
  float* input = critic_tape + learner.layout.critic_tape.input;
  copy_floats(input, observation, shape.observation_dim);
  if (has_q_critic(learner.layout.algorithm)) {
    copy_floats(input + shape.observation_dim, action, shape.action_dim);
  }
}

// Draws the squashed Gaussian action from a tape's head outputs and the given noise.
void sample_action(const Learner& learner, float* tape_data, const float* noise) {
  const TapeLayout& tape = learner.layout.actor_tape;
  const LearnerSettings& settings = learner.settings;
  const int m = learner.layout.shape.action_dim;
  constexpr int kBatch = 8;  // as many dimensions at once as there are doubles in a wide vector
  double log_prob = log_prob_start(m);
  double entropy = entropy_start(m);
  for (int first = 0; first < m; first += kBatch) {
    const int count = m - first < kBatch ? m - first : kBatch;
    const auto start = static_cast<std::size_t>(first);
    float mean[kBatch] = {};
    float log_variance[kBatch] = {};
    float e[kBatch] = {};
    copy_floats(mean, tape_data + tape.head + start, count);
    copy_floats(log_variance, tape_data + tape.head + start + static_cast<std::size_t>(m), count);
    copy_floats(e, noise + first, count);
    float std_dev[kBatch];
    float pre[kBatch];
    float action[kBatch];
    double part[kBatch];
    for (float& l : log_variance) {
      l = clamp_log_variance(l, settings.log_variance_min, settings.log_variance_max);
    }
    for (int i = 0; i < kBatch; ++i) std_dev[i] = std_dev_of(log_variance[i]);
    for (int i = 0; i < kBatch; ++i) pre[i] = mean[i] + std_dev[i] * e[i];
    for (int i = 0; i < kBatch; ++i) action[i] = squash(pre[i]);
    for (int i = 0; i < kBatch; ++i) {
      part[i] = log_prob_part(static_cast<double>(e[i]), static_cast<double>(log_variance[i]),
                              static_cast<double>(pre[i]));
    }
    for (int i = 0; i < count; ++i) {
      log_prob += part[i];
      entropy += entropy_part(static_cast<double>(log_variance[i]));
    }
    copy_floats(tape_data + tape.noise + start, e, count);
    copy_floats(tape_data + tape.log_variance + start, log_variance, count);
    copy_floats(tape_data + tape.std_dev + start, std_dev, count);
    copy_floats(tape_data + tape.action_pre + start, pre, count);
    copy_floats(tape_data + tape.action + start, action, count);
  }
  tape_data[tape.scalars + kLogProb] = static_cast<float>(log_prob);
  tape_data[tape.scalars + kEntropy] = static_cast<float>(entropy);
}

// ---------------------------------------------------------------------------------------------------
// Statistics

void normalize(const Learner& learner, const double* observation, float* out) {
  const LearnerSettings& settings = learner.settings;
  LearnerState& state = learner.state();
  const int n = learner.layout.shape.observation_dim;
  if (!settings.observation_norm) {
    for (int i = 0; i < n; ++i) out[i] = static_cast<float>(observation[i]);
    return;
  }
  double* mean = learner.doubles(learner.layout.normalizer_mean);
  double* variance = learner.doubles(learner.layout.normalizer_variance);
  const double count = state.normalizer_count;
  for (int i = 0; i < n; ++i) {
    add_to_normalizer(observation[i], count, mean[i], variance[i]);
    out[i] = normalized(observation[i], mean[i], variance[i]);
  }
  state.normalizer_count = next_normalizer_count(count, settings.observation_norm_horizon);
}

// A reward's scale enters the statistics; the critic's outputs, which are in its units, stay what
// they were. Answers what they were multiplied by.
float take_scaled_reward(const Learner& learner, double reward, bool terminated, bool truncated) {
  const auto factor = static_cast<float>(
      update_reward_scale(learner.settings, learner.state(), reward, terminated, truncated));
  const NetworkLayout& critic = learner.layout.critic;
  float* weights = learner.floats(learner.layout.critic_weights);
  for (int i = 0; i < critic.width; i += kLanes) {
    float* row = weights + critic.w_head + static_cast<std::size_t>(i);
    store(row, load(row) * set(factor));
  }
  weights[critic.b_head] *= factor;
  return factor;
}

void account(const Learner& learner, double reward, float log_prob, bool terminated,
             bool truncated) {
  INSTEP_CHECK(has_q_critic(learner.layout.algorithm));
  if (learner.layout.algorithm == Algorithm::kRac) {
    take_scaled_reward(learner, reward, terminated, truncated);
    return;
  }
  take_soft_reward(learner.settings, learner.state(), reward, log_prob, terminated, truncated);
}

// ---------------------------------------------------------------------------------------------------
// The steps of a tick

// Makes the buffer that nobody needs after a dropped or finished update a copy of the newest
// weights, so that what stands in it does not tell the schedules apart.
void copy_newest_actor(const Learner& learner) {
  const Layout& layout = learner.layout;
  const std::uint32_t newest = learner.state().actor_newest;
  copy_floats(learner.floats(layout.actor_weights[1 - newest]),
              learner.floats(layout.actor_weights[newest]), static_cast<int>(layout.actor.floats));
}

// With no update under way: brings the newest weights home, to buffer (number of updates) % 2.
// There they are by themselves when every update goes to the other buffer.
void bring_actor_home(const Learner& learner) {
  LearnerState& state = learner.state();
  const auto home = static_cast<std::uint32_t>(state.actor_updates % 2);
  if (state.actor_newest == home) return;
  copy_newest_actor(learner);
  state.actor_acted = state.actor_newest = home;
}

// Where an actor update goes. Into the other buffer: the weights that acted stay. In place, which
// costs less memory traffic: for a pass that evaluates them at the same time.
enum class Destination { kOtherBuffer, kInPlace };

// The pass of a pending or immediate actor update from `gradient_tape`: reads the weights that
// acted. Answers false, and counts, when the update must be dropped.
template <typename NetworkPass>
bool begin_actor_update(const Learner& learner, const float* gradient_tape, Destination destination,
                        NetworkPass& pass) {
  LearnerState& state = learner.state();
  pass = actor_pass<NetworkPass>(learner, state.actor_acted);
  pass.gradient = gradient_tape;
  if (!is_update_finite(pass)) {
    ++state.actor_updates_dropped;
    return false;
  }
  pass.template begin_step<Network::kActor>(learner);
  if (destination == Destination::kInPlace) {
    pass.new_weights = learner.floats(learner.layout.actor_weights[state.actor_acted]);
  } else {
    state.actor_newest = 1 - state.actor_acted;
  }
  return true;
}

// Step 7 by itself, from the tape whose factors are ready.
template <typename NetworkPass>
void update_actor(const Learner& learner, const float* gradient_tape) {
  NetworkPass pass;
  if (begin_actor_update(learner, gradient_tape, Destination::kOtherBuffer, pass)) {
    run_pass<false, true, false>(pass);
  } else {
    copy_newest_actor(learner);
  }
}

// Gives the scratch tape of actor(old) the newest observation.
float* old_actor_tape(const Learner& learner) {
  float* tape = learner.floats(learner.layout.actor_tapes[2]);
  const std::size_t input = learner.layout.actor_tape.input;
  copy_floats(tape + input, learner.newest_actor_tape() + input,
              learner.layout.shape.observation_dim);
  return tape;
}

void observe(const Learner& learner, const double* observation) {
  LearnerState& state = learner.state();
  normalize(learner, observation, learner.newest_actor_tape() + learner.layout.actor_tape.input);
  state.has_action = 0;
  state.has_old_forward = 0;
  state.has_critic_forward = 0;
}

// Evaluates the actor of one buffer at a tape's input.
template <typename NetworkPass>
void forward_actor(const Learner& learner, std::uint32_t buffer, float* tape) {
  auto pass = actor_pass<NetworkPass>(learner, buffer);
  pass.new_forward = tape;
  run_pass<false, false, true>(pass);
}

// Evaluates the actor at the newest observation, with a pending update in the same pass.
template <typename NetworkPass>
void forward_newest_actor(const Learner& learner, float* tape) {
  LearnerState& state = learner.state();
  NetworkPass pass;
  if (state.has_pending_actor_update != 0) {
    state.has_pending_actor_update = 0;
    if (begin_actor_update(learner, learner.open_actor_tape(), Destination::kInPlace, pass)) {
      pass.new_forward = tape;
      if constexpr (std::is_same_v<NetworkPass, AdamPass>) {
        pass.old_forward = old_actor_tape(learner);
        run_pass<true, true, true>(pass);
        state.has_old_forward = 1;
      } else {
        run_pass<false, true, true>(pass);  // the target takes the action that is executed
      }
      return;
    }
  }
  forward_actor<NetworkPass>(learner, state.actor_newest, tape);
}

void act(const Learner& learner, const float* noise) {
  float* tape = learner.newest_actor_tape();
  if (learner.layout.algorithm == Algorithm::kRac) {
    forward_newest_actor<MaximumPass>(learner, tape);
  } else {
    forward_newest_actor<AdamPass>(learner, tape);
  }
  sample_action(learner, tape, noise);
  learner.state().has_action = 1;
}

void act_apart(const Learner& learner, std::uint32_t buffer, float* tape, const float* noise) {
  if (learner.layout.algorithm == Algorithm::kRac) {
    forward_actor<MaximumPass>(learner, buffer, tape);
  } else {
    forward_actor<AdamPass>(learner, buffer, tape);
  }
  sample_action(learner, tape, noise);
}

// Steps the critic by the open transition's stored gradient and, when the successor's (s', A') is
// already known, evaluates it there with the new weights (step 5).
template <typename NetworkPass>
void update_critic(const Learner& learner, float divisor, bool evaluate_next) {
  LearnerState& state = learner.state();
  auto pass = critic_pass<NetworkPass>(learner);
  pass.gradient = learner.open_critic_tape();
  pass.new_forward = learner.newest_critic_tape();
  const bool finite = pass.begin_critic_loss(learner, divisor);
  if (finite) {
    pass.template begin_step<Network::kCritic>(learner);
  } else {
    ++state.critic_updates_dropped;
  }
  if (evaluate_next) {
    if (finite) {
      run_pass<false, true, true>(pass);
    } else {
      run_pass<false, false, true>(pass);
    }
    state.has_critic_forward = 1;
  } else if (finite) {
    run_pass<false, true, false>(pass);
  }
}

// Evaluates the critic at a tape's input.
template <typename NetworkPass>
void forward_critic(const Learner& learner, float* tape) {
  auto pass = critic_pass<NetworkPass>(learner);
  pass.new_forward = tape;
  run_pass<false, false, true>(pass);
}

void learn_avg(const Learner& learner, double reward, bool terminated, bool truncated,
               const float* next_noise) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  const LearnerSettings& settings = learner.settings;

  // 3: the target's own action, by the actor that acted.
  float* old_tape = learner.floats(layout.actor_tapes[2]);
  if (state.has_old_forward == 0) {
    old_tape = old_actor_tape(learner);
    AdamPass pass;
    if (state.has_pending_actor_update != 0) bring_actor_home(learner);
    if (state.has_pending_actor_update != 0 &&
        begin_actor_update(learner, learner.open_actor_tape(), Destination::kOtherBuffer, pass)) {
      pass.old_forward = old_tape;
      run_pass<true, true, false>(pass);
    } else {
      forward_actor<AdamPass>(learner, state.actor_acted, old_tape);
    }
    state.has_pending_actor_update = 0;
  }
  sample_action(learner, old_tape, next_noise);
  state.next_log_prob = old_tape[layout.actor_tape.scalars + kLogProb];

  // 4: the target.
  float* next_tape = learner.floats(layout.critic_tapes[2]);
  set_critic_input(learner, next_tape, old_tape + layout.actor_tape.input,
                   old_tape + layout.actor_tape.action);
  forward_critic<AdamPass>(learner, next_tape);
  state.q_next = next_tape[layout.critic_tape.head];

  const float log_prob = learner.open_actor_tape()[layout.actor_tape.scalars + kLogProb];
  const auto divisor = static_cast<float>(
      take_soft_reward(settings, state, reward, log_prob, terminated, truncated));
  const float q = learner.open_critic_tape()[layout.critic_tape.head];
  const float soft_value =
      state.q_next - static_cast<float>(settings.entropy_coef) * state.next_log_prob;
  state.td_error = td_error(static_cast<float>(reward), terminated,
                            static_cast<float>(settings.discount), soft_value, q, divisor);
  state.critic_loss = state.td_error * state.td_error;

  // 5
  const bool evaluate_next = state.has_action != 0;
  if (evaluate_next) {
    const float* newest = learner.newest_actor_tape();
    set_critic_input(learner, learner.newest_critic_tape(), newest + layout.actor_tape.input,
                     newest + layout.actor_tape.action);
  }
  update_critic<AdamPass>(learner, divisor, evaluate_next);
}

// The open transition's Q(s, a) and its gradients, after the head has been multiplied by `factor`.
void scale_open_critic(const Learner& learner, float factor) {
  const TapeLayout& tape = learner.layout.critic_tape;
  float* open = learner.open_critic_tape();
  open[tape.head] *= factor;
  for (const std::size_t d : {tape.d_hidden1, tape.d_hidden2}) {
    for (int i = 0; i < learner.layout.critic.width; i += kLanes) {
      float* values = open + d + static_cast<std::size_t>(i);
      store(values, load(values) * set(factor));
    }
  }
}

// 3: the tape with the target's action: the one that is executed next, and at an end, where there
// is none, one drawn for the target alone.
float* target_actor_tape(const Learner& learner, const float* next_noise) {
  LearnerState& state = learner.state();
  if (state.has_action != 0) return learner.newest_actor_tape();
  if (state.has_pending_actor_update != 0) {
    state.has_pending_actor_update = 0;
    bring_actor_home(learner);
    update_actor<MaximumPass>(learner, learner.open_actor_tape());
  }
  float* tape = old_actor_tape(learner);
  forward_actor<MaximumPass>(learner, state.actor_newest, tape);
  sample_action(learner, tape, next_noise);
  return tape;
}

void learn_rac(const Learner& learner, double reward, bool terminated, bool truncated,
               const float* next_noise) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  const LearnerSettings& settings = learner.settings;
  const float* action_tape = target_actor_tape(learner, next_noise);
  state.next_log_prob = action_tape[layout.actor_tape.scalars + kLogProb];

  // 4
  scale_open_critic(learner, take_scaled_reward(learner, reward, terminated, truncated));
  float* next_tape = learner.floats(layout.critic_tapes[2]);
  set_critic_input(learner, next_tape, action_tape + layout.actor_tape.input,
                   action_tape + layout.actor_tape.action);
  forward_critic<MaximumPass>(learner, next_tape);
  state.q_next = next_tape[layout.critic_tape.head];
  const auto entropy_coef = static_cast<float>(settings.entropy_coef);
  const float soft_value = state.q_next - entropy_coef * state.next_log_prob;
  state.td_error = td_error(static_cast<float>(reward / state.td_error_scale), terminated,
                            static_cast<float>(settings.discount), soft_value,
                            learner.open_critic_tape()[layout.critic_tape.head], 1.0F);
  state.critic_loss = state.td_error * state.td_error;

  // 5
  const bool evaluate_next = state.has_action != 0;
  if (evaluate_next) {
    const std::size_t input = layout.critic_tape.input;
    copy_floats(learner.newest_critic_tape() + input, next_tape + input, layout.critic.inputs);
  }
  update_critic<MaximumPass>(learner, 1.0F, evaluate_next);
}

// Sets the actor's head gradients for one action dimension.
void set_actor_head_gradient(const Learner& learner, float* tape_data, int i,
                             const HeadGradient<float>& gradient) {
  const TapeLayout& tape = learner.layout.actor_tape;
  const LearnerSettings& settings = learner.settings;
  const int m = learner.layout.shape.action_dim;
  const float raw = tape_data[tape.head + static_cast<std::size_t>(m + i)];
  const bool inside = is_within_clamp(raw, settings.log_variance_min, settings.log_variance_max);
  tape_data[tape.d_head + static_cast<std::size_t>(i)] = gradient.d_mean;
  tape_data[tape.d_head + static_cast<std::size_t>(m + i)] =
      inside ? gradient.d_log_variance : 0.0F;
}

// Backward through the actor by the weights of one buffer, from the head gradients in its tape.
template <typename NetworkPass>
void backward_actor(const Learner& learner, float* tape_data, std::uint32_t buffer) {
  const auto pass = actor_pass<NetworkPass>(learner, buffer);
  float* d_feature = learner.floats(learner.layout.scratch);
  head_backward(pass, tape_data, d_feature);
  hidden_backward(pass, tape_data, d_feature);
}

void learn_iac(const Learner& learner, double reward, bool terminated, bool truncated) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  const LearnerSettings& settings = learner.settings;
  const TapeLayout& tape = layout.actor_tape;

  float* next_tape = learner.floats(layout.critic_tapes[2]);
  set_critic_input(learner, next_tape, learner.newest_actor_tape() + tape.input, nullptr);
  forward_critic<AdamPass>(learner, next_tape);
  state.q_next = next_tape[layout.critic_tape.head];

  const auto divisor =
      static_cast<float>(take_plain_reward(settings, state, reward, terminated, truncated));
  const float value = learner.open_critic_tape()[layout.critic_tape.head];
  state.td_error = td_error(static_cast<float>(reward), terminated,
                            static_cast<float>(settings.discount), state.q_next, value, divisor);
  state.critic_loss = state.td_error * state.td_error;

  float* open = learner.open_actor_tape();
  const auto entropy_coef = static_cast<float>(settings.entropy_coef);
  for (int i = 0; i < layout.shape.action_dim; ++i) {
    const auto at = static_cast<std::size_t>(i);
    set_actor_head_gradient(learner, open, i,
                            score_gradient(entropy_coef, open[tape.noise + at],
                                           open[tape.std_dev + at], state.td_error));
  }
  open[tape.scalars + kActorLoss] = -(open[tape.scalars + kLogProb] * state.td_error +
                                      entropy_coef * open[tape.scalars + kEntropy]);
  backward_actor<AdamPass>(learner, open, state.actor_acted);
  update_actor<AdamPass>(learner, open);

  set_critic_input(learner, learner.newest_critic_tape(), learner.newest_actor_tape() + tape.input,
                   nullptr);
  update_critic<AdamPass>(learner, divisor, true);
}

void learn(const Learner& learner, double reward, bool terminated, bool truncated,
           const float* next_noise) {
  INSTEP_CHECK(learner.state().is_open != 0);
  switch (learner.layout.algorithm) {
    case Algorithm::kAvg:
      learn_avg(learner, reward, terminated, truncated, next_noise);
      break;
    case Algorithm::kIac:
      learn_iac(learner, reward, terminated, truncated);
      break;
    case Algorithm::kRac:
      learn_rac(learner, reward, terminated, truncated, next_noise);
      break;
  }
  learner.state().is_open = 0;
  learner.state().has_old_forward = 0;  // used up; prepare() does not follow a refused action
}

// Step 6: the gradient of the critic's output itself (not yet of a loss), and for a Q of its
// action.
template <typename NetworkPass>
void backward_critic(const Learner& learner, float* tape_data) {
  const Layout& layout = learner.layout;
  const TapeLayout& tape = layout.critic_tape;
  const auto pass = critic_pass<NetworkPass>(learner);
  float* d_feature = learner.floats(layout.scratch);
  tape_data[tape.d_head] = 1.0F;
  copy_floats(d_feature, pass.weights + layout.critic.w_head, layout.critic.width);
  hidden_backward(pass, tape_data, d_feature);
  if (!has_q_critic(layout.algorithm)) return;

  const float* d_hidden1 = tape_data + tape.d_hidden1;
  const std::size_t block_floats = static_cast<std::size_t>(layout.critic.inputs) * kOutputBlock;
  for (int a = 0; a < layout.shape.action_dim; ++a) {
    const float* column = pass.weights + layout.critic.w1 +
                          static_cast<std::size_t>(layout.shape.observation_dim + a) * kOutputBlock;
    Lanes sum = set(0.0F);
    for (int i = 0; i < layout.critic.width; i += kOutputBlock, column += block_floats) {
      for (int g = 0; g < kOutputBlock; g += kLanes) {
        sum = multiply_add(load(column + g), load(d_hidden1 + i + g), sum);
      }
    }
    tape_data[tape.d_action + static_cast<std::size_t>(a)] = sum_lanes(sum);
  }
}

// Step 7's gradient: of entropy_coef * log pi(A|s) - Q(s, A) through the reparametrised action.
template <typename NetworkPass>
void backward_actor_of_q(const Learner& learner, float* tape_data, const float* critic_tape) {
  const Layout& layout = learner.layout;
  const TapeLayout& tape = layout.actor_tape;
  const auto entropy_coef = static_cast<float>(learner.settings.entropy_coef);
  for (int i = 0; i < layout.shape.action_dim; ++i) {
    const auto at = static_cast<std::size_t>(i);
    set_actor_head_gradient(
        learner, tape_data, i,
        reparametrised_gradient(entropy_coef, tape_data[tape.action + at],
                                tape_data[tape.noise + at], tape_data[tape.std_dev + at],
                                critic_tape[layout.critic_tape.d_action + at]));
  }
  tape_data[tape.scalars + kActorLoss] =
      entropy_coef * tape_data[tape.scalars + kLogProb] - critic_tape[layout.critic_tape.head];
  backward_actor<NetworkPass>(learner, tape_data, learner.state().actor_newest);
}

void clear_trace(const Learner& learner) {
  const Layout& layout = learner.layout;
  if (layout.critic_arrays <= kTrace) return;
  float* trace = learner.floats(layout.critic_optimizer[kTrace]);
  for (std::size_t i = 0; i < layout.critic.floats; ++i) trace[i] = 0.0F;
}

template <typename NetworkPass>
void open_transition(const Learner& learner) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  INSTEP_CHECK(state.has_action != 0 && state.has_pending_actor_update == 0);
  float* tape = learner.newest_actor_tape();
  float* critic_tape = learner.newest_critic_tape();
  if (state.has_critic_forward == 0) {
    set_critic_input(learner, critic_tape, tape + layout.actor_tape.input,
                     tape + layout.actor_tape.action);
    forward_critic<NetworkPass>(learner, critic_tape);
    // What opens an episode does not follow from what the trace remembers.
    if constexpr (std::is_same_v<NetworkPass, MaximumPass>) clear_trace(learner);
  }
  backward_critic<NetworkPass>(learner, critic_tape);
  state.actor_acted = state.actor_newest;
  if (has_q_critic(layout.algorithm)) {
    backward_actor_of_q<NetworkPass>(learner, tape, critic_tape);
    if (learner.schedule == Schedule::kActFirst) {
      update_actor<NetworkPass>(learner, tape);
    } else {
      state.has_pending_actor_update = 1;
    }
  }
  state.open_tape = 1 - state.open_tape;
  state.is_open = 1;
  // From here on the block no longer tells how this tick was scheduled.
  state.has_action = 0;
  state.has_old_forward = 0;
  state.has_critic_forward = 0;
}

void prepare(const Learner& learner) {
  if (learner.layout.algorithm == Algorithm::kRac) {
    open_transition<MaximumPass>(learner);
  } else {
    open_transition<AdamPass>(learner);
  }
}

void flush(const Learner& learner) {
  LearnerState& state = learner.state();
  if (state.has_pending_actor_update != 0) {
    state.has_pending_actor_update = 0;
    bring_actor_home(learner);
    if (learner.layout.algorithm == Algorithm::kRac) {
      update_actor<MaximumPass>(learner, learner.open_actor_tape());
    } else {
      update_actor<AdamPass>(learner, learner.open_actor_tape());
    }
  }
  // Only updates in place leave the buffers otherwise than act-first does.
  const bool is_in_place = learner.schedule == Schedule::kThroughput &&
                           has_q_critic(learner.layout.algorithm) &&
                           state.actor_acted == state.actor_newest;
  if (!is_in_place) return;
  bring_actor_home(learner);
  copy_newest_actor(learner);
  // An action that could not be sent: no prepare() has followed it.
  if (state.is_open == 0 && state.has_action != 0) state.actor_acted = 1 - state.actor_newest;
}

void drop(const Learner& learner) {
  LearnerState& state = learner.state();
  if (state.is_open == 0) return;
  flush(learner);
  state.is_open = 0;
  ++state.transitions_dropped;
}

}  // namespace

extern const BoundLoops kBoundLoops;  // bound_cpu.cpp
extern const Executor kExecutor;
const Executor kExecutor = {
    .path = INSTEP_PATH_NAME,
    .arithmetic = INSTEP_ARITHMETIC_PORTABLE ? Arithmetic::kPortable : Arithmetic::kFast,
    .bound = &kBoundLoops,
    .observe = observe,
    .act = act,
    .learn = learn,
    .prepare = prepare,
    .flush = flush,
    .drop = drop,
    .normalize = normalize,
    .act_apart = act_apart,
    .account = account,
};

}  // namespace instep::INSTEP_PATH_NAMESPACE

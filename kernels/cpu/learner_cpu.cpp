// The incremental learner on one CPU core, AVG's and IAC's ticks. This file is compiled once per
// instruction set and arithmetic (see kernels/CMakeLists.txt); kernels/definition.h states the same
// networks and gradients in plain loops.

#include "kernels/adam.h"
#include "kernels/check.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/passes.h"
#include "kernels/elementary.h"
#include "kernels/learner.h"
#include "kernels/normalizer.h"
#include "kernels/squashed_gaussian.h"
#include "kernels/td_error.h"

namespace instep::INSTEP_PATH_NAMESPACE {
namespace {

// Adam's weight step on sixteen weights.
template <bool kHasFirst>
struct AdamRule {
  static constexpr int kArrays = kHasFirst ? 2 : 1;
  Adam<Lanes> adam;

  using Constants = AdamStep<float>;
  INSTEP_LANE explicit AdamRule(const Constants& step)
      : adam{set(step.beta2), set(step.one_minus_beta2), set(step.one_minus_beta1), set(-step.lr),
             set(step.eps)} {}

  // What all weights of sixteen outputs share, of gradients d with respect to their sums.
  using Output = Adam<Lanes>::Output;
  INSTEP_LANE Output output(const Lanes& d) const { return adam.output(d); }

  // First half of the step of weights whose gradient is d * x: what the step is divided by.
  using Begun = Lanes;
  INSTEP_LANE Begun begin(const Output& output, const Lanes& x, const OptimizerArrays& arrays,
                          std::size_t at) const {
    float* const second = arrays.begin[kSecondMoment] + at;
    const Lanes v = adam.second_moment(output, x * x, load(second));
    store(second, v);
    return adam.denominator(v);
  }

  // Second half: the new weights.
  INSTEP_LANE Lanes finish(const Output& output, const Begun& begun, const Lanes& x,
                           const Lanes& weight, const OptimizerArrays& arrays,
                           std::size_t at) const {
    if constexpr (kHasFirst) {
      float* const first = arrays.begin[kFirstMoment] + at;
      const Lanes m = adam.first_moment(output, x, load(first));
      store(first, m);
      return adam.weight(m, begun, weight);
    } else {
      return adam.weight(output, x, begun, weight);
    }
  }
};

// ---------------------------------------------------------------------------------------------------
// The two networks as passes

struct LearnerPass : Pass<UnitFeature> {
  AdamStep<float> adam;
  bool has_first = false;  // moments
};

LearnerPass make_pass(const Learner& learner, const NetworkLayout& network, const TapeLayout& tape,
                      const std::size_t (&arrays)[kOptimizerArraysMax]) {
  LearnerPass pass;
  pass.network = &network;
  pass.tape = &tape;
  pass.hidden_dim = learner.layout.shape.hidden_dim;
  pass.norm = {learner.settings.feature_norm, learner.settings.leaky_slope, network.width,
               tape.scalars + kInverseNorm};
  for (int i = 0; i < learner.layout.optimizer_arrays; ++i) {
    pass.arrays.begin[i] = learner.floats(arrays[i]);
  }
  pass.has_first = learner.layout.optimizer_arrays > kFirstMoment;
  return pass;
}

template <bool kOld, bool kUpdate, bool kNew>
void run_pass(const LearnerPass& pass) {
  using PassForm = Form<kOld, kUpdate, kNew>;
  if constexpr (!kUpdate) {
    run_pass<PassForm, NoStep>(pass, {});
  } else if (pass.has_first) {
    run_pass<PassForm, AdamRule<true>>(pass, pass.adam);
  } else {
    run_pass<PassForm, AdamRule<false>>(pass, pass.adam);
  }
}

// The actor with the weights of one buffer; an update goes to the other.
LearnerPass actor_pass(const Learner& learner, std::uint32_t buffer) {
  const Layout& layout = learner.layout;
  LearnerPass pass = make_pass(learner, layout.actor, layout.actor_tape, layout.actor_optimizer);
  pass.weights = learner.floats(layout.actor_weights[buffer]);
  pass.new_weights = learner.floats(layout.actor_weights[1 - buffer]);
  return pass;
}

LearnerPass critic_pass(const Learner& learner) {
  const Layout& layout = learner.layout;
  LearnerPass pass = make_pass(learner, layout.critic, layout.critic_tape, layout.critic_optimizer);
  pass.weights = learner.floats(layout.critic_weights);
  pass.new_weights = learner.floats(layout.critic_weights);
  return pass;
}

void copy_floats(float* out, const float* in, int count) {
  for (int i = 0; i < count; ++i) out[i] = in[i];
}

// Writes the critic's input, the observation and for AVG the action, to a critic tape.
void set_critic_input(const Learner& learner, float* critic_tape, const float* observation,
                      const float* action) {
  const Shape& shape = learner.layout.shape;
  float* input = critic_tape + learner.layout.critic_tape.input;
  copy_floats(input, observation, shape.observation_dim);
  if (learner.layout.algorithm == Algorithm::kAvg) {
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

void account(const Learner& learner, double reward, float log_prob, bool terminated,
             bool truncated) {
  INSTEP_CHECK(learner.layout.algorithm == Algorithm::kAvg);
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
bool begin_actor_update(const Learner& learner, const float* gradient_tape, Destination destination,
                        LearnerPass& pass) {
  LearnerState& state = learner.state();
  pass = actor_pass(learner, state.actor_acted);
  pass.gradient = gradient_tape;
  if (!is_update_finite(pass)) {
    ++state.actor_updates_dropped;
    return false;
  }
  pass.adam = advance_adam(learner.settings, learner.settings.actor_lr, state.actor_updates,
                           state.actor_beta1_power, state.actor_beta2_power);
  if (destination == Destination::kInPlace) {
    pass.new_weights = learner.floats(learner.layout.actor_weights[state.actor_acted]);
  } else {
    state.actor_newest = 1 - state.actor_acted;
  }
  return true;
}

// Step 7 by itself, from the tape whose factors are ready.
void update_actor(const Learner& learner, const float* gradient_tape) {
  LearnerPass pass;
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

void act(const Learner& learner, const float* noise) {
  LearnerState& state = learner.state();
  float* tape = learner.newest_actor_tape();
  LearnerPass pass;
  if (state.has_pending_actor_update != 0) {
    state.has_pending_actor_update = 0;
    if (begin_actor_update(learner, learner.open_actor_tape(), Destination::kInPlace, pass)) {
      pass.new_forward = tape;
      pass.old_forward = old_actor_tape(learner);
      run_pass<true, true, true>(pass);
      state.has_old_forward = 1;
      sample_action(learner, tape, noise);
      state.has_action = 1;
      return;
    }
  }
  pass = actor_pass(learner, state.actor_newest);
  pass.new_forward = tape;
  run_pass<false, false, true>(pass);
  sample_action(learner, tape, noise);
  state.has_action = 1;
}

void act_apart(const Learner& learner, std::uint32_t buffer, float* tape, const float* noise) {
  LearnerPass pass = actor_pass(learner, buffer);
  pass.new_forward = tape;
  run_pass<false, false, true>(pass);
  sample_action(learner, tape, noise);
}

// Steps the critic by the open transition's stored gradient and, when the successor's (s', A') is
// already known, evaluates it there with the new weights (step 5).
void update_critic(const Learner& learner, float divisor, bool evaluate_next) {
  LearnerState& state = learner.state();
  LearnerPass pass = critic_pass(learner);
  pass.gradient = learner.open_critic_tape();
  pass.gradient_scale = d_critic_output(state.td_error, divisor);
#ifdef INSTEP_BREAK_UPDATE  // a build option that proves that the tests notice a wrong sign
  pass.gradient_scale = -pass.gradient_scale;
#endif
  pass.new_forward = learner.newest_critic_tape();
  const bool finite = is_update_finite(pass);
  if (finite) {
    pass.adam = advance_adam(learner.settings, learner.settings.critic_lr, state.critic_updates,
                             state.critic_beta1_power, state.critic_beta2_power);
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

void learn_avg(const Learner& learner, double reward, bool terminated, bool truncated,
               const float* next_noise) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  const LearnerSettings& settings = learner.settings;

  // 3: the target's own action, by the actor that acted.
  float* old_tape = learner.floats(layout.actor_tapes[2]);
  if (state.has_old_forward == 0) {
    old_tape = old_actor_tape(learner);
    LearnerPass pass;
    if (state.has_pending_actor_update != 0) bring_actor_home(learner);
    if (state.has_pending_actor_update != 0 &&
        begin_actor_update(learner, learner.open_actor_tape(), Destination::kOtherBuffer, pass)) {
      pass.old_forward = old_tape;
      run_pass<true, true, false>(pass);
    } else {
      pass = actor_pass(learner, state.actor_acted);
      pass.new_forward = old_tape;
      run_pass<false, false, true>(pass);
    }
    state.has_pending_actor_update = 0;
  }
  sample_action(learner, old_tape, next_noise);
  state.next_log_prob = old_tape[layout.actor_tape.scalars + kLogProb];

  // 4: the target.
  float* next_tape = learner.floats(layout.critic_tapes[2]);
  set_critic_input(learner, next_tape, old_tape + layout.actor_tape.input,
                   old_tape + layout.actor_tape.action);
  LearnerPass next = critic_pass(learner);
  next.new_forward = next_tape;
  run_pass<false, false, true>(next);
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
  update_critic(learner, divisor, evaluate_next);
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
void backward_actor(const Learner& learner, float* tape_data, std::uint32_t buffer) {
  const LearnerPass pass = actor_pass(learner, buffer);
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
  LearnerPass next = critic_pass(learner);
  next.new_forward = next_tape;
  run_pass<false, false, true>(next);
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
  backward_actor(learner, open, state.actor_acted);
  update_actor(learner, open);

  set_critic_input(learner, learner.newest_critic_tape(), learner.newest_actor_tape() + tape.input,
                   nullptr);
  update_critic(learner, divisor, true);
}

void learn(const Learner& learner, double reward, bool terminated, bool truncated,
           const float* next_noise) {
  INSTEP_CHECK(learner.state().is_open != 0);
  if (learner.layout.algorithm == Algorithm::kAvg) {
    learn_avg(learner, reward, terminated, truncated, next_noise);
  } else {
    learn_iac(learner, reward, terminated, truncated);
  }
  learner.state().is_open = 0;
  learner.state().has_old_forward = 0;  // used up; prepare() does not follow a refused action
}

// Step 6: the gradient of the critic's output itself (not yet of a loss), and for AVG of its
// action.
void backward_critic(const Learner& learner, float* tape_data) {
  const Layout& layout = learner.layout;
  const TapeLayout& tape = layout.critic_tape;
  const LearnerPass pass = critic_pass(learner);
  float* d_feature = learner.floats(layout.scratch);
  tape_data[tape.d_head] = 1.0F;
  copy_floats(d_feature, pass.weights + layout.critic.w_head, layout.critic.width);
  hidden_backward(pass, tape_data, d_feature);
  if (layout.algorithm != Algorithm::kAvg) return;

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
void backward_actor_avg(const Learner& learner, float* tape_data, const float* critic_tape) {
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
  backward_actor(learner, tape_data, learner.state().actor_newest);
}

void prepare(const Learner& learner) {
  LearnerState& state = learner.state();
  const Layout& layout = learner.layout;
  INSTEP_CHECK(state.has_action != 0 && state.has_pending_actor_update == 0);
  float* tape = learner.newest_actor_tape();
  float* critic_tape = learner.newest_critic_tape();
  if (state.has_critic_forward == 0) {
    set_critic_input(learner, critic_tape, tape + layout.actor_tape.input,
                     tape + layout.actor_tape.action);
    LearnerPass pass = critic_pass(learner);
    pass.new_forward = critic_tape;
    run_pass<false, false, true>(pass);
  }
  backward_critic(learner, critic_tape);
  state.actor_acted = state.actor_newest;
  if (layout.algorithm == Algorithm::kAvg) {
    backward_actor_avg(learner, tape, critic_tape);
    if (learner.schedule == Schedule::kActFirst) {
      update_actor(learner, tape);
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

void flush(const Learner& learner) {
  LearnerState& state = learner.state();
  if (state.has_pending_actor_update != 0) {
    state.has_pending_actor_update = 0;
    bring_actor_home(learner);
    update_actor(learner, learner.open_actor_tape());
  }
  // Only updates in place leave the buffers otherwise than act-first does.
  const bool is_in_place = learner.schedule == Schedule::kThroughput &&
                           learner.layout.algorithm == Algorithm::kAvg &&
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

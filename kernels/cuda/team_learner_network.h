// TeamLearner: passes over one network and the way back.
#pragma once

#include "kernels/cuda/team_learner.h"

namespace instep::cuda {

// The constants of the step that begin_update() has readied.
template <typename Team>
INSTEP_DEVICE AdamWeight TeamLearner<Team>::rule() const {
  const AdamStep<float>& step = s_.adam;
  return {{step.beta2, step.one_minus_beta2, step.one_minus_beta1, -step.lr, step.eps}};
}

// Where entry `at` of a part of a group's weights stands in the i-th array of the optimiser's, the
// network's first one being `first_array`; null where that one is not stored.
template <typename Team>
INSTEP_DEVICE float* TeamLearner<Team>::optimizer_array(int first_array, int i, int group,
                                                        float* Slice::*part, int at) const {
  if (i >= layout_.actor_arrays) return nullptr;
  const Slice own = slice(first_array + i, group);
  return own.*part + at;
}

template <typename Team>
INSTEP_DEVICE float TeamLearner<Team>::input_of(const Forward& forward, int observation_dim,
                                                int j) const {
  return j < observation_dim ? forward.observation[j] : forward.action[j - observation_dim];
}

// The new value of one weight or bias, entry `at` of a part of a group's.
template <typename Team>
INSTEP_DEVICE float TeamLearner<Team>::step_part(bool is_actor, int group, float* Slice::*part,
                                                 int at, float d, float x, float weight) const {
  const int own = is_actor ? kActorOptimizer : kCriticOptimizer;
  const AdamWeight rule = this->rule();
  return rule.step(rule.adam.output(d), x, weight,
                   *optimizer_array(own, kSecondMoment, group, part, at),
                   optimizer_array(own, kFirstMoment, group, part, at));
}

// Copies a layer's inputs to shared memory, as far as the pass needs them.
template <typename Team>
template <bool kOld, bool kUpdate, bool kNew>
INSTEP_DEVICE void TeamLearner<Team>::stage_inputs(const Pass& pass, int layer) {
  const NetworkLayout& net = network(pass.is_actor);
  const TapeLayout& tape = tape_layout(pass.is_actor);
  const int observation_dim = layout_.shape.observation_dim;
  const int inputs = layer == 0 ? net.inputs : layout_.shape.hidden_dim;
  const std::size_t gradient_input = layer == 0 ? tape.input : tape.hidden1;
  for (int j = team_.thread(); j < inputs; j += team_.threads()) {
    if (kOld) {
      s_.input[0][j] =
          layer == 0 ? input_of(pass.before, observation_dim, j) : *told(exchange_.hidden1 + j);
    }
    if (kUpdate) s_.input[1][j] = pass.gradient[gradient_input + static_cast<std::size_t>(j)];
    if (kNew) {
      s_.input[2][j] = layer == 0 ? input_of(pass.after, observation_dim, j)
                                  : *told(exchange_.hidden1 + net.width + j);
    }
  }
  team_.template block_barrier<kInputsStaged>();
}

// This thread's output of a group.
template <typename Team>
template <bool kUpdate>
INSTEP_DEVICE Column TeamLearner<Team>::column(const Pass& pass, int layer, int group) const {
  float* Slice::*const part = layer == 0 ? &Slice::w1 : &Slice::w2;
  const int lane = team_.thread() % kGroup;
  const Slice from = slice(pass.weights, group);
  Column column = {};
  column.weights = from.*part + lane;
  column.stride = from.stride;
  if (!kUpdate) return column;
  const TapeLayout& tape = tape_layout(pass.is_actor);
  const int own = pass.is_actor ? kActorOptimizer : kCriticOptimizer;
  const Slice to = slice(pass.new_weights, group);
  column.new_weights = to.*part + lane;
  column.second = optimizer_array(own, kSecondMoment, group, part, lane);
  column.first = optimizer_array(own, kFirstMoment, group, part, lane);
  const std::size_t d = layer == 0 ? tape.d_hidden1 : tape.d_hidden2;
  column.d = pass.scale * pass.gradient[d + static_cast<std::size_t>(group * kGroup + lane)];
  return column;
}

// The long loops of a hidden layer: each warp takes one strand of one group's inputs, each lane one
// output.
template <typename Team>
template <bool kOld, bool kUpdate, bool kNew>
INSTEP_DEVICE void TeamLearner<Team>::hidden_columns(const Pass& pass, int layer) {
  stage_inputs<kOld, kUpdate, kNew>(pass, layer);
  const int inputs = layer == 0 ? network(pass.is_actor).inputs : layout_.shape.hidden_dim;
  const int lane = team_.thread() % kGroup;
  const int warps = team_.threads() / kGroup;
  const AdamWeight rule = kUpdate ? this->rule() : AdamWeight{};
  for (int task = team_.thread() / kGroup; task < groups_ * kStrands; task += warps) {
    const int g = task / kStrands;
    const int strand = task % kStrands;
    const Column own = column<kUpdate>(pass, layer, first_group_ + g);
    const Adam<float>::Output output = rule.adam.output(own.d);
    float old_sum = 0.0F;
    float new_sum = 0.0F;
    // Four rows at a time: their loads are under way together.
    constexpr int kRows = 4;
    for (int j0 = strand; j0 < inputs; j0 += kRows * kStrands) {
      float weight[kRows];
      float second[kRows];
      INSTEP_UNROLL
      for (int k = 0; k < kRows; ++k) {
        const int j = j0 + k * kStrands;
        weight[k] = j < inputs ? own.weights[j * own.stride] : 0.0F;
        if (kUpdate) second[k] = j < inputs ? own.second[j * own.stride] : 0.0F;
      }
      INSTEP_UNROLL
      for (int k = 0; k < kRows; ++k) {
        const int j = j0 + k * kStrands;
        if (j >= inputs) continue;
        float value = weight[k];
        if (kOld) old_sum = multiply_add(value, s_.input[0][j], old_sum);
        if (kUpdate) {
          float* first = own.first == nullptr ? nullptr : own.first + j * own.stride;
          value = rule.step(output, s_.input[1][j], value, second[k], first);
          own.second[j * own.stride] = second[k];
          own.new_weights[j * own.stride] = value;
        }
        if (kNew) new_sum = multiply_add(value, s_.input[2][j], new_sum);
      }
    }
    if (kOld) s_.partial[0][g][strand][lane] = old_sum;
    if (kNew) s_.partial[1][g][strand][lane] = new_sum;
  }
}

// Adds the strands, and tells the outputs to whom they concern.
template <typename Team>
template <bool kOld, bool kUpdate, bool kNew>
INSTEP_DEVICE void TeamLearner<Team>::hidden_outputs(const Pass& pass, int layer) {
  const NetworkLayout& net = network(pass.is_actor);
  const TapeLayout& tape = tape_layout(pass.is_actor);
  float* Slice::*const bias_part = layer == 0 ? &Slice::b1 : &Slice::b2;
  team_.template block_barrier<kPartialsWritten>();
  for (int u = team_.thread(); u < units(); u += team_.threads()) {
    const int g = u / kGroup;
    const int lane = u % kGroup;
    const int unit = first_group_ * kGroup + u;
    const Slice from = slice(pass.weights, first_group_ + g);
    const float old_bias = (from.*bias_part)[lane];
    float new_bias = old_bias;
    if (kUpdate) {
      const Slice to = slice(pass.new_weights, first_group_ + g);
      const std::size_t d = layer == 0 ? tape.d_hidden1 : tape.d_hidden2;
      new_bias =
          step_part(pass.is_actor, first_group_ + g, bias_part, lane,
                    pass.scale * pass.gradient[d + static_cast<std::size_t>(unit)], 1.0F, old_bias);
      (to.*bias_part)[lane] = new_bias;
    }
    const auto output = [&](int which, float bias, const Forward& forward) {
      const auto& p = s_.partial[which][g];
      const float sum = ((p[0][lane] + p[4][lane]) + (p[2][lane] + p[6][lane])) +
                        ((p[1][lane] + p[5][lane]) + (p[3][lane] + p[7][lane])) + bias;
      const float h = sum > 0.0F ? sum : settings_.leaky_slope * sum;
      if (layer == 0) {
        tell(exchange_.hidden1 + which * net.width + unit, h);
        forward.tape[tape.hidden1 + static_cast<std::size_t>(unit)] = h;
      } else {
        s_.hidden2[which][u] = h;
      }
    };
    if (kOld) output(0, old_bias, pass.before);
    if (kNew) output(1, new_bias, pass.after);
  }
}

// The heads' weights from this block's units, and by the first block the heads' biases.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::update_head(const Pass& pass) {
  const NetworkLayout& net = network(pass.is_actor);
  const TapeLayout& tape = tape_layout(pass.is_actor);
  for (int i = team_.thread(); i < net.rows * units(); i += team_.threads()) {
    const int u = i % units();
    const int row = i / units();
    const int group = first_group_ + u / kGroup;
    const Slice from = slice(pass.weights, group);
    const Slice to = slice(pass.new_weights, group);
    const int at = row * from.head_stride + u % kGroup;
    const float x =
        pass.gradient[tape.feature + static_cast<std::size_t>(first_group_ * kGroup + u)];
    to.head[at] =
        step_part(pass.is_actor, group, &Slice::head, at, s_.d_head[row], x, from.head[at]);
  }
  if (!is_first_block()) return;
  const int own = pass.is_actor ? kActorOptimizer : kCriticOptimizer;
  for (int row = team_.thread(); row < net.rows; row += team_.threads()) {
    const std::size_t at = net.b_head + static_cast<std::size_t>(row);
    float* first = layout_.actor_arrays > kFirstMoment
                       ? floats(array_offset(own + kFirstMoment)) + at
                       : nullptr;
    const AdamWeight rule = this->rule();
    floats(array_offset(pass.new_weights))[at] =
        rule.step(rule.adam.output(s_.d_head[row]), 1.0F, floats(array_offset(pass.weights))[at],
                  floats(array_offset(own + kSecondMoment))[at], first);
  }
}

// This block's parts of the heads' sums over units, and of the squared length.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::tell_head_parts(const Pass& pass, int which) {
  const NetworkLayout& net = network(pass.is_actor);
  const int rows = net.rows + 1;
  for (int i = team_.thread(); i < rows * groups_; i += team_.threads()) {
    const int row = i % rows;
    const int g = i / rows;
    const float* h = s_.hidden2[which] + g * kGroup;
    const float* w = h;
    if (row < net.rows) {
      const Slice from = slice(which == 0 ? pass.weights : pass.new_weights, first_group_ + g);
      w = from.head + row * from.head_stride;
    }
    float sum = 0.0F;
    for (int k = 0; k < kGroup; ++k) sum = multiply_add(w[k], h[k], sum);
    tell(exchange_.heads + (which * rows + row) * exchange_.groups + first_group_ + g, sum);
  }
}

// The outputs, by every block for itself, and the features of this block's units. A length of 0
// makes them NaN, which every later test takes for what it is.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::finish_heads(const Pass& pass, int which) {
  const NetworkLayout& net = network(pass.is_actor);
  const TapeLayout& tape = tape_layout(pass.is_actor);
  const int rows = net.rows + 1;
  const auto total = [&](int row) {
    const float* part = told(exchange_.heads + (which * rows + row) * exchange_.groups);
    float sum = 0.0F;
    for (int g = 0; g < exchange_.groups; ++g) sum += part[g];
    return sum;
  };
  float* to = which == 0 ? pass.before.tape : pass.after.tape;
  float inverse = 1.0F;
  if (settings_.feature_norm) inverse = 1.0F / square_root(total(net.rows));
  const float* bias =
      floats(array_offset(which == 0 ? pass.weights : pass.new_weights)) + net.b_head;
  for (int row = team_.thread(); row < net.rows; row += team_.threads()) {
    const float value = total(row) * inverse + bias[row];
    s_.head[which][row] = value;
    if (is_first_block()) to[tape.head + static_cast<std::size_t>(row)] = value;
  }
  for (int u = team_.thread(); u < units(); u += team_.threads()) {
    to[tape.feature + static_cast<std::size_t>(first_group_ * kGroup + u)] =
        s_.hidden2[which][u] * inverse;
  }
  if (is_lead()) s_.inverse_norm[which] = inverse;
  if (is_first_block() && is_lead()) to[tape.scalars + kInverseNorm] = inverse;
}

template <typename Team>
template <bool kOld, bool kUpdate, bool kNew>
INSTEP_DEVICE void TeamLearner<Team>::run_pass(const Pass& pass) {
  const auto record_input = [&](const Forward& forward) {
    const TapeLayout& tape = tape_layout(pass.is_actor);
    for (int j = team_.thread(); j < network(pass.is_actor).inputs; j += team_.threads()) {
      forward.tape[tape.input + static_cast<std::size_t>(j)] =
          input_of(forward, layout_.shape.observation_dim, j);
    }
  };
  const bool has_forward = kOld || kNew;
  hidden_columns<kOld, kUpdate, kNew>(pass, 0);
  hidden_outputs<kOld, kUpdate, kNew>(pass, 0);
  if (is_first_block()) {
    if (kOld) record_input(pass.before);
    if (kNew && pass.after.tape + tape_layout(pass.is_actor).input != pass.after.observation) {
      record_input(pass.after);
    }
  }
  if (has_forward) team_.template team_barrier<kHidden1Told>();
  hidden_columns<kOld, kUpdate, kNew>(pass, 1);
  hidden_outputs<kOld, kUpdate, kNew>(pass, 1);
  if (kUpdate) update_head(pass);
  if (!has_forward) return;
  team_.template block_barrier<kHidden2Written>();
  if (kOld) tell_head_parts(pass, 0);
  if (kNew) tell_head_parts(pass, 1);
  team_.template team_barrier<kHeadsTold>();
  if (kOld) finish_heads(pass, 0);
  if (kNew) finish_heads(pass, 1);
  team_.template block_barrier<kHeadsFinished>();
}

// The largest magnitude in one slot of one of the six vectors of rank-1 factors, or infinity when
// any is not finite.
template <typename Team>
INSTEP_DEVICE float TeamLearner<Team>::largest_slot(const Pass& pass, int vector, int slot) const {
  const NetworkLayout& net = network(pass.is_actor);
  const TapeLayout& tape = tape_layout(pass.is_actor);
  const std::size_t offset[6] = {tape.d_hidden1, tape.d_hidden2, tape.d_head,
                                 tape.input,     tape.hidden1,   tape.feature};
  const int count[6] = {net.width, net.width, net.rows, net.inputs, net.width, net.width};
  const float* values = pass.gradient + offset[vector];
  float maximum = 0.0F;
  float spoiled = 0.0F;
  for (int i = slot; i < count[vector]; i += kMaximaSlots) {
    const float x = values[i];
    const float magnitude = x < 0.0F ? -x : x;
    maximum = magnitude > maximum ? magnitude : maximum;
    spoiled += x - x;  // 0 for finite numbers, NaN otherwise
  }
  return spoiled == 0.0F ? maximum : __builtin_inff();
}

// Whether an update by these factors keeps every number finite.
template <typename Team>
INSTEP_DEVICE bool TeamLearner<Team>::is_update_finite(float scale) const {
  float largest[6];
  for (int vector = 0; vector < 6; ++vector) {
    largest[vector] = 0.0F;
    for (int slot = 0; slot < kMaximaSlots; ++slot) {
      const float x = s_.maxima[vector][slot];
      largest[vector] = x <= largest[vector] ? largest[vector] : x;  // keeps NaNs
    }
  }
  const float magnitude = scale < 0.0F ? -scale : scale;
  for (int layer = 0; layer < 3; ++layer) {
    const float factor = magnitude * largest[layer];
    const float input = largest[3 + layer] > 1.0F ? largest[3 + layer] : 1.0F;  // of a bias
    if (!(factor < kLargestFactor && input < kLargestFactor && factor * input < kLargestFactor)) {
      return false;
    }
  }
  return true;
}

// Tests an update before anything is touched, and readies its constants. The factors must be there
// for every block; a critic's scale follows from the TD error, which the block's first thread may
// just have computed. False, and counted, when it must be dropped.
template <typename Team>
INSTEP_DEVICE bool TeamLearner<Team>::begin_update(Pass& pass, double lr) {
  for (int i = team_.thread(); i < 6 * kMaximaSlots; i += team_.threads()) {
    s_.maxima[i / kMaximaSlots][i % kMaximaSlots] =
        largest_slot(pass, i / kMaximaSlots, i % kMaximaSlots);
  }
  team_.template block_barrier<kMaximaWritten>();
  if (!pass.is_actor) pass.scale = d_critic_output(s_.state.td_error, s_.divisor);
  const TapeLayout& tape = tape_layout(pass.is_actor);
  for (int row = team_.thread(); row < network(pass.is_actor).rows; row += team_.threads()) {
    s_.d_head[row] = pass.scale * pass.gradient[tape.d_head + static_cast<std::size_t>(row)];
  }
  if (is_lead()) {
    LearnerState& state = s_.state;
    const bool is_finite = is_update_finite(pass.scale);
    s_.update_is_finite = is_finite ? 1 : 0;
    if (pass.is_actor && is_finite) {
      s_.adam = advance_adam(settings_, lr, state.actor_updates, state.actor_beta1_power,
                             state.actor_beta2_power);
      state.actor_newest = 1 - state.actor_acted;
    } else if (is_finite) {
      s_.adam = advance_adam(settings_, lr, state.critic_updates, state.critic_beta1_power,
                             state.critic_beta2_power);
    } else {
      ++(pass.is_actor ? state.actor_updates_dropped : state.critic_updates_dropped);
    }
  }
  team_.template block_barrier<kAdamReady>();
  return s_.update_is_finite != 0;
}

// The gradient of one feature: sum over rows of the head's gradient times its weight.
template <typename Team>
INSTEP_DEVICE float TeamLearner<Team>::d_feature(bool is_actor, const Slice& w, int lane) const {
  if (!is_actor) return w.head[lane];
  float sum = 0.0F;
  for (int row = 0; row < layout_.actor.rows; ++row) {
    sum = multiply_add(s_.d_head[row], w.head[row * w.head_stride + lane], sum);
  }
  return sum;
}

// From the gradient of the outputs (an actor's in s_.d_head, a critic's is 1) and the outputs (an
// actor's in its tape, a critic's in the block's memory) to the gradients of both hidden layers,
// which go to the tape; for an AVG critic also to that of its action. The Jacobian of h / |h| takes
// away the gradient's part along the feature, which is the gradient of the outputs times the
// outputs without their biases.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::backward(bool is_actor, int weights, float* tape_data) {
  const NetworkLayout& net = network(is_actor);
  const TapeLayout& tape = tape_layout(is_actor);
  const int hidden_dim = layout_.shape.hidden_dim;
  const float inverse = is_actor ? tape_data[tape.scalars + kInverseNorm] : s_.inverse_norm[1];
  float along = 0.0F;
  if (settings_.feature_norm) {
    const float* bias = floats(array_offset(weights)) + net.b_head;
    for (int row = 0; row < net.rows; ++row) {
      const float head =
          is_actor ? tape_data[tape.head + static_cast<std::size_t>(row)] : s_.head[1][row];
      const float output = head - bias[row];
      along = multiply_add(is_actor ? s_.d_head[row] : 1.0F, output, along);
    }
  }
  for (int u = team_.thread(); u < units(); u += team_.threads()) {
    const auto unit = static_cast<std::size_t>(first_group_ * kGroup + u);
    const float f = tape_data[tape.feature + unit];
    const Slice w = slice(weights, first_group_ + u / kGroup);
    float d = (d_feature(is_actor, w, u % kGroup) - f * along) * inverse;
    d = f > 0.0F ? d : settings_.leaky_slope * d;
    s_.d_hidden[u] = d;
    tape_data[tape.d_hidden2 + unit] = d;
  }
  team_.template block_barrier<kDHidden2Ready>();
  const int per_block = groups_per_block(layout_, team_.blocks());
  for (int i = team_.thread(); i < hidden_dim * groups_; i += team_.threads()) {
    const int j = i % hidden_dim;
    const int g = i / hidden_dim;
    const Slice w = slice(weights, first_group_ + g);
    const float* row = w.w2 + j * w.stride;
    const float* d = s_.d_hidden + g * kGroup;
    float sum = 0.0F;
    for (int k = 0; k < kGroup; ++k) sum = multiply_add(row[k], d[k], sum);
    const int owner = j / kGroup / per_block;
    team_.exchange(owner)[exchange_.backward + (first_group_ + g) * hidden_dim + j] = sum;
  }
  team_.template team_barrier<kBackwardTold>();
  for (int u = team_.thread(); u < units(); u += team_.threads()) {
    const int j = first_group_ * kGroup + u;
    s_.d_hidden[u] = 0.0F;
    if (j >= hidden_dim) continue;
    float sum = 0.0F;
    for (int g = 0; g < exchange_.groups; ++g) {
      sum += *told(exchange_.backward + g * hidden_dim + j);
    }
    const float h = tape_data[tape.hidden1 + static_cast<std::size_t>(j)];
    const float d = h > 0.0F ? sum : settings_.leaky_slope * sum;
    s_.d_hidden[u] = d;
    tape_data[tape.d_hidden1 + static_cast<std::size_t>(j)] = d;
  }
  if (!is_actor && layout_.algorithm == Algorithm::kAvg) backward_action(tape_data);
}

// dQ/da, by every block for itself.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::backward_action(float* tape_data) {
  const int m = layout_.shape.action_dim;
  const int n = layout_.shape.observation_dim;
  team_.template block_barrier<kDHidden1Ready>();
  for (int i = team_.thread(); i < m * groups_; i += team_.threads()) {
    const int a = i % m;
    const int g = i / m;
    const Slice w = slice(kCritic, first_group_ + g);
    const float* row = w.w1 + (n + a) * w.stride;
    const float* d = s_.d_hidden + g * kGroup;
    float sum = 0.0F;
    for (int k = 0; k < kGroup; ++k) sum = multiply_add(row[k], d[k], sum);
    tell(exchange_.action + a * exchange_.groups + first_group_ + g, sum);
  }
  team_.template team_barrier<kActionTold>();
  for (int a = team_.thread(); a < m; a += team_.threads()) {
    float sum = 0.0F;
    for (int g = 0; g < exchange_.groups; ++g)
      sum += *told(exchange_.action + a * exchange_.groups + g);
    s_.d_action[a] = sum;
    if (is_first_block()) {
      tape_data[layout_.critic_tape.d_action + static_cast<std::size_t>(a)] = sum;
    }
  }
}

}  // namespace instep::cuda

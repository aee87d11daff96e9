// Where everything of a learner stands inside its one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/shape.h"

namespace instep {

// Count, mean and sum of squared deviations of a stream of numbers (Welford); variance = sum /
// count.
struct Moments {
  double count = 0.0;
  double mean = 0.0;
  double sum_squares = 0.0;
};

// The scalars at the head of the block: all that a learner knows besides its arrays. Plain data,
// saved and restored as bytes (little-endian).
struct LearnerState {
  // Adam's counters and the powers beta^t that its bias corrections need.
  std::int64_t actor_updates = 0;
  std::int64_t critic_updates = 0;
  double actor_beta1_power = 1.0;
  double actor_beta2_power = 1.0;
  double critic_beta1_power = 1.0;
  double critic_beta2_power = 1.0;
  std::int64_t actor_updates_dropped = 0;  // non-finite gradient
  std::int64_t critic_updates_dropped = 0;
  std::int64_t transitions_dropped = 0;  // not finite, or the robot was held or lost

  // Statistics (double throughout).
  double normalizer_count = 1e-4;  // Gymnasium's start: mean 0, variance 1, count 1e-4
  double running_return = 0.0;     // G
  Moments reward_moments;
  Moments discount_moments;
  Moments return_moments;
  Moments return_square_moments;

  // Which of two buffers holds what: actor weights that acted last and the newest ones; the tape of
  // the open transition (the other one belongs to the observation that closes it).
  std::uint32_t actor_acted = 0;
  std::uint32_t actor_newest = 0;
  std::uint32_t open_tape = 0;
  // Progress within a tick; booleans as words so that the bytes are the same everywhere.
  std::uint32_t is_open = 0;             // a transition (s, a) awaits its reward
  std::uint32_t has_action = 0;          // the newest observation has been acted upon
  std::uint32_t has_old_forward = 0;     // actor(old) has been evaluated at the newest observation
  std::uint32_t has_critic_forward = 0;  // the critic has been evaluated at the newest (s', A')
  std::uint32_t has_pending_actor_update = 0;  // throughput schedule: step 7 is still to be done

  // What the last tick computed, for records and verification.
  double reward_stat = 0.0;  // what entered the reward statistics
  double return_before_clear = 0.0;
  double td_error_scale = 1.0;  // sigma, also where the scaling is off
  float td_error = 0.0F;
  float q_next = 0.0F;
  float next_log_prob = 0.0F;
  float critic_loss = 0.0F;
};

// Offsets, in floats from the network's start, of the arrays of one network: two hidden layers and
// `rows` linear outputs. `width` is hidden_dim rounded up to whole output blocks; padding is zero
// and stays zero.
struct NetworkLayout {
  int inputs = 0;
  int rows = 0;
  int width = 0;
  std::size_t w1 = 0;      // [width / 64][inputs][64]: input-major inside blocks of 64 outputs
  std::size_t b1 = 0;      // [width]
  std::size_t w2 = 0;      // [width / 64][hidden_dim][64]
  std::size_t b2 = 0;      // [width]
  std::size_t w_head = 0;  // [rows][width]: mean rows, then log-variance rows; critic: one row
  std::size_t b_head = 0;  // [rows], padded to 16
  std::size_t floats = 0;  // of the whole network, a multiple of 16
};

// Index of the weight from input j to output i within a hidden layer's array of `inputs` inputs.
constexpr std::size_t hidden_weight_index(int inputs, int i, int j) {
  const int block = i / kOutputBlock;
  return static_cast<std::size_t>((block * inputs + j) * kOutputBlock + i % kOutputBlock);
}

// Offsets of the vectors that one forward pass of a network leaves for its backward pass.
struct TapeLayout {
  std::size_t input = 0;       // [inputs]; actor: the normalised observation
  std::size_t hidden1 = 0;     // [width]
  std::size_t feature = 0;     // [width], AVG, IAC: unit length when feature_norm is on
  std::size_t d_hidden2 = 0;   // [width] gradient before the second LeakyReLU; critic: of Q itself
  std::size_t d_hidden1 = 0;   // [width]
  std::size_t d_head = 0;      // [rows]
  std::size_t head = 0;        // [rows]: actor: mean then raw log variance; critic: Q
  std::size_t scalars = 0;     // [16]: see TapeScalar
  std::size_t action_pre = 0;  // the rest [kActionDimMax] each: actor only
  std::size_t action = 0;
  std::size_t noise = 0;
  std::size_t log_variance = 0;  // after the clamp
  std::size_t std_dev = 0;
  std::size_t d_action = 0;  // dQ/da, critic only
  std::size_t floats = 0;
};

// Members of TapeLayout::scalars.
enum TapeScalar {
  kInverseNorm = 0,  // of the last hidden layer
  kLogProb = 1,
  kEntropy = 2,
  kActorLoss = 3,
  kFirstInverseNorm = 4  // of the first one: RAC's
};

// Added to the variance that RAC's layers are normalised by.
inline constexpr float kLayerNormEps = 1e-5F;

// How many arrays of its own a weight step may keep beside the weights, each of the weights' shape
// and order (Adam's moments, traces, a decayed maximum).
inline constexpr int kOptimizerArraysMax = 2;

// Byte offsets of every array of a learner in its block, all multiples of 64.
struct Layout {
  Shape shape;
  Algorithm algorithm = Algorithm::kAvg;
  // Stored for each network; their meaning is the weight step's (adam.h, decayed_maximum.h).
  int actor_arrays = 1;
  int critic_arrays = 1;
  NetworkLayout actor;
  NetworkLayout critic;
  TapeLayout actor_tape;
  TapeLayout critic_tape;
  std::size_t actor_weights[2] = {0, 0};  // ping-pong: acted and newest
  std::size_t actor_optimizer[kOptimizerArraysMax] = {};
  std::size_t critic_weights = 0;
  std::size_t critic_optimizer[kOptimizerArraysMax] = {};
  std::size_t actor_tapes[3] = {0, 0, 0};   // open, newest (by open_tape), scratch of actor(old)
  std::size_t critic_tapes[3] = {0, 0, 0};  // open, newest, scratch of (s', a')
  std::size_t normalizer_mean = 0;          // double [observation_dim]
  std::size_t normalizer_variance = 0;      // double [observation_dim]
  std::size_t scratch = 0;                  // float [2 * kHiddenDimMax]
  std::size_t bytes = 0;                    // of the whole block, a multiple of 64
};

namespace detail {

constexpr std::size_t round_up(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Hands out consecutive pieces, each rounded up to whole cache lines (16 floats).
struct Cursor {
  std::size_t position = 0;
  constexpr std::size_t take(std::size_t count, std::size_t unit) {
    const std::size_t start = position;
    position += round_up(count, unit);
    return start;
  }
  constexpr std::size_t take_floats(int count) { return take(static_cast<std::size_t>(count), 16); }
};

constexpr NetworkLayout make_network_layout(int inputs, int hidden_dim, int rows) {
  NetworkLayout network;
  network.inputs = inputs;
  network.rows = rows;
  network.width = padded(hidden_dim);
  Cursor cursor;
  network.w1 = cursor.take_floats(network.width * inputs);
  network.b1 = cursor.take_floats(network.width);
  network.w2 = cursor.take_floats(network.width * hidden_dim);
  network.b2 = cursor.take_floats(network.width);
  network.w_head = cursor.take_floats(network.width * rows);
  network.b_head = cursor.take_floats(rows);
  network.floats = cursor.position;
  return network;
}

constexpr TapeLayout make_tape_layout(const NetworkLayout& network) {
  TapeLayout tape;
  Cursor cursor;
  tape.input = cursor.take_floats(network.inputs);
  tape.hidden1 = cursor.take_floats(network.width);
  tape.feature = cursor.take_floats(network.width);
  tape.d_hidden2 = cursor.take_floats(network.width);
  tape.d_hidden1 = cursor.take_floats(network.width);
  tape.d_head = cursor.take_floats(network.rows);
  tape.head = cursor.take_floats(network.rows);
  tape.scalars = cursor.take_floats(16);
  tape.action_pre = cursor.take_floats(kActionDimMax);
  tape.action = cursor.take_floats(kActionDimMax);
  tape.noise = cursor.take_floats(kActionDimMax);
  tape.log_variance = cursor.take_floats(kActionDimMax);
  tape.std_dev = cursor.take_floats(kActionDimMax);
  tape.d_action = cursor.take_floats(kActionDimMax);
  tape.floats = cursor.position;
  return tape;
}

}  // namespace detail

// The layout of a valid shape with 1 .. kOptimizerArraysMax arrays of the optimiser's for each
// network.
constexpr Layout make_layout(const Shape& shape, Algorithm algorithm, int actor_arrays,
                             int critic_arrays) {
  Layout layout;
  layout.shape = shape;
  layout.algorithm = algorithm;
  layout.actor_arrays = actor_arrays;
  layout.critic_arrays = critic_arrays;
  layout.actor =
      detail::make_network_layout(shape.observation_dim, shape.hidden_dim, 2 * shape.action_dim);
  layout.critic =
      detail::make_network_layout(critic_input_dim(shape, algorithm), shape.hidden_dim, 1);
  layout.actor_tape = detail::make_tape_layout(layout.actor);
  layout.critic_tape = detail::make_tape_layout(layout.critic);

  const auto floats = [](std::size_t count) { return count * sizeof(float); };
  const auto observation_bytes = static_cast<std::size_t>(shape.observation_dim) * sizeof(double);
  detail::Cursor cursor;
  cursor.take(sizeof(LearnerState), 64);
  for (auto& weights : layout.actor_weights) weights = cursor.take(floats(layout.actor.floats), 64);
  for (int i = 0; i < actor_arrays; ++i) {
    layout.actor_optimizer[i] = cursor.take(floats(layout.actor.floats), 64);
  }
  layout.critic_weights = cursor.take(floats(layout.critic.floats), 64);
  for (int i = 0; i < critic_arrays; ++i) {
    layout.critic_optimizer[i] = cursor.take(floats(layout.critic.floats), 64);
  }
  for (auto& tape : layout.actor_tapes) tape = cursor.take(floats(layout.actor_tape.floats), 64);
  for (auto& tape : layout.critic_tapes) tape = cursor.take(floats(layout.critic_tape.floats), 64);
  layout.normalizer_mean = cursor.take(observation_bytes, 64);
  layout.normalizer_variance = cursor.take(observation_bytes, 64);
  layout.scratch = cursor.take(floats(2 * kHiddenDimMax), 64);
  layout.bytes = cursor.position;
  return layout;
}

// The same with as many for either network.
constexpr Layout make_layout(const Shape& shape, Algorithm algorithm, int optimizer_arrays) {
  return make_layout(shape, algorithm, optimizer_arrays, optimizer_arrays);
}

}  // namespace instep

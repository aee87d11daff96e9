// What host and device tell each other: the learner a kernel works on, and the requests of a tick.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/layout.h"
#include "kernels/settings.h"

namespace instep::cuda {

// Outputs that a warp works on side by side, one in each lane.
inline constexpr int kGroup = 32;
// A sum over a layer's inputs is always taken in this many strands (input j belongs to strand j mod
// 8), which are then added in one fixed tree: its bits do not depend on who adds which strand.
inline constexpr int kStrands = 8;
inline constexpr int kGroupsMax = kHiddenDimMax / kGroup;
inline constexpr int kInputsMax = kObservationDimMax + kActionDimMax;
inline constexpr int kRowsMax = 2 * kActionDimMax;

constexpr int group_count(const NetworkLayout& network) {
  return network.width / kGroup;
}

// Numbers that blocks tell each other within a tick, in floats from the exchange's start.
struct ExchangeLayout {
  int groups = 0;
  int hidden1 = 0;   // [2][width]: first layer's outputs, by old and new weights
  int heads = 0;     // [2][rows + 1][groups]: parts of the outputs, and of the squared length
  int backward = 0;  // [groups][hidden_dim]: parts of the first layer's gradient
  int action = 0;    // [action_dim][groups]: parts of dQ/da
  int command = 0;   // [1]: the request that a resident kernel has taken
  int statistics =
      0;  // [2][observation_dim] doubles: mean and variance until all have read the last
  int floats = 0;
};

constexpr ExchangeLayout make_exchange_layout(const Layout& layout) {
  ExchangeLayout exchange;
  exchange.groups = group_count(layout.actor);
  exchange.heads = exchange.hidden1 + 2 * layout.actor.width;
  exchange.backward = exchange.heads + 2 * (2 * layout.shape.action_dim + 1) * exchange.groups;
  exchange.action = exchange.backward + exchange.groups * layout.shape.hidden_dim;
  exchange.command = exchange.action + layout.shape.action_dim * exchange.groups;
  exchange.statistics = exchange.command + 1;
  exchange.floats = exchange.statistics + 4 * layout.shape.observation_dim;
  return exchange;
}

// The learner as a kernel sees it. `exchange` is memory of make_exchange_layout(layout).floats
// floats that every block can reach; a cluster has its own and leaves it null.
struct DeviceLearner {
  LearnerSettings settings;
  std::uint32_t is_throughput = 0;
  // Weights and moments are kept in the blocks' shared memory for as long as the kernel runs.
  std::uint32_t is_on_chip = 0;
  Layout layout;
  std::uint8_t* block = nullptr;
  float* exchange = nullptr;
};

// What a kernel is asked for. Several are done in this order, but AVG acts before it learns.
enum Operation : std::uint32_t {
  kDrop = 1,
  kFlush = 2,
  kObserve = 4,
  kLearn = 8,
  kAct = 16,
  kPrepare = 32,
  kLeave = 64,  // a resident kernel ends
};

// One request, in memory that the host writes and the device reads. The sequence number has a line
// of its own and is written last.
struct Request {
  std::uint32_t operations = 0;
  std::uint32_t terminated = 0;
  std::uint32_t truncated = 0;
  double reward = 0.0;
  float noise[kActionDimMax] = {};       // of kAct
  float next_noise[kActionDimMax] = {};  // of kLearn
  double observation[kObservationDimMax] = {};
  alignas(64) std::uint32_t sequence = 0;
};

// What the host needs at once: the scalars, and both tapes of the newest or open transition from
// their head gradients on. The sequence number of the request comes last.
struct Reply {
  LearnerState state;
  float actor_tape[2 * kRowsMax + 16 + 6 * kActionDimMax] = {};
  float critic_tape[2 * 16 + 16 + 6 * kActionDimMax] = {};
  alignas(64) std::uint32_t sequence = 0;
  std::uint32_t has_left = 0;  // a resident kernel has ended, and the block of memory is whole
};

// What the blocks of one agent's grid meet at: how many have come to the barrier since the memory
// was zeroed.
struct Meeting {
  std::uint32_t arrivals = 0;
};

// What a launch hands over: arrays with one entry for each agent.
struct Parameters {
  const DeviceLearner* learners = nullptr;
  const Request* requests = nullptr;
  Reply* replies = nullptr;
  Meeting* meetings = nullptr;
  std::uint32_t blocks = 1;  // of each agent
  std::uint32_t exchange_floats = 0;
  std::uint32_t repeats = 1;   // of the request, by a launched kernel
  std::uint32_t lease_ms = 0;  // of a resident kernel
  std::uint32_t sequence = 0;  // of the request done last
};

// Floats of a tape that a reply carries.
constexpr std::size_t reply_floats(const TapeLayout& tape) {
  return tape.floats - tape.d_head;
}

// Floats of shared memory that one group of outputs takes when a network's array is on the chip. A
// row of inputs is 33 apart: threads that walk down rows side by side then meet different banks.
inline constexpr int kOnChipStride = kGroup + 1;
constexpr int on_chip_group_floats(const NetworkLayout& network, int hidden_dim) {
  return (network.inputs + hidden_dim) * kOnChipStride + (network.rows + 2) * kGroup;
}

// Groups of outputs that each of `blocks` blocks owns at most.
constexpr int groups_per_block(const Layout& layout, int blocks) {
  return (group_count(layout.actor) + blocks - 1) / blocks;
}

// Floats of shared memory a block needs for its part of every weight and moment.
constexpr int on_chip_floats(const Layout& layout, int blocks) {
  const int hidden_dim = layout.shape.hidden_dim;
  const int own = layout.actor_arrays;
  return groups_per_block(layout, blocks) *
         ((2 + own) * on_chip_group_floats(layout.actor, hidden_dim) +
          (1 + own) * on_chip_group_floats(layout.critic, hidden_dim));
}

}  // namespace instep::cuda

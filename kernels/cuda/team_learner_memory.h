// TeamLearner: where its weights stand, and what it reads and writes around the operations.
#pragma once

#include "kernels/cuda/team_learner.h"

namespace instep::cuda {

template <typename Team>
INSTEP_DEVICE std::size_t TeamLearner<Team>::array_offset(int array) const {
  if (array < kActorOptimizer) return layout_.actor_weights[array];
  if (array < kCritic) return layout_.actor_optimizer[array - kActorOptimizer];
  if (array == kCritic) return layout_.critic_weights;
  return layout_.critic_optimizer[array - kCriticOptimizer];
}

template <typename Team>
INSTEP_DEVICE Slice TeamLearner<Team>::global_slice(int array, int group) const {
  const NetworkLayout& net = network(array < kCritic);
  float* base = floats(array_offset(array));
  const int first = group * kGroup;  // output unit
  const int block = first / kOutputBlock;
  const int within = first % kOutputBlock;
  Slice slice;
  slice.w1 = base + net.w1 + block * net.inputs * kOutputBlock + within;
  slice.w2 = base + net.w2 + block * layout_.shape.hidden_dim * kOutputBlock + within;
  slice.head = base + net.w_head + first;
  slice.b1 = base + net.b1 + first;
  slice.b2 = base + net.b2 + first;
  slice.stride = kOutputBlock;
  slice.head_stride = net.width;
  return slice;
}

template <typename Team>
INSTEP_DEVICE Slice TeamLearner<Team>::on_chip_slice(int array, int group) const {
  const NetworkLayout& net = network(array < kCritic);
  const int hidden_dim = layout_.shape.hidden_dim;
  const int per_block = groups_per_block(layout_, team_.blocks());
  const int actor = per_block * on_chip_group_floats(layout_.actor, hidden_dim);
  const int critic = per_block * on_chip_group_floats(layout_.critic, hidden_dim);
  const int actor_arrays = kActorOptimizer + layout_.actor_arrays;
  const int before =
      array < kCritic ? array * actor : actor_arrays * actor + (array - kCritic) * critic;
  float* at =
      team_.on_chip() + before + (group - first_group_) * on_chip_group_floats(net, hidden_dim);
  Slice slice;
  slice.w1 = at;
  slice.w2 = slice.w1 + net.inputs * kOnChipStride;
  slice.head = slice.w2 + hidden_dim * kOnChipStride;
  slice.b1 = slice.head + net.rows * kGroup;
  slice.b2 = slice.b1 + kGroup;
  slice.stride = kOnChipStride;
  slice.head_stride = kGroup;
  return slice;
}

template <typename Team>
INSTEP_DEVICE Slice TeamLearner<Team>::slice(int array, int group) const {
  return Team::kHasOnChip && learner_.is_on_chip != 0 ? on_chip_slice(array, group)
                                                      : global_slice(array, group);
}

// Copies this block's part of every weight and moment into its shared memory, or back.
template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::copy_slices(bool is_load) {
  const int hidden_dim = layout_.shape.hidden_dim;
  const int warp = team_.thread() / kGroup;
  const int warps = team_.threads() / kGroup;
  const int lane = team_.thread() % kGroup;
  for (int array = 0; array < kArrays; ++array) {
    const int actor_array = array < kCritic ? array : array - kCriticOptimizer + kActorOptimizer;
    if (actor_array >= kActorOptimizer + layout_.actor_arrays) continue;  // not stored
    const NetworkLayout& net = network(array < kCritic);
    for (int g = first_group_; g < first_group_ + groups_; ++g) {
      const Slice outside = global_slice(array, g);
      const Slice inside = on_chip_slice(array, g);
      const Slice& to = is_load ? inside : outside;
      const Slice& from = is_load ? outside : inside;
      const auto copy = [&](float* out, int out_stride, const float* in, int in_stride, int rows) {
        for (int row = warp; row < rows; row += warps) {
          out[row * out_stride + lane] = in[row * in_stride + lane];
        }
      };
      copy(to.w1, to.stride, from.w1, from.stride, net.inputs);
      copy(to.w2, to.stride, from.w2, from.stride, hidden_dim);
      copy(to.head, to.head_stride, from.head, from.head_stride, net.rows);
      copy(to.b1, 0, from.b1, 0, 1);
      copy(to.b2, 0, from.b2, 0, 1);
    }
  }
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::load() {
  const auto* from = reinterpret_cast<const std::uint32_t*>(learner_.block);
  auto* to = reinterpret_cast<std::uint32_t*>(&s_.state);
  constexpr int kWords = static_cast<int>(sizeof(LearnerState) / sizeof(std::uint32_t));
  for (int i = team_.thread(); i < kWords; i += team_.threads()) to[i] = from[i];
  if (Team::kHasOnChip && learner_.is_on_chip != 0) copy_slices(true);
  team_.template block_barrier<kLoaded>();
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::store() {
  if (Team::kHasOnChip && learner_.is_on_chip != 0) copy_slices(false);
  if (is_first_block()) {
    const auto* from = reinterpret_cast<const std::uint32_t*>(&s_.state);
    auto* to = reinterpret_cast<std::uint32_t*>(learner_.block);
    constexpr int kWords = static_cast<int>(sizeof(LearnerState) / sizeof(std::uint32_t));
    for (int i = team_.thread(); i < kWords; i += team_.threads()) to[i] = from[i];
  }
}

template <typename Team>
INSTEP_DEVICE void TeamLearner<Team>::reply(Reply& reply) {
  const auto* from = reinterpret_cast<const std::uint32_t*>(&s_.state);
  auto* to = reinterpret_cast<std::uint32_t*>(&reply.state);
  constexpr int kWords = static_cast<int>(sizeof(LearnerState) / sizeof(std::uint32_t));
  for (int i = team_.thread(); i < kWords; i += team_.threads()) to[i] = from[i];
  // Once the transition is open, both tapes of interest are its own.
  const bool is_newest = s_.state.has_action != 0;
  const float* actor =
      (is_newest ? newest_actor_tape() : open_actor_tape()) + layout_.actor_tape.d_head;
  const float* critic =
      (is_newest ? newest_critic_tape() : open_critic_tape()) + layout_.critic_tape.d_head;
  const int actor_floats = static_cast<int>(reply_floats(layout_.actor_tape));
  const int critic_floats = static_cast<int>(reply_floats(layout_.critic_tape));
  for (int i = team_.thread(); i < actor_floats; i += team_.threads())
    reply.actor_tape[i] = actor[i];
  for (int i = team_.thread(); i < critic_floats; i += team_.threads())
    reply.critic_tape[i] = critic[i];
}

template <typename Team>
INSTEP_DEVICE std::uint32_t TeamLearner<Team>::take_request() {
  std::uint32_t operations = kLeave;
  float word;
  if (is_first_block() && is_lead()) {
    do {
      if (load_system(&s_.request->sequence) != s_.sequence + 1) continue;
      operations = s_.request->operations;
      break;
    } while (team_.now_ns() < s_.lease_end_ns);
    __builtin_memcpy(&word, &operations, sizeof word);
    tell(exchange_.command, word);
  }
  team_.template team_barrier<kRequestTaken>();
  word = *told(exchange_.command);
  __builtin_memcpy(&operations, &word, sizeof operations);
  return operations;
}

// The end of an operation: each block's first thread advances its own copy of the state, which no
// thread may have read since the block's last barrier.
template <typename Team>
template <typename End>
INSTEP_DEVICE void TeamLearner<Team>::finish(const End& end) {
  if (is_lead()) end(s_.state);
  team_.template block_barrier<kStateWritten>();
}

// Likewise, and everything the operation wrote is there for every block.
template <typename Team>
template <typename End>
INSTEP_DEVICE void TeamLearner<Team>::finish_together(const End& end) {
  team_.template team_barrier<kOperationDone>();
  finish(end);
}

}  // namespace instep::cuda

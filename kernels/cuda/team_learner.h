// The learner's tick by a team of blocks of threads: the device source, C++17, also compiled by the
// host compiler over fibres (runtime/cuda/emulator.h). kernels/cpu/learner_cpu.cpp is the same
// learner on one core, and kernels/learner.h says what each operation does.
//
// Every block owns some groups of 32 output units of both hidden layers, with all weights that lead
// to them, and the heads' weights that come from them: each weight is read and written by one block
// only. Blocks tell each other the first layer's outputs and parts of sums (the exchange); the
// scalars of a tick are computed by every block for itself, which is cheaper than telling. A
// block's first thread keeps its copy of LearnerState.
//
// A Team, of one agent, supplies: agent(), block(), blocks(), thread(), threads() (a multiple of
// 32); block_barrier<B>() and team_barrier<B>(), which all threads of the block or team must reach;
// shared(), the block's own memory; exchange(block), that block's copy of the exchange (the same
// memory for all where kHasExchangeCopies is false); where kHasOnChip, on_chip(), shared memory for
// the block's weights; now_ns(), a clock; and signal(word, value), which tells the host.
#pragma once

#include "kernels/adam.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/job.h"
#include "kernels/normalizer.h"
#include "kernels/squashed_gaussian.h"
#include "kernels/td_error.h"

namespace instep::cuda {

// Every barrier of the source has a number of its own: tests leave out one after the other.
//
// A tick's time is the team's barriers. An AVG tick in the throughput schedule has nine, one for
// each time that a layer needs numbers of all units of the layer before: forward passes of the
// actor (updated on the way), the critic at the target and the updated critic, each kHidden1Told
// and kHeadsTold; the way back through the critic, kBackwardTold and kActionTold; and through the
// actor, kBackwardTold. The next one's test for finite factors needs all of them: it begins with
// another request. Act first has three more: two of the old actor's own forward pass, and
// kGradientDone.
enum Barrier : int {
  // Of the team.
  kHidden1Told,
  kHeadsTold,
  kBackwardTold,
  kActionTold,
  kGradientDone,
  kOperationDone,
  kTargetDone,
  kActionWritten,
  kRepeated,
  kRequestTaken,
  kStored,
  kTeamBarriers,
  // Of each block for itself.
  kBegun = kTeamBarriers,
  kLoaded,
  kInputsStaged,
  kPartialsWritten,
  kHidden2Written,
  kHeadsFinished,
  kOldHeadsStaged,
  kSampled,
  kMaximaWritten,
  kAdamReady,
  kStateWritten,
  kErrorReady,
  kDHeadReady,
  kCriticStaged,
  kDHidden2Ready,
  kDHidden1Ready,
  kReplied,
  kBarriers
};

inline constexpr float kLargestFactor = 1e18F;  // squares of larger factors would overflow
inline constexpr int kMaximaSlots = 16;

// A block's own memory for as long as a kernel runs. [2]: by the weights before and after a step.
template <std::size_t kGroupsOwnedMax>
struct Shared {
  DeviceLearner learner;
  const Request* request;
  Reply* reply;
  Meeting* meeting;
  std::uint64_t lease_end_ns;
  LearnerState state;
  double reward;  // with the next two, of the request: for the block's first thread alone
  std::uint32_t terminated;
  std::uint32_t truncated;
  double log_prob_part[kActionDimMax];
  double entropy_part[kActionDimMax];
  float input[3][kInputsMax];  // before, of the gradient, after
  float partial[2][kGroupsOwnedMax][kStrands][kGroup];
  float hidden2[2][kGroupsOwnedMax * kGroup];
  float d_hidden[kGroupsOwnedMax * kGroup];
  float head[2][kRowsMax];
  float inverse_norm[2];
  float d_head[kRowsMax];
  float noise[kActionDimMax];  // of the action that is drawn next
  float action[kActionDimMax];
  float d_action[kActionDimMax];
  float maxima[6][kMaximaSlots];
  AdamStep<float> adam;
  float log_prob;
  float divisor;
  std::uint32_t update_is_finite;
  std::uint32_t sequence;  // of the request done last
};

// What a forward pass starts from, and the tape that records it; `action` is null for an actor.
struct Forward {
  float* tape;
  const float* observation;
  const float* action;
};

// Which arrays of a learner, each optimiser's in the order of the layout's list. Their copies on
// the chip stand in this order.
enum Array : int {
  kActor0,
  kActor1,
  kActorOptimizer,
  kCritic = kActorOptimizer + kOptimizerArraysMax,
  kCriticOptimizer,
  kArrays = kCriticOptimizer + kOptimizerArraysMax
};

// One pass over a network's weights: forward by the weights as they are (before), the update, and
// forward by the updated ones (after), any of them.
struct Pass {
  bool is_actor;
  int weights;      // Array
  int new_weights;  // Array
  const float* gradient;
  float scale;  // of the gradient's factors
  Forward before;
  Forward after;
};

// Where one group's weights of one array stand.
struct Slice {
  float* w1;    // [inputs], `stride` apart, the group's lanes side by side
  float* w2;    // [hidden_dim]
  float* head;  // [rows], `head_stride` apart
  float* b1;
  float* b2;
  int stride;
  int head_stride;
};

// Adam's step of one weight whose gradient is d * x. `second` is the value of the array that a rule
// always has, `first` where another one stands, if it does.
struct AdamWeight {
  Adam<float> adam;

  INSTEP_DEVICE float step(const Adam<float>::Output& output, float x, float weight, float& second,
                           float* first) const {
    second = adam.second_moment(output, x * x, second);
    const float denominator = adam.denominator(second);
    if (first == nullptr) return adam.weight(output, x, denominator, weight);
    *first = adam.first_moment(output, x, *first);
    return adam.weight(*first, denominator, weight);
  }
};

// One output's weights in a hidden layer, a thread's own: they stand `stride` apart.
struct Column {
  const float* weights;
  int stride;
  // Only of a pass with a step:
  float* new_weights;
  float* second;
  float* first;  // null where none is stored
  float d;
};

template <typename Team>
class TeamLearner {
 public:
  // The team's shared memory must say which learner it is.
  INSTEP_DEVICE explicit TeamLearner(const Team& team)
      : team_(team),
        s_(team.shared()),
        learner_(s_.learner),
        layout_(learner_.layout),
        settings_(learner_.settings),
        exchange_(make_exchange_layout(layout_)) {
    const int groups = group_count(layout_.actor);
    const int per_block = groups_per_block(layout_, team.blocks());
    first_group_ = team.block() * per_block;
    groups_ = groups - first_group_ < per_block ? groups - first_group_ : per_block;
    if (groups_ < 0) groups_ = 0;
  }

  // Before the first and after the last operation of a kernel.
  INSTEP_DEVICE void load();
  INSTEP_DEVICE void store();
  // Does the operations of the block's request, which must stay as it is until the first block has
  // done them; no operation is an error.
  INSTEP_DEVICE void run(std::uint32_t operations);
  // What the host needs at once; by one block, after an operation.
  INSTEP_DEVICE void reply(Reply& reply);
  // Waits for the host's next request or the end of the lease: its operations, or kLeave.
  INSTEP_DEVICE std::uint32_t take_request();

 private:
  INSTEP_DEVICE bool is_lead() const { return team_.thread() == 0; }
  INSTEP_DEVICE bool is_first_block() const { return team_.block() == 0; }
  INSTEP_DEVICE int units() const { return groups_ * kGroup; }
  INSTEP_DEVICE float* floats(std::size_t offset) const {
    return reinterpret_cast<float*>(learner_.block + offset);
  }
  INSTEP_DEVICE double* doubles(std::size_t offset) const {
    return reinterpret_cast<double*>(learner_.block + offset);
  }
  INSTEP_DEVICE float* open_actor_tape() const {
    return floats(layout_.actor_tapes[s_.state.open_tape]);
  }
  INSTEP_DEVICE float* open_critic_tape() const {
    return floats(layout_.critic_tapes[s_.state.open_tape]);
  }
  INSTEP_DEVICE float* newest_actor_tape() const {
    return floats(layout_.actor_tapes[1 - s_.state.open_tape]);
  }
  INSTEP_DEVICE float* newest_critic_tape() const {
    return floats(layout_.critic_tapes[1 - s_.state.open_tape]);
  }
  INSTEP_DEVICE const NetworkLayout& network(bool is_actor) const {
    return is_actor ? layout_.actor : layout_.critic;
  }
  INSTEP_DEVICE const TapeLayout& tape_layout(bool is_actor) const {
    return is_actor ? layout_.actor_tape : layout_.critic_tape;
  }
  // Tells every block a number of the exchange.
  INSTEP_DEVICE void tell(int at, float value) const {
    if (Team::kHasExchangeCopies) {
      for (int block = 0; block < team_.blocks(); ++block) team_.exchange(block)[at] = value;
    } else {
      team_.exchange(0)[at] = value;
    }
  }
  INSTEP_DEVICE const float* told(int at) const { return team_.exchange(team_.block()) + at; }

  INSTEP_DEVICE std::size_t array_offset(int array) const;
  INSTEP_DEVICE Slice slice(int array, int group) const;
  INSTEP_DEVICE Slice global_slice(int array, int group) const;
  INSTEP_DEVICE Slice on_chip_slice(int array, int group) const;
  INSTEP_DEVICE void copy_slices(bool is_load);
  template <typename End>
  INSTEP_DEVICE void finish(const End& end);
  template <typename End>
  INSTEP_DEVICE void finish_together(const End& end);

  INSTEP_DEVICE AdamWeight rule() const;
  INSTEP_DEVICE float* optimizer_array(int first_array, int i, int group, float* Slice::*part,
                                       int at) const;
  INSTEP_DEVICE float step_part(bool is_actor, int group, float* Slice::*part, int at, float d,
                                float x, float weight) const;
  template <bool kOld, bool kUpdate, bool kNew>
  INSTEP_DEVICE void stage_inputs(const Pass& pass, int layer);
  template <bool kUpdate>
  INSTEP_DEVICE Column column(const Pass& pass, int layer, int group) const;
  template <bool kOld, bool kUpdate, bool kNew>
  INSTEP_DEVICE void hidden_columns(const Pass& pass, int layer);
  template <bool kOld, bool kUpdate, bool kNew>
  INSTEP_DEVICE void hidden_outputs(const Pass& pass, int layer);
  template <bool kOld, bool kUpdate, bool kNew>
  INSTEP_DEVICE void run_pass(const Pass& pass);
  INSTEP_DEVICE void update_head(const Pass& pass);
  INSTEP_DEVICE void tell_head_parts(const Pass& pass, int which);
  INSTEP_DEVICE void finish_heads(const Pass& pass, int which);
  INSTEP_DEVICE float input_of(const Forward& forward, int observation_dim, int j) const;
  INSTEP_DEVICE bool begin_update(Pass& pass, double lr);
  INSTEP_DEVICE float largest_slot(const Pass& pass, int vector, int slot) const;
  INSTEP_DEVICE bool is_update_finite(float scale) const;
  INSTEP_DEVICE void backward(bool is_actor, int weights, float* tape);
  INSTEP_DEVICE void backward_action(float* tape);
  INSTEP_DEVICE float d_feature(bool is_actor, const Slice& w, int lane) const;

  INSTEP_DEVICE Pass actor_pass(std::uint32_t buffer) const;
  INSTEP_DEVICE Pass critic_pass() const;
  INSTEP_DEVICE void take_noise(const float* noise);
  INSTEP_DEVICE void sample_action(float* tape, int which);
  INSTEP_DEVICE bool update_actor(const float* gradient);
  INSTEP_DEVICE bool begin_actor_update(const float* gradient, Pass& pass);
  INSTEP_DEVICE void update_critic(bool evaluate_next);
  INSTEP_DEVICE void set_actor_head_gradient(float* tape, int i,
                                             const HeadGradient<float>& gradient);

  INSTEP_DEVICE double next_count() const;
  INSTEP_DEVICE void observe();
  INSTEP_DEVICE void observe_in_every_block();
  INSTEP_DEVICE void keep_statistics();
  INSTEP_DEVICE void act(bool observes);
  INSTEP_DEVICE void learn(bool has_just_acted);
  INSTEP_DEVICE void forward_old_actor();
  INSTEP_DEVICE void stage_old_heads(bool has_just_acted);
  INSTEP_DEVICE void learn_avg(bool has_just_acted);
  INSTEP_DEVICE void learn_iac();
  INSTEP_DEVICE void prepare(bool has_just_learned);
  INSTEP_DEVICE void flush();
  INSTEP_DEVICE void drop();

  const Team team_;
  typename Team::SharedMemory& s_;
  const DeviceLearner& learner_;
  const Layout& layout_;
  const LearnerSettings& settings_;
  const ExchangeLayout exchange_;
  int first_group_ = 0;
  int groups_ = 0;  // owned by this block
};

}  // namespace instep::cuda

#include "kernels/cuda/team_learner_memory.h"
#include "kernels/cuda/team_learner_network.h"
#include "kernels/cuda/team_learner_tick.h"

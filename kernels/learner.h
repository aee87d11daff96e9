// The incremental learner: one update of actor and critic per control step, from the newest sample.
//
// One tick of AVG (Vasan et al., "Deep Policy Gradient Methods Without Batch Updates, Target
// Networks, or Replay Buffers", NeurIPS 2024), numbered as in docs/algorithm.md:
//
//   observe   1  normalise the newest observation s'
//   act       2  actor(newest) at s' -> A', log pi(A'|s')            the command can be sent now
//   learn     3  actor(acted) at s' -> a', the target's own sample
//             4  critic at (s', a'); TD error
//             5  critic update by the stored gradient of Q(s, a); critic at (s', A')
//   prepare   6  gradient of Q(s', A') with respect to its weights and to A', stored
//             7  actor update for (s', A')
//
// At an ended s' the tick is observe, learn; then the reset observation is observed, acted upon and
// prepared. The actor's step (7) needs neither reward nor s', which is why it may come before them:
// between learn and prepare the learner is exactly the reference's after k updates. IAC's actor
// needs the TD error, so its tick is observe, learn, act, prepare and its actor update is part of
// learn. RAC's tick is AVG's without step 3: the target takes the action A' that is executed next;
// only at an end, where there is none, does it draw one of its own, by actor(newest).
//
// Nothing here allocates, locks, reads a clock or a file. A learner belongs to one thread at a
// time.
#pragma once

#include <span>
#include <string_view>

#include "kernels/bound.h"
#include "kernels/layout.h"
#include "kernels/settings.h"

namespace instep {

// A learner is its settings, its layout and one 64-byte-aligned block of layout.bytes bytes, owned
// by the caller.
struct Learner {
  LearnerSettings settings;
  Schedule schedule = Schedule::kActFirst;
  Layout layout;
  std::uint8_t* block = nullptr;

  LearnerState& state() const { return *reinterpret_cast<LearnerState*>(block); }
  float* floats(std::size_t byte_offset) const {
    return reinterpret_cast<float*>(block + byte_offset);
  }
  double* doubles(std::size_t byte_offset) const {
    return reinterpret_cast<double*>(block + byte_offset);
  }
  // Tape of the open transition (s, a), and of the newest observation.
  float* open_actor_tape() const { return floats(layout.actor_tapes[state().open_tape]); }
  float* open_critic_tape() const { return floats(layout.critic_tapes[state().open_tape]); }
  float* newest_actor_tape() const { return floats(layout.actor_tapes[1 - state().open_tape]); }
  float* newest_critic_tape() const { return floats(layout.critic_tapes[1 - state().open_tape]); }
};

// The layout of a valid shape with the arrays that the settings' weight step stores.
Layout learner_layout(const Shape& shape, const LearnerSettings& settings);

// Overwrites the block with a learner that has seen nothing: all zero but the start of the
// statistics. Weights are to be filled in by the caller, both actor buffers alike.
void clear(const Learner& learner);

// One way of executing a learner: the same functions compiled for one instruction set and
// arithmetic. Every executor is bit-identical with itself over repeats and between schedules.
struct Executor {
  std::string_view path;  // "scalar", "avx2", "avx512", "neon"
  Arithmetic arithmetic = Arithmetic::kFast;
  const BoundLoops* bound = nullptr;  // in the same vectors; null where nobody has written them

  // 1. Takes raw observation [observation_dim], all finite: updates the statistics, then
  // normalises. It becomes the newest observation.
  void (*observe)(const Learner&, const double* observation) = nullptr;
  // 2. Draws an action at the newest observation by noise [action_dim] (standard normal). It stands
  // in newest_actor_tape() at layout.actor_tape.action [action_dim], in [-1, 1]; NaN if the actor's
  // feature has length 0.
  void (*act)(const Learner&, const float* noise) = nullptr;
  // 3-5. Closes the open transition with a finite reward and the newest observation. next_noise
  // [action_dim] draws the target's action (unused by IAC, and by RAC but at an end).
  void (*learn)(const Learner&, double reward, bool terminated, bool truncated,
                const float* next_noise) = nullptr;
  // 6-7. Opens the next transition from the newest observation and action.
  void (*prepare)(const Learner&) = nullptr;
  // Does what the throughput schedule has put off; afterwards the block does not tell the schedules
  // apart.
  void (*flush)(const Learner&) = nullptr;
  // Drops the open transition (non-finite data): its reward and successor are never used.
  void (*drop)(const Learner&) = nullptr;

  // Null where the learner's block is where the computing is done. An executor whose learner lives
  // in another memory gets ready in attach, before the seal (never fails: at worst it computes on
  // the CPU), brings the block up to date in fetch, and takes over what is changed there
  // afterwards. Between these calls only the state, and of the newest and open tapes what follows
  // their d_head, are up to date. flush fetches.
  void (*attach)(const Learner&) = nullptr;
  void (*fetch)(const Learner&) = nullptr;
  void (*detach)(const Learner&) = nullptr;

  // For a loop that does not wait for its learner. normalize and act_apart touch nothing that
  // learn and prepare write, so another thread may be in those meanwhile.
  //
  // The first half of observe: updates the statistics and writes the normalised observation to out
  // [observation_dim].
  void (*normalize)(const Learner&, const double* observation, float* out) = nullptr;
  // As act, with the actor weights of one buffer and a tape of the caller's
  // [layout.actor_tape.floats], 64-byte aligned, zero but for its input, which is set.
  void (*act_apart)(const Learner&, std::uint32_t buffer, float* tape,
                    const float* noise) = nullptr;
  // AVG, RAC: the reward statistics and the running return take a transition that is not learnt
  // from: its finite reward and the log probability of its action (AVG).
  void (*account)(const Learner&, double reward, float log_prob, bool terminated,
                  bool truncated) = nullptr;
};

// Every executor of that arithmetic that this processor can run, best first. Static lifetime.
std::span<const Executor* const> executors(Arithmetic arithmetic);

// The executor of that path, or null when this processor or build has none of that name.
const Executor* find_executor(std::string_view path, Arithmetic arithmetic);

}  // namespace instep

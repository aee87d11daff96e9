// One control step after another: where the world, the agent and the clock meet. Read this first.
//
// A tick is one interaction. The action that the agent chose last is applied for one control
// period; what is sensed afterwards goes to the agent, which answers with the next action at once,
// before it learns. On a robot the command leaves here, and the learning happens while the robot
// moves; on simulated time nothing moves meanwhile, but the order is the same:
//
//      world            agent                                what it costs (half_cheetah, one core)
//   1  step(action)                                          the physics
//   2                   sense(observation, reward) -> action  one actor forward
//      send(action)                                          a robot's command leaves
//   3                   update()                              the rest of the update
//   4  reset()          begin_episode() -> action, update()   only when the episode has ended
//      send(action)
//
// A tick in which a robot was held or faulted carries no step: instead of 2 the open transition is
// dropped, and the episode ends as truncated. It is no part of the episode's length, but steps()
// counts it: that is the clock of the random streams, and the action's noise is used up. An agent
// that learns apart has a learner thread do the work of update(), which then only says what there
// is to do.
//
// Nothing in a tick allocates, locks, formats text or opens a file. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/agent.h"
#include "runtime/clock.h"
#include "runtime/environment.h"
#include "runtime/latency_histogram.h"

namespace instep {

// One finished episode, as a line of episodes.csv.
struct EpisodeRecord {
  std::int64_t episode = 0;     // counted from 1
  std::int64_t step = 0;        // control steps of the run when it ended
  double episode_return = 0.0;  // undiscounted sum of rewards
  std::int64_t length = 0;      // control steps; 0: held or faulted before its first
  bool terminated = false;      // false: a time limit, or a number that was not finite
};

// The loop's own part of a checkpoint.
struct LoopState {
  std::int64_t episodes = 0;
  double episode_return = 0.0;
  std::int64_t episode_length = 0;
};

// Where a snapshot holds what: LoopState, then the world's state, then the learner's.
struct SnapshotLayout {
  std::size_t world_bytes = 0;
  std::size_t learner_bytes = 0;

  std::size_t world_start() const { return sizeof(LoopState); }
  std::size_t learner_start() const { return world_start() + world_bytes; }
  std::size_t bytes() const { return learner_start() + learner_bytes; }
  // The part of a snapshot; Byte is std::uint8_t or its const.
  template <typename Byte>
  std::span<Byte> world(std::span<Byte> snapshot) const {
    return snapshot.subspan(world_start(), world_bytes);
  }
  template <typename Byte>
  std::span<Byte> learner(std::span<Byte> snapshot) const {
    return snapshot.subspan(learner_start(), learner_bytes);
  }
};

// How long the parts of a tick took.
struct LoopLatency {
  LatencyHistogram world;                  // step(): the physics, or the wait for a robot
  LatencyHistogram observation_to_action;  // sense(): what lies between sensor and command
  LatencyHistogram update;                 // sense() and update() together

  void add(const LoopLatency& other) {
    world.add(other.world);
    observation_to_action.add(other.observation_to_action);
    update.add(other.update);
  }
};

class ControlLoop {
 public:
  enum class Status { kRunning, kEpisodeFinished, kFaulted };

  // The loop borrows all three. `reset_random` is the randomness of episode starts.
  ControlLoop(Agent& agent, Environment& world, const Clock& clock, const Random& reset_random);

  // Opens the first episode. False when it cannot: an observation or action is not finite.
  [[nodiscard]] bool start();

  // One control step. kEpisodeFinished: last_episode() is new, and the next episode is open
  // already. kFaulted: not even a fresh episode gives finite numbers, and there is nothing more to
  // do.
  Status tick();

  const EpisodeRecord& last_episode() const { return last_episode_; }
  const LoopLatency& latency() const { return latency_; }
  // Forgets the latencies so far (after a warm-up).
  void clear_latency() { latency_ = {}; }
  std::int64_t steps() const { return static_cast<std::int64_t>(agent_.step()); }
  const LoopState& state() const { return state_; }

  // How many episodes a snapshot counts.
  static std::int64_t episodes_in(std::span<const std::uint8_t> snapshot);

  // Everything that decides what the loop does next, for checkpoints: its own state, the world's
  // and the learner's, snapshot_bytes() in all. Does first what the throughput schedule put off.
  SnapshotLayout snapshot_layout() const;
  std::size_t snapshot_bytes() const { return snapshot_layout().bytes(); }
  // Of a robot's, whose world is not in it.
  std::size_t bytes_without_world() const { return sizeof state_ + agent_.state_bytes(); }
  void save_snapshot(std::span<std::uint8_t> out);

  // The same where the agent learns apart: `out` is whole when the agent's hook says so, and must
  // stay until then. False when the learner could not be told.
  [[nodiscard]] bool request_snapshot(std::span<std::uint8_t> out);

  // Goes on from a snapshot taken after `steps` control steps. False when the bytes do not fit this
  // task and learner.
  [[nodiscard]] bool load_snapshot(std::span<const std::uint8_t> in, std::int64_t steps);

  // The same without the world's state, whether the snapshot has none, this world's or that of
  // another version of it: no file can bring a robot back to where it was. The open transition is
  // dropped, the episode that was running closed as truncated (last_episode(), when it had a step).
  // start() then opens the next one.
  [[nodiscard]] bool load_learner(std::span<const std::uint8_t> in, std::int64_t steps);

 private:
  bool begin_episode();
  bool is_within_bounds(const float* action) const;
  void send();
  void finish_episode(bool terminated);
  bool load_state_and_learner(std::span<const std::uint8_t> in, std::int64_t steps);
  void save_outer_state(std::span<std::uint8_t> out) const;

  Agent& agent_;
  Environment& world_;
  const Clock& clock_;
  Random reset_random_;
  std::vector<double> observation_;
  const float* action_ = nullptr;
  LoopState state_;
  EpisodeRecord last_episode_;
  LoopLatency latency_;
};

}  // namespace instep

// The learner as the control loop sees it: an observation goes in, an action comes out at once, and
// the learning is done afterwards while the robot moves.
//
// With `learns_apart` the learning is another thread's. The loop hands it tasks and never waits.
// Between tasks the whole learner is the loop's, exactly as in one thread, so a run in which every
// task was done in time has the bits of a run in one thread. While tasks are left, the learner
// writes weights, moments, tapes and the statistics of rewards; the loop goes on with what the
// tasks do not touch:
//
//      the normaliser                  takes every observation, busy or not
//      the actor weights that acted    the learner writes the other buffer
//      a tape of its own               for an action that no update will follow
//
// A transition whose action was drawn this way was never begun. It is dropped whole, but for its
// reward, which the learner's statistics take in its turn.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/learner.h"
#include "kernels/philox.h"
#include "runtime/memory.h"
#include "runtime/realtime/spsc_ring.h"

namespace instep {

// Everything that decides an agent's bits.
struct AgentConfig {
  Shape shape;
  LearnerSettings settings;  // settings.hidden == shape.hidden_dim
  Schedule schedule = Schedule::kActFirst;
  const Executor* executor = nullptr;
  std::uint64_t seed = 0;
  bool learns_apart = false;  // AVG, act_first
};

// What became of ticks at which the learner was not done yet.
struct LateLearning {
  std::uint64_t ticks = 0;
  std::uint64_t transitions_dropped = 0;  // never begun
  std::uint64_t tasks_lost = 0;           // the learner was so late that it could not even be told
};

// Called where they are not null: posted by update() and request_snapshot(), on the loop's side,
// when there is something to do; the others by run_next_task(), on the learner's.
struct LearnerHooks {
  void* self = nullptr;
  void (*posted)(void* self) = nullptr;
  void (*updated)(void* self, const Learner& learner) = nullptr;
  void (*snapshot_taken)(void* self, std::uint64_t step) = nullptr;
};

// Where the standard normal draws of a step come from. The agent's own source is Philox;
// verification plugs in recorded draws. Overwrites out [action_dim] for kExploration or
// kNextAction.
struct NoiseSource {
  void* self = nullptr;
  void (*fill)(void* self, Stream stream, std::uint64_t step, float* out, int count) = nullptr;
};

// One learner with its memory, its noise and its step counter. The constructor allocates, nothing
// else does. One thread, or two with `learns_apart`: run_next_task() is the learner's, everything
// else the loop's.
class Agent {
 public:
  // Starts from clear statistics and the seed's initial weights. Throws std::bad_alloc.
  explicit Agent(const AgentConfig& config);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Opens an episode with its first observation [observation_dim]. Answers the action [action_dim],
  // valid until the next call, or null when nothing may be sent: the observation or the action is
  // not finite.
  const float* begin_episode(const double* observation);

  // Takes what followed the last action: the next observation, the reward, and whether the episode
  // ended. Answers the next action, or null when there is none: the episode ended, or
  // (was_dropped()) something was not finite; then no statistic has seen it, and the episode cannot
  // go on.
  const float* sense(const double* observation, double reward, bool terminated, bool truncated);

  // The rest of the tick: learns from the transition that sense() closed and opens the next one. To
  // be called once after every begin_episode() or sense(), when the command has been sent.
  void update();

  // Instead of sense() where a tick carries no step: drops the open transition. step() goes on: the
  // noise of its action is used up.
  void interrupt();

  // Whether the learner has done all it was given; learner() may be looked at only then.
  bool is_learner_idle() const { return tasks_.size() == 0; }
  std::uint32_t tasks_left() const { return tasks_.size(); }
  const LateLearning& late_learning() const { return late_; }
  // Whether the last call found the learner at work.
  bool was_late() const { return is_late_; }

  // Apart: does the oldest task; false when there is none.
  bool run_next_task();
  // Apart: asks for a copy of the learner's block as it will be after all tasks given so far.
  // out [layout.bytes] must stay until the hook is called. False when the learner could not be
  // told.
  [[nodiscard]] bool request_snapshot(std::uint8_t* out);
  void set_hooks(const LearnerHooks& hooks) { hooks_ = hooks; }

  // As sense() and update() for a transition after which nothing more happens: learns from it,
  // draws no action. Verification compares the learner here.
  void close(const double* observation, double reward, bool terminated, bool truncated);

  // True when the last call met a number that is not finite, or is beyond a float's range.
  bool was_dropped() const { return was_dropped_; }

  // Closed transitions so far, dropped ones included: the clock of the random streams.
  std::uint64_t step() const { return step_; }
  // Goes on with a block that was loaded into learner() and belongs to that step.
  void set_step(std::uint64_t step);

  const AgentConfig& config() const { return config_; }
  const Learner& learner() const { return learner_; }
  void set_noise_source(const NoiseSource& source) { noise_ = source; }

  // Completes what the throughput schedule put off, so that the block is the same under both
  // schedules.
  void flush() { config_.executor->flush(learner_); }
  // Brings the learner's block up to date where the executor keeps it in another memory.
  void fetch() {
    if (config_.executor->fetch != nullptr) config_.executor->fetch(learner_);
  }

 private:
  // What the learner is to do; the order of the ring is the order of time.
  struct Task {
    enum class Kind : std::uint8_t {
      kUpdate,    // learn from the newest observation, prepare at the newest action
      kClose,     // learn with close_observation_, after which no transition is open
      kAccount,   // take the reward of a transition that was never begun
      kDrop,      // the open transition
      kSnapshot,  // copy the block to snapshot_
    };
    Kind kind = Kind::kUpdate;
    bool must_learn = false;
    bool must_prepare = false;
    bool terminated = false;
    bool truncated = false;
    float log_prob = 0.0F;
    double reward = 0.0;
    std::uint64_t step = 0;
  };
  struct alignas(64) CacheLine {
    float floats[16];
  };
  static constexpr std::uint32_t kTasksMax = 1024;  // seconds of lateness at any period

  const float* act();
  const float* act_apart();
  const float* sense_apart(const double* observation, double reward, bool terminated,
                           bool truncated);
  const float* checked_action(const float* tape);
  void normalize_apart(const double* observation);
  void drop_open();
  void account(double reward, bool terminated, bool truncated);
  void pend(const Task& task);
  bool begin_tick();
  bool is_usable(const double* observation, double reward) const;
  void run(const Task& task);
  void learn(const Task& task);
  void copy_block();

  AgentConfig config_;
  MemoryBlock memory_;
  Learner learner_;
  std::vector<CacheLine> apart_memory_;  // empty unless it learns apart
  NoiseSource noise_;
  LearnerHooks hooks_;
  std::uint64_t step_ = 0;
  // What sense() or begin_episode() leaves for update().
  Task update_;
  Task pending_[2];
  int pending_count_ = 0;
  bool must_update_ = false;
  bool was_dropped_ = false;
  // The last action opened, or will open, a transition of the learner's.
  bool is_begun_ = false;
  // Apart from the learner.
  bool is_late_ = false;
  std::uint32_t acting_buffer_ = 0;  // actor weights that acted when the learner was last idle
  float* apart_tape_ = nullptr;
  float* close_observation_ = nullptr;  // written only while no kClose is in the ring
  float apart_log_prob_ = 0.0F;
  std::uint8_t* snapshot_ = nullptr;
  LateLearning late_;
  SpscRing<Task, kTasksMax> tasks_;
};

}  // namespace instep

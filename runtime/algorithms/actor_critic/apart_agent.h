// The agent whose learning is another thread's: the loop hands it tasks and never waits.
//
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

#include "runtime/algorithms/actor_critic/agent.h"
#include "runtime/realtime/spsc_ring.h"

namespace instep {

// Of AVG that acts first. run_next_task() is the learner's thread's, everything else the loop's.
class ApartAgent final : public ActorCriticAgent {
 public:
  explicit ApartAgent(const ActorCriticConfig& config);

  const float* begin_episode(const double* observation) override;
  const float* sense(const double* observation, double reward, bool terminated,
                     bool truncated) override;
  void update() override;
  void interrupt() override;
  bool load_state(std::span<const std::uint8_t> in, std::uint64_t step) override;
  void drop_open() override;

  bool run_next_task() override;
  std::uint32_t tasks_left() const override { return tasks_.size(); }
  bool was_late() const override { return is_late_; }
  LateLearning late_learning() const override { return late_; }
  bool request_state(std::span<std::uint8_t> out) override;

  // Whether the learner has done all it was given; learner() may be looked at only then.
  bool is_learner_idle() const { return tasks_.size() == 0; }

 private:
  // What the learner is to do; the order of the ring is the order of time.
  struct Task {
    enum class Kind : std::uint8_t {
      kUpdate,   // learn from the newest observation, prepare at the newest action
      kClose,    // learn with close_observation_, after which no transition is open
      kAccount,  // take the reward of a transition that was never begun
      kDrop,     // the open transition
      kState,    // copy the block to state_out_
    };
    Kind kind = Kind::kUpdate;
    bool must_learn = false;
    bool must_prepare = false;
    float log_prob = 0.0F;
    Transition transition{};
  };
  struct alignas(64) CacheLine {
    float floats[16];
  };
  static constexpr std::uint32_t kTasksMax = 1024;  // seconds of lateness at any period

  bool begin_tick();
  const float* act_together();
  const float* act_apart();
  const float* sense_apart(const double* observation, const Transition& transition);
  void normalize_apart(const double* observation);
  void drop_transition();
  void account(const Transition& transition);
  void pend(const Task& task) { pending_[pending_count_++] = task; }
  void run(const Task& task);
  void copy_block();

  std::vector<CacheLine> memory_apart_;
  Task pending_[2];
  int pending_count_ = 0;
  // The last action opened, or will open, a transition of the learner's.
  bool is_begun_ = false;
  bool is_late_ = false;
  std::uint32_t acting_buffer_ = 0;  // actor weights that acted when the learner was last idle
  float* tape_ = nullptr;
  float* close_observation_ = nullptr;  // written only while no kClose is in the ring
  float log_prob_ = 0.0F;               // of the last action drawn apart
  std::uint8_t* state_out_ = nullptr;
  LateLearning late_;
  SpscRing<Task, kTasksMax> tasks_;
};

}  // namespace instep

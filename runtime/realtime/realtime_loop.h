// The control loop in a real-time thread, with its learner in another.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <thread>

#include "runtime/control_loop.h"
#include "runtime/realtime/learner_thread.h"
#include "runtime/realtime/recording_world.h"
#include "runtime/realtime/spsc_ring.h"
#include "runtime/robot_world.h"

namespace instep {

// Why a tick was not as it should be; bits.
enum OverrunCause : std::uint32_t {
  kWokeLate = 1,      // woken more than a period after its deadline: the system's doing
  kComputedLate = 2,  // the tick before had not ended at the deadline
  kLearnerLate = 4,   // the learner was still at work; a transition was dropped
  kOldPacket = 8,     // the newest packet was older than a period and the wake-up's lateness
};
inline constexpr int kOverrunCauses = 4;

struct Overrun {
  std::int64_t step = 0;
  std::int64_t deadline_ns = 0;
  std::int64_t late_ns = 0;  // when the tick began, after its deadline
  std::int64_t packet_age_ns = 0;
  std::uint32_t causes = 0;
};

// Counts the ticks that carried a step and did not end their episode. (After one that ended it the
// robot is homed, so that the world already tells of a later tick.) Read it after join().
struct RealtimeCounters {
  LatencyHistogram wakeup;      // from the deadline to the tick's beginning
  LatencyHistogram packet_age;  // at the tick's beginning
  std::array<std::uint64_t, kOverrunCauses> overruns{};  // by cause
  std::uint64_t overrun_ticks = 0;
  std::uint64_t ticks = 0;
};

// Judges the ticks that RealtimeCounters are of. The loop's thread adds, another may take overruns
// meanwhile.
class TickMonitor {
 public:
  explicit TickMonitor(std::int64_t period_ns) : period_ns_(period_ns) {}

  // The tick that has just been made; `previous_end_ns`: when the one before had ended.
  void add(const RobotWorld& world, bool was_learner_late, std::int64_t step,
           std::int64_t previous_end_ns);
  [[nodiscard]] bool next_overrun(Overrun* out);
  const RealtimeCounters& counters() const { return counters_; }

 private:
  std::int64_t period_ns_;
  RealtimeCounters counters_;
  SpscRing<Overrun, 256> overruns_;
};

// What the loop's thread has counted.
struct LoopCounts {
  LoopLatency latency;
  RealtimeCounters ticks;
  RobotWorldCounters world;
  LateLearning late;
  std::uint64_t episodes_lost = 0;      // the writer did not take them
  std::uint64_t record_ticks_lost = 0;  // likewise
};

// Called by the loop's thread as its last act, when the robot has been told to stop.
struct LoopEndHook {
  void* self = nullptr;
  void (*ended)(void* self) = nullptr;
};

struct RealtimeLoopConfig {
  std::int64_t period_ns = 0;
  std::int64_t steps = 0;           // in all
  std::int64_t snapshot_every = 0;  // steps; 0: none
  int core = -1;                    // to stay on, or -1; one that pin_to_core() has accepted
  LoopEndHook end_hook{};
};

// Runs a loop to its last step, a fault, or signals.stop; then the robot is stopped. Borrows
// everything. The owner's thread, the writer, takes what the rings hold.
class RealtimeLoop {
 public:
  // Sets the agent's hooks. The caller's `updated` and `state_taken` are called, too, in the
  // learner's thread, the latter before anybody sees the snapshot. `recording` may be null.
  // snapshot [loop.snapshot_bytes()].
  RealtimeLoop(ControlLoop& loop, Agent& agent, RobotWorld& world, RecordingWorld* recording,
               const RobotSignals& signals, LearnerHooks hooks, std::span<std::uint8_t> snapshot,
               const RealtimeLoopConfig& config);
  ~RealtimeLoop() { join(); }

  void start();
  // Waits for both threads. The learner has done all it was given.
  void join();

  // The writer's side, any time.
  bool is_over() const { return is_over_.load(std::memory_order_acquire); }
  std::int64_t steps() const { return steps_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool next_episode(EpisodeRecord* out);
  TickMonitor& monitor() { return monitor_; }
  // The step that the snapshot's bytes show, negative when there is no new one. They stay until
  // release_snapshot().
  std::int64_t snapshot_step() const { return snapshot_step_.load(std::memory_order_acquire); }
  // As of that snapshot; of the whole run after join().
  const LoopCounts& counts() const { return counts_; }
  void release_snapshot() { snapshot_step_.store(kNoSnapshot, std::memory_order_release); }

  // 0, or why they are no FIFO threads; kNotTriedYet before they have begun. Any time.
  int loop_priority_error() const { return loop_priority_error_; }
  int learner_priority_error() const { return learner_.priority_error(); }

  // After join().
  bool is_faulted() const { return is_faulted_; }
  const RealtimeCounters& counters() const { return monitor_.counters(); }
  std::uint64_t episodes_lost() const { return episodes_lost_; }

 private:
  static constexpr std::int64_t kNoSnapshot = -1;
  static constexpr std::int64_t kSnapshotAsked = -2;

  void run();
  void ask_for_snapshot();
  void count();

  ControlLoop& loop_;
  Agent& agent_;
  RobotWorld& world_;
  RecordingWorld* recording_;
  const RobotSignals& signals_;
  std::span<std::uint8_t> snapshot_;
  RealtimeLoopConfig config_;
  LearnerThread learner_;
  LearnerHooks hooks_;  // the caller's
  MonotonicClock clock_;
  SpscRing<EpisodeRecord, 256> episodes_;
  TickMonitor monitor_;
  std::atomic<std::int64_t> steps_{0};
  std::atomic<std::int64_t> snapshot_step_{kNoSnapshot};
  std::atomic<bool> is_over_{false};
  std::atomic<int> loop_priority_error_{kNotTriedYet};
  std::thread thread_;
  // The loop thread's.
  bool is_snapshot_due_ = false;
  std::int64_t tick_end_ns_ = 0;
  bool is_faulted_ = false;
  std::uint64_t episodes_lost_ = 0;
  LoopCounts counts_;  // the writer's while there is a snapshot
};

}  // namespace instep

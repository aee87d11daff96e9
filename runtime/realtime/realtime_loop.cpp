#include "runtime/realtime/realtime_loop.h"

#include "kernels/seal.h"

namespace instep {

void TickMonitor::add(const RobotWorld& world, bool was_learner_late, std::int64_t step,
                      std::int64_t previous_end_ns) {
  const std::int64_t deadline_ns = world.tick_deadline_ns();
  const std::int64_t late_ns = world.tick_ns() - deadline_ns;
  const std::int64_t age_ns = world.tick_ns() - world.packet_ns();
  ++counters_.ticks;
  counters_.wakeup.record(late_ns);
  counters_.packet_age.record(age_ns);
  std::uint32_t causes = 0;
  if (previous_end_ns > deadline_ns) {
    causes |= kComputedLate;
  } else if (late_ns >= period_ns_) {
    causes |= kWokeLate;
  }
  if (was_learner_late) causes |= kLearnerLate;
  if (age_ns > period_ns_ + late_ns) causes |= kOldPacket;
  if (causes == 0) return;
  ++counters_.overrun_ticks;
  for (std::size_t i = 0; i < kOverrunCauses; ++i) {
    if ((causes & (1U << i)) != 0) ++counters_.overruns[i];
  }
  // Of one that finds the ring full only overrun_ticks tells.
  static_cast<void>(overruns_.push({step, deadline_ns, late_ns, age_ns, causes}));
}

bool TickMonitor::next_overrun(Overrun* out) {
  const Overrun* overrun = overruns_.front();
  if (overrun == nullptr) return false;
  *out = *overrun;
  overruns_.pop();
  return true;
}

RealtimeLoop::RealtimeLoop(ControlLoop& loop, Agent& agent, RobotWorld& world,
                           RecordingWorld* recording, const RobotSignals& signals,
                           LearnerHooks hooks, std::span<std::uint8_t> snapshot,
                           const RealtimeLoopConfig& config)
    : loop_(loop),
      agent_(agent),
      world_(world),
      recording_(recording),
      signals_(signals),
      snapshot_(snapshot),
      config_(config),
      learner_(agent),
      hooks_(hooks),
      monitor_(config.period_ns) {
  agent_.set_hooks({.self = this,
                    .posted = [](void* self) { static_cast<RealtimeLoop*>(self)->learner_.wake(); },
                    .updated =
                        [](void* self) {
                          const LearnerHooks& callers = static_cast<RealtimeLoop*>(self)->hooks_;
                          if (callers.updated != nullptr) callers.updated(callers.self);
                        },
                    .state_taken =
                        [](void* self, std::uint64_t step) {
                          auto* realtime = static_cast<RealtimeLoop*>(self);
                          const LearnerHooks& callers = realtime->hooks_;
                          if (callers.state_taken != nullptr) {
                            callers.state_taken(callers.self, step);
                          }
                          realtime->snapshot_step_.store(static_cast<std::int64_t>(step),
                                                         std::memory_order_release);
                        }});
}

void RealtimeLoop::start() {
  steps_ = loop_.steps();
  learner_.start();
  thread_ = start_thread("the control loop's thread", [this] { run(); });
}

void RealtimeLoop::join() {
  if (!thread_.joinable()) return;
  thread_.join();
  learner_.stop();
  count();
}

bool RealtimeLoop::next_episode(EpisodeRecord* out) {
  const EpisodeRecord* episode = episodes_.front();
  if (episode == nullptr) return false;
  *out = *episode;
  episodes_.pop();
  return true;
}

// Only after a tick that was in time the learner's block tells all: an action that was drawn apart
// from it is not in there.
void RealtimeLoop::ask_for_snapshot() {
  if (!is_snapshot_due_ || agent_.was_late() || agent_.was_dropped()) return;
  if (snapshot_step() != kNoSnapshot) return;  // somebody is still at the last one
  snapshot_step_.store(kSnapshotAsked, std::memory_order_relaxed);
  count();
  if (!loop_.request_snapshot(snapshot_)) {
    snapshot_step_.store(kNoSnapshot, std::memory_order_relaxed);
    return;
  }
  is_snapshot_due_ = false;
  if (recording_ != nullptr) recording_->mark_snapshot();
}

void RealtimeLoop::count() {
  counts_ = {.latency = loop_.latency(),
             .ticks = monitor_.counters(),
             .world = world_.counters(),
             .late = agent_.late_learning(),
             .episodes_lost = episodes_lost_,
             .record_ticks_lost = recording_ != nullptr ? recording_->frames_lost() : 0};
}

void RealtimeLoop::run() {
  loop_priority_error_ = become_realtime("instep-loop", kLoopPriority);
  if (config_.core >= 0) {
    const int ignored = pin_to_core(config_.core);
    static_cast<void>(ignored);
  }
  const Seal seal;
  is_faulted_ = !loop_.start() && world_.end() != RobotEnd::kStopped;
  while (!is_faulted_ && loop_.steps() < config_.steps &&
         !signals_.stop.load(std::memory_order_relaxed)) {
    const std::int64_t before_ns = tick_end_ns_;
    const ControlLoop::Status status = loop_.tick();
    tick_end_ns_ = clock_.now_ns();
    if (status == ControlLoop::Status::kRunning) {
      monitor_.add(world_, agent_.was_late(), loop_.steps(), before_ns);
    } else if (!episodes_.push(loop_.last_episode())) {
      ++episodes_lost_;
    }
    // A loop that was asked to stop begins no episode any more, either.
    is_faulted_ = status == ControlLoop::Status::kFaulted && world_.end() != RobotEnd::kStopped;
    steps_.store(loop_.steps(), std::memory_order_relaxed);
    if (config_.snapshot_every > 0 && loop_.steps() % config_.snapshot_every == 0) {
      is_snapshot_due_ = true;
    }
    ask_for_snapshot();
  }
  world_.stop();
  if (recording_ != nullptr) recording_->finish();
  is_over_.store(true, std::memory_order_release);
  if (config_.end_hook.ended != nullptr) config_.end_hook.ended(config_.end_hook.self);
}

}  // namespace instep

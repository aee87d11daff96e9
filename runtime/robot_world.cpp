#include "runtime/robot_world.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/check.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

// More packets than any device sends in a period: what is left waits for the next tick.
constexpr int kPacketsPerTickMax = 4096;

// For which a link may go on saying that it was taken over after it was told that all is well.
constexpr std::int64_t kAcknowledgedNs = 1'000'000'000;

// What save_state() writes before the task's own state. Every member has eight bytes, so that no
// padding makes equal states differ.
struct SavedState {
  std::int64_t safety = 0;
  std::int64_t is_sent = 0;
  std::int64_t has_packet = 0;
  std::int64_t packet_ns = 0;
  std::int64_t link_lost_ns = 0;
  std::int64_t homing_failures = 0;
  std::int64_t last_kind = 0;
  Pacer::State pacer;
  std::array<double, Command::kValuesMax> last_values{};
};
static_assert(sizeof(Pacer::State) == 40);
static_assert(sizeof(SavedState) == 56 + 40 + 8 * Command::kValuesMax);

}  // namespace

RobotWorld::RobotWorld(RobotTask& task, RobotLink& link, RobotSignals& signals,
                       const RobotWorldConfig& config)
    : task_(task),
      link_(link),
      signals_(signals),
      config_(config),
      limiter_(task.limits(), static_cast<double>(config.period_ns) * 1e-9),
      pacer_(config.period_ns, config.is_phase_locked) {
  INSTEP_CHECK(task.packets().decode != nullptr);
  INSTEP_CHECK(task.packets().fields.size() <= values_.size());
}

void RobotWorld::on(SafetyEvent event) {
  const SafetyState next = next_safety_state(safety_, event);
  if (next == SafetyState::kFaulted && safety_ != SafetyState::kFaulted) ++counters_.faults;
  if (next != SafetyState::kHoming || safety_ != SafetyState::kHoming) is_homing_begun_ = false;
  safety_ = next;
  if (next != SafetyState::kIdle) status_.store(status_now(), std::memory_order_relaxed);
}

RobotStatus RobotWorld::status_now() const {
  switch (safety_) {
    case SafetyState::kRunning:
      return RobotStatus::kRunning;
    case SafetyState::kHoming:
      return RobotStatus::kHoming;
    case SafetyState::kFaulted:
      return RobotStatus::kFaulted;
    case SafetyState::kHeld:
    case SafetyState::kIdle:
      break;
  }
  if (!has_packet_) return RobotStatus::kConnecting;
  if (is_taken_over_) return RobotStatus::kTakenOver;
  return link_lost_ns_ >= 0 ? RobotStatus::kLinkLost : RobotStatus::kHeld;
}

void RobotWorld::send_to_link(const Command& command, std::uint32_t limit_flags, bool is_standing) {
  last_limit_flags_ = limit_flags;
  last_command_ = command;
  last_command_.acknowledged = acknowledged_;
  INSTEP_CHECK(command.count >= 0 && command.count <= Command::kValuesMax);
  for (int i = 0; i < command.count; ++i) {
    INSTEP_CHECK(std::isfinite(command.values[static_cast<std::size_t>(i)]));
  }
  if (config_.is_dry_run) return;
  is_standing ? link_.post_standing(last_command_) : link_.post(last_command_);
}

void RobotWorld::post(Command command) {
  if (task_.limits().are_positions && command.kind == Command::kMove &&
      last_command_.kind != Command::kMove) {
    // Whatever moved the robot before, its way begins where it is; from nowhere there is none.
    if (!measure_pose()) return post_stop();
    limiter_.stand_still();
  }
  is_pose_known_ = false;
  const std::uint32_t flags = limiter_.apply(&command);
  if ((flags & kLimitedRange) != 0) ++counters_.commands_limited_range;
  if ((flags & kLimitedRate) != 0) ++counters_.commands_limited_rate;
  if ((flags & kNotFinite) == 0) return send_to_link(command, flags, false);
  ++counters_.commands_not_finite;
  on(SafetyEvent::kFault);
  post_stop();
  last_limit_flags_ = flags;
}

// The pose of a task of positions, as measured last.
bool RobotWorld::measure_pose() {
  const std::span<double> pose(pose_.data(), static_cast<std::size_t>(task_.limits().count));
  task_.standing_values(pose);
  is_pose_known_ = std::all_of(pose.begin(), pose.end(), [](double v) { return std::isfinite(v); });
  if (is_pose_known_) limiter_.set_standing(pose);
  return is_pose_known_;
}

// Velocities stop. Positions are held where the robot was when it was first to stand: a pose that
// is measured anew in each tick would sink under a load. It is sent as it is, beyond the limits
// too. One that nobody measures now is no place to stand: the robot may have been moved.
void RobotWorld::post_stop() {
  const bool is_measured = has_packet_ && link_lost_ns_ < 0 && !is_stale();
  if (!is_measured) is_pose_known_ = false;
  const bool has_pose =
      task_.limits().are_positions && is_measured && (is_pose_known_ || measure_pose());
  if (!has_pose) {
    Command stop;
    const std::uint32_t flags = limiter_.apply(&stop);
    return send_to_link(stop, flags, true);
  }
  limiter_.stand_still();
  send_to_link({.kind = Command::kMove, .count = task_.limits().count, .values = pose_}, 0, true);
}

void RobotWorld::count_tick() {
  switch (safety_) {
    case SafetyState::kRunning:
      ++counters_.running_ticks;
      break;
    case SafetyState::kHoming:
      ++counters_.homing_ticks;
      break;
    case SafetyState::kHeld:
      ++counters_.held_ticks;
      break;
    case SafetyState::kFaulted:
      ++counters_.faulted_ticks;
      break;
    case SafetyState::kIdle:
      break;
  }
}

// Ends one control period: sleeps until its deadline and takes what has come by then.
void RobotWorld::wait_for_tick() {
  count_tick();
  ticks_.store(ticks_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (!pacer_.is_started()) pacer_.start(link_.now_ns());
  tick_deadline_ns_ = pacer_.deadline_ns();
  link_.wait_until(tick_deadline_ns_);
  for (int i = 0; i < kPacketsPerTickMax && link_.next_packet(&packet_); ++i) {
    take(packet_);
    pacer_.add_packet(packet_.time_ns, packet_.sequence);
    packet_ns_ = packet_.time_ns;
    has_packet_ = true;
  }
  notice_.store(task_.notice(), std::memory_order_relaxed);
  tick_ns_ = link_.now_ns();
  counters_.missed_periods += static_cast<std::uint64_t>(pacer_.advance(tick_ns_));
}

// Here alone a packet's bytes become numbers.
void RobotWorld::take(const Packet& packet) {
  const PacketFormat& format = task_.packets();
  const std::span<double> values(values_.data(), format.fields.size());
  if (format.decode(packet, values)) task_.take({packet.time_ns, values});
}

bool RobotWorld::is_stale() const {
  return !has_packet_ || tick_ns_ - packet_ns_ > task_.limits().packet_age_max_ns;
}

// Whether somebody else has taken the robot over, and no key has said since that the run goes on. A
// key that is pressed is told to the link by the next command, and shows in its state after that.
bool RobotWorld::is_taken_over(LinkState state) {
  if (config_.is_dry_run) return false;  // nothing here moves it
  const bool is_old = acknowledged_ > 0 && tick_ns_ - acknowledged_ns_ < kAcknowledgedNs;
  if (state == LinkState::kTakenOver && !is_taken_over_ && !is_old) {
    is_taken_over_ = true;
    signals_.hold = true;
  } else if (is_taken_over_ && !signals_.hold) {
    is_taken_over_ = false;
    ++acknowledged_;
    acknowledged_ns_ = tick_ns_;
  }
  return is_taken_over_ || state == LinkState::kTakenOver;
}

// Whether there is a reason to stand still now.
bool RobotWorld::must_hold() {
  const LinkState state = link_.state();
  const bool was_taken = is_taken_over_;
  const bool is_taken = is_taken_over(state);
  const bool is_lost = state != LinkState::kReady && state != LinkState::kTakenOver;
  if (!is_lost) {
    link_lost_ns_ = -1;
  } else if (link_lost_ns_ < 0) {
    link_lost_ns_ = tick_ns_;
  }
  const bool is_key = signals_.hold.load(std::memory_order_relaxed);
  if (!is_taken && !is_lost && !is_stale() && !is_key) return false;
  // Waiting for a device to speak for the first time interrupts nothing.
  const bool interrupts = safety_ == SafetyState::kRunning || safety_ == SafetyState::kHoming;
  // A session may need to look twice until it knows whose doing it is.
  const bool turns_out = is_taken_over_ && !was_taken && safety_ == SafetyState::kHeld;
  if ((interrupts || turns_out) && has_packet_) {
    const HoldCause cause = is_taken  ? HoldCause::kTakenOver
                            : is_key  ? HoldCause::kKey
                            : is_lost ? HoldCause::kLinkLost
                                      : HoldCause::kStaleSensors;
    INSTEP_CHECK(static_cast<std::size_t>(cause) < counters_.holds.size());
    ++counters_.holds[static_cast<std::size_t>(cause)];
  }
  return true;
}

// Whether no episode may begin any more.
bool RobotWorld::must_end() {
  if (signals_.stop.load(std::memory_order_relaxed)) {
    end_ = RobotEnd::kStopped;
  } else if (link_.state() == LinkState::kFailed ||
             (link_lost_ns_ >= 0 && tick_ns_ - link_lost_ns_ > config_.link_loss_max_ns)) {
    end_ = RobotEnd::kLinkFailed;
  } else if (homing_failures_ >= config_.homing_failures_max) {
    end_ = RobotEnd::kHomingFailed;
  }
  return end_ != RobotEnd::kNone;
}

// One period's command of the way to an episode's start.
void RobotWorld::home(const Random& random, std::uint64_t step) {
  if (!is_homing_begun_) {
    task_.begin_homing(random, step, tick_ns_);
    is_homing_begun_ = true;
  }
  Command command;
  switch (config_.is_dry_run ? Homing::kDone : task_.home(tick_ns_, &command)) {
    case Homing::kContinues:
      post(command);
      return;
    case Homing::kDone:
      homing_failures_ = 0;
      on(SafetyEvent::kHomed);
      return;
    case Homing::kFailed:
      notice_.store(task_.notice(), std::memory_order_relaxed);
      ++homing_failures_;
      on(SafetyEvent::kFault);
      post_stop();
      return;
  }
}

void RobotWorld::reset(const Random& random, std::uint64_t step, double* observation) {
  tick_ns_ = link_.now_ns();
  if (!signals_.stop.load(std::memory_order_relaxed)) on(SafetyEvent::kBegin);
  if (must_hold()) on(SafetyEvent::kHold);
  while (!must_end()) {
    if (safety_ == SafetyState::kHoming) {
      home(random, step);
      if (safety_ == SafetyState::kRunning) {
        task_.first_observation(observation);
        return;
      }
    } else {
      post_stop();
    }
    wait_for_tick();
    on(SafetyEvent::kBegin);  // leads out of a fault, and changes nothing else here
    on(must_hold() ? SafetyEvent::kHold : SafetyEvent::kRelease);
  }
  stop();
  std::fill_n(observation, config_.observation_dim, std::numeric_limits<double>::quiet_NaN());
}

void RobotWorld::send(const float* action) {
  Command command;
  task_.to_command(action, &command);
  post(command);
  is_sent_ = true;
}

Outcome RobotWorld::step(const float* action, double* observation) {
  if (!is_sent_) send(action);
  is_sent_ = false;
  wait_for_tick();
  if (must_hold()) on(SafetyEvent::kHold);
  Outcome outcome;
  if (safety_ == SafetyState::kRunning) {
    const Sensed sensed = task_.sense(observation);
    if (sensed.is_faulted) on(SafetyEvent::kFault);
    outcome = {
        .reward = sensed.reward, .terminated = sensed.terminated, .truncated = sensed.truncated};
  }
  // Who asks for a stop may have stopped the robot within the period.
  outcome.carries_no_step =
      safety_ != SafetyState::kRunning || signals_.stop.load(std::memory_order_relaxed);
  // At an episode's end homing may be some time away: the learner comes first.
  if (outcome.carries_no_step || outcome.terminated || outcome.truncated) post_stop();
  return outcome;
}

void RobotWorld::stop() {
  on(SafetyEvent::kStop);
  post_stop();
}

std::size_t RobotWorld::state_bytes() const {
  return config_.has_state ? sizeof(SavedState) + task_.state_bytes() : 0;
}

void RobotWorld::save_state(std::span<std::uint8_t> out) const {
  INSTEP_CHECK(out.size() == state_bytes());
  if (!config_.has_state) return;
  const SavedState saved = {.safety = static_cast<std::int64_t>(safety_),
                            .is_sent = is_sent_ ? 1 : 0,
                            .has_packet = has_packet_ ? 1 : 0,
                            .packet_ns = packet_ns_,
                            .link_lost_ns = link_lost_ns_,
                            .homing_failures = homing_failures_,
                            .last_kind = last_command_.kind,
                            .pacer = pacer_.state(),
                            .last_values = limiter_.last_values()};
  save_plain(saved, out.first(sizeof saved));
  task_.save_state(out.subspan(sizeof saved));
}

bool RobotWorld::load_state(std::span<const std::uint8_t> in) {
  if (in.size() != state_bytes() || !config_.has_state) return false;
  const auto saved = read_plain<SavedState>(in);
  // Snapshots are taken inside an episode, before or after its next command has gone out.
  if (saved.safety != static_cast<std::int64_t>(SafetyState::kRunning) || saved.is_sent < 0 ||
      saved.is_sent > 1 || saved.has_packet != 1 || saved.homing_failures < 0 ||
      saved.homing_failures > config_.homing_failures_max || saved.pacer.is_started != 1 ||
      saved.last_kind < 0 || saved.last_kind > 255) {
    return false;
  }
  if (!task_.load_state(in.subspan(sizeof saved))) return false;
  safety_ = SafetyState::kRunning;
  is_sent_ = saved.is_sent == 1;
  has_packet_ = true;
  packet_ns_ = saved.packet_ns;
  link_lost_ns_ = saved.link_lost_ns;
  homing_failures_ = static_cast<int>(saved.homing_failures);
  last_command_.kind = static_cast<std::uint8_t>(saved.last_kind);
  pacer_.set_state(saved.pacer);
  limiter_.set_last_values(saved.last_values);
  return true;
}

}  // namespace instep

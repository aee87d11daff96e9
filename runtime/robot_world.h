// A robot as the control loop's world: the same limits, safety and homing on real and on simulated
// time.
//
// One control period of a running episode:
//
//      send(action)   the task's command, limited, goes to the link
//      step()         waits for the deadline, takes the packets, and asks the task what they mean
//
// reset() takes as many periods as homing, a person or a lost connection need; none of them is a
// step of learning. Whatever goes wrong stops the robot first.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "runtime/environment.h"
#include "runtime/pacer.h"
#include "runtime/robot.h"
#include "runtime/safety.h"

namespace instep {

// What people ask of a running robot. Other threads and signal handlers may set it.
struct RobotSignals {
  // The robot stands still as long as it is set. RobotWorld also sets it when somebody else has
  // taken the robot over: only a person may let the run go on.
  std::atomic<bool> hold{false};
  std::atomic<bool> stop{false};  // stop the robot; no episode begins any more
};

struct RobotWorldConfig {
  std::int64_t period_ns = 0;
  int observation_dim = 0;
  bool is_phase_locked = true;
  bool is_dry_run = false;  // no motion command is sent, of homing neither
  bool has_state = true;    // false on real time: no file brings a robot back to where it was
  // No more episodes begin after so many failed homings in a row, or when the link has been lost
  // for so long.
  int homing_failures_max = 5;
  std::int64_t link_loss_max_ns = 600'000'000'000;
};

// Why the robot stands still.
enum class HoldCause : std::uint8_t { kKey, kStaleSensors, kLinkLost, kTakenOver };
inline constexpr int kHoldCauses = 4;

// Counters since the world was made. Ticks are control periods.
struct RobotWorldCounters {
  std::uint64_t running_ticks = 0;
  std::uint64_t homing_ticks = 0;
  std::uint64_t held_ticks = 0;
  std::uint64_t faulted_ticks = 0;
  std::array<std::uint64_t, kHoldCauses> holds{};  // by cause; one each time it began
  std::uint64_t faults = 0;
  std::uint64_t missed_periods = 0;  // deadlines that had passed before anybody looked
  std::uint64_t commands_limited_range = 0;
  std::uint64_t commands_limited_rate = 0;
  std::uint64_t commands_not_finite = 0;
};

// What the robot is doing, for people.
enum class RobotStatus : std::uint8_t {
  kConnecting,  // it has not spoken yet
  kHoming,
  kRunning,
  kHeld,
  kTakenOver,  // held by somebody else's stop or command, until a key
  kLinkLost,   // held until it is back, for at most link_loss_max_ns
  kFaulted,
};

// Why no episode can begin any more.
enum class RobotEnd : std::uint8_t {
  kNone,
  kStopped,       // signals.stop was set
  kLinkFailed,    // the link says it will not come back, or was lost for too long
  kHomingFailed,  // homing_failures_max times in a row
};

// Borrows the task, the link and the signals. Loop thread only; nothing allocates after the
// constructor.
class RobotWorld final : public Environment {
 public:
  // Throws std::invalid_argument when the task's limits contradict themselves.
  RobotWorld(RobotTask& task, RobotLink& link, RobotSignals& signals,
             const RobotWorldConfig& config);

  // Homes the robot, and waits as long as it is held. When no episode can begin, it stops the robot
  // and fills the observation with NaN; end() says why.
  void reset(const Random& random, std::uint64_t step, double* observation) override;

  // Sends the action if send() has not done so. carries_no_step: in this period the robot was held
  // or faulted, or signals.stop was set. Then the robot has been stopped, and the observation means
  // nothing.
  Outcome step(const float* action, double* observation) override;
  void send(const float* action) override;

  // The state of the world and the task, for simulated time (has_state). Whoever owns the device
  // behind the link saves the device's state.
  std::size_t state_bytes() const override;
  void save_state(std::span<std::uint8_t> out) const override;
  [[nodiscard]] bool load_state(std::span<const std::uint8_t> in) override;

  // Stops the robot because the run is over.
  void stop();

  SafetyState safety() const { return safety_; }
  RobotEnd end() const { return end_; }
  // After stop(): what it was doing before. Any thread.
  RobotStatus status() const { return status_.load(std::memory_order_relaxed); }
  // The task's notice at the last tick. Any thread.
  const char* notice() const { return notice_.load(std::memory_order_relaxed); }
  const RobotWorldCounters& counters() const { return counters_; }
  // How many control periods of any kind have begun. As long as it rises, the loop lives. Any
  // thread.
  std::uint64_t ticks() const { return ticks_.load(std::memory_order_relaxed); }
  // What was sent last, and what the limiter did to it (LimitFlags).
  const Command& last_command() const { return last_command_; }
  std::uint32_t last_limit_flags() const { return last_limit_flags_; }
  // When the last tick was due, when it began, and when the newest packet had been read.
  std::int64_t tick_deadline_ns() const { return tick_deadline_ns_; }
  std::int64_t tick_ns() const { return tick_ns_; }
  std::int64_t packet_ns() const { return packet_ns_; }

 private:
  void wait_for_tick();
  bool is_stale() const;
  bool is_taken_over(LinkState state);
  bool must_hold();
  void on(SafetyEvent event);
  RobotStatus status_now() const;
  void post(Command command);
  void send_to_link(const Command& command, std::uint32_t limit_flags, bool is_standing);
  void post_stop();
  bool measure_pose();
  void take(const Packet& packet);
  bool must_end();
  void home(const Random& random, std::uint64_t step);
  void count_tick();

  RobotTask& task_;
  RobotLink& link_;
  RobotSignals& signals_;
  RobotWorldConfig config_;
  Limiter limiter_;
  Pacer pacer_;
  SafetyState safety_ = SafetyState::kIdle;
  std::atomic<RobotStatus> status_{RobotStatus::kConnecting};
  std::atomic<std::uint64_t> ticks_{0};
  std::atomic<const char*> notice_{""};
  RobotEnd end_ = RobotEnd::kNone;
  RobotWorldCounters counters_;
  Command last_command_;
  std::uint32_t last_limit_flags_ = 0;
  bool is_sent_ = false;
  bool has_packet_ = false;
  bool is_homing_begun_ = false;
  int homing_failures_ = 0;
  std::int64_t tick_deadline_ns_ = 0;
  std::int64_t tick_ns_ = 0;
  std::int64_t packet_ns_ = 0;
  std::int64_t link_lost_ns_ = -1;  // since when the link is not ready; -1: it is
  bool is_taken_over_ = false;      // and nobody has said yet that the run goes on
  std::int32_t acknowledged_ = 0;   // takeovers after which it went on
  std::int64_t acknowledged_ns_ = 0;
  // Of a task of positions: where the robot is held, while it is.
  std::array<double, Command::kValuesMax> pose_{};
  bool is_pose_known_ = false;
  Packet packet_;
  std::array<double, PacketFormat::kFieldsMax> values_{};  // that it says
};

}  // namespace instep

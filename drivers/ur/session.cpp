#include "drivers/ur/session.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "kernels/check.h"

namespace instep {
namespace {

constexpr std::int64_t kMillisecondNs = 1'000'000;
constexpr std::int64_t kSecondNs = 1000 * kMillisecondNs;
// The program says something each period; a package or two may be late.
constexpr std::int64_t kBeatNs = 100 * kMillisecondNs;
constexpr std::int64_t kProgramNs = 2 * kSecondNs;  // until it says something
constexpr std::int64_t kProgramAttempts = 3;
constexpr std::int64_t kRefusedPauseNs = 10 * kSecondNs;
// How long no other program must play before ours is sent again.
constexpr std::int64_t kQuietNs = 200 * kMillisecondNs;
constexpr std::int64_t kStopAtStartNs = kSecondNs;
// Why a program has ended may show only in the packages after that.
constexpr std::int64_t kOpenNs = 200 * kMillisecondNs;
// How long a program that ends by itself may still be seen to play: it brakes.
constexpr std::int64_t kBrakesNs = 1'500 * kMillisecondNs;
// A protective stop may be unlocked after five seconds, as the controller counts them.
constexpr std::int64_t kUnlockAfterNs = 5'200 * kMillisecondNs;
constexpr std::int64_t kUnlockWindowNs = 600 * kSecondNs;

constexpr std::int32_t kRobotRunning = 7;
constexpr std::int32_t kPlaying = 2;
constexpr std::int32_t kPaused = 4;
constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kReduced = 2;
constexpr std::int32_t kProtectiveStop = 3;
constexpr std::int32_t kSafeguardStop = 5;

}  // namespace

UrSession::UrSession(const UrSessionOptions& options)
    : options_(options), rtde_(options.frequency_hz, options.is_listener) {
  INSTEP_CHECK(options.unlocks_max >= 0 &&
               options.unlocks_max <= static_cast<int>(unlock_times_ns_.size()));
  INSTEP_CHECK(options.watchdog_s > 0.0 && options.idle_watchdog_s > 0.0 &&
               options.accel_rad_s2 > 0.0);
}

// ------------------------------------------------------------------------------------------------
// Channels

void UrSession::on_connect(int channel, std::int64_t now_ns) {
  now_ns_ = now_ns;
  switch (channel) {
    case UrChannel::kRtde:
      is_rtde_open_ = true;
      return rtde_.on_connect(now_ns);
    case UrChannel::kScript:
      is_script_open_ = true;
      script_begin_ = 0;
      return;
    case UrChannel::kDashboard:
      return dashboard_.on_connect();
  }
}

void UrSession::on_disconnect(int channel, std::int64_t now_ns) {
  now_ns_ = now_ns;
  switch (channel) {
    case UrChannel::kRtde:
      is_rtde_open_ = false;
      rtde_.on_disconnect(now_ns);
      rtde_retry_ns_ = now_ns + retry_pause_ns(rtde_attempts_++);
      return lose_everything();
    case UrChannel::kScript:
      is_script_open_ = false;
      return;
    case UrChannel::kDashboard:
      return dashboard_.on_disconnect();
  }
}

void UrSession::on_interruption(int channel, std::int64_t now_ns) {
  now_ns_ = now_ns;
  if (channel != UrChannel::kRtde) return;
  lose_program();
  must_explain_ = false;
  own_end_ns_ = now_ns;
}

std::int64_t UrSession::retry_pause_ns(std::int64_t attempt) const {
  return std::min(options_.retry_ns_max,
                  options_.retry_ns << std::clamp<std::int64_t>(attempt, 0, 8));
}

bool UrSession::wants(int channel) const {
  switch (channel) {
    case UrChannel::kRtde:
      if (!is_rtde_open_) return rtde_.may_try_again() && now_ns_ >= rtde_retry_ns_;
      return !rtde_.has_given_up();
    case UrChannel::kScript:
      // A connection that is closed with bytes unread may take with it what was written last.
      return program_ == Program::kSending || program_ == Program::kSent;
    case UrChannel::kDashboard:
      return options_.unlocks_max > 0 && !options_.is_listener && is_rtde_open_ && has_readings_;
  }
  return false;
}

std::span<const std::uint8_t> UrSession::output(int channel) const {
  switch (channel) {
    case UrChannel::kRtde:
      return rtde_.output();
    case UrChannel::kScript: {
      if (program_ != Program::kSending || !is_script_open_) return {};
      const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text_.view().data());
      return {bytes + script_begin_, text_.view().size() - script_begin_};
    }
    case UrChannel::kDashboard:
      return dashboard_.output();
  }
  return {};
}

void UrSession::consume(int channel, std::size_t bytes) {
  switch (channel) {
    case UrChannel::kRtde:
      return rtde_.consume(bytes);
    case UrChannel::kScript:
      script_begin_ += bytes;
      INSTEP_CHECK(script_begin_ <= text_.view().size());
      if (script_begin_ < text_.view().size()) return;
      // All of it is on its way; the connection has done what it was for.
      program_ = Program::kSent;
      program_ns_ = started_ns_ = now_ns_;
      ++ur_counters_.programs_sent;
      return;
    case UrChannel::kDashboard:
      return dashboard_.consume(bytes);
  }
}

void UrSession::on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns,
                         PacketSink& sink) {
  now_ns_ = now_ns;
  if (channel == UrChannel::kDashboard) return dashboard_.on_bytes(bytes);
  if (channel == UrChannel::kScript) return;  // read so that nothing piles up; all is said by RTDE
  const std::uint64_t dropped = rtde_.counters().dropped;
  const std::size_t count = rtde_.on_bytes(bytes, now_ns);
  packet_sequence_ += static_cast<std::int32_t>(rtde_.counters().dropped - dropped);
  for (std::size_t i = 0; i < count; ++i) {
    packet_.time_ns = rtde_.batch_time_ns(i);
    packet_.sequence = static_cast<std::uint32_t>(packet_sequence_++);
    packet_.size = kUrPacketBytes;
    encode_ur_packet(rtde_.batch(i),
                     std::span<std::uint8_t, kUrPacketBytes>(packet_.bytes.data(), kUrPacketBytes));
    ++counters_.packets;
    sink.take(packet_);
  }
  if (count > 0) take_readings(rtde_.batch(count - 1), now_ns);
}

// ------------------------------------------------------------------------------------------------
// What the arm says

bool UrSession::arm_runs() const {
  return has_readings_ && newest_.robot_mode == kRobotRunning &&
         (newest_.safety_mode == kNormal || newest_.safety_mode == kReduced);
}

void UrSession::take_readings(const UrReadings& readings, std::int64_t now_ns) {
  if (!has_readings_) {
    lacks_ = rtde_.missing_fields();
    open_ns_ = now_ns;
    beat_ns_ = kLongAgo;
  } else if (readings.beat != newest_.beat) {
    beat_ns_ = now_ns;
  }
  if (readings.runtime_state == kPlaying) ended_ns_ = now_ns;
  newest_ = readings;
  has_readings_ = true;
  rtde_attempts_ = 0;
  note_echo();
  follow_safety();
  follow_program();
  send_registers();
}

void UrSession::note_echo() {
  if (newest_.echo == echo_) return;
  echo_ = newest_.echo;
  const std::int64_t age = static_cast<std::int64_t>(sequence_) - echo_;
  if (program_ != Program::kAlive || age < 0 || age >= static_cast<std::int64_t>(sent_ns_.size())) {
    return;
  }
  round_trip_.record(now_ns_ - sent_ns_[static_cast<std::size_t>(echo_) % sent_ns_.size()]);
}

void UrSession::follow_safety() {
  if (newest_.safety_mode != kProtectiveStop) {
    stopped_ns_ = -1;
  } else if (stopped_ns_ < 0) {
    stopped_ns_ = now_ns_;
    unlock_ns_ = now_ns_ + kUnlockAfterNs;
    ++ur_counters_.protective_stops;
  }
  if (arm_runs()) {
    if (trouble_ < Trouble::kSlider) trouble_ = Trouble::kNone;
    return;
  }
  if (program_ != Program::kNone) lose_program();
  is_move_ = false;
  const bool is_for_safety =
      newest_.safety_mode == kProtectiveStop || newest_.safety_mode == kSafeguardStop;
  if (must_explain_ && !(is_for_safety && newest_.robot_mode == kRobotRunning)) {
    become_taken_over(Trouble::kSwitchedOff);
  }
  must_explain_ = false;
  switch (newest_.safety_mode) {
    case kProtectiveStop:
      if (trouble_ == Trouble::kStopAtStart || trouble_ == Trouble::kTooManyStops) return;
      trouble_ =
          now_ns_ - started_ns_ < kStopAtStartNs ? Trouble::kStopAtStart : Trouble::kProtectiveStop;
      return;
    case kSafeguardStop:
      trouble_ = Trouble::kSafeguard;
      return;
    case 6:
    case 7:
      trouble_ = Trouble::kEmergencyStop;
      return;
    case kNormal:
    case kReduced:
      trouble_ = Trouble::kBooting;
      return;
    default:
      trouble_ = Trouble::kFault;
  }
}

bool UrSession::is_our_program() const {
  return program_number_ != 0 && newest_.program == program_number_;
}

bool UrSession::beats() const {
  return now_ns_ - beat_ns_ < kBeatNs;
}

// Of ours, of this life or of an earlier one.
bool UrSession::counts_rounds() const {
  return beats() && newest_.program > 0;
}

// Some program plays, and it is none of ours: neither one of an earlier life that counts its rounds
// nor one that brakes, as it or our guardian has been told to.
bool UrSession::has_other_program() const {
  return newest_.runtime_state == kPlaying && !counts_rounds() &&
         now_ns_ - own_end_ns_ >= kBrakesNs;
}

// The program says who it is and counts its rounds. One that says nothing any more has ended, or
// another has taken its place; that one is left alone.
void UrSession::follow_program() {
  if (!arm_runs() || options_.is_listener) return;
  switch (program_) {
    case Program::kAlive:
      if (is_our_program() && beats()) return;
      lose_program();
      [[fallthrough]];
    case Program::kNone:
      if (is_end_open()) return;
      if (has_other_program()) {
        trouble_ = Trouble::kForeignProgram;
        if (was_ready_) become_taken_over(trouble_);
      }
      if (is_taken_over_) {
        trouble_ = end_;
        return;
      }
      if (newest_.speed_fraction <= 0.0) {
        trouble_ = Trouble::kSlider;
        return;
      }
      if (newest_.runtime_state != kPlaying && (is_released_ || now_ns_ - ended_ns_ < kQuietNs)) {
        return;
      }
      if (newest_.runtime_state == kPlaying && !counts_rounds()) return;
      return start_program();
    case Program::kSent:
      if (!is_our_program() || newest_.beat == beat_) return;
      program_ = Program::kAlive;
      program_attempts_ = 0;
      was_ready_ = must_explain_ = true;
      trouble_ = Trouble::kNone;
      return;
    default:
      return;
  }
}

// Whether the program has ended and it is not known yet why. A program that ends by itself has said
// so; what no safety mode explains either, somebody else has done.
bool UrSession::is_end_open() {
  if (!must_explain_) return false;
  const bool is_own_end = newest_.program == -program_number_;
  const bool lives = is_our_program() && beats();
  if (is_own_end || lives) {
    must_explain_ = false;
    if (is_own_end) own_end_ns_ = now_ns_;
    trouble_ = is_own_end && !is_released_ ? Trouble::kProgramEnded : Trouble::kNone;
    return false;
  }
  trouble_ = newest_.runtime_state == kPaused    ? Trouble::kProgramPaused
             : newest_.runtime_state == kPlaying ? Trouble::kForeignProgram
                                                 : Trouble::kProgramStopped;
  if (now_ns_ - open_ns_ < kOpenNs) return true;
  become_taken_over(trouble_);
  return false;
}

void UrSession::become_taken_over(Trouble how) {
  if (!is_taken_over_) ++ur_counters_.takeovers;
  is_taken_over_ = true;
  must_explain_ = false;
  end_ = how;
}

void UrSession::start_program() {
  // Its old rounds are not to be taken for new ones.
  program_number_ = program_number_ < 1'000'000 ? program_number_ + 1 : 1;
  if (program_number_ == newest_.program) ++program_number_;
  beat_ = 0;
  text_.make({.number = program_number_,
              .watchdog_s = options_.watchdog_s,
              .idle_watchdog_s = options_.idle_watchdog_s,
              .stop_decel_rad_s2 = options_.stop_decel_rad_s2});
  program_ = Program::kSending;
  program_ns_ = now_ns_;
  script_begin_ = 0;
  is_move_ = false;
}

void UrSession::lose_program() {
  if (program_ == Program::kAlive) {
    ++ur_counters_.programs_lost;
    ++counters_.reconnects;
  }
  program_ = Program::kNone;
  program_attempts_ = 0;
  is_move_ = false;
  ended_ns_ = open_ns_ = now_ns_;
}

// The connection is gone: what the arm does now its program decides.
void UrSession::lose_everything() {
  lose_program();
  has_readings_ = false;
  newest_ = {};
  trouble_ = Trouble::kLink;
  slider_ = -1.0;
}

// ------------------------------------------------------------------------------------------------
// Commands

void UrSession::on_command(const Command& command, std::int64_t now_ns) {
  now_ns_ = now_ns;
  bool is_move = command.kind == Command::kMove && command.count >= kUrJoints;
  UrVector speeds{};
  for (std::size_t i = 0; is_move && i < speeds.size(); ++i) {
    is_move = std::isfinite(command.values[i]);
    speeds[i] = std::clamp(command.values[i], -kUrJointSpeedMaxRadS, kUrJointSpeedMaxRadS);
  }
  command_ns_ = now_ns;
  if (command.acknowledged > acknowledged_) {
    acknowledged_ = command.acknowledged;
    is_taken_over_ = false;
  }
  if (command.kind == kUrSetSlider && command.count >= 1) slider_ = command.values[0];
  if (command.kind == kUrRelease) is_released_ = true;
  if (is_move) is_released_ = false;
  // A command for an arm that cannot move is void: it does not wait.
  is_move_ = is_move && may_move();
  speeds_ = speeds;
  send_registers();
}

bool UrSession::may_move() const {
  return program_ == Program::kAlive && arm_runs() && rtde_.is_flowing() &&
         rtde_.trouble() == UrRtdeTrouble::kNone;
}

bool UrSession::moves() const {
  return is_move_ && may_move() && newest_.speed_fraction > 0.0;
}

void UrSession::send_registers() {
  if (slider_ >= 0.0 && rtde_.send_slider(slider_)) {
    slider_ = -1.0;
    return;
  }
  const bool must_end = is_released_ || newest_.speed_fraction <= 0.0;
  const bool ends = must_end && program_ == Program::kAlive;
  const UrCommandMode mode = ends      ? UrCommandMode::kEnd
                             : moves() ? UrCommandMode::kSpeed
                                       : UrCommandMode::kIdle;
  const std::int32_t next = sequence_ < INT32_MAX ? sequence_ + 1 : 1;
  if (!rtde_.send_command(mode, next, moves() ? speeds_ : UrVector{}, options_.accel_rad_s2)) {
    return;
  }
  sequence_ = next;
  sent_ns_[static_cast<std::size_t>(next) % sent_ns_.size()] = now_ns_;
  sent_move_ = mode == UrCommandMode::kSpeed;
  ++counters_.commands_sent;
}

// ------------------------------------------------------------------------------------------------
// Time

std::int64_t UrSession::poll(std::int64_t now_ns) {
  now_ns_ = now_ns;
  std::int64_t next = rtde_.poll(now_ns);
  if (rtde_.trouble() == UrRtdeTrouble::kTooOld) lacks_ = rtde_.missing_fields();
  if (rtde_.is_flowing() && rtde_.trouble() != UrRtdeTrouble::kNone) {
    // Blind: the arm is told to stand, in case it still hears.
    const bool told = sent_move_;
    is_move_ = false;
    trouble_ = Trouble::kLink;
    if (told) send_registers();
  }
  if (is_move_) {
    if (now_ns - command_ns_ >= options_.dead_man_ns) {
      is_move_ = false;
      ++counters_.dead_man_stops;
      send_registers();
    } else {
      next = std::min(next, command_ns_ + options_.dead_man_ns);
    }
  }
  if (may_move()) {
    is_whole_ = true;
  } else {
    keep_loss();
  }
  follow_program_time();
  if (program_ == Program::kSending || program_ == Program::kSent) {
    next = std::min(next, program_ns_ + kProgramNs);
  }
  if (program_ == Program::kPausing) next = std::min(next, program_ns_);
  recover();
  if (stopped_ns_ >= 0) next = std::min(next, std::max(unlock_ns_, now_ns + 10 * kMillisecondNs));
  if (!is_rtde_open_ && rtde_retry_ns_ > now_ns) next = std::min(next, rtde_retry_ns_);
  return next;
}

// A program that was sent and says nothing is sent again, three times two seconds apart and then
// less often.
void UrSession::follow_program_time() {
  if (program_ == Program::kPausing && now_ns_ >= program_ns_) program_ = Program::kNone;
  const bool waits = program_ == Program::kSending || program_ == Program::kSent;
  if (!waits || now_ns_ - program_ns_ < kProgramNs) return;
  ++program_attempts_;
  trouble_ = Trouble::kProgramRefused;
  program_ = Program::kPausing;
  program_ns_ = now_ns_ + (program_attempts_ < kProgramAttempts ? 0 : kRefusedPauseNs);
}

// By the dashboard, where that was asked for: the pop-up is closed, then the stop is unlocked.
void UrSession::recover() {
  if (options_.unlocks_max == 0 || stopped_ns_ < 0 || now_ns_ < unlock_ns_) return;
  if (trouble_ == Trouble::kTooManyStops || !dashboard_.is_free(now_ns_)) return;
  const auto recent = static_cast<int>(
      std::count_if(unlock_times_ns_.begin(),
                    unlock_times_ns_.begin() +
                        static_cast<std::ptrdiff_t>(std::min(unlocks_, unlock_times_ns_.size())),
                    [this](std::int64_t time) { return now_ns_ - time < kUnlockWindowNs; }));
  if (recent >= options_.unlocks_max) {
    trouble_ = Trouble::kTooManyStops;
    return;
  }
  // The pop-up first, and when that has been answered the stop itself.
  if (dashboard_.answer() != "closing safety popup") {
    static_cast<void>(dashboard_.send("close safety popup", now_ns_));
    return;
  }
  if (!dashboard_.send("unlock protective stop", now_ns_)) return;
  unlock_times_ns_[unlocks_++ % unlock_times_ns_.size()] = now_ns_;
  ++ur_counters_.unlocks;
  // If it is refused: once more after as long a time.
  unlock_ns_ = now_ns_ + kUnlockAfterNs;
}

// ------------------------------------------------------------------------------------------------
// For people

LinkState UrSession::state() const {
  if (!rtde_.may_try_again()) return LinkState::kFailed;
  if (options_.is_listener && has_readings_) return LinkState::kReady;
  if (may_move()) return LinkState::kReady;
  const bool could_move =
      arm_runs() && rtde_.is_flowing() && rtde_.trouble() == UrRtdeTrouble::kNone;
  if (is_taken_over_ && could_move) return LinkState::kTakenOver;
  return was_ready_ ? LinkState::kLost : LinkState::kConnecting;
}

const char* UrSession::link_error() const {
  switch (rtde_.trouble()) {
    case UrRtdeTrouble::kSilent:
      return "the controller does not answer on port 30004: is it switched on, "
             "and is this its "
             "address? Trying again";
    case UrRtdeTrouble::kStale:
      return "the controller sends, but its clock stands; waiting for it to go "
             "on";
    case UrRtdeTrouble::kBroken:
      return "what comes from port 30004 is no RTDE; connecting anew";
    case UrRtdeTrouble::kClosed:
      return "the controller has closed the connection, or the network is gone; "
             "connecting anew";
    case UrRtdeTrouble::kVersion:
      return "the controller does not speak RTDE version 2: its software is "
             "older than 3.4; update "
             "it";
    case UrRtdeTrouble::kPolyScopeX:
      return "this is PolyScope X, with which this driver does not work; use a "
             "robot with PolyScope "
             "3.9 or later, or 5.3 or later";
    case UrRtdeTrouble::kTooOld:
      return "the controller lacks registers or values that this driver needs: "
             "its software must be "
             "3.9 or later, or 5.3 or later; update it";
    case UrRtdeTrouble::kRegistersInUse:
      return "input registers 24 to 30 belong to another RTDE client: end it "
             "(another instep, or a "
             "robot driver), or switch off an EtherNet/IP or PROFINET adapter in "
             "the installation";
    case UrRtdeTrouble::kStartRefused:
      return "the controller refuses to send its data; connecting anew";
    case UrRtdeTrouble::kNone:
      break;
  }
  return "";
}

const char* UrSession::arm_error() const {
  switch (trouble_) {
    case Trouble::kBooting:
      return "the arm does not run yet: switch its power on and release its "
             "brakes; waiting";
    case Trouble::kProtectiveStop:
      return "protective stop: look for its cause, then unlock it at the teach "
             "pendant after five "
             "seconds";
    case Trouble::kStopAtStart:
      return "protective stop within a second of the program's start: is the "
             "EtherNet/IP adapter "
             "enabled without a scanner? Switch it off in the installation, then "
             "unlock the stop";
    case Trouble::kTooManyStops:
      return "too many protective stops in ten minutes: none is unlocked any "
             "more. Look for their "
             "cause";
    case Trouble::kSafeguard:
      return "safeguard stop: close the safeguard and reset it";
    case Trouble::kEmergencyStop:
      return "emergency stop: release the button, switch the power on and "
             "release the brakes";
    case Trouble::kFault:
      return "safety fault or violation: restart the safety system at the teach "
             "pendant";
    case Trouble::kSlider:
      return "the speed slider stands at 0: move it up at the teach pendant";
    case Trouble::kForeignProgram:
      return "another program runs on the controller: it is left alone. Stop it, then say that "
             "this one may go on";
    case Trouble::kProgramEnded:
      return "the program on the controller has ended because no command reached it; it is "
             "started again";
    case Trouble::kProgramStopped:
      return "somebody else has ended the program on the controller: the arm stands until you say "
             "that it may go on";
    case Trouble::kProgramPaused:
      return "somebody else has paused the program on the controller: the arm stands until you "
             "say that it may go on";
    case Trouble::kSwitchedOff:
      return "the arm had been stopped by hand or switched off: it stands until you say that it "
             "may go on";
    case Trouble::kProgramRefused:
      return "the program was sent but does not run: is the robot in remote "
             "control? The "
             "controller's log says more; trying again";
    default:
      return "";
  }
}

const char* UrSession::error() const {
  const char* const of_link = link_error();
  if (of_link[0] != '\0') return of_link;
  const char* const of_arm = arm_error();
  if (of_arm[0] != '\0' || !rtde_.is_flowing()) return of_arm;
  // Nothing is wrong; what is missing is to be known all the same.
  if (has_readings_ && !has_full_speed()) {
    return "the speed slider stands below 100 %: the arm moves slower than it is told, and a task "
           "may wait for its full speed. Move it up to 100 % at the teach pendant";
  }
  if (!options_.is_listener && !rtde_.has_slider()) {
    return "the speed slider belongs to somebody else, most likely to an EtherNet/IP or PROFINET "
           "adapter of the installation: it is left alone";
  }
  return "";
}

// What a person at the arm ends; the program comes back by itself.
const char* UrSession::hold_reason() const {
  if (!rtde_.is_flowing() || rtde_.trouble() != UrRtdeTrouble::kNone) return "";
  switch (trouble_) {
    case Trouble::kProtectiveStop:
    case Trouble::kStopAtStart:
    case Trouble::kTooManyStops:
      return "protective stop: waiting up to 10 min until it is unlocked";
    case Trouble::kSafeguard:
      return "safeguard stop: waiting up to 10 min until it is reset";
    case Trouble::kEmergencyStop:
      return "emergency stop: waiting up to 10 min until it is released";
    case Trouble::kFault:
      return "safety fault: waiting up to 10 min for a restart of the safety system";
    case Trouble::kSlider:
      return "the speed slider stands at 0: waiting up to 10 min";
    case Trouble::kBooting:
      return "the arm has no power or its brakes are on: waiting up to 10 min";
    case Trouble::kForeignProgram:
      return "another program runs on the controller: waiting up to 10 min";
    case Trouble::kProgramRefused:
      return "the controller does not run the program: waiting up to 10 min";
    default:
      return "";
  }
}

// Called when something may have been lost: only the first time after it was ready counts.
void UrSession::keep_loss() {
  if (!is_whole_) return;
  is_whole_ = false;
  ++losses_;
  loss_.time_ns = now_ns_;
  loss_.version = rtde_.version();
  std::snprintf(loss_.cause.data(), loss_.cause.size(), "%s", error());
  loss_.message_count = static_cast<std::int64_t>(rtde_.message_count());
  for (std::size_t i = 0; i < rtde_.message_count(); ++i) loss_.messages[i] = rtde_.message(i);
  loss_.gap_count = static_cast<std::int64_t>(rtde_.gap_count());
  for (std::size_t i = 0; i < rtde_.gap_count(); ++i) loss_.gaps[i] = rtde_.gap(i);
}

void UrSession::save_loss(LinkLoss* loss) const {
  static_assert(std::is_trivially_copyable_v<UrLoss> && sizeof(UrLoss) <= sizeof loss->bytes);
  loss->size = sizeof loss_;
  std::memcpy(loss->bytes.data(), &loss_, sizeof loss_);
}

std::string ur_loss_text(std::span<const std::uint8_t> bytes) {
  UrLoss loss;
  INSTEP_CHECK(bytes.size() == sizeof loss);
  std::memcpy(&loss, bytes.data(), sizeof loss);
  std::string text;
  std::array<char, 512> line{};
  const auto add = [&](const char* format, auto... values) {
    std::snprintf(line.data(), line.size(), format, values...);
    text += line.data();
  };
  const auto seconds = [](std::int64_t ns) { return static_cast<double>(ns) * 1e-9; };
  add("lost at %.3f s of this machine's monotonic clock: %s\n", seconds(loss.time_ns),
      loss.cause.data());
  add("controller software %u.%u.%u.%u\n", loss.version.major, loss.version.minor,
      loss.version.bugfix, loss.version.build);
  for (std::int64_t i = 0; i < loss.message_count; ++i) {
    const UrControllerMessage& message = loss.messages[static_cast<std::size_t>(i)];
    add("%.3f s: message of the controller, level %d: %s\n", seconds(message.time_ns),
        static_cast<int>(message.level), message.text.data());
  }
  add("the last %lld gaps between packages:\n", static_cast<long long>(loss.gap_count));
  for (std::int64_t i = 0; i < loss.gap_count; ++i) {
    const UrGap& gap = loss.gaps[static_cast<std::size_t>(i)];
    add("timestamp %.3f s: %.3f ms\n", gap.timestamp_s, seconds(gap.gap_ns) * 1e3);
  }
  return text;
}

std::string ur_lacks_text(std::uint64_t lacks) {
  std::string names;
  for (std::size_t i = 0; i < kUrPacketFields; ++i) {
    if ((lacks >> i & 1U) == 0) continue;
    names += names.empty() ? "" : ", ";
    names += ur_packet_fields()[i].name;
  }
  return "the controller's software does not know " + names + "; where they are shown they are 0";
}

}  // namespace instep

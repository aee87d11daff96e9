#include "drivers/create2/session.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "drivers/create2/fields.h"
#include "kernels/check.h"
#include "runtime/realtime/guardian.h"

namespace instep {
namespace {

constexpr std::int64_t kMillisecondNs = 1'000'000;
constexpr std::int64_t kModeChangeNs = 150 * kMillisecondNs;  // until a new mode is in effect
constexpr std::int64_t kFirstFrameNs = 1000 * kMillisecondNs;
constexpr std::int64_t kWakePulseNs = 600 * kMillisecondNs;
constexpr std::int64_t kModeRetryNs = 300 * kMillisecondNs;
constexpr std::int64_t kObeyNs = 75 * kMillisecondNs;  // a command is in the frames by then
constexpr std::int64_t kDeafNs = 1000 * kMillisecondNs;
constexpr std::int64_t kDockRetryNs = 60'000 * kMillisecondNs;
constexpr std::int64_t kPauseNs = 250 * kMillisecondNs;
constexpr std::int64_t kAttemptsMax = 5;  // before a robot that has never answered is given up
// A robot that may still be moving is told to stop so often.
constexpr std::int64_t kRepeatStopNs = 100 * kMillisecondNs;
// A robot that was switched off answers its first Start so soon.
constexpr std::int64_t kPromptNs = 60 * kMillisecondNs;
// Whoever was not called for so long may have had its robot stopped by the guardian process, which
// counts from a beat up to kBeatIntervalNs older.
constexpr std::int64_t kStandstillNs = Guardian::kFrozenNs - Guardian::kBeatIntervalNs;
static_assert(kStandstillNs > 2 * kCreate2FramePeriodNs, "a frame that is lost is no standstill");
// A line of the firmware's chatter is 33 bytes, what it says when it starts is far longer.
constexpr std::int64_t kBootTextBytes = 60;
constexpr std::int64_t kRestartsMax = 2;
constexpr std::int64_t kNever = INT64_MAX;

// Zeros that complete a command that was cut off. A robot that waits for nothing ignores them: 0 is
// no opcode. The first number is more than may be missing of any command but a long list, the
// second is what a list can lack that somebody else has begun: its length, and the 255 bytes that
// says.
constexpr std::size_t kPaddingBytes = 40;
constexpr std::size_t kLongPaddingBytes = Create2Session::kPaddingBytesMax;

// Both stops in one: the first is heard at once, the second by a robot that has taken the first for
// bytes of a list.
constexpr std::size_t kSpeedsAndStartBytes = 5 + 1;
constexpr std::size_t kFirstStopBytes = kPaddingBytes + kSpeedsAndStartBytes;
constexpr std::size_t kStopBytes = kFirstStopBytes + kLongPaddingBytes + kSpeedsAndStartBytes;
constexpr std::array<std::uint8_t, kStopBytes> make_stop_bytes() {
  std::array<std::uint8_t, kStopBytes> bytes{};
  for (const std::size_t end : {kFirstStopBytes, kStopBytes}) {
    bytes[end - kSpeedsAndStartBytes] = static_cast<std::uint8_t>(Create2Opcode::kDriveDirect);
    bytes[end - 1] = static_cast<std::uint8_t>(Create2Opcode::kStart);
  }
  return bytes;
}
constexpr std::array<std::uint8_t, kStopBytes> kStop = make_stop_bytes();
constexpr std::span<const std::uint8_t> kFirstStop = std::span(kStop).first(kFirstStopBytes);
static_assert(kStopBytes == kCreate2StopBytes);

constexpr std::size_t kRequestBytes = 2 + kCreate2StreamIds.size();
constexpr std::array<std::uint8_t, kRequestBytes> make_request() {
  std::array<std::uint8_t, kRequestBytes> bytes{};
  bytes[0] = static_cast<std::uint8_t>(Create2Opcode::kStream);
  bytes[1] = static_cast<std::uint8_t>(kCreate2StreamIds.size());
  for (std::size_t i = 0; i < kCreate2StreamIds.size(); ++i) bytes[2 + i] = kCreate2StreamIds[i];
  return bytes;
}
constexpr std::array<std::uint8_t, kRequestBytes> kRequest = make_request();

constexpr int kPassive = static_cast<int>(Create2Mode::kPassive);
constexpr int kSafe = static_cast<int>(Create2Mode::kSafe);

// Towards zero, as other clients of this robot do it. Not a number: stand still.
std::int64_t whole_speed(double mm_s) {
  if (!std::isfinite(mm_s)) return 0;
  return static_cast<std::int64_t>(
      std::clamp<double>(mm_s, -kCreate2SpeedMaxMmS, kCreate2SpeedMaxMmS));
}

}  // namespace

std::span<const std::uint8_t> create2_stop_bytes() {
  return kStop;
}

Create2Session::Create2Session(const Create2SessionOptions& options)
    : options_(options), state_(kCreate2StreamIds) {
  static_assert(std::is_trivially_copyable_v<State>);
}

void Create2Session::enter(Phase phase) {
  state_.phase = phase;
  state_.phase_ns = state_.now_ns;
}

void Create2Session::send(std::span<const std::uint8_t> bytes) {
  const auto size = static_cast<std::size_t>(state_.output_size);
  INSTEP_CHECK(size + bytes.size() <= state_.output.size());
  std::memcpy(state_.output.data() + size, bytes.data(), bytes.size());
  state_.output_size += static_cast<std::int64_t>(bytes.size());
}

void Create2Session::clear_output() {
  state_.padding = state_.output_size = 0;
}

void Create2Session::send(Create2Opcode opcode) {
  const bool is_safe = opcode == Create2Opcode::kSafe;
  state_.takeover.note_mode(is_safe ? Create2Mode::kSafe : Create2Mode::kPassive, state_.now_ns);
  const auto byte = static_cast<std::uint8_t>(opcode);
  send({&byte, 1});
}

// Zeros need no room in the state: they stand before a copy of the output.
std::span<const std::uint8_t> Create2Session::output(int) const {
  const auto padding = static_cast<std::size_t>(state_.padding);
  const auto size = static_cast<std::size_t>(state_.output_size);
  if (padding == 0) return {state_.output.data(), size};
  std::memcpy(padded_.data() + kLongPaddingBytes, state_.output.data(), size);
  return {padded_.data() + kLongPaddingBytes - padding, padding + size};
}

void Create2Session::consume(int, std::size_t bytes) {
  const auto size = static_cast<std::size_t>(state_.output_size);
  const std::size_t zeros = std::min(bytes, static_cast<std::size_t>(state_.padding));
  const std::size_t rest = bytes - zeros;
  INSTEP_CHECK(rest <= size);
  state_.padding -= static_cast<std::int64_t>(zeros);
  std::memmove(state_.output.data(), state_.output.data() + rest, size - rest);
  state_.output_size -= static_cast<std::int64_t>(rest);
  if (bytes > 0) state_.takeover.note_bytes(state_.now_ns);
  if (state_.output_size > 0) return;
  state_.has_stop_waiting = 0;
  send_due_command();
}

bool Create2Session::wake_line() const {
  return state_.phase == kWaking && state_.now_ns - state_.phase_ns < kWakePulseNs;
}

// ------------------------------------------------------------------------------------------------
// Getting frames

void Create2Session::on_connect(int, std::int64_t now_ns) {
  state_.now_ns = now_ns;
  state_.attempt = 0;
  state_.has_failed = 0;
  begin_start();
}

void Create2Session::on_disconnect(int, std::int64_t now_ns) {
  state_.now_ns = now_ns;
  if (state_.phase != kClosed) state_.trouble = kUnplugged;
  clear_output();
  state_.has_stop_waiting = 0;
  state_.is_due = 0;
  enter(kClosed);
}

void Create2Session::on_interruption(int channel, std::int64_t now_ns) {
  on_disconnect(channel, now_ns);
  on_connect(channel, now_ns);
  state_.trouble = kInterrupted;
}

// Whatever was cut off before, by us or by another program, is completed and the robot stopped.
// What it sends until the new mode is in effect may be years old and is not looked at.
void Create2Session::begin_start() {
  clear_output();
  state_.is_due = 0;
  state_.bytes_heard = 0;
  state_.is_docking = 0;
  state_.sent_left_mm_s = state_.sent_right_mm_s = 0;
  state_.disobeyed_ns = -1;
  // It has not obeyed before.
  if (state_.restarts > 0 || state_.attempt > 0) state_.padding = kLongPaddingBytes;
  send(kFirstStop);
  state_.takeover.note_mode(Create2Mode::kPassive, state_.now_ns);
  state_.has_stop_waiting = 1;
  state_.is_started_anew = 1;
  state_.check.restart();
  enter(kStarting);
}

void Create2Session::ask_for_stream() {
  state_.decoder.clear();
  // Whoever streams before he is asked was never off.
  state_.was_streaming = state_.bytes_heard > 0 ? 1 : 0;
  state_.bytes_heard = 0;
  if (state_.output_size == 0) send(kRequest);
  enter(kListening);
}

// The robot may still hear what it is told.
void Create2Session::become_lost(Trouble trouble) {
  state_.trouble = trouble;
  state_.attempt = 0;
  state_.is_due = 0;
  if (trouble == kDeaf) {
    enter(kWaking);
    return;
  }
  state_.was_driven = state_.takeover.mode() >= kSafe ? 1 : 0;
  state_.is_started_anew = 0;
  send_stop();
  enter(kListening);
  state_.bytes_heard = 0;
  if (state_.output_size + kRequest.size() <= state_.output.size()) send(kRequest);
}

void Create2Session::fail_attempt() {
  ++state_.attempt;
  if (state_.was_ready == 0) {
    state_.trouble = state_.bytes_heard > 0 ? kNotACreate2 : kSilent;
    if (state_.attempt >= kAttemptsMax) {
      state_.has_failed = 1;
      enter(kClosed);
      return;
    }
  }
  enter(kPausing);
}

// A robot that has obeyed Start is in Passive mode. One that reports Safe although it was started
// twice adds one to all it reports; Start and Off cannot be: that one subtracts.
bool Create2Session::is_started(int reported_mode) {
  if (reported_mode == kPassive) {
    state_.mode_offset = 0;
    return true;
  }
  if (reported_mode == 0) {
    state_.mode_offset = -1;
    return true;
  }
  if (state_.restarts < kRestartsMax) {
    ++state_.restarts;
    begin_start();
    return false;
  }
  state_.mode_offset = reported_mode == kSafe ? 1 : 0;
  return true;
}

// There are four, once it is known how this robot reports them.
bool Create2Session::is_mode_possible(int reported_mode) const {
  const std::int64_t mode = reported_mode - state_.mode_offset;
  return state_.phase != kStreaming || (mode >= 0 && mode <= 3);
}

// What a firmware says that starts is long, and nothing but text.
void Create2Session::look_for_text(std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) {
    const bool is_text =
        (byte >= ' ' && byte <= '~') || byte == '\r' || byte == '\n' || byte == '\t';
    state_.text_bytes = is_text ? state_.text_bytes + 1 : 0;
    if (state_.text_bytes >= kBootTextBytes) state_.boot_text_ns = state_.now_ns;
  }
}

// Frames that had stayed away may come back at any time, from a robot that has streamed all along.
bool Create2Session::is_listening() const {
  const bool is_waiting = state_.phase == kPausing || state_.phase == kWaking;
  return state_.phase == kListening || state_.phase == kStreaming ||
         (is_waiting && state_.trouble == kLostFrames);
}

void Create2Session::note_standstill(std::int64_t now_ns) {
  if (now_ns - state_.now_ns > kStandstillNs) state_.takeover.note_standstill(now_ns);
  state_.now_ns = now_ns;
}

void Create2Session::on_bytes(int, std::span<const std::uint8_t> bytes, std::int64_t now_ns,
                              PacketSink& sink) {
  note_standstill(now_ns);
  look_for_text(bytes);
  if (state_.phase == kStarting) state_.bytes_heard += static_cast<std::int64_t>(bytes.size());
  if (!is_listening()) {
    state_.counters.bytes_skipped += bytes.size();
    return;
  }
  state_.bytes_heard += static_cast<std::int64_t>(bytes.size());
  const std::uint64_t skipped = state_.decoder.bytes_skipped();
  const std::uint64_t errors = state_.decoder.checksum_errors();
  std::size_t frames = 0;
  while (!bytes.empty()) {
    bytes = bytes.subspan(state_.decoder.push(bytes));
    for (auto frame = state_.decoder.next(); !frame.empty(); frame = state_.decoder.next()) {
      std::memcpy(batch_[frames++ % kBacklogFramesMax].data(), frame.data(), frame.size());
    }
  }
  state_.counters.bytes_skipped += state_.decoder.bytes_skipped() - skipped;
  state_.counters.checksum_errors += state_.decoder.checksum_errors() - errors;

  const std::size_t first = frames - std::min(frames, kBacklogFramesMax);
  state_.sequence += static_cast<std::int64_t>(first);
  const std::size_t frame_bytes = state_.decoder.frame_bytes();
  for (std::size_t i = first; i < frames; ++i) {
    const auto behind = static_cast<std::int64_t>(frames - 1 - i);
    const std::span<const std::uint8_t> frame(batch_[i % kBacklogFramesMax].data(), frame_bytes);
    packet_.time_ns = std::max(state_.frame_ns, now_ns - behind * kCreate2FramePeriodNs);
    packet_.sequence = static_cast<std::uint32_t>(state_.sequence++);
    Create2Readings readings;
    INSTEP_CHECK(decode_create2_frame(frame, &readings));
    if (!is_mode_possible(readings.mode) ||
        !state_.check.is_possible(frame, readings, packet_.time_ns)) {
      ++state_.counters.frames_impossible;
      continue;
    }
    take_frame(readings);
    if (state_.phase != kStreaming) return;
    packet_.size = static_cast<std::uint32_t>(frame.size());
    std::memcpy(packet_.bytes.data(), frame.data(), frame.size());
    state_.frame_ns = packet_.time_ns;
    ++state_.counters.packets;
    sink.take(packet_);
  }
  if (frames > 0) send_due_command();
}

void Create2Session::take_frame(const Create2Readings& readings) {
  if (state_.phase != kStreaming) {
    if (state_.trouble != kLostFrames && !is_started(readings.mode)) return;
    if (was_switched_off()) become_taken_over();
    if (state_.is_started_anew != 0) state_.takeover.forget();
    state_.takeover.note_silence(state_.now_ns);
    if (state_.was_ready != 0) ++state_.counters.reconnects;
    state_.was_ready = 1;
    state_.attempt = 0;
    state_.restarts = 0;
    state_.trouble = kNone;
    enter(kStreaming);
  }
  state_.mode = readings.mode - state_.mode_offset;
  state_.is_wheel_dropped = readings.drop_left || readings.drop_right ? 1 : 0;
  const auto& cliff = readings.cliff;
  state_.is_at_cliff = std::any_of(cliff.begin(), cliff.end(), [](bool c) { return c; }) ? 1 : 0;
  state_.is_on_dock = readings.charging_sources != 0 ? 1 : 0;
  if (state_.takeover.add_frame(readings, static_cast<int>(state_.mode), state_.now_ns)) {
    become_taken_over();
  }
  end_strange_motion(readings);
  check_obedience(readings);
}

// A robot that was driven, fell silent, and answers as soon as it is started was Off: another
// program's Stop, or a person's. Had its frames been lost, they would have come back before it was
// asked, or stayed away; and a robot that starts by itself, a battery put back, says so in a text.
bool Create2Session::was_switched_off() const {
  return state_.phase == kListening && state_.was_driven != 0 && state_.is_started_anew != 0 &&
         state_.was_streaming == 0 && state_.boot_text_ns < state_.frame_ns &&
         state_.attempt == 1 && state_.trouble == kLostFrames &&
         state_.now_ns - state_.phase_ns <= kPromptNs;
}

void Create2Session::become_taken_over() {
  state_.is_taken_over = 1;
  state_.kind = Command::kStop;
  state_.is_due = 1;
}

// In Passive mode the robot moves only by itself: a damaged command can have sent it to its dock.
void Create2Session::end_strange_motion(const Create2Readings& readings) {
  const auto moved = [](std::int64_t from, std::int16_t to) {
    return std::abs(create2_counts_between(static_cast<std::int16_t>(from), to)) > 1;
  };
  const bool moves = moved(state_.encoder_left, readings.encoder_left) ||
                     moved(state_.encoder_right, readings.encoder_right);
  state_.encoder_left = readings.encoder_left;
  state_.encoder_right = readings.encoder_right;
  if (!moves || state_.mode >= kSafe || state_.is_docking != 0 || state_.output_size > 0) return;
  if (state_.takeover.is_undecided()) return;
  if (state_.now_ns - state_.mode_sent_ns < kModeRetryNs) return;
  send(Create2Opcode::kStart);
  state_.mode_sent_ns = state_.now_ns;
}

// The frames tell what the robot understood. A command that was damaged on its way is sent again;
// a robot that never obeys has gone deaf, as one does that sits on its dock in Safe mode.
void Create2Session::check_obedience(const Create2Readings& readings) {
  if (state_.mode < kSafe || state_.now_ns - state_.sent_ns < kObeyNs) return;
  if (state_.takeover.is_undecided()) return;
  if (readings.requested_left_mm_s == state_.sent_left_mm_s &&
      readings.requested_right_mm_s == state_.sent_right_mm_s) {
    state_.disobeyed_ns = -1;
    return;
  }
  if (state_.disobeyed_ns < 0) state_.disobeyed_ns = state_.now_ns;
  if (state_.now_ns - state_.disobeyed_ns > kDeafNs) {
    become_lost(kDeaf);
    return;
  }
  if (state_.output_size == 0) send_speeds(state_.sent_left_mm_s, state_.sent_right_mm_s);
}

// ------------------------------------------------------------------------------------------------
// Commands

void Create2Session::on_command(const Command& command, std::int64_t now_ns) {
  note_standstill(now_ns);
  if (command.acknowledged > state_.acknowledged) {
    state_.acknowledged = command.acknowledged;
    state_.is_taken_over = 0;
    state_.takeover.forget();
  }
  const bool is_move = command.kind == Command::kMove && command.count >= 2;
  const bool is_known = is_move || command.kind == kCreate2SeekDock || command.kind == kCreate2Rest;
  state_.kind = is_known && state_.is_taken_over == 0 ? command.kind : Command::kStop;
  state_.left_mm_s = is_move ? whole_speed(command.values[0]) : 0;
  state_.right_mm_s = is_move ? whole_speed(command.values[1]) : 0;
  state_.command_ns = now_ns;
  state_.is_due = state_.phase == kStreaming ? 1 : 0;
  send_due_command();
}

void Create2Session::send_due_command() {
  if (state_.is_due == 0 || state_.phase != kStreaming) return;
  if (state_.kind == Command::kStop) {
    send_stop();
    state_.is_due = 0;
    return;
  }
  // What somebody else may have done is not undone before that is known.
  if (state_.output_size > 0 || state_.takeover.is_undecided()) return;
  if (state_.kind != kCreate2SeekDock && state_.is_docking != 0) {
    // Ends the robot's own way to its dock.
    send(Create2Opcode::kStart);
    state_.is_docking = 0;
    state_.mode_sent_ns = state_.now_ns;
    return;
  }
  switch (state_.kind) {
    case Command::kMove:
      send_move();
      return;
    case kCreate2SeekDock:
      if (state_.is_docking == 0 || state_.now_ns - state_.mode_sent_ns > kDockRetryNs) {
        send(Create2Opcode::kSeekDock);
        state_.sent_left_mm_s = state_.sent_right_mm_s = 0;
        state_.is_docking = 1;
        state_.mode_sent_ns = state_.now_ns;
        ++state_.counters.commands_sent;
      }
      break;
    case kCreate2Rest:
      if (state_.mode >= kSafe && state_.now_ns - state_.mode_sent_ns > kModeRetryNs) {
        send_speeds(0, 0);
        send(Create2Opcode::kStart);
        state_.mode_sent_ns = state_.now_ns;
      }
      break;
    default:
      break;
  }
  state_.is_due = 0;
}

// A stop goes before whatever waits: that is void, and what of it may have gone out is completed.
void Create2Session::send_stop() {
  if (state_.has_stop_waiting != 0) return;
  if (state_.output_size > 0) {
    clear_output();
    state_.padding = kPaddingBytes;
  }
  send_speeds(0, 0);
  if (state_.is_docking != 0) {
    // Ends the robot's own way to its dock.
    send(Create2Opcode::kStart);
    state_.mode_sent_ns = state_.now_ns;
  }
  state_.is_docking = 0;
  state_.has_stop_waiting = 1;
}

// Speeds count in Safe mode only, and only the robot can say that it is there.
void Create2Session::send_move() {
  if (state_.mode == kSafe) {
    send_speeds(state_.left_mm_s, state_.right_mm_s);
    state_.is_due = 0;
    return;
  }
  const bool stands = state_.left_mm_s == 0 && state_.right_mm_s == 0;
  if (stands && state_.mode < kSafe) {
    state_.is_due = 0;
    return;
  }
  if (!may_enter_safe() || state_.now_ns - state_.mode_sent_ns < kModeRetryNs) return;
  send(Create2Opcode::kSafe);
  state_.sent_left_mm_s = state_.sent_right_mm_s = 0;
  state_.sent_ns = state_.mode_sent_ns = state_.now_ns;
}

// The robot's own reflex has let go of the wheels: at a cliff only the way straight back is left,
// and in the air none.
bool Create2Session::may_enter_safe() const {
  if (state_.is_wheel_dropped != 0) return false;
  return state_.is_at_cliff == 0 || (state_.left_mm_s < 0 && state_.left_mm_s == state_.right_mm_s);
}

void Create2Session::send_speeds(std::int64_t left_mm_s, std::int64_t right_mm_s) {
  // Commands may be bytes of one that was cut off.
  if (state_.disobeyed_ns >= 0) state_.padding = kLongPaddingBytes;
  send(encode_create2_drive_direct(static_cast<int>(left_mm_s), static_cast<int>(right_mm_s)));
  state_.sent_left_mm_s = left_mm_s;
  state_.sent_right_mm_s = right_mm_s;
  state_.sent_ns = state_.now_ns;
  state_.takeover.note_speeds(left_mm_s, right_mm_s, state_.now_ns);
  ++state_.counters.commands_sent;
}

// ------------------------------------------------------------------------------------------------
// Time

// Whether the robot does, because it was told to.
bool Create2Session::moves() const {
  return state_.sent_left_mm_s != 0 || state_.sent_right_mm_s != 0 ||
         (state_.is_docking != 0 && state_.is_on_dock == 0);
}

// A stop may have been lost, as frames are that would tell.
bool Create2Session::must_repeat_stop() const {
  return state_.was_ready != 0 &&
         (state_.phase == kListening || state_.phase == kPausing || state_.phase == kWaking);
}

void Create2Session::repeat_stop() {
  if (state_.output_size > 0 || state_.now_ns - state_.sent_ns < kRepeatStopNs) return;
  state_.padding = kLongPaddingBytes;
  send(encode_create2_drive_direct(0, 0));
  state_.sent_ns = state_.now_ns;
  state_.has_stop_waiting = 1;
}

std::int64_t Create2Session::poll(std::int64_t now_ns) {
  note_standstill(now_ns);
  const std::int64_t in_phase_ns = now_ns - state_.phase_ns;
  switch (state_.phase) {
    case kStarting:
      if (in_phase_ns >= kModeChangeNs) ask_for_stream();
      break;
    case kListening:
      if (in_phase_ns >= kFirstFrameNs) fail_attempt();
      break;
    case kPausing:
      if (in_phase_ns >= kPauseNs) enter(kWaking);
      break;
    case kWaking:
      // The robot needs as long again to hear.
      if (in_phase_ns >= kWakePulseNs + kModeChangeNs) begin_start();
      break;
    case kStreaming: {
      if (now_ns - std::max(state_.frame_ns, state_.phase_ns) >= kSilenceNs) {
        become_lost(kLostFrames);
        break;
      }
      const bool is_moving = moves() || (state_.is_due != 0 && state_.kind == Command::kMove);
      if (is_moving && now_ns - state_.command_ns >= options_.dead_man_ns) {
        state_.kind = Command::kStop;
        state_.is_due = 1;
        ++state_.counters.dead_man_stops;
      }
      send_due_command();
      break;
    }
    default:
      break;
  }
  if (must_repeat_stop()) repeat_stop();
  const std::int64_t next_ns = next_poll_ns();
  // Bytes that wait are no reason to be called: repeat_stop() does nothing as long as they do.
  const bool repeats = must_repeat_stop() && state_.output_size == 0;
  return repeats ? std::min(next_ns, state_.sent_ns + kRepeatStopNs) : next_ns;
}

std::int64_t Create2Session::next_poll_ns() const {
  switch (state_.phase) {
    case kStarting:
      return state_.phase_ns + kModeChangeNs;
    case kListening:
      return state_.phase_ns + kFirstFrameNs;
    case kPausing:
      return state_.phase_ns + kPauseNs;
    case kWaking:
      return wake_line() ? state_.phase_ns + kWakePulseNs
                         : state_.phase_ns + kWakePulseNs + kModeChangeNs;
    case kStreaming: {
      const std::int64_t silence = std::max(state_.frame_ns, state_.phase_ns) + kSilenceNs;
      return moves() ? std::min(silence, state_.command_ns + options_.dead_man_ns) : silence;
    }
    default:
      return kNever;
  }
}

LinkState Create2Session::state() const {
  if (state_.has_failed != 0) return LinkState::kFailed;
  if (state_.phase == kStreaming) {
    return state_.is_taken_over != 0 ? LinkState::kTakenOver : LinkState::kReady;
  }
  return state_.was_ready != 0 ? LinkState::kLost : LinkState::kConnecting;
}

const char* Create2Session::error() const {
  switch (state_.trouble) {
    case kSilent:
      return "nothing answers: is the robot switched on (press Clean), and is this its port? Take "
             "its battery out and put it back when it stays silent";
    case kNotACreate2:
      return "not a Create 2, or not at 115200 baud: bytes arrive, but no sensor frames. Choose "
             "the robot's port (ls /dev/serial/by-id), or take its battery out and put it back";
    case kLostFrames:
      return "the robot has stopped sending; asking it again";
    case kDeaf:
      return "the robot sends but does not obey; waking it";
    case kUnplugged:
      return "the port is gone: plug the cable in again";
    case kInterrupted:
      return "another program has changed the port's settings, or this one stood still: the robot "
             "was stopped, and is started anew";
    default:
      return "";
  }
}

// ------------------------------------------------------------------------------------------------
// Checkpoints

void Create2Session::save_state(std::span<std::uint8_t> out) const {
  INSTEP_CHECK(out.size() == state_bytes());
  std::memcpy(out.data(), &state_, sizeof state_);
}

bool Create2Session::load_state(std::span<const std::uint8_t> in) {
  if (in.size() != state_bytes()) return false;
  State state(kCreate2StreamIds);
  const Create2StreamDecoder fresh = state.decoder;
  std::memcpy(&state, in.data(), sizeof state);
  const auto is_time = [](std::int64_t ns) { return ns >= -1 && ns < kNever / 4; };
  const auto is_count = [](std::int64_t count) { return count >= 0 && count < kNever / 4; };
  const auto is_speed = [](std::int64_t mm_s) { return std::abs(mm_s) <= kCreate2SpeedMaxMmS; };
  const bool valid =
      state.phase >= kClosed && state.phase <= kStreaming && state.trouble >= kNone &&
      state.trouble <= kInterrupted && is_count(state.attempt) && is_count(state.restarts) &&
      is_count(state.bytes_heard) && is_count(state.sequence) && is_time(state.now_ns) &&
      is_time(state.phase_ns) && is_time(state.frame_ns) && is_time(state.command_ns) &&
      is_time(state.sent_ns) && is_time(state.mode_sent_ns) && is_time(state.disobeyed_ns) &&
      is_speed(state.left_mm_s) && is_speed(state.right_mm_s) && is_speed(state.sent_left_mm_s) &&
      is_speed(state.sent_right_mm_s) && std::abs(state.mode) <= 256 &&
      std::abs(state.mode_offset) <= 1 && state.output_size >= 0 &&
      state.output_size <= static_cast<std::int64_t>(state.output.size()) && state.padding >= 0 &&
      state.padding <= static_cast<std::int64_t>(kLongPaddingBytes) &&
      (state.padding == 0 || state.output_size > 0) && state.text_bytes >= 0 &&
      is_count(state.text_bytes) && state.takeover.is_valid() && state.check.is_valid() &&
      state.decoder.is_like(fresh);
  if (valid) state_ = state;
  return valid;
}

}  // namespace instep

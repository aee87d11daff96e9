// The host's side of a Create 2: gets it to stream its sensors, keeps it in Safe mode while it is
// told to drive, notices what it does not obey, and comes back after losses.
//
//   closed -> starting -> listening -> streaming
//                ^            |            |  no frame for 100 ms: stop, ask again
//                +-- waking <-+------------+  no frame for a second, or deaf: wake it, start again
//
// Times, all from the last valid byte or command: a robot whose commands stay away stands still
// dead_man_ns later; one whose frames stay away is told to stop after 100 ms, and every 100 ms from
// then on; one that was out of reach is told to stop with the first bytes that reach it. A stop
// goes before whatever waits to be sent.
//
// Where somebody else tells the robot what to do (Create2Takeover), or switches it off while it is
// driven, the robot is stopped, state() is kTakenOver, and it is neither driven nor brought into
// Safe mode until a command acknowledges it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/create2/codec.h"
#include "drivers/create2/frame_check.h"
#include "drivers/create2/takeover.h"
#include "runtime/robot.h"

namespace instep {

// Command::kMove: values left and right wheel, mm/s, each within +-500.
// Looks for the dock, drives there and charges.
inline constexpr std::uint8_t kCreate2SeekDock = Command::kDeviceSpecific;
// Lets go of the wheels, so that the robot charges where it stands on its dock.
inline constexpr std::uint8_t kCreate2Rest = Command::kDeviceSpecific + 1;

// The packets of each frame, 57 bytes in all.
inline constexpr std::array<std::uint8_t, 21> kCreate2StreamIds = {
    46, 47, 48, 49, 50, 51, 7, 9, 10, 11, 12, 21, 25, 26, 34, 35, 41, 42, 43, 44, 58};

// What a process that must stop a robot it knows nothing of writes to the port: completes a command
// that was cut off, then speed 0, then Start, which lets go of the wheels; and once more behind
// enough zeros for the longest command that the robot can be waiting for.
inline constexpr std::size_t kCreate2StopBytes = 308;
std::span<const std::uint8_t> create2_stop_bytes();

struct Create2SessionOptions {
  // The wheels stop when no command has come for so long.
  std::int64_t dead_man_ns = 300'000'000;
};

class Create2Session final : public Session {
 public:
  static constexpr std::int64_t kSilenceNs = 100'000'000;
  // Frames of one read that are handed on; older ones of a larger backlog are only counted.
  static constexpr std::size_t kBacklogFramesMax = 16;
  // Zeros that go before a command which a robot may take for a part of another one.
  static constexpr std::size_t kPaddingBytesMax = 256;

  explicit Create2Session(const Create2SessionOptions& options = {});

  // As made.
  void restart() { state_ = State(kCreate2StreamIds); }

  void on_connect(int channel, std::int64_t now_ns) override;
  void on_disconnect(int channel, std::int64_t now_ns) override;
  void on_interruption(int channel, std::int64_t now_ns) override;
  // All bytes that are there at now_ns: several frames in one call are taken for a backlog, whose
  // frames were sent one stream period after another.
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns,
                PacketSink& sink) override;
  void on_command(const Command& command, std::int64_t now_ns) override;
  std::int64_t poll(std::int64_t now_ns) override;
  std::span<const std::uint8_t> output(int channel) const override;
  void consume(int channel, std::size_t bytes) override;
  bool wake_line() const override;
  LinkState state() const override;
  const LinkCounters& counters() const override { return state_.counters; }
  const char* error() const override;

  // Everything that decides what the session does next, for checkpoints on simulated time.
  static std::size_t state_bytes() { return sizeof(State); }
  void save_state(std::span<std::uint8_t> out) const;
  [[nodiscard]] bool load_state(std::span<const std::uint8_t> in);

 private:
  enum Phase : std::int64_t { kClosed, kStarting, kListening, kWaking, kPausing, kStreaming };
  enum Trouble : std::int64_t {
    kNone,
    kSilent,
    kNotACreate2,
    kLostFrames,
    kDeaf,
    kUnplugged,
    kInterrupted
  };

  // Members of eight bytes, so that no padding makes equal states differ.
  struct State {
    explicit State(std::span<const std::uint8_t> ids) : decoder(ids) {}

    std::int64_t phase = kClosed;
    std::int64_t phase_ns = 0;  // since when
    std::int64_t attempt = 0;   // to get frames, since they were lost
    std::int64_t restarts = 0;  // of a robot that streams, but does not leave its mode
    std::int64_t was_ready = 0;
    std::int64_t has_failed = 0;
    std::int64_t trouble = kNone;
    std::int64_t bytes_heard = 0;  // in this attempt
    std::int64_t now_ns = 0;       // of the last call
    std::int64_t frame_ns = 0;     // of the last frame, when it was read
    std::int64_t sequence = 0;

    // The newest command, and what became of it.
    std::int64_t kind = Command::kStop;
    std::int64_t left_mm_s = 0;
    std::int64_t right_mm_s = 0;
    std::int64_t command_ns = 0;
    std::int64_t is_due = 0;  // it must still be turned into bytes
    std::int64_t is_docking = 0;
    std::int64_t sent_left_mm_s = 0;
    std::int64_t sent_right_mm_s = 0;
    std::int64_t sent_ns = 0;
    std::int64_t mode_sent_ns = 0;      // when a mode was asked for last
    std::int64_t disobeyed_ns = -1;     // since when the robot has other speeds; -1: it has not
    std::int64_t padding = 0;           // zeros that go before the output
    std::int64_t has_stop_waiting = 0;  // the output holds a stop, and nothing that moves

    // Other hands.
    std::int64_t is_taken_over = 0;
    std::int64_t acknowledged = 0;     // by the newest command
    std::int64_t was_driven = 0;       // when its frames stayed away
    std::int64_t is_started_anew = 0;  // since then
    std::int64_t was_streaming = 0;    // before it was asked to
    std::int64_t text_bytes = 0;       // printable ones in a row
    std::int64_t boot_text_ns = -1;    // when it last said what a firmware says that starts

    // Of the last frame.
    std::int64_t mode = 0;         // corrected
    std::int64_t mode_offset = 0;  // some robots report one more than they mean
    std::int64_t is_wheel_dropped = 0;
    std::int64_t is_at_cliff = 0;
    std::int64_t is_on_dock = 0;
    std::int64_t encoder_left = 0;
    std::int64_t encoder_right = 0;

    std::int64_t output_size = 0;
    std::array<std::uint8_t, 128> output{};
    LinkCounters counters;
    Create2Takeover takeover;
    Create2FrameCheck check;
    Create2StreamDecoder decoder;
  };

  void enter(Phase phase);
  void clear_output();
  void begin_start();
  void ask_for_stream();
  void become_lost(Trouble trouble);
  void fail_attempt();
  std::int64_t next_poll_ns() const;
  bool is_listening() const;
  void note_standstill(std::int64_t now_ns);
  void look_for_text(std::span<const std::uint8_t> bytes);
  void take_frame(const Create2Readings& readings);
  bool was_switched_off() const;
  void become_taken_over();
  bool is_started(int reported_mode);
  bool is_mode_possible(int reported_mode) const;
  void check_obedience(const Create2Readings& readings);
  void end_strange_motion(const Create2Readings& readings);
  void send_due_command();
  void send_move();
  bool may_enter_safe() const;
  bool moves() const;
  bool must_repeat_stop() const;
  void repeat_stop();
  void send_stop();
  void send_speeds(std::int64_t left_mm_s, std::int64_t right_mm_s);
  void send(std::span<const std::uint8_t> bytes);
  void send(Create2Opcode opcode);

  Create2SessionOptions options_;
  State state_;
  // The newest frames of one on_bytes().
  std::array<std::array<std::uint8_t, kCreate2FrameBytesMax>, kBacklogFramesMax> batch_{};
  Packet packet_;
  // Zeros, and a copy of the output behind them. output() makes it.
  mutable std::array<std::uint8_t, kPaddingBytesMax + sizeof(State::output)> padded_{};
};

}  // namespace instep

// The host's side of a UR5 or UR5e, over three channels: RTDE (30004) for what the arm says and is
// told, the secondary port (30002) to which the resident program is sent, and, only where recovery
// was asked for, the dashboard (29999).
//
// Times, all from the last package or command: an arm whose commands stay away stands still
// dead_man_ns later, by this session. One whose packages stay away is told to stand after 100 ms.
// One that nothing reaches stops by its own program: it begins to brake watchdog_s after the last
// bytes. One that stands already has its program end idle_watchdog_s after them; until then every
// package is answered with the registers, whatever the loop does. Whatever was lost, the arm moves
// again only by a command that came after.
//
// Where somebody else ends or pauses the program, puts another in its place, presses the emergency
// stop or switches the arm off, state() is kTakenOver as soon as the arm could be moved again, and
// no program is sent until a command acknowledges it. What the program says when it ends by itself
// tells a loss of commands from that; protective and safeguard stops are the safety system's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "drivers/ur/dashboard_link.h"
#include "drivers/ur/fields.h"
#include "drivers/ur/packet.h"
#include "drivers/ur/program.h"
#include "drivers/ur/rtde_link.h"
#include "runtime/latency_histogram.h"
#include "runtime/robot.h"

namespace instep {

// Command::kMove: values are six joint speeds, rad/s, each within +-kUrJointSpeedMax.
inline constexpr double kUrJointSpeedMaxRadS = 3.14;
// Sets the speed slider: value 0 .. 1. The arm stands, as by Command::kStop.
inline constexpr std::uint8_t kUrSetSlider = Command::kDeviceSpecific;
// Ends the program on the controller; the next kMove starts it again.
inline constexpr std::uint8_t kUrRelease = Command::kDeviceSpecific + 1;

struct UrChannel {
  static constexpr int kRtde = 0;
  static constexpr int kScript = 1;
  static constexpr int kDashboard = 2;
};
inline constexpr int kUrChannels = 3;
// The controller's ports, by channel.
inline constexpr std::array<int, kUrChannels> kUrChannelPorts = {30004, 30002, 29999};

struct UrSessionOptions {
  double frequency_hz = 125.0;  // packages a second
  bool is_listener = false;     // claims no inputs and sends no program: the arm is not touched
  // The arm stands when no command has come for so long.
  std::int64_t dead_man_ns = 80'000'000;
  double watchdog_s = 0.04;
  double idle_watchdog_s = 0.5;    // of an arm that stands: its program ends when nothing comes
  double accel_rad_s2 = 1.4;       // of the leading joint
  double stop_decel_rad_s2 = 4.0;  // when it is to stand
  // Unlocks protective stops by itself, after five seconds, so many times in ten minutes; 0: a
  // person does. UR's service manual says that this must not be automated where people may be.
  int unlocks_max = 0;
  // Pause between two attempts to get back; doubled up to the other.
  std::int64_t retry_ns = 250'000'000;
  std::int64_t retry_ns_max = 8'000'000'000;
};

struct UrSessionCounters {
  std::uint64_t programs_sent = 0;
  std::uint64_t programs_lost = 0;
  std::uint64_t protective_stops = 0;
  std::uint64_t unlocks = 0;
  std::uint64_t takeovers = 0;  // by other hands or programs
};

// What led to a loss: the controller's last messages and the last gaps between packages, oldest
// first.
struct UrLoss {
  std::int64_t time_ns = 0;
  UrVersion version;
  std::array<char, 256> cause{};  // what the session said of it
  std::int64_t message_count = 0;
  std::int64_t gap_count = 0;
  std::array<UrControllerMessage, UrRtdeLink::kMessages> messages{};
  std::array<UrGap, UrRtdeLink::kGaps> gaps{};
};
// As lines for people. Not for a real-time thread.
std::string ur_loss_text(std::span<const std::uint8_t> bytes);
// Names the fields that the controller does not have: bit i is ur_packet_fields()[i].
std::string ur_lacks_text(std::uint64_t lacks);

class UrSession final : public Session {
 public:
  explicit UrSession(const UrSessionOptions& options = {});

  int channel_count() const override { return kUrChannels; }
  bool wants(int channel) const override;
  void on_connect(int channel, std::int64_t now_ns) override;
  void on_disconnect(int channel, std::int64_t now_ns) override;
  // The guardian has put its own program in the place of ours: the connections are as they were.
  void on_interruption(int channel, std::int64_t now_ns) override;
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns,
                PacketSink& sink) override;
  void on_command(const Command& command, std::int64_t now_ns) override;
  std::int64_t poll(std::int64_t now_ns) override;
  std::span<const std::uint8_t> output(int channel) const override;
  void consume(int channel, std::size_t bytes) override;

  LinkState state() const override;
  // Valid until the next call. Also, where nothing is wrong, that the slider stands below 100 % or
  // is somebody else's.
  const char* error() const override;
  const char* hold_reason() const override;
  // The fields that the controller does not have, as ur_lacks_text() names them.
  std::uint64_t lacks() const override { return lacks_; }
  // False while somebody has slowed the arm: what is commanded is not what moves then.
  bool has_full_speed() const { return newest_.speed_fraction >= kUrFullSpeed; }

  const LinkCounters& counters() const override { return counters_; }
  const UrSessionCounters& ur_counters() const { return ur_counters_; }
  const UrRtdeLink& rtde() const { return rtde_; }
  const UrReadings& newest() const { return newest_; }
  // From the sending of a command to the package that says the program has seen it.
  const LatencyHistogram& round_trip() const { return round_trip_; }

  // A loss is when packages stay away or repeat themselves, the connection breaks, or the program
  // does not live any more. What is kept: a UrLoss.
  std::uint64_t loss_number() const override { return losses_; }
  void save_loss(LinkLoss* loss) const override;

 private:
  static constexpr std::int64_t kLongAgo = INT64_MIN / 2;

  enum class Trouble : std::int64_t {
    kNone,
    kLink,     // see rtde_.trouble()
    kBooting,  // the arm does not run yet, or any more
    kProtectiveStop,
    kStopAtStart,  // a protective stop as soon as the program had started
    kTooManyStops,
    kSafeguard,
    kEmergencyStop,
    kFault,   // safety violation or fault
    kSlider,  // at 0: nothing moves, and leaving 0 would be a protective stop
    kForeignProgram,
    kProgramEnded,    // by itself
    kProgramStopped,  // by somebody else
    kProgramPaused,
    kSwitchedOff,
    kProgramRefused,  // it was sent, but does not say anything
  };
  enum class Program : std::int64_t { kNone, kPausing, kSending, kSent, kAlive };

  void take_readings(const UrReadings& readings, std::int64_t now_ns);
  void follow_safety();
  void follow_program();
  bool is_our_program() const;
  bool beats() const;
  bool counts_rounds() const;
  bool has_other_program() const;
  bool is_end_open();
  void become_taken_over(Trouble how);
  void lose_program();
  void note_echo();
  void start_program();
  void lose_everything();
  void follow_program_time();
  void recover();
  void send_registers();
  bool arm_runs() const;
  bool may_move() const;
  bool moves() const;
  void keep_loss();
  const char* link_error() const;
  const char* arm_error() const;
  std::int64_t retry_pause_ns(std::int64_t attempt) const;

  UrSessionOptions options_;
  UrRtdeLink rtde_;
  UrDashboardLink dashboard_;
  UrProgramText text_;

  std::int64_t now_ns_ = 0;
  bool was_ready_ = false;
  bool is_released_ = false;
  bool is_whole_ = false;  // it has been ready since the last loss
  std::uint64_t losses_ = 0;
  UrLoss loss_;
  Trouble trouble_ = Trouble::kNone;

  // Channels
  bool is_rtde_open_ = false;
  std::int64_t rtde_retry_ns_ = 0;  // when RTDE may be opened again
  std::int64_t rtde_attempts_ = 0;
  bool is_script_open_ = false;
  std::size_t script_begin_ = 0;

  // The command, and what was sent of it
  bool is_move_ = false;
  UrVector speeds_{};
  std::int64_t command_ns_ = 0;
  double slider_ = -1.0;  // to be set; below 0: nothing
  std::int32_t sequence_ = 0;
  bool sent_move_ = false;
  std::array<std::int64_t, 64> sent_ns_{};
  std::int32_t echo_ = 0;

  // The arm and its program
  UrReadings newest_;
  bool has_readings_ = false;
  Program program_ = Program::kNone;
  std::int64_t program_ns_ = 0;  // since when
  std::int64_t program_attempts_ = 0;
  std::int32_t program_number_ = 0;
  std::int32_t beat_ = 0;
  std::int64_t beat_ns_ = kLongAgo;     // when it changed last
  std::int64_t started_ns_ = kLongAgo;  // when the program was sent last
  std::int64_t stopped_ns_ = -1;        // since when it is stopped protectively; -1: it is not
  std::int64_t ended_ns_ = 0;           // since when no program plays

  // Other hands
  bool must_explain_ = false;           // our program lives, or why it has ended is not known
  std::int64_t open_ns_ = 0;            // since when that is not known
  std::int64_t own_end_ns_ = kLongAgo;  // when our program, or our guardian's, has ended it
  Trouble end_ = Trouble::kNone;        // how the arm was taken over
  bool is_taken_over_ = false;
  std::int32_t acknowledged_ = 0;  // by the newest command

  // Unlocking
  std::int64_t unlock_ns_ = 0;  // when the next step is due
  std::size_t unlocks_ = 0;
  std::array<std::int64_t, 16> unlock_times_ns_{};

  std::int32_t packet_sequence_ = 0;
  Packet packet_;
  LinkCounters counters_;
  UrSessionCounters ur_counters_;
  LatencyHistogram round_trip_;
  std::uint64_t lacks_ = 0;
};

}  // namespace instep

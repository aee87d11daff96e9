// What the runtime knows of a robot. Its driver turns bytes into packets and commands into bytes; a
// task turns packets into observations and actions into commands.
//
//      bytes            packets                    observation, reward
//   device <-> Session <-> RobotLink <-> RobotWorld <-> ControlLoop
//                          (I/O thread,   (limits, safety,
//                           or simulated)  RobotTask)
//
// RobotWorld is the same on real and on simulated time; only the link differs. Bytes pass on one or
// several channels, such as a serial port or a TCP connection. Channels are numbered from 0, in the
// order of the driver's table.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/check.h"
#include "kernels/philox.h"

namespace instep {

inline constexpr int kChannelsMax = 4;

// One message of a device, framing and checksum already checked, as it came over the wire.
struct Packet {
  static constexpr std::size_t kBytesMax = 1200;

  std::int64_t time_ns = 0;    // when its last byte was read
  std::uint32_t sequence = 0;  // counted by the session, so that a consumer sees gaps
  std::uint32_t size = 0;
  std::array<std::uint8_t, kBytesMax> bytes{};

  std::span<const std::uint8_t> view() const { return {bytes.data(), size}; }
};

// One of the numbers that a packet says, in SI units.
struct PacketField {
  const char* name;
  const char* unit;  // "" for none; "%": a share of 1, which people are shown in percent
  // Of a field that is a mode: what its values 0, 1, ... are called; else none.
  std::span<const char* const> words{};
};

// What a driver's packets say: its fields in their order, and how to read them.
struct PacketFormat {
  static constexpr std::size_t kFieldsMax = 32;

  std::span<const PacketField> fields;  // at most kFieldsMax
  // Overwrites values [fields.size()]; NaN where the device itself does not know. False: the packet
  // is none of the device's.
  bool (*decode)(const Packet& packet, std::span<double> values) = nullptr;
};

// A packet as its driver has decoded it. The driver names the indices of its fields.
struct PacketValues {
  std::int64_t time_ns = 0;  // the packet's
  std::span<const double> values;

  double operator[](std::size_t field) const {
    INSTEP_CHECK(field < values.size());
    return values[field];
  }
};

// What a robot is told to do, in the device's units and after limits.
struct Command {
  static constexpr int kValuesMax = 32;
  // Every device has these two. Numbers from kDeviceSpecific on belong to its driver (modes,
  // docking).
  static constexpr std::uint8_t kStop = 0;
  static constexpr std::uint8_t kMove = 1;
  static constexpr std::uint8_t kDeviceSpecific = 16;

  std::uint8_t kind = kStop;
  std::int32_t count = 0;  // of values
  // How many times a person has allowed the run to go on after somebody else took the device over.
  std::int32_t acknowledged = 0;
  std::array<double, kValuesMax> values{};
};

// Receives each packet of a session, in the order of arrival.
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  virtual void take(const Packet& packet) = 0;
};

enum class LinkState : std::uint8_t {
  kConnecting,  // no packet yet, or none since the connection was lost
  kReady,       // packets arrive, commands are obeyed
  kTakenOver,   // somebody else commands the device; the session does not move it until
                // Command::acknowledged grows
  kLost,        // was ready; the session is trying to come back by itself
  kFailed,      // will not come back without a person; error() says why
};

// Counters of one link since it was opened.
struct LinkCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes_skipped = 0;  // not part of any valid packet: noise, text, damaged frames
  std::uint64_t checksum_errors = 0;
  std::uint64_t frames_impossible = 0;  // checksum right, but no device can have sent them
  std::uint64_t reconnects = 0;
  std::uint64_t commands_sent = 0;
  std::uint64_t dead_man_stops = 0;  // stops because no command came in time
};

// What led to the last loss of a device, as bytes that its driver keeps; the driver's loss_text()
// turns them into words.
struct LinkLoss {
  std::uint64_t number = 0;  // counted from 1 on; 0: there was none
  std::size_t size = 0;      // of bytes
  std::array<std::uint8_t, 8192> bytes{};
};

// A driver's protocol as a state machine over bytes, with time as an argument: no thread, no file
// descriptor, no clock of its own. One thread at a time: the I/O thread on real time, the loop's on
// simulated time. Nothing allocates after construction.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  virtual int channel_count() const { return 1; }
  // Whether the channel is to be open. The link opens and closes it, and tries again while it
  // cannot be opened.
  virtual bool wants(int /*channel*/) const { return true; }

  // The channel has just been opened, or opened again: forget half-read bytes, start the
  // handshake.
  virtual void on_connect(int channel, std::int64_t now_ns) = 0;
  // The channel has gone (unplugged, closed by either end).
  virtual void on_disconnect(int channel, std::int64_t now_ns) = 0;
  // The channel is open, but somebody else had the device for a while: the port's settings were
  // wrong, or the guardian stopped the device. The device may not have heard what was sent, and may
  // be in another mode. Forget half-read bytes.
  virtual void on_interruption(int channel, std::int64_t now_ns) {
    on_disconnect(channel, now_ns);
    on_connect(channel, now_ns);
  }
  // Bytes have arrived, any number, split anywhere.
  virtual void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns,
                        PacketSink& sink) = 0;
  // Takes the newest command. It replaces older ones that were not sent yet.
  virtual void on_command(const Command& command, std::int64_t now_ns) = 0;
  // Does what is due: handshake steps, time-outs, the dead-man's stop. Answers the latest time of
  // the next call.
  virtual std::int64_t poll(std::int64_t now_ns) = 0;

  // Bytes that wait to be written to the channel. consume(n) says that the first n of them have
  // been.
  virtual std::span<const std::uint8_t> output(int channel) const = 0;
  virtual void consume(int channel, std::size_t bytes) = 0;

  // True while a sleeping device is to be woken by its wake line (RTS of a serial port, pulled
  // low). Channels without such a line ignore it.
  virtual bool wake_line() const { return false; }

  virtual LinkState state() const = 0;
  virtual const LinkCounters& counters() const = 0;
  // The last loss, where the driver keeps what led to it. save_loss() copies some kilobytes: look
  // first whether the number has changed.
  virtual std::uint64_t loss_number() const { return 0; }
  virtual void save_loss(LinkLoss* /*loss*/) const {}
  // What of all that it was asked for the device does not have, a bit each; the driver's
  // lacks_text() says what they are. 0: nothing, or it has not answered yet.
  virtual std::uint64_t lacks() const { return 0; }
  // What went wrong last and what to do about it, for people; empty when nothing did. A literal.
  virtual const char* error() const = 0;
  // Why a device that answers may not move, in a few words; empty when it may, or when it does not
  // answer. A literal.
  virtual const char* hold_reason() const { return ""; }
};

// The device's other end: bytes in, bytes out, physics in between, for simulated time and for
// `instep sim`. Deterministic: the same seed, bytes and times give the same answers.
class DeviceSimulator {
 public:
  DeviceSimulator() = default;
  DeviceSimulator(const DeviceSimulator&) = delete;
  DeviceSimulator& operator=(const DeviceSimulator&) = delete;
  virtual ~DeviceSimulator() = default;

  // Channels are numbered as the session's; the number behind the last is the stop's own
  // connection, where it has one. The host opens the channel, or has it open. Answers whether it is
  // open: false while a fault has unplugged the cable, and once each time the device has closed the
  // channel.
  virtual bool open(int channel) = 0;
  // The host has closed the channel.
  virtual void close(int /*channel*/) {}
  // Bytes from the host arrive.
  virtual void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns) = 0;
  // Lets the world go on until now_ns. Answers when something happens next by itself (a byte is
  // due, a physics step), so that the caller can jump there.
  virtual std::int64_t advance(std::int64_t now_ns) = 0;
  // Moves what has reached the host by now into out; answers how many bytes that were.
  virtual std::size_t read(int channel, std::span<std::uint8_t> out) = 0;
  // What the host does with the wake line; see Session::wake_line().
  virtual void set_wake_line(bool /*is_low*/, std::int64_t /*now_ns*/) {}
  // What an onlooker sees: some part of it moves, or is about to.
  virtual bool moves() const = 0;
};

// Commands and packets as the control loop sees them, whatever is behind. Loop thread only; nothing
// here allocates or locks.
class RobotLink {
 public:
  RobotLink() = default;
  RobotLink(const RobotLink&) = delete;
  RobotLink& operator=(const RobotLink&) = delete;
  virtual ~RobotLink() = default;

  virtual std::int64_t now_ns() const = 0;
  // Posts the newest command; it replaces one that has not been sent yet.
  virtual void post(const Command& command) = 0;
  // As post(), for a command by which the device stands still: it passes where others are held
  // back.
  virtual void post_standing(const Command& command) { post(command); }
  // Returns at deadline_ns. On real time it sleeps; on simulated time it moves the world there.
  virtual void wait_until(std::int64_t deadline_ns) = 0;
  // Takes the oldest packet that was not taken yet; false when there is none.
  virtual bool next_packet(Packet* out) = 0;
  virtual LinkState state() const = 0;
};

// What the loop's limiter allows a task's command, per value and in the device's units.
struct CommandLimits {
  int count = 0;
  std::array<double, Command::kValuesMax> lower{};
  std::array<double, Command::kValuesMax> upper{};
  std::array<double, Command::kValuesMax> rate_max{};  // change per second; infinity: no limit
  std::int64_t packet_age_max_ns = 0;  // older sensors: hold, and the tick carries no step
  // True: the values are positions, and a robot that must stand is sent its own pose (kMove), not
  // kStop. False: they are velocities.
  bool are_positions = false;
};

enum class Homing : std::uint8_t { kContinues, kDone, kFailed };

// What one tick's packets amount to.
struct Sensed {
  double reward = 0.0;
  bool terminated = false;
  bool truncated = false;
  bool is_faulted = false;  // the robot itself reports a fault: it must be homed before it goes on
};

// A task on a robot: packets become observation and reward, actions become commands, and an episode
// begins with homing. Plain arithmetic on what it is given: no bytes are sent from here. Loop
// thread only; all memory is taken by the constructor.
class RobotTask {
 public:
  RobotTask() = default;
  RobotTask(const RobotTask&) = delete;
  RobotTask& operator=(const RobotTask&) = delete;
  virtual ~RobotTask() = default;

  // What the packets of its driver say.
  virtual const PacketFormat& packets() const = 0;
  virtual const CommandLimits& limits() const = 0;
  // The values of a kMove at which the robot stands where it is now: overwrites
  // values[limits().count]. For positions the pose that was last measured, NaN where none is known.
  virtual void standing_values(std::span<double> values) const {
    std::fill(values.begin(), values.end(), 0.0);
  }

  // Every packet of the device, in order, in every state.
  virtual void take(const PacketValues& packet) = 0;

  // Begins the way to a new episode's start; randomness comes from `random` at `step`.
  virtual void begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) = 0;
  // One tick of it: overwrites *command with what to send for the coming period.
  virtual Homing home(std::int64_t now_ns, Command* command) = 0;
  // The first observation [observation_dim] of the episode, once homing is done.
  virtual void first_observation(double* observation) = 0;

  // The command for action [action_dim], each in [-1, 1]. The limiter sees it next.
  virtual void to_command(const float* action, Command* command) = 0;
  // What followed the last command: overwrites observation [observation_dim].
  virtual Sensed sense(double* observation) = 0;

  // What people should know now, such as what homing waits for or which sensor is broken. A
  // literal; empty when there is nothing.
  virtual const char* notice() const { return ""; }

  // Everything that decides what this task does next, for checkpoints on simulated time.
  virtual std::size_t state_bytes() const = 0;
  virtual void save_state(std::span<std::uint8_t> out) const = 0;
  [[nodiscard]] virtual bool load_state(std::span<const std::uint8_t> in) = 0;
};

}  // namespace instep

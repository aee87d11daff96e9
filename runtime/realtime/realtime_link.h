// A device on real channels: one thread owns them, speaks the session's protocol and keeps the
// robot from moving without commands.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/clock.h"
#include "runtime/latency_histogram.h"
#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/device_stop.h"
#include "runtime/realtime/guardian.h"
#include "runtime/realtime/latest_value.h"
#include "runtime/realtime/port.h"
#include "runtime/realtime/spsc_ring.h"
#include "runtime/realtime/thread.h"
#include "runtime/robot.h"

namespace instep {

// What the I/O thread measures; to be read when it has ended.
struct IoLatency {
  LatencyHistogram packet_to_wire;   // read() of the newest packet the loop knew to write()
  LatencyHistogram command_to_wire;  // post() to write()
};

// What the I/O thread has counted.
struct LinkCounts {
  IoLatency latency;
  LinkCounters session;
  std::uint64_t packets_lost = 0;  // the loop did not take them
  std::uint64_t port_resets = 0;   // somebody else had changed the port's settings
  std::uint64_t guardian_stops = 0;
};

// One channel, and how it is opened. `descriptor`: opened and claimed at `address`, or none.
struct LinkChannel {
  PortAddress address;
  PortOperations port;
  Descriptor descriptor;
};

// What stop() does with the robot.
struct LinkEnd {
  DeviceStop* stop = nullptr;  // null: it stays as the last command has left it
  // The channel of the session's that the stop is sent on, which the guardian has, too; -1: a
  // connection of the stop's own, at `address`.
  int channel = 0;
  PortAddress address{};
  PortOperations port{};
  std::int64_t timeout_ns = 1'000'000'000;
};

// RobotLink on real time. Packets go through a ring, the newest command through a triple buffer
// and an eventfd. The I/O thread waits for all channels at once, and opens and closes them as the
// session wants. It looks at the ports' settings in every round, at least every kLookNs; where
// somebody has changed them, it puts them right, and the session begins anew. It opens a lost
// channel again every kReopenNs, under a new name if the channel has one. The link fails for good
// when its guardian is dead, or is at rest and has heard none of the last kUnheardBeatsMax beats:
// no robot may move that nobody would stop. A guardian that waits for a processor or in the kernel
// has kUnheardBusyMax.
class RealtimeLink final : public RobotLink, private PacketSink {
 public:
  static constexpr std::int64_t kLookNs = 50'000'000;
  static constexpr std::int64_t kReopenNs = PortStop::kOpenPeriodNs;
  // Not times: this process may have been stopped, too.
  static constexpr int kUnheardBeatsMax = 100;
  static constexpr int kUnheardBusyMax = 500;

  // Borrows the session, the guardian (may be null) and what `end` points to. As many channels as
  // the session has; the link closes them.
  RealtimeLink(Session& session, std::vector<LinkChannel> channels, Guardian* guardian,
               const LinkEnd& end);
  // The same for a session of one channel.
  RealtimeLink(Session& session, Descriptor descriptor, const PortAddress& address,
               const PortOperations& port, Guardian* guardian, const LinkEnd& end);
  ~RealtimeLink() override;

  // Starts the I/O thread. Throws std::system_error when the system refuses.
  void start();
  // Ends the I/O thread and closes the channels. If the robot was told to move, it first tells the
  // robot to stop until the robot's own bytes show that it stands, for at most end.timeout_ns. Then
  // it releases the guardian. Not from the loop.
  void stop();
  // The first half of stop(): the I/O thread ends, and has_ended() tells when it has. Any thread or
  // signal handler; it does not wait.
  void ask_to_stop();
  bool has_ended() const { return has_ended_.load(std::memory_order_acquire); }
  // Once it is set the device is stopped, and until it is unset only post_standing() passes. Any
  // thread or signal handler; it does not wait.
  void set_halt(bool must_stand);
  // How often the I/O thread has gone round. Any thread.
  std::uint64_t rounds() const { return rounds_.load(std::memory_order_relaxed); }

  std::int64_t now_ns() const override { return clock_.now_ns(); }
  void post(const Command& command) override { post(command, false); }
  void post_standing(const Command& command) override { post(command, true); }
  void wait_until(std::int64_t deadline_ns) override { sleep_until(deadline_ns); }
  bool next_packet(Packet* out) override;
  LinkState state() const override { return state_.load(std::memory_order_relaxed); }
  // What the session says is wrong, which must be a literal then. Any thread.
  const char* error() const { return error_.load(std::memory_order_relaxed); }
  // The session's.
  const char* hold_reason() const { return hold_reason_.load(std::memory_order_relaxed); }
  std::uint64_t lacks() const { return lacks_.load(std::memory_order_relaxed); }

  // Of a run that goes on, as they were at most kCountNs ago; one thread.
  const LinkCounts& newest_counts();
  // True, and *out overwritten, when the device was lost since the last true; one thread.
  [[nodiscard]] bool newest_loss(LinkLoss* out) { return lost_.read(out); }
  // After stop().
  LinkCounts counts() const;
  const IoLatency& latency() const { return latency_; }
  std::uint64_t packets_lost() const { return packets_lost_; }  // the loop did not take them
  // How often a port's settings had been changed by somebody else.
  std::uint64_t port_resets() const { return port_resets_; }
  // How often the guardian has stopped the device because this process stood still. Any time.
  std::uint32_t guardian_stops() const { return guardian_ == nullptr ? 0 : guardian_->stops(); }
  // 0, or why it is no FIFO thread; kNotTriedYet before it has begun. Any time.
  int priority_error() const { return priority_error_; }
  bool has_lost_guardian() const { return has_lost_guardian_; }
  // Whether the robot's own bytes showed at the end that it stands; nothing where it was never told
  // to move.
  std::optional<bool> stood() const { return stood_; }

 private:
  static constexpr std::uint32_t kPacketsMax = 256;
  static constexpr std::int64_t kCountNs = 1'000'000'000;
  static constexpr std::int64_t kLetGoNs = 5'000'000;   // that the guardian has for it
  static constexpr std::size_t kInputBytesMax = 65536;  // what the kernel may hold of a terminal

  struct Channel : LinkChannel {
    bool is_connecting = false;  // the descriptor cannot be used yet
    bool is_readable = false;
    bool wake_line = false;
    // When it may be opened again, or, while it is connecting, is given up.
    std::int64_t due_ns = 0;

    bool is_up() const { return descriptor.is_open() && !is_connecting; }
  };

  struct Posted {
    Command command;
    std::int64_t posted_ns = 0;
    std::int64_t packet_ns = 0;  // when the newest packet that the loop knew was read
    bool is_standing = false;
  };

  void post(const Command& command, bool is_standing);
  void take(const Packet& packet) override;
  void run();
  void wait(std::int64_t deadline_ns);
  void beat(std::int64_t now_ns);
  bool is_guarded();
  void note_guardian_stops(std::int64_t now_ns);
  void follow_channel(int number, std::int64_t now_ns);
  void open(int number, std::int64_t now_ns);
  void follow_connection(int number, std::int64_t now_ns);
  void connect(int number, std::int64_t now_ns);
  void disconnect(int number, std::int64_t now_ns);
  int look_at_port(int number, std::int64_t now_ns);
  void receive(int number);
  void take_command();
  bool transmit(int number);
  void note_sent();
  void publish(std::int64_t now_ns);
  std::int64_t next_attempt_ns() const;
  void see_it_stand();

  Session& session_;
  std::vector<Channel> channels_;
  Guardian* guardian_;
  LinkEnd end_;
  MonotonicClock clock_;
  WakeUp wake_up_;
  LatestValue<Posted> command_;
  SpscRing<Packet, kPacketsMax> packets_;
  std::atomic<LinkState> state_{LinkState::kConnecting};
  std::atomic<const char*> error_{""};
  std::atomic<const char*> hold_reason_{""};
  std::atomic<std::uint64_t> lacks_{0};
  std::atomic<bool> is_stopping_{false};
  std::atomic<bool> must_stand_{false};
  std::atomic<bool> has_ended_{false};
  std::atomic<std::uint64_t> rounds_{0};
  std::atomic<int> priority_error_{kNotTriedYet};
  std::thread thread_;
  LatestValue<LinkCounts> published_;
  LatestValue<LinkLoss> lost_;
  LinkCounts newest_counts_;  // the reader's
  // The loop's.
  std::int64_t known_packet_ns_ = 0;
  // The I/O thread's.
  LinkLoss loss_;  // the last one published
  bool is_halted_ = false;
  bool is_awaited_ = false;  // a command has not reached the wire yet
  bool has_lost_guardian_ = false;
  std::uint32_t heard_ = 0;
  int unheard_beats_ = 0;   // in a row
  bool has_moved_ = false;  // a command of motion was posted
  std::array<std::uint8_t, kInputBytesMax> input_{};
  Posted awaited_;
  std::uint64_t commands_sent_before_ = 0;
  std::uint32_t guardian_stops_ = 0;  // that the session knows of
  std::int64_t beat_ns_ = 0;
  std::int64_t count_ns_ = 0;
  std::uint64_t packets_lost_ = 0;
  std::uint64_t port_resets_ = 0;
  std::optional<bool> stood_;
  IoLatency latency_;
};

}  // namespace instep

// A device on a real port: one thread owns it, speaks the session's protocol and keeps the robot
// from moving without commands.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "runtime/clock.h"
#include "runtime/latency_histogram.h"
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

// RobotLink on real time. Packets go through a ring, the newest command through a triple buffer
// and an eventfd. A lost port is opened again, ever more rarely, at least every eight seconds.
// Without its guardian it fails for good: nothing may move that nobody would stop.
class RealtimeLink final : public RobotLink, private PacketSink {
 public:
  // Borrows the session. `descriptor` is the opened port, which the link closes; `guardian` may be
  // null.
  RealtimeLink(Session& session, int descriptor, const std::string& path,
               const PortOperations& port, const Guardian* guardian);
  ~RealtimeLink() override;

  // Starts the I/O thread; stop() lets it send what waits (a stop, most likely) and ends it. Not
  // from the loop.
  void start();
  void stop();

  std::int64_t now_ns() const override { return clock_.now_ns(); }
  void post(const Command& command) override;
  void wait_until(std::int64_t deadline_ns) override { sleep_until(deadline_ns); }
  bool next_packet(Packet* out) override;
  LinkState state() const override { return state_.load(std::memory_order_relaxed); }

  // After stop().
  const IoLatency& latency() const { return latency_; }
  std::uint64_t packets_lost() const { return packets_lost_; }  // the loop did not take them
  int priority_error() const { return priority_error_; }        // 0, or why it is no FIFO thread
  bool has_lost_guardian() const { return has_lost_guardian_; }

 private:
  static constexpr std::uint32_t kPacketsMax = 256;

  struct Posted {
    Command command;
    std::int64_t posted_ns = 0;
    std::int64_t packet_ns = 0;  // when the newest packet that the loop knew was read
  };

  void take(const Packet& packet) override;
  void run();
  void wait(std::int64_t deadline_ns);
  void connect(std::int64_t now_ns);
  void disconnect(std::int64_t now_ns);
  void receive();
  void take_command();
  void transmit();
  void note_sent();

  Session& session_;
  std::string path_;
  PortOperations port_;
  const Guardian* guardian_;
  MonotonicClock clock_;
  int descriptor_;
  WakeUp wake_up_;
  LatestValue<Posted> command_;
  SpscRing<Packet, kPacketsMax> packets_;
  std::atomic<LinkState> state_{LinkState::kConnecting};
  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
  // The loop's.
  std::int64_t known_packet_ns_ = 0;
  // The I/O thread's.
  bool is_readable_ = false;
  bool is_awaited_ = false;  // a command has not reached the wire yet
  bool wake_line_ = false;
  bool has_lost_guardian_ = false;
  Posted awaited_;
  std::uint64_t commands_sent_before_ = 0;
  std::int64_t beat_ns_ = 0;
  std::int64_t reopen_ns_ = 0;
  std::int64_t reopen_pause_ns_ = 0;
  std::uint64_t packets_lost_ = 0;
  int priority_error_ = 0;
  IoLatency latency_;
};

}  // namespace instep

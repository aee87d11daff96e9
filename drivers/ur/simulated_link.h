// A UR session and a simulated controller in one thread on simulated time: no sleeping, no sockets,
// and the same bytes for the same seed.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/ur/session.h"
#include "drivers/ur/simulator.h"
#include "runtime/robot.h"

namespace instep {

// Moves time from one event to the next in a fixed order: the controller acts, its bytes reach the
// session, the session does what is due, and its bytes reach the controller. Borrows both. One
// thread; nothing allocates.
class UrSimulatedLink final : public RobotLink, private PacketSink {
 public:
  // Packets that were not taken yet; beyond them the oldest are lost.
  static constexpr std::size_t kPacketsMax = 32;

  UrSimulatedLink(UrSession& session, UrSimulator& simulator);

  std::int64_t now_ns() const override { return now_ns_; }
  void post(const Command& command) override;
  void wait_until(std::int64_t deadline_ns) override;
  bool next_packet(Packet* out) override;
  LinkState state() const override { return session_.state(); }

 private:
  void take(const Packet& packet) override;
  void exchange();
  void follow_channel(UrChannel channel);
  void send(UrChannel channel);
  void close(UrChannel channel);

  UrSession& session_;
  UrSimulator& simulator_;
  std::int64_t now_ns_ = 0;
  std::int64_t simulator_ns_ = 0;  // when the simulator is to be called next
  std::int64_t session_ns_ = 0;    // and the session
  std::array<int, kUrChannels> clients_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::array<Packet, kPacketsMax> packets_{};
};

}  // namespace instep

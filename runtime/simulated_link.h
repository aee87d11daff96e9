// A session and a simulated device in one thread on simulated time: no sleeping, no files, and the
// same bytes for the same seed.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "runtime/robot.h"

namespace instep {

// Moves time from one event to the next, in a fixed order: the device acts, its bytes reach the
// session, the session does what is due, its bytes reach the device. Borrows both. One thread.
class SimulatedLink final : public RobotLink, private PacketSink {
 public:
  // How many packets wait to be taken; where more come, the oldest are lost.
  static constexpr std::size_t kPacketsMax = 32;

  SimulatedLink(Session& session, DeviceSimulator& device);

  // Time 0 again: both have been made or restarted.
  void restart();

  std::int64_t now_ns() const override { return state_.now_ns; }
  void post(const Command& command) override;
  void wait_until(std::int64_t deadline_ns) override;
  bool next_packet(Packet* out) override;
  LinkState state() const override { return session_.state(); }

  // The link's own part of a checkpoint; those of session and device are theirs.
  static std::size_t state_bytes() { return sizeof(State); }
  void save_state(std::span<std::uint8_t> out) const;
  [[nodiscard]] bool load_state(std::span<const std::uint8_t> in);

 private:
  // Members of eight bytes or multiples of them, so that no padding makes equal states differ.
  struct State {
    std::int64_t now_ns = 0;
    std::int64_t device_ns = 0;      // when the device wants to be called next
    std::int64_t session_ns = 0;     // and the session
    std::int64_t open_channels = 0;  // a bit each
    std::int64_t wake_line = 0;
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::array<Packet, kPacketsMax> packets{};
  };

  void take(const Packet& packet) override;
  void exchange();
  void receive(int channel);
  void send(int channel);
  bool is_channel_open(int channel) const { return (state_.open_channels >> channel & 1) != 0; }

  Session& session_;
  DeviceSimulator& device_;
  State state_;
};

}  // namespace instep

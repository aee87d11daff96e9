// What a driver consists of.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "drivers/simulation.h"
#include "drivers/transport.h"
#include "runtime/realtime/device_stop.h"
#include "runtime/robot.h"

namespace instep {

struct DriverChannel {
  const Transport* transport = nullptr;
  int port = 0;              // of TCP
  bool is_optional = false;  // the device can be driven without it
};

// What is known of a driver before its session is made. Plain data with static lifetime.
struct DriverInfo {
  std::string_view name;
  std::string_view summary;  // one line for people
  int channel_count = 0;
  std::array<DriverChannel, kChannelsMax> channels{};  // in the order of the session's
  // Makes the session for a control loop of that period; its dead-man's time follows from it. For 0
  // it makes a session that only listens and gets no commands.
  std::unique_ptr<Session> (*make_session)(std::int64_t period_ns) = nullptr;
  // Makes what stops a device of which nothing is known, and sees that it stands.
  std::unique_ptr<DeviceStop> (*make_stop)() = nullptr;
  // Makes the device for simulated time: at rest, and ready for a new session's commands.
  std::unique_ptr<DeviceSimulator> (*make_simulator)(std::uint64_t seed) = nullptr;
  // On real time, for `instep sim`.
  SimulationInfo simulation{};
  // The channel that the stop uses; it must work as soon as it is open. -1: the stop has a
  // connection of its own, `stop_connection`.
  int stop_channel = 0;
  DriverChannel stop_connection{};
  // How many values a Command::kMove has; each moves something, up to +-command_max.
  int command_count = 0;
  double command_max = 0.0;
  // Turns what Session::save_loss() has kept into words; null: it keeps nothing.
  std::string (*loss_text)(std::span<const std::uint8_t> bytes) = nullptr;
  // A sentence about what Session::lacks() has found; null: its session never finds anything.
  std::string (*lacks_text)(std::uint64_t lacks) = nullptr;
  const PacketFormat* packets = nullptr;  // what they say

  const DriverChannel& stop_place() const {
    return stop_channel < 0 ? stop_connection : channels[static_cast<std::size_t>(stop_channel)];
  }
};

}  // namespace instep

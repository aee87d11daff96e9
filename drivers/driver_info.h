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

// One of the numbers that a packet says, in SI units.
struct PacketField {
  const char* name;
  const char* unit;  // "" for none
  // Of a field that is a mode: what its values 0, 1, ... are called; else none.
  std::span<const char* const> words{};
};

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
  // Makes the session for a control loop of that period, whose dead-man's time follows from it; for
  // 0 one that is given no commands and only listens.
  std::unique_ptr<Session> (*make_session)(std::int64_t period_ns) = nullptr;
  // Stops a device of which nothing is known, and sees that it stands.
  std::unique_ptr<DeviceStop> (*make_stop)() = nullptr;
  // On simulated time: the device at rest, which a new session can move at once.
  std::unique_ptr<DeviceSimulator> (*make_simulator)(std::uint64_t seed) = nullptr;
  // On real time, for `instep sim`.
  SimulationInfo simulation{};
  // The channel that the stop needs, one that can be used as soon as it is open; -1: a connection
  // of its own, which is `stop_connection`.
  int stop_channel = 0;
  DriverChannel stop_connection{};
  // Of Command::kMove: so many values, each of which moves something up to +-command_max.
  int command_count = 0;
  double command_max = 0.0;
  // What Session::save_loss() has kept, for people; null: it keeps nothing.
  std::string (*loss_text)(std::span<const std::uint8_t> bytes) = nullptr;
  // A sentence about what Session::lacks() has found; null: its session never finds anything.
  std::string (*lacks_text)(std::uint64_t lacks) = nullptr;
  // What its packets say.
  std::span<const PacketField> fields{};
  // Overwrites values [fields.size()]. False: the packet is none of the device's.
  bool (*decode)(const Packet& packet, std::span<double> values) = nullptr;

  const DriverChannel& stop_place() const {
    return stop_channel < 0 ? stop_connection : channels[static_cast<std::size_t>(stop_channel)];
  }
};

}  // namespace instep

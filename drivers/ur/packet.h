// What a UR arm's packets say: the fields that the driver asks its controller for, and how they
// stand in a Packet. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "drivers/ur/kinematics.h"
#include "drivers/ur/rtde.h"

namespace instep {

// Numbers of the registers that the driver and its program on the controller share.
inline constexpr int kUrModeRegister = 24;      // input, integer: a UrCommandMode
inline constexpr int kUrSequenceRegister = 25;  // input, integer: counts what was sent
inline constexpr int kUrSpeedRegister = 24;     // input, double: six from here, rad/s
inline constexpr int kUrAccelRegister = 30;     // input, double: rad/s2
inline constexpr int kUrEchoRegister = 24;      // output, integer: the sequence number seen last
inline constexpr int kUrBeatRegister = 25;      // output, integer: counts the program's rounds
inline constexpr int kUrProgramRegister = 26;   // output, integer: which program it is, or was

// In SI units. Fields that the controller does not have are 0.
struct UrReadings {
  double timestamp_s = 0.0;  // since the controller's start
  UrVector target_q{};       // rad
  UrVector target_qd{};      // rad/s
  UrVector q{};
  UrVector qd{};
  UrVector tcp_pose{};  // m and rad, in the frame `base`
  std::int32_t robot_mode = 0;
  std::int32_t safety_mode = 0;
  std::int32_t safety_status = 0;
  std::int32_t runtime_state = 0;
  std::int32_t robot_status_bits = 0;
  std::int32_t safety_status_bits = 0;
  double speed_scaling = 0.0;
  double speed_fraction = 0.0;  // the speed slider, 0 .. 1
  double execution_time_ms = 0.0;
  std::int32_t echo = 0;
  std::int32_t beat = 0;
  std::int32_t program = 0;
};

// One field of the driver's recipe: exactly one of the members is set.
struct UrPacketField {
  std::string_view name;
  RtdeType type;
  bool is_required;  // without it the arm cannot be driven
  UrVector UrReadings::*vector = nullptr;
  double UrReadings::*number = nullptr;
  std::int32_t UrReadings::*whole = nullptr;
};
inline constexpr std::size_t kUrPacketFields = 18;
const std::array<UrPacketField, kUrPacketFields>& ur_packet_fields();

// A packet that holds all the fields, in order; its size is kUrPacketBytes.
inline constexpr std::size_t kUrPacketBytes = 8 + 5 * 48 + 6 * 4 + 3 * 8 + 3 * 4;
void encode_ur_packet(const UrReadings& readings, std::span<std::uint8_t, kUrPacketBytes> out);
// False when the bytes are no such packet, or hold what is no number.
[[nodiscard]] bool decode_ur_packet(std::span<const std::uint8_t> bytes, UrReadings* readings);

// Reads the values of the fields whose bit is set in `fields` from a data package, behind its
// recipe id. False: it is too short, too long, or holds what is no number.
[[nodiscard]] bool decode_ur_package(std::span<const std::uint8_t> values, std::uint32_t fields,
                                     UrReadings* readings);

}  // namespace instep

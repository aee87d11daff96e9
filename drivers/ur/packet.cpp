#include "drivers/ur/packet.h"

#include <algorithm>
#include <cmath>

#include "kernels/check.h"

namespace instep {
namespace {

constexpr UrPacketField of_vector(std::string_view name, bool is_required,
                                  UrVector UrReadings::*member) {
  return {name, RtdeType::kVector6d, is_required, member, nullptr, nullptr};
}
constexpr UrPacketField of_number(std::string_view name, bool is_required,
                                  double UrReadings::*member) {
  return {name, RtdeType::kDouble, is_required, nullptr, member, nullptr};
}
constexpr UrPacketField of_whole(std::string_view name, RtdeType type, bool is_required,
                                 std::int32_t UrReadings::*member) {
  return {name, type, is_required, nullptr, nullptr, member};
}

constexpr std::array<UrPacketField, kUrPacketFields> kFields = {{
    of_number("timestamp", true, &UrReadings::timestamp_s),
    of_vector("target_q", false, &UrReadings::target_q),
    of_vector("target_qd", false, &UrReadings::target_qd),
    of_vector("actual_q", true, &UrReadings::q),
    of_vector("actual_qd", true, &UrReadings::qd),
    of_vector("actual_TCP_pose", false, &UrReadings::tcp_pose),
    of_whole("robot_mode", RtdeType::kInt32, true, &UrReadings::robot_mode),
    of_whole("safety_mode", RtdeType::kInt32, true, &UrReadings::safety_mode),
    of_whole("safety_status", RtdeType::kInt32, false, &UrReadings::safety_status),
    of_whole("runtime_state", RtdeType::kUint32, true, &UrReadings::runtime_state),
    of_whole("robot_status_bits", RtdeType::kUint32, false, &UrReadings::robot_status_bits),
    of_whole("safety_status_bits", RtdeType::kUint32, false, &UrReadings::safety_status_bits),
    of_number("speed_scaling", false, &UrReadings::speed_scaling),
    of_number("target_speed_fraction", true, &UrReadings::speed_fraction),
    of_number("actual_execution_time", false, &UrReadings::execution_time_ms),
    of_whole("output_int_register_24", RtdeType::kInt32, true, &UrReadings::echo),
    of_whole("output_int_register_25", RtdeType::kInt32, true, &UrReadings::beat),
    of_whole("output_int_register_26", RtdeType::kInt32, true, &UrReadings::program),
}};

bool read_field(const UrPacketField& field, RtdeReader& reader, UrReadings* readings) {
  if (field.whole != nullptr) {
    readings->*field.whole = reader.i32();
    return true;
  }
  if (field.number != nullptr) {
    readings->*field.number = reader.f64();
    return std::isfinite(readings->*field.number);
  }
  bool is_finite = true;
  for (double& value : readings->*field.vector) {
    value = reader.f64();
    is_finite = is_finite && std::isfinite(value);
  }
  return is_finite;
}

}  // namespace

const std::array<UrPacketField, kUrPacketFields>& ur_packet_fields() {
  return kFields;
}

bool decode_ur_package(std::span<const std::uint8_t> values, std::uint32_t fields,
                       UrReadings* readings) {
  *readings = {};
  RtdeReader reader(values);
  bool is_good = true;
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    if ((fields >> i & 1U) != 0) is_good = read_field(kFields[i], reader, readings) && is_good;
  }
  return is_good && reader.is_done();
}

void encode_ur_packet(const UrReadings& readings, std::span<std::uint8_t, kUrPacketBytes> out) {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kData);
  for (const UrPacketField& field : kFields) {
    if (field.whole != nullptr) {
      writer.i32(readings.*field.whole);
    } else if (field.number != nullptr) {
      writer.f64(readings.*field.number);
    } else {
      for (const double value : readings.*field.vector) writer.f64(value);
    }
  }
  const auto values = writer.finish().subspan(kRtdeHeaderBytes);
  INSTEP_CHECK(values.size() == out.size());
  std::copy(values.begin(), values.end(), out.begin());
}

bool decode_ur_packet(std::span<const std::uint8_t> bytes, UrReadings* readings) {
  return decode_ur_package(bytes, (1U << kUrPacketFields) - 1U, readings);
}

}  // namespace instep

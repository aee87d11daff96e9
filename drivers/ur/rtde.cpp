#include "drivers/ur/rtde.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/check.h"

namespace instep {
namespace {

struct TypeName {
  RtdeType type;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<TypeName, 12> kTypes = {{
    {RtdeType::kNotFound, "NOT_FOUND", 0},
    {RtdeType::kInUse, "IN_USE", 0},
    {RtdeType::kBool, "BOOL", 1},
    {RtdeType::kUint8, "UINT8", 1},
    {RtdeType::kUint32, "UINT32", 4},
    {RtdeType::kUint64, "UINT64", 8},
    {RtdeType::kInt32, "INT32", 4},
    {RtdeType::kDouble, "DOUBLE", 8},
    {RtdeType::kVector3d, "VECTOR3D", 24},
    {RtdeType::kVector6d, "VECTOR6D", 48},
    {RtdeType::kVector6Int32, "VECTOR6INT32", 24},
    {RtdeType::kVector6Uint32, "VECTOR6UINT32", 24},
}};

// The first minor version that has a field; kNever: this series has not got it at all.
constexpr std::uint32_t kNever = 1000;
struct Field {
  std::string_view name;
  RtdeType type;
  std::uint32_t since_3 = 0;
  std::uint32_t since_5 = 0;
};

constexpr std::array<Field, static_cast<std::size_t>(RtdeOutput::kCount)> kOutputs = {{
    {"timestamp", RtdeType::kDouble},
    {"target_q", RtdeType::kVector6d},
    {"target_qd", RtdeType::kVector6d},
    {"target_qdd", RtdeType::kVector6d},
    {"target_current", RtdeType::kVector6d},
    {"target_moment", RtdeType::kVector6d},
    {"actual_q", RtdeType::kVector6d},
    {"actual_qd", RtdeType::kVector6d},
    {"actual_current", RtdeType::kVector6d},
    {"joint_control_output", RtdeType::kVector6d},
    {"actual_TCP_pose", RtdeType::kVector6d},
    {"actual_TCP_speed", RtdeType::kVector6d},
    {"actual_TCP_force", RtdeType::kVector6d},
    {"target_TCP_pose", RtdeType::kVector6d},
    {"target_TCP_speed", RtdeType::kVector6d},
    {"actual_digital_input_bits", RtdeType::kUint64},
    {"actual_digital_output_bits", RtdeType::kUint64},
    {"joint_temperatures", RtdeType::kVector6d},
    {"actual_execution_time", RtdeType::kDouble},
    {"robot_mode", RtdeType::kInt32},
    {"joint_mode", RtdeType::kVector6Int32},
    {"safety_mode", RtdeType::kInt32},
    {"safety_status", RtdeType::kInt32, 10, 4},
    {"actual_tool_accelerometer", RtdeType::kVector3d},
    {"speed_scaling", RtdeType::kDouble},
    {"target_speed_fraction", RtdeType::kDouble},
    {"actual_momentum", RtdeType::kDouble},
    {"actual_main_voltage", RtdeType::kDouble},
    {"actual_robot_voltage", RtdeType::kDouble},
    {"actual_robot_current", RtdeType::kDouble},
    {"actual_joint_voltage", RtdeType::kVector6d},
    {"runtime_state", RtdeType::kUint32},
    {"elbow_position", RtdeType::kVector3d, 5, 0},
    {"elbow_velocity", RtdeType::kVector3d, 5, 0},
    {"robot_status_bits", RtdeType::kUint32},
    {"safety_status_bits", RtdeType::kUint32},
    {"analog_io_types", RtdeType::kUint32},
    {"standard_analog_input0", RtdeType::kDouble},
    {"standard_analog_input1", RtdeType::kDouble},
    {"standard_analog_output0", RtdeType::kDouble},
    {"standard_analog_output1", RtdeType::kDouble},
    {"io_current", RtdeType::kDouble},
    {"euromap67_input_bits", RtdeType::kUint32},
    {"euromap67_output_bits", RtdeType::kUint32},
    {"euromap67_24V_voltage", RtdeType::kDouble},
    {"euromap67_24V_current", RtdeType::kDouble},
    {"tool_mode", RtdeType::kUint32},
    {"tool_analog_input_types", RtdeType::kUint32},
    {"tool_analog_input0", RtdeType::kDouble},
    {"tool_analog_input1", RtdeType::kDouble},
    {"tool_output_voltage", RtdeType::kInt32},
    {"tool_output_current", RtdeType::kDouble},
    {"tool_temperature", RtdeType::kDouble},
    {"tcp_force_scalar", RtdeType::kDouble},
    {"output_bit_registers0_to_31", RtdeType::kUint32},
    {"output_bit_registers32_to_63", RtdeType::kUint32},
    {"input_bit_registers0_to_31", RtdeType::kUint32},
    {"input_bit_registers32_to_63", RtdeType::kUint32},
    {"tcp_offset", RtdeType::kVector6d, 11, 6},
    {"payload", RtdeType::kDouble, 11, 6},
    {"payload_cog", RtdeType::kVector3d, 11, 6},
    {"payload_inertia", RtdeType::kVector6d, 15, 11},
    {"script_control_line", RtdeType::kUint32, 14, 9},
    {"ft_raw_wrench", RtdeType::kVector6d, kNever, 9},
}};

constexpr std::array<Field, static_cast<std::size_t>(RtdeInput::kCount)> kInputs = {{
    {"speed_slider_mask", RtdeType::kUint32},
    {"speed_slider_fraction", RtdeType::kDouble},
    {"standard_digital_output_mask", RtdeType::kUint8},
    {"standard_digital_output", RtdeType::kUint8},
    {"configurable_digital_output_mask", RtdeType::kUint8},
    {"configurable_digital_output", RtdeType::kUint8},
    {"tool_digital_output_mask", RtdeType::kUint8},
    {"tool_digital_output", RtdeType::kUint8},
    {"standard_analog_output_mask", RtdeType::kUint8},
    {"standard_analog_output_type", RtdeType::kUint8},
    {"standard_analog_output_0", RtdeType::kDouble},
    {"standard_analog_output_1", RtdeType::kDouble},
    {"input_bit_registers0_to_31", RtdeType::kUint32},
    {"input_bit_registers32_to_63", RtdeType::kUint32},
    {"external_force_torque", RtdeType::kVector6d, 3, 0},
}};

bool has_field(const Field& field, const UrVersion& version) {
  return version.minor >= (version.major <= 3 ? field.since_3 : field.since_5);
}

template <std::size_t count>
int find_in(const std::array<Field, count>& fields, std::string_view name,
            const UrVersion& version) {
  for (std::size_t i = 0; i < count; ++i) {
    if (fields[i].name == name) return has_field(fields[i], version) ? static_cast<int>(i) : -1;
  }
  return -1;
}

// N of "<prefix>N", written as a controller does: no sign, no leading zero. -1 for other names.
int register_number(std::string_view name, std::string_view prefix, int first, int end) {
  if (!name.starts_with(prefix)) return -1;
  const std::string_view digits = name.substr(prefix.size());
  if (digits.empty() || digits.size() > 3 || (digits.size() > 1 && digits[0] == '0')) return -1;
  int number = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return -1;
    number = 10 * number + (digit - '0');
  }
  return number >= first && number < end ? number : -1;
}

// Registers for RTDE clients came later than those for field buses.
bool has_client_registers(const UrVersion& version) {
  return version.minor >= (version.major <= 3 ? 9U : 3U);
}

int find_register(std::string_view name, std::string_view prefix, int count, int base,
                  const UrVersion& version) {
  const int number = register_number(name, prefix, 0, count);
  if (number < 0) return -1;
  if (number >= kUrFirstClientRegister && !has_client_registers(version)) return -1;
  return base + number;
}

int find_bit(std::string_view name, std::string_view prefix, int base, const UrVersion& version) {
  const int number = register_number(name, prefix, kUrFirstBitRegister, kUrBitRegisters);
  if (number < 0 || !has_client_registers(version)) return -1;
  return base + number - kUrFirstBitRegister;
}

}  // namespace

std::size_t rtde_type_bytes(RtdeType type) {
  return kTypes[static_cast<std::size_t>(type)].bytes;
}

std::string_view rtde_type_name(RtdeType type) {
  return kTypes[static_cast<std::size_t>(type)].name;
}

bool parse_rtde_type(std::string_view name, RtdeType* type) {
  for (const TypeName& entry : kTypes) {
    if (entry.name != name) continue;
    *type = entry.type;
    return true;
  }
  return false;
}

int find_rtde_output(std::string_view name, const UrVersion& version) {
  if (const int field = find_in(kOutputs, name, version); field >= 0) return field;
  struct Range {
    std::string_view prefix;
    int count;
    int base;
  };
  constexpr std::array<Range, 4> kRanges = {{
      {"output_int_register_", kUrIntRegisters, kRtdeOutputInt0},
      {"output_double_register_", kUrDoubleRegisters, kRtdeOutputDouble0},
      {"input_int_register_", kUrIntRegisters, kRtdeOutputInputInt0},
      {"input_double_register_", kUrDoubleRegisters, kRtdeOutputInputDouble0},
  }};
  for (const Range& range : kRanges) {
    const int field = find_register(name, range.prefix, range.count, range.base, version);
    if (field >= 0) return field;
  }
  return find_bit(name, "output_bit_register_", kRtdeOutputBit64, version);
}

int find_rtde_input(std::string_view name, const UrVersion& version) {
  if (const int field = find_in(kInputs, name, version); field >= 0) return field;
  int field = find_register(name, "input_int_register_", kUrIntRegisters, kRtdeInputInt0, version);
  if (field >= 0) return field;
  field =
      find_register(name, "input_double_register_", kUrDoubleRegisters, kRtdeInputDouble0, version);
  if (field >= 0) return field;
  return find_bit(name, "input_bit_register_", kRtdeInputBit64, version);
}

RtdeType rtde_output_type(int field) {
  INSTEP_CHECK(field >= 0 && field < kRtdeOutputs);
  if (field < kRtdeOutputInt0) return kOutputs[static_cast<std::size_t>(field)].type;
  if (field < kRtdeOutputDouble0) return RtdeType::kInt32;
  if (field < kRtdeOutputBit64) return RtdeType::kDouble;
  if (field < kRtdeOutputInputInt0) return RtdeType::kBool;
  return field < kRtdeOutputInputDouble0 ? RtdeType::kInt32 : RtdeType::kDouble;
}

RtdeType rtde_input_type(int field) {
  INSTEP_CHECK(field >= 0 && field < kRtdeInputs);
  if (field < kRtdeInputInt0) return kInputs[static_cast<std::size_t>(field)].type;
  if (field < kRtdeInputDouble0) return RtdeType::kInt32;
  return field < kRtdeInputBit64 ? RtdeType::kDouble : RtdeType::kBool;
}

// ------------------------------------------------------------------------------------------------
// Reading

std::size_t RtdeParser::push(std::span<const std::uint8_t> bytes) {
  if (is_broken_ != 0) return bytes.size();
  std::memmove(buffer_.data(), buffer_.data() + begin_, size_);
  begin_ = 0;
  const std::size_t taken = std::min<std::size_t>(bytes.size(), buffer_.size() - size_);
  if (taken > 0) std::memcpy(buffer_.data() + size_, bytes.data(), taken);
  size_ += taken;
  return taken;
}

bool RtdeParser::next(RtdeMessage* message) {
  if (is_broken_ != 0 || size_ < kRtdeHeaderBytes) return false;
  const std::uint8_t* const at = buffer_.data() + begin_;
  const std::size_t bytes = static_cast<std::size_t>(at[0]) << 8 | at[1];
  if (bytes < kRtdeHeaderBytes || bytes > buffer_.size()) {
    is_broken_ = 1;
    begin_ = size_ = 0;
    return false;
  }
  if (size_ < bytes) return false;
  message->type = static_cast<RtdeMessageType>(at[2]);
  message->payload = {at + kRtdeHeaderBytes, bytes - kRtdeHeaderBytes};
  begin_ += bytes;
  size_ -= bytes;
  return true;
}

bool RtdeParser::is_valid() const {
  return is_broken_ <= 1 && begin_ <= buffer_.size() && size_ <= buffer_.size() - begin_;
}

std::uint64_t RtdeReader::number(std::size_t bytes) {
  if (rest_.size() < bytes) {
    is_short_ = true;
    rest_ = {};
    return 0;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | rest_[i];
  rest_ = rest_.subspan(bytes);
  return value;
}

double RtdeReader::f64() {
  return std::bit_cast<double>(u64());
}

std::string_view RtdeReader::text(std::size_t size) {
  if (rest_.size() < size) {
    is_short_ = true;
    rest_ = {};
    return {};
  }
  if (size == 0) return {};
  const std::string_view text(reinterpret_cast<const char*>(rest_.data()), size);
  rest_ = rest_.subspan(size);
  return text;
}

bool decode_rtde_text(std::span<const std::uint8_t> payload, RtdeText* text) {
  RtdeReader reader(payload);
  text->message = reader.text(reader.u8());
  text->source = reader.text(reader.u8());
  const std::uint8_t level = reader.u8();
  text->level = level <= static_cast<std::uint8_t>(RtdeTextLevel::kInfo)
                    ? static_cast<RtdeTextLevel>(level)
                    : RtdeTextLevel::kInfo;
  return reader.is_done();
}

bool RtdeNames::next(std::string_view* name) {
  while (!rest_.empty()) {
    const std::size_t comma = std::min(rest_.find(','), rest_.size());
    *name = rest_.substr(0, comma);
    rest_.remove_prefix(std::min(comma + 1, rest_.size()));
    if (!name->empty()) return true;
  }
  return false;
}

// ------------------------------------------------------------------------------------------------
// Writing

RtdeWriter& RtdeWriter::begin(RtdeMessageType type) {
  bytes_[2] = static_cast<std::uint8_t>(type);
  size_ = kRtdeHeaderBytes;
  return *this;
}

RtdeWriter& RtdeWriter::number(std::uint64_t value, std::size_t bytes) {
  INSTEP_CHECK(bytes <= room());
  for (std::size_t i = bytes; i-- > 0;) {
    bytes_[size_++] = static_cast<std::uint8_t>(value >> (8 * i));
  }
  return *this;
}

RtdeWriter& RtdeWriter::f64(double value) {
  return u64(std::bit_cast<std::uint64_t>(value));
}

RtdeWriter& RtdeWriter::text(std::string_view text) {
  INSTEP_CHECK(text.size() <= room());
  if (!text.empty()) std::memcpy(bytes_.data() + size_, text.data(), text.size());
  size_ += text.size();
  return *this;
}

std::span<const std::uint8_t> RtdeWriter::finish() {
  INSTEP_CHECK(size_ >= kRtdeHeaderBytes);
  bytes_[0] = static_cast<std::uint8_t>(size_ >> 8);
  bytes_[1] = static_cast<std::uint8_t>(size_);
  return {bytes_.data(), size_};
}

void write_rtde_text(RtdeWriter& writer, const RtdeText& text) {
  const auto short_text = [](std::string_view all) { return all.substr(0, 255); };
  const std::string_view message = short_text(text.message);
  const std::string_view source = short_text(text.source);
  writer.begin(RtdeMessageType::kTextMessage);
  writer.u8(static_cast<std::uint8_t>(message.size())).text(message);
  writer.u8(static_cast<std::uint8_t>(source.size())).text(source);
  writer.u8(static_cast<std::uint8_t>(text.level));
}

}  // namespace instep

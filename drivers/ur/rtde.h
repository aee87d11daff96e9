// The bytes of Universal Robots' Real-Time Data Exchange (RTDE), protocol version 2: messages in
// both directions, the fields a controller knows, recipes. Pure: no time, no file, no allocation.
//
// A message is its whole size (2 bytes), its type (1 byte) and a payload. All numbers are
// big-endian. There is no checksum: after a wrong size nothing that follows can be read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace instep {

inline constexpr std::uint16_t kRtdeVersion = 2;
inline constexpr std::size_t kRtdeHeaderBytes = 3;
// Largest message that is read or written. A controller takes lists of names up to kRtdeNamesMax.
inline constexpr std::size_t kRtdeMessageBytesMax = 4096;
inline constexpr std::size_t kRtdeNamesMax = 2048;

enum class RtdeMessageType : std::uint8_t {
  kTextMessage = 'M',
  kSetupOutputs = 'O',
  kPause = 'P',
  kSetupInputs = 'I',
  kStart = 'S',
  kData = 'U',
  kProtocolVersion = 'V',
  kControllerVersion = 'v',
};

enum class RtdeTextLevel : std::uint8_t { kException = 0, kError = 1, kWarning = 2, kInfo = 3 };

enum class RtdeType : std::uint8_t {
  kNotFound,  // the controller does not know this name
  kInUse,     // an input that another client owns
  kBool,
  kUint8,
  kUint32,
  kUint64,
  kInt32,
  kDouble,
  kVector3d,
  kVector6d,
  kVector6Int32,
  kVector6Uint32,
};

// Bytes of a value; 0 for kNotFound and kInUse.
std::size_t rtde_type_bytes(RtdeType type);
// As it stands in a reply: "DOUBLE", "NOT_FOUND".
std::string_view rtde_type_name(RtdeType type);
// False for a name that no type has.
bool parse_rtde_type(std::string_view name, RtdeType* type);

// A software version of a controller. Major 3 is a CB3, 5 an e-Series, 10 PolyScope X.
struct UrVersion {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t bugfix = 0;
  std::uint32_t build = 0;
};

// ------------------------------------------------------------------------------------------------
// Fields

// Outputs that are used by name; the others are found by find_rtde_output(). The order is that of
// the table in rtde.cpp.
enum class RtdeOutput : std::uint16_t {
  kTimestamp,
  kTargetQ,
  kTargetQd,
  kTargetQdd,
  kTargetCurrent,
  kTargetMoment,
  kActualQ,
  kActualQd,
  kActualCurrent,
  kJointControlOutput,
  kActualTcpPose,
  kActualTcpSpeed,
  kActualTcpForce,
  kTargetTcpPose,
  kTargetTcpSpeed,
  kActualDigitalInputBits,
  kActualDigitalOutputBits,
  kJointTemperatures,
  kActualExecutionTime,
  kRobotMode,
  kJointMode,
  kSafetyMode,
  kSafetyStatus,
  kActualToolAccelerometer,
  kSpeedScaling,
  kTargetSpeedFraction,
  kActualMomentum,
  kActualMainVoltage,
  kActualRobotVoltage,
  kActualRobotCurrent,
  kActualJointVoltage,
  kRuntimeState,
  kElbowPosition,
  kElbowVelocity,
  kRobotStatusBits,
  kSafetyStatusBits,
  kAnalogIoTypes,
  kStandardAnalogInput0,
  kStandardAnalogInput1,
  kStandardAnalogOutput0,
  kStandardAnalogOutput1,
  kIoCurrent,
  kEuromap67InputBits,
  kEuromap67OutputBits,
  kEuromap67Voltage24,
  kEuromap67Current24,
  kToolMode,
  kToolAnalogInputTypes,
  kToolAnalogInput0,
  kToolAnalogInput1,
  kToolOutputVoltage,
  kToolOutputCurrent,
  kToolTemperature,
  kTcpForceScalar,
  kOutputBitRegisters0To31,
  kOutputBitRegisters32To63,
  kInputBitRegisters0To31,
  kInputBitRegisters32To63,
  kTcpOffset,
  kPayload,
  kPayloadCog,
  kPayloadInertia,
  kScriptControlLine,
  kFtRawWrench,
  kCount,
};

inline constexpr int kUrIntRegisters = 48;  // 24 and above belong to RTDE clients
inline constexpr int kUrDoubleRegisters = 48;
inline constexpr int kUrFirstClientRegister = 24;
inline constexpr int kUrFirstBitRegister = 64;  // one name a bit from here on
inline constexpr int kUrBitRegisters = 128;
inline constexpr int kUrNamedBits = kUrBitRegisters - kUrFirstBitRegister;

// Numbers of outputs: the enumeration, then the registers.
inline constexpr int kRtdeOutputInt0 = static_cast<int>(RtdeOutput::kCount);
inline constexpr int kRtdeOutputDouble0 = kRtdeOutputInt0 + kUrIntRegisters;
inline constexpr int kRtdeOutputBit64 = kRtdeOutputDouble0 + kUrDoubleRegisters;
// A controller also gives back what its inputs hold.
inline constexpr int kRtdeOutputInputInt0 = kRtdeOutputBit64 + kUrNamedBits;
inline constexpr int kRtdeOutputInputDouble0 = kRtdeOutputInputInt0 + kUrIntRegisters;
inline constexpr int kRtdeOutputs = kRtdeOutputInputDouble0 + kUrDoubleRegisters;

enum class RtdeInput : std::uint16_t {
  kSpeedSliderMask,
  kSpeedSliderFraction,
  kStandardDigitalOutputMask,
  kStandardDigitalOutput,
  kConfigurableDigitalOutputMask,
  kConfigurableDigitalOutput,
  kToolDigitalOutputMask,
  kToolDigitalOutput,
  kStandardAnalogOutputMask,
  kStandardAnalogOutputType,
  kStandardAnalogOutput0,
  kStandardAnalogOutput1,
  kInputBitRegisters0To31,
  kInputBitRegisters32To63,
  kExternalForceTorque,
  kCount,
};
inline constexpr int kRtdeInputInt0 = static_cast<int>(RtdeInput::kCount);
inline constexpr int kRtdeInputDouble0 = kRtdeInputInt0 + kUrIntRegisters;
inline constexpr int kRtdeInputBit64 = kRtdeInputDouble0 + kUrDoubleRegisters;
inline constexpr int kRtdeInputs = kRtdeInputBit64 + kUrNamedBits;

// The number of a field; -1 for a name that a controller of this version does not know.
int find_rtde_output(std::string_view name, const UrVersion& version);
int find_rtde_input(std::string_view name, const UrVersion& version);
// The type of a field that has been found.
RtdeType rtde_output_type(int field);
RtdeType rtde_input_type(int field);

// ------------------------------------------------------------------------------------------------
// Reading

// A message, valid as long as the bytes it was read from.
struct RtdeMessage {
  RtdeMessageType type = RtdeMessageType::kTextMessage;
  std::span<const std::uint8_t> payload;
};

// Finds messages in a stream of bytes that is cut anywhere. Plain data that may be copied.
class RtdeParser {
 public:
  // Forgets everything, as for a new connection.
  void clear() { *this = RtdeParser(); }
  // Takes bytes from the front of `bytes`; answers how many. All of them fit when next() has been
  // called until it answered false. A broken stream takes everything and gives nothing.
  std::size_t push(std::span<const std::uint8_t> bytes);
  // The next message, valid until push(); false when there is none yet.
  bool next(RtdeMessage* message);
  // A size below a header's or beyond kRtdeMessageBytesMax was met: only a new connection helps.
  bool is_broken() const { return is_broken_ != 0; }
  // False when these bytes can be no parser that push() and next() have left behind.
  bool is_valid() const;

 private:
  std::uint64_t begin_ = 0;
  std::uint64_t size_ = 0;  // of what is in the buffer, from begin_
  std::uint64_t is_broken_ = 0;
  std::array<std::uint8_t, kRtdeMessageBytesMax> buffer_{};
};

// Reads numbers from the front of a payload. Reading beyond its end answers zeros and is noted.
class RtdeReader {
 public:
  explicit RtdeReader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::int32_t i32() { return static_cast<std::int32_t>(u32()); }
  double f64();
  std::string_view text(std::size_t size);
  std::string_view rest() { return text(rest_.size()); }

  bool is_short() const { return is_short_; }                   // something was missing
  bool is_done() const { return !is_short_ && rest_.empty(); }  // all was read, and no more

 private:
  std::uint64_t number(std::size_t bytes);

  std::span<const std::uint8_t> rest_;
  bool is_short_ = false;
};

struct RtdeText {
  std::string_view message;
  std::string_view source;
  RtdeTextLevel level = RtdeTextLevel::kInfo;
};
// False when the payload is no text message; a level that does not exist counts as information.
bool decode_rtde_text(std::span<const std::uint8_t> payload, RtdeText* text);

// One name after another of "a,b,c". Names of no characters, as behind a last comma, are left out.
class RtdeNames {
 public:
  explicit RtdeNames(std::string_view list) : rest_(list) {}
  bool next(std::string_view* name);

 private:
  std::string_view rest_;
};

// ------------------------------------------------------------------------------------------------
// Writing

// Writes one message. Whoever writes stays within kRtdeMessageBytesMax: that is checked.
class RtdeWriter {
 public:
  RtdeWriter& begin(RtdeMessageType type);
  RtdeWriter& u8(std::uint8_t value) { return number(value, 1); }
  RtdeWriter& u16(std::uint16_t value) { return number(value, 2); }
  RtdeWriter& u32(std::uint32_t value) { return number(value, 4); }
  RtdeWriter& u64(std::uint64_t value) { return number(value, 8); }
  RtdeWriter& i32(std::int32_t value) { return u32(static_cast<std::uint32_t>(value)); }
  RtdeWriter& f64(double value);
  RtdeWriter& text(std::string_view text);
  std::size_t room() const { return bytes_.size() - size_; }
  // Ends the message; the bytes are valid until begin().
  std::span<const std::uint8_t> finish();

 private:
  RtdeWriter& number(std::uint64_t value, std::size_t bytes);

  std::array<std::uint8_t, kRtdeMessageBytesMax> bytes_{};
  std::size_t size_ = 0;
};

// Text messages: what does not fit into 255 bytes is cut.
void write_rtde_text(RtdeWriter& writer, const RtdeText& text);

}  // namespace instep

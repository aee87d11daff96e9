// The bytes of iRobot's Create 2 Open Interface (specification of 10 August 2016): commands,
// sensor packets and stream frames, in both directions. Pure: no time, no file, no allocation.
//
// Numbers of more than one byte are big-endian. Ids and opcodes are the specification's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace instep {

enum class Create2Mode : std::uint8_t { kOff = 0, kPassive = 1, kSafe = 2, kFull = 3 };

enum class Create2Opcode : std::uint8_t {
  kReset = 7,
  kStart = 128,
  kBaud = 129,
  kControl = 130,
  kSafe = 131,
  kFull = 132,
  kPower = 133,
  kSpot = 134,
  kClean = 135,
  kMax = 136,
  kDrive = 137,
  kMotors = 138,
  kLeds = 139,
  kSong = 140,
  kPlay = 141,
  kSensors = 142,
  kSeekDock = 143,
  kPwmMotors = 144,
  kDriveDirect = 145,
  kDrivePwm = 146,
  kStream = 148,
  kQueryList = 149,
  kPauseStream = 150,
  kSchedulingLeds = 162,
  kDigitLedsRaw = 163,
  kDigitLedsAscii = 164,
  kButtons = 165,
  kSchedule = 167,
  kDayTime = 168,
  kStop = 173,
};

// Sensor packets that are used by name.
enum class Create2Id : std::uint8_t {
  kBumpsAndWheelDrops = 7,
  kWall = 8,
  kCliffLeft = 9,
  kCliffFrontLeft = 10,
  kCliffFrontRight = 11,
  kCliffRight = 12,
  kVirtualWall = 13,
  kOvercurrents = 14,
  kInfraredOmni = 17,
  kDistance = 19,
  kAngle = 20,
  kChargingState = 21,
  kVoltage = 22,
  kCurrent = 23,
  kTemperature = 24,
  kCharge = 25,
  kCapacity = 26,
  kWallSignal = 27,
  kCliffLeftSignal = 28,
  kCliffRightSignal = 31,
  kChargingSources = 34,
  kMode = 35,
  kSongNumber = 36,
  kSongPlaying = 37,
  kStreamPackets = 38,
  kRequestedVelocity = 39,
  kRequestedRadius = 40,
  kRequestedRight = 41,
  kRequestedLeft = 42,
  kEncoderLeft = 43,
  kEncoderRight = 44,
  kLightBumper = 45,
  kLightBumpLeft = 46,
  kLightBumpRight = 51,
  kInfraredLeft = 52,
  kInfraredRight = 53,
  kCurrentWheelLeft = 54,
  kCurrentWheelRight = 55,
  kCurrentMainBrush = 56,
  kCurrentSideBrush = 57,
  kStasis = 58,
};

inline constexpr std::uint8_t kCreate2FrameHeader = 19;
// What fits into the 15 ms between two frames at 115200 baud.
inline constexpr std::size_t kCreate2FrameBytesMax = 172;
inline constexpr std::int64_t kCreate2FramePeriodNs = 15'000'000;
inline constexpr double kCreate2WheelBaseMm = 235.0;
inline constexpr int kCreate2SpeedMaxMmS = 500;

// Bytes of the data of a packet or group; 0 for an id that does not exist.
std::size_t create2_packet_bytes(std::uint8_t id);

// The packets of a group, in order; {id, id} for a packet by itself, {1, 0} for an unknown id.
struct Create2IdRange {
  std::uint8_t first = 1;
  std::uint8_t last = 0;
};
Create2IdRange create2_id_range(std::uint8_t id);

// ------------------------------------------------------------------------------------------------
// Commands

// Opcode 145: the right wheel comes first on the wire. Speeds beyond +-500 mm/s are clipped.
std::array<std::uint8_t, 5> encode_create2_drive_direct(int left_mm_s, int right_mm_s);

// Opcode 137: radius in mm, or one of the special ones below. Both are clipped to the
// specification's ranges.
inline constexpr int kCreate2Straight = -32768;
inline constexpr int kCreate2TurnClockwise = -1;
inline constexpr int kCreate2TurnCounterclockwise = 1;
std::array<std::uint8_t, 5> encode_create2_drive(int speed_mm_s, int radius_mm);

// A command as the robot understands it.
struct Create2Command {
  std::uint8_t opcode = 0;
  std::uint8_t size = 0;  // of data
  std::array<std::uint8_t, 256> data{};

  int word(std::size_t at) const {  // two's complement
    return static_cast<std::int16_t>(static_cast<std::uint16_t>(data[at] << 8 | data[at + 1]));
  }
};

// The robot's ear. As in the robot, a command that lacks bytes takes them from what follows. Plain
// data that may be copied and saved.
class Create2CommandParser {
 public:
  // Takes one byte; true when it completes command(). Bytes that are no opcode where one is due are
  // ignored.
  bool take(std::uint8_t byte);
  const Create2Command& command() const { return command_; }
  bool is_waiting() const { return is_waiting_ != 0; }  // for the rest of a command

  // False when these bytes can be no parser that take() has left behind.
  bool is_valid() const;

 private:
  std::size_t bytes_due() const;

  Create2Command command_;
  std::uint8_t is_waiting_ = 0;
};

// ------------------------------------------------------------------------------------------------
// Stream frames: 19, n, (id, data)*, checksum; all bytes add up to 0 modulo 256.

// Writes one frame. A value goes in under its packet's id, with the number of bytes it has.
class Create2FrameWriter {
 public:
  void begin();
  void add(std::uint8_t id, std::uint32_t value);  // room for kCreate2FrameBytesMax is checked
  // Ends the frame; the bytes are valid until begin().
  std::span<const std::uint8_t> finish();

 private:
  std::array<std::uint8_t, kCreate2FrameBytesMax> bytes_{};
  std::size_t size_ = 0;
};

// Finds the frames of one list of ids in any bytes. 19 also occurs inside data, so that a frame
// counts only if header, length, every id and the checksum are right; after a wrong one the search
// goes on at the next byte, because a right one may begin inside.
class Create2StreamDecoder {
 public:
  // Ids of single packets, in the order of the request.
  explicit Create2StreamDecoder(std::span<const std::uint8_t> ids);

  // Forgets half-read bytes.
  void clear() { size_ = 0; }
  // Takes bytes from the front of `bytes`; answers how many. All of them fit when next() has been
  // called until it answered nothing.
  std::size_t push(std::span<const std::uint8_t> bytes);
  // The next frame, header to checksum, valid until push(); empty when there is none yet.
  std::span<const std::uint8_t> next();

  std::size_t frame_bytes() const { return frame_bytes_; }
  // False when these bytes can be no decoder of the same ids that push() and next() have left
  // behind.
  bool is_like(const Create2StreamDecoder& other) const;

  std::uint64_t bytes_skipped() const { return bytes_skipped_; }
  std::uint64_t checksum_errors() const { return checksum_errors_; }

 private:
  bool has_right_ids(const std::uint8_t* frame) const;
  void skip(std::size_t bytes);

  std::array<std::uint8_t, 64> ids_{};
  std::size_t id_count_ = 0;
  std::size_t frame_bytes_ = 0;
  std::array<std::uint8_t, 4 * kCreate2FrameBytesMax> buffer_{};
  std::size_t begin_ = 0;
  std::size_t size_ = 0;  // of what is in the buffer, from begin_
  std::uint64_t bytes_skipped_ = 0;
  std::uint64_t checksum_errors_ = 0;
};

// What a frame said. Packets that it does not hold keep their value.
struct Create2Readings {
  std::array<std::uint16_t, 6> light_bump{};  // 0..4095: L, FL, CL, CR, FR, R
  std::array<bool, 4> cliff{};                // L, FL, FR, R
  bool bump_left = false;
  bool bump_right = false;
  bool drop_left = false;
  bool drop_right = false;
  std::uint8_t charging_state = 0;    // packet 21
  std::uint8_t charging_sources = 0;  // bit 0: internal charger, bit 1: home base
  std::uint8_t mode = 0;              // as reported; see Create2Session for what it is worth
  std::uint8_t stasis = 0;
  std::uint16_t voltage_mv = 0;
  std::int16_t current_ma = 0;  // below 0: discharging
  std::uint16_t charge_mah = 0;
  std::uint16_t capacity_mah = 0;
  std::int16_t encoder_left = 0;  // counts, wrapping
  std::int16_t encoder_right = 0;
  std::int16_t requested_left_mm_s = 0;
  std::int16_t requested_right_mm_s = 0;
};

// Whether a battery's gauge can say so. That of an old battery may be a little above what it takes
// for the capacity.
constexpr bool is_create2_gauge_possible(const Create2Readings& readings) {
  return readings.charge_mah <= readings.capacity_mah + readings.capacity_mah / 8;
}

// Reads a whole frame, header to checksum. False when it is none (readings may be half new then).
bool decode_create2_frame(std::span<const std::uint8_t> frame, Create2Readings* readings);

// Which packets of a whole frame hold a value that the specification knows no robot to send, as
// bits in the order of the frame (the 64th and later ones share one). A mode of 4 is none of them:
// some robots report every mode as the next one.
std::uint64_t create2_impossible_packets(std::span<const std::uint8_t> frame);

}  // namespace instep

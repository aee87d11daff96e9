#include "drivers/create2/codec.h"

#include <algorithm>
#include <cstring>

#include "kernels/check.h"

namespace instep {
namespace {

// Data bytes of the packets 0 .. 58; the first seven are groups.
constexpr std::array<std::uint8_t, 59> kPacketBytes = {
    26, 10, 6, 10, 14, 12, 52,                                   // groups 0-6
    1,  1,  1, 1,  1,  1,  1,  1, 1, 1, 1, 1,                    // 7-18
    2,  2,  1, 2,  2,  1,  2,  2, 2, 2, 2, 2, 2, 1, 2, 1, 1, 1,  // 19-36
    1,  1,  2, 2,  2,  2,  2,  2,                                // 37-44
    1,  2,  2, 2,  2,  2,  2,                                    // 45-51
    1,  1,  2, 2,  2,  2,  1,                                    // 52-58
};

constexpr std::uint8_t kVariable = 0xFF;
constexpr std::uint8_t kNoOpcode = 0xFE;

// Data bytes behind an opcode.
constexpr std::uint8_t data_bytes(std::uint8_t opcode) {
  switch (static_cast<Create2Opcode>(opcode)) {
    case Create2Opcode::kReset:
    case Create2Opcode::kStart:
    case Create2Opcode::kControl:
    case Create2Opcode::kSafe:
    case Create2Opcode::kFull:
    case Create2Opcode::kPower:
    case Create2Opcode::kSpot:
    case Create2Opcode::kClean:
    case Create2Opcode::kMax:
    case Create2Opcode::kSeekDock:
    case Create2Opcode::kStop:
      return 0;
    case Create2Opcode::kBaud:
    case Create2Opcode::kMotors:
    case Create2Opcode::kPlay:
    case Create2Opcode::kSensors:
    case Create2Opcode::kPauseStream:
    case Create2Opcode::kButtons:
      return 1;
    case Create2Opcode::kSchedulingLeds:
      return 2;
    case Create2Opcode::kLeds:
    case Create2Opcode::kPwmMotors:
    case Create2Opcode::kDayTime:
      return 3;
    case Create2Opcode::kDrive:
    case Create2Opcode::kDriveDirect:
    case Create2Opcode::kDrivePwm:
    case Create2Opcode::kDigitLedsRaw:
    case Create2Opcode::kDigitLedsAscii:
      return 4;
    case Create2Opcode::kSchedule:
      return 15;
    case Create2Opcode::kSong:
    case Create2Opcode::kStream:
    case Create2Opcode::kQueryList:
      return kVariable;
  }
  return kNoOpcode;
}

std::array<std::uint8_t, 5> two_words(Create2Opcode opcode, int first, int second) {
  const auto high = [](int value) { return static_cast<std::uint8_t>((value >> 8) & 0xFF); };
  const auto low = [](int value) { return static_cast<std::uint8_t>(value & 0xFF); };
  return {static_cast<std::uint8_t>(opcode), high(first), low(first), high(second), low(second)};
}

}  // namespace

Create2IdRange create2_id_range(std::uint8_t id) {
  switch (id) {
    case 0:
      return {7, 26};
    case 1:
      return {7, 16};
    case 2:
      return {17, 20};
    case 3:
      return {21, 26};
    case 4:
      return {27, 34};
    case 5:
      return {35, 42};
    case 6:
      return {7, 42};
    case 100:
      return {7, 58};
    case 101:
      return {43, 58};
    case 106:
      return {46, 51};
    case 107:
      return {54, 58};
    default:
      return id <= 58 ? Create2IdRange{id, id} : Create2IdRange{};
  }
}

std::size_t create2_packet_bytes(std::uint8_t id) {
  if (id < kPacketBytes.size()) return kPacketBytes[id];
  const Create2IdRange range = create2_id_range(id);
  std::size_t bytes = 0;
  for (std::size_t i = range.first; i <= range.last; ++i) bytes += kPacketBytes[i];
  return bytes;
}

// ------------------------------------------------------------------------------------------------
// Commands

std::array<std::uint8_t, 5> encode_create2_drive_direct(int left_mm_s, int right_mm_s) {
  const auto clip = [](int v) { return std::clamp(v, -kCreate2SpeedMaxMmS, kCreate2SpeedMaxMmS); };
  return two_words(Create2Opcode::kDriveDirect, clip(right_mm_s), clip(left_mm_s));
}

std::array<std::uint8_t, 5> encode_create2_drive(int speed_mm_s, int radius_mm) {
  const int speed = std::clamp(speed_mm_s, -kCreate2SpeedMaxMmS, kCreate2SpeedMaxMmS);
  const int radius =
      radius_mm == kCreate2Straight ? kCreate2Straight : std::clamp(radius_mm, -2000, 2000);
  return two_words(Create2Opcode::kDrive, speed, radius);
}

// Data bytes of the command that has begun, as far as they are known yet: a list says its length in
// its first byte, a song in its second.
std::size_t Create2CommandParser::bytes_due() const {
  const std::uint8_t fixed = data_bytes(command_.opcode);
  if (fixed != kVariable) return fixed;
  if (command_.opcode == static_cast<std::uint8_t>(Create2Opcode::kSong)) {
    // Sixteen notes at most; the specification is silent about more.
    if (command_.size < 2) return 2;
    return 2 + 2 * std::min<std::size_t>(command_.data[1], 16);
  }
  return command_.size < 1 ? 1 : std::size_t{1} + std::min<std::size_t>(command_.data[0], 255);
}

bool Create2CommandParser::take(std::uint8_t byte) {
  if (is_waiting_ == 0) {
    if (data_bytes(byte) == kNoOpcode) return false;
    command_.opcode = byte;
    command_.size = 0;
  } else if (command_.size < 255) {
    command_.data[command_.size++] = byte;
  } else {
    // The 255th id of a list: it is longer than any frame, so that its end does not matter.
    is_waiting_ = 0;
    return true;
  }
  is_waiting_ = command_.size < bytes_due() ? 1 : 0;
  return is_waiting_ == 0;
}

bool Create2CommandParser::is_valid() const {
  return is_waiting_ == 0 || (is_waiting_ == 1 && data_bytes(command_.opcode) != kNoOpcode &&
                              command_.size < bytes_due());
}

// ------------------------------------------------------------------------------------------------
// Stream frames

void Create2FrameWriter::begin() {
  bytes_[0] = kCreate2FrameHeader;
  size_ = 2;
}

void Create2FrameWriter::add(std::uint8_t id, std::uint32_t value) {
  const std::size_t bytes = create2_packet_bytes(id);
  INSTEP_CHECK(bytes == 1 || bytes == 2);
  INSTEP_CHECK(size_ + 1 + bytes + 1 <= bytes_.size());
  bytes_[size_++] = id;
  if (bytes == 2) bytes_[size_++] = static_cast<std::uint8_t>(value >> 8);
  bytes_[size_++] = static_cast<std::uint8_t>(value);
}

std::span<const std::uint8_t> Create2FrameWriter::finish() {
  bytes_[1] = static_cast<std::uint8_t>(size_ - 2);
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < size_; ++i) sum = static_cast<std::uint8_t>(sum + bytes_[i]);
  bytes_[size_++] = static_cast<std::uint8_t>(-sum);
  return {bytes_.data(), size_};
}

Create2StreamDecoder::Create2StreamDecoder(std::span<const std::uint8_t> ids)
    : id_count_(ids.size()) {
  INSTEP_CHECK(!ids.empty() && ids.size() <= ids_.size());
  std::copy(ids.begin(), ids.end(), ids_.begin());
  frame_bytes_ = 3;
  for (const std::uint8_t id : ids) {
    const Create2IdRange range = create2_id_range(id);
    INSTEP_CHECK(range.first == id && range.last == id);
    frame_bytes_ += 1 + create2_packet_bytes(id);
  }
  INSTEP_CHECK(frame_bytes_ <= kCreate2FrameBytesMax);
}

bool Create2StreamDecoder::is_like(const Create2StreamDecoder& other) const {
  return ids_ == other.ids_ && id_count_ == other.id_count_ && frame_bytes_ == other.frame_bytes_ &&
         begin_ <= buffer_.size() && size_ <= buffer_.size() - begin_;
}

std::size_t Create2StreamDecoder::push(std::span<const std::uint8_t> bytes) {
  std::memmove(buffer_.data(), buffer_.data() + begin_, size_);
  begin_ = 0;
  const std::size_t taken = std::min(bytes.size(), buffer_.size() - size_);
  if (taken > 0) std::memcpy(buffer_.data() + size_, bytes.data(), taken);
  size_ += taken;
  return taken;
}

bool Create2StreamDecoder::has_right_ids(const std::uint8_t* frame) const {
  const std::uint8_t* at = frame + 2;
  for (std::size_t i = 0; i < id_count_; ++i) {
    if (*at != ids_[i]) return false;
    at += 1 + create2_packet_bytes(ids_[i]);
  }
  return true;
}

void Create2StreamDecoder::skip(std::size_t bytes) {
  begin_ += bytes;
  size_ -= bytes;
}

std::span<const std::uint8_t> Create2StreamDecoder::next() {
  while (size_ >= 2) {
    const std::uint8_t* const frame = buffer_.data() + begin_;
    if (frame[0] != kCreate2FrameHeader || frame[1] != frame_bytes_ - 3) {
      skip(1);
      ++bytes_skipped_;
      continue;
    }
    if (size_ < frame_bytes_) return {};
    std::uint8_t sum = 0;
    for (std::size_t i = 0; i < frame_bytes_; ++i) sum = static_cast<std::uint8_t>(sum + frame[i]);
    if (sum == 0 && has_right_ids(frame)) {
      skip(frame_bytes_);
      return {frame, frame_bytes_};
    }
    ++checksum_errors_;
    ++bytes_skipped_;
    skip(1);
  }
  return {};
}

namespace {

void read_packet(std::uint8_t id, int byte, int word, Create2Readings* out) {
  const auto bit = [byte](int at) { return (byte >> at & 1) != 0; };
  const auto u8 = static_cast<std::uint8_t>(byte);
  const auto u16 = static_cast<std::uint16_t>(word);
  const auto i16 = static_cast<std::int16_t>(u16);
  switch (static_cast<Create2Id>(id)) {
    case Create2Id::kBumpsAndWheelDrops:
      out->bump_right = bit(0);
      out->bump_left = bit(1);
      out->drop_right = bit(2);
      out->drop_left = bit(3);
      break;
    case Create2Id::kCliffLeft:
    case Create2Id::kCliffFrontLeft:
    case Create2Id::kCliffFrontRight:
    case Create2Id::kCliffRight:
      out->cliff[id - static_cast<std::size_t>(Create2Id::kCliffLeft)] = bit(0);
      break;
    case Create2Id::kChargingState:
      out->charging_state = u8;
      break;
    case Create2Id::kVoltage:
      out->voltage_mv = u16;
      break;
    case Create2Id::kCurrent:
      out->current_ma = i16;
      break;
    case Create2Id::kCharge:
      out->charge_mah = u16;
      break;
    case Create2Id::kCapacity:
      out->capacity_mah = u16;
      break;
    case Create2Id::kChargingSources:
      out->charging_sources = u8;
      break;
    case Create2Id::kMode:
      out->mode = u8;
      break;
    case Create2Id::kRequestedRight:
      out->requested_right_mm_s = i16;
      break;
    case Create2Id::kRequestedLeft:
      out->requested_left_mm_s = i16;
      break;
    case Create2Id::kEncoderLeft:
      out->encoder_left = i16;
      break;
    case Create2Id::kEncoderRight:
      out->encoder_right = i16;
      break;
    case Create2Id::kStasis:
      out->stasis = u8;
      break;
    default:
      if (id >= static_cast<std::uint8_t>(Create2Id::kLightBumpLeft) &&
          id <= static_cast<std::uint8_t>(Create2Id::kLightBumpRight)) {
        out->light_bump[id - static_cast<std::size_t>(Create2Id::kLightBumpLeft)] = u16;
      }
  }
}

}  // namespace

bool decode_create2_frame(std::span<const std::uint8_t> frame, Create2Readings* readings) {
  if (frame.size() < 3 || frame[0] != kCreate2FrameHeader || frame[1] != frame.size() - 3) {
    return false;
  }
  std::size_t at = 2;
  const std::size_t end = frame.size() - 1;
  while (at < end) {
    const std::uint8_t id = frame[at++];
    const std::size_t bytes = create2_packet_bytes(id);
    if (bytes == 0 || bytes > end - at) return false;
    if (bytes <= 2) {
      const int word = bytes == 2 ? frame[at] << 8 | frame[at + 1] : 0;
      read_packet(id, frame[at], word, readings);
    }
    at += bytes;
  }
  return true;
}

namespace {

struct Range {
  int least;
  int most;
};

// What packets may say that cannot say everything. Distance and angle can: they are sums since they
// were asked for last.
constexpr Range range_of(std::uint8_t id) {
  constexpr Range kAnyByte = {0, 255};
  constexpr Range kAnyWord = {0, 65535};
  switch (static_cast<Create2Id>(id)) {
    case Create2Id::kBumpsAndWheelDrops:
      return {0, 15};
    case Create2Id::kWall:
    case Create2Id::kCliffLeft:
    case Create2Id::kCliffFrontLeft:
    case Create2Id::kCliffFrontRight:
    case Create2Id::kCliffRight:
    case Create2Id::kVirtualWall:
    case Create2Id::kSongPlaying:
      return {0, 1};
    case Create2Id::kOvercurrents:
      return {0, 31};
    case Create2Id::kChargingState:
      return {0, 5};
    case Create2Id::kVoltage:  // a battery of 14.4 V, also while it is charged
      return {0, 25'000};
    case Create2Id::kTemperature:  // of the battery, in degrees Celsius
      return {-40, 100};
    case Create2Id::kCapacity:
      return {0, 10'000};
    case Create2Id::kCurrent:  // the battery's, and those of four motors
    case Create2Id::kCurrentWheelLeft:
    case Create2Id::kCurrentWheelRight:
    case Create2Id::kCurrentMainBrush:
    case Create2Id::kCurrentSideBrush:
      return {-10'000, 10'000};
    case Create2Id::kWallSignal:
      return {0, 1023};
    case Create2Id::kChargingSources:
    case Create2Id::kStasis:
      return {0, 3};
    case Create2Id::kMode:
      return {0, 4};
    case Create2Id::kSongNumber:
      return {0, 15};
    case Create2Id::kStreamPackets:
      return {0, 108};
    case Create2Id::kRequestedVelocity:
    case Create2Id::kRequestedRight:
    case Create2Id::kRequestedLeft:
      return {-kCreate2SpeedMaxMmS, kCreate2SpeedMaxMmS};
    case Create2Id::kLightBumper:
      return {0, 63};
    default:
      break;
  }
  const bool is_cliff_signal = id >= static_cast<std::uint8_t>(Create2Id::kCliffLeftSignal) &&
                               id <= static_cast<std::uint8_t>(Create2Id::kCliffRightSignal);
  const bool is_light_bump = id >= static_cast<std::uint8_t>(Create2Id::kLightBumpLeft) &&
                             id <= static_cast<std::uint8_t>(Create2Id::kLightBumpRight);
  if (is_cliff_signal || is_light_bump) return {0, 4095};
  return kPacketBytes[id] == 1 ? kAnyByte : kAnyWord;
}

constexpr bool is_signed(std::uint8_t id) {
  return range_of(id).least < 0;
}

}  // namespace

std::uint64_t create2_impossible_packets(std::span<const std::uint8_t> frame) {
  std::uint64_t impossible = 0;
  std::size_t at = 2;
  for (std::size_t i = 0; at + 1 < frame.size(); ++i) {
    const std::uint8_t id = frame[at++];
    const std::size_t bytes = create2_packet_bytes(id);
    if (bytes == 0 || bytes > frame.size() - 1 - at) return ~std::uint64_t{0};
    if (id < kPacketBytes.size() && bytes <= 2) {
      const int word = bytes == 2 ? frame[at] << 8 | frame[at + 1] : frame[at];
      const int signed_word =
          bytes == 2 ? static_cast<std::int16_t>(word) : static_cast<std::int8_t>(word);
      const int value = is_signed(id) ? signed_word : word;
      const Range range = range_of(id);
      if (value < range.least || value > range.most) {
        impossible |= std::uint64_t{1} << std::min<std::size_t>(i, 63);
      }
    }
    at += bytes;
  }
  return impossible;
}

}  // namespace instep

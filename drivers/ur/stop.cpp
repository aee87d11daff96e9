#include "drivers/ur/stop.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <string_view>

#include "drivers/ur/program.h"

namespace instep {
namespace {

constexpr std::size_t kHeadBytes = 5;  // size and type, of messages and of their parts
constexpr std::uint8_t kRobotState = 16;
constexpr std::uint8_t kModePart = 0;
constexpr std::uint8_t kJointPart = 1;
constexpr std::size_t kIsRunningAt = kHeadBytes + 8 + 5;  // in the mode part
constexpr std::size_t kJoints = 6;
constexpr std::size_t kJointBytes = 41;
constexpr std::size_t kSpeedAt = 16;  // in a joint's bytes

template <class Number>
Number big_endian(std::span<const std::uint8_t> bytes) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | bytes[i];
  return number;
}

// The largest speed of a joint, rad/s; nothing where the part is too short.
std::optional<double> largest_speed(std::span<const std::uint8_t> part) {
  if (part.size() < kHeadBytes + kJoints * kJointBytes) return std::nullopt;
  double largest = 0.0;
  for (std::size_t i = 0; i < kJoints; ++i) {
    const auto bytes = part.subspan(kHeadBytes + i * kJointBytes + kSpeedAt, 8);
    const double speed = std::abs(std::bit_cast<double>(big_endian<std::uint64_t>(bytes)));
    // Written so that a NaN is the largest of all.
    if (!(speed <= largest)) largest = speed;
  }
  return largest;
}

}  // namespace

void UrStop::begin(std::int64_t now_ns) {
  size_ = skipped_ = written_ = 0;
  written_ns_ = -1;
  sent_ns_ = now_ns;
  states_at_rest_ = 0;
  stillness_ = Stillness::kUnknown;
}

void UrStop::on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  while (!bytes.empty()) {
    if (skipped_ > 0) {
      const std::size_t count = std::min(skipped_, bytes.size());
      skipped_ -= count;
      bytes = bytes.subspan(count);
      continue;
    }
    bytes_[size_++] = bytes.front();
    bytes = bytes.subspan(1);
    if (size_ < kHeadBytes) continue;
    const std::size_t whole = big_endian<std::uint32_t>(bytes_);
    if (whole < kHeadBytes || whole > bytes_.size()) {
      skipped_ = whole > size_ ? whole - size_ : 0;
      size_ = 0;
    } else if (size_ == whole) {
      judge({bytes_.data(), size_}, now_ns);
      size_ = 0;
    }
  }
}

void UrStop::judge(std::span<const std::uint8_t> message, std::int64_t now_ns) {
  if (message[4] != kRobotState || written_ns_ < 0 || now_ns - written_ns_ < kHeardNs) return;
  std::optional<double> speed;
  std::optional<bool> is_running;
  for (auto rest = message.subspan(kHeadBytes); rest.size() >= kHeadBytes;) {
    const std::size_t size = big_endian<std::uint32_t>(rest);
    if (size < kHeadBytes || size > rest.size()) break;
    const auto part = rest.first(size);
    if (part[4] == kJointPart) speed = largest_speed(part);
    if (part[4] == kModePart && size > kIsRunningAt) is_running = part[kIsRunningAt] != 0;
    rest = rest.subspan(size);
  }
  if (!speed || !is_running) return;
  const bool is_at_rest = *speed <= kRestRadS;
  states_at_rest_ = is_at_rest && !*is_running ? states_at_rest_ + 1 : 0;
  stillness_ = states_at_rest_ >= kStatesAtRest ? Stillness::kStands
               : is_at_rest                     ? Stillness::kUnknown
                                                : Stillness::kMoves;
}

std::int64_t UrStop::poll(std::int64_t now_ns) {
  const bool is_written = written_ == ur_stop_text().size();
  if (is_written && written_ns_ < 0) written_ns_ = now_ns;
  if (is_written && stillness_ != Stillness::kStands && now_ns - sent_ns_ >= kRepeatNs) {
    written_ = 0;
    sent_ns_ = now_ns;
  }
  // Once it is written, when that was is noticed at once.
  return written_ns_ < 0 ? now_ns + 1'000'000 : sent_ns_ + kRepeatNs;
}

std::span<const std::uint8_t> UrStop::output() const {
  return {reinterpret_cast<const std::uint8_t*>(ur_stop_text().data()) + written_,
          ur_stop_text().size() - written_};
}

}  // namespace instep

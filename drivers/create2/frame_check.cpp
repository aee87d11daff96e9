#include "drivers/create2/frame_check.h"

#include <algorithm>
#include <cstdlib>

namespace instep {
namespace {

// A bit that no packet of a stream has.
constexpr std::uint64_t kChargeBit = std::uint64_t{1} << 62;

// The gauge of an old battery may be a little above what it takes for the capacity.
constexpr bool is_gauge_possible(const Create2Readings& readings) {
  return readings.charge_mah <= readings.capacity_mah + readings.capacity_mah / 8;
}

}  // namespace

std::int64_t create2_counts_max(std::int64_t elapsed_ns) {
  constexpr double kCountsPerNs = kCreate2SpeedMaxMmS / kCreate2MmPerCount * 1e-9;
  const double counts = static_cast<double>(elapsed_ns + kCreate2FramePeriodNs) * kCountsPerNs;
  return 2 + static_cast<std::int64_t>(std::min(counts, 65536.0));
}

bool Create2FrameCheck::has_possible_values(std::span<const std::uint8_t> frame,
                                            const Create2Readings& readings) {
  std::uint64_t wrong = create2_impossible_packets(frame);
  if (!is_gauge_possible(readings)) wrong |= kChargeBit;
  if ((always_wrong_ & wrong) == 0) {
    always_wrong_ = wrong;
    wrong_frames_ = 0;
  }
  always_wrong_ &= wrong;
  wrong_frames_ = wrong == 0 ? 0 : wrong_frames_ + 1;
  if (wrong_frames_ >= kFramesOfAWay) tolerated_ |= always_wrong_;
  return (wrong & ~tolerated_) == 0;
}

bool Create2FrameCheck::has_possible_encoders(const Encoders& encoders) {
  const auto follow = [&encoders](const Encoders& before) {
    const auto turned = [](std::int64_t from, std::int64_t to) {
      return std::abs(
          create2_counts_between(static_cast<std::int16_t>(from), static_cast<std::int16_t>(to)));
    };
    const std::int64_t elapsed_ns =
        std::max(kCreate2FramePeriodNs, encoders.time_ns - before.time_ns);
    const std::int64_t most = create2_counts_max(elapsed_ns);
    return turned(before.left, encoders.left) <= most &&
           turned(before.right, encoders.right) <= most;
  };
  if (has_last_ == 0 || follow(last_)) {
    pending_frames_ = 0;
  } else {
    const bool agrees = pending_frames_ > 0 && follow(pending_);
    pending_frames_ = agrees ? pending_frames_ + 1 : 1;
    pending_ = encoders;
    if (pending_frames_ < kFramesOfAJump) return false;
    pending_frames_ = 0;
  }
  has_last_ = 1;
  last_ = encoders;
  return true;
}

bool Create2FrameCheck::is_possible(std::span<const std::uint8_t> frame,
                                    const Create2Readings& readings, std::int64_t time_ns) {
  return has_possible_values(frame, readings) &&
         has_possible_encoders({readings.encoder_left, readings.encoder_right, time_ns});
}

bool Create2FrameCheck::is_valid() const {
  const auto is_right = [](const Encoders& encoders) {
    return std::abs(encoders.left) <= 32768 && std::abs(encoders.right) <= 32768 &&
           encoders.time_ns >= 0 && encoders.time_ns < INT64_MAX / 4;
  };
  return wrong_frames_ >= 0 && wrong_frames_ < INT64_MAX / 4 && pending_frames_ >= 0 &&
         pending_frames_ < kFramesOfAJump && is_right(last_) && is_right(pending_);
}

}  // namespace instep

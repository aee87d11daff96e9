#include "drivers/create2/frame_check.h"

#include <algorithm>
#include <cstdlib>

#include "drivers/create2/fields.h"

namespace instep {
namespace {

// A bit that no packet of a stream has.
constexpr std::uint64_t kChargeBit = std::uint64_t{1} << 62;
// A gauge corrects itself by little, and no current is above some 9 A.
constexpr std::int64_t kGaugeStepMah = 200;
constexpr std::int64_t kNsPerMah = 400'000'000;

}  // namespace

bool Create2FrameCheck::has_possible_values(std::span<const std::uint8_t> frame,
                                            const Create2Readings& readings) {
  std::uint64_t wrong = create2_impossible_packets(frame);
  if (!is_create2_gauge_possible(readings)) wrong |= kChargeBit;
  if ((always_wrong_ & wrong) == 0) {
    always_wrong_ = wrong;
    wrong_frames_ = 0;
  }
  always_wrong_ &= wrong;
  wrong_frames_ = wrong == 0 ? 0 : wrong_frames_ + 1;
  if (wrong_frames_ >= kFramesOfAWay) tolerated_ |= always_wrong_;
  return (wrong & ~tolerated_) == 0;
}

bool Create2FrameCheck::has_possible_course(const Course& now) {
  const auto follows = [this, &now](const Course& before) {
    const auto turned = [](std::int32_t from, std::int32_t to) {
      return std::abs(
          create2_counts_between(static_cast<std::int16_t>(from), static_cast<std::int16_t>(to)));
    };
    const std::int64_t elapsed_ns = std::max(kCreate2FramePeriodNs, now.time_ns - before.time_ns);
    const std::int64_t most = create2_counts_max(elapsed_ns);
    const std::int64_t most_mah = kGaugeStepMah + elapsed_ns / kNsPerMah;
    const bool has_gauge = (tolerated_ & kChargeBit) == 0;
    return turned(before.encoder_left, now.encoder_left) <= most &&
           turned(before.encoder_right, now.encoder_right) <= most &&
           (!has_gauge || (std::abs(now.charge_mah - before.charge_mah) <= most_mah &&
                           std::abs(now.capacity_mah - before.capacity_mah) <= most_mah));
  };
  if (has_last_ == 0 || follows(last_)) {
    pending_frames_ = 0;
  } else {
    const bool agrees = pending_frames_ > 0 && follows(pending_);
    pending_frames_ = agrees ? pending_frames_ + 1 : 1;
    pending_ = now;
    if (pending_frames_ < kFramesOfAJump) return false;
    pending_frames_ = 0;
  }
  has_last_ = 1;
  last_ = now;
  return true;
}

bool Create2FrameCheck::is_possible(std::span<const std::uint8_t> frame,
                                    const Create2Readings& readings, std::int64_t time_ns) {
  return has_possible_values(frame, readings) &&
         has_possible_course({readings.encoder_left, readings.encoder_right, readings.charge_mah,
                              readings.capacity_mah, time_ns});
}

bool Create2FrameCheck::is_valid() const {
  const auto is_right = [](const Course& course) {
    const auto is_word = [](std::int32_t value) { return value >= -65535 && value <= 65535; };
    return is_word(course.encoder_left) && is_word(course.encoder_right) &&
           is_word(course.charge_mah) && is_word(course.capacity_mah) && course.time_ns >= 0 &&
           course.time_ns < INT64_MAX / 4;
  };
  return wrong_frames_ >= 0 && wrong_frames_ < INT64_MAX / 4 && pending_frames_ >= 0 &&
         pending_frames_ < kFramesOfAJump && is_right(last_) && is_right(pending_);
}

}  // namespace instep

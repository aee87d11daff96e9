#include "drivers/create2/stop.h"

#include <algorithm>
#include <cstdlib>

#include "drivers/create2/fields.h"

namespace instep {
namespace {

// A wheel that stands may be read half a count further.
bool is_at_rest(std::int16_t before, std::int16_t now) {
  return std::abs(create2_counts_between(before, now)) <= 1;
}

}  // namespace

Create2Stop::Create2Stop() : decoder_(kCreate2StreamIds) {
  const auto stop = create2_stop_bytes();
  std::copy(stop.begin(), stop.end(), output_.begin());
  std::uint8_t* const request = output_.data() + stop.size();
  request[0] = static_cast<std::uint8_t>(Create2Opcode::kStream);
  request[1] = static_cast<std::uint8_t>(kCreate2StreamIds.size());
  std::copy(kCreate2StreamIds.begin(), kCreate2StreamIds.end(), request + 2);
}

void Create2Stop::begin(std::int64_t now_ns) {
  decoder_.clear();
  output_size_ = create2_stop_bytes().size();
  written_ = 0;
  sent_ns_ = frame_ns_ = now_ns;
  written_ns_ = -1;
  frames_at_rest_ = 0;
  has_encoders_ = false;
  stillness_ = Stillness::kUnknown;
}

void Create2Stop::judge(const Create2Readings& readings) {
  const bool asks_for_none =
      readings.requested_left_mm_s == 0 && readings.requested_right_mm_s == 0;
  const bool rests = has_encoders_ && is_at_rest(encoder_left_, readings.encoder_left) &&
                     is_at_rest(encoder_right_, readings.encoder_right);
  encoder_left_ = readings.encoder_left;
  encoder_right_ = readings.encoder_right;
  frames_at_rest_ = asks_for_none && rests ? frames_at_rest_ + 1 : 0;
  if (has_encoders_) {
    stillness_ = frames_at_rest_ >= kFramesAtRest ? Stillness::kStands : Stillness::kMoves;
  }
  has_encoders_ = true;
}

// Whether a frame that is read now can show what the stop has come to.
bool Create2Stop::was_heard(std::int64_t now_ns) {
  if (written_ns_ < 0 && written_ == output_size_) written_ns_ = now_ns;
  return written_ns_ >= 0 && now_ns - written_ns_ >= kHeardNs;
}

void Create2Stop::on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(decoder_.push(bytes));
    for (auto frame = decoder_.next(); !frame.empty(); frame = decoder_.next()) {
      Create2Readings readings;
      if (!was_heard(now_ns) || !decode_create2_frame(frame, &readings)) continue;
      frame_ns_ = now_ns;
      judge(readings);
    }
  }
}

std::int64_t Create2Stop::poll(std::int64_t now_ns) {
  const bool is_due = now_ns - sent_ns_ >= kRepeatNs;
  if (stillness_ != Stillness::kStands && is_due && written_ == output_size_) {
    const bool is_silent = now_ns - frame_ns_ >= kRepeatNs;
    output_size_ = create2_stop_bytes().size() + (is_silent ? kRequestBytes : 0);
    written_ = 0;
    sent_ns_ = now_ns;
  }
  return std::max(sent_ns_ + kRepeatNs, now_ns + 1'000'000);
}

std::span<const std::uint8_t> Create2Stop::output() const {
  return {output_.data() + written_, output_size_ - written_};
}

}  // namespace instep

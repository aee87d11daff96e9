#include "drivers/create2/takeover.h"

#include <algorithm>

namespace instep {
namespace {

constexpr std::int64_t kMillisecondNs = 1'000'000;
// Until a mode that was asked for shows: it takes 150 ms, and frames may be late.
constexpr std::int64_t kModeShowsNs = 400 * kMillisecondNs;
// For which late frames may still show speeds that have been replaced.
constexpr std::int64_t kCommandShowsNs = 1000 * kMillisecondNs;
// A cliff or a drop may be over when the reflex shows.
constexpr std::int64_t kCauseNs = 500 * kMillisecondNs;
// Until a damaged command shows.
constexpr std::int64_t kDamageShowsNs = 60 * kMillisecondNs;
constexpr std::int64_t kFramesMin = 2;

constexpr int kPassive = static_cast<int>(Create2Mode::kPassive);
constexpr int kSafe = static_cast<int>(Create2Mode::kSafe);

}  // namespace

void Create2Takeover::note_mode(Create2Mode mode, std::int64_t now_ns) {
  (mode == Create2Mode::kSafe ? asked_safe_ns_ : asked_passive_ns_) = now_ns;
  note_speeds(0, 0, now_ns);
}

void Create2Takeover::note_speeds(std::int64_t left_mm_s, std::int64_t right_mm_s,
                                  std::int64_t now_ns) {
  const Speeds speeds{left_mm_s, right_mm_s};
  Told& newest = told_[static_cast<std::size_t>(told_at_)];
  if (newest.speeds == speeds) return;
  newest.until_ns = now_ns;
  told_at_ = (told_at_ + 1) % static_cast<std::int64_t>(told_.size());
  told_[static_cast<std::size_t>(told_at_)] = {speeds};
}

bool Create2Takeover::is_told(const Speeds& speeds, std::int64_t now_ns) const {
  if (told_[static_cast<std::size_t>(told_at_)].speeds == speeds) return true;
  return std::any_of(told_.begin(), told_.end(), [&](const Told& told) {
    return told.speeds == speeds && now_ns - told.until_ns <= kCommandShowsNs;
  });
}

bool Create2Takeover::is_strange_mode(const Create2Readings& readings, int mode,
                                      std::int64_t now_ns) {
  const auto is_any = [](const auto& bits) {
    return std::any_of(bits.begin(), bits.end(), [](bool bit) { return bit; });
  };
  if (readings.drop_left || readings.drop_right || is_any(readings.cliff) ||
      readings.charging_sources != 0 || readings.charging_state != 0) {
    cause_ns_ = now_ns;
  }
  if (has_frame_ == 0 || mode == mode_) {
    mode_ = mode;
    mode_frames_ = 0;
    return false;
  }
  const bool is_asked = (mode == kPassive && now_ns - asked_passive_ns_ <= kModeShowsNs) ||
                        (mode == kSafe && now_ns - asked_safe_ns_ <= kModeShowsNs);
  const bool is_reflex = mode == kPassive && mode_ == kSafe && now_ns - cause_ns_ <= kCauseNs;
  ++mode_frames_;
  if (!is_asked && !is_reflex && mode_frames_ < kFramesMin) return false;
  mode_ = mode;
  mode_frames_ = 0;
  return !is_asked && !is_reflex;
}

// Speeds that nobody here has told. One of ours that was damaged shows soon after it was sent, and
// is sent again; but a stop is obeyed, whosever it is.
bool Create2Takeover::is_strange_speed(const Create2Readings& readings, std::int64_t now_ns) {
  const Speeds speeds{readings.requested_left_mm_s, readings.requested_right_mm_s};
  const bool is_stop = speeds == Speeds{};
  const bool may_be_damage = !is_stop && speed_frames_ == 0 && now_ns - bytes_ns_ <= kDamageShowsNs;
  const bool is_reflex = is_stop && now_ns - cause_ns_ <= kCauseNs;
  const bool is_old = now_ns - silence_ns_ <= kCommandShowsNs;
  if (has_frame_ == 0 || mode_ < kSafe || speeds == speeds_ || may_be_damage || is_reflex ||
      is_old || is_told(speeds, now_ns)) {
    speeds_ = speeds;
    speed_frames_ = 0;
    return false;
  }
  if (++speed_frames_ < kFramesMin) return false;
  speeds_ = speeds;
  speed_frames_ = 0;
  return true;
}

bool Create2Takeover::add_frame(const Create2Readings& readings, int mode, std::int64_t now_ns) {
  const bool is_mode = is_strange_mode(readings, mode, now_ns);
  const bool is_speed = is_strange_speed(readings, now_ns);
  has_frame_ = 1;
  return is_mode || is_speed;
}

bool Create2Takeover::is_valid() const {
  const auto is_time = [](std::int64_t ns) { return ns >= kNever && ns < INT64_MAX / 4; };
  return mode_frames_ >= 0 && mode_frames_ <= kFramesMin && speed_frames_ >= 0 &&
         speed_frames_ <= kFramesMin && told_at_ >= 0 &&
         told_at_ < static_cast<std::int64_t>(told_.size()) && is_time(asked_passive_ns_) &&
         is_time(asked_safe_ns_) && is_time(cause_ns_) && is_time(bytes_ns_) &&
         is_time(silence_ns_);
}

}  // namespace instep

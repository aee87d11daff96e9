// Whether a robot can have sent a frame whose checksum is right: eight bits let one damaged frame
// in 256 pass.
#pragma once

#include <cstdint>
#include <span>

#include "drivers/create2/codec.h"

namespace instep {

// Judges one frame after another. Plain data; members of eight bytes, so that no padding makes
// equal states differ.
//
// Nothing locks a robot out for good: a value out of its range that every frame of a robot has is
// that robot's way, and is let pass after kFramesOfAWay of them; encoders or a charge that have
// jumped (somebody carried the robot while it was not heard, or changed its battery) are taken
// where they are once kFramesOfAJump frames in a row agree.
class Create2FrameCheck {
 public:
  static constexpr std::int64_t kFramesOfAWay = 20;
  static constexpr std::int64_t kFramesOfAJump = 3;

  // The robot was started anew: its encoders may be anywhere.
  void restart() { has_last_ = pending_frames_ = 0; }
  // False for a frame that a robot cannot have sent at time_ns, as read and dated.
  bool is_possible(std::span<const std::uint8_t> frame, const Create2Readings& readings,
                   std::int64_t time_ns);
  // False when these can be no numbers that is_possible() has left behind.
  bool is_valid() const;

 private:
  // What can only follow from what it was before. No padding, either.
  struct Course {
    std::int32_t encoder_left = 0;
    std::int32_t encoder_right = 0;
    std::int32_t charge_mah = 0;
    std::int32_t capacity_mah = 0;
    std::int64_t time_ns = 0;
  };

  bool has_possible_values(std::span<const std::uint8_t> frame, const Create2Readings& readings);
  bool has_possible_course(const Course& now);

  std::uint64_t tolerated_ = 0;     // packets whose range this robot does not keep
  std::uint64_t always_wrong_ = 0;  // packets that were out of range in so many frames in a row
  std::int64_t wrong_frames_ = 0;
  std::int64_t has_last_ = 0;
  Course last_;
  Course pending_;  // of frames that have jumped
  std::int64_t pending_frames_ = 0;
};

}  // namespace instep

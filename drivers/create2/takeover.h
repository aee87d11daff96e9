// Tells whether somebody else has told a Create 2 what to do: a person at its buttons, another
// program on its port. The robot's frames say its mode and the speeds that it was told; what they
// say and nobody here has asked for, and no reflex of the robot explains, is a stranger's.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/create2/codec.h"

namespace instep {

// Plain data; members of eight bytes, so that no padding makes equal states differ.
class Create2Takeover {
 public:
  // A mode has been asked for, which also stops the wheels; speeds have been told.
  void note_mode(Create2Mode mode, std::int64_t now_ns);
  void note_speeds(std::int64_t left_mm_s, std::int64_t right_mm_s, std::int64_t now_ns);
  // Bytes have gone out: a command that was damaged on its way shows soon after.
  void note_bytes(std::int64_t now_ns) { bytes_ns_ = now_ns; }
  // This process stood still, and its guardian may have stopped the robot.
  void note_standstill(std::int64_t now_ns) { note_mode(Create2Mode::kPassive, now_ns); }
  // Frames are back after a silence. They may be old ones, that show speeds of some time ago.
  void note_silence(std::int64_t now_ns) { silence_ns_ = now_ns; }
  // What the robot is found in is right, whoever did it: it has been started anew, or a person has
  // said that the run goes on.
  void forget() { has_frame_ = 0; }

  // What a frame says; `mode` is the corrected one. Answers whether it shows somebody else's hand.
  // It takes two frames in a row, for a single one may be damaged.
  bool add_frame(const Create2Readings& readings, int mode, std::int64_t now_ns);

  // Something has changed, and whose doing it was the next frame will tell: nothing may be asked of
  // the robot that would undo it.
  bool is_undecided() const { return mode_frames_ > 0 || speed_frames_ > 0; }
  // The mode before what is undecided.
  int mode() const { return static_cast<int>(mode_); }

  // False when these can be no numbers that the methods have left behind.
  bool is_valid() const;

 private:
  static constexpr std::int64_t kNever = -(std::int64_t{1} << 60);

  struct Speeds {
    std::int64_t left = 0;
    std::int64_t right = 0;
    friend bool operator==(const Speeds&, const Speeds&) = default;
  };

  // Speeds that were ours until then.
  struct Told {
    Speeds speeds;
    std::int64_t until_ns = kNever;
  };

  bool is_told(const Speeds& speeds, std::int64_t now_ns) const;
  bool is_strange_mode(const Create2Readings& readings, int mode, std::int64_t now_ns);
  bool is_strange_speed(const Create2Readings& readings, std::int64_t now_ns);

  std::int64_t has_frame_ = 0;
  std::int64_t mode_ = 0;
  std::int64_t mode_frames_ = 0;  // in a row that have said another one
  Speeds speeds_;                 // that the robot was told
  std::int64_t speed_frames_ = 0;
  std::int64_t asked_passive_ns_ = kNever;
  std::int64_t asked_safe_ns_ = kNever;
  std::int64_t cause_ns_ = kNever;  // when the last reason for a reflex was seen
  std::int64_t bytes_ns_ = kNever;
  std::int64_t silence_ns_ = kNever;
  std::array<Told, 8> told_{};
  std::int64_t told_at_ = 0;  // the newest of them
};

}  // namespace instep

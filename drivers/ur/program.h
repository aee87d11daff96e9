// The program that the driver has the controller run, in URScript: it moves the arm as the driver's
// registers say, once a control period, and stops it by itself when they no longer change.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace instep {

// What the mode register says.
enum class UrCommandMode : std::int32_t {
  // Without a new sequence number in time the program stops and ends, in both.
  kIdle = 0,   // the arm stands
  kSpeed = 1,  // joint speeds
  kEnd = 2,    // the program stops the arm and ends
};

struct UrProgramOptions {
  // Written to kUrProgramRegister while it runs; above 0. With the other sign when it ends because
  // commands stay away or because it was told to.
  std::int32_t number = 1;
  double watchdog_s = 0.04;  // from the last command that arrived to the beginning of the stop
  // The same of an arm that stands: whoever writes the registers next finds no program then.
  double idle_watchdog_s = 0.5;
  double stop_decel_rad_s2 = 4.0;
};

class UrProgramText {
 public:
  // Overwrites the text.
  void make(const UrProgramOptions& options);
  // Valid until the next make().
  std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::size_t size_ = 0;
  std::array<char, 2048> text_{};
};

// What stops the arm, whatever program runs: a program of one line that replaces it.
std::string_view ur_stop_text();

}  // namespace instep

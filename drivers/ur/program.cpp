#include "drivers/ur/program.h"

#include <cstdio>

#include "drivers/ur/packet.h"
#include "kernels/check.h"

namespace instep {
namespace {

// Every way through the loop instructs the robot for one period, which is what it waits for. Each
// limit leaves out two periods: the one in which the last command was not seen yet, and the one in
// which its end is noticed. Before it ends by itself it says so; one that somebody else ends
// cannot.
constexpr const char* kText = R"(def instep():
  write_output_integer_register(%d, 0)
  age_max = floor(%.6f / get_steptime() + 0.001) - 2
  idle_age_max = floor(%.6f / get_steptime() + 0.001) - 2
  age = 0
  beat = 0
  sequence = read_input_integer_register(%d)
  runs = True
  while runs:
    newest = read_input_integer_register(%d)
    if newest == sequence:
      age = age + 1
    else:
      sequence = newest
      age = 0
    end
    beat = beat + 1
    write_output_integer_register(%d, sequence)
    write_output_integer_register(%d, beat)
    write_output_integer_register(%d, %d)
    mode = read_input_integer_register(%d)
    if mode == %d and age <= idle_age_max:
      speedj([0, 0, 0, 0, 0, 0], %.6f, get_steptime())
    elif mode == %d and age <= age_max:
      speed = [0, 0, 0, 0, 0, 0]
      speed[0] = read_input_float_register(%d)
      speed[1] = read_input_float_register(%d)
      speed[2] = read_input_float_register(%d)
      speed[3] = read_input_float_register(%d)
      speed[4] = read_input_float_register(%d)
      speed[5] = read_input_float_register(%d)
      speedj(speed, read_input_float_register(%d), get_steptime())
    else:
      runs = False
    end
  end
  write_output_integer_register(%d, %d)
  stopj(%.6f)
end
)";

}  // namespace

void UrProgramText::make(const UrProgramOptions& options) {
  const double stop = options.stop_decel_rad_s2;
  const int size = std::snprintf(
      text_.data(), text_.size(), kText, kUrProgramRegister, options.watchdog_s,
      options.idle_watchdog_s, kUrSequenceRegister, kUrSequenceRegister, kUrEchoRegister,
      kUrBeatRegister, kUrProgramRegister, options.number, kUrModeRegister,
      static_cast<int>(UrCommandMode::kIdle), stop, static_cast<int>(UrCommandMode::kSpeed),
      kUrSpeedRegister, kUrSpeedRegister + 1, kUrSpeedRegister + 2, kUrSpeedRegister + 3,
      kUrSpeedRegister + 4, kUrSpeedRegister + 5, kUrAccelRegister, kUrProgramRegister,
      -options.number, stop);
  INSTEP_CHECK(size > 0 && static_cast<std::size_t>(size) < text_.size());
  size_ = static_cast<std::size_t>(size);
}

std::string_view ur_stop_text() {
  return "stopj(4.0)\n";
}

}  // namespace instep

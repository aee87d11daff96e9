// The words users type and read for the things of the program.
#pragma once

#include <string>
#include <string_view>

#include "runtime/settings.h"

namespace instep {

std::string_view schedule_name(Schedule schedule);  // "act_first", "throughput"

// "hidden layers of 256", where the algorithm has such a setting; else its name.
std::string sizes_text(const RunSettings& settings);

}  // namespace instep

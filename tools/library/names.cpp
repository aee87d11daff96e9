#include "tools/library/names.h"

namespace instep {

std::string_view schedule_name(Schedule schedule) {
  return schedule == Schedule::kActFirst ? "act_first" : "throughput";
}

std::string sizes_text(const RunSettings& settings) {
  if (find_setting(*settings.algorithm, "hidden") == nullptr) {
    return std::string(settings.algorithm->name);
  }
  return "hidden layers of " + format_value(settings, "hidden");
}

}  // namespace instep

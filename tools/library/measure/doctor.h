// The doctor command: can this machine keep a period, and if not, what mends it.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/library/measure/rights.h"

namespace instep {

struct Finding {
  enum class Level {
    kGood,
    kAdvice,  // works without, better with
    kBad,     // while it stands, no period can be promised
  };
  std::string check;  // one of a fixed set of words: "kernel", "priority", ...
  Level level = Level::kGood;
  std::string text;  // what was found
  std::string mend;  // the command that mends it; empty for kGood
  // Of kBad: only shorter periods suffer from it, in seconds.
  double matters_below_s = HUGE_VAL;
};

// Looks at kernel, rights, processor clocks, serial ports, the network and, on a Jetson, at its
// power settings, as the files below `root` tell of them; "" is this machine. What is not told is
// left out or said to be unknown; never throws for a missing file. `rights`: what the system
// answered; the files only say what mends it.
std::vector<Finding> examine_machine(const std::string& root, const Rights& rights);
// The same, for a control period of so many seconds: what a longer period bears becomes advice.
std::vector<Finding> judged_by(std::vector<Finding> findings, double period_s);

// Of this machine, whose rights are tried.
std::vector<Finding> examine_this_machine();

// Whether none of them is kBad.
bool real_time_can_be_promised(const std::vector<Finding>& findings);

// {"real_time":bool,"findings":[{"check","level","text","mend"}]}, mend null where nothing is to
// mend.
nlohmann::json findings_json(const std::vector<Finding>& findings);

// Prints the findings, judged by the period of a task, or by the shortest where `task` is empty.
// Answers kDone, or kCheckFailed when real time cannot be promised; throws UsageError when root is
// no folder or the task unknown.
int run_doctor(const std::string& root, const std::string& task, bool json);

}  // namespace instep

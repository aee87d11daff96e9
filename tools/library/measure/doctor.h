// Can this machine keep a period, and if not, what mends it.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "tools/library/measure/rights.h"

namespace instep {

// A kernel without PREEMPT_RT may be some milliseconds late, and clocks that follow the load make
// an update some times slower: a tenth of such a period holds both.
inline constexpr double kLongPeriodS = 0.05;

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

// "good", "advice", "bad".
const char* level_name(Finding::Level level);

// What `root` tells of (empty: this machine), judged by the period of a task, or by the shortest
// where `task` is empty. Throws UsageError where root is no folder or the task unknown.
std::vector<Finding> examine(const std::string& root = "", const std::string& task = "");

}  // namespace instep

// Commands that look at a robot, or stop it, without learning.
#pragma once

#include <string>

namespace instep {

struct RobotOptions {
  std::string device;
  std::string task;      // whose robot it is; empty: the only task that has one
  double seconds = 0.0;  // watch: 0: until Ctrl-C
};

// Shows what the sensors say, a few times a second, and sends no movement. Throws CommandError.
int run_watch(const RobotOptions& options);

// Ends the run that holds the port, as Ctrl-C would, and writes the driver's stop bytes itself.
// Throws CommandError.
int run_stop(const RobotOptions& options);

}  // namespace instep

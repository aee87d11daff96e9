// Commands that look at a robot, or stop it, without learning.
#pragma once

#include <string>
#include <vector>

namespace instep {

struct RobotOptions {
  std::string device{};
  // Which robot it is: its driver's name, or a task of it; both empty: the only one whose devices
  // have such names.
  std::string robot{};
  std::string task{};
  double seconds = 0.0;  // watch: 0: until Ctrl-C
};

// Shows what the sensors say, a few times a second, and sends no movement. Where the device is a
// run's file of packets: shows all of them, at once. Throws CommandError.
int run_watch(const RobotOptions& options);

// Stops the robot, and ends the run that holds its port as Ctrl-C would. Succeeds when the robot's
// own frames show that it stands and nobody else has the port. Throws CommandError.
int run_stop(const RobotOptions& options);

// A stop whose command line is wrong comes first, and the complaint after it: tells every word that
// is a device to stop, and prints what came of it.
void stop_robots_among(const std::vector<std::string>& words);

}  // namespace instep

// Everything that a task needs to run on a robot on real time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/realtime/device_stop.h"
#include "runtime/realtime/port.h"
#include "runtime/robot.h"

namespace instep {

struct RobotKit {
  std::unique_ptr<RobotTask> task;
  std::unique_ptr<Session> session;
  PortOperations port;
  // Stops a robot of which nothing is known, and sees that it stands.
  std::unique_ptr<DeviceStop> stop;
  // Why the port could not be opened, with that errno value, and what to do about it.
  std::string (*open_trouble)(const std::string& path, int error) = nullptr;
  // Why the port may not stay this program's alone, for people; may be null.
  std::vector<std::string> (*port_warnings)(const std::string& path) = nullptr;
};

}  // namespace instep

// Everything that a task needs to run on a robot on real time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "runtime/realtime/port.h"
#include "runtime/robot.h"

namespace instep {

struct RobotKit {
  std::unique_ptr<RobotTask> task;
  std::unique_ptr<Session> session;
  PortOperations port;
  // What stops a robot of which nothing is known; see Guardian.
  std::span<const std::uint8_t> stop_bytes;
  // Why the port could not be opened, with that errno value, and what to do about it.
  std::string (*open_trouble)(const std::string& path, int error) = nullptr;
};

}  // namespace instep

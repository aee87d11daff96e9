// create_mover on a Create 2 behind a serial port.
#pragma once

#include "runtime/realtime/robot_kit.h"

namespace instep {

RobotKit make_create_mover_robot();

}  // namespace instep

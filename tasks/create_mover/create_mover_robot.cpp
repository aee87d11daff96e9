#include "tasks/create_mover/create_mover_robot.h"

#include "drivers/create2/session.h"
#include "drivers/create2/stop.h"
#include "drivers/serial_port.h"
#include "tasks/create_mover/create_mover.h"

namespace instep {

RobotKit make_create_mover_robot() {
  return {.task = std::make_unique<CreateMover>(),
          .session = std::make_unique<Create2Session>(),
          .port = kSerialPort,
          .stop = std::make_unique<Create2Stop>(),
          .open_trouble = serial_port_trouble,
          .port_warnings = serial_port_warnings};
}

}  // namespace instep

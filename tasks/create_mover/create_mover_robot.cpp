#include "tasks/create_mover/create_mover_robot.h"

#include "drivers/create2/session.h"
#include "drivers/serial_port.h"
#include "tasks/create_mover/create_mover.h"

namespace instep {

RobotKit make_create_mover_robot() {
  return {.task = std::make_unique<CreateMover>(),
          .session = std::make_unique<Create2Session>(),
          .port = kSerialPort,
          .stop_bytes = create2_stop_bytes(),
          .open_trouble = serial_port_trouble};
}

}  // namespace instep

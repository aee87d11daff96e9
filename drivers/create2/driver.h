// The driver of a iRobot Create 2, as the table of drivers has it.
#pragma once

#include "drivers/driver_info.h"

namespace instep {

extern const DriverInfo kCreate2Driver;

}  // namespace instep

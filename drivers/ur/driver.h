// The driver of a Universal Robots UR5 or UR5e, as the table of drivers has it.
#pragma once

#include "drivers/driver_info.h"

namespace instep {

extern const DriverInfo kUrDriver;

}  // namespace instep

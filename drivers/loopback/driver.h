// The loopback device as a driver. It measures this machine and is in no table.
#pragma once

#include "drivers/driver_info.h"

namespace instep {

extern const DriverInfo kLoopbackDriver;

}  // namespace instep

// The loopback device as a driver. It measures this machine, and no table for people has it.
#pragma once

#include "drivers/driver_info.h"

namespace instep {

extern const DriverInfo kLoopbackDriver;
// The same for a machine that is measured, which may stand still for a while: its dead man waits
// ten seconds.
extern const DriverInfo kPatientLoopbackDriver;

}  // namespace instep

// A driver's simulated device behind a port or socket for each of its channels, on real time: what
// `instep sim` serves where a driver has nothing of its own.
#pragma once

#include <memory>

#include "drivers/driver_info.h"

namespace instep {

// Throws std::runtime_error when the system refuses a port, std::invalid_argument where the
// address is none.
std::unique_ptr<DeviceSimulation> make_channel_simulation(const DriverInfo& driver,
                                                          const SimulationOptions& options);

}  // namespace instep

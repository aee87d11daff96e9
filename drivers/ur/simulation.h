// The simulated UR5 behind real sockets: the ports of its controller on one address.
#pragma once

#include <array>
#include <memory>

#include "drivers/simulation.h"

namespace instep {

// UR5, UR5e.
inline constexpr std::array kUrSimulationModels = {"cb3", "e-series"};

std::unique_ptr<DeviceSimulation> make_ur_simulation(const SimulationOptions& options);

}  // namespace instep

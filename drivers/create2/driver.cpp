#include "drivers/create2/driver.h"

#include "drivers/create2/fields.h"
#include "drivers/create2/session.h"
#include "drivers/create2/simulation.h"
#include "drivers/create2/simulator.h"
#include "drivers/create2/stop.h"

namespace instep {

const DriverInfo kCreate2Driver = {
    .name = "create2",
    .summary = "iRobot Create 2",
    .channel_count = 1,
    .channels = {{{.transport = &kSerialTransport}}},
    .make_session = [](std::int64_t period_ns) -> std::unique_ptr<Session> {
      return std::make_unique<Create2Session>(Create2SessionOptions{.dead_man_ns = 2 * period_ns});
    },
    .make_stop = []() -> std::unique_ptr<DeviceStop> { return std::make_unique<Create2Stop>(); },
    .make_simulator = [](std::uint64_t seed) -> std::unique_ptr<DeviceSimulator> {
      return std::make_unique<Create2Simulator>(Create2SimulatorOptions{.seed = seed});
    },
    .simulation = {.may_be_strict = true,
                   .make =
                       [](const SimulationOptions& options) -> std::unique_ptr<DeviceSimulation> {
                     return std::make_unique<Create2Simulation>(options);
                   }},
    .command_count = 2,
    .command_max = 500.0,
    .packets = &kCreate2Packets};

}  // namespace instep

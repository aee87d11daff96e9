#include "drivers/ur/driver.h"

#include "drivers/ur/fields.h"
#include "drivers/ur/session.h"
#include "drivers/ur/simulated_device.h"
#include "drivers/ur/simulation.h"
#include "drivers/ur/stop.h"

namespace instep {

// The dashboard is the last channel: it is opened where recovery is asked for.
const DriverInfo kUrDriver = {
    .name = "ur",
    .summary = "Universal Robots UR5 or UR5e",
    .channel_count = kUrChannels,
    .channels = {{{&kTcpClientTransport, kUrChannelPorts[UrChannel::kRtde]},
                  {&kTcpClientTransport, kUrChannelPorts[UrChannel::kScript]},
                  {&kTcpClientTransport, kUrChannelPorts[UrChannel::kDashboard], true}}},
    .make_session = [](std::int64_t period_ns) -> std::unique_ptr<Session> {
      return std::make_unique<UrSession>(
          UrSessionOptions{.frequency_hz = 500.0,  // a UR5's controller is asked for its 125
                           .is_listener = period_ns == 0,
                           .dead_man_ns = 2 * period_ns});
    },
    .make_stop = []() -> std::unique_ptr<DeviceStop> { return std::make_unique<UrStop>(); },
    .make_simulator = [](std::uint64_t seed) -> std::unique_ptr<DeviceSimulator> {
      return std::make_unique<UrSimulatedDevice>(UrControllerOptions{.seed = seed});
    },
    .simulation = {.models = kUrSimulationModels, .make = make_ur_simulation},
    .stop_channel = -1,
    .stop_connection = {&kTcpClientTransport, kUrStopPort},
    .command_count = kUrJoints,
    .command_max = kUrJointSpeedMaxRadS,
    .loss_text = ur_loss_text,
    .lacks_text = ur_lacks_text,
    .packets = &kUrPackets};

}  // namespace instep

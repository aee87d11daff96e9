#include "drivers/ur/driver.h"

#include <algorithm>
#include <array>

#include "drivers/ur/packet.h"
#include "drivers/ur/session.h"
#include "drivers/ur/simulated_device.h"
#include "drivers/ur/simulation.h"
#include "drivers/ur/stop.h"

namespace instep {
namespace {

constexpr std::array kRobotModes = {"disconnected", "confirm safety", "booting",   "power off",
                                    "power on",     "idle",           "backdrive", "running"};
constexpr std::array kSafetyModes = {"",
                                     "normal",
                                     "reduced",
                                     "protective stop",
                                     "recovery",
                                     "safeguard stop",
                                     "emergency stop (system)",
                                     "emergency stop (robot)",
                                     "violation",
                                     "fault"};
constexpr std::array kProgramStates = {"stopping", "stopped", "playing",
                                       "pausing",  "paused",  "resuming"};

// Joints are numbered from the base on; the tool's pose is a rotation vector in the frame `base`.
constexpr std::array<PacketField, 23> kFields = {{{"robot", "", kRobotModes},
                                                  {"safety", "", kSafetyModes},
                                                  {"program", "", kProgramStates},
                                                  {"slider", ""},
                                                  {"timestamp", "s"},
                                                  {"q0", "rad"},
                                                  {"q1", "rad"},
                                                  {"q2", "rad"},
                                                  {"q3", "rad"},
                                                  {"q4", "rad"},
                                                  {"q5", "rad"},
                                                  {"qd0", "rad/s"},
                                                  {"qd1", "rad/s"},
                                                  {"qd2", "rad/s"},
                                                  {"qd3", "rad/s"},
                                                  {"qd4", "rad/s"},
                                                  {"qd5", "rad/s"},
                                                  {"x", "m"},
                                                  {"y", "m"},
                                                  {"z", "m"},
                                                  {"rx", "rad"},
                                                  {"ry", "rad"},
                                                  {"rz", "rad"}}};

bool decode(const Packet& packet, std::span<double> values) {
  UrReadings readings;
  if (!decode_ur_packet(packet.view(), &readings)) return false;
  values[0] = readings.robot_mode;
  values[1] = readings.safety_mode;
  values[2] = readings.runtime_state;
  values[3] = readings.speed_fraction;
  values[4] = readings.timestamp_s;
  auto rest = values.begin() + 5;
  for (const UrVector* vector : {&readings.q, &readings.qd, &readings.tcp_pose}) {
    rest = std::copy(vector->begin(), vector->end(), rest);
  }
  return true;
}

}  // namespace

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
    .fields = kFields,
    .decode = decode};

}  // namespace instep

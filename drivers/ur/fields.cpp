#include "drivers/ur/fields.h"

#include <algorithm>
#include <array>

#include "drivers/ur/packet.h"

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

static_assert(kRobotModes.size() == static_cast<std::size_t>(UrRobotMode::kRunning) + 1);
static_assert(kSafetyModes.size() == static_cast<std::size_t>(UrSafetyMode::kFault) + 1);

constexpr std::array<PacketField, kUrFields> kFields = {{{"robot", "", kRobotModes},
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

static_assert(kFields.size() <= PacketFormat::kFieldsMax);
static_assert(kUrFieldQd - kUrFieldQ == kUrJoints);

bool decode(const Packet& packet, std::span<double> values) {
  UrReadings readings;
  if (!decode_ur_packet(packet.view(), &readings)) return false;
  values[kUrFieldRobot] = readings.robot_mode;
  values[kUrFieldSafety] = readings.safety_mode;
  values[kUrFieldProgram] = readings.runtime_state;
  values[kUrFieldSlider] = readings.speed_fraction;
  values[kUrFieldTimestamp] = readings.timestamp_s;
  const auto put = [&values](std::size_t first, const UrVector& vector) {
    std::copy(vector.begin(), vector.end(), values.subspan(first).begin());
  };
  put(kUrFieldQ, readings.q);
  put(kUrFieldQd, readings.qd);
  put(kUrFieldPose, readings.tcp_pose);
  return true;
}

}  // namespace

const PacketFormat kUrPackets = {.fields = kFields, .decode = decode};

}  // namespace instep

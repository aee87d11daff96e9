#include "drivers/create2/driver.h"

#include <algorithm>
#include <array>

#include "drivers/create2/session.h"
#include "drivers/create2/simulation.h"
#include "drivers/create2/simulator.h"
#include "drivers/create2/stop.h"

namespace instep {
namespace {

constexpr std::array kModes = {"off", "passive", "safe", "full", "full (reports one more)"};
constexpr std::array kChargingStates = {"no", "reconditioning", "yes", "trickle", "waits", "fault"};

// Signals of the light bumpers are counts of its converter, of no unit.
constexpr std::array<PacketField, 24> kFields = {
    {{"mode", "", kModes},   {"charging", "", kChargingStates},
     {"battery", "%"},       {"voltage", "V"},
     {"current", "A"},       {"left_turned", "m"},
     {"right_turned", "m"},  {"left_asked", "m/s"},
     {"right_asked", "m/s"}, {"bump_left", ""},
     {"bump_right", ""},     {"drop_left", ""},
     {"drop_right", ""},     {"cliff_l", ""},
     {"cliff_fl", ""},       {"cliff_fr", ""},
     {"cliff_r", ""},        {"light_l", ""},
     {"light_fl", ""},       {"light_cl", ""},
     {"light_cr", ""},       {"light_fr", ""},
     {"light_r", ""},        {"on_dock", ""}}};

bool decode(const Packet& packet, std::span<double> values) {
  Create2Readings readings;
  if (!decode_create2_frame(packet.view(), &readings)) return false;
  constexpr double kMetresPerCount = 1e-3 * kCreate2MmPerCount;
  const double capacity_mah = std::max<double>(1.0, readings.capacity_mah);
  auto value = values.begin();
  const auto add = [&value](double number) { *value++ = number; };
  add(readings.mode);
  add(readings.charging_state);
  add(100.0 * readings.charge_mah / capacity_mah);
  add(1e-3 * readings.voltage_mv);
  add(1e-3 * readings.current_ma);
  add(kMetresPerCount * readings.encoder_left);
  add(kMetresPerCount * readings.encoder_right);
  add(1e-3 * readings.requested_left_mm_s);
  add(1e-3 * readings.requested_right_mm_s);
  for (const bool is_on :
       {readings.bump_left, readings.bump_right, readings.drop_left, readings.drop_right}) {
    add(is_on ? 1.0 : 0.0);
  }
  for (const bool is_on : readings.cliff) add(is_on ? 1.0 : 0.0);
  for (const std::uint16_t signal : readings.light_bump) add(signal);
  constexpr int kHomeBase = 2;
  add((readings.charging_sources & kHomeBase) != 0 ? 1.0 : 0.0);
  return true;
}

}  // namespace

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
    .fields = kFields,
    .decode = decode};

}  // namespace instep

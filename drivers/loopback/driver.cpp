#include "drivers/loopback/driver.h"

#include <cstring>

#include "drivers/loopback/loopback.h"

namespace instep {
namespace {

const Transport kLoopbackTransport = {
    .what = "a loopback device",
    .port = kLoopbackPort,
    .fits = [](const std::string&) { return true; },
    .is_device = [](const std::string&) { return false; },
    .address = [](const std::string& name, int) { return make_port_address(name); },
    .lock = nullptr,
    .users = [](const std::string& name) { return port_users(name); },
    .trouble = [](const std::string& name,
                  int error) { return name + ": cannot be opened: " + std::strerror(error); },
    .warnings = [](const std::string&) { return std::vector<std::string>(); },
    .has_one_reader = true};

constexpr DriverInfo loopback(std::unique_ptr<Session> (*make_session)(std::int64_t period_ns)) {
  return {
      .name = "loopback",
      .summary = "a thread of this program",
      .channel_count = 1,
      .channels = {{{.transport = &kLoopbackTransport}}},
      .make_session = make_session,
      .make_stop = []() -> std::unique_ptr<DeviceStop> { return std::make_unique<LoopbackStop>(); },
      .make_simulator = [](std::uint64_t seed) -> std::unique_ptr<DeviceSimulator> {
        return std::make_unique<LoopbackSimulator>(seed);
      },
      .command_count = 2,
      .command_max = 1.0,
      .packets = &kLoopbackPackets};
}

}  // namespace

const DriverInfo kLoopbackDriver = loopback([](std::int64_t period_ns) -> std::unique_ptr<Session> {
  return std::make_unique<LoopbackSession>(2 * period_ns);
});

const DriverInfo kPatientLoopbackDriver = loopback([](std::int64_t) -> std::unique_ptr<Session> {
  return std::make_unique<LoopbackSession>(10'000'000'000);
});

}  // namespace instep

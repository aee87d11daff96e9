#include "drivers/ur/simulated_device.h"

#include <algorithm>

#include "drivers/ur/stop.h"

namespace instep {

bool UrSimulatedDevice::open(int channel) {
  int& number = client(channel);
  if (number < 0) {
    number = simulator_.connect(
        channel < kUrChannels ? kUrChannelPorts[static_cast<std::size_t>(channel)] : kUrStopPort);
    return number >= 0;
  }
  return simulator_.is_connected(number);
}

void UrSimulatedDevice::close(int channel) {
  int& number = client(channel);
  if (number >= 0) simulator_.disconnect(number);
  number = -1;
}

void UrSimulatedDevice::on_bytes(int channel, std::span<const std::uint8_t> bytes,
                                 std::int64_t now_ns) {
  simulator_.on_bytes(client(channel), bytes, now_ns);
}

std::size_t UrSimulatedDevice::read(int channel, std::span<std::uint8_t> out) {
  return simulator_.read(client(channel), out, simulator_.now_ns());
}

bool UrSimulatedDevice::moves() const {
  const UrVector& speeds = simulator_.controller().arm().target_qd;
  return std::any_of(speeds.begin(), speeds.end(), [](double speed) { return speed != 0.0; });
}

}  // namespace instep

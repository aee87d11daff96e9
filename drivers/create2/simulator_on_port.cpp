#include "drivers/create2/simulator_on_port.h"

#include <algorithm>
#include <array>

namespace instep {
namespace {

// The rates of opcode 129.
constexpr std::array<int, 12> kBauds = {300,   600,   1200,  2400,  4800,  9600,
                                        14400, 19200, 28800, 38400, 57600, 115200};

// -1 for a rate that the robot has not.
int baud_code(int baud) {
  const auto* found = std::find(kBauds.begin(), kBauds.end(), baud);
  return found == kBauds.end() ? -1 : static_cast<int>(found - kBauds.begin());
}

}  // namespace

Create2OnPort::Create2OnPort(const Create2OnPortOptions& options)
    : options_(options),
      port_({.path = options.path,
             .is_strict = options.is_strict,
             .serial_number = std::to_string(options.seed)}),
      simulator_({.seed = options.seed, .wakes_on_start = true}) {}

int Create2OnPort::robot_baud() const {
  const int code = simulator_.baud_code();
  const bool is_known = code >= 0 && code < static_cast<int>(kBauds.size());
  return is_known ? kBauds[static_cast<std::size_t>(code)] : 0;
}

void Create2OnPort::take(std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  if (bytes.empty()) return;
  if (!options_.is_strict) {
    simulator_.set_host_baud_code(baud_code(port_.baud()));
    simulator_.on_bytes(0, bytes, now_ns);
    return;
  }
  hear_bytes(bytes, port_.baud(), robot_baud(), &heard_);
  simulator_.set_host_baud_code(simulator_.baud_code());
  simulator_.on_bytes(0, heard_, now_ns);
}

void Create2OnPort::send_as_another_program(std::span<const std::uint8_t> bytes,
                                            std::int64_t now_ns) {
  take(bytes, now_ns);
}

std::int64_t Create2OnPort::advance(std::int64_t now_ns) {
  if (simulator_.is_plugged() && !port_.is_plugged()) port_.plug();
  if (!simulator_.is_plugged()) port_.unplug();
  port_.follow_client();
  std::array<std::uint8_t, 4096> bytes;
  take({bytes.data(), port_.read(bytes)}, now_ns);
  const std::int64_t next_ns = simulator_.advance(now_ns);
  const std::size_t count = simulator_.read(0, bytes);
  if (options_.is_strict) {
    hear_bytes({bytes.data(), count}, robot_baud(), port_.baud(), &heard_);
    port_.write(heard_);
  } else {
    port_.write({bytes.data(), count});
  }
  return next_ns;
}

}  // namespace instep

#include "runtime/simulated_link.h"

#include <algorithm>

#include "kernels/check.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

// Events closer together than this are one: it bounds how often time can be moved in a period.
constexpr std::int64_t kStepNsMin = 1'000;

}  // namespace

SimulatedLink::SimulatedLink(Session& session, DeviceSimulator& device)
    : session_(session), device_(device) {
  static_assert(sizeof(Packet) == 16 + Packet::kBytesMax);
  static_assert(sizeof(State) == 7 * 8 + kPacketsMax * sizeof(Packet));
}

void SimulatedLink::restart() {
  state_ = State{};
  exchange();
}

void SimulatedLink::take(const Packet& packet) {
  constexpr auto kMax = static_cast<std::int64_t>(kPacketsMax);
  if (state_.count == kMax) {
    state_.first = (state_.first + 1) % kMax;
    --state_.count;
  }
  state_.packets[static_cast<std::size_t>((state_.first + state_.count) % kMax)] = packet;
  ++state_.count;
}

bool SimulatedLink::next_packet(Packet* out) {
  if (state_.count == 0) return false;
  *out = state_.packets[static_cast<std::size_t>(state_.first)];
  state_.first = (state_.first + 1) % static_cast<std::int64_t>(kPacketsMax);
  --state_.count;
  return true;
}

// Everything that happens at now_ns.
void SimulatedLink::exchange() {
  state_.device_ns = device_.advance(state_.now_ns);
  const int channels = session_.channel_count();
  for (int channel = 0; channel < channels; ++channel) receive(channel);
  state_.session_ns = session_.poll(state_.now_ns);
  if (session_.wake_line() != (state_.wake_line != 0)) {
    state_.wake_line = session_.wake_line() ? 1 : 0;
    device_.set_wake_line(session_.wake_line(), state_.now_ns);
  }
  for (int channel = 0; channel < channels; ++channel) send(channel);
}

void SimulatedLink::receive(int channel) {
  const bool is_open = session_.wants(channel) && device_.open(channel);
  if (is_open != is_channel_open(channel)) {
    state_.open_channels ^= std::int64_t{1} << channel;
    if (is_open) {
      session_.on_connect(channel, state_.now_ns);
    } else {
      device_.close(channel);
      session_.on_disconnect(channel, state_.now_ns);
    }
  }
  std::array<std::uint8_t, 4096> bytes;
  for (std::size_t count = bytes.size(); is_open && count == bytes.size();) {
    count = device_.read(channel, bytes);
    if (count > 0) session_.on_bytes(channel, {bytes.data(), count}, state_.now_ns, *this);
  }
}

void SimulatedLink::send(int channel) {
  const auto output = session_.output(channel);
  if (output.empty() || !is_channel_open(channel)) return;
  device_.on_bytes(channel, output, state_.now_ns);
  session_.consume(channel, output.size());
  state_.device_ns = device_.advance(state_.now_ns);
}

void SimulatedLink::post(const Command& command) {
  session_.on_command(command, state_.now_ns);
  exchange();
}

void SimulatedLink::wait_until(std::int64_t deadline_ns) {
  while (state_.now_ns < deadline_ns) {
    const std::int64_t next = std::min(state_.device_ns, state_.session_ns);
    state_.now_ns = std::min(std::max(next, state_.now_ns + kStepNsMin), deadline_ns);
    exchange();
  }
}

void SimulatedLink::save_state(std::span<std::uint8_t> out) const {
  save_plain(state_, out);
}

bool SimulatedLink::load_state(std::span<const std::uint8_t> in) {
  return load_plain(in, state_, [](const State& state) {
    constexpr auto kMax = static_cast<std::int64_t>(kPacketsMax);
    bool valid = state.now_ns >= 0 && state.now_ns < INT64_MAX / 4 && state.open_channels >= 0 &&
                 state.open_channels < std::int64_t{1} << kChannelsMax && state.first >= 0 &&
                 state.first < kMax && state.count >= 0 && state.count <= kMax;
    for (const Packet& packet : state.packets) {
      valid = valid && packet.size <= Packet::kBytesMax && packet.time_ns >= 0 &&
              packet.time_ns <= state.now_ns;
    }
    return valid;
  });
}

}  // namespace instep

#include "drivers/ur/simulated_link.h"

#include <algorithm>

namespace instep {
namespace {

constexpr std::array<UrChannel, kUrChannels> kChannels = {UrChannel::kRtde, UrChannel::kScript,
                                                          UrChannel::kDashboard};

}  // namespace

UrSimulatedLink::UrSimulatedLink(UrSession& session, UrSimulator& simulator)
    : session_(session), simulator_(simulator), now_ns_(simulator.now_ns()) {
  clients_.fill(-1);
}

void UrSimulatedLink::take(const Packet& packet) {
  if (count_ == kPacketsMax) {
    first_ = (first_ + 1) % kPacketsMax;
    --count_;
  }
  packets_[(first_ + count_++) % kPacketsMax] = packet;
}

bool UrSimulatedLink::next_packet(Packet* out) {
  if (count_ == 0) return false;
  *out = packets_[first_];
  first_ = (first_ + 1) % kPacketsMax;
  --count_;
  return true;
}

void UrSimulatedLink::post(const Command& command) {
  session_.on_command(command, now_ns_);
  for (const UrChannel channel : kChannels) send(channel);
}

void UrSimulatedLink::wait_until(std::int64_t deadline_ns) {
  while (now_ns_ < deadline_ns) {
    const std::int64_t next = std::max(now_ns_ + 1, std::min(simulator_ns_, session_ns_));
    now_ns_ = std::min(deadline_ns, next);
    simulator_ns_ = simulator_.advance(now_ns_);
    exchange();
  }
}

void UrSimulatedLink::exchange() {
  for (const UrChannel channel : kChannels) follow_channel(channel);
  session_ns_ = session_.poll(now_ns_);
  for (const UrChannel channel : kChannels) send(channel);
}

void UrSimulatedLink::follow_channel(UrChannel channel) {
  const auto i = static_cast<std::size_t>(channel);
  if (clients_[i] < 0 && session_.wants(channel)) {
    clients_[i] = simulator_.connect(kUrChannelPorts[i]);
    if (clients_[i] >= 0) session_.on_connect(channel, now_ns_);
  }
  if (clients_[i] < 0) return;
  std::array<std::uint8_t, 4096> bytes;
  for (std::size_t size = bytes.size(); size == bytes.size();) {
    size = simulator_.read(clients_[i], bytes, now_ns_);
    if (size > 0) session_.on_bytes(channel, {bytes.data(), size}, now_ns_, *this);
  }
  send(channel);
  if (!session_.wants(channel) || !simulator_.is_connected(clients_[i])) close(channel);
}

void UrSimulatedLink::send(UrChannel channel) {
  const auto i = static_cast<std::size_t>(channel);
  const auto output = session_.output(channel);
  if (clients_[i] < 0 || output.empty()) return;
  simulator_.on_bytes(clients_[i], output, now_ns_);
  session_.consume(channel, output.size());
}

void UrSimulatedLink::close(UrChannel channel) {
  const auto i = static_cast<std::size_t>(channel);
  simulator_.disconnect(clients_[i]);
  clients_[i] = -1;
  session_.on_disconnect(channel, now_ns_);
}

}  // namespace instep

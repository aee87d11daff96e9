// A UR session and a simulated controller in one thread, on simulated time.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "drivers/ur/session.h"
#include "drivers/ur/simulator.h"

namespace instep {

// True while a session is at work, in its thread.
inline thread_local bool is_ur_session_at_work = false;

class UrOnSimulator final : private PacketSink {
 public:
  explicit UrOnSimulator(const UrSessionOptions& options = {},
                         const UrControllerOptions& controller = {})
      : simulator(std::make_unique<UrSimulator>(controller)),
        session(std::make_unique<UrSession>(options)) {
    clients_.fill(-1);
  }

  std::int64_t now_ns() const { return now_ns_; }
  double now_s() const { return static_cast<double>(now_ns_) * 1e-9; }

  // Goes on by so many milliseconds, in steps of one.
  void run(int ms) {
    for (int i = 0; i < ms; ++i) {
      now_ns_ += 1'000'000;
      simulator->advance(now_ns_);
      if (is_host_alive) exchange();
    }
  }
  // The same, with a command every `period_ms`, as a control loop posts them.
  void keep_posting(Command command, int ms, int period_ms = 40) {
    command.acknowledged = acknowledged;
    for (int i = 0; i < ms; ++i) {
      if (i % period_ms == 0 && is_host_alive) {
        in_session([&] { session->on_command(command, now_ns_); });
      }
      run(1);
    }
  }
  // Until the session is ready, at most so long.
  bool becomes_ready(int ms = 10'000) {
    for (int i = 0; i < ms && session->state() != LinkState::kReady; ++i) run(1);
    return session->state() == LinkState::kReady;
  }
  // The process is killed: its sockets close.
  void kill_host() {
    is_host_alive = false;
    for (int i = 0; i < kUrChannels; ++i) close(i, false);
  }
  // Bytes of a channel that the caller sees, both ways.
  int client(int channel) const { return clients_[static_cast<std::size_t>(channel)]; }

  const UrController& robot() const { return simulator->controller(); }
  UrController& robot() { return simulator->controller(); }
  double speed() const {
    double most = 0.0;
    for (const double qd : robot().arm().target_qd) most = std::max(most, std::abs(qd));
    return most;
  }

  std::unique_ptr<UrSimulator> simulator;
  std::unique_ptr<UrSession> session;
  std::vector<Packet> packets;
  bool keeps_packets = false;
  bool is_host_alive = true;
  bool takes_output = true;       // false: the host's sockets are full
  std::int32_t acknowledged = 0;  // by the commands that are posted

 private:
  void take(const Packet& packet) override {
    if (keeps_packets) packets.push_back(packet);
  }

  template <typename Work>
  static void in_session(Work work) {
    is_ur_session_at_work = true;
    work();
    is_ur_session_at_work = false;
  }

  void close(int channel, bool tells) {
    int& client = clients_[static_cast<std::size_t>(channel)];
    if (client < 0) return;
    simulator->disconnect(client);
    client = -1;
    if (tells) in_session([&] { session->on_disconnect(channel, now_ns_); });
  }

  void exchange() {
    for (int channel = 0; channel < kUrChannels; ++channel) {
      const auto i = static_cast<std::size_t>(channel);
      if (session->wants(channel) && clients_[i] < 0) {
        clients_[i] = simulator->connect(kUrChannelPorts[i]);
        if (clients_[i] >= 0) in_session([&] { session->on_connect(channel, now_ns_); });
      }
      if (clients_[i] < 0) continue;
      std::array<std::uint8_t, 8192> bytes;
      for (std::size_t count = 1; count > 0;) {
        count = simulator->read(clients_[i], bytes, now_ns_);
        if (count == 0) break;
        in_session([&] { session->on_bytes(channel, {bytes.data(), count}, now_ns_, *this); });
      }
      const auto output = session->output(channel);
      if (!output.empty() && takes_output) {
        const std::vector<std::uint8_t> copy(output.begin(), output.end());
        simulator->on_bytes(clients_[i], copy, now_ns_);
        in_session([&] { session->consume(channel, copy.size()); });
      }
      if (!session->wants(channel) || !simulator->is_connected(clients_[i])) close(channel, true);
    }
    in_session([&] { session->poll(now_ns_); });
  }

  std::int64_t now_ns_ = 0;
  std::array<int, kUrChannels> clients_{};
};

}  // namespace instep

// The simulated controller as a DeviceSimulator: a client for each channel of UrSession, and one
// for the connection of UrStop.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/ur/session.h"
#include "drivers/ur/simulator.h"

namespace instep {

// Nothing allocates.
class UrSimulatedDevice final : public DeviceSimulator {
 public:
  explicit UrSimulatedDevice(const UrControllerOptions& options = {}) : simulator_(options) {
    clients_.fill(-1);
  }

  UrSimulator& simulator() { return simulator_; }
  const UrSimulator& simulator() const { return simulator_; }

  bool open(int channel) override;
  void close(int channel) override;
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns) override;
  std::int64_t advance(std::int64_t now_ns) override { return simulator_.advance(now_ns); }
  std::size_t read(int channel, std::span<std::uint8_t> out) override;
  bool moves() const override;

 private:
  int& client(int channel) { return clients_[static_cast<std::size_t>(channel)]; }

  UrSimulator simulator_;
  std::array<int, kUrChannels + 1> clients_{};
};

}  // namespace instep

// A simulated device on a line that a test breaks.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "kernels/philox.h"
#include "runtime/robot.h"

namespace instep {

// Passes everything on, but while `is_cut` no channel is open, and not `cut_channel` alone. What it
// says loses and changes bytes, where there is noise.
class FaultyDevice final : public DeviceSimulator {
 public:
  explicit FaultyDevice(std::unique_ptr<DeviceSimulator> device) : device_(std::move(device)) {}

  bool open(int channel) override {
    return !is_cut && channel != cut_channel && device_->open(channel);
  }
  void close(int channel) override { device_->close(channel); }
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns) override {
    device_->on_bytes(channel, bytes, now_ns);
  }
  std::int64_t advance(std::int64_t now_ns) override { return device_->advance(now_ns); }
  std::size_t read(int channel, std::span<std::uint8_t> out) override {
    std::size_t count = device_->read(channel, out);
    const double noise = noises[static_cast<std::size_t>(channel)];
    for (std::size_t i = 0; noise > 0.0 && i < count; ++i) {
      const double draw = next_draw();
      if (draw < 0.5 * noise) out[i] ^= static_cast<std::uint8_t>(1U << (draws_ % 8));
      if (draw < 0.5 * noise || draw >= noise) continue;
      std::copy(out.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                out.begin() + static_cast<std::ptrdiff_t>(count),
                out.begin() + static_cast<std::ptrdiff_t>(i));
      --count;
    }
    return count;
  }
  void set_wake_line(bool is_low, std::int64_t now_ns) override {
    device_->set_wake_line(is_low, now_ns);
  }
  bool moves() const override { return device_->moves(); }

  bool is_cut = false;
  int cut_channel = -1;
  std::array<double, kChannelsMax + 1> noises{};  // by channel, the share of bytes

 private:
  double next_draw() {
    double draw = 0.0;
    Random{.seed = 11, .stream = 12}.uniform(draws_++, &draw, 1);
    return draw;
  }

  std::unique_ptr<DeviceSimulator> device_;
  std::uint64_t draws_ = 0;
};

}  // namespace instep

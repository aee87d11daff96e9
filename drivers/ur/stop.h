// Stops a UR arm of which nothing is known, and sees from its controller's messages that it stands.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "runtime/realtime/device_stop.h"

namespace instep {

// The controller's secondary port.
inline constexpr int kUrStopPort = 30002;

// For a connection of its own to that port. Sends a program that brakes all
// joints: it takes the place of whichever runs. Sends it again every kRepeatNs until the arm
// stands. The arm stands when kStatesAtRest messages in a row, that came kHeardNs after the program
// was written or later, show joints at rest and no program that runs. A controller that is not in
// remote control takes no program, so that its arm is seen to move on.
class UrStop final : public DeviceStop {
 public:
  static constexpr std::int64_t kRepeatNs = 500'000'000;
  // A message may have been on its way; a program begins with the controller's next period.
  static constexpr std::int64_t kHeardNs = 50'000'000;
  static constexpr int kStatesAtRest = 2;
  static constexpr double kRestRadS = 0.01;

  void begin(std::int64_t now_ns) override;
  void on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns) override;
  std::int64_t poll(std::int64_t now_ns) override;
  std::span<const std::uint8_t> output() const override;
  void consume(std::size_t bytes) override { written_ += bytes; }
  Stillness stillness() const override { return stillness_; }

 private:
  void judge(std::span<const std::uint8_t> message, std::int64_t now_ns);

  std::array<std::uint8_t, 8192> bytes_{};  // of messages that are not whole
  std::size_t size_ = 0;
  std::size_t skipped_ = 0;  // bytes still to come of a message that is too long to be kept
  std::size_t written_ = 0;
  std::int64_t written_ns_ = -1;  // when the program was first seen to be written; -1: not yet
  std::int64_t sent_ns_ = 0;
  int states_at_rest_ = 0;
  Stillness stillness_ = Stillness::kUnknown;
};

}  // namespace instep

// Stops a Create 2 of which nothing is known, and sees from its sensor frames that it stands.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/create2/codec.h"
#include "drivers/create2/session.h"
#include "runtime/realtime/device_stop.h"

namespace instep {

// Sends the stop bytes (create2_stop_bytes()) every kRepeatNs until the robot stands. Where no
// frame comes by then it also asks for those that Create2Session asks for. The robot stands when
// several frames in a row, that came kHeardNs after the stop was written or later, ask for no speed
// and show wheels at rest.
class Create2Stop final : public DeviceStop {
 public:
  static constexpr std::int64_t kRepeatNs = 100'000'000;
  // The stop's first 46 bytes need 4 ms, and an adapter may hold frames back for 16 ms.
  static constexpr std::int64_t kHeardNs = 25'000'000;
  static constexpr int kFramesAtRest = 3;

  Create2Stop();

  void begin(std::int64_t now_ns) override;
  void on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns) override;
  std::int64_t poll(std::int64_t now_ns) override;
  std::span<const std::uint8_t> output() const override;
  void consume(std::size_t bytes) override { written_ += bytes; }
  Stillness stillness() const override { return stillness_; }

 private:
  static constexpr std::size_t kRequestBytes = 2 + kCreate2StreamIds.size();

  bool was_heard(std::int64_t now_ns);
  void judge(const Create2Readings& readings);

  Create2StreamDecoder decoder_;
  std::array<std::uint8_t, kCreate2StopBytes + kRequestBytes> output_{};
  std::size_t output_size_ = 0;
  std::size_t written_ = 0;
  std::int64_t written_ns_ = -1;  // when the first stop was seen to be written; -1: not yet
  std::int64_t sent_ns_ = 0;
  std::int64_t frame_ns_ = 0;
  int frames_at_rest_ = 0;
  bool has_encoders_ = false;
  std::int16_t encoder_left_ = 0;
  std::int16_t encoder_right_ = 0;
  Stillness stillness_ = Stillness::kUnknown;
};

}  // namespace instep

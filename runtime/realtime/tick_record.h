// What a tick was, in a fixed number of bytes: enough to repeat it bit for bit without the robot.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace instep {

enum TickFlag : std::uint32_t {
  kTickOpensEpisode = 1,  // a first observation; it has no reward
  kTickTerminated = 2,
  kTickTruncated = 4,
  kTickCarriesNoStep = 8,
  kTickLate = 16,      // the learner was still at work
  kTickActed = 32,     // the action is there
  kTickSnapshot = 64,  // a checkpoint shows the learner after this tick
};

// The head of a frame. Then follow the observation (doubles), what was sent (doubles) and the
// action (floats, padded to eight bytes). Little-endian, as everything that is stored.
struct TickHead {
  std::int64_t time_ns = 0;    // when the tick began
  std::int64_t packet_ns = 0;  // when its newest packet had been read
  std::uint64_t step = 0;      // transitions closed when it was over
  double reward = 0.0;
  std::uint32_t flags = 0;
  std::uint32_t limit_flags = 0;  // LimitFlags of what was sent
  std::int32_t command_kind = 0;
  std::int32_t command_count = 0;
  std::uint64_t checksum = 0;  // of the whole frame with 0 here
};
static_assert(sizeof(TickHead) == 56);

struct TickShape {
  std::int32_t observation_dim = 0;
  std::int32_t action_dim = 0;
  std::int32_t command_count = 0;

  std::size_t observation_offset() const { return sizeof(TickHead); }
  std::size_t command_offset() const {
    return observation_offset() + sizeof(double) * static_cast<std::size_t>(observation_dim);
  }
  std::size_t action_offset() const {
    return command_offset() + sizeof(double) * static_cast<std::size_t>(command_count);
  }
  std::size_t frame_bytes() const {
    return (action_offset() + sizeof(float) * static_cast<std::size_t>(action_dim) + 7) / 8 * 8;
  }
  friend bool operator==(const TickShape&, const TickShape&) = default;
};

TickHead tick_head(std::span<const std::uint8_t> frame);
std::uint64_t tick_checksum(std::span<const std::uint8_t> frame);

// Frames from the loop to the writer, in order. Single producer, single consumer; see SpscRing.
class TickRing {
 public:
  TickRing(std::size_t frame_bytes, std::uint32_t frames)
      : frame_bytes_(frame_bytes), frames_(frames), bytes_(frame_bytes * frames) {}

  // Producer. False when it is full.
  [[nodiscard]] bool push(std::span<const std::uint8_t> frame);
  // Consumer. The oldest frame until pop(); empty when there is none.
  std::span<const std::uint8_t> front() const;
  void pop();

 private:
  std::size_t frame_bytes_;
  std::uint32_t frames_;
  std::vector<std::uint8_t> bytes_;
  alignas(64) std::atomic<std::uint64_t> write_{0};
  alignas(64) std::atomic<std::uint64_t> read_{0};
};

// A record: a snapshot of the loop and its learner, and the ticks that followed.
struct TickRecord {
  TickShape shape;
  std::uint64_t identity = 0;  // settings hash of the run
  std::int64_t step = 0;       // of the snapshot
  std::vector<std::uint8_t> snapshot;
  std::vector<std::uint8_t> frames;

  std::size_t count() const { return frames.size() / shape.frame_bytes(); }
  std::span<const std::uint8_t> frame(std::size_t i) const {
    return {frames.data() + i * shape.frame_bytes(), shape.frame_bytes()};
  }
};

// The bytes of a record's file up to its first frame.
std::vector<std::uint8_t> record_header(const TickRecord& record);

// Reads a record's file; a last frame that was cut off is left out. Answers what is wrong with it,
// or nothing.
std::string read_record(std::span<const std::uint8_t> file, TickRecord* out);

}  // namespace instep

// A run's packets as their bytes came over the wire: from the loop to the writer, and as a file.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/realtime/spsc_ring.h"
#include "runtime/robot.h"

namespace instep {

// A link that keeps a copy of every packet that the loop takes. Borrows the link. Loop thread, but
// for what the writer calls.
class RecordingLink final : public RobotLink {
 public:
  static constexpr std::uint32_t kPacketsMax = 1024;
  using Ring = SpscRing<Packet, kPacketsMax>;

  explicit RecordingLink(RobotLink& link) : link_(link) {}

  std::int64_t now_ns() const override { return link_.now_ns(); }
  void post(const Command& command) override { link_.post(command); }
  void post_standing(const Command& command) override { link_.post_standing(command); }
  void wait_until(std::int64_t deadline_ns) override { link_.wait_until(deadline_ns); }
  bool next_packet(Packet* out) override;
  LinkState state() const override { return link_.state(); }

  // The writer's: the copies, and how many of them the ring had no room for.
  Ring& packets() { return packets_; }
  std::uint64_t packets_lost() const { return packets_lost_.load(std::memory_order_relaxed); }

 private:
  RobotLink& link_;
  Ring packets_;
  std::atomic<std::uint64_t> packets_lost_{0};
};

// The bytes that a file of packets begins with.
std::span<const std::uint8_t> packet_file_header();
// Appends a packet as it stands in the file: time, sequence and size, a checksum, its bytes.
void append_packet(const Packet& packet, std::vector<std::uint8_t>& out);

// Reads the bytes of such a file.
class PacketFileReader {
 public:
  explicit PacketFileReader(std::span<const std::uint8_t> file);

  // False: the bytes are no file of packets.
  bool is_one() const { return is_one_; }
  // Overwrites *out with the next packet. False when there is none: at the end, or where the file
  // was cut off in the middle of one or is damaged.
  [[nodiscard]] bool next(Packet* out);
  // After next() has answered false: the file goes on with bytes that are no packet.
  bool is_cut() const { return !rest_.empty(); }

 private:
  std::span<const std::uint8_t> rest_;
  bool is_one_ = false;
};

}  // namespace instep

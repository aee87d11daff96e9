#include "runtime/realtime/packet_record.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "kernels/check.h"
#include "runtime/hash.h"

namespace instep {
namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {'i', 'n', 's', 't', 'p', 'k', 't', '1'};

// Before a packet's bytes, little-endian.
struct PacketHead {
  std::int64_t time_ns = 0;
  std::uint32_t sequence = 0;
  std::uint32_t size = 0;
  std::uint64_t checksum = 0;  // of the three above, then of the bytes
};
static_assert(sizeof(PacketHead) == 24);

std::uint64_t checksum_of(const PacketHead& head, std::span<const std::uint8_t> bytes) {
  std::array<std::uint8_t, offsetof(PacketHead, checksum)> start;
  std::memcpy(start.data(), &head, start.size());
  return hash_words(bytes, hash_words(start));
}

}  // namespace

bool RecordingLink::next_packet(Packet* out) {
  if (!link_.next_packet(out)) return false;
  if (!packets_.push(*out)) packets_lost_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::span<const std::uint8_t> packet_file_header() {
  return kMagic;
}

void append_packet(const Packet& packet, std::vector<std::uint8_t>& out) {
  INSTEP_CHECK(packet.size <= Packet::kBytesMax);
  PacketHead head{packet.time_ns, packet.sequence, packet.size, 0};
  head.checksum = checksum_of(head, packet.view());
  const std::size_t at = out.size();
  out.resize(at + sizeof head);
  std::memcpy(out.data() + at, &head, sizeof head);
  out.insert(out.end(), packet.bytes.begin(), packet.bytes.begin() + packet.size);
}

PacketFileReader::PacketFileReader(std::span<const std::uint8_t> file) : rest_(file) {
  is_one_ = file.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), file.begin());
  if (is_one_) rest_ = file.subspan(kMagic.size());
}

bool PacketFileReader::next(Packet* out) {
  PacketHead head;
  if (!is_one_ || rest_.size() < sizeof head) return false;
  std::memcpy(&head, rest_.data(), sizeof head);
  const auto after = rest_.subspan(sizeof head);
  if (head.size > Packet::kBytesMax || head.size > after.size()) return false;
  const auto bytes = after.first(head.size);
  if (checksum_of(head, bytes) != head.checksum) return false;
  out->time_ns = head.time_ns;
  out->sequence = head.sequence;
  out->size = head.size;
  std::copy(bytes.begin(), bytes.end(), out->bytes.begin());
  rest_ = after.subspan(head.size);
  return true;
}

}  // namespace instep

#include "runtime/realtime/tick_record.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/check.h"
#include "kernels/shape.h"
#include "runtime/hash.h"
#include "runtime/robot.h"

namespace instep {
namespace {

constexpr std::array<char, 8> kMagic = {'i', 'n', 's', 't', 'r', 'e', 'c', '1'};

struct FileHeader {
  std::array<char, 8> magic = kMagic;
  TickShape shape;
  std::uint32_t spare = 0;
  std::uint64_t identity = 0;
  std::int64_t step = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t checksum = 0;  // of header with 0 here, and snapshot
};
static_assert(sizeof(FileHeader) == 56);

std::uint64_t file_checksum(FileHeader header, std::span<const std::uint8_t> snapshot) {
  header.checksum = 0;
  std::array<std::uint8_t, sizeof header> bytes;
  std::memcpy(bytes.data(), &header, sizeof header);
  return hash_words(snapshot, hash_words(bytes));
}

}  // namespace

TickHead tick_head(std::span<const std::uint8_t> frame) {
  TickHead head;
  std::memcpy(&head, frame.data(), sizeof head);
  return head;
}

std::uint64_t tick_checksum(std::span<const std::uint8_t> frame) {
  constexpr std::size_t kAt = offsetof(TickHead, checksum);
  return hash_words(frame.subspan(sizeof(TickHead)), hash_words(frame.first(kAt)));
}

// ---------------------------------------------------------------------------------------------------
// The ring

bool TickRing::push(std::span<const std::uint8_t> frame) {
  INSTEP_CHECK(frame.size() == frame_bytes_);
  const std::uint64_t write = write_.load(std::memory_order_relaxed);
  if (write - read_.load(std::memory_order_acquire) == frames_) return false;
  std::memcpy(bytes_.data() + write % frames_ * frame_bytes_, frame.data(), frame_bytes_);
  write_.store(write + 1, std::memory_order_release);
  return true;
}

std::span<const std::uint8_t> TickRing::front() const {
  const std::uint64_t read = read_.load(std::memory_order_relaxed);
  if (read == write_.load(std::memory_order_acquire)) return {};
  return {bytes_.data() + read % frames_ * frame_bytes_, frame_bytes_};
}

void TickRing::pop() {
  const std::uint64_t read = read_.load(std::memory_order_relaxed);
  INSTEP_CHECK(read != write_.load(std::memory_order_relaxed));
  read_.store(read + 1, std::memory_order_release);
}

// ---------------------------------------------------------------------------------------------------
// The file

std::vector<std::uint8_t> record_header(const TickRecord& record) {
  FileHeader header;
  header.shape = record.shape;
  header.identity = record.identity;
  header.step = record.step;
  header.snapshot_bytes = record.snapshot.size();
  header.checksum = file_checksum(header, record.snapshot);
  std::vector<std::uint8_t> bytes(sizeof header + record.snapshot.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  std::copy(record.snapshot.begin(), record.snapshot.end(), bytes.begin() + sizeof header);
  return bytes;
}

std::string read_record(std::span<const std::uint8_t> file, TickRecord* out) {
  FileHeader header;
  if (file.size() < sizeof header) return "is no record of instep, or was cut short";
  std::memcpy(&header, file.data(), sizeof header);
  if (header.magic != kMagic) return "is no record of instep";
  const TickShape& shape = header.shape;
  const auto after = file.subspan(sizeof header);
  if (header.snapshot_bytes > after.size() || shape.observation_dim < 1 ||
      shape.observation_dim > kObservationDimMax || shape.action_dim < 1 ||
      shape.action_dim > kActionDimMax || shape.command_count < 0 ||
      shape.command_count > Command::kValuesMax || header.step < 0) {
    return "is damaged: its header makes no sense";
  }
  const auto snapshot = after.first(static_cast<std::size_t>(header.snapshot_bytes));
  if (file_checksum(header, snapshot) != header.checksum) return "is damaged: its start is";
  const std::size_t frame_bytes = shape.frame_bytes();
  const auto frames = after.subspan(snapshot.size());
  const auto whole = frames.first(frames.size() / frame_bytes * frame_bytes);
  for (std::size_t at = 0; at < whole.size(); at += frame_bytes) {
    const auto frame = whole.subspan(at, frame_bytes);
    if (tick_checksum(frame) != tick_head(frame).checksum) {
      return "is damaged: tick " + std::to_string(at / frame_bytes) + " is";
    }
  }
  out->shape = shape;
  out->identity = header.identity;
  out->step = header.step;
  out->snapshot.assign(snapshot.begin(), snapshot.end());
  out->frames.assign(whole.begin(), whole.end());
  return "";
}

}  // namespace instep

#include "runtime/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "kernels/check.h"
#include "runtime/hash.h"

namespace instep {
namespace {

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

constexpr std::int64_t kPageBytes = 4096;
constexpr char kMagic[8] = {'I', 'N', 'S', 'T', 'E', 'P', 'C', 'K'};

bool is_known(std::uint32_t version) {
  return version >= 1 && version <= kCheckpointVersion;
}

std::int64_t slot_bytes(std::size_t snapshot_bytes) {
  const auto snapshot = static_cast<std::int64_t>(snapshot_bytes);
  return kPageBytes + (snapshot + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

// At the start of a slot. It fits one disk sector, so it is written whole or not at all.
struct CheckpointFile::SlotHeader {
  char magic[8] = {};
  std::uint32_t version = 0;
  std::uint32_t algorithm = 0;
  std::int32_t observation_dim = 0;
  std::int32_t action_dim = 0;
  std::int32_t hidden_dim = 0;
  std::uint32_t header_checksum = 0;  // of the header with this field zero
  std::uint64_t settings_hash = 0;
  std::int64_t step = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t checksum = 0;  // of the header with both checksums zero, then of the snapshot

  std::span<const std::uint8_t> bytes() const {
    return {reinterpret_cast<const std::uint8_t*>(this), sizeof *this};
  }
  std::uint64_t checksum_with(std::span<const std::uint8_t> snapshot) const {
    SlotHeader header = *this;
    header.header_checksum = 0;
    header.checksum = 0;
    return version == 1 ? hash_words(snapshot, hash_words(header.bytes()))
                        : hash_bytes(snapshot, hash_bytes(header.bytes()));
  }
  // Tells a damaged header from the whole one of a slot whose snapshot a crash left half-written.
  std::uint32_t own_checksum() const {
    SlotHeader header = *this;
    header.header_checksum = 0;
    const std::uint64_t state =
        version == 1 ? hash_words(header.bytes()) : hash_bytes(header.bytes());
    return static_cast<std::uint32_t>(state ^ (state >> 32));
  }
};

std::int64_t CheckpointFile::slot_offset(std::size_t slot) const {
  return static_cast<std::int64_t>(slot) * slot_bytes(snapshot_bytes_);
}

int CheckpointFile::create(const std::string& path, const CheckpointIdentity& identity,
                           std::size_t snapshot_bytes) {
  identity_ = identity;
  snapshot_bytes_ = snapshot_bytes;
  key_ = {.slot = 1};
  if (const int error = file_.open(path, File::Mode::kCreate)) return error;
  if (const int error = file_.reserve(2 * slot_bytes(snapshot_bytes))) return error;
  return file_.sync();
}

CheckpointFile::SlotHeader CheckpointFile::header_of(std::int64_t step) const {
  static_assert(sizeof(SlotHeader) == 64);
  SlotHeader header;
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kCheckpointVersion;
  header.algorithm = identity_.algorithm;
  header.observation_dim = identity_.observation_dim;
  header.action_dim = identity_.action_dim;
  header.hidden_dim = identity_.hidden_dim;
  header.settings_hash = identity_.settings_hash;
  header.step = step;
  header.snapshot_bytes = snapshot_bytes_;
  return header;
}

// Regular checkpoints alternate. One taken in between (at the end, or when interrupted) goes where
// the next regular one will go, so that it leaves no trace in a run that is later continued.
CheckpointKey CheckpointFile::prepare(std::int64_t step,
                                      std::span<const std::uint8_t> snapshot) const {
  INSTEP_CHECK(snapshot.size() == snapshot_bytes_);
  const std::size_t slot =
      every_ == 0 ? 1 - key_.slot
                  : static_cast<std::size_t>((step / every_ + (step % every_ == 0 ? 0 : 1)) % 2);
  return {slot, step, header_of(step).checksum_with(snapshot)};
}

int CheckpointFile::write(const CheckpointKey& key, std::span<const std::uint8_t> snapshot) {
  SlotHeader header = header_of(key.step);
  header.checksum = key.checksum;
  header.header_checksum = header.own_checksum();
  const std::int64_t offset = slot_offset(key.slot);
  if (const int error = file_.write_at(snapshot, offset + kPageBytes)) return error;
  if (const int error = file_.sync()) return error;
  if (const int error = file_.write_at(header.bytes(), offset)) return error;
  if (const int error = file_.sync()) return error;
  key_ = key;
  return 0;
}

CheckpointStatus CheckpointFile::open(const std::string& path, bool writable) {
  error_ = file_.open(path, writable ? File::Mode::kWrite : File::Mode::kRead);
  if (error_ == EINVAL) return CheckpointStatus::kNotACheckpoint;  // a named pipe
  if (error_ != 0) return CheckpointStatus::kSystemError;
  const CheckpointStatus status = read_newest();
  const bool is_whole =
      status == CheckpointStatus::kOk || status == CheckpointStatus::kOkButNewestDamaged;
  if (writable && is_whole && file_bytes_ < slot_offset(2)) {
    error_ = file_.reserve(slot_offset(2));
    if (error_ != 0) return CheckpointStatus::kSystemError;
  }
  return status;
}

// Judges one slot and, when it is whole, takes its snapshot. What lies behind the end of a file
// that was cut short is a slot with nothing right in it.
CheckpointFile::Slot CheckpointFile::read_slot(std::size_t number, std::int64_t half,
                                               std::vector<std::uint8_t>& snapshot) {
  Slot slot;
  SlotHeader header;
  const std::int64_t offset = static_cast<std::int64_t>(number) * half;
  if (offset + static_cast<std::int64_t>(sizeof header) > file_bytes_) return slot;
  error_ = file_.read_at({reinterpret_cast<std::uint8_t*>(&header), sizeof header}, offset);
  if (error_ != 0) return slot;
  const auto bytes = header.bytes();
  slot.is_empty = std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
  slot.has_magic = std::memcmp(header.magic, kMagic, sizeof kMagic) == 0;
  slot.version = header.version;
  slot.has_header =
      slot.has_magic && is_known(header.version) && header.own_checksum() == header.header_checksum;
  slot.step = header.step;
  if (!slot.has_header || header.observation_dim < 1 || header.action_dim < 1 ||
      header.hidden_dim < 0 || header.step < 0 ||
      header.snapshot_bytes > static_cast<std::uint64_t>(half) ||
      slot_bytes(header.snapshot_bytes) != half ||
      offset + kPageBytes + static_cast<std::int64_t>(header.snapshot_bytes) > file_bytes_) {
    return slot;
  }
  snapshot.resize(header.snapshot_bytes);
  error_ = file_.read_at(snapshot, offset + kPageBytes);
  if (error_ != 0 || header.checksum_with(snapshot) != header.checksum) return slot;
  slot.is_whole = true;
  slot.checksum = header.checksum;
  slot.identity = {header.observation_dim, header.action_dim, header.hidden_dim, header.algorithm,
                   header.settings_hash};
  return slot;
}

// Where the second slot begins. Both have the same size, so the file's length tells it; that of a
// file which was cut short does not, but the header of its first slot does. 0: this is no
// checkpoint.
std::int64_t CheckpointFile::find_half() const {
  SlotHeader header;
  const int error = file_.read_at({reinterpret_cast<std::uint8_t*>(&header), sizeof header}, 0);
  const bool has_header = error == 0 && std::memcmp(header.magic, kMagic, sizeof kMagic) == 0 &&
                          header.own_checksum() == header.header_checksum &&
                          header.snapshot_bytes < static_cast<std::uint64_t>(file_bytes_);
  if (has_header && file_bytes_ >= kPageBytes + static_cast<std::int64_t>(header.snapshot_bytes) &&
      file_bytes_ < 2 * slot_bytes(header.snapshot_bytes)) {
    return slot_bytes(header.snapshot_bytes);
  }
  const std::int64_t half = file_bytes_ / 2;
  return file_bytes_ % (2 * kPageBytes) == 0 && half > kPageBytes ? half : 0;
}

CheckpointStatus CheckpointFile::read_newest() {
  error_ = file_.size(file_bytes_);
  if (error_ != 0) return CheckpointStatus::kSystemError;
  // A crash while the file was made can leave it without any space.
  if (file_bytes_ == 0) return CheckpointStatus::kNothingYet;
  const std::int64_t half = find_half();
  if (half == 0) return CheckpointStatus::kNotACheckpoint;

  Slot slots[2];
  std::vector<std::uint8_t> snapshots[2];
  int read_error = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    slots[i] = read_slot(i, half, snapshots[i]);
    if (error_ != 0) read_error = error_;
  }
  // A sector that cannot be read any more is what the other slot is for.
  if (read_error != 0 && !slots[0].is_whole && !slots[1].is_whole) {
    error_ = read_error;
    return CheckpointStatus::kSystemError;
  }
  error_ = 0;
  std::size_t newest = slots[0].is_whole ? 0 : 1;
  if (slots[0].is_whole && slots[1].is_whole && slots[1].step > slots[0].step) newest = 1;
  const Slot& other = slots[1 - newest];
  if (!slots[newest].is_whole) {
    if (slots[0].is_empty && slots[1].is_empty) return CheckpointStatus::kNothingYet;
    if (!slots[0].has_magic && !slots[1].has_magic) return CheckpointStatus::kNotACheckpoint;
    for (const Slot& slot : slots) {
      if (!slot.has_magic || is_known(slot.version)) continue;
      found_version_ = slot.version;
      return CheckpointStatus::kOtherVersion;
    }
    return CheckpointStatus::kBothDamaged;
  }
  found_version_ = slots[newest].version;
  identity_ = slots[newest].identity;
  key_ = {newest, slots[newest].step, slots[newest].checksum};
  snapshot_ = std::move(snapshots[newest]);
  snapshot_bytes_ = snapshot_.size();
  // A slot that a crash left half-written still has the header of an older step: no loss worth a
  // word.
  const bool may_be_newer =
      !other.is_whole && !other.is_empty && (!other.has_header || other.step > key_.step);
  return may_be_newer ? CheckpointStatus::kOkButNewestDamaged : CheckpointStatus::kOk;
}

}  // namespace instep

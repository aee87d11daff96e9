#include "tools/library/run/measured.h"

#include <array>
#include <bit>
#include <cstdio>
#include <cstring>

#include "runtime/hash.h"

namespace instep {
namespace {

static_assert(std::endian::native == std::endian::little, "it is little-endian");

constexpr std::uint32_t kVersion = 2;  // whoever changes Measured raises it
constexpr char kMagic[8] = {'I', 'N', 'S', 'T', 'E', 'P', 'M', 'S'};
constexpr std::int64_t kPageBytes = 4096;
constexpr std::size_t kSlots = 2;
constexpr std::size_t kCopies = 2;

std::span<const std::uint8_t> bytes_of(const Measured& measured) {
  return {reinterpret_cast<const std::uint8_t*>(&measured), sizeof measured};
}

}  // namespace

struct MeasuredFile::Header {
  char magic[8] = {};
  std::uint32_t version = 0;
  std::uint32_t bytes = 0;  // of what follows
  std::int64_t step = 0;    // of the checkpoint
  std::uint64_t checkpoint_checksum = 0;
  std::uint64_t number = 0;    // of this write; the higher one of two for one checkpoint is newer
  std::uint64_t checksum = 0;  // of the header with this field zero, then of what follows

  bool is_ours() const {
    return std::memcmp(magic, kMagic, sizeof kMagic) == 0 && version == kVersion &&
           bytes == sizeof(Measured);
  }
  std::uint64_t checksum_with(const Measured& measured) const {
    Header header = *this;
    header.checksum = 0;
    const auto* begin = reinterpret_cast<const std::uint8_t*>(&header);
    return hash_words(bytes_of(measured), hash_words({begin, sizeof header}));
  }
};

// The header has a page of its own.
std::int64_t MeasuredFile::place_of(std::size_t slot, std::size_t copy) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(Measured));
  constexpr std::int64_t kCopyBytes =
      kPageBytes + (kBytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  return static_cast<std::int64_t>(kCopies * slot + copy) * kCopyBytes;
}

int MeasuredFile::make(const std::string& path) {
  std::remove(path.c_str());
  file_ = std::make_unique<File>();
  if (const int error = file_->open(path, File::Mode::kCreate)) return error;
  const int error = file_->reserve(place_of(kSlots, 0));
  if (error != 0) std::remove(path.c_str());  // room that others may need
  return error;
}

int MeasuredFile::open(const std::string& path) {
  file_ = std::make_unique<File>();
  std::int64_t bytes = 0;
  if (file_->open(path, File::Mode::kWrite) == 0 && file_->size(bytes) == 0 &&
      bytes == place_of(kSlots, 0)) {
    return 0;
  }
  return make(path);
}

bool MeasuredFile::read_copy(std::int64_t place, Header& header, Measured& out) const {
  const std::span header_bytes{reinterpret_cast<std::uint8_t*>(&header), sizeof header};
  const std::span out_bytes{reinterpret_cast<std::uint8_t*>(&out), sizeof out};
  return file_->read_at(header_bytes, place) == 0 && header.is_ours() &&
         file_->read_at(out_bytes, place + kPageBytes) == 0 &&
         header.checksum == header.checksum_with(out);
}

bool MeasuredFile::read(const CheckpointKey& checkpoint, Measured& out) {
  bool is_found = false;
  std::uint64_t newest = 0;
  Header header;
  const auto measured = std::make_unique<Measured>();
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    for (std::size_t copy = 0; copy < kCopies; ++copy) {
      if (!read_copy(place_of(slot, copy), header, *measured)) continue;
      writes_ = std::max(writes_, header.number);
      if (slot != checkpoint.slot || header.step != checkpoint.step ||
          header.checkpoint_checksum != checkpoint.checksum || header.number < newest) {
        continue;
      }
      is_found = true;
      newest = header.number;
      standing_[slot] = copy;
      out = *measured;
    }
  }
  return is_found;
}

int MeasuredFile::write(const CheckpointKey& checkpoint, const Measured& measured) {
  slot_ = checkpoint.slot;
  copy_ = 1 - standing_[slot_];
  Header header;
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.bytes = sizeof measured;
  header.step = checkpoint.step;
  header.checkpoint_checksum = checkpoint.checksum;
  header.number = ++writes_;
  header.checksum = header.checksum_with(measured);
  const std::int64_t place = place_of(slot_, copy_);
  if (const int error = file_->write_at(bytes_of(measured), place + kPageBytes)) return error;
  return file_->write_at({reinterpret_cast<const std::uint8_t*>(&header), sizeof header}, place);
}

}  // namespace instep

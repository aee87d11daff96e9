#include "tools/library/listen/event_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "kernels/check.h"

namespace instep {
namespace {

// Fields of tensorflow.Event and tensorflow.Summary: number times 8 plus the wire type.
constexpr std::uint8_t kEventWallTime = 0x09;     // double
constexpr std::uint8_t kEventStep = 0x10;         // varint
constexpr std::uint8_t kEventFileVersion = 0x1A;  // string
constexpr std::uint8_t kEventSummary = 0x2A;      // message
constexpr std::uint8_t kSummaryValue = 0x0A;      // message
constexpr std::uint8_t kValueTag = 0x0A;          // string
constexpr std::uint8_t kValueSimple = 0x15;       // float

constexpr std::size_t kFrameBytes = 8 + 4 + 4;  // around the data of a record
constexpr std::size_t kScalarBytesMax = EventFile::kTagBytesMax + 12;
constexpr std::size_t kRecordBytesMax = 64 + EventFile::kScalarsMax * kScalarBytesMax;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1) ^ ((value & 1U) != 0 ? 0x82F63B78U : 0U);  // Castagnoli's, reflected
    }
    table[i] = value;
  }
  return table;
}

std::uint32_t masked_crc32c(std::span<const std::uint8_t> bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_crc_table();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::uint8_t byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ byte) & 0xFFU];
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;  // TFRecord's mask
}

// Appends to a small fixed buffer.
struct Writer {
  std::array<std::uint8_t, kRecordBytesMax> bytes{};
  std::size_t size = 0;

  void byte(std::uint8_t value) { bytes[size++] = value; }
  void varint(std::uint64_t value) {
    for (; value >= 0x80U; value >>= 7) byte(static_cast<std::uint8_t>(value | 0x80U));
    byte(static_cast<std::uint8_t>(value));
  }
  void raw(const void* data, std::size_t count) {
    std::memcpy(bytes.data() + size, data, count);
    size += count;
  }
  std::span<const std::uint8_t> view() const { return {bytes.data(), size}; }
};

// The step of an Event whose first two fields are wall time and step, as written here; -1
// otherwise.
std::int64_t step_of(std::span<const std::uint8_t> event) {
  constexpr std::size_t kStepAt = 1 + sizeof(double);
  if (event.size() <= kStepAt + 1 || event[0] != kEventWallTime || event[kStepAt] != kEventStep)
    return -1;
  std::uint64_t value = 0;
  int shift = 0;
  for (std::size_t i = kStepAt + 1; i < event.size() && shift < 63; ++i, shift += 7) {
    value |= static_cast<std::uint64_t>(event[i] & 0x7FU) << shift;
    if ((event[i] & 0x80U) == 0) return static_cast<std::int64_t>(value);
  }
  return -1;
}

// How many bytes at the start of a file are whole records of steps up to `step`.
std::size_t length_up_to(std::span<const std::uint8_t> file, std::int64_t step) {
  std::size_t at = 0;
  bool is_first = true;
  while (file.size() - at >= kFrameBytes) {
    std::uint64_t bytes = 0;
    std::uint32_t crc = 0;
    std::memcpy(&bytes, file.data() + at, sizeof bytes);
    std::memcpy(&crc, file.data() + at + 8, sizeof crc);
    if (crc != masked_crc32c(file.subspan(at, 8)) || bytes > file.size() - at - kFrameBytes) break;
    const auto data = file.subspan(at + 12, static_cast<std::size_t>(bytes));
    std::memcpy(&crc, data.data() + data.size(), sizeof crc);
    if (crc != masked_crc32c(data)) break;
    // The first record is the file's version and has no step.
    if (!is_first && (step_of(data) < 0 || step_of(data) > step)) break;
    is_first = false;
    at += kFrameBytes + data.size();
  }
  return at;
}

}  // namespace

void EventFile::append_record(std::span<const std::uint8_t> data) {
  const std::uint64_t bytes = data.size();
  const auto append = [this](const void* from, std::size_t count) {
    std::memcpy(buffer_.data() + buffered_bytes_, from, count);
    buffered_bytes_ += count;
  };
  std::uint8_t length[8];
  std::memcpy(length, &bytes, sizeof length);
  const std::uint32_t length_crc = masked_crc32c(length);
  const std::uint32_t data_crc = masked_crc32c(data);
  append(length, sizeof length);
  append(&length_crc, sizeof length_crc);
  append(data.data(), data.size());
  append(&data_crc, sizeof data_crc);
}

int EventFile::create(const std::string& path, double wall_time_s) {
  if (const int error = file_.open(path, File::Mode::kCreate)) return error;
  file_bytes_ = 0;
  constexpr std::string_view kVersion = "brain.Event:2";
  Writer event;
  event.byte(kEventWallTime);
  event.raw(&wall_time_s, sizeof wall_time_s);
  event.byte(kEventFileVersion);
  event.varint(kVersion.size());
  event.raw(kVersion.data(), kVersion.size());
  append_record(event.view());
  return flush();
}

int EventFile::open_at(const std::string& path, std::int64_t step, double wall_time_s) {
  std::vector<char> contents;
  {
    std::ifstream in(path, std::ios::binary);
    contents.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::size_t bytes =
      length_up_to({reinterpret_cast<const std::uint8_t*>(contents.data()), contents.size()}, step);
  if (bytes == 0) {
    std::remove(path.c_str());
    return create(path, wall_time_s);
  }
  if (const int error = file_.open(path, File::Mode::kWrite)) return error;
  file_bytes_ = static_cast<std::int64_t>(bytes);
  return file_.truncate(file_bytes_);
}

int EventFile::add(std::int64_t step, double wall_time_s, std::span<const Scalar> scalars) {
  INSTEP_CHECK(scalars.size() <= kScalarsMax);
  if (buffered_bytes_ + kFrameBytes + kRecordBytesMax > buffer_.size()) {
    if (const int error = flush()) return error;
  }
  Writer summary;
  for (const Scalar& scalar : scalars) {
    INSTEP_CHECK(scalar.tag.size() <= kTagBytesMax);
    // Lengths below 128 take one byte each.
    summary.byte(kSummaryValue);
    summary.varint(2 + scalar.tag.size() + 1 + sizeof scalar.value);
    summary.byte(kValueTag);
    summary.varint(scalar.tag.size());
    summary.raw(scalar.tag.data(), scalar.tag.size());
    summary.byte(kValueSimple);
    summary.raw(&scalar.value, sizeof scalar.value);
  }
  Writer event;
  event.byte(kEventWallTime);
  event.raw(&wall_time_s, sizeof wall_time_s);
  event.byte(kEventStep);
  event.varint(static_cast<std::uint64_t>(step));
  event.byte(kEventSummary);
  event.varint(summary.size);
  event.raw(summary.bytes.data(), summary.size);
  append_record(event.view());
  return 0;
}

int EventFile::flush() {
  if (const int error = file_.write_at({buffer_.data(), buffered_bytes_}, file_bytes_))
    return error;
  file_bytes_ += static_cast<std::int64_t>(buffered_bytes_);
  buffered_bytes_ = 0;
  return 0;
}

}  // namespace instep

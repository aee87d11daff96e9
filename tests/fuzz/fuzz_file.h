// Fuzzed bytes, one after the other, or as a file, for functions that read a path.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

namespace instep {

// Bytes that decide what happens next.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  bool is_over() const { return rest_.empty(); }
  std::span<const std::uint8_t> rest() const { return rest_; }
  // The next one; 0 behind the last.
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }
  // As many as the next byte says, or as there are.
  std::span<const std::uint8_t> piece() {
    const std::size_t wanted = byte();
    const std::size_t count = std::min(wanted, rest_.size());
    const auto bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

// A file in memory that lives as long as the object.
class FuzzFile {
 public:
  FuzzFile(const std::uint8_t* data, std::size_t size)
      : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    const auto bytes = static_cast<ssize_t>(size);
    if (descriptor_ < 0 || (size > 0 && write(descriptor_, data, size) != bytes)) std::abort();
  }
  ~FuzzFile() { close(descriptor_); }
  FuzzFile(const FuzzFile&) = delete;
  FuzzFile& operator=(const FuzzFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// What must hold whatever the bytes are.
inline void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace instep

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

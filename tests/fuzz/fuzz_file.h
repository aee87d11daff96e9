// Fuzzed bytes as a file, for functions that read a path.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace instep {

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

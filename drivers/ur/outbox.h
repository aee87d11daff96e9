// Bytes that wait for a client of the simulated controller. Plain data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace instep {

class UrOutbox {
 public:
  static constexpr std::size_t kBytesMax = 32768;

  void clear() { begin_ = size_ = 0; }
  // All of the bytes or, where there is no room for them, none: false.
  bool write(std::span<const std::uint8_t> bytes);
  bool write(std::string_view text);
  // Moves bytes from the front into out; answers how many.
  std::size_t read(std::span<std::uint8_t> out);
  std::size_t size() const { return size_; }

 private:
  std::uint64_t begin_ = 0;
  std::uint64_t size_ = 0;
  std::array<std::uint8_t, kBytesMax> bytes_{};
};

}  // namespace instep

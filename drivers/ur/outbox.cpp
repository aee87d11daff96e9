#include "drivers/ur/outbox.h"

#include <algorithm>
#include <cstring>

namespace instep {

bool UrOutbox::write(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > kBytesMax - size_) return false;
  if (bytes.empty()) return true;
  if (begin_ + size_ + bytes.size() > kBytesMax) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, size_);
    begin_ = 0;
  }
  std::memcpy(bytes_.data() + begin_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  return true;
}

bool UrOutbox::write(std::string_view text) {
  return write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::size_t UrOutbox::read(std::span<std::uint8_t> out) {
  const std::size_t count = std::min<std::size_t>(out.size(), size_);
  if (count > 0) std::memcpy(out.data(), bytes_.data() + begin_, count);
  begin_ += count;
  size_ -= count;
  if (size_ == 0) begin_ = 0;
  return count;
}

}  // namespace instep

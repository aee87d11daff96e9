// The newest value from one thread to another: a triple buffer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "kernels/check.h"

namespace instep {

// Single writer, single reader, wait-free. A value that is overwritten before it is read is lost,
// which is what newest means. Of three slots one belongs to the writer, one to the reader, and one
// lies between them; `between_` holds its index and whether its value is new. (Tests replace the
// atomic by one of their own, to walk through every interleaving.)
template <typename T, template <typename> class Atomic = std::atomic>
class LatestValue {
 public:
  LatestValue() = default;
  LatestValue(const LatestValue&) = delete;
  LatestValue& operator=(const LatestValue&) = delete;

  // Writer.
  void write(const T& value) {
    slots_[write_] = value;
    write_ = between_.exchange(write_ | kNews, std::memory_order_acq_rel) & kIndex;
    INSTEP_CHECK(write_ < slots_.size());
  }

  // Reader. True, and *out overwritten, when something was written since the last true.
  [[nodiscard]] bool read(T* out) {
    if ((between_.load(std::memory_order_relaxed) & kNews) == 0) return false;
    read_ = between_.exchange(read_, std::memory_order_acq_rel) & kIndex;
    INSTEP_CHECK(read_ < slots_.size());
    *out = slots_[read_];
    return true;
  }

 private:
  static constexpr std::uint32_t kIndex = 3;
  static constexpr std::uint32_t kNews = 4;

  std::array<T, 3> slots_{};
  alignas(64) std::uint32_t write_ = 0;
  alignas(64) Atomic<std::uint32_t> between_{1};
  alignas(64) std::uint32_t read_ = 2;
};

}  // namespace instep

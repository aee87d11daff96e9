// A queue between two threads that neither may wait in.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernels/check.h"

namespace instep {

// Single producer, single consumer, fixed capacity, in order. Wait-free on both sides. The indices
// count for ever; only their low bits choose a slot. (Tests put an atomic of their own in, to walk
// through every interleaving.)
template <typename T, std::uint32_t kCapacity, template <typename> class Atomic = std::atomic>
class SpscRing {
  static_assert((kCapacity & (kCapacity - 1)) == 0, "a power of two");

 public:
  SpscRing() = default;
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  // Producer. False when it is full; then nothing has changed.
  [[nodiscard]] bool push(const T& item) {
    const std::uint32_t write = write_.load(std::memory_order_relaxed);
    const std::uint32_t used = write - read_.load(std::memory_order_acquire);
    INSTEP_CHECK(used <= kCapacity);
    if (used == kCapacity) return false;
    items_[write % kCapacity] = item;
    write_.store(write + 1, std::memory_order_release);
    return true;
  }

  // Consumer. The oldest item, which stays until pop(); null when there is none.
  const T* front() const {
    const std::uint32_t read = read_.load(std::memory_order_relaxed);
    if (read == write_.load(std::memory_order_acquire)) return nullptr;
    return &items_[read % kCapacity];
  }

  // Consumer. Forgets the oldest item, which there must be. What the consumer did before is visible
  // to a producer that sees the ring empty.
  void pop() {
    const std::uint32_t read = read_.load(std::memory_order_relaxed);
    INSTEP_CHECK(read != write_.load(std::memory_order_relaxed));
    read_.store(read + 1, std::memory_order_release);
  }

  // Producer: how many items the consumer has not popped, at most.
  std::uint32_t size() const {
    return write_.load(std::memory_order_relaxed) - read_.load(std::memory_order_acquire);
  }

 private:
  // A cache line each, so that the two sides do not slow each other.
  alignas(64) Atomic<std::uint32_t> write_{0};
  alignas(64) Atomic<std::uint32_t> read_{0};
  alignas(64) std::array<T, kCapacity> items_{};
};

}  // namespace instep

// Time as an argument.
#pragma once

#include <cstdint>

namespace instep {

// Nanoseconds that never run backwards. Tests pass a clock of their own.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;
  virtual std::int64_t now_ns() const = 0;
};

// The machine's CLOCK_MONOTONIC.
class MonotonicClock final : public Clock {
 public:
  std::int64_t now_ns() const override;
};

}  // namespace instep

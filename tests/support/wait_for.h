// Waiting, on real time, for what another thread or process does.
#pragma once

#include <functional>

#include "runtime/clock.h"
#include "runtime/realtime/thread.h"

namespace instep {

// Whether the condition, asked every millisecond, came to hold.
inline bool wait_for(const std::function<bool()>& condition, std::int64_t most_ns = 5'000'000'000) {
  const MonotonicClock clock;
  const std::int64_t end_ns = clock.now_ns() + most_ns;
  while (clock.now_ns() < end_ns) {
    if (condition()) return true;
    sleep_until(clock.now_ns() + 1'000'000);
  }
  return condition();
}

}  // namespace instep

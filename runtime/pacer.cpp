#include "runtime/pacer.h"

#include <algorithm>
#include <cmath>

namespace instep {
namespace {

constexpr std::uint32_t kIntervalMemory = 64;  // packets over which the interval is averaged
// After a longer gap the time between two packets says nothing of their interval.
constexpr std::uint32_t kSequenceGapMax = 8;

}  // namespace

void Pacer::start(std::int64_t now_ns) {
  state_.deadline_ns = now_ns + period_ns_;
  state_.is_started = 1;
}

void Pacer::add_packet(std::int64_t time_ns, std::uint32_t sequence) {
  const std::uint32_t gap = sequence - state_.packet_sequence;
  if (state_.packet_count > 0 && gap >= 1 && gap <= kSequenceGapMax) {
    const double interval =
        static_cast<double>(time_ns - state_.packet_ns) / static_cast<double>(gap);
    const auto memory = static_cast<double>(state_.packet_count);
    state_.packet_interval_ns += (interval - state_.packet_interval_ns) / memory;
    state_.packet_count = std::min(state_.packet_count + 1, kIntervalMemory);
  } else if (state_.packet_count == 0) {
    state_.packet_count = 1;
  }
  state_.packet_ns = time_ns;
  state_.packet_sequence = sequence;
  state_.has_new_packet = 1;
}

double Pacer::correction_ns() const {
  const double interval = state_.packet_interval_ns;
  if (!is_phase_locked_ || state_.has_new_packet == 0 || !(interval > 0.0)) return 0.0;
  const auto age = static_cast<double>(state_.deadline_ns - state_.packet_ns);
  double error = age - kAgeTarget * interval;
  error -= interval * std::round(error / interval);
  const double slew_max = kSlewMax * static_cast<double>(period_ns_);
  return std::clamp(-kGain * error, -slew_max, slew_max);
}

std::int64_t Pacer::advance(std::int64_t now_ns) {
  state_.deadline_ns += period_ns_ + static_cast<std::int64_t>(correction_ns());
  state_.has_new_packet = 0;
  if (state_.deadline_ns > now_ns) return 0;
  const std::int64_t missed = (now_ns - state_.deadline_ns) / period_ns_ + 1;
  state_.deadline_ns += missed * period_ns_;
  return missed;
}

}  // namespace instep

// Counts latencies without keeping them.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace instep {

// A histogram of durations in nanoseconds with logarithmic buckets: 32 to each doubling, so a
// percentile is at most 3.2 % too high. Fixed size; recording costs a few instructions and never
// allocates.
class LatencyHistogram {
 public:
  static constexpr int kBucketsPerDoubling = 32;
  static constexpr int kBuckets = 40 * kBucketsPerDoubling;  // up to 2^43 ns, more than two hours

  void record(std::int64_t ns) {
    ++counts_[static_cast<std::size_t>(bucket(ns))];
    ++total_;
    if (ns > max_ns_) max_ns_ = ns;
  }

  // Adds what another one has counted.
  void add(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    if (other.max_ns_ > max_ns_) max_ns_ = other.max_ns_;
  }

  std::uint64_t total() const { return total_; }
  std::int64_t max_ns() const { return max_ns_; }
  std::uint64_t count(int bucket) const { return counts_[static_cast<std::size_t>(bucket)]; }

  // The first duration that belongs to a bucket, 0 .. kBuckets.
  static std::int64_t lower_edge_ns(int bucket) {
    const int doubling = bucket / kBucketsPerDoubling;
    const std::int64_t within = bucket % kBucketsPerDoubling;
    if (doubling == 0) return within;
    return (kBucketsPerDoubling + within) << (doubling - 1);
  }

  // The upper edge of the bucket that holds the q-quantile, 0 < q <= 1; never above the maximum
  // seen, which is exact. 0 when nothing was recorded.
  std::int64_t quantile_ns(double q) const {
    const auto rank = static_cast<double>(total_) * q;
    std::uint64_t seen = 0;
    for (int i = 0; i < kBuckets; ++i) {
      seen += count(i);
      if (seen > 0 && static_cast<double>(seen) >= rank) {
        const std::int64_t edge = lower_edge_ns(i + 1) - 1;
        return edge < max_ns_ ? edge : max_ns_;
      }
    }
    return max_ns_;
  }

 private:
  static int bucket(std::int64_t ns) {
    if (ns < 0) return 0;
    const auto value = static_cast<std::uint64_t>(ns);
    const auto doubling =
        static_cast<int>(std::bit_width(value / kBucketsPerDoubling));  // 0 below 32 ns
    const int index = doubling == 0
                          ? static_cast<int>(value)
                          : doubling * kBucketsPerDoubling +
                                static_cast<int>(value >> (doubling - 1)) - kBucketsPerDoubling;
    return index < kBuckets ? index : kBuckets - 1;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
  std::int64_t max_ns_ = 0;
};

}  // namespace instep

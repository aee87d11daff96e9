#include "runtime/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/philox.h"

namespace instep {
namespace {

// The nearest-rank quantile: the smallest value that a share q of all values does not exceed.
std::int64_t exact_quantile(std::vector<std::int64_t> values, double q) {
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(static_cast<double>(values.size()) * q);
  return values[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
}

TEST(LatencyHistogram, IsEmptyAtFirst) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.total(), 0U);
  EXPECT_EQ(histogram.max_ns(), 0);
  EXPECT_EQ(histogram.quantile_ns(0.5), 0);
  EXPECT_EQ(histogram.quantile_ns(1.0), 0);
}

TEST(LatencyHistogram, EdgesJoinWithoutGapAndEveryEdgeFallsIntoItsOwnBucket) {
  EXPECT_EQ(LatencyHistogram::lower_edge_ns(0), 0);
  for (int i = 0; i < LatencyHistogram::kBuckets; ++i) {
    const std::int64_t lower = LatencyHistogram::lower_edge_ns(i);
    const std::int64_t upper = LatencyHistogram::lower_edge_ns(i + 1) - 1;
    ASSERT_LE(lower, upper) << "bucket " << i;
    // A bucket is at most 1/32 of its lower edge wide: what bounds the error of a quantile.
    ASSERT_LE(upper - lower, lower / 32) << "bucket " << i;
    LatencyHistogram histogram;
    histogram.record(lower);
    histogram.record(upper);
    ASSERT_EQ(histogram.count(i), 2U) << "bucket " << i;
  }
}

TEST(LatencyHistogram, SmallDurationsAreExact) {
  for (std::int64_t ns = 0; ns < 64; ++ns) {
    LatencyHistogram histogram;
    histogram.record(ns);
    histogram.record(1000);  // so that the maximum does not help
    EXPECT_EQ(histogram.quantile_ns(0.5), ns);
  }
}

TEST(LatencyHistogram, QuantilesAreNeverTooLowAndAtMost3Point2PercentTooHigh) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::vector<double> draws(1 + seed * 97);
    Random{seed, 0}.uniform(0, draws.data(), static_cast<int>(draws.size()));
    LatencyHistogram histogram;
    std::vector<std::int64_t> values;
    for (const double draw : draws) {
      // Evenly over the exponents, from a nanosecond to two hours.
      values.push_back(static_cast<std::int64_t>(std::exp(draw * std::log(7.2e12))));
      histogram.record(values.back());
    }
    ASSERT_EQ(histogram.total(), values.size());
    for (const double q : {0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0}) {
      const std::int64_t exact = exact_quantile(values, q);
      const std::int64_t shown = histogram.quantile_ns(q);
      EXPECT_GE(shown, exact) << "q " << q << ", seed " << seed;
      EXPECT_LE(static_cast<double>(shown), 1.032 * static_cast<double>(exact))
          << "q " << q << ", seed " << seed;
    }
    EXPECT_EQ(histogram.quantile_ns(1.0), *std::max_element(values.begin(), values.end()));
  }
}

TEST(LatencyHistogram, ExtremesStayInside) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  LatencyHistogram histogram;
  histogram.record(-5);  // A clock that stepped back must not write outside the table.
  histogram.record(std::numeric_limits<std::int64_t>::min());
  histogram.record(kHuge);
  EXPECT_EQ(histogram.total(), 3U);
  EXPECT_EQ(histogram.count(0), 2U);
  EXPECT_EQ(histogram.count(LatencyHistogram::kBuckets - 1), 1U);
  EXPECT_EQ(histogram.max_ns(), kHuge);
  EXPECT_EQ(histogram.quantile_ns(0.5), 0);
  EXPECT_GE(histogram.quantile_ns(1.0),
            LatencyHistogram::lower_edge_ns(LatencyHistogram::kBuckets - 1));
}

}  // namespace
}  // namespace instep

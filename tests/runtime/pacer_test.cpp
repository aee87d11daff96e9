#include "runtime/pacer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/philox.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;

TEST(Pacer, DoesNotAddUpLateness) {
  Pacer pacer(10 * kMs, false);
  pacer.start(5);
  EXPECT_EQ(pacer.deadline_ns(), 5 + 10 * kMs);
  for (int i = 2; i <= 100; ++i) {
    EXPECT_EQ(pacer.advance(pacer.deadline_ns() + 3 * kMs), 0);
    EXPECT_EQ(pacer.deadline_ns(), 5 + i * 10 * kMs);
  }
}

TEST(Pacer, SkipsWholePeriodsThatWereMissed) {
  Pacer pacer(10 * kMs, false);
  pacer.start(0);
  EXPECT_EQ(pacer.advance(10 * kMs + 9 * kMs), 0);
  EXPECT_EQ(pacer.deadline_ns(), 20 * kMs);
  EXPECT_EQ(pacer.advance(30 * kMs), 1);  // the deadline at 30 is no longer ahead
  EXPECT_EQ(pacer.deadline_ns(), 40 * kMs);
  EXPECT_EQ(pacer.advance(95 * kMs), 5);
  EXPECT_EQ(pacer.deadline_ns(), 100 * kMs);
}

// Deadlines against a device whose clock runs `drift` fast and whose packets jitter. Returns the
// ages of the newest packet at the deadlines after the lock has settled.
struct AgeRange {
  double least = 1e18;
  double most = -1e18;
  double largest_change = 0.0;
};

AgeRange run_against_device(bool is_locked, double drift, std::int64_t period_ns,
                            double interval_ns, double jitter_ns) {
  Pacer pacer(period_ns, is_locked);
  pacer.start(0);
  const Random random{3, 0};
  AgeRange range;
  const double device_interval = interval_ns / (1.0 + drift);
  std::uint32_t sequence = 0;
  double next = 0.37 * interval_ns;
  double newest = 0.0;
  const int ticks = 20'000;
  for (int i = 0; i < ticks; ++i) {
    const std::int64_t deadline = pacer.deadline_ns();
    while (next <= static_cast<double>(deadline)) {
      double draw[4];
      random.uniform(sequence, draw, 4);
      newest = next;
      pacer.add_packet(static_cast<std::int64_t>(next + jitter_ns * draw[0]), sequence++);
      next += device_interval;
    }
    const double age = static_cast<double>(deadline) - newest;
    if (i > ticks / 2) {
      range.least = std::min(range.least, age);
      range.most = std::max(range.most, age);
    }
    pacer.advance(deadline);
    const double change =
        std::fabs(static_cast<double>(pacer.deadline_ns() - deadline - period_ns));
    range.largest_change = std::max(range.largest_change, change);
  }
  return range;
}

TEST(Pacer, LetsTheAgeSweepWithoutTheLock) {
  const AgeRange range = run_against_device(false, 1e-4, 150 * kMs, 15.0 * kMs, 0.0);
  EXPECT_LT(range.least, 1.0 * kMs);
  EXPECT_GT(range.most, 14.0 * kMs);
}

TEST(Pacer, HoldsTheAgeWithTheLock) {
  for (const double drift : {0.0, 1e-4, -1e-4}) {
    const AgeRange create = run_against_device(true, drift, 150 * kMs, 15.0 * kMs, 0.2 * kMs);
    EXPECT_GT(create.least, 0.2 * kMs) << drift;
    EXPECT_LT(create.most, 4.0 * kMs) << drift;
    const AgeRange fast = run_against_device(true, drift, 2 * kMs, 2.0 * kMs, 0.05 * kMs);
    EXPECT_GT(fast.least, 0.1 * kMs) << drift;
    EXPECT_LT(fast.most, 0.5 * kMs) << drift;
  }
}

TEST(Pacer, MovesSlowly) {
  // At most one percent of half an interval, and never more than two percent of a period.
  EXPECT_LE(run_against_device(true, 1e-4, 150 * kMs, 15.0 * kMs, 0.0).largest_change,
            0.01 * 7.5 * kMs + 1.0);
  EXPECT_LE(run_against_device(true, 1e-4, 2 * kMs, 30.0 * kMs, 0.0).largest_change,
            0.02 * 2.0 * kMs + 1.0);
}

TEST(Pacer, MeasuresTheIntervalAlsoOfPacketsThatComeInLumps) {
  Pacer pacer(100 * kMs, true);
  for (std::uint32_t i = 0; i < 400; ++i) {
    pacer.add_packet((i / 4) * 60 * kMs, i);  // four at a time
  }
  EXPECT_NEAR(pacer.packet_interval_ns(), 15.0 * kMs, 2.5 * kMs);
  Pacer lossy(100 * kMs, true);
  for (std::uint32_t i = 0; i < 400; ++i) {
    if (i % 3 != 0) lossy.add_packet(i * 15 * kMs, i);  // two of three arrive
  }
  EXPECT_NEAR(lossy.packet_interval_ns(), 15.0 * kMs, 1.0);
}

TEST(Pacer, GoesOnFromASavedState) {
  Pacer pacer(10 * kMs, true);
  pacer.start(0);
  for (std::uint32_t i = 0; i < 50; ++i) {
    pacer.add_packet(pacer.deadline_ns() - 3 * kMs, i);
    pacer.advance(pacer.deadline_ns());
  }
  Pacer other(10 * kMs, true);
  other.set_state(pacer.state());
  for (std::uint32_t i = 50; i < 60; ++i) {
    for (Pacer* both : {&pacer, &other}) {
      both->add_packet(both->deadline_ns() - 3 * kMs, i);
      both->advance(both->deadline_ns());
    }
    EXPECT_EQ(pacer.deadline_ns(), other.deadline_ns());
  }
}

}  // namespace
}  // namespace instep

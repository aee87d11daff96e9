// The random generator: published answers, the counter's layout, and the shape of what it draws.
// Seeds are fixed, so the statistical bounds (four or more standard errors) either always hold or
// never.
#include "kernels/philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace instep {
namespace {

constexpr int kDraws = 1'000'000;

// Known answers of philox4x32-10 from Random123 1.14, file kat_vectors.
static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) ==
              PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                         {0xffffffff, 0xffffffff}) ==
              PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                         {0xa4093822, 0x299f31d0}) ==
              PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

TEST(Philox, GivesThePublishedAnswersAtRunTime) {
  volatile std::uint32_t zero = 0;  // keeps the compiler from folding the call
  const PhiloxBlock words = philox4x32({zero, zero, zero, zero}, {zero, zero});
  EXPECT_EQ(words, (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Random, CountsByIndexThenStreamThenStep) {
  const Random random{0x1122334455667788U, 7};
  const PhiloxBlock words = random.bits(0x99aabbccddeeff00U, 5);
  EXPECT_EQ(words, philox4x32({5, 7, 0xddeeff00, 0x99aabbcc}, {0x55667788, 0x11223344}));
}

TEST(Random, UniformIsTheMiddleOfTheWordsCell) {
  const Random random{42, 3};
  double u[8] = {};
  random.uniform(9, u, 8);
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t word =
        random.bits(9, static_cast<std::uint32_t>(i / 4))[static_cast<std::size_t>(i % 4)];
    EXPECT_EQ(u[i], (word + 0.5) / 4294967296.0);
  }
}

TEST(Random, NormalIsBoxMullerOfPairsOfWords) {
  const Random random{42, 3};
  double u[4] = {};
  double z[4] = {};
  random.uniform(9, u, 4);
  random.normal(9, z, 4);
  constexpr double kPi = 3.14159265358979323846;
  for (int pair = 0; pair < 4; pair += 2) {
    const double radius = std::sqrt(-2.0 * std::log(u[pair]));
    EXPECT_NEAR(z[pair], radius * std::cos(2.0 * kPi * u[pair + 1]), 1e-13);
    EXPECT_NEAR(z[pair + 1], radius * std::sin(2.0 * kPi * u[pair + 1]), 1e-13);
  }
}

TEST(Random, DoesNotDependOnChunking) {
  const Random random{1, 2};
  constexpr int kCount = 37;
  double whole_uniform[kCount] = {};
  double whole_normal[kCount] = {};
  random.uniform(11, whole_uniform, kCount);
  random.normal(11, whole_normal, kCount);
  for (int first = 0; first < kCount; first += 4) {
    for (int count = 1; first + count <= kCount; ++count) {
      double u[kCount] = {};
      double z[kCount] = {};
      float z_float[kCount] = {};
      random.uniform(11, u, count, first);
      random.normal(11, z, count, first);
      random.normal(11, z_float, count, first);
      for (int i = 0; i < count; ++i) {
        ASSERT_EQ(u[i], whole_uniform[first + i]);
        ASSERT_EQ(z[i], whole_normal[first + i]);
        ASSERT_EQ(z_float[i], static_cast<float>(whole_normal[first + i]));
      }
      if (count < kCount) {
        ASSERT_EQ(u[count], 0.0) << "written beyond count";
        ASSERT_EQ(z[count], 0.0) << "written beyond count";
      }
    }
  }
}

TEST(Random, SeedsStreamsAndStepsDiffer) {
  const PhiloxBlock words = Random{1, 0}.bits(0, 0);
  EXPECT_NE(words, (Random{2, 0}.bits(0, 0)));
  EXPECT_NE(words, (Random{1ULL << 32, 0}.bits(0, 0)));
  EXPECT_NE(words, (Random{1, 1}.bits(0, 0)));
  EXPECT_NE(words, (Random{1, 0}.bits(1, 0)));
  EXPECT_NE(words, (Random{1, 0}.bits(1ULL << 32, 0)));
  EXPECT_NE(words, (Random{1, 0}.bits(0, 1)));
}

// Half of the draws from consecutive indices of one step, half from consecutive steps: both are
// used.
template <typename Fill>
std::vector<double> collect(Fill fill) {
  std::vector<double> values(kDraws);
  fill(0, values.data(), kDraws / 2);
  for (int i = kDraws / 2; i < kDraws; i += 2) {
    fill(static_cast<std::uint64_t>(i), values.data() + i, 2);
  }
  return values;
}

std::vector<double> collect_uniform() {
  return collect([](std::uint64_t step, double* out, int count) {
    Random{2024, 0}.uniform(step, out, count);
  });
}

std::vector<double> collect_normal() {
  return collect([](std::uint64_t step, double* out, int count) {
    Random{2024, 0}.normal(step, out, count);
  });
}

// sqrt(n) times the largest distance between the draws' distribution and the true one. It
// exceeds 1.95 with probability 0.001 (Kolmogorov's limit distribution).
template <typename Distribution>
double kolmogorov_smirnov(std::vector<double> values, Distribution distribution) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double truth = distribution(values[i]);
    distance = std::max({distance, std::abs(truth - static_cast<double>(i) / n),
                         std::abs(truth - static_cast<double>(i + 1) / n)});
  }
  return distance * std::sqrt(n);
}

TEST(Random, UniformPassesKolmogorovSmirnov) {
  EXPECT_LT(kolmogorov_smirnov(collect_uniform(), [](double x) { return x; }), 1.95);
}

TEST(Random, NormalPassesKolmogorovSmirnov) {
  const auto phi = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  EXPECT_LT(kolmogorov_smirnov(collect_normal(), phi), 1.95);
}

TEST(Random, NormalHasTheMomentsOfTheNormal) {
  double sum[5] = {};
  for (const double z : collect_normal()) {
    EXPECT_LT(std::abs(z), 6.7);
    double power = z;
    for (int k = 1; k <= 4; ++k, power *= z) sum[k] += power / kDraws;
  }
  // Standard errors of the k-th moment: sqrt((E z^2k - (E z^k)^2) / draws).
  const double unit = 4.0 / std::sqrt(kDraws);
  EXPECT_NEAR(sum[1], 0.0, unit);
  EXPECT_NEAR(sum[2], 1.0, std::sqrt(2.0) * unit);
  EXPECT_NEAR(sum[3], 0.0, std::sqrt(15.0) * unit);
  EXPECT_NEAR(sum[4], 3.0, std::sqrt(96.0) * unit);
}

TEST(Random, NeighboursAreUncorrelated) {
  const std::vector<double> z = collect_normal();
  std::vector<double> other(kDraws);
  Random{2024, 1}.normal(0, other.data(), kDraws);
  const double bound = 4.0 / std::sqrt(kDraws);
  for (const std::size_t lag : {1U, 2U, 3U, 4U}) {
    double product = 0.0;
    double product_of_squares = 0.0;
    for (std::size_t i = lag; i < z.size(); ++i) {
      product += z[i] * z[i - lag] / kDraws;
      product_of_squares += (z[i] * z[i] - 1.0) * (z[i - lag] * z[i - lag] - 1.0) / (2.0 * kDraws);
    }
    EXPECT_NEAR(product, 0.0, bound) << "lag " << lag;
    EXPECT_NEAR(product_of_squares, 0.0, bound) << "lag " << lag;
  }
  double between_streams = 0.0;
  for (std::size_t i = 0; i < z.size(); ++i) between_streams += z[i] * other[i] / kDraws;
  EXPECT_NEAR(between_streams, 0.0, bound);
}

// Pins the bits: other machines and compilers must give the same.
TEST(Random, NormalHasTheSameBitsEverywhere) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a over 64-bit words
  std::vector<double> z(100'000);
  Random{7, 5}.normal(3, z.data(), static_cast<int>(z.size()));
  for (const double x : z) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    hash = (hash ^ bits) * 0x100000001b3U;
  }
  EXPECT_EQ(hash, 0x1237bde94f1a81e6U);
}

}  // namespace
}  // namespace instep

// Our elementary functions against the C library's in double, whose own error (below 1e-16
// relative) does not matter here. The results are rounded from a double with a relative error below
// 1e-13, so only a hair more than half an ulp is allowed: 0.5 + 1e-13 * 2^24 = 0.500002. Worst over
// all floats on x86-64: exp and log 0.5000000, tanh 0.5000012. The walk over some of the floats is
// quick; INSTEP_ALL_FLOATS makes the same tests walk every float.
#include "kernels/elementary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>

namespace instep {
namespace {

#ifdef INSTEP_ALL_FLOATS
#define INSTEP_WALK ElementaryOverAllFloats
constexpr std::uint64_t kStride = 1;
#else
#define INSTEP_WALK Elementary
constexpr std::uint64_t kStride = 101;  // prime: meets every exponent and every low bit
#endif

constexpr double kUlpMax = 0.500002;

float float_of(std::uint64_t bits) {
  const auto word = static_cast<std::uint32_t>(bits);
  float x = 0.0F;
  std::memcpy(&x, &word, sizeof x);
  return x;
}

// |result - truth| in units of the float spacing at the truth; infinity where one of both is not
// finite and they differ.
double ulp_error(float result, double truth) {
  const auto nearest = static_cast<float>(truth);
  if (std::isnan(result) || std::isnan(truth)) {
    return std::isnan(result) == std::isnan(truth) ? 0.0 : HUGE_VAL;
  }
  if (std::isinf(result) || std::isinf(nearest)) return result == nearest ? 0.0 : HUGE_VAL;
  const double spacing =
      std::ldexp(1.0, std::max(std::ilogb(std::max(std::abs(truth), 1e-300)) - 23, -149));
  return std::abs(static_cast<double>(result) - truth) / spacing;
}

// Walks the floats whose bits are first .. last and answers the worst error in ulp.
template <typename Ours, typename Truth>
double worst_ulp(std::uint64_t first, std::uint64_t last, Ours ours, Truth truth) {
  double worst = 0.0;
  float worst_at = 0.0F;
  for (std::uint64_t bits = first; bits <= last; bits += kStride) {
    const float x = float_of(bits);
    const double error = ulp_error(ours(x), truth(static_cast<double>(x)));
    if (error > worst) worst = error, worst_at = x;
  }
  std::printf("worst %.9f ulp at %a\n", worst, static_cast<double>(worst_at));
  return worst;
}

constexpr std::uint64_t kAllFloats = 0xffffffffU;
constexpr std::uint64_t kPositiveFloats = 0x7fffffffU;

TEST(INSTEP_WALK, ExpIsWithinHalfAnUlp) {
  const auto truth = [](double x) { return std::exp(x); };
  EXPECT_LE(worst_ulp(
                0, kAllFloats, [](float x) { return exp_float(x); }, truth),
            kUlpMax);
}

TEST(INSTEP_WALK, LogIsWithinHalfAnUlp) {
  const auto truth = [](double x) { return std::log(x); };
  EXPECT_LE(worst_ulp(
                0, kPositiveFloats, [](float x) { return log_float(x); }, truth),
            kUlpMax);
}

TEST(INSTEP_WALK, TanhIsWithinHalfAnUlp) {
  const auto truth = [](double x) { return std::tanh(x); };
  EXPECT_LE(worst_ulp(
                0, kAllFloats, [](float x) { return tanh_float(x); }, truth),
            kUlpMax);
}

TEST(INSTEP_WALK, SoftplusIsWithinItsAbsoluteError) {
  double worst = 0.0;
  for (std::uint64_t bits = 0; bits <= kAllFloats; bits += kStride) {
    const auto x = static_cast<double>(float_of(bits));
    if (!std::isfinite(x)) continue;
    const double truth = std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    worst = std::max(worst, std::abs(softplus_double(x) - truth) / std::max(1.0, std::abs(truth)));
  }
  EXPECT_LE(worst, 1e-15);
}

TEST(INSTEP_WALK, SincosIsWithinItsAbsoluteError) {
  constexpr long double kTurn = 6.283185307179586476925286766559L;
  constexpr std::uint64_t kOne = 0x3f800000U;
  double worst = 0.0;
  const auto check = [&worst](double t) {
    double sine = 0.0;
    double cosine = 0.0;
    sincos_turns(t, &sine, &cosine);
    const long double angle = kTurn * static_cast<long double>(t);
    worst = std::max(
        worst, static_cast<double>(std::abs(std::sin(angle) - static_cast<long double>(sine))));
    worst = std::max(
        worst, static_cast<double>(std::abs(std::cos(angle) - static_cast<long double>(cosine))));
  };
  for (std::uint64_t bits = 0; bits <= kOne; bits += kStride)
    check(static_cast<double>(float_of(bits)));
  // What Box-Muller asks for: the middles of cells of width 2^-32.
  for (std::uint64_t word = 0; word <= 0xffffffffU; word += 4096 * kStride) {
    check((static_cast<double>(word) + 0.5) * 0x1p-32);
  }
  EXPECT_LE(worst, 4e-16);
}

#ifndef INSTEP_ALL_FLOATS

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kFloatMax = std::numeric_limits<float>::max();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
constexpr float kNormalMin = std::numeric_limits<float>::min();

bool is_negative_zero(float x) {
  return x == 0.0F && std::signbit(x);
}

TEST(Elementary, ExpAtItsBoundaries) {
  EXPECT_EQ(exp_float(0.0F), 1.0F);
  EXPECT_EQ(exp_float(-0.0F), 1.0F);
  EXPECT_EQ(exp_float(kInfinity), kInfinity);
  EXPECT_EQ(exp_float(-kInfinity), 0.0F);
  EXPECT_TRUE(std::isnan(exp_float(kNan)));
  EXPECT_EQ(exp_float(kDenormal), 1.0F);
  EXPECT_EQ(exp_float(-kDenormal), 1.0F);
  EXPECT_LT(exp_float(0x1.62e42ep6F), kInfinity);   // the last with a finite result
  EXPECT_EQ(exp_float(0x1.62e430p6F), kInfinity);   // the next float
  EXPECT_EQ(exp_float(-0x1.9fe368p6F), kDenormal);  // the last with a result above zero
  EXPECT_EQ(exp_float(-0x1.9fe36ap6F), 0.0F);
}

TEST(Elementary, LogAtItsBoundaries) {
  EXPECT_EQ(log_float(1.0F), 0.0F);
  EXPECT_EQ(log_float(0.0F), -kInfinity);
  EXPECT_EQ(log_float(-0.0F), -kInfinity);
  EXPECT_EQ(log_float(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(log_float(kNan)));
  for (const float x : {-kDenormal, -1.0F, -kFloatMax, -kInfinity}) {
    EXPECT_TRUE(std::isnan(log_float(x))) << x;
  }
  EXPECT_LE(ulp_error(log_float(kDenormal), std::log(0x1p-149)), kUlpMax);
  EXPECT_LE(ulp_error(log_float(kNormalMin), std::log(0x1p-126)), kUlpMax);
}

TEST(Elementary, TanhAtItsBoundaries) {
  EXPECT_TRUE(is_negative_zero(tanh_float(-0.0F)));
  EXPECT_FALSE(std::signbit(tanh_float(0.0F)));
  EXPECT_EQ(tanh_float(kInfinity), 1.0F);
  EXPECT_EQ(tanh_float(-kInfinity), -1.0F);
  EXPECT_EQ(tanh_float(kFloatMax), 1.0F);
  EXPECT_TRUE(std::isnan(tanh_float(kNan)));
  for (const float x : {kDenormal, kNormalMin, 1e-20F}) {
    EXPECT_EQ(tanh_float(x), x);
    EXPECT_EQ(tanh_float(-x), -x);
  }
}

TEST(Elementary, TanhIsOddAndNeverBeyondOne) {
  for (std::uint64_t bits = 0; bits <= 0x7f800000U; bits += kStride) {
    const float x = float_of(bits);
    ASSERT_EQ(tanh_float(-x), -tanh_float(x));
    ASSERT_LE(tanh_float(x), 1.0F);
  }
}

TEST(Elementary, SoftplusAtItsBoundaries) {
  constexpr double kDoubleInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(softplus_double(kDoubleInfinity), kDoubleInfinity);
  EXPECT_EQ(softplus_double(-kDoubleInfinity), 0.0);
  EXPECT_EQ(softplus_double(1e300), 1e300);
  EXPECT_EQ(softplus_double(-1e300), 0.0);
  EXPECT_TRUE(std::isnan(softplus_double(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_NEAR(softplus_double(0.0), std::log(2.0), 1e-16);
}

TEST(Elementary, SincosAtQuarterTurnsIsExact) {
  const double expected[5][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}, {0, 1}};
  for (int quarter = 0; quarter <= 4; ++quarter) {
    double sine = 0.0;
    double cosine = 0.0;
    sincos_turns(0.25 * quarter, &sine, &cosine);
    EXPECT_EQ(sine, expected[quarter][0]);
    EXPECT_EQ(cosine, expected[quarter][1]);
  }
}

TEST(Elementary, ExpAndLogOfDoublesAreAsExactAsTheySay) {
  for (double x = -700.0; x <= 700.0; x += 0.0137) {
    const double truth = std::exp(x);
    ASSERT_LE(std::abs(exp_double(x) - truth), 1e-14 * truth) << x;
  }
  for (double x = 1e-300; x < 1e300; x *= 1.00937) {
    const double truth = std::log(x);
    ASSERT_LE(std::abs(log_double(x) - truth), 1e-14 * std::abs(truth) + 1e-16) << x;
  }
  for (double x = 0.9; x <= 1.1; x += 1.7e-6) {
    ASSERT_LE(std::abs(log_double(x) - std::log(x)), 1e-16 + 1e-14 * std::abs(std::log(x))) << x;
  }
}

// Pins the bits of every function over a strided set: other machines and compilers must give the
// same.
class Checksum {
 public:
  void add(double value) {
    if (std::isnan(value)) return;  // a NaN's sign and payload may differ
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    hash_ = (hash_ ^ bits) * 0x100000001b3U;
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325U;  // FNV-1a over 64-bit words
};

TEST(Elementary, HasTheSameBitsEverywhere) {
  Checksum exp, log, tanh, softplus, sincos;
  for (std::uint64_t bits = 0; bits <= kAllFloats; bits += 104'729) {
    const float x = float_of(bits);
    exp.add(static_cast<double>(exp_float(x)));
    log.add(static_cast<double>(log_float(x)));
    tanh.add(static_cast<double>(tanh_float(x)));
    softplus.add(softplus_double(static_cast<double>(x)));
    double sine = 0.0;
    double cosine = 0.0;
    sincos_turns((static_cast<double>(bits) + 0.5) * 0x1p-32, &sine, &cosine);
    sincos.add(sine);
    sincos.add(cosine);
  }
  EXPECT_EQ(exp.value(), 0xc0fb684256a05777U);
  EXPECT_EQ(log.value(), 0xdbf54d57066ee28dU);
  EXPECT_EQ(tanh.value(), 0x83d0428d76a05777U);
  EXPECT_EQ(softplus.value(), 0x30643a2bc70d3229U);
  EXPECT_EQ(sincos.value(), 0xef10e1659ca0cc96U);
}

#endif  // INSTEP_ALL_FLOATS

}  // namespace
}  // namespace instep

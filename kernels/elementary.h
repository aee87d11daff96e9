// Elementary functions with the same bits on every machine: no libm, no contraction. Arguments and
// results are float, the arithmetic inside is double, so each result is within 1 ulp of the truth
// (tests/kernels/elementary_test.cpp walks every float) and a function costs some 20 operations.
#pragma once

#include <cstdint>

// A function for host and device. On the host it is always inlined: the sources of the CPU paths
// are compiled for several instruction sets, and an out-of-line copy could be the wrong one for the
// machine.
#ifdef __CUDACC__
#define INSTEP_HD __host__ __device__ inline
#else
#define INSTEP_HD [[gnu::always_inline]] inline
#endif

namespace instep {

// 2^exponent for -1022 <= exponent <= 1023.
INSTEP_HD double power_of_two(int exponent) {
  const std::uint64_t bits = static_cast<std::uint64_t>(exponent + 1023) << 52;
  double value = 0.0;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// e^x for |x| <= 700, relative error below 1e-14.
INSTEP_HD double exp_double(double x) {
  constexpr double kInverseLn2 = 1.4426950408889634;
  constexpr double kLn2High = 0.693147180369123816490;  // 32 bits, so that its multiples are exact
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  const double scaled = x * kInverseLn2;
  const int n = static_cast<int>(scaled + (scaled < 0.0 ? -0.5 : 0.5));
  const double r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2) / 2
  double sum = 1.0;
  for (int k = 12; k >= 1; --k) sum = 1.0 + sum * (r / k);  // Taylor: 0.35^13 / 13! = 2e-16
  return sum * power_of_two(n);
}

// ln x for finite normal x > 0, relative error below 1e-14 away from x = 1, absolute below 1e-16
// there.
INSTEP_HD double log_double(double x) {
  constexpr double kLn2High = 0.693147180369123816490;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, &x, sizeof bits);
  // Splits x into 2^exponent * mantissa with mantissa in [sqrt(1/2), sqrt(2)).
  constexpr std::uint64_t kSqrtHalf = 0x3FE6A09E667F3BCDU;
  const int exponent = static_cast<int>(static_cast<std::int64_t>(bits - kSqrtHalf) >> 52);
  bits -= static_cast<std::uint64_t>(static_cast<std::int64_t>(exponent)) << 52;
  double mantissa = 0.0;
  __builtin_memcpy(&mantissa, &bits, sizeof mantissa);
  // ln m = 2 artanh(f), f = (m - 1) / (m + 1), |f| <= 0.172.
  const double f = (mantissa - 1.0) / (mantissa + 1.0);
  const double f2 = f * f;
  double sum = 0.0;
  for (int k = 19; k >= 1; k -= 2) sum = 1.0 / k + f2 * sum;
  return exponent * kLn2High + (2.0 * f * sum + exponent * kLn2Low);
}

// e^x; 0 below the smallest float, infinity above the largest, NaN for NaN.
INSTEP_HD float exp_float(float x) {
  if (!(x == x)) return x;
  if (x > 89.0F) return __builtin_inff();
  if (x < -104.0F) return 0.0F;
  return static_cast<float>(exp_double(static_cast<double>(x)));
}

// ln x; -infinity for 0, NaN below 0, infinity for infinity.
INSTEP_HD float log_float(float x) {
  if (!(x == x) || x == __builtin_inff()) return x;
  if (x < 0.0F) return __builtin_nanf("");
  if (x == 0.0F) return -__builtin_inff();
  return static_cast<float>(log_double(static_cast<double>(x)));
}

// Hyperbolic tangent, odd in x; NaN for NaN.
INSTEP_HD float tanh_float(float x) {
  if (!(x == x) || x == 0.0F) return x;  // the branch below would lose the sign of -0
  const double magnitude = x < 0.0F ? -static_cast<double>(x) : static_cast<double>(x);
  double result = 1.0;  // from 9.02 on the nearest float is 1
  if (magnitude < 1e-4) {
    result = magnitude - magnitude * magnitude * magnitude / 3.0;
  } else if (magnitude < 10.0) {
    const double e = exp_double(2.0 * magnitude);
    result = (e - 1.0) / (e + 1.0);
  }
  return static_cast<float>(x < 0.0F ? -result : result);
}

// ln(1 + e^x), absolute error below 1e-14; NaN for NaN.
INSTEP_HD double softplus_double(double x) {
  if (!(x == x)) return x;
  const double magnitude = x < 0.0 ? -x : x;
  const double tail = magnitude > 700.0 ? 0.0 : log_double(1.0 + exp_double(-magnitude));
  return (x > 0.0 ? x : 0.0) + tail;
}

// Sine and cosine of 2 pi t for 0 <= t <= 1: a full turn is t = 1, so that reducing t is exact.
INSTEP_HD void sincos_turns(double t, double* sine, double* cosine) {
  const int quadrant = static_cast<int>(4.0 * t + 0.5);
  const double r = 6.283185307179586477 * (t - 0.25 * quadrant);  // |r| <= pi / 4
  const double r2 = r * r;
  double s = 1.0;
  double c = 1.0;
  for (int k = 16; k >= 2; k -= 2) {
    s = 1.0 - s * (r2 / (k * (k + 1)));
    c = 1.0 - c * (r2 / (k * (k - 1)));
  }
  s *= r;
  switch (quadrant & 3) {
    case 0:
      *sine = s, *cosine = c;
      break;
    case 1:
      *sine = c, *cosine = -s;
      break;
    case 2:
      *sine = -s, *cosine = -c;
      break;
    default:
      *sine = -c, *cosine = s;
      break;
  }
}

}  // namespace instep

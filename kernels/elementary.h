// Elementary functions with the same bits on every machine: no libm, no contraction. Arguments and
// results are float, the arithmetic inside is double, so each result is within 1 ulp of the truth
// (tests/kernels/elementary_test.cpp walks every float) and a function costs some 20 operations.
// Those that an action is sampled by do not branch, so that a loop over its dimensions can become
// vector instructions.
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

// Correctly rounded, as IEEE 754 has it, on a device too.
INSTEP_HD float square_root(float x) {
#if defined(__CUDA_ARCH__)
  return __nvvm_sqrt_rn_f(x);
#else
  return __builtin_sqrtf(x);
#endif
}
INSTEP_HD double square_root(double x) {
#if defined(__CUDA_ARCH__)
  return __nvvm_sqrt_rn_d(x);
#else
  return __builtin_sqrt(x);
#endif
}

// a * b + c, rounded once.
INSTEP_HD float multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __nvvm_fma_rn_f(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
INSTEP_HD double multiply_add(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __nvvm_fma_rn_d(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

INSTEP_HD float larger(float a, float b) {
  return a > b ? a : b;
}
INSTEP_HD double larger(double a, double b) {
  return a > b ? a : b;
}

// a / b + c, each operation rounded.
INSTEP_HD float add_quotient(float a, float b, float c) {
  return a / b + c;
}
INSTEP_HD double add_quotient(double a, double b, double c) {
  return a / b + c;
}

// e^x for |x| <= 700, relative error below 1e-14; NaN for NaN.
INSTEP_HD double exp_double(double x) {
  constexpr double kInverseLn2 = 1.4426950408889634;
  constexpr double kLn2High = 0.693147180369123816490;  // 32 bits, so that its multiples are exact
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kRounder = 0x1.8p52;  // doubles of this size have no fraction
  const double rounded = x * kInverseLn2 + kRounder;
  const double n = rounded - kRounder;
  const double r = (x - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2) / 2
  double sum = 1.0;
  for (int k = 12; k >= 1; --k) sum = 1.0 + sum * (r / k);  // Taylor: 0.35^13 / 13! = 2e-16
  // 2^n: the lowest bits of `rounded` are those of n, and move up to where the exponent stands.
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, &rounded, sizeof bits);
  bits = (bits + 1023) << 52;
  double power = 0.0;
  __builtin_memcpy(&power, &bits, sizeof power);
  return sum * power;
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
  const float bounded = x > 89.0F ? 89.0F : x;  // where the result is 0 or infinity already
  return static_cast<float>(exp_double(static_cast<double>(bounded < -104.0F ? -104.0F : bounded)));
}

// ln x; -infinity for 0, NaN below 0, infinity for infinity.
INSTEP_HD float log_float(float x) {
  if (!(x == x) || x == __builtin_inff()) return x;
  if (x < 0.0F) return __builtin_nanf("");
  if (x == 0.0F) return -__builtin_inff();
  return static_cast<float>(log_double(static_cast<double>(x)));
}

// Hyperbolic tangent, odd in x, relative error below 1e-10; NaN for NaN.
INSTEP_HD double tanh_double(double x) {
  const double magnitude = __builtin_fabs(x);
  const double small = magnitude - magnitude * magnitude * magnitude / 3.0;
  // From 19.1 on the nearest double is 1.
  const double e = exp_double(magnitude > 20.0 ? 40.0 : 2.0 * magnitude);
  const double large = (e - 1.0) / (e + 1.0);
  const double result = magnitude < 1e-4 ? small : large;
  return __builtin_copysign(result, x);
}
INSTEP_HD float tanh_float(float x) {
  return static_cast<float>(tanh_double(static_cast<double>(x)));
}

// ln(1 + e^x), absolute error below 1e-14; NaN for NaN.
INSTEP_HD double softplus_double(double x) {
  const double magnitude = __builtin_fabs(x);
  const double tail = log_double(1.0 + exp_double(magnitude > 700.0 ? -700.0 : -magnitude));
  return (x < 0.0 ? 0.0 : x) + tail;  // also NaN, which the logarithm does not know
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
  const bool is_swapped = (quadrant & 1) != 0;
  const double across = is_swapped ? c : s;
  const double along = is_swapped ? s : c;
  *sine = (quadrant & 2) != 0 ? -across : across;
  *cosine = ((quadrant + 1) & 2) != 0 ? -along : along;
}

}  // namespace instep

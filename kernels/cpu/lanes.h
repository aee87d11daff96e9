// Sixteen floats at once, on whatever the compiler was told the processor has. Included only by the
// sources of the CPU paths, once per path, each time inside that path's own namespace.
//
// The virtual width is 16 on every path: a sum over lanes has the same order everywhere, so with
// Arithmetic::kPortable all paths give the same bits.
#pragma once

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace instep::INSTEP_PATH_NAMESPACE {

#define INSTEP_LANE [[gnu::always_inline]] inline
// The same for a lambda, after its parameters.
#define INSTEP_LANE_LAMBDA __attribute__((always_inline))

inline constexpr int kLanes = 16;

// The processor's own vector, and the few operations that have no operator.
#if defined(__AVX512F__)
using Native = __m512;
INSTEP_LANE Native native_load(const float* p) {
  return _mm512_load_ps(p);
}
INSTEP_LANE void native_store(float* p, Native a) {
  _mm512_store_ps(p, a);
}
INSTEP_LANE Native native_set(float x) {
  return _mm512_set1_ps(x);
}
INSTEP_LANE Native native_sqrt(Native a) {
  return _mm512_sqrt_ps(a);
}
INSTEP_LANE Native native_fma(Native a, Native b, Native c) {
  return _mm512_fmadd_ps(a, b, c);
}
// 1 / a by an estimate and Newton steps, here one from 14 bits.
INSTEP_LANE Native native_reciprocal(Native a) {
  const Native estimate = _mm512_rcp14_ps(a);
  const Native error = _mm512_fnmadd_ps(a, estimate, native_set(1.0F));
  return native_fma(estimate, error, estimate);
}
#define INSTEP_LANES_ARE_VECTORS 1
#elif defined(__AVX2__)
using Native = __m256;
INSTEP_LANE Native native_load(const float* p) {
  return _mm256_load_ps(p);
}
INSTEP_LANE void native_store(float* p, Native a) {
  _mm256_store_ps(p, a);
}
INSTEP_LANE Native native_set(float x) {
  return _mm256_set1_ps(x);
}
INSTEP_LANE Native native_sqrt(Native a) {
  return _mm256_sqrt_ps(a);
}
INSTEP_LANE Native native_fma(Native a, Native b, Native c) {
  return _mm256_fmadd_ps(a, b, c);
}
// One step from 12 bits, which Intel and AMD fill differently.
INSTEP_LANE Native native_reciprocal(Native a) {
  const Native estimate = _mm256_rcp_ps(a);
  const Native error = _mm256_fnmadd_ps(a, estimate, native_set(1.0F));
  return native_fma(estimate, error, estimate);
}
#define INSTEP_LANES_ARE_VECTORS 1
#elif defined(__ARM_NEON)
using Native = float32x4_t;
INSTEP_LANE Native native_load(const float* p) {
  return vld1q_f32(p);
}
INSTEP_LANE void native_store(float* p, Native a) {
  vst1q_f32(p, a);
}
INSTEP_LANE Native native_set(float x) {
  return vdupq_n_f32(x);
}
INSTEP_LANE Native native_sqrt(Native a) {
  return vsqrtq_f32(a);
}
INSTEP_LANE Native native_fma(Native a, Native b, Native c) {
  return vfmaq_f32(c, a, b);
}
// Two steps from 8 bits.
INSTEP_LANE Native native_reciprocal(Native a) {
  Native estimate = vrecpeq_f32(a);
  estimate = vmulq_f32(estimate, vrecpsq_f32(a, estimate));
  return vmulq_f32(estimate, vrecpsq_f32(a, estimate));
}
#define INSTEP_LANES_ARE_VECTORS 1
#else
// Four floats as the compiler makes them of whatever there is.
using Native [[gnu::vector_size(16)]] = float;
INSTEP_LANE Native native_load(const float* p) {
  return Native{p[0], p[1], p[2], p[3]};
}
INSTEP_LANE void native_store(float* p, Native a) {
  for (int i = 0; i < 4; ++i) p[i] = a[i];
}
INSTEP_LANE Native native_set(float x) {
  return Native{x, x, x, x};
}
INSTEP_LANE Native native_sqrt(Native a) {
  return Native{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]),
                __builtin_sqrtf(a[3])};
}
#define INSTEP_LANES_ARE_VECTORS 0
#endif

// The constraint of inline assembly for a vector that is read and written.
#if defined(__ARM_NEON)
#define INSTEP_IN_VECTOR_REGISTER(a) "+w"(a)
#elif defined(__x86_64__)
#define INSTEP_IN_VECTOR_REGISTER(a) "+v"(a)
#else
#define INSTEP_IN_VECTOR_REGISTER(a) "+m"(a)
#endif

inline constexpr int kNativeLanes = sizeof(Native) / sizeof(float);
inline constexpr int kParts = kLanes / kNativeLanes;

struct Lanes {
  Native part[kParts];
};

// Applies an operation part by part.
#define INSTEP_PARTWISE(expression)  \
  Lanes result;                      \
  for (int i = 0; i < kParts; ++i) { \
    result.part[i] = (expression);   \
  }                                  \
  return result

// Memory is 64-byte aligned throughout.
INSTEP_LANE Lanes load(const float* p) {
  INSTEP_PARTWISE(native_load(p + i * kNativeLanes));
}
INSTEP_LANE void store(float* p, const Lanes& a) {
  for (int i = 0; i < kParts; ++i) native_store(p + i * kNativeLanes, a.part[i]);
}
INSTEP_LANE Lanes set(float x) {
  INSTEP_PARTWISE(native_set(x));
}
INSTEP_LANE Lanes operator+(const Lanes& a, const Lanes& b) {
  INSTEP_PARTWISE(a.part[i] + b.part[i]);
}
INSTEP_LANE Lanes operator-(const Lanes& a, const Lanes& b) {
  INSTEP_PARTWISE(a.part[i] - b.part[i]);
}
INSTEP_LANE Lanes operator*(const Lanes& a, const Lanes& b) {
  INSTEP_PARTWISE(a.part[i] * b.part[i]);
}
INSTEP_LANE Lanes square_root(const Lanes& a) {
  INSTEP_PARTWISE(native_sqrt(a.part[i]));
}
// a where x > 0, else b.
INSTEP_LANE Lanes where_positive(const Lanes& x, const Lanes& a, const Lanes& b) {
  INSTEP_PARTWISE(x.part[i] > native_set(0.0F) ? a.part[i] : b.part[i]);
}
INSTEP_LANE Lanes larger(const Lanes& a, const Lanes& b) {
  INSTEP_PARTWISE(a.part[i] > b.part[i] ? a.part[i] : b.part[i]);
}

// a * b + c: one rounding where the fast arithmetic has the instruction, two otherwise.
INSTEP_LANE Lanes multiply_add(const Lanes& a, const Lanes& b, const Lanes& c) {
#if INSTEP_LANES_ARE_VECTORS && !INSTEP_ARITHMETIC_PORTABLE
  INSTEP_PARTWISE(native_fma(a.part[i], b.part[i], c.part[i]));
#else
  INSTEP_PARTWISE(a.part[i] * b.part[i] + c.part[i]);
#endif
}

// a / b. The fast arithmetic of vectors multiplies by a refined reciprocal (relative error of a few
// 2^-24); the raw estimate alone fails the golden tolerances.
INSTEP_LANE Lanes divide(const Lanes& a, const Lanes& b) {
#if INSTEP_LANES_ARE_VECTORS && !INSTEP_ARITHMETIC_PORTABLE
  INSTEP_PARTWISE(a.part[i] * native_reciprocal(b.part[i]));
#else
  INSTEP_PARTWISE(a.part[i] / b.part[i]);
#endif
}

// a / b + c, likewise: the fast arithmetic rounds the product and the sum once.
INSTEP_LANE Lanes add_quotient(const Lanes& a, const Lanes& b, const Lanes& c) {
#if INSTEP_LANES_ARE_VECTORS && !INSTEP_ARITHMETIC_PORTABLE
  INSTEP_PARTWISE(native_fma(a.part[i], native_reciprocal(b.part[i]), c.part[i]));
#else
  INSTEP_PARTWISE(a.part[i] / b.part[i] + c.part[i]);
#endif
}

// The lanes combined into one number in a fixed order: i with i + 8, then + 4, + 2, + 1.
template <typename Combine>
INSTEP_LANE float combine_lanes(const Lanes& a, const Combine& combine) {
#if defined(__AVX512F__) || defined(__AVX2__)
#if defined(__AVX512F__)
  const __m256 low = _mm512_castps512_ps256(a.part[0]);
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.part[0]), 1));
  const __m256 eight = combine(low, high);
#else
  const __m256 eight = combine(a.part[0], a.part[1]);
#endif
  const __m128 four = combine(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = combine(four, _mm_movehl_ps(four, four));
  return combine(two[0], two[1]);
#else
  alignas(64) float lane[kLanes];
  store(lane, a);
  for (int half = kLanes / 2; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] = combine(lane[i], lane[i + half]);
  }
  return lane[0];
#endif
}
INSTEP_LANE float sum_lanes(const Lanes& a) {
  return combine_lanes(a, [](auto x, auto y) INSTEP_LANE_LAMBDA { return x + y; });
}
INSTEP_LANE float largest_lane(const Lanes& a) {
  return combine_lanes(a, [](auto x, auto y) INSTEP_LANE_LAMBDA { return x > y ? x : y; });
}

// Sixteen sums at once: lane i is sum_lanes(a[i]), by the same additions in the same order.
INSTEP_LANE Lanes sum_lanes_each(const Lanes (&a)[kLanes]) {
#if defined(__AVX512F__)
  // Each level adds the halves of what is left of two vectors and packs the sums into one.
  __m512 quads[4];
  for (int q = 0; q < 4; ++q) {
    const auto halves = [&a](int first, int second) {
      const __m512 low = _mm512_shuffle_f32x4(a[first].part[0], a[second].part[0], 0x44);
      const __m512 high = _mm512_shuffle_f32x4(a[first].part[0], a[second].part[0], 0xEE);
      return low + high;
    };
    const __m512 left = halves(q, q + 4);
    const __m512 right = halves(q + 8, q + 12);
    quads[q] = _mm512_shuffle_f32x4(left, right, 0x88) + _mm512_shuffle_f32x4(left, right, 0xDD);
  }
  const auto pairs = [](__m512 left, __m512 right) {
    return _mm512_shuffle_ps(left, right, 0x44) + _mm512_shuffle_ps(left, right, 0xEE);
  };
  const __m512 left = pairs(quads[0], quads[1]);
  const __m512 right = pairs(quads[2], quads[3]);
  return {_mm512_shuffle_ps(left, right, 0x88) + _mm512_shuffle_ps(left, right, 0xDD)};
#else
  alignas(64) float sums[kLanes];
  for (int i = 0; i < kLanes; ++i) sums[i] = sum_lanes(a[i]);
  return load(sums);
#endif
}

#undef INSTEP_PARTWISE

}  // namespace instep::INSTEP_PATH_NAMESPACE

#include "tools/benchmark/bound.h"

#include <cstdint>
#include <cstring>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace instep {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kUnroll = 8;
constexpr std::size_t kStep = kLanes * kUnroll;

// Sixteen floats; the compiler splits them where the processor's vectors are narrower.
using Vector [[gnu::vector_size(kLanes * sizeof(float))]] = float;

Vector load(const float* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

void store(float* to, const Vector& vector) {
  std::memcpy(to, &vector, sizeof vector);
}

Vector fill(float x) {
  return Vector{} + x;
}

#if defined(__AVX512F__)
Vector square_root(const Vector& x) {
  return _mm512_sqrt_ps(x);
}
Vector reciprocal(const Vector& x) {
  const __m512 estimate = _mm512_rcp14_ps(x);
  const __m512 error = _mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(1.0F));
  return _mm512_fmadd_ps(estimate, error, estimate);
}
#else
Vector square_root(const Vector& x) {
  Vector root;
  for (std::size_t i = 0; i < kLanes; ++i) root[i] = __builtin_sqrtf(x[i]);
  return root;
}
Vector reciprocal(const Vector& x) {
  return fill(1.0F) / x;
}
#endif

std::size_t parameters(int inputs, int hidden, int outputs) {
  return static_cast<std::size_t>((inputs + 1) * hidden + (hidden + 1) * hidden +
                                  (hidden + 1) * outputs);
}

std::size_t whole_steps(std::size_t count) {
  return (count + kStep - 1) / kStep * kStep;
}

float sum(const Vector& x) {
  float total = 0.0F;
  for (std::size_t i = 0; i < kLanes; ++i) total += x[i];
  return total;
}

}  // namespace

Bound::Bound(const Shape& shape)
    : actor_(
          whole_steps(parameters(shape.observation_dim, shape.hidden_dim, 2 * shape.action_dim))),
      critic_(
          whole_steps(parameters(shape.observation_dim + shape.action_dim, shape.hidden_dim, 1))),
      square_(static_cast<std::size_t>(shape.hidden_dim * shape.hidden_dim)) {
  const std::size_t count = actor_ + critic_;
  storage_.assign(2 * count + kLanes, 1.0F);
  const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  weights_ = storage_.data() + (64 - address % 64) % 64 / sizeof(float);
  second_ = weights_ + count;
}

void Bound::read_weights(std::size_t first, std::size_t count) {
  Vector total[kUnroll] = {};
  for (std::size_t i = first; i < first + count; i += kStep) {
    for (std::size_t u = 0; u < kUnroll; ++u) total[u] += load(weights_ + i + u * kLanes);
  }
  for (const Vector& part : total) checksum_ += sum(part);
}

void Bound::update_weights(std::size_t first, std::size_t count) {
  const Vector keep = fill(0.75F);
  const Vector add = fill(0.25F);
  for (std::size_t i = first; i < first + count; i += kStep) {
    for (std::size_t u = 0; u < kUnroll; ++u) {
      const std::size_t at = i + u * kLanes;
      const Vector w = load(weights_ + at);
      const Vector v = load(second_ + at);
      store(second_ + at, v * keep + add);
      store(weights_ + at, w * keep + add);
    }
  }
}

void Bound::stream() {
  update_weights(0, actor_);
  read_weights(actor_, critic_);
  update_weights(actor_, critic_);
  read_weights(actor_, square_);
  read_weights(0, square_);
}

void Bound::stream_read_only() {
  read_weights(actor_, critic_);
  read_weights(actor_, square_);
  read_weights(0, square_);
}

void Bound::take_roots() {
  // Enough independent chains to hide the latency of both operations.
  constexpr std::size_t kChains = 8;
  Vector x[kChains];
  Vector total[kChains] = {};
  for (std::size_t c = 0; c < kChains; ++c) x[c] = fill(1.5F + static_cast<float>(c));
  for (std::size_t i = 0; i < actor_ + critic_; i += kChains * kLanes) {
    for (std::size_t c = 0; c < kChains; ++c) {
      // The compiler must take the operand for a new one each time.
      asm("" : "+x"(x[c]));
      total[c] += reciprocal(square_root(x[c]));
    }
  }
  for (const Vector& part : total) checksum_ += sum(part);
}

std::size_t Bound::memory_bytes() const {
  return sizeof(float) * (4 * actor_ + 5 * critic_ + 2 * square_);
}

}  // namespace instep

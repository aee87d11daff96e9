#include "kernels/philox.h"

#include <cmath>

#include "kernels/elementary.h"

namespace instep {
namespace {

// The middle of the word's cell of width 2^-32: never 0, never 1.
double to_uniform(std::uint32_t word) {
  return (word + 0.5) * 0x1p-32;
}

// Words 4b .. 4b+3 of a step give the four normals of the same indices, two per Box-Muller pair.
std::array<double, 4> normal_block(const PhiloxBlock& words) {
  std::array<double, 4> normals{};
  for (unsigned pair = 0; pair < 4; pair += 2) {
    const double radius = std::sqrt(-2.0 * log_double(to_uniform(words[pair])));
    double sine = 0.0;
    double cosine = 0.0;
    sincos_turns(to_uniform(words[pair + 1]), &sine, &cosine);
    normals[pair] = radius * cosine;
    normals[pair + 1] = radius * sine;
  }
  return normals;
}

template <typename Real>
void fill_normal(const Random& random, std::uint64_t step, Real* out, int count, int first) {
  for (int i = 0; i < count; i += 4) {
    const auto normals =
        normal_block(random.bits(step, static_cast<std::uint32_t>((first + i) / 4)));
    for (int k = 0; k < 4 && i + k < count; ++k) {
      out[i + k] = static_cast<Real>(normals[static_cast<unsigned>(k)]);
    }
  }
}

}  // namespace

void Random::uniform(std::uint64_t step, double* out, int count, int first) const {
  for (int i = 0; i < count; i += 4) {
    const PhiloxBlock words = bits(step, static_cast<std::uint32_t>((first + i) / 4));
    for (int k = 0; k < 4 && i + k < count; ++k) {
      out[i + k] = to_uniform(words[static_cast<unsigned>(k)]);
    }
  }
}

void Random::normal(std::uint64_t step, double* out, int count, int first) const {
  fill_normal(*this, step, out, count, first);
}

void Random::normal(std::uint64_t step, float* out, int count, int first) const {
  fill_normal(*this, step, out, count, first);
}

}  // namespace instep

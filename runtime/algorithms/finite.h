// What an agent may take in or answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace instep {

// Whether all numbers are finite, also as floats: a larger double is, squared, infinite in a
// running variance for good.
template <typename Real>
bool all_finite(const Real* values, int count) {
  return std::all_of(values, values + count, [](Real value) {
    return std::abs(static_cast<double>(value)) <=
           static_cast<double>(std::numeric_limits<float>::max());
  });
}

}  // namespace instep

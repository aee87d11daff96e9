// Random numbers one after the other for tests: the same on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/philox.h"

namespace instep {

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : random_{seed, kStream} {}

  // A uniform draw from (low, high).
  double uniform(double low, double high) {
    double u = 0.0;
    random_.uniform(step_++, &u, 1);
    return low + (high - low) * u;
  }
  // A whole number of low .. high, both included.
  int integer(int low, int high) { return low + static_cast<int>(uniform(0.0, high - low + 1.0)); }
  bool coin() { return uniform(0.0, 1.0) < 0.5; }
  double normal() {
    if (next_normal_ == kBuffered) {
      random_.normal(step_++, normals_, kBuffered);
      next_normal_ = 0;
    }
    return normals_[next_normal_++];
  }
  template <typename Real>
  std::vector<Real> normals(int count, double scale = 1.0) {
    std::vector<Real> values(static_cast<std::size_t>(count));
    for (Real& value : values) value = static_cast<Real>(scale * normal());
    return values;
  }

 private:
  static constexpr std::uint32_t kStream = 100;  // none of the program's own
  Random random_;
  std::uint64_t step_ = 0;
  static constexpr int kBuffered = 64;
  double normals_[kBuffered] = {};
  int next_normal_ = kBuffered;
};

}  // namespace instep

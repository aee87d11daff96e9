// Where weights begin: matrices that keep lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/philox.h"

namespace instep {

// A [outputs, inputs] matrix with orthonormal rows or columns, whichever are fewer, drawn at `step`
// of a stream. Allocates.
class OrthogonalMatrix {
 public:
  OrthogonalMatrix(const Random& random, std::uint64_t step, int outputs, int inputs);

  float operator()(int output, int input) const {
    const int at = is_wide_ ? output * columns_ + input : input * columns_ + output;
    return static_cast<float>(values_[static_cast<std::size_t>(at)]);
  }

 private:
  bool is_wide_;
  int columns_;
  std::vector<double> values_;
};

}  // namespace instep

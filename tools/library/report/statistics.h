// Means over independent runs, and how sure they are.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace instep {

// A mean and how far its 95 % interval reaches to either side.
struct MeanInterval {
  double mean = 0;
  double half_width = 0;
};

// What 95 % of Student's t distribution lies within, to either side of zero; right to 2e-4.
// Needs at least one degree of freedom.
double student_t_95(std::size_t degrees_of_freedom);

// The mean of independent values, with its 95 % interval; none of fewer than two values.
std::optional<MeanInterval> mean_interval_95(std::span<const double> values);

}  // namespace instep

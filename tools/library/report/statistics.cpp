#include "tools/library/report/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace instep {

double student_t_95(std::size_t degrees_of_freedom) {
  constexpr std::array<double, 10> kTable{12.706204736, 4.302652730, 3.182446305, 2.776445105,
                                          2.570581836,  2.446911851, 2.364624252, 2.306004135,
                                          2.262157163,  2.228138852};
  if (degrees_of_freedom <= kTable.size()) {
    return kTable[std::max<std::size_t>(degrees_of_freedom, 1) - 1];
  }
  // The expansion of the quantile around that of the normal distribution: Abramowitz and
  // Stegun 26.7.5.
  const double z = 1.959963984540054;
  const double v = static_cast<double>(degrees_of_freedom);
  const double z2 = z * z;
  return z + z * (z2 + 1) / (4 * v) + z * ((5 * z2 + 16) * z2 + 3) / (96 * v * v) +
         z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * v * v * v);
}

std::optional<MeanInterval> mean_interval_95(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const auto count = static_cast<double>(values.size());
  MeanInterval interval;
  for (const double value : values) interval.mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - interval.mean) * (value - interval.mean);
  interval.half_width = student_t_95(values.size() - 1) * std::sqrt(squares / (count - 1) / count);
  return interval;
}

}  // namespace instep

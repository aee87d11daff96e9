// Gymnasium's NormalizeObservation: a sample enters the running mean and variance
// (parallel-variance update with a batch of one) before it is normalised by them.
#pragma once

#include <cstdint>

#include "kernels/elementary.h"

namespace instep {

INSTEP_HD float normalized(double observation, double mean, double variance) {
  return static_cast<float>((observation - mean) / square_root(variance + 1e-8));
}

// One entry takes its sample; `count` samples came before.
INSTEP_HD void add_to_normalizer(double observation, double count, double& mean, double& variance) {
  const double total = count + 1.0;
  const double delta = observation - mean;
  const double sum_squares = variance * count + delta * delta * count / total;
  mean += delta / total;
  variance = sum_squares / total;
}

// The count after a sample. With a horizon it stops growing, so that old samples fade.
INSTEP_HD double next_normalizer_count(double count, std::int64_t horizon_steps) {
  const double total = count + 1.0;
  const auto horizon = static_cast<double>(horizon_steps);
  return horizon > 0.0 && total > horizon ? horizon : total;
}

}  // namespace instep

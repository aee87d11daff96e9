// What a golden file must hold before anything in it is compared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/layout.h"
#include "tools/library/check/safetensors.h"

namespace instep {

// How a tensor is used.
enum class GoldenUse {
  kInput,    // fed to what is verified
  kPerStep,  // compared; its tolerance has a number a step
  kWhole,    // compared; its tolerance is one number
};

// A tensor that a golden file must hold.
struct GoldenTensor {
  std::string name{};
  std::vector<std::int64_t> shape{};
  GoldenUse use = GoldenUse::kWhole;
  std::string type = "F64";   // as safetensors calls it
  bool is_compared = true;    // false: no executor keeps such numbers
  bool has_tolerance = true;  // beside it in the file, as tol/NAME
};

// What decides the tensors of a learner's golden file.
struct GoldenLearner {
  Shape shape;
  Algorithm algorithm = Algorithm::kAvg;
  bool observation_norm = false;
  bool has_first_moments = false;  // AVG, IAC
  bool has_trace = false;          // RAC
  std::int64_t steps = 0;
  std::vector<std::int64_t> checkpoints;  // counts of updates
};

// The tensors of such a file, but for in/reset_obs: how many rows that has, the ends of episodes
// decide. Where a layer has more than 1,024 weights there are no gradients. Where the second layer
// has, there are no moments of it, and larger arrays of `final` have the type F32.
std::vector<GoldenTensor> golden_tensors(const GoldenLearner& learner);

// Throws DataError naming the first tensors that are missing, unknown, of another type or shape,
// not finite, or whose tolerance is missing, not above 0, or above 1 % of the largest number, and
// where the file holds more than its tensors.
void check_golden_tensors(const TensorFile& file, const std::vector<GoldenTensor>& tensors);

// A whole number of the file's configuration within [low, high]. Throws DataError.
std::int64_t golden_number(const TensorFile& file, const char* key, std::int64_t low,
                           std::int64_t high);

}  // namespace instep

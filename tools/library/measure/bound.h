// What one update cannot be faster than on one core of this machine, by measurement.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/agent.h"

namespace instep {

// Memory bound: the time of an agent's least work.
// Square-root bound: the time of the same, where an update's pass moves nothing, and instead takes
// one square root and one division by it for each weight, as the path does them, with operands in
// registers.
class Bound {
 public:
  // Allocates.
  explicit Bound(LeastWork work);

  // Each does the work of one update.
  void stream();
  void take_roots();

  // Times both, `repetitions` times each after half as many that refill the caches.
  void measure(int repetitions);
  // Medians of all that was measured so far.
  double memory_us() const;
  double square_root_us() const;

 private:
  template <typename Update>
  void run_passes(const Update& update);

  LeastWork work_;
  std::vector<float> storage_;
  float* weights_ = nullptr;  // [work_.floats], aligned to 64 bytes, second moments likewise
  float* second_ = nullptr;
  float checksum_ = 0.0F;  // keeps the compiler from leaving the work out
  std::vector<std::int64_t> memory_ns_;
  std::vector<std::int64_t> square_root_ns_;
};

}  // namespace instep

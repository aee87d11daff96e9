// The least that an update must do, with nothing else to do: loops for measuring what it cannot be
// faster than on a machine.
#pragma once

#include <cstddef>

namespace instep {

// In the vectors of one path. Counts are multiples of kBoundStep, arrays aligned to 64 bytes.
// Results are there so that the compiler keeps the work; they mean nothing.
struct BoundLoops {
  // Reads each weight once.
  float (*read)(const float* weights, std::size_t count) = nullptr;
  // Reads and writes each weight and each second moment once.
  void (*update)(float* weights, float* second, std::size_t count) = nullptr;
  // Takes `count` square roots and divides by them, with operands in registers.
  float (*take_roots)(std::size_t count) = nullptr;
};

inline constexpr std::size_t kBoundStep = 128;

}  // namespace instep

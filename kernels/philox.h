// Philox4x32-10, the counter-based random generator of Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3" (SC 2011). A draw is a pure function of (seed, stream, step,
// index): the same bits on every machine, in any order, with no state to save.
#pragma once

#include <array>
#include <cstdint>

namespace instep {

// What a draw is for. Evaluation adds kEvaluationStreams to each, so that it never meets
// training's.
enum class Stream : std::uint32_t {
  kExploration = 0,
  kNextAction = 1,
  kTaskReset = 2,
  kTaskEvents = 3,
  kFaults = 4,
  kInitialWeights = 5,
  kBatch = 6,
  kActorUpdate = 7,
};
inline constexpr std::uint32_t kEvaluationStreams = 16;

using PhiloxBlock = std::array<std::uint32_t, 4>;

// One block of Philox4x32-10: 128 bits from a 128-bit counter and a 64-bit key.
constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

// The generator of one purpose: key = seed, counter = (index, stream, step). A value type; draws do
// not change it.
struct Random {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;  // a Stream, plus kEvaluationStreams in evaluation

  // Four 32-bit words, the `block`-th of `step`.
  constexpr PhiloxBlock bits(std::uint64_t step, std::uint32_t block) const {
    return philox4x32(
        {block, stream, static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32)},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }

  // Overwrites out[0 .. count) with uniform draws from the open interval (0, 1). Draw i is word i %
  // 4 of block i / 4, so `first` (a multiple of 4) lets several arrays share one step.
  void uniform(std::uint64_t step, double* out, int count, int first = 0) const;

  // Overwrites out[0 .. count) with standard normal draws (Box-Muller, within 6.7 standard
  // deviations).
  void normal(std::uint64_t step, double* out, int count, int first = 0) const;
  void normal(std::uint64_t step, float* out, int count, int first = 0) const;
};

}  // namespace instep

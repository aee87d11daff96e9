// Compiled once per path and arithmetic, as the learner is.
#include "kernels/bound.h"
#include "kernels/cpu/lanes.h"

namespace instep::INSTEP_PATH_NAMESPACE {
namespace {

// Enough independent vectors to hide the latency of every operation.
constexpr std::size_t kChains = kBoundStep / kLanes;

float sum_chains(const Lanes (&chains)[kChains]) {
  float total = 0.0F;
  for (const Lanes& chain : chains) total += sum_lanes(chain);
  return total;
}

float read(const float* weights, std::size_t count) {
  Lanes total[kChains];
  for (Lanes& part : total) part = set(0.0F);
  for (std::size_t i = 0; i < count; i += kBoundStep) {
    for (std::size_t c = 0; c < kChains; ++c) total[c] = total[c] + load(weights + i + c * kLanes);
  }
  return sum_chains(total);
}

void update(float* weights, float* second, std::size_t count) {
  const Lanes keep = set(0.75F);
  const Lanes add = set(0.25F);
  for (std::size_t i = 0; i < count; i += kBoundStep) {
    for (std::size_t c = 0; c < kChains; ++c) {
      const std::size_t at = i + c * kLanes;
      const Lanes w = load(weights + at);
      const Lanes v = load(second + at);
      store(second + at, multiply_add(v, keep, add));
      store(weights + at, multiply_add(w, keep, add));
    }
  }
}

float take_roots(std::size_t count) {
  const Lanes one = set(1.0F);
  Lanes x[kChains];
  Lanes total[kChains];
  for (std::size_t c = 0; c < kChains; ++c) {
    x[c] = set(1.5F + static_cast<float>(c));
    total[c] = set(0.0F);
  }
  for (std::size_t i = 0; i < count; i += kBoundStep) {
    for (std::size_t c = 0; c < kChains; ++c) {
      // The compiler must take the operand for a new one each time.
      for (Native& part : x[c].part) asm("" : INSTEP_IN_VECTOR_REGISTER(part));
      total[c] = total[c] + divide(one, square_root(x[c]));
    }
  }
  return sum_chains(total);
}

}  // namespace

extern const BoundLoops kBoundLoops;
const BoundLoops kBoundLoops = {.read = read, .update = update, .take_roots = take_roots};

}  // namespace instep::INSTEP_PATH_NAMESPACE

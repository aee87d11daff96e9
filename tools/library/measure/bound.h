// What one update cannot be faster than on one core of this machine, by measurement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/bound.h"
#include "kernels/layout.h"
#include "kernels/learner.h"

namespace instep {

// Bytes of weights and second moments that one update must move, and where. A, C: weights of the
// actor and the critic, H: of a hidden layer's square matrix, 4 bytes each, padding included.
struct Traffic {
  std::size_t act = 0;      // act first: the actor is read. Throughput: it is updated, too
  std::size_t learn = 0;    // critic at (s', a') read, then critic updated; act first: actor(old)
  std::size_t prepare = 0;  // both backward passes; act first: the critic's forward and the update
  std::size_t update() const { return act + learn + prepare; }
};

// Of AVG without a first moment.
Traffic traffic(const Layout& layout, Schedule schedule);

// The fewest passes that give the exact update, in the order that they must have, as each needs the
// one before, over arrays of the size of weights and second moments:
//   read w, read v, write w, write v     over A      actor: update and both forwards in one pass
//   read w                               over C      critic at (s', a')
//   read w, read v, write w, write v     over C      critic: update and forward in one pass
//   read w                               over 2 H    both backward passes through the second layer
// which is traffic(layout, kThroughput). Each number read is used in a single multiply-add.
//
// Memory bound: the time of these passes.
// Square-root bound: the time of the same, where an update's pass moves nothing, and instead takes
// one square root and one division by it for each weight, as the path does them, with operands in
// registers.
class Bound {
 public:
  // The loops are those of the executor under measurement. Allocates.
  Bound(const Shape& shape, const BoundLoops& loops);

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

  const BoundLoops& loops_;
  std::size_t actor_;
  std::size_t critic_;
  std::size_t square_;
  std::vector<float> storage_;
  float* weights_ = nullptr;  // [actor + critic], aligned to 64 bytes, second moments likewise
  float* second_ = nullptr;
  float checksum_ = 0.0F;  // keeps the compiler from leaving the work out
  std::vector<std::int64_t> memory_ns_;
  std::vector<std::int64_t> square_root_ns_;
};

}  // namespace instep

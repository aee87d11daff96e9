// What one update cannot be faster than on one core of this machine, by measurement.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/shape.h"

namespace instep {

// Streams through memory the way an update has to, and takes the square roots it has to. The
// weights are counted without padding: A of the actor, C of the critic, H of a hidden layer's
// square matrix.
//
// Memory bound: the time of the fewest passes that give the exact update (its order cannot be
// changed, as each pass needs the one before), over arrays of the size of weights and second
// moments:
//   read w, read v, write w, write v     over A      actor: update and both forwards in one pass
//   read w                               over C      critic at (s', a')
//   read w, read v, write w, write v     over C      critic: update and forward in one pass
//   read w                               over 2 H    both backward passes through the second layer
// memory_bytes = 16 A + 4 C + 16 C + 8 H. Each number read is used in a single multiply-add.
//
// Square-root bound: (A + C) times the time of one square root and one reciprocal in the widest
// vectors this program is compiled for, with operands in registers and nothing else to do. The
// reciprocal is what the golden tolerances allow: on AVX-512 an estimate with one Newton step,
// elsewhere a division.
class Bound {
 public:
  explicit Bound(const Shape& shape);

  // Each does the work of one update.
  void stream();
  // The read-only passes of stream() alone.
  void stream_read_only();
  void take_roots();

  std::size_t memory_bytes() const;
  // Keeps the compiler from leaving the work out; of no other use.
  float checksum() const { return checksum_; }

 private:
  void read_weights(std::size_t first, std::size_t count);
  void update_weights(std::size_t first, std::size_t count);

  std::size_t actor_;
  std::size_t critic_;
  std::size_t square_;
  std::vector<float> storage_;
  float* weights_ = nullptr;  // [actor + critic], aligned to 64 bytes, second moments likewise
  float* second_ = nullptr;
  float checksum_ = 0.0F;
};

}  // namespace instep

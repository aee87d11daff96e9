// The one block of memory a learner lives in, and the end of all allocation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/layout.h"

namespace instep {

// The largest learner of a robot task: eight observations, two actions, hidden layers of 256. It
// fits the block that is part of the program itself.
inline constexpr Shape kLargestRobotShape{8, 2, 256};
inline constexpr std::size_t kStaticBlockBytes =
    make_layout(kLargestRobotShape, Algorithm::kAvg, kOptimizerArraysMax).bytes;

// `bytes` of zeroed, 64-byte-aligned memory for as long as the object lives: the program's static
// block when it is free and large enough, else one mapping. Throws std::bad_alloc; call before
// seal().
class MemoryBlock {
 public:
  explicit MemoryBlock(std::size_t bytes);
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool is_static() const { return is_static_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool is_static_ = false;
};

// Says that start-up is over: from now on a MemoryBlock is a programmer error, and nothing on the
// side of the loop or the learner may allocate (tests count). unseal() ends it, for programs that
// run twice.
void seal();
void unseal();
bool is_sealed();

}  // namespace instep

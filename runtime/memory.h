// The one block of memory a learner lives in.
#pragma once

#include <cstddef>
#include <cstdint>

namespace instep {

// The size of the block that is part of the program itself. The learners of robot tasks fit in it.
inline constexpr std::size_t kStaticBlockBytes = std::size_t{1922} << 10;

// `bytes` of zeroed, 64-byte-aligned memory for as long as the object lives: the program's static
// block when it is free and large enough, else one mapping. Throws std::bad_alloc. Not in a sealed
// thread (kernels/seal.h).
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

}  // namespace instep

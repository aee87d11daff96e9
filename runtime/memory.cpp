#include "runtime/memory.h"

#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <new>

#include "kernels/check.h"
#include "kernels/seal.h"

namespace instep {
namespace {

alignas(64) std::uint8_t static_block[kStaticBlockBytes];
std::atomic<bool> static_block_taken{false};

}  // namespace

MemoryBlock::MemoryBlock(std::size_t bytes) : size_(bytes) {
  INSTEP_CHECK(!is_sealed());
  if (bytes <= sizeof static_block && !static_block_taken.exchange(true)) {
    is_static_ = true;
    data_ = static_block;
    std::memset(data_, 0, bytes);
    return;
  }
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::uint8_t*>(mapping);
}

MemoryBlock::~MemoryBlock() {
  if (is_static_) {
    static_block_taken = false;
  } else {
    munmap(data_, size_);
  }
}

}  // namespace instep

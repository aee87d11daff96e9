// Counts every allocation of the process while a condition holds: malloc itself is replaced,
// because MuJoCo is C. To be included by one source of a test. A sanitizer brings its own malloc,
// so there INSTEP_COUNTS_ALLOCATIONS is 0 and nothing is counted.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdlib>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define INSTEP_COUNTS_ALLOCATIONS 1
#else
#define INSTEP_COUNTS_ALLOCATIONS 0
#endif

namespace instep {

// Counting begins when the condition is set and goes on wherever it answers true.
inline std::atomic<bool (*)()> counting_condition{nullptr};
inline std::atomic<long> allocation_count{0};

inline void count_allocation() {
  bool (*const condition)() = counting_condition;
  if (condition != nullptr && condition()) ++allocation_count;
}

}  // namespace instep

#if INSTEP_COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

// operator new comes down to these as well.
void* malloc(std::size_t bytes) {
  instep::count_allocation();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  instep::count_allocation();
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  instep::count_allocation();
  return __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  instep::count_allocation();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  instep::count_allocation();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  instep::count_allocation();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
}
#endif

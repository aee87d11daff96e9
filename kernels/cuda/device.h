// What the CUDA learner's source needs of the compiler, for a device and for the host alike. C++17:
// the device compilers of old Jetsons know no more.
//
// Every operation here is rounded once as IEEE 754 says, on the device too (no approximate square
// root or quotient, no flushing of denormals, contraction off), and sums have an order that depends
// on the shape alone. So the emulated learner and a device's give the same bits, whatever the
// number of blocks.
#pragma once

#include <cstdint>

#include "kernels/elementary.h"

#if defined(__CUDA_ARCH__)
#define INSTEP_DEVICE __device__ inline __attribute__((always_inline))
// Before a loop whose array must become registers, and before one that must stay short.
#define INSTEP_UNROLL _Pragma("unroll")
#define INSTEP_NO_UNROLL _Pragma("nounroll")
#else
#define INSTEP_DEVICE inline
#define INSTEP_UNROLL
#define INSTEP_NO_UNROLL
#endif

namespace instep::cuda {

// Words that host and device hand to each other while both run. What was written before
// store_system() is visible to whoever has seen the stored value by load_system().
INSTEP_DEVICE std::uint32_t load_system(const std::uint32_t* word) {
#if defined(__CUDA_ARCH__)
  const std::uint32_t value = *static_cast<const volatile std::uint32_t*>(word);
  __nvvm_membar_sys();
  return value;
#else
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
#endif
}

INSTEP_DEVICE void store_system(std::uint32_t* word, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
  __nvvm_membar_sys();
  *static_cast<volatile std::uint32_t*>(word) = value;
#else
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
#endif
}

}  // namespace instep::cuda

// The CUDA learner's kernels, for clang without any CUDA toolkit (toolchains/cmake/InstepPtx.cmake compiles this to
// PTX). INSTEP_TEAM chooses how a learner is spread: 1 one block, 2 a grid, 3 a cluster.
#include "kernels/cuda/kernels.h"

namespace instep::cuda {
namespace {

#define INSTEP_SHARED __attribute__((shared))
#define INSTEP_KERNEL extern "C" __attribute__((global))

#if INSTEP_TEAM == 1
// The 32768 registers of a Jetson Nano's block hold what a thread of such a block needs.
constexpr int kThreads = 192;
constexpr std::size_t kGroupsOwnedMax = kGroupsMax;
#elif INSTEP_TEAM == 2
constexpr int kThreads = 256;
constexpr std::size_t kGroupsOwnedMax = kGroupsMax / 2;
#else
constexpr int kThreads = 256;
constexpr std::size_t kGroupsOwnedMax = kGroupsMax / 8;
extern INSTEP_SHARED float dynamic_shared[];
#endif

// As bytes: what has initialisers cannot be shared.
using BlockShared = Shared<kGroupsOwnedMax>;
INSTEP_SHARED std::uint64_t block_shared[(sizeof(BlockShared) + 7) / 8];

struct DeviceTeam {
  using SharedMemory = BlockShared;
  static constexpr bool kHasExchangeCopies = INSTEP_TEAM == 3;
  static constexpr bool kHasOnChip = INSTEP_TEAM == 3;

  int agent_index;
  int block_index;
  int block_count;
  int exchange_floats;

  INSTEP_DEVICE explicit DeviceTeam(const Parameters& parameters)
      : block_count(INSTEP_TEAM == 1 ? 1 : static_cast<int>(parameters.blocks)),
        exchange_floats(static_cast<int>(parameters.exchange_floats)) {
    const int block = __nvvm_read_ptx_sreg_ctaid_x();
    agent_index = block / block_count;
    block_index = block % block_count;
  }

  INSTEP_DEVICE int agent() const { return agent_index; }
  INSTEP_DEVICE int block() const { return block_index; }
  INSTEP_DEVICE int blocks() const { return block_count; }
  INSTEP_DEVICE int thread() const { return __nvvm_read_ptx_sreg_tid_x(); }
  INSTEP_DEVICE int threads() const { return kThreads; }
  INSTEP_DEVICE SharedMemory& shared() const {
    return *reinterpret_cast<SharedMemory*>(block_shared);
  }

  INSTEP_DEVICE float* exchange([[maybe_unused]] int block) const {
#if INSTEP_TEAM == 3
    float* mine = dynamic_shared;
    float* theirs;
    asm("mapa.u64 %0, %1, %2;" : "=l"(theirs) : "l"(mine), "r"(block));
    return theirs;
#else
    return shared().learner.exchange;
#endif
  }
  INSTEP_DEVICE float* on_chip() const {
#if INSTEP_TEAM == 3
    return dynamic_shared + exchange_floats;
#else
    return nullptr;
#endif
  }

  INSTEP_DEVICE std::uint64_t now_ns() const {
    std::uint64_t value;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(value));
    return value;
  }
  INSTEP_DEVICE void signal(std::uint32_t* word, std::uint32_t value) const {
    store_system(word, value);
  }

  template <Barrier>
  INSTEP_DEVICE void block_barrier() const {
    __syncthreads();
  }
  template <Barrier>
  INSTEP_DEVICE void team_barrier() const {
#if INSTEP_TEAM == 1
    __syncthreads();
#elif INSTEP_TEAM == 2
    __syncthreads();
    if (thread() == 0) {
      __nvvm_membar_gl();
      // The count only grows; the barrier is over when it has come to the next multiple of the number of blocks,
      // a power of two, so that it may wrap.
      std::uint32_t* arrivals = &shared().meeting->arrivals;
      const auto count = static_cast<std::uint32_t>(block_count);
      const std::uint32_t arrived = __nvvm_atom_add_gen_i(reinterpret_cast<int*>(arrivals), 1);
      const std::uint32_t target = (arrived / count + 1) * count;
      const volatile std::uint32_t* now = arrivals;
      while (static_cast<std::int32_t>(*now - target) < 0) {
      }
      __nvvm_membar_gl();
    }
    __syncthreads();
#else
    asm volatile("barrier.cluster.arrive.aligned;\n\tbarrier.cluster.wait.aligned;" ::: "memory");
#endif
  }
};

}  // namespace
}  // namespace instep::cuda

INSTEP_KERNEL __attribute__((launch_bounds(instep::cuda::kThreads))) void instep_launched(
    instep::cuda::Parameters parameters) {
  instep::cuda::run_launched(instep::cuda::DeviceTeam(parameters), parameters);
}

INSTEP_KERNEL __attribute__((launch_bounds(instep::cuda::kThreads))) void instep_resident(
    instep::cuda::Parameters parameters) {
  instep::cuda::run_resident(instep::cuda::DeviceTeam(parameters), parameters);
}

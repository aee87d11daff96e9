// The CUDA learner's kernels, for clang without any CUDA toolkit (toolchains/cmake/InstepPtx.cmake compiles this to
// PTX). INSTEP_TEAM chooses how a learner is spread: 1 one block, 2 a grid, 3 a cluster.
//
// Every kernel does the requests of one agent or of several: agent `a` has the a-th entry of each array of the
// parameters. A launched kernel does one request; a resident one stays until it is told to leave or its lease is over.
#include "kernels/cuda/team_learner.h"

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
struct BlockMemory {
  Shared<kGroupsOwnedMax> shared;
  DeviceLearner learner;
  const Request* request;
  Reply* reply;
  std::uint64_t lease_end_ns;
  std::uint32_t sequence;  // of the request done last
};
INSTEP_SHARED std::uint64_t block_memory[(sizeof(BlockMemory) + 7) / 8];

INSTEP_DEVICE BlockMemory& block_shared() { return *reinterpret_cast<BlockMemory*>(block_memory); }

struct DeviceTeam {
  using SharedMemory = Shared<kGroupsOwnedMax>;
  static constexpr bool kHasExchangeCopies = INSTEP_TEAM == 3;
  static constexpr bool kCanBeResident = INSTEP_TEAM == 3;

  int block_index;
  int block_count;
  float* global_exchange;
  int exchange_floats;
  Meeting* meeting;

  INSTEP_DEVICE int block() const { return block_index; }
  INSTEP_DEVICE int blocks() const { return INSTEP_TEAM == 1 ? 1 : block_count; }
  INSTEP_DEVICE int thread() const { return __nvvm_read_ptx_sreg_tid_x(); }
  INSTEP_DEVICE int threads() const { return kThreads; }
  INSTEP_DEVICE SharedMemory& shared() const { return block_shared().shared; }

  INSTEP_DEVICE float* exchange([[maybe_unused]] int block) const {
#if INSTEP_TEAM == 3
    float* mine = dynamic_shared;
    float* theirs;
    asm("mapa.u64 %0, %1, %2;" : "=l"(theirs) : "l"(mine), "r"(block));
    return theirs;
#else
    return global_exchange;
#endif
  }
  INSTEP_DEVICE float* resident() const {
#if INSTEP_TEAM == 3
    return dynamic_shared + exchange_floats;
#else
    return nullptr;
#endif
  }

  template <Barrier>
  INSTEP_DEVICE void block_barrier() const {
    __syncthreads();
  }
  template <Barrier kBarrier>
  INSTEP_DEVICE void team_barrier() const {
#if INSTEP_TEAM == 1
    __syncthreads();
#elif INSTEP_TEAM == 2
    __syncthreads();
    if (thread() == 0) {
      __nvvm_membar_gl();
      // The count only grows; the barrier is over when it has come to the next multiple of the number of blocks.
      const auto count = static_cast<std::uint32_t>(block_count);
      const std::uint32_t arrived = __nvvm_atom_add_gen_i(reinterpret_cast<int*>(&meeting->arrivals), 1);
      const std::uint32_t target = (arrived / count + 1) * count;
      const volatile std::uint32_t* arrivals = &meeting->arrivals;
      while (static_cast<std::int32_t>(*arrivals - target) < 0) {
      }
      __nvvm_membar_gl();
    }
    __syncthreads();
#else
    asm volatile("barrier.cluster.arrive.aligned;\n\tbarrier.cluster.wait.aligned;" ::: "memory");
#endif
  }
};

INSTEP_DEVICE std::uint64_t now_ns() {
  std::uint64_t value;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(value));
  return value;
}

// Block 0's first thread waits for the next request or the end of the lease, and tells the team which. Answers the
// operations, or kLeave.
INSTEP_DEVICE std::uint32_t wait_for_request(DeviceTeam& team, const Request& request) {
  BlockMemory& memory = block_shared();
  const int command = make_exchange_layout(memory.learner.layout).command;
  if (team.block() == 0 && team.thread() == 0) {
    std::uint32_t operations = kLeave;
    while (now_ns() < memory.lease_end_ns) {
      if (load_system(&request.sequence) == memory.sequence + 1) {
        operations = request.operations;
        break;
      }
    }
    float word;
    __builtin_memcpy(&word, &operations, sizeof word);
    for (int block = 0; block < (DeviceTeam::kHasExchangeCopies ? team.blocks() : 1); ++block) {
      team.exchange(block)[command] = word;
    }
  }
  team.team_barrier<kOperationDone>();
  std::uint32_t operations;
  const float word = static_cast<volatile float*>(team.exchange(team.block()))[command];
  __builtin_memcpy(&operations, &word, sizeof operations);
  return operations;
}

INSTEP_DEVICE DeviceTeam team_of(const Parameters& parameters) {
  const int blocks = INSTEP_TEAM == 1 ? 1 : static_cast<int>(parameters.blocks);
  const int block = __nvvm_read_ptx_sreg_ctaid_x();
  return {block % blocks, blocks, block_shared().learner.exchange,
          static_cast<int>(parameters.exchange_floats), parameters.meetings + block / blocks};
}

// Copies the agent's parameters to shared memory, where what every phase reads is near.
INSTEP_DEVICE DeviceTeam begin(const Parameters& parameters) {
  const int blocks = INSTEP_TEAM == 1 ? 1 : static_cast<int>(parameters.blocks);
  const int block = __nvvm_read_ptx_sreg_ctaid_x();
  const int agent = block / blocks;
  BlockMemory& memory = block_shared();
  const auto* from = reinterpret_cast<const std::uint32_t*>(parameters.learners + agent);
  auto* to = reinterpret_cast<std::uint32_t*>(&memory.learner);
  constexpr int kWords = sizeof(DeviceLearner) / sizeof(std::uint32_t);
  const int thread = __nvvm_read_ptx_sreg_tid_x();
  for (int i = thread; i < kWords; i += kThreads) to[i] = from[i];
  if (thread == 0) {
    memory.request = parameters.requests + agent;
    memory.reply = parameters.replies + agent;
    memory.sequence = parameters.sequence;
    memory.lease_end_ns = now_ns() + parameters.lease_ms * std::uint64_t{1000000};
  }
  __syncthreads();
  return team_of(parameters);
}

}  // namespace
}  // namespace instep::cuda

// One request of each agent.
INSTEP_KERNEL __attribute__((launch_bounds(instep::cuda::kThreads))) void instep_launched(
    instep::cuda::Parameters parameters) {
  using namespace instep::cuda;
  DeviceTeam team = begin(parameters);
  TeamLearner<DeviceTeam> learner(team, block_shared().learner);
  learner.load();
  learner.run(*block_shared().request, block_shared().request->operations);
  if (team.block() == 0) learner.reply(*block_shared().reply);
  learner.store();
}

// Requests as they come, until the lease is over or the host says so. The last reply says that the blocks of memory
// are whole.
INSTEP_KERNEL __attribute__((launch_bounds(instep::cuda::kThreads))) void instep_resident(
    instep::cuda::Parameters parameters) {
  using namespace instep::cuda;
  DeviceTeam team = begin(parameters);
  TeamLearner<DeviceTeam> learner(team, block_shared().learner);
  learner.load();
  const Parameters& given = parameters;
  while (true) {
    const std::uint32_t operations = wait_for_request(team, *block_shared().request);
    if (operations == kLeave) break;
    // Made anew, so that nothing of it lives in registers from one request to the next.
    DeviceTeam team_now = team_of(given);
    TeamLearner<DeviceTeam> learner_now(team_now, block_shared().learner);
    learner_now.run(*block_shared().request, operations);
    if (team.block() == 0) learner_now.reply(*block_shared().reply);
    __syncthreads();
    if (team.thread() == 0) {
      ++block_shared().sequence;
      if (team.block() == 0) store_system(&block_shared().reply->sequence, block_shared().sequence);
    }
  }
  learner.store();
  team.team_barrier<kOperationDone>();
  if (team.block() == 0 && team.thread() == 0) {
    store_system(&block_shared().reply->has_left, 1);
  }
}

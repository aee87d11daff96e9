#include "runtime/cuda/emulator.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <utility>

#include "kernels/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// switch_stack(from, to): saves what the calling convention has a function keep on the current
// stack, writes the stack pointer to *from, and goes on where the stack `to` was left.
#if defined(__x86_64__)
asm(R"(
.text
.type instep_switch_stack, @function
instep_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size instep_switch_stack, .-instep_switch_stack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.type instep_switch_stack, %function
instep_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size instep_switch_stack, .-instep_switch_stack
)");
#else
#error "the emulator needs a switch of stacks for this processor"
#endif

extern "C" void instep_switch_stack(void** from, void* to);

namespace instep {
namespace {

// The emulator whose fibre runs on this thread: a new fibre has no other way to learn it.
thread_local Emulator* current_emulator = nullptr;

constexpr int kBarriersMax = 64;

// Sanitizers put much more on a stack.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kStackBytes = 128 * 1024;
#else
constexpr std::size_t kStackBytes = 32 * 1024;
#endif

std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

}  // namespace

struct Emulator::Fiber {
  void* stack = nullptr;
  void* sanitizer_fiber = nullptr;
  void* fake_stack = nullptr;
  State state = State::kRunnable;
  bool is_started = false;
  int barrier = -1;
};

Emulator::Emulator(int teams, int blocks_per_team, int threads_per_block)
    : blocks_(blocks_per_team),
      threads_(threads_per_block),
      count_(teams * blocks_per_team * threads_per_block),
      stack_bytes_(kStackBytes),
      fibers_(static_cast<std::size_t>(count_)),
      order_(static_cast<std::size_t>(count_)),
      waiting_in_block_(static_cast<std::size_t>(teams * blocks_per_team)),
      waiting_in_team_(static_cast<std::size_t>(teams)),
      passes_(kBarriersMax) {
  INSTEP_CHECK(count_ > 0);
  void* memory = mmap(nullptr, stack_bytes_ * fibers_.size(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stacks_ = static_cast<std::byte*>(memory);
}

Emulator::~Emulator() {
  munmap(stacks_, stack_bytes_ * fibers_.size());
}

void Emulator::set_order(FiberOrder order, std::uint64_t seed) {
  fiber_order_ = order;
  draws_ = seed;
}

void Emulator::shuffle() {
  for (std::size_t i = order_.size() - 1; i > 0; --i) {
    std::swap(order_[i], order_[mix(++draws_) % (i + 1)]);
  }
}

// The first function of every fibre.
void Emulator::enter() {
  Emulator& emulator = *current_emulator;
  const int id = emulator.running_;
  Fiber& fiber = emulator.fibers_[static_cast<std::size_t>(id)];
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &emulator.host_stack_bottom_,
                                  &emulator.host_stack_bytes_);
#endif
  emulator.kernel_(emulator.argument_, id / emulator.threads_, id % emulator.threads_);
  fiber.state = State::kEnded;
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(emulator.host_fiber_, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(nullptr, emulator.host_stack_bottom_, emulator.host_stack_bytes_);
#endif
  instep_switch_stack(&fiber.stack, emulator.host_stack_);
}

// The switches themselves are no synchronisation: what orders two fibres is a barrier, or being
// started and ended by the host.
#if defined(__SANITIZE_THREAD__)
[[gnu::noinline, gnu::no_sanitize("thread")]]
#endif
void Emulator::resume(int id) {
  Fiber& fiber = fibers_[static_cast<std::size_t>(id)];
  running_ = id;
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(fiber.sanitizer_fiber, std::exchange(fiber.is_started, true) ? 1 : 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
  std::byte* bottom = stacks_ + static_cast<std::size_t>(id) * stack_bytes_;
  __sanitizer_start_switch_fiber(&host_fake_stack_, bottom, stack_bytes_);
#endif
  instep_switch_stack(&host_stack_, fiber.stack);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(host_fake_stack_, nullptr, nullptr);
#endif
}

#if defined(__SANITIZE_THREAD__)
[[gnu::noinline, gnu::no_sanitize("thread")]]
#endif
void Emulator::wait(State state, int barrier) {
  const int id = running_;
  Fiber& fiber = fibers_[static_cast<std::size_t>(id)];
  fiber.state = state;
  fiber.barrier = barrier;
  ++passes_[static_cast<std::size_t>(barrier)];
  const bool is_team = state == State::kAtTeamBarrier;
  const int members = is_team ? blocks_ * threads_ : threads_;
  const int meeting_place = id / members;
  std::vector<int>& counts = is_team ? waiting_in_team_ : waiting_in_block_;
  int& waiting = counts[static_cast<std::size_t>(meeting_place)];
  ++waiting;
#if defined(__SANITIZE_THREAD__)
  void* meeting = &waiting;
  __tsan_release(meeting);
#endif
  if (waiting == members) {
    waiting = 0;
    release(state, meeting_place * members, members);
  }
#if defined(__SANITIZE_THREAD__)
  __tsan_release(this);  // for the host, when the launch is over
  __tsan_switch_to_fiber(host_fiber_, 1);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fiber.fake_stack, host_stack_bottom_, host_stack_bytes_);
#endif
  instep_switch_stack(&fiber.stack, host_stack_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &host_stack_bottom_, &host_stack_bytes_);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(meeting);
#endif
}

#if defined(__SANITIZE_THREAD__)
[[gnu::noinline, gnu::no_sanitize("thread")]]
#endif
void Emulator::release(State state, int first, int count) {
  const int barrier = fibers_[static_cast<std::size_t>(first)].barrier;
  for (int id = first; id < first + count; ++id) {
    Fiber& fiber = fibers_[static_cast<std::size_t>(id)];
    if (fiber.state != state || fiber.barrier != barrier) {
      diverged_[0] = first;
      diverged_[1] = id;
      return;
    }
  }
  for (int id = first; id < first + count; ++id) {
    fibers_[static_cast<std::size_t>(id)].state = State::kRunnable;
  }
  has_released_ = true;
}

void Emulator::describe_standstill() {
  if (diverged_[1] >= 0) {
    const auto at = [&](int i) {
      return std::to_string(fibers_[static_cast<std::size_t>(diverged_[i])].barrier);
    };
    problem_ = "threads " + std::to_string(diverged_[0]) + " and " + std::to_string(diverged_[1]) +
               " wait at different barriers, " + at(0) + " and " + at(1);
    return;
  }
  for (int id = 0; id < count_; ++id) {
    const Fiber& fiber = fibers_[static_cast<std::size_t>(id)];
    if (fiber.state == State::kEnded) continue;
    problem_ = "thread " + std::to_string(id % threads_) + " of block " +
               std::to_string(id / threads_) + " waits at barrier " +
               std::to_string(fiber.barrier) + " for threads that do not come";
    return;
  }
}

#if defined(__SANITIZE_THREAD__)
[[gnu::noinline, gnu::no_sanitize("thread")]]
#endif
bool Emulator::launch(Kernel kernel, void* argument) {
  Emulator* outer = std::exchange(current_emulator, this);
  kernel_ = kernel;
  argument_ = argument;
  problem_.clear();
  diverged_[1] = -1;
  waiting_in_team_.assign(waiting_in_team_.size(), 0);
  waiting_in_block_.assign(waiting_in_block_.size(), 0);
#if defined(__SANITIZE_THREAD__)
  host_fiber_ = __tsan_get_current_fiber();
#endif
  for (int id = 0; id < count_; ++id) {
    Fiber& fiber = fibers_[static_cast<std::size_t>(id)];
    fiber = Fiber{};
    order_[static_cast<std::size_t>(id)] =
        fiber_order_ == FiberOrder::kBackward ? count_ - 1 - id : id;
    // As if enter() had called switch_stack() as its first act: registers, then where to return to.
    std::byte* top = stacks_ + (static_cast<std::size_t>(id) + 1) * stack_bytes_;
    void (*const entry)() = &Emulator::enter;
#if defined(__x86_64__)
    std::byte* at = top - 64;  // 16-byte aligned, as where a call would put its return address
    std::memset(at - 48, 0, 64);
    std::memcpy(at, &entry, sizeof entry);
    fiber.stack = at - 48;
#else
    std::byte* at = top - 176;
    std::memset(at, 0, 176);
    std::memcpy(at + 88, &entry, sizeof entry);  // x30
    fiber.stack = at;
#endif
#if defined(__SANITIZE_THREAD__)
    fiber.sanitizer_fiber = __tsan_create_fiber(0);
#endif
  }
  int ended = 0;
  bool is_standing = false;
  while (ended < count_ && !is_standing) {
    if (fiber_order_ == FiberOrder::kShuffled) shuffle();
    bool has_run = false;
    for (const int id : order_) {
      Fiber& fiber = fibers_[static_cast<std::size_t>(id)];
      if (fiber.state != State::kRunnable) continue;
      has_run = true;
      has_released_ = false;
      resume(id);
      if (fiber.state == State::kEnded) ++ended;
      const bool starts_over = has_released_ && fiber_order_ != FiberOrder::kShuffled;
      is_standing = diverged_[1] >= 0;
      if (starts_over || is_standing) break;
    }
    is_standing = is_standing || !has_run;
  }
  if (is_standing) describe_standstill();
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(this);
  for (Fiber& fiber : fibers_) __tsan_destroy_fiber(fiber.sanitizer_fiber);
#endif
  current_emulator = outer;
  return problem_.empty();
}

void Emulator::block_barrier(int barrier) {
  if (barrier != removed_barrier_) wait(State::kAtBlockBarrier, barrier);
}

void Emulator::team_barrier(int barrier) {
  if (barrier != removed_barrier_) wait(State::kAtTeamBarrier, barrier);
}

}  // namespace instep

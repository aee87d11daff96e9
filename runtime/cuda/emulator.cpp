// The fortified longjmp() takes a jump to another stack for an error.
#undef _FORTIFY_SOURCE

#include "runtime/cuda/emulator.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "kernels/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

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

// Goes on where `to` was left, and returns when something goes on at `from`. Without the system
// call of swapcontext(), which keeps signal masks apart.
#if defined(__SANITIZE_THREAD__)
[[gnu::noinline, gnu::no_sanitize("thread")]]
#else
[[gnu::noinline]]
#endif
void switch_stack(std::jmp_buf& from, std::jmp_buf& to) {
  if (_setjmp(from) == 0) _longjmp(to, 1);
}

std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

}  // namespace

struct Emulator::Fiber {
  std::jmp_buf goes_on;
  bool is_made = false;     // goes_on holds where it is
  bool is_started = false;  // in this launch
  State state = State::kRunnable;
  int barrier = -1;
  void* sanitizer_fiber = nullptr;
  void* fake_stack = nullptr;
};

Emulator::Emulator(int teams, int blocks_per_team, int threads_per_block)
    : blocks_(blocks_per_team),
      threads_(threads_per_block),
      count_(teams * blocks_per_team * threads_per_block),
      guard_bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
      fibers_(static_cast<std::size_t>(count_)),
      order_(static_cast<std::size_t>(count_)),
      waiting_in_block_(static_cast<std::size_t>(teams * blocks_per_team)),
      waiting_in_team_(static_cast<std::size_t>(teams)),
      passes_(kBarriersMax) {
  INSTEP_CHECK(count_ > 0);
  const std::size_t bytes = (guard_bytes_ + kStackBytes) * fibers_.size();
  void* memory =
      mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stacks_ = static_cast<std::byte*>(memory);
  for (int id = 0; id < count_; ++id) {
    if (mprotect(stack(id), kStackBytes, PROT_READ | PROT_WRITE) == 0) continue;
    munmap(stacks_, bytes);
    throw std::bad_alloc();
  }
#if defined(__SANITIZE_THREAD__)
  for (Fiber& fiber : fibers_) fiber.sanitizer_fiber = __tsan_create_fiber(0);
#endif
}

Emulator::~Emulator() {
#if defined(__SANITIZE_THREAD__)
  for (Fiber& fiber : fibers_) __tsan_destroy_fiber(fiber.sanitizer_fiber);
#endif
  munmap(stacks_, (guard_bytes_ + kStackBytes) * fibers_.size());
}

// A fibre that runs over its stack's end comes to a page that nobody may touch.
std::byte* Emulator::stack(int id) const {
  return stacks_ + static_cast<std::size_t>(id) * (guard_bytes_ + kStackBytes) + guard_bytes_;
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

// The first and only function of every fibre: one kernel after another.
#if defined(__SANITIZE_THREAD__)
[[gnu::noinline, gnu::no_sanitize("thread")]]
#endif
void Emulator::enter() {
  Emulator& emulator = *current_emulator;
  const int id = emulator.running_;
  Fiber& fiber = emulator.fibers_[static_cast<std::size_t>(id)];
  while (true) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fiber.fake_stack, &emulator.host_stack_bottom_,
                                    &emulator.host_stack_bytes_);
#endif
    emulator.kernel_(emulator.argument_, id / emulator.threads_, id % emulator.threads_);
    fiber.state = State::kEnded;
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(emulator.host_fiber_, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fiber.fake_stack, emulator.host_stack_bottom_,
                                   emulator.host_stack_bytes_);
#endif
    switch_stack(fiber.goes_on, emulator.host_);
  }
}

// Enters a new fibre on that stack.
#if defined(__SANITIZE_THREAD__)
[[gnu::noinline, gnu::no_sanitize("thread")]]
#endif
void Emulator::begin(std::byte* stack) {
  ucontext_t context;
  INSTEP_CHECK(getcontext(&context) == 0);
  context.uc_stack = {.ss_sp = stack, .ss_flags = 0, .ss_size = kStackBytes};
  context.uc_link = nullptr;
  makecontext(&context, &Emulator::enter, 0);
  if (_setjmp(host_) == 0) setcontext(&context);
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
  __sanitizer_start_switch_fiber(&host_fake_stack_, stack(id), kStackBytes);
#endif
  if (std::exchange(fiber.is_made, true)) {
    switch_stack(host_, fiber.goes_on);
  } else {
    begin(stack(id));
  }
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
  switch_stack(fiber.goes_on, host_);
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

// A fibre that a standstill has left half-way begins anew, and what it held is lost.
void Emulator::lose(Fiber& fiber) {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(fiber.sanitizer_fiber);
  void* sanitizer_fiber = __tsan_create_fiber(0);
#else
  void* sanitizer_fiber = nullptr;
#endif
  fiber = Fiber{};
  fiber.sanitizer_fiber = sanitizer_fiber;
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
    if (fiber.is_made && fiber.state != State::kEnded) lose(fiber);
    fiber.state = State::kRunnable;
    fiber.is_started = false;
    order_[static_cast<std::size_t>(id)] =
        fiber_order_ == FiberOrder::kBackward ? count_ - 1 - id : id;
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

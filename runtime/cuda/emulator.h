// CUDA threads on one thread of the host: the same kernel source, one fibre for each CUDA thread.
//
// A fibre runs until it comes to a barrier; whose turn comes next is drawn anew each round, so that
// a kernel which needs a barrier it does not have gives other bits under another order. Threads of
// one block that stand at different barriers, or of which some have ended while others wait, are
// reported as what they are on a device: a deadlock. Shared memory begins as NaNs. Below each stack
// is a page that nobody may touch. Thread sanitizer
// is told of the fibres and sees a race between any two of them.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace instep {

// Which of the fibres that can run is run: always the first (last) one, so that one block runs
// ahead of the others as far as the barriers let it; or all in turn, shuffled anew for each turn.
enum class FiberOrder { kForward, kBackward, kShuffled };

class Emulator {
 public:
  // Teams of that many blocks, each with a barrier of its own. Takes memory for the stacks. Throws
  // std::bad_alloc.
  Emulator(int teams, int blocks_per_team, int threads_per_block);
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  void set_order(FiberOrder order, std::uint64_t seed);
  // Leaves out every barrier of that number, to see who notices; -1 for none.
  void set_removed_barrier(int barrier) { removed_barrier_ = barrier; }
  // How often each barrier was passed (index: its number).
  std::span<const std::int64_t> passes() const { return passes_; }
  int blocks() const { return blocks_; }  // of each team
  int threads() const { return threads_; }

  // Runs a kernel to its end: `kernel(argument, block, thread)` once for each CUDA thread, blocks
  // counted through all teams. False when it came to a standstill, which problem() describes; the
  // fibres are then lost, and so is what they held.
  using Kernel = void (*)(void* argument, int block, int thread);
  [[nodiscard]] bool launch(Kernel kernel, void* argument);
  const std::string& problem() const { return problem_; }

  // Called by fibres. All threads of a block, or of a team, wait for each other.
  void block_barrier(int barrier);
  void team_barrier(int barrier);

 private:
  struct Fiber;
  enum class State : std::uint8_t { kRunnable, kAtBlockBarrier, kAtTeamBarrier, kEnded };

  static void enter();
  std::byte* stack(int fiber) const;
  void begin(std::byte* stack);
  void wait(State state, int barrier);
  void resume(int fiber);
  void release(State state, int first, int count);
  void lose(Fiber& fiber);
  void describe_standstill();
  void shuffle();

  int blocks_;
  int threads_;
  int count_;
  std::size_t guard_bytes_;
  std::byte* stacks_ = nullptr;
  std::vector<Fiber> fibers_;
  std::vector<int> order_;
  std::vector<int> waiting_in_block_;
  std::vector<int> waiting_in_team_;
  std::vector<std::int64_t> passes_;
  int running_ = -1;
  bool has_released_ = false;
  int removed_barrier_ = -1;
  int diverged_[2] = {0, -1};  // two fibres that wait for each other at different barriers
  FiberOrder fiber_order_ = FiberOrder::kForward;
  std::uint64_t draws_ = 1;
  std::string problem_;
  Kernel kernel_ = nullptr;
  void* argument_ = nullptr;
  std::jmp_buf host_;  // where launch() goes on
  // For the sanitizers, which must be told of every switch.
  [[maybe_unused]] void* host_fiber_ = nullptr;
  [[maybe_unused]] void* host_fake_stack_ = nullptr;
  [[maybe_unused]] const void* host_stack_bottom_ = nullptr;
  [[maybe_unused]] std::size_t host_stack_bytes_ = 0;
};

}  // namespace instep

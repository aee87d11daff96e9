// Walks through every interleaving of two threads' steps. The code under test runs unchanged, with
// an atomic type and a value type that hand over control before each access; a schedule is run from
// its start again and again, each time with the next choice that has not been tried.
#pragma once

#include <ucontext.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

namespace instep {

class Interleavings {
 public:
  // Runs both bodies under every schedule; `begin` makes a fresh object under test, `end` judges
  // it. Answers how many schedules there were.
  static long explore(const std::function<void()>& begin, const std::function<void()>& first,
                      const std::function<void()>& second, const std::function<void()>& end) {
    std::vector<int> choices;
    long schedules = 0;
    do {
      begin();
      Interleavings run(first, second, &choices);
      current() = &run;
      run.run();
      current() = nullptr;
      end();
      ++schedules;
    } while (advance(&choices));
    return schedules;
  }

  // The point between two steps; nothing outside of explore().
  static void step() {
    Interleavings* run = current();
    if (run != nullptr && run->active_ >= 0) run->yield();
  }

 private:
  static constexpr std::size_t kStackBytes = 64 * 1024;

  Interleavings(const std::function<void()>& first, const std::function<void()>& second,
                std::vector<int>* choices)
      : bodies_{first, second}, choices_(choices) {}

  static Interleavings*& current() {
    static Interleavings* run = nullptr;
    return run;
  }

  // The next schedule in order: the last choice that can still be the second thread becomes it.
  static bool advance(std::vector<int>* choices) {
    while (!choices->empty() && choices->back() != 0) choices->pop_back();
    if (choices->empty()) return false;
    choices->back() = 1;
    return true;
  }

  static void start() {
    Interleavings* run = current();
    const int self = run->active_;
    run->bodies_[self]();
    run->is_over_[self] = true;
    run->active_ = -1;
    setcontext(&run->scheduler_);
  }

  void yield() {
    const int self = active_;
    active_ = -1;
    swapcontext(&contexts_[self], &scheduler_);
  }

  static void prepare(ucontext_t& context, char* stack) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = kStackBytes;
    context.uc_link = nullptr;
    makecontext(&context, start, 0);
  }

  void run() {
    static char stacks[2][kStackBytes];
    prepare(contexts_[0], stacks[0]);
    prepare(contexts_[1], stacks[1]);
    std::size_t depth = 0;
    while (!is_over_[0] || !is_over_[1]) {
      int next = is_over_[0] ? 1 : 0;
      if (!is_over_[0] && !is_over_[1]) {
        if (depth == choices_->size()) choices_->push_back(0);
        next = (*choices_)[depth++];
      }
      active_ = next;
      swapcontext(&scheduler_, &contexts_[next]);
    }
  }

  std::function<void()> bodies_[2];
  std::vector<int>* choices_;
  ucontext_t contexts_[2];
  ucontext_t scheduler_;
  bool is_over_[2] = {false, false};
  int active_ = -1;
};

// Sequentially consistent; each access is a step of its own.
template <typename T>
class SteppedAtomic {
 public:
  SteppedAtomic(T value) : value_(value) {}  // NOLINT: as std::atomic has it
  T load(std::memory_order) const {
    Interleavings::step();
    return value_;
  }
  void store(T value, std::memory_order) {
    Interleavings::step();
    value_ = value;
  }
  T exchange(T value, std::memory_order) {
    Interleavings::step();
    const T before = value_;
    value_ = value;
    return before;
  }

 private:
  T value_;
};

// A value whose halves are copied one after the other, so that a torn copy shows.
struct TornValue {
  int first = 0;
  int second = 0;

  TornValue() = default;
  explicit TornValue(int value) : first(value), second(value) {}
  TornValue(const TornValue&) = default;
  TornValue& operator=(const TornValue& other) {
    first = other.first;
    Interleavings::step();
    second = other.second;
    return *this;
  }
  bool is_whole() const { return first == second; }
};

}  // namespace instep

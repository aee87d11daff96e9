// How work that takes long is asked to end.
#pragma once

#include <atomic>

namespace instep {

// Asked, work stops at the next place where it can: a run after its tick. One request may be given
// to several pieces of work, and outlives them.
class StopRequest {
 public:
  // Any thread, and a handler of signals.
  void ask() { is_asked_ = true; }
  bool is_asked() const { return is_asked_; }

 private:
  std::atomic<bool> is_asked_{false};
  static_assert(std::atomic<bool>::is_always_lock_free);
};

// Of work that need not be given one (null).
inline bool is_asked(const StopRequest* stop) {
  return stop != nullptr && stop->is_asked();
}

}  // namespace instep

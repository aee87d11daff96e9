// The thread that learns while the robot moves.
#pragma once

#include <atomic>
#include <thread>

#include "runtime/agent.h"
#include "runtime/realtime/thread.h"

namespace instep {

// Does the tasks of an agent that learns apart, as they come. Borrows the agent, whose
// LearnerHooks::posted must call wake().
class LearnerThread {
 public:
  explicit LearnerThread(Agent& agent) : agent_(agent) {}
  ~LearnerThread() { stop(); }
  LearnerThread(const LearnerThread&) = delete;
  LearnerThread& operator=(const LearnerThread&) = delete;

  void start();
  // Ends it when everything that has been posted is done.
  void stop();
  // From the loop: one write.
  void wake() const { wake_up_.wake(); }

  // 0, or why it is no FIFO thread; kNotTriedYet before it has begun. Any time.
  int priority_error() const { return priority_error_; }

 private:
  void run();

  Agent& agent_;
  WakeUp wake_up_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<int> priority_error_{kNotTriedYet};
  std::thread thread_;
};

}  // namespace instep

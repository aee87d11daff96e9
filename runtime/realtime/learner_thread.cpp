#include "runtime/realtime/learner_thread.h"

#include "kernels/seal.h"

namespace instep {

void LearnerThread::start() {
  thread_ = start_thread("the learner's thread", [this] { run(); });
}

void LearnerThread::stop() {
  if (!thread_.joinable()) return;
  is_stopping_ = true;
  wake_up_.wake();
  thread_.join();
}

void LearnerThread::run() {
  priority_error_ = become_realtime("instep-learner", kLearnerPriority);
  const Seal seal;
  while (true) {
    const bool is_last_round = is_stopping_;
    while (agent_.run_next_task()) continue;
    if (is_last_round) return;
    wake_up_.wait();
  }
}

}  // namespace instep

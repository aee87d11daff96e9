// Work in processes of its own: it shares nothing with this one, and where it dies it takes nothing
// with it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>

namespace instep {

// The text that `work` answers in a process of its own; what it does to that one is gone then.
// Throws what it throws as a CommandError, IoError where no answer comes.
std::string answer_of_child(const std::function<std::string()>& work);

// Runs side by side. Starts processes and waits for them. A stop that is asked for
// (is_stop_requested()) is asked of them, too, and so it is when this process dies.
// Gives SIGCHLD a handler that does nothing.
class ChildRuns {
 public:
  explicit ChildRuns(int jobs) : jobs_(jobs) {}

  // Waits until fewer than `jobs` run, then does `work` in a process of its own, which ends with
  // the exit code that it answers, or that of what it throws. `name` is for messages. False, and
  // nothing is started, when a stop was asked for. Throws IoError.
  bool start(const std::string& name, const std::function<int()>& work);

  // Waits for all. Answers the worst of all exit codes.
  int wait();

 private:
  void wait_for_one();

  int jobs_;
  std::map<pid_t, std::string> running_;
  int worst_ = 0;
};

}  // namespace instep

// Work in processes of its own: it shares nothing with this one, and where it dies it takes nothing
// with it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>

#include "tools/library/run/stop_request.h"

namespace instep {

// The text that `work` answers in a process of its own; what it does to that one is gone then.
// Throws the CommandError that it throws, IoError where no answer comes.
std::string answer_of_child(const std::function<std::string()>& work);

// Runs side by side. Starts processes and waits for them. A stop that is asked for is asked of
// them, too, and so it is when this process dies.
class ChildRuns {
 public:
  explicit ChildRuns(int jobs, const StopRequest* stop = nullptr) : jobs_(jobs), stop_(stop) {}

  // Waits until fewer than `jobs` run, then does `work` in a process of its own, which ends with
  // the exit code that it answers, or that of what it throws. `name` is for messages. False, and
  // nothing is started, when a stop was asked for. Throws IoError.
  bool start(const std::string& name, const std::function<int()>& work);

  // Waits for all. Answers the worst of all exit codes.
  int wait();

 private:
  void wait_for_one();

  int jobs_;
  const StopRequest* stop_;
  std::map<pid_t, std::string> running_;
  bool is_stop_told_ = false;
  int worst_ = 0;
};

}  // namespace instep

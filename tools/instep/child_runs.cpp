#include "tools/instep/child_runs.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "tools/instep/error.h"
#include "tools/instep/training_run.h"

namespace instep {
namespace {

[[noreturn]] void end_with(const std::string& name, const std::function<int()>& work) {
  int code = kDone;
  try {
    code = work();
  } catch (const CommandError& error) {
    std::fprintf(stderr, "instep: %s: %s\n", name.c_str(), error.what());
    code = error.code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "instep: %s: %s\n", name.c_str(), error.what());
    code = kDeviceError;
  }
  std::fflush(nullptr);
  _exit(code);
}

}  // namespace

bool ChildRuns::start(const std::string& name, const std::function<int()>& work) {
  while (static_cast<int>(running_.size()) >= jobs_) wait_for_one();
  if (is_stop_requested()) return false;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw IoError(std::string("cannot start a process: ") + std::strerror(errno));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    end_with(name, work);
  }
  running_[child] = name;
  return true;
}

int ChildRuns::wait() {
  while (!running_.empty()) wait_for_one();
  return worst_;
}

void ChildRuns::wait_for_one() {
  int status = 0;
  pid_t child = -1;
  do {
    if (is_stop_requested()) {
      for (const auto& [process, name] : running_) kill(process, SIGTERM);
    }
    child = waitpid(-1, &status, 0);
  } while (child < 0 && errno == EINTR);
  if (child < 0) throw IoError(std::string("cannot wait for a process: ") + std::strerror(errno));
  if (!WIFEXITED(status)) {
    std::fprintf(stderr, "instep: %s was ended by signal %d\n", running_[child].c_str(),
                 WTERMSIG(status));
  }
  worst_ = std::max(worst_, WIFEXITED(status) ? WEXITSTATUS(status) : int{kDeviceError});
  running_.erase(child);
}

}  // namespace instep

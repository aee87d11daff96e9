#include "tools/library/run/child_runs.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "runtime/realtime/descriptor.h"
#include "tools/library/error.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

// What work answers; where it throws, the exit code for that, and `trouble` becomes the text.
int exit_code_of(const std::function<int()>& work, std::string& trouble) {
  try {
    return work();
  } catch (...) {
    const Failure failure = current_failure();
    trouble = failure.text;
    return failure.code;
  }
}

[[noreturn]] void answer(int descriptor, const std::function<std::string()>& work) {
  std::string text;
  const auto take_answer = [&]() -> int {
    text = work();
    return kDone;
  };
  const int code = exit_code_of(take_answer, text);
  std::fflush(nullptr);
  // Short enough for a pipe to take at once.
  const bool is_told = write(descriptor, text.data(), text.size()) >= 0;
  _exit(is_told ? code : kDeviceError);
}

pid_t fork_or_throw() {
  std::fflush(nullptr);  // else both would write what waits
  const pid_t child = fork();
  if (child < 0) throw IoError(system_trouble("another process cannot be started", errno));
  return child;
}

[[noreturn]] void end_with(const std::string& name, const std::function<int()>& work) {
  std::string trouble;
  const int code = exit_code_of(work, trouble);
  if (!trouble.empty()) std::fprintf(stderr, "instep: %s: %s\n", name.c_str(), trouble.c_str());
  std::fflush(nullptr);
  _exit(code);
}

}  // namespace

std::string answer_of_child(const std::function<std::string()>& work) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw IoError(system_trouble("a pipe to another process cannot be made", errno));
  }
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);
  const pid_t child = fork_or_throw();
  if (child == 0) answer(write_end.get(), work);
  write_end.reset();
  std::string text;
  char bytes[512];
  for (ssize_t count = 1; count != 0;) {
    count = read(read_end.get(), bytes, sizeof bytes);
    if (count < 0 && errno != EINTR) break;
    if (count > 0) text.append(bytes, static_cast<std::size_t>(count));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) {
    throw IoError("a process was ended by signal " + std::to_string(WTERMSIG(status)));
  }
  const int code = WEXITSTATUS(status);
  if (code != kDone) throw CommandError(static_cast<ExitCode>(code), text);
  return text;
}

bool ChildRuns::start(const std::string& name, const std::function<int()>& work) {
  while (static_cast<int>(running_.size()) >= jobs_) wait_for_one();
  if (is_stop_requested()) return false;
  const pid_t parent = getpid();
  const pid_t child = fork_or_throw();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // A parent that has died before this was said sends nothing any more.
    if (getppid() != parent) _exit(kDeviceError);
    end_with(name, work);
  }
  running_[child] = name;
  return true;
}

int ChildRuns::wait() {
  while (!running_.empty()) wait_for_one();
  return worst_;
}

// Signals are let in only while it sleeps: one that came between the look for a stop and the sleep
// would not wake it.
void ChildRuns::wait_for_one() {
  std::signal(SIGCHLD, [](int) {});  // without a handler a child's end would not wake it either
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  sigdelset(&before, SIGCHLD);  // a parent that blocks it would have us sleep for ever
  int status = 0;
  pid_t child = 0;
  while ((child = waitpid(-1, &status, WNOHANG)) == 0) {
    if (is_stop_requested()) {
      for (const auto& [process, name] : running_) kill(process, SIGTERM);
    }
    sigsuspend(&before);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) throw IoError(std::string("cannot wait for a process: ") + std::strerror(errno));
  if (!WIFEXITED(status)) {
    std::fprintf(stderr, "instep: %s was ended by signal %d\n", running_[child].c_str(),
                 WTERMSIG(status));
  }
  worst_ = std::max(worst_, WIFEXITED(status) ? WEXITSTATUS(status) : int{kDeviceError});
  running_.erase(child);
}

}  // namespace instep

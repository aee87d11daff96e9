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

#include "runtime/clock.h"
#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/thread.h"
#include "tools/library/error.h"

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
  if (code == kWrongUse) throw UsageError(text);
  if (code == kCheckFailed) throw DataError(text);
  if (code != kDone) throw IoError(text);
  return text;
}

bool ChildRuns::start(const std::string& name, const std::function<int()>& work) {
  while (static_cast<int>(running_.size()) >= jobs_) wait_for_one();
  if (is_asked(stop_)) return false;
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

// Of its own children alone, and without a handler of signals: those are the program's.
void ChildRuns::wait_for_one() {
  constexpr std::int64_t kLookNs = 20'000'000;
  const MonotonicClock clock;
  int status = 0;
  pid_t child = 0;
  while (child == 0) {
    for (const auto& [process, name] : running_) {
      if (child == 0 && (child = waitpid(process, &status, WNOHANG)) < 0) {
        throw IoError(std::string("cannot wait for a process: ") + std::strerror(errno));
      }
    }
    if (child == 0 && is_asked(stop_) && !is_stop_told_) {
      is_stop_told_ = true;
      for (const auto& [process, name] : running_) kill(process, SIGTERM);
    }
    if (child == 0) sleep_until(clock.now_ns() + kLookNs);
  }
  if (!WIFEXITED(status)) {
    std::fprintf(stderr, "instep: %s was ended by signal %d\n", running_[child].c_str(),
                 WTERMSIG(status));
  }
  worst_ = std::max(worst_, WIFEXITED(status) ? WEXITSTATUS(status) : int{kDeviceError});
  running_.erase(child);
}

}  // namespace instep

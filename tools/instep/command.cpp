#include "tools/instep/command.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "drivers/registry.h"
#include "tools/instep/command_line.h"
#include "tools/instep/output.h"
#include "tools/instep/stop_signals.h"
#include "tools/library/error.h"

namespace instep {
namespace {

// What was printed may have met a full disk.
int finish(int code) {
  const int error = finish_output();
  if (error == 0) return code;
  std::fprintf(stderr, "instep: %s\n",
               system_trouble("standard output: cannot be written", error).c_str());
  return kDeviceError;
}

// Runs the command and prints what went wrong.
int run(int argc, const char* const* argv) {
  try {
    const CommandLine command_line = parse_command_line(argc, argv);
    if (command_line.json) keep_output_for_json();
    return command_line.action ? command_line.action() : command_line.exit_code;
  } catch (...) {
    const Failure failure = current_failure();
    let_signals_end(failure.code);
    std::fprintf(stderr, "instep: %s\n", failure.text.c_str());
    return failure.code;
  }
}

// A daemon may have closed them. The next file that is opened would take their place, and get what
// is printed.
bool has_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    if (open("/dev/null", O_RDWR) != descriptor) return false;
  }
  return true;
}

// Threads get stacks of the same limit as the process.
constexpr rlim_t kStackBytesMin = 1024 * 1024;

// A stack that ends too early ends a program without a word, wherever it is.
bool has_stack() {
  rlimit limit{};
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= kStackBytesMin) return true;
  std::fprintf(stderr,
               "instep: the stack is limited to %llu KiB, and %llu are needed; lift the limit with "
               "ulimit -s 8192, or LimitSTACK=8M in a service\n",
               static_cast<unsigned long long>(limit.rlim_cur / 1024),
               static_cast<unsigned long long>(kStackBytesMin / 1024));
  return false;
}

}  // namespace

int command(int argc, const char* const* argv, const Additions& additions) {
  if (!has_standard_descriptors() || !has_stack()) return kDeviceError;
  for (const DriverInfo* driver : additions.drivers) add_driver(*driver);
  for (const AlgorithmInfo* algorithm : additions.algorithms) add_algorithm(*algorithm);
  for (const TaskInfo& task : additions.tasks) add_task(task);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  std::signal(SIGCHLD, SIG_DFL);  // a parent that ignores it would have us wait for ever
  const int code = run(argc, argv);
  let_signals_end(code);
  return finish(code);
}

}  // namespace instep

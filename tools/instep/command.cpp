#include "tools/instep/command.h"

#include <fcntl.h>
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

}  // namespace

int command(int argc, const char* const* argv, const Additions& additions) {
  if (!has_standard_descriptors()) return kDeviceError;
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

// The instep command: options in, exit codes out. What each command does stands in its own file.

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "tools/instep/command_line.h"
#include "tools/library/error.h"
#include "tools/library/output.h"
#include "tools/library/run/stop_request.h"

// What was printed may have met a full disk.
static int finish(int code) {
  const int error = instep::finish_output();
  if (error == 0) return code;
  std::fprintf(stderr, "instep: %s\n",
               instep::system_trouble("standard output: cannot be written", error).c_str());
  return instep::kDeviceError;
}

// Runs the command and prints what went wrong.
static int run(int argc, char** argv) {
  try {
    const instep::CommandLine command_line = instep::parse_command_line(argc, argv);
    if (command_line.json) instep::keep_output_for_json();
    return command_line.action ? command_line.action() : command_line.exit_code;
  } catch (...) {
    const instep::Failure failure = instep::current_failure();
    instep::let_signals_end(failure.code);
    std::fprintf(stderr, "instep: %s\n", failure.text.c_str());
    return failure.code;
  }
}

// A daemon may have closed them. The next file that is opened would take their place, and get what
// is printed.
static bool has_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    if (open("/dev/null", O_RDWR) != descriptor) return false;
  }
  return true;
}

int main(int argc, char** argv) {
  if (!has_standard_descriptors()) return instep::kDeviceError;
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  std::signal(SIGCHLD, SIG_DFL);  // a parent that ignores it would have us wait for ever
  const int code = run(argc, argv);
  instep::let_signals_end(code);
  return finish(code);
}

// The instep command: options in, exit codes out. What each command does stands in its own file.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include "tools/instep/command_line.h"
#include "tools/library/error.h"
#include "tools/library/run/stop_request.h"

// What was printed may have met a full disk. That nobody reads it any more is no error.
static int finish(int code) {
  const bool is_written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  const bool has_reader = poll(&output, 1, 0) < 0 || (output.revents & POLLERR) == 0;
  if (is_written || !has_reader) return code;
  std::fprintf(stderr, "instep: standard output: cannot be written: %s\n", std::strerror(errno));
  return instep::kDeviceError;
}

// Runs the command and prints what went wrong.
static int run(int argc, char** argv) {
  const auto fails = [](int code, const char* text) {
    instep::let_signals_end(code);
    std::fprintf(stderr, "instep: %s\n", text);
    return code;
  };
  try {
    const instep::CommandLine command_line = instep::parse_command_line(argc, argv);
    return command_line.action ? command_line.action() : command_line.exit_code;
  } catch (const instep::CommandError& error) {
    return fails(error.code(), error.what());
  } catch (const std::system_error& error) {  // a thread, a process, a file that the system refuses
    return fails(instep::kDeviceError, error.what());
  } catch (const std::bad_alloc&) {
    return fails(instep::kDeviceError, "not enough memory");
  } catch (const std::exception& error) {
    return fails(instep::kCheckFailed, error.what());
  }
}

int main(int argc, char** argv) {
  std::signal(SIGCHLD, SIG_DFL);  // a parent that ignores it would have us wait for ever
  const int code = run(argc, argv);
  instep::let_signals_end(code);
  return finish(code);
}

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

// What was printed may have met a full disk. That nobody reads it any more is no error.
static int finish(int code) {
  const bool is_written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  const bool has_reader = poll(&output, 1, 0) < 0 || (output.revents & POLLERR) == 0;
  if (is_written || !has_reader) return code;
  std::fprintf(stderr, "instep: standard output: cannot be written: %s\n", std::strerror(errno));
  return instep::kDeviceError;
}

int main(int argc, char** argv) {
  std::signal(SIGCHLD, SIG_DFL);  // a parent that ignores it would have us wait for ever
  try {
    const instep::CommandLine command_line = instep::parse_command_line(argc, argv);
    return finish(command_line.action ? command_line.action() : command_line.exit_code);
  } catch (const instep::CommandError& error) {
    std::fprintf(stderr, "instep: %s\n", error.what());
    return error.code();
  } catch (const std::system_error& error) {  // a thread, a process, a file that the system refuses
    std::fprintf(stderr, "instep: %s\n", error.what());
    return instep::kDeviceError;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "instep: not enough memory\n");
    return instep::kDeviceError;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "instep: %s\n", error.what());
    return instep::kCheckFailed;
  }
}

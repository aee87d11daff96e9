#include "runtime/realtime/guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

namespace instep {
namespace {

constexpr char kBeat = 'b';
constexpr char kReopen = 'r';
constexpr char kRelease = 'q';
constexpr char kReady = 'w';  // the only one that the guardian sends

constexpr int kSilenceMs = 500;

// Everything that the guardian knows, on its own stack.
struct Watch {
  int port = -1;
  int pipe = -1;
  int agents_end = -1;  // of the pipe
  int ready = -1;       // the end of another, which tells the agent that it is watched
  std::array<char, 4096> path{};
  PortOperations operations;
  std::array<std::uint8_t, 256> stop_bytes{};
  std::size_t stop_size = 0;
};

// Writes all of it, for at most a second.
void write_stop(const Watch& watch) {
  if (watch.operations.discard_output != nullptr) watch.operations.discard_output(watch.port);
  std::size_t written = 0;
  for (int tries = 0; written < watch.stop_size && tries < 100; ++tries) {
    const ssize_t bytes =
        write(watch.port, watch.stop_bytes.data() + written, watch.stop_size - written);
    if (bytes > 0) {
      written += static_cast<std::size_t>(bytes);
      continue;
    }
    pollfd wanted{watch.port, POLLOUT, 0};
    poll(&wanted, 1, 10);
  }
}

// Not the driver's own way of opening: the agent has the port for itself, and has set it up.
void reopen(Watch& watch) {
  if (watch.port >= 0) close(watch.port);
  watch.port = open(watch.path.data(), O_WRONLY | O_NOCTTY | O_NONBLOCK);
}

[[noreturn]] void fail(int error) {
  throw std::system_error(error, std::generic_category(), "guardian");
}

[[noreturn]] void guard(Watch watch) {
  pthread_setname_np(pthread_self(), kGuardianName);
  // It ends when its pipe does, and not when a terminal or a service manager ends everybody.
  for (const int name : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP}) {
    std::signal(name, SIG_IGN);
  }
  setsid();
  // Nothing else of the agent's may live on in here: not its files, nor the pipe's other end.
  for (int i = 0; i < 1024; ++i) {
    if (i != watch.port && i != watch.pipe && i != watch.ready) close(i);
  }
  close(watch.agents_end);  // whatever its number: while it is open here, the pipe does not end
  // Without the right to it the stop may wait for pages, which is better than none.
  const int ignored = mlockall(MCL_CURRENT);
  static_cast<void>(ignored);
  const ssize_t told = write(watch.ready, &kReady, 1);
  static_cast<void>(told);  // an agent that is dead already is seen by its pipe
  close(watch.ready);
  bool is_beating = false;
  while (true) {
    pollfd wanted{watch.pipe, POLLIN, 0};
    const int ready = poll(&wanted, 1, is_beating ? kSilenceMs : -1);
    if (ready == 0) {
      write_stop(watch);
      is_beating = false;  // until the agent goes on
      continue;
    }
    char message = 0;
    const ssize_t bytes = ready < 0 ? -1 : read(watch.pipe, &message, 1);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes != 1) break;
    if (message == kRelease) _exit(0);
    if (message == kReopen) reopen(watch);
    is_beating = is_beating || message == kBeat;
  }
  write_stop(watch);
  // Output of a serial line is lost when its last descriptor is closed too early.
  fsync(watch.port);
  close(watch.port);
  _exit(0);
}

}  // namespace

Guardian::Guardian(int descriptor, const std::string& path, const PortOperations& port,
                   std::span<const std::uint8_t> stop_bytes) {
  Watch watch;
  if (stop_bytes.size() > watch.stop_bytes.size() || path.size() >= watch.path.size()) {
    fail(E2BIG);
  }
  std::copy(stop_bytes.begin(), stop_bytes.end(), watch.stop_bytes.begin());
  watch.stop_size = stop_bytes.size();
  std::memcpy(watch.path.data(), path.c_str(), path.size() + 1);
  watch.operations = port;
  watch.port = descriptor;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(errno);
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) {
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    fail(error);
  }
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  watch.pipe = ends[0];
  watch.agents_end = ends[1];
  watch.ready = ready[1];
  // beat() is to learn of the guardian's death, not to share it.
  std::signal(SIGPIPE, SIG_IGN);
  process_ = fork();
  if (process_ == 0) guard(watch);
  const int error = errno;
  close(ends[0]);
  close(ready[1]);
  pipe_ = ends[1];
  // Until it watches nothing may move.
  char message = 0;
  ssize_t bytes = -1;
  while (process_ > 0 && (bytes = read(ready[0], &message, 1)) < 0 && errno == EINTR) continue;
  close(ready[0]);
  if (bytes == 1) return;
  close(pipe_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
  fail(process_ < 0 ? error : EPIPE);
}

Guardian::~Guardian() {
  const ssize_t ignored = write(pipe_, &kRelease, 1);
  static_cast<void>(ignored);
  close(pipe_);
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
}

bool Guardian::beat() const {
  return write(pipe_, &kBeat, 1) == 1;
}

void Guardian::reopen() const {
  const ssize_t ignored = write(pipe_, &kReopen, 1);
  static_cast<void>(ignored);
}

}  // namespace instep

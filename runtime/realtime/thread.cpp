#include "runtime/realtime/thread.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <system_error>
#include <utility>

namespace instep {

std::thread start_thread(const std::string& subject, std::function<void()> work) {
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) {
    sigdelset(&blocked, fault);
  }
  // A thread begins with its maker's mask, so that there is no moment without it.
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  std::thread thread;
  int error = 0;
  try {
    thread = std::thread(std::move(work));
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), subject + " cannot be started");
  }
  return thread;
}

int become_realtime(const char* name, int priority) {
  pthread_setname_np(pthread_self(), name);
  sched_param parameters{};
  parameters.sched_priority = priority;
  return pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters);
}

int pin_to_core(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (core < 0 || core >= CPU_SETSIZE) return EINVAL;
  CPU_SET(static_cast<std::size_t>(core), &cores);
  return pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
}

int lock_memory() {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return errno;
  // Asked for, but not touched: no page of it is taken.
  void* const memory = mmap(nullptr, kLockedBytesWanted, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    munlockall();
    return error;
  }
  munmap(memory, kLockedBytesWanted);
  return 0;
}

void sleep_until(std::int64_t deadline_ns) {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  const timespec deadline{static_cast<time_t>(deadline_ns / kSecondNs),
                          static_cast<long>(deadline_ns % kSecondNs)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr) == EINTR) continue;
}

std::int64_t steal_time_ns() {
  const int file = open("/proc/stat", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[512] = {};
  const ssize_t bytes = read(file, text, sizeof text - 1);
  close(file);
  long long steal = 0;
  if (bytes <= 0 || std::sscanf(text, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &steal) != 1) {
    return 0;
  }
  return steal * (1'000'000'000 / sysconf(_SC_CLK_TCK));
}

WakeUp::WakeUp() : descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (descriptor_ < 0)
    throw std::system_error(errno, std::generic_category(),
                            "a wake-up between two threads cannot be made");
}

WakeUp::~WakeUp() {
  close(descriptor_);
}

void WakeUp::wake() const {
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then the other side has been woken already.
  const ssize_t ignored = write(descriptor_, &one, sizeof one);
  static_cast<void>(ignored);
}

void WakeUp::clear() const {
  std::uint64_t count = 0;
  const ssize_t ignored = read(descriptor_, &count, sizeof count);
  static_cast<void>(ignored);
}

void WakeUp::wait() const {
  pollfd wanted{descriptor_, POLLIN, 0};
  while (poll(&wanted, 1, -1) < 0 && errno == EINTR) continue;
  clear();
}

}  // namespace instep

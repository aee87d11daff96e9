// The library that slow_world.h speaks of: calls of the C library with something in between.
#include "slow_world.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

using instep::SlowWorldControl;

SlowWorldControl* open_control() {
  static SlowWorldControl nothing_is_slow{};
  const char* const path = std::getenv(instep::kSlowWorldVariable);
  const long file = path == nullptr ? -1 : syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (file < 0) return &nothing_is_slow;
  const long memory = syscall(SYS_mmap, nullptr, sizeof(SlowWorldControl), PROT_READ | PROT_WRITE,
                              MAP_SHARED, file, 0);
  syscall(SYS_close, file);
  return memory < 0 ? &nothing_is_slow : reinterpret_cast<SlowWorldControl*>(memory);
}

SlowWorldControl& control() {
  static SlowWorldControl* const shared = open_control();
  return *shared;
}

// The C library's own function of that name.
template <typename Function>
Function* original(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void sleep_ms(long ms) {
  timespec rest{ms / 1000, ms % 1000 * 1'000'000};
  while (syscall(SYS_nanosleep, &rest, &rest) != 0 && errno == EINTR) continue;
}

std::uint32_t own_bit() {
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  if (std::strcmp(name, "instep-loop") == 0) return instep::kFrozenLoop;
  if (std::strcmp(name, "instep-io") == 0) return instep::kFrozenIo;
  if (std::strcmp(name, "instep-learner") == 0) return instep::kFrozenLearner;
  const bool is_guardian = std::strcmp(name, "instep-guardian") == 0;
  return syscall(SYS_gettid) == getpid() && !is_guardian ? instep::kFrozenWriter : 0;
}

void stand_still_if_told() {
  if (control().frozen == 0) return;
  const std::uint32_t bit = own_bit();
  while ((control().frozen & bit) != 0) sleep_ms(5);
}

// As a worn card does it: nothing interrupts the wait.
int slow_sync(const char* name, int descriptor) {
  ++control().syncs;
  ++control().syncs_running;
  for (int waited_ms = 0; waited_ms < control().sync_ms; waited_ms += 10) sleep_ms(10);
  --control().syncs_running;
  return original<int(int)>(name)(descriptor);
}

// What is reserved of the disk beyond a file's end, by descriptor.
std::atomic<off_t> reserved_end[1024];

// Beyond what the file has of the disk.
bool would_grow(int descriptor, off_t end) {
  struct stat status {};
  return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
         end > std::max<off_t>(status.st_size, reserved_end[descriptor % 1024]);
}

bool meets_full_disk(int descriptor, off_t end) {
  return control().is_disk_full != 0 && would_grow(descriptor, end);
}

}  // namespace

extern "C" {

int fsync(int descriptor) {
  return slow_sync("fsync", descriptor);
}

int fdatasync(int descriptor) {
  return slow_sync("fdatasync", descriptor);
}

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  if (meets_full_disk(descriptor, offset + static_cast<off_t>(count))) {
    errno = ENOSPC;
    return -1;
  }
  return syscall(SYS_pwrite64, descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  const off_t at = control().is_disk_full != 0 ? lseek(descriptor, 0, SEEK_CUR) : 0;
  if (at >= 0 && meets_full_disk(descriptor, at + static_cast<off_t>(count))) {
    errno = ENOSPC;
    return -1;
  }
  return syscall(SYS_write, descriptor, bytes, count);
}

int fallocate(int descriptor, int mode, off_t offset, off_t bytes) {
  if (meets_full_disk(descriptor, offset + bytes)) {
    errno = ENOSPC;
    return -1;
  }
  const long result = syscall(SYS_fallocate, descriptor, mode, offset, bytes);
  if (result == 0) reserved_end[descriptor % 1024] = offset + bytes;
  return static_cast<int>(result);
}

int flock(int descriptor, int operation) {
  if (control().flock_error != 0) {
    errno = control().flock_error;
    return -1;
  }
  return original<int(int, int)>("flock")(descriptor, operation);
}

int tcsetattr(int descriptor, int when, const termios* settings) {
  if (control().terminal_ms > 0) sleep_ms(control().terminal_ms);
  return original<decltype(tcsetattr)>("tcsetattr")(descriptor, when, settings);
}

int posix_fallocate(int descriptor, off_t offset, off_t bytes) {
  if (meets_full_disk(descriptor, offset + bytes)) return ENOSPC;
  return original<int(int, off_t, off_t)>("posix_fallocate")(descriptor, offset, bytes);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*work)(void*),
                   void* argument) {
  const int error = control().thread_error;
  if (error != 0 && control().threads_before-- <= 0) return error;
  return original<decltype(pthread_create)>("pthread_create")(thread, attributes, work, argument);
}

pid_t fork() {
  if (control().fork_error != 0) {
    errno = control().fork_error;
    return -1;
  }
  return original<pid_t()>("fork")();
}

void* mmap(void* address, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
  if (control().memory_error != 0 && (flags & MAP_ANONYMOUS) != 0) {
    errno = control().memory_error;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, bytes, protection, flags, descriptor, offset));
}

int pthread_setschedparam(pthread_t thread, int policy, const sched_param* parameters) {
  if (control().fifo_error != 0 && policy != SCHED_OTHER) return control().fifo_error;
  return original<decltype(pthread_setschedparam)>("pthread_setschedparam")(thread, policy,
                                                                            parameters);
}

int sched_setscheduler(pid_t process, int policy, const sched_param* parameters) {
  if (control().fifo_error != 0 && policy != SCHED_OTHER) {
    errno = control().fifo_error;
    return -1;
  }
  return original<decltype(sched_setscheduler)>("sched_setscheduler")(process, policy, parameters);
}

int mlockall(int flags) {
  if (control().lock_error != 0) {
    errno = control().lock_error;
    return -1;
  }
  return original<int(int)>("mlockall")(flags);
}

int clock_nanosleep(clockid_t clock, int flags, const timespec* wanted, timespec* left) {
  stand_still_if_told();
  return original<decltype(clock_nanosleep)>("clock_nanosleep")(clock, flags, wanted, left);
}

int ppoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* signals) {
  stand_still_if_told();
  return original<decltype(ppoll)>("ppoll")(descriptors, count, timeout, signals);
}

int poll(pollfd* descriptors, nfds_t count, int timeout) {
  stand_still_if_told();
  return original<decltype(poll)>("poll")(descriptors, count, timeout);
}

}  // extern "C"

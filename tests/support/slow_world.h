// A world in which everything around a command is slow, full or forbidden, and can become so while
// it runs: syncs that take seconds, a full disk, threads that stand still or cannot be started, a
// control group that refuses real-time priorities.
//
//   SlowWorld world;                             // from now on: commands that this test starts
//   RunningCommand run({"train", ...});
//   world->sync_ms = 6000;                       // the next fsync() of the run takes that long
//   ASSERT_TRUE(wait_for([&] { return world->syncs_running > 0; }));
//   world->frozen = kFrozenLoop;                 // its loop's thread stands still until it is 0
//
// Commands meet it through a preloaded library, which calls of their own reach (write, fsync,
// pthread_create, ...) and those inside the C library (fwrite's) do not. Under a sanitizer, whose
// own library comes first, nothing is slow: a test begins with SKIP_WITHOUT_SLOW_WORLD().
#pragma once

#include <atomic>
#include <cstdint>

namespace instep {

// Threads that stand still at their next sleep: by what the runtime calls them.
enum FrozenThread : std::uint32_t {
  kFrozenLoop = 1,     // instep-loop
  kFrozenIo = 2,       // instep-io
  kFrozenLearner = 4,  // instep-learner
  kFrozenWriter = 8,   // the process's first thread
};

// What is shared with the library in the commands; all zero: nothing is slow. Errors are errno
// values.
struct SlowWorldControl {
  std::atomic<int> sync_ms;           // fsync() and fdatasync() take that long
  std::atomic<int> terminal_ms;       // so does tcsetattr()
  std::atomic<int> syncs_running;     // how many are at it
  std::atomic<int> syncs;             // that have begun, in all
  std::atomic<int> is_disk_full;      // writes that would make a regular file longer fail: ENOSPC
  std::atomic<int> thread_error;      // pthread_create() fails, ...
  std::atomic<int> threads_before;    // ... once that many have been started
  std::atomic<int> fork_error;        // fork() fails
  std::atomic<int> memory_error;      // mmap() of memory fails
  std::atomic<int> fifo_error;        // pthread_setschedparam() and sched_setscheduler() fail
  std::atomic<int> lock_error;        // mlockall() fails
  std::atomic<int> flock_error;       // flock() fails
  std::atomic<std::uint32_t> frozen;  // FrozenThread bits
};

inline constexpr const char* kSlowWorldVariable = "INSTEP_SLOW_WORLD";

}  // namespace instep

#ifdef INSTEP_SLOW_WORLD_LIBRARY

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "temporary_folder.h"

#ifdef INSTEP_SANITIZED
#define SKIP_WITHOUT_SLOW_WORLD() GTEST_SKIP() << "a sanitizer's library comes first"
#else
#define SKIP_WITHOUT_SLOW_WORLD() static_assert(true)
#endif

namespace instep {

// One at a time. Its control is reached by ->.
class SlowWorld {
 public:
  SlowWorld() {
    const std::string path = folder_ / "control";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(file, sizeof(SlowWorldControl)), 0);
    void* const memory =
        mmap(nullptr, sizeof(SlowWorldControl), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT_NE(memory, MAP_FAILED);
    close(file);
    control_ = static_cast<SlowWorldControl*>(memory);
    setenv(kSlowWorldVariable, path.c_str(), 1);
    setenv("LD_PRELOAD", INSTEP_SLOW_WORLD_LIBRARY, 1);
  }
  ~SlowWorld() {
    unsetenv("LD_PRELOAD");
    unsetenv(kSlowWorldVariable);
    munmap(control_, sizeof(SlowWorldControl));
  }
  SlowWorld(const SlowWorld&) = delete;
  SlowWorld& operator=(const SlowWorld&) = delete;

  SlowWorldControl* operator->() const { return control_; }

 private:
  TemporaryFolder folder_;
  SlowWorldControl* control_ = nullptr;
};

}  // namespace instep

#endif

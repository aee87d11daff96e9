// Runs in processes of their own, and a stop that is asked for at the worst moment.
#include "tools/library/run/child_runs.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "tools/library/error.h"
#include "tools/library/run/training_run.h"
#include "wait_for.h"

namespace {

bool must_stop_before_sleep = false;

}  // namespace

// In place of the C library's: what comes just before the parent falls asleep.
extern "C" int sigsuspend(const sigset_t* mask) {
  if (must_stop_before_sleep) std::raise(SIGTERM);
  must_stop_before_sleep = false;
  return static_cast<int>(syscall(SYS_rt_sigsuspend, mask, _NSIG / 8));
}

namespace instep {
namespace {

TEST(ChildRuns, AreStoppedByASignalThatComesBeforeTheirParentSleeps) {
  install_stop_handler();
  ChildRuns runs(1);
  ASSERT_TRUE(
      runs.start("a run", [] { return wait_for(is_stop_requested) ? kDone : kCheckFailed; }));
  must_stop_before_sleep = true;
  EXPECT_EQ(runs.wait(), kDone) << "the run came to its own end, five seconds later";
  EXPECT_FALSE(must_stop_before_sleep) << "no signal was sent";
}

}  // namespace
}  // namespace instep

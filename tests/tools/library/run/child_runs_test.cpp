// Runs in processes of their own, and a stop that is asked of them.
#include "tools/library/run/child_runs.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/instep/stop_signals.h"
#include "tools/library/error.h"
#include "wait_for.h"

namespace instep {
namespace {

TEST(ChildRuns, AreAskedToStopAsTheirParentIs) {
  const StopRequest& asked = install_stop_handler();  // the child's, too
  StopRequest stop;
  ChildRuns runs(1, &stop);
  ASSERT_TRUE(runs.start(
      "a run", [&] { return wait_for([&] { return asked.is_asked(); }) ? kDone : kCheckFailed; }));
  stop.ask();
  EXPECT_EQ(runs.wait(), kDone) << "the run came to its own end, five seconds later";
  EXPECT_FALSE(runs.start("another", [] { return kDone; }));
}

TEST(ChildRuns, LeaveOtherChildrenToOthers) {
  const pid_t other = fork();
  if (other == 0) _exit(7);
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(other), &ended, WEXITED | WNOWAIT), 0);
  ChildRuns runs(2);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(runs.start("a run", [i] { return i; }));
  EXPECT_EQ(runs.wait(), 2);
  int status = 0;
  ASSERT_EQ(waitpid(other, &status, 0), other);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

}  // namespace
}  // namespace instep

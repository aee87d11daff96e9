// What systemd hears of a run, on a socket of the test's own.
#include "tools/library/listen/service_notice.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "command.h"
#include "service_listener.h"

namespace instep {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

// As a loop that lives does.
void update(ServiceNotice& notice, std::int64_t now_ns) {
  if (notice.is_due(now_ns)) notice.feed(now_ns);
}

TEST(ServiceNotice, FeedsTheWatchdogThriceWithinItsTime) {
  const TemporaryFolder folder;
  const ServiceListener listener(folder / "notify", "3000");
  ServiceNotice notice;
  update(notice, 1'000'000'000);
  EXPECT_THAT(listener.heard(), IsEmpty());
  notice.ready(0);
  EXPECT_THAT(listener.heard(), ElementsAre("READY=1"));
  update(notice, 999'999);
  EXPECT_THAT(listener.heard(), IsEmpty());
  update(notice, 1'000'000);
  update(notice, 1'999'999);
  EXPECT_THAT(listener.heard(), ElementsAre("WATCHDOG=1"));
  update(notice, 2'000'000);
  notice.stopping();
  update(notice, 9'000'000);
  EXPECT_THAT(listener.heard(), ElementsAre("WATCHDOG=1", "STOPPING=1"));
}

TEST(ServiceNotice, NeverFeedsAWatchdogThatIsNotThere) {
  for (const char* watchdog_us : {static_cast<const char*>(nullptr), "0", "-1", "soon"}) {
    const ServiceListener listener("@instep-test-" + std::to_string(getpid()), watchdog_us);
    ServiceNotice notice;
    notice.ready(0);
    update(notice, INT64_MAX - 1);
    EXPECT_THAT(listener.heard(), ElementsAre("READY=1"));
  }
}

TEST(ServiceNotice, IsSilentAndHarmlessWithoutService) {
  const TemporaryFolder folder;
  for (const std::string& name :
       {std::string(), std::string("@"), folder / "absent", std::string(200, 'x')}) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    ServiceNotice notice;
    notice.ready(0);
    notice.stopping();
  }
  unsetenv("NOTIFY_SOCKET");
  ServiceNotice notice;
  notice.ready(0);
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
}

TEST(ServiceNotice, ListenerMayFallBehindWithoutStoppingTheRun) {
  const TemporaryFolder folder;
  const ServiceListener listener(folder / "notify", "3");
  ServiceNotice notice;
  notice.ready(0);
  for (std::int64_t ns = 1000; ns < 100'000'000; ns += 1000) update(notice, ns);
  const std::vector<std::string> texts = listener.heard();
  ASSERT_GT(texts.size(), 2U);
  EXPECT_LT(texts.size(), 90'000U);  // the socket's queue was full
  EXPECT_THAT(std::vector(texts.begin() + 1, texts.end()), Each("WATCHDOG=1"));
}

TEST(ServiceNotice, TrainTellsHowItIsGoing) {
  const TemporaryFolder folder;
  const ServiceListener listener(folder / "notify", "300000");
  RunningCommand train({"train", "dot_reacher", "--steps", "1000000000", "--out", folder / "run"});
  // Whatever is compiled before the first step, ten minutes are granted first.
  EXPECT_EQ(listener.next(), "EXTEND_TIMEOUT_USEC=600000000");
  EXPECT_EQ(listener.next(), "READY=1");
  EXPECT_EQ(listener.next(), "WATCHDOG=1");
  train.send(SIGTERM);
  std::string text = listener.next();
  while (text == "WATCHDOG=1") text = listener.next();
  EXPECT_EQ(text, "STOPPING=1");
  const CommandResult result = train.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
}

}  // namespace
}  // namespace instep

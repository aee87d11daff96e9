// Who is told of a run is told of all of it, and delays nobody that moves a robot.
#include "tools/library/listen/listeners.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "drivers/loopback/driver.h"
#include "drivers/loopback/loopback.h"
#include "temporary_folder.h"
#include "tools/instep/stop_signals.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// Writes down what it is told.
class Witness : public Listener {
 public:
  void past_episode(double) override { ++past_episodes; }
  void begin(const RunMoment& now, const Measured&) override { steps.push_back(now.step); }
  void episode(const RunMoment& now, const EpisodeRecord& record) override {
    EXPECT_FALSE(steps.empty()) << "before the run has begun";
    EXPECT_FALSE(has_ended);
    EXPECT_EQ(now.step, static_cast<std::int64_t>(record.step));
    ++episodes;
  }
  void health(const RunMoment&, const HealthSample& sample) override {
    ++samples;
    ticks += sample.ticks;
  }
  void status(const RunMoment& now, const RunStatus&) override {
    EXPECT_FALSE(has_ended);
    EXPECT_GE(now.step, steps.back());
    EXPECT_GE(now.now_ns, last_ns);
    last_ns = now.now_ns;
    ++statuses;
  }
  bool checkpoint(const RunMoment& now, std::int64_t counted) override {
    checkpoints.push_back(now.step);
    EXPECT_LE(counted, past_episodes + episodes);
    return may_be_written;
  }
  void end(const RunMoment& now) override {
    has_ended = true;
    steps.push_back(now.step);
  }
  void complete(const RunSummary& summary) override {
    EXPECT_TRUE(has_ended);
    episodes_summed = summary.episodes;
  }

  bool may_be_written = true;
  std::int64_t past_episodes = 0;
  std::int64_t episodes = 0;
  std::int64_t episodes_summed = -1;
  std::int64_t samples = 0;
  std::int64_t ticks = 0;
  std::int64_t statuses = 0;
  std::int64_t last_ns = 0;
  std::vector<std::int64_t> steps;  // at the begin and at the end
  std::vector<std::int64_t> checkpoints;
  bool has_ended = false;
};

RunConfig config(std::int64_t steps) {
  RunConfig config;
  config.task = "dot_reacher";
  config.steps = steps;
  apply_task_defaults(config.settings, *find_task(config.task));
  config.settings.values.set("hidden", 8);
  config.settings.checkpoint_every = 1000;
  config.path = choose_backend("cpu", "", config.settings).path;
  return config;
}

TEST(Listeners, AreToldOfAllParts) {
  const TemporaryFolder folder;
  Witness first;
  TrainingRun(config(2500), folder.path(), {.listeners = {&first}}).run();
  EXPECT_EQ(first.past_episodes, 0);
  EXPECT_EQ(first.statuses, 2500);
  EXPECT_EQ(first.samples, 2);
  EXPECT_EQ(first.ticks, 2000);
  EXPECT_EQ(first.steps, (std::vector<std::int64_t>{0, 2500}));
  EXPECT_EQ(first.checkpoints, (std::vector<std::int64_t>{0, 1000, 2000, 2500}));
  EXPECT_EQ(first.episodes_summed, first.episodes);
  EXPECT_EQ(static_cast<std::int64_t>(read_episodes(folder / "episodes.csv").size()),
            first.episodes);

  Witness second;
  TrainingRun(config(4000), folder.path(), {.is_resumed = true, .listeners = {&second}}).run();
  EXPECT_EQ(second.past_episodes, first.episodes);
  EXPECT_EQ(second.steps, (std::vector<std::int64_t>{2500, 4000}));
  EXPECT_EQ(second.checkpoints.back(), 4000);
  EXPECT_EQ(second.episodes_summed, second.past_episodes + second.episodes);
  EXPECT_EQ(second.samples, 2) << "what was open at the end of the first part counts";
  EXPECT_EQ(second.ticks, 2000);
}

TEST(Listeners, ChangeNoBitOfARun) {
  const TemporaryFolder with;
  const TemporaryFolder without;
  Witness witness;
  TrainingRun(config(1500), with.path(), {.listeners = {&witness}}).run();
  TrainingRun(config(1500), without.path(), {}).run();
  CheckpointFile first(1000);
  CheckpointFile second(1000);
  ASSERT_EQ(first.open(with / "checkpoint", false), CheckpointStatus::kOk);
  ASSERT_EQ(second.open(without / "checkpoint", false), CheckpointStatus::kOk);
  EXPECT_EQ(first.key().checksum, second.key().checksum);
}

TEST(Listeners, KeepACheckpointFromBeingWritten) {
  const TemporaryFolder folder;
  Witness witness;
  {
    TrainingRun run(config(2500), folder.path(), {.listeners = {&witness}});
    witness.may_be_written = false;
    run.run();
  }
  CheckpointFile checkpoint(1000);
  ASSERT_EQ(checkpoint.open(folder / "checkpoint", false), CheckpointStatus::kOk);
  EXPECT_EQ(checkpoint.step(), 0);
}

// Waits for as long as somebody wants it to.
class Sluggard final : public Listener {
 public:
  void status(const RunMoment&, const RunStatus&) override {
    if (is_waiting.exchange(true)) return;
    const MonotonicClock clock;
    const std::int64_t end_ns = clock.now_ns() + 20'000 * kMs;
    while (must_wait && clock.now_ns() < end_ns) sleep_until(clock.now_ns() + kMs);
    is_waiting_ended = true;
  }

  std::atomic<bool> is_waiting{false};
  std::atomic<bool> must_wait{true};
  std::atomic<bool> is_waiting_ended{false};
};

// While a listener waits the loop goes on and a stop reaches the robot.
TEST(Listeners, DelayNoRobotAndNoStop) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(2 * kMs);
  RunConfig run_config = config(1'000'000);
  const TaskInfo& task = *find_task(run_config.task);
  RealTimeTask real_time;
  real_time.driver = &kPatientLoopbackDriver;
  real_time.robot_task =
      std::make_unique<LoopbackTask>(task.observation_dim, task.action_dim, 1000 * kMs);
  real_time.observation_dim = task.observation_dim;
  real_time.action_dim = task.action_dim;
  real_time.period_ns = 10 * kMs;
  RealTimeDevice device(std::move(real_time), {.device = loopback.path()});
  run_config.schedule = Schedule::kActFirst;
  Sluggard sluggard;
  TrainingRun run(run_config, folder.path(),
                  {.device = &device, .listeners = {&sluggard}, .stop = &install_stop_handler()});
  std::thread person([&] {
    const MonotonicClock clock;
    const auto wait_for = [&](const auto& condition) {
      const std::int64_t end_ns = clock.now_ns() + 15'000 * kMs;
      while (!condition() && clock.now_ns() < end_ns) sleep_until(clock.now_ns() + kMs);
      return condition();
    };
    EXPECT_TRUE(wait_for([&] { return sluggard.is_waiting.load(); }));
    const std::uint64_t commands = loopback.commands();
    EXPECT_TRUE(wait_for([&] { return loopback.commands() > commands + 20; })) << "the loop waits";
    EXPECT_TRUE(wait_for([&] { return loopback.velocity() != 0.0F; }));
    EXPECT_FALSE(sluggard.is_waiting_ended);
    kill(getpid(), SIGTERM);
    EXPECT_TRUE(wait_for([&] { return loopback.velocity() == 0.0F; })) << "nobody sees the stop";
    EXPECT_FALSE(sluggard.is_waiting_ended);
    sluggard.must_wait = false;
  });
  const RunSummary summary = run.run();
  person.join();
  EXPECT_EQ(summary.ended, "interrupted");
}

}  // namespace
}  // namespace instep

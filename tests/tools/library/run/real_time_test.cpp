// Runs on real time in their folders: what is written, repeated and said. The device is the
// loopback behind a pseudo-terminal, with the sizes of create_mover.
#include "tools/library/run/real_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "command.h"
#include "drivers/loopback/driver.h"
#include "drivers/loopback/loopback.h"
#include "temporary_folder.h"
#include "tools/library/check/replay.h"
#include "tools/library/error.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kPeriodNs = 3 * kMs;

RunConfig run_config(std::int64_t steps) {
  RunConfig config;
  config.task = "create_mover";
  apply_task_defaults(config.settings, require_task(config.task));
  config.settings.values.set("hidden", 64);
  config.settings.checkpoint_every = 300;
  config.seed = 4;
  config.steps = steps;
  config.path = choose_backend("cpu", "", config.settings).path;
  return config;
}

RealTimeTask loopback_task() {
  RealTimeTask task;
  task.driver = &kPatientLoopbackDriver;
  task.robot_task = std::make_unique<LoopbackTask>(8, 2, 1000 * kMs);
  task.observation_dim = 8;
  task.action_dim = 2;
  task.period_ns = kPeriodNs;
  return task;
}

struct RobotRun {
  RobotRun(LoopbackDevice& loopback, const std::string& folder, std::int64_t steps, bool is_resumed)
      : device(loopback_task(), {.device = loopback.path(), .has_record = true}),
        run(run_config(steps), folder, {.is_resumed = is_resumed, .init = "", .device = &device}) {}
  RealTimeDevice device;
  TrainingRun run;
};

// How many packets a file holds, each of which is the loopback device's.
std::uint64_t packets_in(const std::string& path) {
  const std::string bytes = read_bytes(path);
  PacketFileReader reader({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  std::uint64_t count = 0;
  std::array<double, kLoopbackFields> values{};
  for (Packet packet; reader.next(&packet); ++count) {
    EXPECT_TRUE(kLoopbackPackets.decode(packet, values));
  }
  EXPECT_FALSE(reader.is_cut());
  return count;
}

TEST(RealTime, LeavesAFolderAndIsRepeatedBitForBit) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  RunSummary summary;
  {
    RobotRun run(loopback, folder.path(), 1400, false);
    summary = run.run.run();
  }
  EXPECT_EQ(summary.ended, "done");
  EXPECT_EQ(summary.steps, 1400);
  EXPECT_EQ(summary.episodes, 1);
  const RealTimeSummary& real = *summary.real_time;
  EXPECT_EQ(summary.exact, real.late_ticks == 0);
  EXPECT_GT(real.packets, 1000U);
  EXPECT_GT(real.packet_to_wire_us->p50, 0.0);
  EXPECT_EQ(real.overruns.overruns.size(), static_cast<std::size_t>(kOverrunCauses));
  for (const char* file :
       {"config.toml", "checkpoint", "episodes.csv", "summary.json", "record", "report.html"}) {
    EXPECT_TRUE(std::filesystem::exists(folder.path() + '/' + file)) << file;
  }
  EXPECT_GT(packets_in(folder / "packets"), 1000U);
  EXPECT_NE(read_bytes(folder / "report.html").find("<h2>Real time</h2>"), std::string::npos);
  EXPECT_TRUE(replay(folder.path() + "/record").passes());
}

// An update of this learner takes longer than a period.
TEST(RealTime, IsNotExactWhereTheLearnerIsTooSlow) {
  const TemporaryFolder folder;
  constexpr std::int64_t kShortPeriodNs = kMs / 2;
  LoopbackDevice loopback(kShortPeriodNs);
  RealTimeTask task = loopback_task();
  task.period_ns = kShortPeriodNs;
  RealTimeDevice device(std::move(task), {.device = loopback.path()});
  RunConfig config = run_config(500);
  config.settings.values.set("hidden", 512);
  config.path = "scalar";  // the slowest
  const RunSummary summary = TrainingRun(config, folder.path(), {.device = &device}).run();
  EXPECT_GT(summary.real_time->late_ticks, 0U);
  EXPECT_FALSE(summary.exact);
  EXPECT_FALSE(summary.losses.empty());
  EXPECT_NE(read_bytes(folder / "report.html").find("found the learner at work"),
            std::string::npos);
}

TEST(RealTime, TellsHowTheLearnerIs) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  RealTimeDevice device(loopback_task(), {.device = loopback.path()});
  RunConfig config = run_config(1400);
  config.settings.values.set("actor_lr", 1.0);
  TrainingRun run(config, folder.path(), {.device = &device});
  const RunSummary summary = run.run();
  // A single episode cannot tell that a policy does not learn.
  EXPECT_THAT(summary.warnings, testing::IsEmpty());
  const std::string events = read_bytes(folder / std::string(EventFile::kName));
  for (const char* tag :
       {"policy/entropy", "policy/clamped_share", "critic/td_error_rms", "run/steps_per_second"}) {
    EXPECT_NE(events.find(tag), std::string::npos) << tag;
  }
}

TEST(RealTime, GoesOnWithANewEpisodeWhereItWasLeft) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  RunSummary first;
  {
    RobotRun run(loopback, folder.path(), 500, false);
    first = run.run.run();
  }
  RunSummary summary;
  {
    RobotRun run(loopback, folder.path(), 900, true);
    summary = run.run.run();
  }
  // Counters and times are of both parts.
  const RealTimeSummary& real = *summary.real_time;
  EXPECT_GE(real.running_ticks, 850U);
  EXPECT_GT(real.packets, first.real_time->packets + 300);
  EXPECT_GT(real.commands_sent, first.real_time->commands_sent + 300);
  EXPECT_GE(real.overruns.overrun_ticks, first.real_time->overruns.overrun_ticks);
  EXPECT_GE(real.wakeup_us->max, first.real_time->wakeup_us->max);
  EXPECT_GE(real.late_ticks, first.real_time->late_ticks);
  EXPECT_GT(summary.seconds, first.seconds + 1.0);
  EXPECT_EQ(summary.measured_since_step, 0);
  std::uint64_t updates = 0;
  for (const HistogramRow& row : summary.update_histogram) updates += row.count;
  EXPECT_GE(updates, 850U);
  EXPECT_EQ(summary.steps, 900);
  EXPECT_EQ(summary.episodes, 1) << "the one that was cut";
  const std::vector<Episode> episodes = read_episodes(folder.path() + "/episodes.csv");
  ASSERT_EQ(episodes.size(), 1U);
  EXPECT_EQ(episodes[0].step, 500U);
  EXPECT_EQ(episodes[0].length, 500U);
  EXPECT_FALSE(episodes[0].terminated);
  EXPECT_TRUE(replay(folder.path() + "/record-500").passes());
}

TEST(RealTime, CannotGoOnInSimulation) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  {
    RobotRun run(loopback, folder.path(), 50, false);
    run.run.run();
  }
  EXPECT_THROW(TrainingRun(run_config(100), folder.path(), {.is_resumed = true, .init = ""}),
               UsageError);
}

// Held ticks carry no step: several moments are of the run's last step.
TEST(RealTime, IsRepeatedWhenItEndedWhileHeld) {
  for (const unsigned commands : {150U, 0U}) {
    const TemporaryFolder folder;
    LoopbackDevice loopback(kPeriodNs);
    RunSummary summary;
    {
      RobotRun run(loopback, folder.path(), 5000, false);
      RobotSignals& signals = run.device.signals();
      signals.hold = commands == 0;  // the second run is held before its first step
      std::thread person([&] {
        const MonotonicClock clock;
        while (loopback.commands() < commands) sleep_until(clock.now_ns() + kMs);
        signals.hold = true;
        sleep_until(clock.now_ns() + 200 * kMs);
        signals.stop = true;
      });
      summary = run.run.run();
      person.join();
    }
    EXPECT_EQ(summary.ended, "interrupted");
    EXPECT_EQ(summary.real_time->ended_while, "held");
    EXPECT_EQ(summary.steps > 0, commands > 0);
    EXPECT_TRUE(replay(folder / "record").passes());
  }
}

// A robot of which a test changes one thing.
class WrappedTask : public RobotTask {
 public:
  const CommandLimits& limits() const override { return inner_.limits(); }
  const PacketFormat& packets() const override { return inner_.packets(); }
  void take(const PacketValues& packet) override { inner_.take(packet); }
  void begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) override {
    inner_.begin_homing(random, step, now_ns);
  }
  Homing home(std::int64_t now_ns, Command* command) override {
    return inner_.home(now_ns, command);
  }
  void first_observation(double* observation) override { inner_.first_observation(observation); }
  void to_command(const float* action, Command* command) override {
    inner_.to_command(action, command);
  }
  Sensed sense(double* observation) override { return inner_.sense(observation); }
  std::size_t state_bytes() const override { return 0; }
  void save_state(std::span<std::uint8_t>) const override {}
  bool load_state(std::span<const std::uint8_t>) override { return true; }

 private:
  LoopbackTask inner_{8, 2, 1000 * kMs};
};

// Gets stuck after its first episode.
class StuckTask final : public WrappedTask {
 public:
  void begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) override {
    ++homings_;
    WrappedTask::begin_homing(random, step, now_ns);
  }
  Homing home(std::int64_t, Command*) override {
    return homings_ > 1 ? Homing::kFailed : Homing::kDone;
  }

 private:
  int homings_ = 0;
};

// Its episodes have 50 steps.
class ShortTask final : public WrappedTask {
 public:
  Sensed sense(double* observation) override {
    Sensed sensed = WrappedTask::sense(observation);
    sensed.truncated = ++steps_ % 50 == 0;
    return sensed;
  }

 private:
  int steps_ = 0;
};

// The writer, delayed where it matters: between the moment it has emptied the loop's rings and the
// one in which it looks at a snapshot, an episode ends and a snapshot is taken.
struct DelayedWriter final : RunSink {
  RealTimeRun* run = nullptr;
  std::span<const std::uint8_t> snapshot{};
  std::int64_t episodes = 0;  // that it was given
  std::vector<std::int64_t> episodes_counted{};
  std::vector<std::int64_t> episodes_given{};

  void take_episode(const EpisodeRecord&) override { ++episodes; }
  void take_checkpoint(std::int64_t, const SnapshotMeasures&) override {
    episodes_counted.push_back(ControlLoop::episodes_in(snapshot));
    episodes_given.push_back(episodes);
  }
  void take_health(std::int64_t, const HealthSample&) override {
    const MonotonicClock clock;
    const std::int64_t steps = run->steps() + 70;
    while (run->steps() < steps && !run->is_over()) sleep_until(clock.now_ns() + kMs);
  }
  void lose_record(const char*, int) override {}
};

TEST(RealTime, HasEveryEpisodeThatACheckpointCounts) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  RealTimeTask task = loopback_task();
  task.robot_task = std::make_unique<ShortTask>();
  RealTimeDevice device(std::move(task), {.device = loopback.path()});
  RunConfig config = run_config(600);
  config.settings.checkpoint_every = 55;
  RunSession session(config, device.recording());
  std::vector<std::uint8_t> snapshot(session.loop().snapshot_bytes());
  DelayedWriter writer;
  Voice voice(STDERR_FILENO);
  ServiceNotice notice;
  Hands hands(
      {device.signals(), device.link(), device.world(), voice, notice, device.options().device});
  RealTimeRun run(session.loop(), session.agent(), device, config, 1, folder.path(), snapshot,
                  voice, hands, writer);
  writer.run = &run;
  writer.snapshot = snapshot;
  run.start();
  const MonotonicClock clock;
  while (!run.is_over()) {
    sleep_until(clock.now_ns() + kMs);
    run.poll();
  }
  run.finish();
  ASSERT_GE(writer.episodes_counted.size(), 2U);
  for (std::size_t i = 0; i < writer.episodes_counted.size(); ++i) {
    EXPECT_LE(writer.episodes_counted[i], writer.episodes_given[i]) << "checkpoint " << i;
  }
  EXPECT_GE(writer.episodes_counted.back(), 2);
}

// A loop whose writer is too far behind: what it lost is still counted by its checkpoints.
TEST(EpisodeLog, HasALineForEveryEpisode) {
  const TemporaryFolder folder;
  const std::string path = folder / "episodes.csv";
  EpisodeLog log;
  ASSERT_EQ(log.create(path), 0);
  ASSERT_EQ(log.add({.episode = 1, .step = 10, .episode_return = 1.0, .length = 10}, 0.5), 0);
  ASSERT_EQ(log.add({.episode = 5, .step = 60, .episode_return = 3.0, .length = 10}, 1.5), 0);
  ASSERT_EQ(log.sync(), 0);
  const std::vector<Episode> episodes = read_episodes(path);
  ASSERT_EQ(episodes.size(), 5U);
  for (std::size_t i = 0; i < episodes.size(); ++i) EXPECT_EQ(episodes[i].number, i + 1);
  EXPECT_TRUE(std::isnan(episodes[2].return_sum));
  EXPECT_EQ(mean_return_between(episodes, 0, 100), 2.0);
  EpisodeLog resumed;
  EXPECT_EQ(resumed.open_at(path, 60, 5), 0);
  ASSERT_EQ(resumed.add({.episode = 7, .step = 80, .episode_return = 1.0, .length = 5}, 2.0), 0);
  ASSERT_EQ(resumed.fill_up(7, 2.5), 0);
  ASSERT_EQ(resumed.fill_up(8, 3.0), 0);
  ASSERT_EQ(resumed.sync(), 0);
  EXPECT_EQ(read_episodes(path).size(), 8U);
}

TEST(RealTime, KeepsTheTicksBeforeAFault) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  RunSummary summary;
  {
    RealTimeTask task = loopback_task();
    task.robot_task = std::make_unique<StuckTask>();
    RealTimeDevice device(std::move(task), {.device = loopback.path()});
    TrainingRun run(run_config(5000), folder.path(),
                    {.is_resumed = false, .init = "", .device = &device});
    summary = run.run();
  }
  EXPECT_EQ(summary.ended, "faulted");
  EXPECT_EQ(summary.steps, 1000);
  EXPECT_EQ(summary.real_time->faults, 5U);
  EXPECT_FALSE(std::filesystem::exists(folder / "record"));
  // From the checkpoint before the last one: the last one, of step 900, is on the way.
  EXPECT_TRUE(replay(folder / "fault.rec").passes());
}

// Ticks of a loop that runs and runs: `count` of them, the last one with `flags`.
void make_ticks(TickStore& store, const TickShape& shape, std::size_t count, std::uint64_t step,
                std::uint32_t flags) {
  TickRing ring(shape.frame_bytes(), 1);
  std::vector<std::uint8_t> frame(shape.frame_bytes());
  for (std::size_t i = 0; i < count; ++i) {
    TickHead head;
    head.step = step;
    head.flags = i + 1 == count ? flags : 0;
    std::memcpy(frame.data(), &head, sizeof head);
    head.checksum = tick_checksum(frame);
    std::memcpy(frame.data(), &head, sizeof head);
    ASSERT_TRUE(ring.push(frame));
    store.take(ring);
  }
}

std::size_t ticks_in(const std::string& path) {
  const std::string bytes = read_bytes(path);
  TickRecord record;
  EXPECT_EQ(
      read_record({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, &record),
      "");
  return record.count();
}

TEST(TickStore, KeepsNoMoreThanItMay) {
  const TemporaryFolder folder;
  const std::string path = folder / "fault.rec";
  const TickShape shape{8, 2, 2};
  const std::size_t most = TickStore::kBytesMax / shape.frame_bytes();
  const std::vector<std::uint8_t> snapshot(100);
  TickStore store(shape, 1, folder.path());
  store.begin(0, snapshot, false);
  make_ticks(store, shape, most, 1, kTickSnapshot);
  store.dump();
  EXPECT_EQ(ticks_in(path), most);
  // One more, and the ticks before the last checkpoint go.
  store.add_snapshot(1, snapshot);
  make_ticks(store, shape, 1, 2, 0);
  store.dump();
  EXPECT_EQ(ticks_in(path), 1U);
  make_ticks(store, shape, most - 1, 3, 0);
  store.dump();
  EXPECT_EQ(ticks_in(path), most);
  // Nothing to begin with is left, until the next checkpoint.
  std::filesystem::remove(path);
  make_ticks(store, shape, 1, 4, 0);
  EXPECT_NE(store.dump().find("checkpoint_every"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path));
  make_ticks(store, shape, 1, 5, kTickSnapshot);
  store.add_snapshot(5, snapshot);
  make_ticks(store, shape, 3, 6, 0);
  store.dump();
  EXPECT_EQ(ticks_in(path), 3U);
}

TEST(RealTime, DoesNotGoOnWithoutItsGuardian) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  RunSummary summary;
  {
    RobotRun run(loopback, folder.path(), 100000, false);
    std::thread murderer([&] {
      const MonotonicClock clock;
      while (loopback.commands() < 100) sleep_until(clock.now_ns() + kMs);
      kill(run.device.guardian_process(), SIGKILL);
    });
    summary = run.run.run();
    murderer.join();
    EXPECT_EQ(loopback.velocity(), 0.0F);
  }
  EXPECT_EQ(summary.ended, "faulted");
  EXPECT_LT(summary.steps, 100000);
  const auto trouble = summary.real_time->trouble.value_or("");
  EXPECT_NE(trouble.find("guardian process"), std::string::npos) << trouble;
}

TEST(RealTime, NoticesADamagedRecord) {
  const TemporaryFolder folder;
  LoopbackDevice loopback(kPeriodNs);
  {
    RobotRun run(loopback, folder.path(), 100, false);
    run.run.run();
  }
  const std::string path = folder.path() + "/record";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-200, std::ios::end);
  file.put('x');
  file.put('y');
  file.close();
  EXPECT_THROW(replay(path), DataError);
  EXPECT_THROW(replay(folder.path() + "/nothing"), UsageError);
}

// --- Messages ------------------------------------------------------------------------------------

TEST(RealTimeMessages, SayWhatToDo) {
  const TemporaryFolder folder;
  const auto says = [](const std::vector<std::string>& words, int code, const std::string& text) {
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, code) << result;
    EXPECT_NE(result.error.find(text), std::string::npos) << result;
  };
  const auto train = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"train", "create_mover", "--steps", "5", "--out", folder / "run"});
    return more;
  };
  says(train({"--time", "real"}), 2, "needs --device");
  says(train({"--device", "/dev/null"}), 2, "needs --time real");
  says(train({"--dry-run"}), 2, "need --time real");
  says(train({"--time", "real", "--device", "/dev/ttyNOTHING"}), 3, "cable plugged in?");
  says(train({"--time", "real", "--device", "/dev/null"}), 3, "is not a serial port");
  says({"train", "dot_reacher", "--time", "real", "--device", "/dev/null"}, 2, "has no robot");
  says({"watch", "/dev/ttyNOTHING"}, 3, "cable plugged in?");
  says({"stop", "/dev/ttyNOTHING"}, 3, "cable plugged in?");
  says({"replay", folder / "none"}, 2, "there is no such file");
  says({"replay", folder.path()}, 2, (folder / "record") + ": there is no such file");
  write_file(folder / "file", "kept as it is");
  says({"stop", folder / "file"}, 3, "is not a serial port");
  EXPECT_EQ(read_bytes(folder / "file"), "kept as it is");
}

}  // namespace
}  // namespace instep

// The whole real-time runtime against a device behind a pseudo-terminal: threads, lateness,
// snapshots, and the record from which a run is repeated bit for bit.
#include "runtime/realtime/realtime_loop.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "allocation_count.h"
#include "drivers/loopback/loopback.h"
#include "opened_loopback.h"
#include "runtime/algorithms/actor_critic/apart_agent.h"
#include "runtime/memory.h"
#include "runtime/realtime/realtime_link.h"
#include "runtime/realtime/replay_world.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr int kObservationDim = 6;
constexpr TickShape kShape{kObservationDim, 2, 2};

ActorCriticConfig agent_config(int hidden) {
  ActorCriticConfig config;
  config.shape = {kObservationDim, 2, hidden};
  config.settings.hidden = hidden;
  config.settings.actor_lr = 1e-4;
  config.settings.critic_lr = 1e-3;
  config.executor = executors(Arithmetic::kFast).front();
  config.seed = 3;
  return config;
}

Random reset_random() {
  return {3, static_cast<std::uint32_t>(Stream::kTaskReset)};
}

// What one run needs, put together.
struct Rig {
  explicit Rig(std::int64_t period_ns, std::int64_t steps, int hidden = 32, LearnerHooks hooks = {},
               std::int64_t snapshot_every = 0)
      : device(period_ns),
        session(100 * kMs),
        port(device.path()),
        link(session, std::move(port.descriptor), port.address, kLoopbackPort, nullptr, {}),
        task(kObservationDim, 2, 1000 * kMs),
        world(task, link, signals,
              {.period_ns = period_ns, .observation_dim = kObservationDim, .has_state = false}),
        ring(kShape.frame_bytes(), 16384),
        recording(world, kShape, ring),
        agent(agent_config(hidden)),
        control(agent, recording, clock, reset_random()),
        snapshot(control.snapshot_bytes()),
        loop(control, agent, world, &recording, signals, hooks, snapshot,
             {.period_ns = period_ns, .steps = steps, .snapshot_every = snapshot_every}) {
    recording.set_agent(agent);
    record.shape = kShape;
    record.snapshot.resize(control.snapshot_bytes());
    control.save_snapshot(record.snapshot);
  }

  void start() {
    link.start();
    loop.start();
  }
  // Waits for the end and takes the record.
  void finish() {
    loop.join();
    link.stop();
    for (auto frame = ring.front(); !frame.empty(); frame = ring.front()) {
      record.frames.insert(record.frames.end(), frame.begin(), frame.end());
      ring.pop();
    }
  }
  std::vector<std::uint8_t> final_snapshot() {
    std::vector<std::uint8_t> bytes(control.snapshot_bytes());
    control.save_snapshot(bytes);
    return bytes;
  }

  LoopbackDevice device;
  LoopbackSession session;
  OpenedLoopback port;
  RealtimeLink link;
  LoopbackTask task;
  RobotSignals signals;
  RobotWorld world;
  TickRing ring;
  RecordingWorld recording;
  MonotonicClock clock;
  ApartAgent agent;
  ControlLoop control;
  std::vector<std::uint8_t> snapshot;
  RealtimeLoop loop;
  TickRecord record;
};

// Repeats a record; answers the final snapshot.
std::vector<std::uint8_t> replay(const TickRecord& record, int hidden, std::int64_t* difference,
                                 std::uint64_t* compared) {
  ReplayWorld world(record);
  ApartAgent agent(agent_config(hidden));
  world.set_agent(agent);
  const MonotonicClock clock;
  ControlLoop loop(agent, world, clock, reset_random());
  const bool begins = (tick_head(record.frame(0)).flags & kTickOpensEpisode) != 0;
  if (begins) {
    EXPECT_TRUE(loop.load_learner(record.snapshot, record.step));
    EXPECT_TRUE(loop.start());
  } else {
    EXPECT_TRUE(loop.load_snapshot(record.snapshot, record.step));
  }
  while (!world.is_over()) loop.tick();
  while (agent.run_next_task()) continue;
  *difference = world.first_difference();
  *compared = world.actions_compared();
  std::vector<std::uint8_t> bytes(loop.snapshot_bytes());
  loop.save_snapshot(bytes);
  return bytes;
}

TEST(RealtimeLoop, RunsToItsLastStepAndStopsTheRobot) {
  Rig rig(2 * kMs, 1500);
  rig.start();
  rig.finish();
  EXPECT_FALSE(rig.loop.is_faulted());
  EXPECT_EQ(rig.control.steps(), 1500);
  EXPECT_EQ(rig.loop.steps(), 1500);
  EXPECT_EQ(rig.world.safety(), SafetyState::kIdle);
  EpisodeRecord episode;
  std::int64_t longest = 0;  // a machine that stands still for a moment cuts one short
  while (rig.loop.next_episode(&episode)) longest = std::max(longest, episode.length);
  EXPECT_EQ(longest, 1000) << "its time limit";
  EXPECT_EQ(rig.loop.counters().ticks, rig.loop.counters().wakeup.total());
  sleep_until(rig.clock.now_ns() + 200 * kMs);  // on its way through the pseudo-terminal
  EXPECT_EQ(rig.device.velocity(), 0.0F);
  EXPECT_GE(rig.device.commands(), 1000U);
}

TEST(RealtimeLoop, IsRepeatedBitForBitFromItsRecord) {
  Rig rig(2 * kMs, 2500);
  rig.start();
  rig.finish();
  ASSERT_EQ(rig.recording.frames_lost(), 0U);
  std::int64_t difference = 0;
  std::uint64_t compared = 0;
  EXPECT_EQ(replay(rig.record, 32, &difference, &compared), rig.final_snapshot());
  EXPECT_EQ(difference, -1);
  EXPECT_GT(compared, 2490U);
}

// The learner takes three periods for each update. The loop does not notice, and the record still
// repeats what happened, the dropped transitions included.
struct SlowLearner {
  std::int64_t sleep_ns = 0;
  static void nap(void* self) {
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + static_cast<SlowLearner*>(self)->sleep_ns);
  }
};

TEST(RealtimeLoop, NeverWaitsForASlowLearner) {
  constexpr std::int64_t kPeriodNs = 4 * kMs;
  SlowLearner slow{3 * kPeriodNs};
  Rig rig(kPeriodNs, 600, 32, {.self = &slow, .updated = SlowLearner::nap});
  rig.start();
  rig.finish();
  const RealtimeCounters& counters = rig.loop.counters();
  const LateLearning late = rig.agent.late_learning();
  // Every tick was there and sent its command before the next one.
  EXPECT_EQ(rig.control.steps(), 600);
  // Of those that waited for the learner there would be as many as it was late.
  EXPECT_LT(counters.overruns[1] * 20, late.ticks) << "a tick waited for the learner";
  EXPECT_GT(late.ticks, 300U);
  EXPECT_GE(counters.overruns[2] + 5, late.ticks);
  EXPECT_EQ(late.tasks_lost, 0U);
  const LearnerState& state = rig.agent.learner().state();
  EXPECT_EQ(state.critic_updates + state.transitions_dropped +
                static_cast<std::int64_t>(late.transitions_dropped),
            600);
  EXPECT_GT(state.critic_updates, 50);
  std::int64_t difference = 0;
  std::uint64_t compared = 0;
  EXPECT_EQ(replay(rig.record, 32, &difference, &compared), rig.final_snapshot());
  EXPECT_EQ(difference, -1);
}

TEST(RealtimeLoop, TakesSnapshotsFromWhichTheRestIsRepeated) {
  Rig rig(2 * kMs, 1200, 32, {}, 400);
  rig.start();
  std::vector<std::uint8_t> middle;
  std::int64_t middle_step = -1;
  while (!rig.loop.is_over()) {
    const std::int64_t step = rig.loop.snapshot_step();
    if (step >= 0) {
      if (middle.empty()) {
        middle = rig.snapshot;
        middle_step = step;
      }
      rig.loop.release_snapshot();
    }
    sleep_until(rig.clock.now_ns() + kMs);
  }
  rig.finish();
  ASSERT_GE(middle_step, 400);
  TickRecord rest;
  rest.shape = kShape;
  rest.step = middle_step;
  rest.snapshot = middle;
  bool is_after = false;
  for (std::size_t i = 0; i < rig.record.count(); ++i) {
    const auto frame = rig.record.frame(i);
    if (is_after) rest.frames.insert(rest.frames.end(), frame.begin(), frame.end());
    const TickHead head = tick_head(frame);
    is_after = is_after || ((head.flags & kTickSnapshot) != 0 &&
                            head.step == static_cast<std::uint64_t>(middle_step));
  }
  ASSERT_GT(rest.count(), 0U);
  std::int64_t difference = 0;
  std::uint64_t compared = 0;
  EXPECT_EQ(replay(rest, 32, &difference, &compared), rig.final_snapshot());
  EXPECT_EQ(difference, -1);
  EXPECT_GT(compared, 0U);
}

TEST(RealtimeLoop, StopsWhenAsked) {
  Rig rig(2 * kMs, 1'000'000);
  rig.start();
  while (rig.loop.steps() < 50) sleep_until(rig.clock.now_ns() + kMs);
  rig.signals.stop = true;
  rig.finish();
  EXPECT_FALSE(rig.loop.is_faulted());
  EXPECT_LT(rig.control.steps(), 10'000);
  sleep_until(rig.clock.now_ns() + 200 * kMs);  // on its way through the pseudo-terminal
  EXPECT_EQ(rig.device.velocity(), 0.0F);
}

TEST(RealtimeLoop, HoldsAndGoesOnWhenTheDeviceFallsSilent) {
  Rig rig(2 * kMs, 600);
  rig.start();
  while (rig.loop.steps() < 50) sleep_until(rig.clock.now_ns() + kMs);
  rig.signals.hold = true;
  sleep_until(rig.clock.now_ns() + 200 * kMs);
  EXPECT_EQ(rig.device.velocity(), 0.0F);
  rig.signals.hold = false;
  rig.finish();
  EXPECT_EQ(rig.control.steps(), 600);
  EXPECT_EQ(rig.world.counters().holds[0], 1U);
  EXPECT_EQ(rig.agent.learner().state().transitions_dropped, 1);
  std::int64_t difference = 0;
  std::uint64_t compared = 0;
  EXPECT_EQ(replay(rig.record, 32, &difference, &compared), rig.final_snapshot());
  EXPECT_EQ(difference, -1);
}

// --- What the threads do not do ------------------------------------------------------------------

std::atomic<long> lock_count{0};

bool is_runtime_thread() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return std::strncmp(name, "instep-", 7) == 0;
}

// INSTEP_ENDURANCE_SECONDS: how long (default 3; 600 is the figure of record).
TEST(RealtimeLoop, AllocatesNothingAndTakesNoLock) {
  if (!INSTEP_COUNTS_ALLOCATIONS) GTEST_SKIP() << "a sanitizer brings its own malloc";
  const char* seconds = std::getenv("INSTEP_ENDURANCE_SECONDS");
  const std::int64_t steps = 500 * (seconds != nullptr ? std::atoll(seconds) : 3);
  Rig rig(2 * kMs, steps, 256, {}, 300);
  rig.start();
  while (rig.loop.steps() < 20) sleep_until(rig.clock.now_ns() + kMs);
  allocation_count = 0;
  lock_count = 0;
  counting_condition = is_runtime_thread;
  EpisodeRecord episode;
  while (rig.loop.steps() < steps - 20) {
    if (rig.loop.snapshot_step() >= 0) rig.loop.release_snapshot();
    while (!rig.ring.front().empty()) rig.ring.pop();
    while (rig.loop.next_episode(&episode)) continue;
    sleep_until(rig.clock.now_ns() + kMs);
  }
  counting_condition = nullptr;
  rig.finish();
  EXPECT_EQ(allocation_count, 0);
  EXPECT_EQ(lock_count, 0);
  EXPECT_EQ(rig.control.steps(), steps);
  EXPECT_EQ(rig.recording.frames_lost(), 0U);
}

TEST(RealtimeLoop, OpensNoSocket) {
  Rig rig(2 * kMs, 300);
  rig.start();
  while (rig.loop.steps() < 100) sleep_until(rig.clock.now_ns() + kMs);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry.path(), ignored).string();
    EXPECT_FALSE(target.starts_with("socket:")) << target;
    ++files;
  }
  EXPECT_GT(files, 3);
  rig.finish();
}

// --- Records
// --------------------------------------------------------------------------------------

TEST(TickRecord, SaysWhatIsWrongWithAFile) {
  Rig rig(2 * kMs, 30);
  rig.start();
  rig.finish();
  std::vector<std::uint8_t> file = record_header(rig.record);
  const std::size_t head_bytes = file.size();
  file.insert(file.end(), rig.record.frames.begin(), rig.record.frames.end());
  TickRecord read;
  ASSERT_EQ(read_record(file, &read), "");
  EXPECT_EQ(read.frames, rig.record.frames);
  EXPECT_EQ(read.snapshot, rig.record.snapshot);

  std::vector<std::uint8_t> cut(file.begin(), file.end() - 5);
  ASSERT_EQ(read_record(cut, &read), "");
  EXPECT_EQ(read.count(), rig.record.count() - 1) << "a frame that was being written";
  for (const std::size_t at : {std::size_t{0}, std::size_t{20}, head_bytes - 1, head_bytes + 60}) {
    std::vector<std::uint8_t> damaged = file;
    damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ 0x10);
    EXPECT_NE(read_record(damaged, &read), "") << at;
  }
  EXPECT_NE(read_record({file.data(), 10}, &read), "");
}

TEST(TickRecord, NoticesAnActionThatDiffers) {
  Rig rig(2 * kMs, 60);
  rig.start();
  rig.finish();
  TickRecord changed = rig.record;
  changed.frames[20 * kShape.frame_bytes() + kShape.action_offset()] ^= 1;
  std::int64_t difference = 0;
  std::uint64_t compared = 0;
  replay(changed, 32, &difference, &compared);
  EXPECT_EQ(difference, static_cast<std::int64_t>(tick_head(changed.frame(20)).step));
}

}  // namespace
}  // namespace instep

#if INSTEP_COUNTS_ALLOCATIONS
// The C library's own, behind a count.
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static std::atomic<Lock> original{nullptr};
  if (original == nullptr) {
    original = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  }
  bool (*const condition)() = instep::counting_condition;
  if (condition != nullptr && condition()) ++instep::lock_count;
  return original.load()(mutex);
}
#endif

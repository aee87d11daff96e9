// How long the wheels of a simulated Create 2 turn on after each way to stop it: the table of
// docs/realtime.md, a row a test. On real time, behind a port that forgives nothing, on a quiet
// machine, at the full speed of a learning robot. The worst of INSTEP_STOPPING_TRIES (default 5;
// the table has 50).
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "command.h"
#include "create2_on_pty.h"
#include "slow_world.h"
#include "temporary_folder.h"
#include "terminal.h"
#include "wait_for.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kPatienceNs = 60'000 * kMs;
constexpr std::int64_t kEpisodeNs = 90'000 * kMs;  // the longest one of create_mover
constexpr double kGoalMs = 200.0;

int tries() {
  const char* const text = std::getenv("INSTEP_STOPPING_TRIES");
  return text == nullptr ? 5 : std::max(1, std::atoi(text));
}

// From wheels whose speeds come in steps of 28.5 mm/s.
constexpr double kFullSpeedMmS = 142.0;

// A guardian outlives its run, and becomes this process's child then.
const int is_subreaper = prctl(PR_SET_CHILD_SUBREAPER, 1);

// A run that drives a robot, on a terminal, in a world that can be slow.
struct Scene {
  Scene() {
    // Another user's `stop` must get at the port.
    std::filesystem::permissions(std::filesystem::path(robot.path()).parent_path(),
                                 std::filesystem::perms(0755));
    std::filesystem::permissions(robot.path(), std::filesystem::perms(0666));
    run = std::make_unique<CommandOnTerminal>(std::vector<std::string>{
        "train", "create_mover", "--time", "real", "--device", robot.path(), "--out",
        folder / "run", "--steps", "100000", "--set", "checkpoint_every=5"});
  }

  // The next one begins when nobody is left of this one's; a guardian may need two seconds.
  ~Scene() {
    run.reset();
    other.reset();
    while (waitpid(-1, nullptr, 0) > 0) continue;
  }

  // A robot backs away at full speed before an episode begins, if not in it.
  bool drives() {
    return wait_for([&] { return robot.is_moving() && robot.wheel_speed_mm_s() > kFullSpeedMmS; },
                    kEpisodeNs + kPatienceNs);
  }

  const MonotonicClock clock;
  std::int64_t begin_ns = 0;  // when it happened
  TemporaryFolder folder;
  SlowWorld world;
  Create2OnPty robot;
  std::unique_ptr<CommandOnTerminal> run;
  std::unique_ptr<RunningCommand> other;  // that stops it from outside
};

struct Way {
  const char* name;
  std::function<void(Scene&)> stop;
  std::function<void(Scene&)> prepare = nullptr;
  bool needs_root = false;
};

class StoppingTime : public testing::TestWithParam<Way> {};

// The robot drives when this is called, and what happens to it stops it. In milliseconds.
double time_to_stand_ms(const Way& way) {
  Scene scene;
  EXPECT_TRUE(scene.drives());
  if (way.prepare != nullptr) way.prepare(scene);
  scene.begin_ns = scene.clock.now_ns();
  way.stop(scene);
  EXPECT_TRUE(
      wait_for([&] { return !scene.robot.is_moving() && scene.robot.wheel_speed_mm_s() == 0.0; },
               kPatienceNs));
  return static_cast<double>(scene.robot.stood_ns() - scene.begin_ns) * 1e-6;
}

void stop_from_outside(Scene& scene) {
  scene.other =
      std::make_unique<RunningCommand>(std::vector<std::string>{"stop", scene.robot.path()});
}

void stop_as_another_user(Scene& scene) {
  scene.other = std::make_unique<RunningCommand>(
      std::vector<std::string>{"--reuid=65534", "--regid=65534", "--clear-groups", INSTEP_COMMAND,
                               "stop", scene.robot.path()},
      "/usr/bin/setpriv");
}

void stall_disk(Scene& scene) {
  scene.world->sync_ms = 6000;
  EXPECT_TRUE(wait_for([&] { return scene.world->syncs_running > 0; }, kPatienceNs));
  EXPECT_TRUE(scene.drives());
}

void pull_cable(Scene& scene) {
  scene.robot.unplug();
  sleep_until(scene.clock.now_ns() + 300 * kMs);
}

// The simulation needs a while for it: it looks who has the old port.
void plug_cable(Scene& scene) {
  scene.robot.does([&](Create2OnPort& robot) {
    robot.simulator().set_plugged(true);
    robot.port().plug();
    scene.begin_ns = scene.clock.now_ns();
  });
}

const Way kWays[] = {
    {"a key", [](Scene& scene) { scene.run->type(" "); }},
    {"Ctrl-C", [](Scene& scene) { scene.run->type("\x03"); }},
    {"SIGTERM", [](Scene& scene) { scene.run->send(SIGTERM); }},
    {"the terminal is closed (SIGHUP)", [](Scene& scene) { scene.run->send(SIGHUP); }},
    {"`instep stop`", stop_from_outside},
    {"`instep stop` of another user", stop_as_another_user, nullptr, true},
    {"`instep stop` after another program has begun a list of 255 bytes",
     [](Scene& scene) {
       scene.robot.send_as_another_program({149, 255});
       stop_from_outside(scene);
     }},
    {"the agent is killed (`kill -9`)", [](Scene& scene) { scene.run->send(SIGKILL); }},
    {"the agent is frozen (`kill -STOP`, a debugger)",
     [](Scene& scene) { scene.run->send(SIGSTOP); }},
    {"the agent's I/O thread alone stands still",
     [](Scene& scene) { scene.world->frozen = kFrozenIo; }},
    {"Ctrl-C while the disk stalls for 6 s", [](Scene& scene) { scene.run->type("\x03"); },
     stall_disk},
    {"a key while the terminal stands still", [](Scene& scene) { scene.run->type(" "); },
     [](Scene& scene) { scene.run->halt(); }},
    {"another program resets the port", [](Scene& scene) { scene.robot.reset_settings(); }},
    {"another program resets the port, and at once Ctrl-C",
     [](Scene& scene) {
       scene.robot.reset_settings();
       scene.run->type("\x03");
     }},
    {"the cable was out for 0.3 s: from when it is back", plug_cable, pull_cable},
    {"the robot's battery is taken out and put back",
     [](Scene& scene) {
       scene.robot.does([](Create2OnPort& robot) { robot.simulator().take_battery_out(); });
     }},
};

TEST_P(StoppingTime, IsBelow200Ms) {
  SKIP_WITHOUT_SLOW_WORLD();
  ASSERT_EQ(is_subreaper, 0);
  const Way& way = GetParam();
  if (way.needs_root && geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  std::vector<double> times;
  for (int i = 0; i < tries(); ++i) times.push_back(time_to_stand_ms(way));
  std::sort(times.begin(), times.end());
  std::printf("| %s | %.0f | %.0f |\n", way.name, times[times.size() / 2], times.back());
  std::fflush(stdout);
  EXPECT_LT(times.back(), kGoalMs) << way.name;
}

INSTANTIATE_TEST_SUITE_P(Ways, StoppingTime, testing::ValuesIn(kWays));

}  // namespace
}  // namespace instep

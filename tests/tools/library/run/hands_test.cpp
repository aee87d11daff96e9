// The command on a robot whose files, terminal and threads are slow or stand still: whoever wants
// the robot to stand gets it within the usual time, and the command ends.
#include "tools/library/run/hands.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

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
// The usual time is below 200 ms; a busy machine may need more, a sync takes longer.
constexpr std::int64_t kSoonNs = 1000 * kMs;
constexpr int kSyncMs = 3000;

std::vector<std::string> train(const Create2OnPty& robot, const std::string& out) {
  return {"train", "create_mover", "--time", "real",     "--device", robot.path(),        "--out",
          out,     "--steps",      "100000", "--record", "--set",    "checkpoint_every=5"};
}

bool moves(const Create2OnPty& robot) {
  return wait_for([&] { return robot.is_moving(); }, kPatienceNs);
}

// How long it is told to move on after `what`; it must stand then.
std::int64_t time_to_stand_ns(const Create2OnPty& robot, const std::function<void()>& what) {
  EXPECT_TRUE(moves(robot));
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  what();
  EXPECT_TRUE(wait_for([&] { return !robot.is_moving(); }, kPatienceNs));
  const std::int64_t time_ns = robot.stopped_ns() - begin_ns;
  std::printf("stands after %.1f ms\n", static_cast<double>(time_ns) * 1e-6);
  sleep_until(clock.now_ns() + 300 * kMs);
  EXPECT_FALSE(robot.is_moving()) << "it stood, and moves again";
  return time_ns;
}

// The run's writer, from now on at a sync that takes that long.
void begin_slow_sync(const SlowWorld& world) {
  world->sync_ms = kSyncMs;
  ASSERT_TRUE(wait_for([&] { return world->syncs_running > 0; }, kPatienceNs));
}

TEST(Hands, HoldWhileTheDiskStandsStill) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  SlowWorld world;
  Create2OnPty robot;
  CommandOnTerminal run(train(robot, folder / "run"));
  ASSERT_TRUE(moves(robot));
  begin_slow_sync(world);
  EXPECT_LT(time_to_stand_ns(robot, [&] { run.type(" "); }), kSoonNs);
  EXPECT_TRUE(run.shows("held; press c to go on", 2000 * kMs));
  EXPECT_GT(world->syncs_running, 0) << "all that was within one sync";
  world->sync_ms = 0;
  // A key that sends several bytes, or somebody leaning on the keyboard, moves nothing.
  run.type("\x1b[c");
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 200 * kMs);
  EXPECT_FALSE(run.shows("going on", 0));
  run.type("c");
  EXPECT_TRUE(run.shows("going on"));
  EXPECT_TRUE(moves(robot));
}

TEST(Hands, StopWhileTheDiskStandsStill) {
  SKIP_WITHOUT_SLOW_WORLD();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const TemporaryFolder folder;
    SlowWorld world;
    Create2OnPty robot;
    CommandOnTerminal run(train(robot, folder / "run"));
    ASSERT_TRUE(moves(robot));
    begin_slow_sync(world);
    EXPECT_LT(time_to_stand_ns(robot, [&] { run.send(signal); }), kSoonNs);
    EXPECT_TRUE(run.shows("still writing the checkpoint"));
    world->sync_ms = 0;
    ASSERT_TRUE(run.ends_within(kPatienceNs));
    EXPECT_EQ(run.exit_code(), 0);
    const auto summary = nlohmann::json::parse(read_bytes(folder / "run/summary.json"));
    EXPECT_EQ(summary.at("ended"), "interrupted");
    const CommandResult replay = run_command({"replay", folder / "run/record"});
    EXPECT_EQ(replay.exit_code, 0) << replay;
  }
}

TEST(Hands, AreNotHeldUpByATerminalThatStandsStill) {
  for (const char* key : {" ", "\x13", "\x11", "\x16", "\x1a", "\x0f"}) {  // Ctrl-S, -Q, -V, -Z, -O
    const TemporaryFolder folder;
    Create2OnPty robot;
    CommandOnTerminal run(train(robot, folder / "run"));
    ASSERT_TRUE(moves(robot));
    run.halt();
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 500 * kMs);  // some progress lines run up against it
    EXPECT_LT(time_to_stand_ns(robot, [&] { run.type(key); }), kSoonNs) << int{*key};
    run.type("c");
    EXPECT_LT(time_to_stand_ns(robot, [&] { run.send(SIGTERM); }), kSoonNs);
    EXPECT_TRUE(run.ends_within(20'000 * kMs)) << "nobody reads what it says";
    EXPECT_EQ(run.exit_code(), 0);
    EXPECT_NE(read_bytes(folder / "run/summary.json").find("interrupted"), std::string::npos);
  }
}

}  // namespace
}  // namespace instep

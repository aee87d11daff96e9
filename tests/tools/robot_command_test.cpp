// The command against a simulated Create 2 on real time: what it leaves behind, and what becomes of
// the robot when it is killed.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "create2_on_pty.h"
#include "runtime/realtime/loopback.h"
#include "temporary_folder.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;

bool wait_for(const std::function<bool()>& condition, std::int64_t most_ns = 60'000 * kMs) {
  const MonotonicClock clock;
  const std::int64_t end_ns = clock.now_ns() + most_ns;
  while (clock.now_ns() < end_ns) {
    if (condition()) return true;
    sleep_until(clock.now_ns() + kMs);
  }
  return condition();
}

std::vector<std::string> train(const Create2OnPty& robot, const std::string& out,
                               const std::string& steps) {
  return {"train", "create_mover", "--time", "real",     "--device", robot.path(), "--out",
          out,     "--steps",      steps,    "--record", "--json"};
}

bool starts_to_move(const Create2OnPty& robot) {
  return wait_for([&] { return robot.is_moving(); });
}

TEST(RobotCommand, RecordsARunThatIsRepeatedBitForBit) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100"));
  ASSERT_TRUE(starts_to_move(robot));
  const std::string descriptors = "/proc/" + std::to_string(run.process()) + "/fd";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(descriptors)) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry.path(), ignored).string();
    EXPECT_FALSE(target.starts_with("socket:")) << "data leave the machine";
    ++files;
  }
  EXPECT_GT(files, 5);
  const CommandResult result = run.wait();
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto summary = nlohmann::json::parse(result.last_line());
  EXPECT_EQ(summary.at("steps"), 100);
  EXPECT_FALSE(robot.is_moving());
  EXPECT_EQ(robot.limit_violations(), 0);
  const CommandResult replay = run_command({"replay", folder / "run/record", "--json"});
  EXPECT_EQ(replay.exit_code, 0) << replay;
  const auto compared = nlohmann::json::parse(replay.last_line());
  EXPECT_TRUE(compared.at("first_difference").is_null());
  EXPECT_EQ(compared.at("checkpoint_step"), 100);
  EXPECT_EQ(compared.at("checkpoint_same"), true);
}

TEST(RobotCommand, KilledAtSpeedLeavesARobotThatStands) {
  const MonotonicClock clock;
  for (int death = 0; death < 3; ++death) {
    const TemporaryFolder folder;
    Create2OnPty robot;
    RunningCommand run(train(robot, folder / "run", "100000"));
    ASSERT_TRUE(starts_to_move(robot));
    sleep_until(clock.now_ns() + (3000 + 370 * death) * kMs);
    ASSERT_TRUE(wait_for([&] { return robot.is_moving(); }));
    const std::int64_t killed_ns = clock.now_ns();
    run.send(SIGKILL);
    run.wait();
    ASSERT_TRUE(wait_for([&] { return !robot.is_moving(); }));
    EXPECT_LT(robot.stopped_ns() - killed_ns, 200 * kMs);
    sleep_until(clock.now_ns() + 500 * kMs);
    EXPECT_FALSE(robot.is_moving());
  }
}

TEST(RobotCommand, StopsFromAnotherTerminal) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  const CommandResult second = run_command({"train", "create_mover", "--time", "real", "--device",
                                            robot.path(), "--out", folder / "second"});
  EXPECT_EQ(second.exit_code, 3) << second;
  EXPECT_NE(second.error.find("another program has it"), std::string::npos) << second;
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(nlohmann::json::parse(read_bytes(folder / "run/summary.json")).at("ended"),
            "interrupted");
  EXPECT_FALSE(robot.is_moving());
}

TEST(RobotCommand, StopsTheRunAndNotTheSimulator) {
  const TemporaryFolder folder;
  const std::string link = folder / "robot";
  std::filesystem::create_symlink(folder / "gone", link);  // as a simulator that was killed leaves
  RunningCommand sim({"sim", "create2", "--link", link});
  ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(link); }));
  RunningCommand run({"train", "create_mover", "--time", "real", "--device", link, "--out",
                      folder / "run", "--steps", "100000"});
  ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(folder / "run/checkpoint"); }));
  const CommandResult stop = run_command({"stop", link});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  EXPECT_EQ(stop.out.find("asking process"), stop.out.rfind("asking process")) << stop;
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_TRUE(std::filesystem::exists(link)) << "it takes its link away when it is ended";
  const CommandResult again = run_command({"stop", link});
  EXPECT_EQ(again.exit_code, 0) << again;
  sim.send(SIGTERM);
  EXPECT_EQ(sim.wait().exit_code, 0);
}

// The robot's port goes away, and later the run is asked to end.
TEST(RobotCommand, SaysThatTheRobotIsLostAndRepeatsWhatWasBefore) {
  const TemporaryFolder folder;
  const MonotonicClock clock;
  auto robot = std::make_unique<Create2OnPty>();
  RunningCommand run(train(*robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(*robot));
  robot.reset();
  sleep_until(clock.now_ns() + 3000 * kMs);
  run.send(SIGINT);
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("robot at the end: link lost"), std::string::npos) << result;
  EXPECT_NE(result.error.find("link lost: waiting up to 10 min"), std::string::npos) << result;
  const CommandResult replay = run_command({"replay", folder / "run/record"});
  EXPECT_EQ(replay.exit_code, 0) << replay;
  EXPECT_NE(replay.out.find("is the same"), std::string::npos) << replay;
}

TEST(RobotCommand, WatchesAndDriesWithoutMoving) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  const CommandResult watch = run_command({"watch", robot.path(), "--seconds", "3"});
  EXPECT_EQ(watch.exit_code, 0) << watch;
  EXPECT_NE(watch.out.find("ready"), std::string::npos) << watch;
  std::vector<std::string> words = train(robot, folder / "run", "20");
  words.push_back("--dry-run");
  const CommandResult dry = run_command(words);
  EXPECT_EQ(dry.exit_code, 0) << dry;
  EXPECT_EQ(robot.stopped_ns(), 0) << "it never moved";
}

// A port behind which nobody answers.
TEST(RobotCommand, SaysWhenThereIsNoCreate2) {
  const TemporaryFolder folder;
  const LoopbackDevice mute(10'000 * kMs);
  const CommandResult train = run_command({"train", "create_mover", "--time", "real", "--device",
                                           mute.path(), "--out", folder / "run", "--steps", "10"});
  EXPECT_EQ(train.exit_code, 3) << train;
  EXPECT_NE(train.error.find("instep: --device " + mute.path() + ": "), std::string::npos) << train;
  const CommandResult watch = run_command({"watch", mute.path(), "--seconds", "1"});
  EXPECT_EQ(watch.exit_code, 3) << watch;
}

}  // namespace
}  // namespace instep

// The command with tasks, robots and algorithms that no table of this tree has. A process has its
// tables once, so each of these commands has one of its own.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "drivers/loopback/driver.h"
#include "drivers/loopback/loopback.h"
#include "runtime/algorithms/actor_critic/actor_critic.h"
#include "tasks/dot_reacher/dot_reacher.h"
#include "temporary_folder.h"
#include "tools/instep/command.h"

namespace instep {
namespace {

TaskInfo own_task() {
  return {.name = "mine",
          .summary = "a dot of one's own",
          .observation_dim = kDotReacherObservationDim,
          .action_dim = kDotReacherActionDim,
          .period_s = kDotReacherPeriodS,
          .episode_steps_max = kDotReacherStepsMax,
          .default_steps = 300,
          .make = make_dot_reacher,
          .make_robot = []() -> std::unique_ptr<RobotTask> {
            return std::make_unique<LoopbackTask>(kDotReacherObservationDim, kDotReacherActionDim,
                                                  1'000'000'000);
          },
          .driver = "my_robot"};
}

DriverInfo renamed(DriverInfo driver, std::string_view name) {
  driver.name = name;
  return driver;
}

AlgorithmInfo renamed(AlgorithmInfo algorithm, std::string_view name, std::uint32_t number) {
  algorithm.name = name;
  algorithm.number = number;
  return algorithm;
}

const DriverInfo kMyRobot = renamed(kLoopbackDriver, "my_robot");
const AlgorithmInfo kMyAlgorithm = renamed(kAvgInfo, "my_avg", 1000);

// Ends the process with the command's exit code; 100: it was refused, and stderr says why.
[[noreturn]] void run(const std::vector<std::string>& words, const Additions& additions) {
  std::vector<const char*> argv = {"own"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  try {
    std::exit(command(static_cast<int>(argv.size()), argv.data(), additions));
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    std::exit(100);
  }
}

Additions own() {
  return {.tasks = {own_task()}, .drivers = {&kMyRobot}, .algorithms = {&kMyAlgorithm}};
}

TEST(OwnCommandDeathTest, TrainsAnOwnTaskByAnOwnAlgorithm) {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  EXPECT_EXIT(run({"train", "mine", "--algo", "my_avg", "--steps", "300", "--out", out}, own()),
              testing::ExitedWithCode(0), "");
  const std::string config = read_bytes(out + "/config.toml");
  EXPECT_NE(config.find("task = \"mine\""), std::string::npos) << config;
  EXPECT_NE(config.find("[my_avg]"), std::string::npos) << config;
  EXPECT_EXIT(run({"eval", out, "--episodes", "1"}, own()), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(run({"train", "--resume", out, "--steps", "400"}, own()), testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT(run({"eval", out}, {}), testing::ExitedWithCode(1), "unknown table 'my_avg'");
}

TEST(OwnCommandDeathTest, KnowsAnOwnRobot) {
  EXPECT_EXIT(run({"watch", "/nowhere", "--robot", "my_robot"}, own()), testing::ExitedWithCode(3),
              "/nowhere: cannot be opened");
  EXPECT_EXIT(run({"watch", "/nowhere", "--task", "mine"}, own()), testing::ExitedWithCode(3),
              "/nowhere: cannot be opened");
  EXPECT_EXIT(run({"watch", "/nowhere", "--robot", "my_robot"}, {}), testing::ExitedWithCode(2),
              "no such robot");
}

TEST(OwnCommandDeathTest, RefusesWhatCannotBe) {
  Additions additions = own();
  additions.tasks[0].name = "hopper";
  EXPECT_EXIT(run({"tasks"}, additions), testing::ExitedWithCode(100), "task 'hopper'");
  additions = own();
  additions.drivers.clear();
  EXPECT_EXIT(run({"tasks"}, additions), testing::ExitedWithCode(100), "no driver 'my_robot'");
  static const AlgorithmInfo number = renamed(kAvgInfo, "other", kIacInfo.number);
  additions.algorithms = {&number};
  EXPECT_EXIT(run({"tasks"}, additions), testing::ExitedWithCode(100), "its number is that of iac");
  static const DriverInfo create2 = renamed(kLoopbackDriver, "create2");
  additions.drivers = {&create2};
  EXPECT_EXIT(run({"tasks"}, additions), testing::ExitedWithCode(100), "driver 'create2'");
}

TEST(OwnCommandDeathTest, AddsNothingToATableThatWasRead) {
  EXPECT_EXIT(
      {
        static_cast<void>(all_tasks());
        run({"tasks"}, own());
      },
      testing::ExitedWithCode(100), "too late");
}

}  // namespace
}  // namespace instep

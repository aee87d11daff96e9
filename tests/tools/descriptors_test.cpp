// The command as a daemon starts it: any of stdin, stdout and stderr closed. What it prints then
// goes nowhere, and above all into no file and to no robot.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "command.h"
#include "create2_on_pty.h"
#include "temporary_folder.h"
#include "wait_for.h"

namespace instep {
namespace {

constexpr std::int64_t kPatienceNs = 60'000'000'000;
constexpr int kCombinations = 8;  // one bit for each descriptor

// The command with the descriptors closed whose bits are set.
std::vector<std::string> closed(int descriptors, const std::vector<std::string>& words) {
  std::string script = "exec \"$0\" \"$@\"";
  if ((descriptors & 1) != 0) script += " <&-";
  if ((descriptors & 2) != 0) script += " >&-";
  if ((descriptors & 4) != 0) script += " 2>&-";
  std::vector<std::string> shell = {"-c", script, INSTEP_COMMAND};
  shell.insert(shell.end(), words.begin(), words.end());
  return shell;
}

CommandResult run_closed(int descriptors, const std::vector<std::string>& words) {
  return RunningCommand(closed(descriptors, words), "/bin/sh").wait();
}

TEST(ClosedDescriptors, GetNoFileOfARun) {
  const TemporaryFolder folder;
  const auto train = [&](const std::string& name) {
    return std::vector<std::string>{"train", "dot_reacher", "--steps", "3000",
                                    "--out", folder / name, "--set",   "hidden=16"};
  };
  ASSERT_EQ(run_command(train("open")).exit_code, 0);
  for (int descriptors = 1; descriptors < kCombinations; ++descriptors) {
    const std::string name = std::to_string(descriptors);
    const CommandResult result = run_closed(descriptors, train(name));
    EXPECT_EQ(result.exit_code, 0) << name << ' ' << result;
    EXPECT_TRUE(read_bytes(folder / name + "/checkpoint") ==
                read_bytes(folder / "open" + "/checkpoint"))
        << name;
    const CommandResult eval = run_closed(descriptors, {"eval", folder / name, "--episodes", "2"});
    EXPECT_EQ(eval.exit_code, 0) << name << ' ' << eval;
    EXPECT_EQ(eval.out.empty(), (descriptors & 2) != 0) << name;
    const CommandResult wrong = run_closed(descriptors, {"eval", folder / "nowhere"});
    EXPECT_EQ(wrong.exit_code, 2) << name;
  }
}

TEST(ClosedDescriptors, GetNoPortOfARobot) {
  const TemporaryFolder folder;
  for (int descriptors = 1; descriptors < kCombinations; ++descriptors) {
    const std::string name = std::to_string(descriptors);
    Create2OnPty robot;
    RunningCommand run(
        closed(descriptors, {"train", "create_mover", "--time", "real", "--device", robot.path(),
                             "--out", folder / name, "--record", "--steps", "100000"}),
        "/bin/sh");
    ASSERT_TRUE(wait_for([&] { return robot.is_moving(); }, kPatienceNs)) << name;
    const CommandResult stop = run_closed(descriptors, {"stop", robot.path()});
    EXPECT_EQ(stop.exit_code, 0) << name << ' ' << stop;
    EXPECT_EQ(run.wait().exit_code, 0) << name;
    EXPECT_FALSE(robot.is_moving());
    const CommandResult replay = run_command({"replay", folder / name + "/record"});
    EXPECT_EQ(replay.exit_code, 0) << name << ' ' << replay;
  }
}

TEST(ClosedDescriptors, GetNoTerminalOfASimulator) {
  const TemporaryFolder folder;
  for (int descriptors = 1; descriptors < kCombinations; ++descriptors) {
    const std::string link = folder / std::to_string(descriptors);
    RunningCommand sim(closed(descriptors, {"sim", "create2", "--link", link}), "/bin/sh");
    ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(link); }, kPatienceNs)) << link;
    const CommandResult watch = run_command({"watch", link, "--seconds", "1"});
    EXPECT_EQ(watch.exit_code, 0) << link << ' ' << watch;
    sim.send(SIGTERM);
    EXPECT_EQ(sim.wait().exit_code, 0) << link;
  }
}

}  // namespace
}  // namespace instep

// Two runs in one folder: one of them goes on as if it were alone, the other says who has the
// folder and changes nothing.
#include "tools/library/run/folder_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "command.h"
#include "run_files.h"
#include "slow_world.h"
#include "temporary_folder.h"
#include "tools/library/error.h"
#include "tools/library/run/session.h"
#include "wait_for.h"

namespace instep {
namespace {

using Words = std::vector<std::string>;
using testing::HasSubstr;

constexpr const char* kForEver = "1000000000";
constexpr std::int64_t kPatienceNs = 120'000'000'000;

Words train_words(const std::string& folder, const std::string& seed, const std::string& steps) {
  return {"train",  "dot_reacher", "--set",   "hidden=8", "--set", "checkpoint_every=1000",
          "--seed", seed,          "--steps", steps,      "--out", folder};
}

bool has_ended(const RunningCommand& command) {
  siginfo_t end{};
  const auto process = static_cast<id_t>(command.process());
  return waitid(P_PID, process, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid != 0;
}

std::string is_training(const RunningCommand& winner) {
  return "process " + std::to_string(winner.process()) +
         " (instep) is training in this folder; wait for it or stop it";
}

// Which of two runs, neither of which would end by itself, was refused.
bool is_first_refused(const RunningCommand& first, const RunningCommand& second) {
  EXPECT_TRUE(wait_for([&] { return has_ended(first) || has_ended(second); }, kPatienceNs));
  return has_ended(first);
}

void expect_refused(RunningCommand& loser, const RunningCommand& winner) {
  const std::string who = is_training(winner);
  const CommandResult result = loser.wait();
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_THAT(result.error, HasSubstr(who));
  EXPECT_EQ(result.out, "");
}

// Ends it in good order, when it has something to show.
void interrupt(RunningCommand& winner, const std::string& run) {
  EXPECT_TRUE(wait_for([&] { return checkpoint_step(run + "/checkpoint").value_or(0) >= 1000; },
                       kPatienceNs));
  winner.send(SIGINT);
  const CommandResult result = winner.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
}

std::string steps_of(const std::string& run) {
  return std::to_string(
      nlohmann::json::parse(read_bytes(run + "/summary.json")).at("steps").get<std::int64_t>());
}

// The same files, and of those that hold no time the same bytes.
void expect_as_if_alone(const std::string& run, const std::string& alone) {
  const auto names = [](const std::string& folder) {
    std::vector<std::string> found;
    for (const auto& [path, bytes] : folder_contents(folder)) {
      found.push_back(path.substr(folder.size()));
    }
    return found;
  };
  EXPECT_EQ(names(run), names(alone));
  expect_equal_runs(run, alone);
}

TEST(TwoRuns, StartedInOneFolderAtOnceOneIsAloneThere) {
  for (int i = 0; i < 20; ++i) {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    RunningCommand first(train_words(run, "1", kForEver));
    RunningCommand second(train_words(run, "2", kForEver));
    const bool is_first = is_first_refused(first, second);
    RunningCommand& winner = is_first ? second : first;
    expect_refused(is_first ? first : second, winner);
    interrupt(winner, run);
    ASSERT_EQ(
        run_command(train_words(folder / "alone", is_first ? "2" : "1", steps_of(run))).exit_code,
        0);
    expect_as_if_alone(run, folder / "alone");
    if (HasFailure()) return;
  }
}

TEST(TwoRuns, ResumedAtOnceOneIsAloneThere) {
  for (int i = 0; i < 20; ++i) {
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    ASSERT_EQ(run_command(train_words(run, "1", "2000")).exit_code, 0);
    const std::pair<std::string, std::string> steps = {kForEver, "2000000000"};
    RunningCommand first({"train", "--resume", run, "--steps", steps.first});
    RunningCommand second({"train", "--resume", run, "--steps", steps.second});
    const bool is_first = is_first_refused(first, second);
    RunningCommand& winner = is_first ? second : first;
    expect_refused(is_first ? first : second, winner);
    interrupt(winner, run);
    EXPECT_THAT(read_bytes(run + "/config.toml"),
                HasSubstr("steps = " + (is_first ? steps.second : steps.first)));
    ASSERT_EQ(run_command(train_words(folder / "alone", "1", steps_of(run))).exit_code, 0);
    expect_as_if_alone(run, folder / "alone");
    if (HasFailure()) return;
  }
}

// Who has the folder open without its lock, as all the other losers for a moment, is not named.
TEST(TwoRuns, TheLoserNamesTheWinnerAlone) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  ASSERT_EQ(run_command(train_words(run, "1", "3000")).exit_code, 0);
  RunningCommand looker({"-c", "exec 9< " + run + "; exec sleep 1000"}, "/bin/sh");
  RunningCommand winner({"train", "--resume", run, "--steps", kForEver});
  ASSERT_TRUE(wait_for([&] { return checkpoint_step(run + "/checkpoint").value_or(0) > 3000; },
                       kPatienceNs));
  const CommandResult loser = run_command({"train", "--resume", run});
  EXPECT_EQ(loser.exit_code, 3) << loser;
  EXPECT_EQ(loser.error, "instep: " + run + ": " + is_training(winner) + '\n');
  interrupt(winner, run);
}

// A finished run is judged only by who has its folder.
TEST(TwoRuns, TheLoserChangesNothingAndOthersMayRead) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  ASSERT_EQ(run_command(train_words(run, "1", "3000")).exit_code, 0);
  const auto before = folder_contents(run);
  const FolderLock lock(run);
  const std::string who = "process " + std::to_string(getpid()) + " (folder_lock_tes) is training";
  for (const Words& words :
       {Words{"train", "--resume", run}, Words{"train", "--resume", run, "--steps", "4000"},
        train_words(run, "1", "3000")}) {
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_THAT(result.error, HasSubstr(who));
  }
  for (const Words& words : {Words{"info", run}, Words{"eval", run, "--episodes", "1"},
                             Words{"report", run, "--out", folder / "report.html"}}) {
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 0) << result;
  }
  EXPECT_EQ(folder_contents(run), before);
}

// The folder of several seeds is held by their parent, each seed's by the process that runs it.
TEST(TwoRuns, OfSeveralSeedsTheParentAndEachChildHaveTheirFolders) {
  const TemporaryFolder folder;
  const std::string all = folder / "all";
  RunningCommand seeds({"train", "dot_reacher", "--set", "hidden=8", "--seeds", "0..1", "--jobs",
                        "2", "--steps", kForEver, "--out", all});
  ASSERT_TRUE(wait_for(
      [&] {
        return std::filesystem::exists(all + "/s0/checkpoint") &&
               std::filesystem::exists(all + "/s1/checkpoint");
      },
      kPatienceNs));
  for (const std::string& each : {all, all + "/s0", all + "/s1"}) {
    const CommandResult result = run_command({"train", "--resume", each});
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_THAT(result.error, HasSubstr(each + ": process "));
    EXPECT_THAT(result.error, HasSubstr("is training in this folder"));
  }
  seeds.send(SIGINT);
  const CommandResult result = seeds.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  // One seed alone, while somebody has another.
  const FolderLock lock(all + "/s0");
  const std::int64_t made = std::max(checkpoint_step(all + "/s0/checkpoint").value_or(0),
                                     checkpoint_step(all + "/s1/checkpoint").value_or(0));
  const CommandResult resumed =
      run_command({"train", "--resume", all, "--steps", std::to_string(made + 1000)});
  EXPECT_EQ(resumed.exit_code, 3) << resumed;
  EXPECT_THAT(resumed.error, HasSubstr(all + "/s0: process "));
}

TEST(AFolderLock, IsFreeWhenItsProcessWasKilled) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  {
    RunningCommand killed(train_words(run, "1", kForEver));
    ASSERT_TRUE(
        wait_for([&] { return std::filesystem::exists(run + "/checkpoint"); }, kPatienceNs));
  }
  const FolderLock lock(run);
  EXPECT_THROW(FolderLock{run}, IoError);
}

TEST(AFolderLock, WarnsWhereTheFileSystemHasNone) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  SlowWorld world;
  world->flock_error = ENOTSUP;
  const CommandResult result = run_command(train_words(folder / "run", "1", "3000"));
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.error, HasSubstr("its file system has no locks"));
}

}  // namespace
}  // namespace instep

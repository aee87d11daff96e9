// Runs whose disk becomes full, and whose memory does: what is needed is kept, what is optional is
// left out, and one sentence says what to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "create2_on_pty.h"
#include "run_files.h"
#include "slow_world.h"
#include "temporary_folder.h"
#include "tools/library/run/session.h"
#include "wait_for.h"

namespace instep {
namespace {

using Words = std::vector<std::string>;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kPatienceNs = 120'000'000'000;

Words train_words(const std::string& folder, const std::string& steps) {
  return {"train",  "dot_reacher", "--set",   "hidden=8", "--set", "checkpoint_every=1000",
          "--seed", "1",           "--steps", steps,      "--out", folder};
}

std::int64_t step_of(const std::string& run) {
  return checkpoint_step(run + "/checkpoint").value_or(-1);
}

// The last checkpoint is newer than what stood when the disk became full, the episodes it counts
// are there, and the run goes on from it as if nothing had been.
TEST(FullDisk, ARunWritesItsLastCheckpointAndEnds) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  std::int64_t step = 0;
  {
    SlowWorld world;
    RunningCommand command(train_words(run, "1000000000"));
    ASSERT_TRUE(wait_for([&] { return step_of(run) >= 5000; }, kPatienceNs));
    world->is_disk_full = 1;
    const std::int64_t step_before = step_of(run);
    const CommandResult result = command.wait();
    EXPECT_EQ(result.exit_code, 3) << result;
    step = step_of(run);
    EXPECT_GT(step, step_before);
    EXPECT_THAT(result.error,
                HasSubstr("/episodes.csv: cannot be written: No space left on device; make room "
                          "there (`df -h` shows what is left); the last checkpoint, of step " +
                          std::to_string(step) + ", still stands: go on with --resume " + run));
  }
  const std::string steps = std::to_string(step + 2000);
  const CommandResult resumed = run_command({"train", "--resume", run, "--steps", steps});
  EXPECT_EQ(resumed.exit_code, 0) << resumed;
  ASSERT_EQ(run_command(train_words(folder / "alone", steps)).exit_code, 0);
  expect_equal_runs(run, folder / "alone");
}

// The system's own limit is like a full disk, and no signal that kills.
TEST(FullDisk, ALimitOfFileSizesEndsARunInOrder) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  std::string text = "ulimit -f 60; exec " + std::string(INSTEP_COMMAND);
  for (const std::string& word : train_words(run, "1000000000")) text += ' ' + word;
  const CommandResult result = RunningCommand({"-c", text}, "/bin/bash").wait();
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_THAT(result.error, HasSubstr("File too large; raise how large a file may be"));
  if (step_of(run) <= 0) return;  // already the first checkpoint is too large
  const std::string steps = std::to_string(step_of(run) + 2000);
  const CommandResult resumed = run_command({"train", "--resume", run, "--steps", steps});
  EXPECT_EQ(resumed.exit_code, 0) << resumed;
  ASSERT_EQ(run_command(train_words(folder / "alone", steps)).exit_code, 0);
  expect_equal_runs(run, folder / "alone");
}

// Its record is left out; it learns on, its checkpoints are written, and it stands at the end.
TEST(FullDisk, ARobotLearnsOnWithoutItsRecord) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  Create2OnPty robot;
  SlowWorld world;
  RunningCommand command({"train", "create_mover", "--time", "real", "--device", robot.path(),
                          "--out", run, "--steps", "100000", "--record", "--set",
                          "checkpoint_every=5", "--set", "hidden=16"});
  ASSERT_TRUE(wait_for([&] { return step_of(run) >= 20; }, kPatienceNs));
  world->is_disk_full = 1;
  const auto record_bytes = [&] { return std::filesystem::file_size(run + "/record"); };
  const std::int64_t step = step_of(run);
  ASSERT_TRUE(wait_for([&] { return step_of(run) >= step + 5; }, kPatienceNs));
  const auto bytes = record_bytes();
  ASSERT_TRUE(wait_for([&] { return step_of(run) >= step + 10; }, kPatienceNs));
  EXPECT_EQ(record_bytes(), bytes);
  EXPECT_TRUE(wait_for([&] { return robot.is_moving(); }, kPatienceNs));
  world->is_disk_full = 0;
  command.send(SIGINT);
  const CommandResult result = command.wait();
  EXPECT_FALSE(robot.is_moving());
  EXPECT_EQ(result.exit_code, 0) << result;
  // The warning had no room either: what this test reads is a file of that disk.
  for (const char* file : {"record", "packets"}) {
    EXPECT_THAT(
        result.out,
        HasSubstr("left out, as it could not be written to its end: " + std::string(file) + '\n'));
  }
  const auto summary = nlohmann::json::parse(read_bytes(run + "/summary.json"));
  EXPECT_THAT(summary.at("left_out").dump(), HasSubstr("\"record\""));
  EXPECT_THAT(read_bytes(run + "/report.html"), HasSubstr("record: it could not be written"));
  // As far as it goes it is whole.
  const CommandResult replay = run_command({"replay", run + "/record"});
  EXPECT_EQ(replay.exit_code, 0) << replay;
  const CommandResult packets = run_command({"watch", run + "/packets"});
  EXPECT_EQ(packets.exit_code, 0) << packets;
}

// It can be made again.
TEST(FullDisk, AReportThatCannotBeWrittenIsLeftOut) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  ASSERT_EQ(run_command(train_words(run, "3000")).exit_code, 0);
  std::filesystem::create_directories(run + "/report.html.new/in the way");
  const CommandResult result = run_command({"train", "--resume", run, "--steps", "4000"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.error, HasSubstr(run + "/report.html: cannot be written: "));
  EXPECT_THAT(result.error, HasSubstr("the run is complete without it"));
  EXPECT_THAT(result.out,
              HasSubstr("left out, as it could not be written to its end: report.html\n"));
  EXPECT_THAT(result.out, Not(HasSubstr("report: ")));
  EXPECT_EQ(step_of(run), 4000);
  std::filesystem::remove_all(run + "/report.html.new");
  EXPECT_EQ(run_command({"report", run}).exit_code, 0);
}

TEST(NoMemory, ASentenceSaysWhatToDo) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  SlowWorld world;
  world->memory_error = ENOMEM;
  for (const Words& more : {Words{}, Words{"--seeds", "0..1"}}) {
    Words words = {"train",   "dot_reacher", "--set", "hidden=512",
                   "--steps", "1000",        "--out", folder / (more.empty() ? "run" : "runs")};
    words.insert(words.end(), more.begin(), more.end());
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_THAT(result.error, HasSubstr("this machine has not enough memory left for the command: "
                                        "end other programs, or ask for less"));
    EXPECT_THAT(result.error, Not(HasSubstr("bad_alloc")));
  }
}

TEST(NoMemory, IsSaidOfAnAddressSpaceThatIsTooSmall) {
#ifdef INSTEP_SANITIZED
  GTEST_SKIP() << "a sanitizer takes terabytes of it";
#endif
  const TemporaryFolder folder;
  int refused = 0;
  for (int kib = 8'000; kib < 400'000; kib = kib * 5 / 4) {
    const std::string limited = "ulimit -v " + std::to_string(kib) + " && exec " + INSTEP_COMMAND;
    // Below that the system cannot even load the program.
    const bool is_loaded =
        RunningCommand({"-c", limited + " --version"}, "/bin/bash").wait().exit_code == 0;
    if (!is_loaded) continue;
    const std::string text =
        limited + " train dot_reacher --set hidden=512 --steps 500 --path scalar --out " +
        (folder / std::to_string(kib));
    const CommandResult result = RunningCommand({"-c", text}, "/bin/bash").wait();
    if (result.exit_code == 0) break;
    ++refused;
    EXPECT_EQ(result.exit_code, 3) << kib << result;
    EXPECT_THAT(result.error, HasSubstr("instep: "));
    EXPECT_THAT(result.error, Not(HasSubstr("bad_alloc")));
  }
  EXPECT_GT(refused, 0);
}

// A stack that ends would be a crash without a word, here or in a thread.
TEST(NoMemory, AStackThatIsTooSmallIsRefused) {
#ifdef INSTEP_SANITIZED
  GTEST_SKIP() << "a sanitizer needs a larger one";
#endif
  const TemporaryFolder folder;
  const auto run = [&](const std::string& kib) {
    const std::string out = folder / kib;
    return RunningCommand({"-c", "ulimit -s " + kib + " && exec " + INSTEP_COMMAND +
                                     " train dot_reacher --set hidden=8 --steps 500 --out " + out},
                          "/bin/bash")
        .wait();
  };
  for (const char* const kib : {"32", "64", "128", "512", "1023"}) {
    const CommandResult result = run(kib);
    EXPECT_EQ(result.exit_code, 3) << kib << result;
    EXPECT_EQ(result.error.rfind("instep: the stack is limited to " + std::string(kib) + " KiB", 0),
              0U)
        << result;
    EXPECT_THAT(result.error, HasSubstr("ulimit -s 8192"));
  }
  EXPECT_EQ(run("1024").exit_code, 0);
  EXPECT_EQ(run("unlimited").exit_code, 0);
}

}  // namespace
}  // namespace instep

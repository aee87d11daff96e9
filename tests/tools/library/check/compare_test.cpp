// compare names the first step and field, or the part of the learner, in which two runs differ.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "command.h"
#include "learner_of.h"
#include "run_files.h"
#include "runtime/algorithms/actor_critic/block_table.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

using testing::HasSubstr;

class Compare : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    train("first", {"--seed", "1"});
    train("second", {"--seed", "1", "--schedule", "act_first"});
    train("other_seed", {"--seed", "2"});
  }
  static void TearDownTestSuite() { delete folder_; }

  static void train(const std::string& name, const std::vector<std::string>& more,
                    const std::string& steps = "20000", const std::string& hidden = "hidden=8") {
    std::vector<std::string> words = {"train", "dot_reacher", "--steps", steps,
                                      "--set", hidden,        "--out",   *folder_ / name};
    words.insert(words.end(), more.begin(), more.end());
    const CommandResult result = run_command(words);
    ASSERT_EQ(result.exit_code, 0) << result;
  }

  static CommandResult compare(const std::string& a, const std::string& b) {
    return run_command({"compare", *folder_ / a, *folder_ / b});
  }

  // A copy of the first run with one byte of its newest snapshot changed, its checksums mended.
  static void change_snapshot(const std::string& name, std::size_t offset) {
    const std::string run = *folder_ / name;
    std::filesystem::remove_all(run);
    std::filesystem::copy(*folder_ / "first", run, std::filesystem::copy_options::recursive);
    const RunConfig config = read_config_toml(run + "/config.toml");
    CheckpointFile checkpoint(config.settings.checkpoint_every);
    open_checkpoint(checkpoint, run, true);
    std::vector<std::uint8_t> snapshot(checkpoint.snapshot().begin(), checkpoint.snapshot().end());
    snapshot.at(offset) ^= 1;
    ASSERT_EQ(checkpoint.write(checkpoint.step(), snapshot), 0);
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* Compare::folder_ = nullptr;

TEST_F(Compare, FindsEqualRunsEqual) {
  const CommandResult result = compare("first", "second");
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.out,
              HasSubstr("equal: every episode and every byte of the newest checkpoint"));
  EXPECT_EQ(compare("first", "first").exit_code, 0);
}

TEST_F(Compare, NamesTheFirstStepAndFieldOfOtherSeeds) {
  const CommandResult result = compare("first", "other_seed");
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_THAT(result.out, HasSubstr("seed: 1 and 2"));
  EXPECT_THAT(result.out, HasSubstr("episodes differ first at line 2, which ended at step "));
  EXPECT_THAT(result.out, HasSubstr("checkpoints of step 20000 differ first in: "));
}

// One field of one line is changed at a time; the time may be what it likes.
TEST_F(Compare, NamesEachField) {
  const std::string run = *folder_ / "edited";
  std::filesystem::copy(*folder_ / "first", run, std::filesystem::copy_options::recursive);
  const std::string header = "episode,step,return,length,terminated,seconds\n";
  const auto write = [](const std::string& folder, const std::string& lines) {
    write_bytes(*folder_ / folder + "/episodes.csv", lines);
  };
  write("edited", header + "1,100,-5.5,100,1,0.1\n2,250,-7,150,0,0.2\n");
  const std::string other = *folder_ / "edited_too";
  std::filesystem::copy(run, other, std::filesystem::copy_options::recursive);
  for (const auto& [line, words] : std::vector<std::pair<std::string, std::string>>{
           {"2,240,-7,140,0,0.2\n", "line 3, which ended at step 240: step 250 and 240"},
           {"2,250,-7.25,150,0,0.2\n", "line 3, which ended at step 250: return -7 and -7.25"},
           {"2,250,-7,149,0,0.2\n", "line 3, which ended at step 250: length 150 and 149"},
           {"2,250,-7,150,1,0.2\n", "line 3, which ended at step 250: terminated 0 and 1"},
           {"", "one run has 2, the other 1: the first that only one has ended at step 250"}}) {
    write("edited_too", header + "1,100,-5.5,100,1,0.1\n" + line);
    const CommandResult result = compare("edited", "edited_too");
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_THAT(result.out, HasSubstr(words));
  }
  write("edited_too", header + "1,100,-5.5,100,1,0.1\n3,250,-7,150,0,0.2\n");
  const CommandResult damaged = compare("edited", "edited_too");
  EXPECT_EQ(damaged.exit_code, 1) << damaged;
  EXPECT_THAT(damaged.error, HasSubstr("line 3 is damaged: episode is 3, expected 2"));
  write("edited_too", header + "1,100,-5.5,100,1,7\n2,250,-7,150,0,8\n");
  EXPECT_EQ(compare("edited", "edited_too").exit_code, 0);
}

TEST_F(Compare, NamesThePartOfTheCheckpoint) {
  RunSession session(read_config_toml(*folder_ / "first/config.toml"));
  const Layout& layout = learner_of(session.agent()).layout;
  const std::size_t block = session.loop().snapshot_bytes() - layout.bytes;
  change_snapshot("changed", offsetof(LoopState, episode_length));
  CommandResult result = compare("first", "changed");
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_THAT(result.out, HasSubstr("differ first in: loop state (byte "));

  change_snapshot("changed", block - 1);
  result = compare("first", "changed");
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_THAT(result.out, HasSubstr("differ first in: state of task dot_reacher"));

  for (const MemoryPart& part : block_parts(layout)) {
    change_snapshot("changed", block + part.offset + (part.offset == 0 ? 8 : 0));
    result = compare("first", "changed");
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_THAT(result.out, HasSubstr("differ first in: " + std::string(part.name) + " (byte "));
  }
}

TEST_F(Compare, TellsSettingsThatDiffer) {
  train("settings", {"--seed", "1", "--set", "discount=0.5", "--algo", "iac"});
  const CommandResult result = compare("first", "settings");
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_THAT(result.out, HasSubstr("algo: avg and iac"));
  EXPECT_THAT(result.out, HasSubstr("discount: 0.99 and 0.5"));
}

TEST_F(Compare, TellsRunsOfOtherLengthAndShape) {
  train("shorter", {"--seed", "1"}, "19000");
  CommandResult result = compare("first", "shorter");
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_THAT(result.out, HasSubstr("newest checkpoints are of step 20000 and 19000"));
  train("larger", {"--seed", "1"}, "20000", "hidden=12");
  result = compare("first", "larger");
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_THAT(result.out, HasSubstr("checkpoints are of learners of different shape"));
}

TEST_F(Compare, TellsRunsOfOtherTasks) {
  // What a run of another task is, its configuration says; its checkpoint is not even opened.
  const std::string run = *folder_ / "task";
  std::filesystem::copy(*folder_ / "first", run, std::filesystem::copy_options::recursive);
  std::string config = read_bytes(run + "/config.toml");
  const std::string name = "\"dot_reacher\"";
  config.replace(config.find(name), name.size(), "\"hopper\"");
  write_bytes(run + "/config.toml", config);
  const CommandResult result = compare("first", "task");
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_THAT(result.out, HasSubstr("task: dot_reacher and hopper"));
  EXPECT_THAT(result.out, HasSubstr("runs of different tasks have no step in common"));
}

}  // namespace
}  // namespace instep

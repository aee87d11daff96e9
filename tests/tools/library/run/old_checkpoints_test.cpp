// A run that an earlier version of the program left behind goes on: for every format version of the
// checkpoint there is one, made when that version was current, with what that program said about it
// and how its run went on.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "run_files.h"
#include "runtime/checkpoint.h"

namespace instep {
namespace {

constexpr std::size_t kVersionOffset = 8;  // in the header, after the magic word

std::string version_name(std::uint32_t version) {
  return "version_" + std::to_string(version);
}

std::string committed_run(const std::string& name) {
  return INSTEP_GOLDEN_DIR "/checkpoints/" + name;
}

// One run of AVG for every version, and what has been kept beside: IAC's of before the algorithms
// had tables of their own in config.toml.
std::vector<std::string> committed_runs() {
  std::vector<std::string> names = {version_name(1) + "_iac"};
  for (std::uint32_t version = 1; version <= kCheckpointVersion; ++version) {
    names.push_back(version_name(version));
  }
  return names;
}

std::uint32_t version_in(const std::string& checkpoint, std::size_t slot_begin) {
  std::uint32_t version = 0;
  std::memcpy(&version, checkpoint.data() + slot_begin + kVersionOffset, sizeof version);
  return version;
}

void set_version(const std::string& path, std::uint32_t version) {
  std::string bytes = read_bytes(path);
  for (const std::size_t slot_begin : {std::size_t{0}, bytes.size() / 2}) {
    std::memcpy(bytes.data() + slot_begin + kVersionOffset, &version, sizeof version);
  }
  write_bytes(path, bytes);
}

// The last line of a command that is to succeed, with --json.
nlohmann::json json_of(std::vector<std::string> words) {
  words.emplace_back("--json");
  const CommandResult result = run_command(words);
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(result.error.find("warning"), std::string::npos) << result;
  return nlohmann::json::parse(result.last_line());
}

// Every number that the earlier program knew is still the same to the last bit.
void expect_includes(const nlohmann::json& found, const nlohmann::json& expected) {
  for (const auto& [key, value] : expected.items()) EXPECT_EQ(found.at(key), value) << key;
}

class OldCheckpoint : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::filesystem::copy(committed_run(GetParam()), run(), std::filesystem::copy_options::none);
    expected_ = nlohmann::json::parse(read_bytes(run() + "/expected.json"));
  }

  std::string run() const { return folder_ / "run"; }

  TemporaryFolder folder_;
  nlohmann::json expected_;
};

TEST_P(OldCheckpoint, IsOfItsVersion) {
  const std::string bytes = read_bytes(run() + "/checkpoint");
  const std::uint32_t version = version_in(bytes, 0);
  EXPECT_EQ(version_in(bytes, bytes.size() / 2), version);
  EXPECT_EQ(GetParam().rfind(version_name(version), 0), 0U);
}

TEST_P(OldCheckpoint, Loads) {
  expect_includes(json_of({"info", run()}).at("checkpoint"), expected_.at("checkpoint"));
  EXPECT_EQ(json_of({"eval", run(), "--episodes", "3"}).at("mean_return"),
            expected_.at("eval_3_episodes_mean_return"));
}

TEST_P(OldCheckpoint, GoesOn) {
  const auto summary = json_of({"train", "--resume", run(), "--steps", "12000"});
  EXPECT_EQ(summary.at("steps"), 12'000);
  EXPECT_EQ(episodes_without_time(run()), read_bytes(run() + "/expected_episodes.csv"));
  expect_includes(json_of({"info", run()}).at("checkpoint"),
                  expected_.at("resumed_to_12000_steps"));
}

INSTANTIATE_TEST_SUITE_P(Run, OldCheckpoint, testing::ValuesIn(committed_runs()),
                         [](const auto& each) { return each.param; });

TEST(CheckpointOfAnotherVersion, IsRefusedWithBothVersions) {
  for (const std::uint32_t version : {0U, kCheckpointVersion + 1, 0xFFFFFFFFU}) {
    SCOPED_TRACE(version);
    const TemporaryFolder folder;
    const std::string run = folder / "run";
    std::filesystem::copy(committed_run(version_name(kCheckpointVersion)), run);
    set_version(run + "/checkpoint", version);
    const auto before = folder_contents(run);
    const std::string said = run + "/checkpoint: has format version " + std::to_string(version) +
                             ", this program reads versions 1 to " +
                             std::to_string(kCheckpointVersion) + "; use the program that wrote it";
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"train", "--resume", run, "--steps", "12000"},
          {"eval", run},
          {"info", run},
          {"train", "dot_reacher", "--set", "hidden=4", "--out", folder / "new", "--init", run}}) {
      const CommandResult result = run_command(words);
      EXPECT_EQ(result.exit_code, 1) << result;
      EXPECT_NE(result.error.find(said), std::string::npos) << result;
      EXPECT_EQ(result.out, "");
    }
    EXPECT_EQ(folder_contents(run), before);
  }
}

}  // namespace
}  // namespace instep

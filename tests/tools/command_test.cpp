// Wrong use of the command: a message that says what and where, the right exit code, nothing left
// behind.

#include "command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace instep {
namespace {

// What is typed, how it must end, and words its message must hold.
struct WrongUse {
  std::vector<std::string> arguments;
  int exit_code;
  std::string message;
};

TEST(Command, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string config = folder / "typo.toml";
  std::ofstream(config) << "[learner]\nactor_lr = 0.001\ncritic_rl = 0.001\n";
  const std::string full = folder / "full";
  std::filesystem::create_directory(full);
  std::ofstream(full + "/something") << "kept";
  const std::string nothing = folder / "nothing";
  const std::vector<WrongUse> cases = {
      {{}, 2, "--help"},
      {{"learn"}, 2, "--help"},
      {{"train"}, 2, "instep tasks"},
      {{"train", "dot_reacer"}, 2, "dot_reacher"},
      {{"train", "dot_reacher", "--steps", "0"}, 2, "--steps"},
      {{"train", "dot_reacher", "--steps", "-5"}, 2, "--steps"},
      {{"train", "dot_reacher", "--steps", "many"}, 2, "--steps"},
      {{"train", "dot_reacher", "--set", "actor_rl=0.1"}, 2, "actor_lr"},
      {{"train", "dot_reacher", "--set", "actor_lr=-1"}, 2, "actor_lr"},
      {{"train", "dot_reacher", "--set", "actor_lr"}, 2, "actor_lr"},
      {{"train", "dot_reacher", "--set", "hidden=6"}, 2, "multiple of 4"},
      {{"train", "dot_reacher", "--config", config}, 2, "typo.toml:3"},
      {{"train", "dot_reacher", "--config", nothing}, 2, "nothing"},
      {{"train", "dot_reacher", "--out", full}, 2, "not empty"},
      {{"train", "dot_reacher", "--out", full + "/something"}, 2, "something"},
      {{"train", "dot_reacher", "--backend", "cuda"}, 2, "cuda"},
      {{"train", "dot_reacher", "--path", "mmx"}, 2, "mmx"},
      {{"train", "dot_reacher", "--time", "real"}, 2, "real"},
      {{"train", "dot_reacher", "--device", "/dev/ttyUSB0"}, 2, "--time real"},
      {{"train", "dot_reacher", "--seeds", "3..1"}, 2, "--seeds"},
      {{"train", "dot_reacher", "--seeds", "a..b"}, 2, "--seeds"},
      {{"train", "dot_reacher", "--seeds", "0..1", "--jobs", "0"}, 2, "--jobs"},
      {{"train", "--resume", nothing}, 2, "nothing"},
      {{"train", "--resume", full, "--set", "hidden=8"}, 2, "--resume"},
      {{"eval", nothing}, 2, "nothing"},
      {{"compare", nothing, nothing}, 2, "nothing"},
      {{"verify", "--path", "mmx", "x"}, 2, "mmx"},
      {{"profile", "nothing"}, 2, "nothing"},
  };
  for (const WrongUse& wrong : cases) {
    const CommandResult result = run_command(wrong.arguments);
    std::string typed;
    for (const std::string& word : wrong.arguments) typed += ' ' + word;
    EXPECT_EQ(result.exit_code, wrong.exit_code) << typed << '\n' << result;
    EXPECT_NE(result.error.find(wrong.message), std::string::npos) << typed << '\n' << result;
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(full), {}), 1);
  EXPECT_FALSE(std::filesystem::exists(nothing));
}

TEST(Command, HelpAndVersionAreNoErrors) {
  for (const char* word : {"--help", "--version"}) EXPECT_EQ(run_command({word}).exit_code, 0);
  EXPECT_NE(run_command({"train", "--help"}).out.find("--resume"), std::string::npos);
}

// The last line of every command's --json has the keys that others read.
TEST(Command, JsonHasThePromisedKeys) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const auto expect_keys = [](const std::vector<std::string>& arguments,
                              const std::vector<std::string>& keys) {
    const CommandResult result = run_command(arguments);
    ASSERT_EQ(result.exit_code, 0) << result;
    const auto json = nlohmann::json::parse(result.last_line());
    for (const std::string& key : keys)
      EXPECT_TRUE(json.contains(key)) << arguments[0] << ": " << key;
  };
  expect_keys(
      {"train", "dot_reacher", "--steps", "500", "--set", "hidden=8", "--out", run, "--json"},
      {"task", "algo", "seed", "steps", "episodes", "mean_return_last_eighth", "steps_per_second",
       "dropped_updates", "missed_deadlines", "out"});
  expect_keys({"train", "dot_reacher", "--steps", "200", "--set", "hidden=8", "--seeds", "1..2",
               "--out", folder / "seeds", "--json"},
              {"task", "mean_return_last_eighth", "interval95", "runs"});
  expect_keys({"profile", "dot_reacher", "--updates", "100", "--json"},
              {"update_us", "observation_to_action_us", "wakeup_us", "phases_us", "bound_us",
               "state_bytes", "backend", "path", "schedule"});
  expect_keys({"tasks", "--json"}, {"tasks"});
  expect_keys({"info", run, "--json"}, {"memory", "paths", "checkpoint"});
}

}  // namespace
}  // namespace instep

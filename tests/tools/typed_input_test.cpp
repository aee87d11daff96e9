// What people type, and what they are answered: numbers, seeds and settings in the ways that people
// write them, names from other programs, runs named by what is at hand, and help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "command.h"
#include "run_files.h"
#include "tools/instep/command_line.h"

namespace instep {
namespace {

using Words = std::vector<std::string>;
using testing::HasSubstr;

// A command line, its exit code, and what it says on standard output or stderr. RUN, PARENT, SEEDS
// and NEW stand for folders.
struct Typed {
  Words words;
  int exit_code;
  const char* answer;
};

// Small, and done at once; `more` is what the case is about.
Words train(Words more) {
  Words words = {"train", "dot_reacher"};
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), {"--out", "NEW"});
  return words;
}

Words mover(Words more) {
  Words words = {"train", "create_mover", "--steps", "20", "--set", "hidden=4"};
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), {"--out", "NEW"});
  return words;
}

const Typed kTyped[] = {
    // Numbers
    {train({"--steps", "1e3", "--set", "hidden=4"}), 0, "done after 1000 steps"},
    {train({"--steps", "1k", "--set", "hidden=4"}), 0, "done after 1000 steps"},
    {train({"--steps", "1.5k", "--set", "hidden=4"}), 0, "done after 1500 steps"},
    {train({"--steps", "1_000", "--set", "hidden=4"}), 0, "done after 1000 steps"},
    {train({"--steps", "1,000", "--set", "hidden=4"}), 0, "done after 1000 steps"},
    {train({"--steps=1E3", "--set", "hidden=4"}), 0, "done after 1000 steps"},
    {train({"--steps", "0.5"}), 2, "--steps: must be a whole number of 1 to"},
    {train({"--steps", "1k5"}), 2, "not 1k5"},
    {train({"--steps", "10,00"}), 2, "not 10,00"},
    {train({"--steps", "1e30"}), 2, "not 1e30"},
    {train({"--steps", "many"}), 2, "not many"},
    {{"eval", "RUN", "--episodes", "2_0"}, 0, "over 20 episodes"},
    {{"profile", "dot_reacher", "--updates", "1k", "--set", "hidden=4"}, 0, "1000 updates"},
    {{"profile", "dot_reacher", "--rate", "fast"}, 2, "--rate: must be a number of 1 to 10000"},
    {{"profile", "dot_reacher", "--rate", "67", "--backend", "cuda-emulated"},
     2,
     "with --rate the CPU learns beside the loop"},
    // Seeds
    {train({"--seeds", "2", "--steps", "9", "--set", "hidden=4"}), 0, "2 of 2 seeds done"},
    {train({"--seeds", "3-4", "--steps", "9", "--set", "hidden=4"}), 0, "seed 4 "},
    {train({"--seeds", "0,1", "--steps", "9", "--set", "hidden=4"}), 0, "2 of 2 seeds done"},
    {train({"--seeds", "0,2"}), 2, "seeds must follow one another, as in 0,1,2"},
    {train({"--seeds", "0"}), 2, "as in 0..4, or how many, as in 5"},
    {train({"--seeds", "4-0"}), 2, "must name 1 to 1000 seeds in rising order"},
    {train({"--seeds", "all"}), 2, "as in 0..4, or how many, as in 5"},
    {train({"--seed", "0..4"}), 2, "several seeds are --seeds"},
    {train({"--seeds", "0", "1", "--steps", "9", "--set", "hidden=4"}), 0, "2 of 2 seeds done"},
    {train({"--seeds", "0", "2"}), 2, "seeds must follow one another, as in 0,1,2"},
    // Settings
    {train({"--steps", "9", "--set", "hidden=4", "feature_norm=on"}), 0, "feature_norm = true"},
    {train({"--steps", "9", "--set", "hidden=4", "feature_norm=off"}), 0, "feature_norm = false"},
    {train({"--steps", "9", "--set", "hidden=4", "feature_norm=1"}), 0, "feature_norm = true"},
    {train({"--steps", "9", "--set", "hidden=4", "feature_norm=0"}), 0, "feature_norm = false"},
    {train({"--steps", "9", "--set", "hidden=4,actor_lr=0.002"}), 0, "actor_lr = 0.002"},
    {train({"--set", "hidden=4", "checkpoint_every=2k", "--steps", "9"}), 0,
     "checkpoint_every = 2000"},
    {train({"--set", "feature_norm=maybe"}), 2, "must be false or true"},
    {train({"--set", "actor_lr=0,001"}), 2, "is not a number with a decimal point"},
    {train({"--set", "gamma=0.9"}), 2, "did you mean 'discount'?"},
    {train({"--set", "lr=0.9"}), 2, "did you mean 'actor_lr' or 'critic_lr'?"},
    {train({"--set", "alpha=0.9"}), 2, "did you mean 'entropy_coef'?"},
    {train({"--set", "Hidden=8"}), 2, "did you mean 'hidden'?"},
    {train({"--gamma", "0.9"}), 2, "did you mean the setting 'discount'"},
    {train({"--hidden", "8"}), 2, "it is a setting: --set hidden=VALUE"},
    {train({"hidden=8"}), 2, "did you mean --set hidden=8?"},
    {train({"--set=hidden=4", "actor_lr=0.003", "--steps", "9"}), 0, "actor_lr = 0.003"},
    {train({"--set", "hidden", "8"}), 2, "must be key=value, without spaces, as --set hidden=64"},
    {train({"--set", "hidden=4 actor_lr=0.004", "--steps", "9"}), 0, "actor_lr = 0.004"},
    {train({"--set", "hidden=4,", "actor_lr=0.005", "--steps", "9"}), 0, "actor_lr = 0.005"},
    {train({"--set", "hidden=4, actor_lr=0.006", "--steps", "9"}), 0, "actor_lr = 0.006"},
    {train({"--set", "hidden = 4", "--steps", "9"}), 0, "hidden = 4"},
    {train({"--set", "batch_size=32"}), 2, "it is a setting of sac, td3"},
    {train({"--set", "hidden:8"}), 2, "must be key=value, without spaces"},
    {train({"--set", "steps=9"}), 2, "use --steps"},
    {train({"--set", "batch=32"}), 2, "unknown key 'batch' of avg; it is a setting of sac, td3"},
    {train({"--algo", "sac", "--set", "entropy_coef=1"}), 2, "it is a setting of avg, iac"},
    {train({"--set", "at=100", "left_wheel=0.5"}), 2, "--change 'at=100000 NAME=VALUE'"},
    {train({"--set"}), 2, "--set: its value is missing"},
    {train({"steps=9"}), 2, "did you mean --steps 9?"},
    {train({"seed=3"}), 2, "did you mean --seed 3?"},
    {train({"gamma=0.9"}), 2, "did you mean the setting 'discount' (--set KEY=VALUE)?"},
    {train({"timesteps=9"}), 2, "did you mean --steps 9?"},
    {train({"wheel=0.5"}), 2, "settings are --set KEY=VALUE"},
    {train({"at=100", "left_wheel=0.5"}), 2, "did you mean --change 'at=100 NAME=VALUE'?"},
    // What happens to the world
    {mover({"--change", "at=5", "left_wheel=0.5"}), 0, "at=5 left_wheel=0.5"},
    {mover({"--change=at=5", "left_wheel=0.5", "delay=1"}), 0, "at=5 left_wheel=0.5 delay=1"},
    {mover({"--change", "at=1e1,", "left_wheel=0.5"}), 0, "at=1e1, left_wheel=0.5"},
    {mover({"--change", "at=5", "left_weel=0.5"}), 2, "it has left_wheel, right_wheel (0 to 1.5)"},
    {mover({"--change", "at=5", "left_wheel=9"}), 2, "could become 9; it has left_wheel"},
    {mover({"--change", "at=soon", "left_wheel=0.5"}), 2, "at=soon: must be a step, from 0 on"},
    {mover({"--change", "left_wheel=0.5"}), 2, "as in 'at=100000 left_wheel=0.6'"},
    {mover({"--change"}), 2, "--change: its value is missing"},
    {train({"--change", "at=5", "left_wheel=0.5"}), 2, "nothing of it can change"},
    {{"train", "--config", "RUN/config.toml", "hopper", "--out", "NEW"},
     2,
     "was written for task dot_reacher, not hopper; add --allow-other-task"},
    {{"train", "create_mover", "--config", "RUN/config.toml", "--allow-other-task", "--out", "NEW",
      "--steps", "9"},
     0,
     "warning: "},
    // Options and commands
    {train({"--step", "9"}), 2, "did you mean '--steps'?"},
    {train({"-steps", "9"}), 2, "did you mean --steps?"},
    {train({"--total_timesteps", "9"}), 2, "did you mean --steps?"},
    {train({"1e5"}), 2, "did you mean --steps 1e5?"},
    {train({"--backend", "gpu"}), 2, "must be one of auto, cpu, cuda, cuda-emulated, not gpu"},
    {train({"--algo", "AVG"}), 2, "must be one of avg, iac"},
    {{"train", "--env", "hopper"}, 2, "the task has no option before it"},
    {{"evaluate", "RUN"}, 2, "did you mean 'eval'?"},
    {{"resume", "RUN"}, 2, "did you mean 'train --resume'?"},
    {{"hopper"}, 2, "did you mean 'train hopper'?"},
    {{"--json", "tasks"}, 2, "options stand behind a command"},
    {{"tasks", "--jsn"}, 2, "did you mean '--json'?"},
    {train({"--steps"}), 2, "--steps: its value is missing, as in --steps N"},
    {train({"--steps="}), 2, "--steps: its value is missing"},
    {{"train", "--resume"}, 2, "--resume: its value is missing, as in --resume RUN"},
    {{"eval", "RUN", "-n", "5"}, 2, "did you mean --episodes?"},
    {{"eval", "RUN", "5"}, 2, "did you mean --episodes 5?"},
    {{"eval", "RUN", "episodes=5"}, 2, "did you mean --episodes 5?"},
    {{"eval", "RUN", "--steps", "5"}, 2, "did you mean --episodes?"},
    {{"profile", "dot_reacher", "--steps", "5"}, 2, "did you mean --updates?"},
    {{"info", "--version"}, 2, "`instep --version` says it"},
    {{"study"}, 2, "say which: random-search, yardsticks"},
    {{"study", "random", "hopper"}, 2, "did you mean 'random-search'?"},
    {{"study", "grid"}, 2, "say which: random-search, yardsticks"},
    {{"compare", "RUN"}, 2, "OTHER is required"},
    {{"compare", "RUN", "RUN", "RUN"}, 2, "was not expected"},
    // Tasks
    {{"train", "HalfCheetah-v4"}, 2, "did you mean 'half_cheetah'?"},
    {{"train", "Hopper"}, 2, "did you mean 'hopper'?"},
    {{"train", "half-cheetah"}, 2, "did you mean 'half_cheetah'?"},
    {{"train", "Walker2d-v5"}, 2, "did you mean 'walker2d'?"},
    {{"train", "create2"}, 2, "did you mean 'create_mover'?"},
    {{"settings", "Ant"}, 2, "did you mean 'ant'?"},
    {{"settings", "create_mover"}, 0, "left_wheel, right_wheel (0 to 1.5)"},
    {{"settings", "sac"}, 2, "did you mean `instep settings --algo sac`?"},
    {{"train", "ur5"}, 2, "did you mean 'ur_reacher2'?"},
    {{"train", "UR10e"}, 2, "did you mean 'ur_reacher2'?"},
    {{"train", "roomba"}, 2, "did you mean 'create_mover'?"},
    {{"train", "-t", "hopper"}, 2, "the task has no option before it"},
    {{"info", "humanoid2"}, 2, "is neither a run here nor a task; did you mean 'humanoid'?"},
    {{"info", "dot_reacher"}, 0, "task dot_reacher: 4 observations"},
    {{"doctor", "Create_Mover"}, 2, "did you mean 'create_mover'?"},
    // Runs
    {{"eval", "RUN/checkpoint", "--episodes", "1"}, 0, "over 1 episodes"},
    {{"eval", "RUN/report.html", "--episodes", "1"}, 0, "over 1 episodes"},
    {{"eval", "PARENT", "--episodes", "1"}, 0, "the newest run in it is"},
    {{"eval", "RUN/", "--episodes", "1"}, 0, "over 1 episodes"},
    {{"eval", "SEEDS", "--episodes", "1"}, 0, "/s1"},
    {{"info", "PARENT"}, 0, "the newest run in it is"},
    {{"report", "PARENT", "--out", "NEW"}, 0, "the newest run in it is"},
    {{"report", "SEEDS", "--out", "NEW"}, 0, "report: "},
    {{"compare", "RUN", "PARENT"}, 0, "the newest run in it is"},
    {{"profile", "RUN", "--updates", "100"}, 0, "dot_reacher, 100 updates"},
    {{"train", "--resume", "RUN/checkpoint"}, 0, "already finished (20000 steps)"},
    {{"eval", "no_such_run"}, 2, "no_such_run: no such folder"},
    {{"profile", "no_such_task"}, 2, "unknown task 'no_such_task'"},
    // Help
    {{}, 2, "Commands:"},
    {{"help"}, 0, "Commands:"},
    {{"help", "train"}, 0, "Usage: instep train [TASK]"},
    {{"train", "help"}, 0, "Usage: instep train [TASK]"},
    {{"help", "study", "random-search"}, 0, "Usage: instep study random-search TASK"},
    {{"-h"}, 0, "Commands:"},
    {{"-v"}, 0, "instep "},
    {{"version"}, 0, "instep "},
    {{"--version"}, 0, "instep "},
    {{"help", "tarin"}, 2, "unknown command 'tarin'; did you mean 'train'?"},
};

class TypedInput : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    const Words small = {"train", "dot_reacher", "--steps", "20000", "--set", "hidden=4", "--out"};
    for (const Words& more : {Words{*folder_ / "runs/a/run"},
                              Words{*folder_ / "seeds", "--seeds", "2", "--steps", "2000"}}) {
      Words words = small;
      if (more.size() > 1) words = {"train", "dot_reacher", "--set", "hidden=4", "--out"};
      words.insert(words.end(), more.begin(), more.end());
      const CommandResult result = run_command(words);
      ASSERT_EQ(result.exit_code, 0) << result;
    }
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string place(const std::string& word, const std::string& fresh) {
    const std::pair<const char*, std::string> places[] = {{"RUN", *folder_ / "runs/a/run"},
                                                          {"PARENT", *folder_ / "runs"},
                                                          {"SEEDS", *folder_ / "seeds"},
                                                          {"NEW", fresh}};
    for (const auto& [name, path] : places) {
      if (word == name || word.starts_with(std::string(name) + '/')) {
        return path + word.substr(std::string(name).size());
      }
    }
    return word;
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* TypedInput::folder_ = nullptr;

std::string text_of(const Words& words) {
  std::string text = "instep";
  for (const std::string& word : words) text += ' ' + word;
  return text;
}

TEST_F(TypedInput, IsAnswered) {
  EXPECT_GE(std::size(kTyped), 60U);
  int number = 0;
  for (const Typed& typed : kTyped) {
    SCOPED_TRACE(text_of(typed.words));
    const std::string fresh = *folder_ / ("new" + std::to_string(++number));
    Words words;
    for (const std::string& word : typed.words) words.push_back(place(word, fresh));
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, typed.exit_code) << result;
    // A new run's files say how its settings and what happens were understood.
    std::error_code error;
    std::string config;
    for (const char* const name : {"/config.toml", "/change.txt"}) {
      if (std::filesystem::exists(fresh + name, error)) config += read_bytes(fresh + name);
    }
    EXPECT_THAT(result.out + result.error + config, HasSubstr(typed.answer));
    if (typed.exit_code == 0) continue;
    EXPECT_THAT(result.error, HasSubstr("instep: "));
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(std::filesystem::exists(fresh, error)) << "left behind by a wrong command";
  }
}

TEST(Runs, AreLookedForWhereTheyAreMade) {
  const TemporaryFolder here;
  const std::string command = "cd " + here.path() + " && " + INSTEP_COMMAND +
                              " train dot_reacher --steps 9 --set hidden=4 && " + INSTEP_COMMAND +
                              " eval dot_reacher";
  const CommandResult result = RunningCommand({"-c", command}, "/bin/bash").wait();
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_THAT(result.error,
              HasSubstr("dot_reacher: no such folder; did you mean runs/dot_reacher?"));
}

// With --json standard output is one JSON object and nothing else.
TEST_F(TypedInput, JsonIsAlone) {
  const std::string run = *folder_ / "runs/a/run";
  for (const Words& words :
       {Words{"tasks"}, Words{"settings", "hopper"}, Words{"info", run}, Words{"doctor"},
        Words{"eval", run, "--episodes", "1"}, Words{"train", "--resume", run},
        Words{"profile", "dot_reacher", "--updates", "100"},
        Words{"verify", std::string(INSTEP_GOLDEN_DIR) + "/none"},
        train({"--steps", "9", "--set", "hidden=4"}),
        train({"--steps", "9", "--set", "hidden=4", "--seeds", "2"})}) {
    SCOPED_TRACE(text_of(words));
    Words all;
    for (const std::string& word : words)
      all.push_back(place(word, *folder_ / ("json" + words[0])));
    std::filesystem::remove_all(*folder_ / ("json" + words[0]));
    all.emplace_back("--json");
    const CommandResult result = run_command(all);
    if (result.exit_code == 2) {
      EXPECT_EQ(result.out, "");
      continue;
    }
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result;
    EXPECT_TRUE(nlohmann::json::parse(result.out).is_object());
    EXPECT_NE(result.error, "") << "the words are not gone";
  }
}

// A terminal of 60 columns. A longer line would begin a new one each time that it is rewritten.
TEST(Terminal, LinesFitIt) {
  const TemporaryFolder folder;
  const std::string train = std::string(INSTEP_COMMAND) +
                            " train create_mover --steps 30k --set hidden=4 --out " +
                            (folder / "run") + " >" + (folder / "words");
  for (const std::string& command : {train, std::string(INSTEP_COMMAND) + " tasks",
                                     std::string(INSTEP_COMMAND) + " settings hopper",
                                     std::string(INSTEP_COMMAND) + " help eval"}) {
    SCOPED_TRACE(command);
    const CommandResult result =
        RunningCommand({"-c", "unset COLUMNS; script -qec 'stty cols 60; " + command +
                                  "' /dev/null </dev/null"},
                       "/bin/bash")
            .wait();
    ASSERT_EQ(result.exit_code, 0) << result;
    std::string text = result.out;
    std::replace(text.begin(), text.end(), '\r', '\n');
    std::istringstream lines(text);
    int count = 0;
    for (std::string line; std::getline(lines, line);) {
      const std::size_t escape = line.find("\x1b[K");
      if (escape != std::string::npos) line.erase(escape);
      if (line.starts_with("Usage: ") || line.starts_with("  instep ")) continue;  // to be copied
      EXPECT_LE(line.size(), 60U) << line;
      count += line.empty() ? 0 : 1;
    }
    EXPECT_GE(count, 1);
  }
}

// ---------------------------------------------------------------------------------------------------
// The next step is said

TEST(NextStep, AfterARunIsToLookAtWhatItLearnt) {
  const TemporaryFolder folder;
  const std::string out = folder / "a run";  // a name that a shell must be told as one word
  const CommandResult result =
      run_command({"train", "dot_reacher", "--steps", "900", "--set", "hidden=4", "--out", out});
  EXPECT_THAT(result.out,
              HasSubstr("next: " + std::string(INSTEP_COMMAND) + " eval '" + out + "'\n"));
  EXPECT_THAT(result.out, HasSubstr("report: " + out + "/report.html\n"));
}

TEST(NextStep, AfterCtrlCIsToGoOn) {
  const TemporaryFolder folder;
  RunningCommand running(
      {"train", "dot_reacher", "--steps", "1G", "--set", "hidden=4", "--out", folder / "run"});
  std::error_code error;
  for (int i = 0; i < 5000 && !std::filesystem::exists(folder / "run/episodes.csv", error); ++i) {
    usleep(2000);
  }
  usleep(100'000);
  running.send(SIGINT);
  const CommandResult result = running.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.out, HasSubstr("go on with: " + std::string(INSTEP_COMMAND) +
                                    " train --resume " + (folder / "run") + "\n"));
}

TEST(NextStep, AfterSeedsWithoutAFolderIsOneReportOfAll) {
  const TemporaryFolder here;
  const std::string command = "cd " + here.path() + " && " + INSTEP_COMMAND +
                              " train dot_reacher --steps 9 --set hidden=4 --seeds 2";
  const CommandResult result = RunningCommand({"-c", command}, "/bin/bash").wait();
  EXPECT_THAT(result.out, testing::ContainsRegex(
                              "one report of all: [^ ]*instep report runs/dot_reacher/[^ ]*-s0 "
                              "runs/dot_reacher/[^ ]*-s1\n"));
}

TEST(NextStep, AfterAStudyIsToTrainWithItsBest) {
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  const CommandResult result = run_command({"study", "random-search", "create_mover", "--cells",
                                            "1", "--seeds", "1", "--steps", "3000", "--out", out});
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.out,
              HasSubstr("next: instep train create_mover --config " + out + "/best.toml\n"));
  EXPECT_EQ(run_command({"train", "create_mover", "--config", out + "/best.toml", "--steps", "9",
                         "--out", folder / "run"})
                .exit_code,
            0);
}

// Names of the commands that --help lists.
Words commands_of(const CommandResult& help) {
  Words names;
  std::istringstream lines(help.out.substr(help.out.find("Commands:")));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.starts_with("  ")) {
    const std::string name = line.substr(2, line.find(' ', 2) - 2);
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

void expect_full_help(const Words& command) {
  SCOPED_TRACE(text_of(command));
  Words words = command;
  words.emplace_back("--help");
  const CommandResult result = run_command(words);
  ASSERT_EQ(result.exit_code, 0) << result;
  const std::size_t examples = result.out.find("\nExamples:\n");
  ASSERT_NE(examples, std::string::npos) << result;
  EXPECT_EQ(std::count(result.out.begin() + static_cast<std::ptrdiff_t>(examples) + 1,
                       result.out.end(), '\n'),
            3)
      << result;
  // One entry begins with two spaces, and goes on with many.
  std::istringstream lines(result.out.substr(0, examples));
  std::string entry;
  const auto check = [&] {
    const bool is_option = entry.starts_with("  -") && entry.find("--help") == std::string::npos &&
                           entry.find("--version") == std::string::npos;
    if (!is_option) return;
    EXPECT_TRUE(entry.find("(default: ") != std::string::npos ||
                entry.find("(required)") != std::string::npos)
        << entry;
  };
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100U) << line;
    if (line.starts_with("   ")) {
      entry += line;
    } else {
      check();
      entry = line;
    }
  }
  check();
}

TEST_F(TypedInput, HelpNamesEveryDefaultAndTwoExamples) {
  const CommandResult help = run_command({"--help"});
  const Words commands = commands_of(help);
  EXPECT_GE(commands.size(), 15U);
  for (const std::string& name : commands) expect_full_help({name});
  expect_full_help({"study", "random-search"});
  expect_full_help({"study", "yardsticks"});
}

// What the examples of --help show is what the parser takes.
TEST_F(TypedInput, ExamplesOfHelpAreUnderstood) {
  int count = 0;
  for (const std::string& name : commands_of(run_command({"--help"}))) {
    const CommandResult help = run_command({name, "--help"});
    std::istringstream lines(help.out.substr(help.out.find("\nExamples:\n") + 11));
    for (std::string line; std::getline(lines, line); ++count) {
      SCOPED_TRACE(line);
      std::istringstream in(line);
      Words words;
      for (std::string word; in >> word;) words.push_back(word);
      std::vector<const char*> pointers;
      for (const std::string& word : words) pointers.push_back(word.c_str());
      const CommandLine parsed =
          parse_command_line(static_cast<int>(pointers.size()), pointers.data());
      EXPECT_TRUE(parsed.action);
    }
  }
  EXPECT_GE(count, 30);
}

}  // namespace
}  // namespace instep

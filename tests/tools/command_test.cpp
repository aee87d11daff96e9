// The command as users meet it: exit codes, messages, the last line of --json, and what runs leave.
#include "command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "run_files.h"
#include "tasks/registry.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

using Words = std::vector<std::string>;
using testing::HasSubstr;

bool has_mujoco() {
  return find_task("hopper")->make != nullptr;
}

// A small run of dot_reacher, made once for all tests that only look at one.
class Command : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    const CommandResult result =
        run_command({"train", "dot_reacher", "--steps", "20000", "--set", "hidden=8", "--seed", "2",
                     "--set", "checkpoint_every=5000", "--out", run(), "--json"});
    ASSERT_EQ(result.exit_code, 0) << result;
    trained_ = result.last_line();
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string run() { return *folder_ / "run"; }

  static TemporaryFolder* folder_;
  static std::string trained_;
};
TemporaryFolder* Command::folder_ = nullptr;
std::string Command::trained_;

// ---------------------------------------------------------------------------------------------------
// Wrong use

// A command line, how it ends, and what it says on stderr. RUN and SCRATCH stand for folders.
struct WrongUse {
  const char* name;
  Words words;
  int exit_code;
  const char* message;
};

const WrongUse kWrongUses[] = {
    {"NoCommand", {}, 2, "instep: say what to do"},
    {"UnknownCommand",
     {"trian", "dot_reacher"},
     2,
     "unknown command 'trian'; did you mean 'train'?"},
    {"UnknownOption", {"train", "dot_reacher", "--stepps", "3"}, 2, "--stepps"},
    {"NoTask", {"train"}, 2, "train needs a task (`instep tasks` lists them)"},
    {"UnknownTask",
     {"train", "halfcheeta"},
     2,
     "unknown task 'halfcheeta'; did you mean 'half_cheetah'?"},
    {"NoSteps",
     {"train", "dot_reacher", "--steps", "0"},
     2,
     "--steps: must be a whole number of 1 to"},
    {"NegativeSteps", {"train", "dot_reacher", "--steps", "-1"}, 2, "--steps"},
    {"StepsInWords", {"train", "dot_reacher", "--steps", "abc"}, 2, "--steps"},
    {"TooManySteps", {"train", "dot_reacher", "--steps", "99999999999999999999"}, 2, "--steps"},
    {"NegativeSeed",
     {"train", "dot_reacher", "--steps", "5", "--seed", "-1"},
     2,
     "--seed: must be a whole number of 0 to 18446744073709551615, not -1"},
    {"SeedTooLarge",
     {"eval", "RUN", "--seed", "18446744073709551616"},
     2,
     "--seed: must be a whole number"},
    {"SeedInWords",
     {"profile", "dot_reacher", "--updates", "5", "--seed", "x"},
     2,
     "--seed: must be a whole number"},
    {"UnknownKey",
     {"train", "dot_reacher", "--set", "actor_rl=0.1"},
     2,
     "--set actor_rl=0.1: unknown key 'actor_rl'; did you mean 'actor_lr'?"},
    {"OutOfRange",
     {"train", "dot_reacher", "--set", "discount=1.5"},
     2,
     "discount = 1.5 is out of range: must be at least 0 and at most 1"},
    {"NegativeRate",
     {"train", "dot_reacher", "--set", "actor_lr=-1"},
     2,
     "actor_lr = -1 is out of range: must be above 0"},
    {"NoMultiple", {"train", "dot_reacher", "--set", "hidden=6"}, 2, "a multiple of 4"},
    {"NoNumber",
     {"train", "dot_reacher", "--set", "discount=much"},
     2,
     "discount = much is not a number"},
    {"NoEquals", {"train", "dot_reacher", "--set", "hidden"}, 2, "--set hidden: must be key=value"},
    {"SetIsAnOption", {"train", "dot_reacher", "--set", "seed=3"}, 2, "use --seed"},
    {"SetTakesOneWord",
     {"train", "--set", "hidden=16", "dot_reacher", "--steps", "1e-5"},
     2,
     "must be a whole number of 1 to 4503599627370496, not 1e-5"},
    {"ChangeThatNeverComes",
     {"train", "create_mover", "--steps", "20", "--change", "at=100 left_wheel=0.5"},
     2,
     "at=100 is not within the run's 20 steps"},
    {"SetTwice",
     {"train", "dot_reacher", "--set", "hidden=8", "--set", "hidden=16"},
     2,
     "hidden is set twice"},
    {"ConfigTypo",
     {"train", "dot_reacher", "--config", "SCRATCH/typo.toml"},
     2,
     "typo.toml:3: unknown key 'actor_rl'; did you mean 'actor_lr'?"},
    {"ConfigSyntax",
     {"train", "dot_reacher", "--config", "SCRATCH/syntax.toml"},
     2,
     "syntax.toml:2: "},
    {"ConfigRange",
     {"train", "dot_reacher", "--config", "SCRATCH/range.toml"},
     2,
     "range.toml:4: hidden = 7"},
    {"ConfigMissing",
     {"train", "dot_reacher", "--config", "SCRATCH/none.toml"},
     2,
     "none.toml: cannot be read: No such file"},
    {"ConfigIsAFolder",
     {"train", "dot_reacher", "--config", "SCRATCH/empty"},
     2,
     "empty: is a folder, not a file"},
    {"OutNotEmpty",
     {"train", "dot_reacher", "--out", "RUN"},
     2,
     "is not empty; choose another folder, or continue the run in it with --resume"},
    {"OutIsAFile", {"train", "dot_reacher", "--out", "SCRATCH/file"}, 2, "file: is not a folder"},
    {"OutBelowAFile",
     {"train", "dot_reacher", "--out", "SCRATCH/file/run"},
     3,
     "file/run: cannot be made: Not a directory"},
    {"ResumeNothing", {"train", "--resume", "SCRATCH/none"}, 2, "none: no such folder"},
    {"ResumeNoRun", {"train", "--resume", "SCRATCH/empty"}, 2, "empty: is not a run's folder"},
    {"ResumeWithSet", {"train", "--resume", "RUN", "--set", "hidden=8"}, 2, "leave out --set"},
    {"ResumeWithSeed",
     {"train", "--resume", "RUN", "--seed", "2"},
     2,
     "leave out --set, --config, --algo, --seed"},
    {"ResumeWithOut", {"train", "--resume", "RUN", "--out", "SCRATCH/x"}, 2, "and --out"},
    {"ResumeOfAnotherTask",
     {"train", "hopper", "--resume", "RUN"},
     2,
     "is a run of task dot_reacher, not hopper"},
    {"SeedsGarbage",
     {"train", "dot_reacher", "--seeds", "lots"},
     2,
     "--seeds lots: write the first and the last seed, as in 0..4"},
    {"SeedsHalf",
     {"train", "dot_reacher", "--seeds", "1.."},
     2,
     "--seeds 1..: write the first and the last"},
    {"SeedsBackwards",
     {"train", "dot_reacher", "--seeds", "4..0"},
     2,
     "--seeds 4..0: must name 1 to 1000 seeds"},
    {"SeedsAndSeed",
     {"train", "dot_reacher", "--seeds", "0..1", "--seed", "3"},
     2,
     "--seeds cannot be combined"},
    {"SeedsAndResume",
     {"train", "--resume", "RUN", "--seeds", "0..1"},
     2,
     "--seeds cannot be combined"},
    {"NoJobs", {"train", "dot_reacher", "--seeds", "0..1", "--jobs", "0"}, 2, "--jobs"},
    {"UnknownBackend", {"train", "dot_reacher", "--backend", "tpu"}, 2, "--backend"},
    {"UnknownPath",
     {"train", "dot_reacher", "--path", "mmx"},
     2,
     "this machine has no path 'mmx'; it has:"},
    {"UnknownSchedule", {"train", "dot_reacher", "--schedule", "later"}, 2, "--schedule"},
    {"UnknownAlgorithm", {"train", "dot_reacher", "--algo", "dqn"}, 2, "--algo"},
    {"RealTime",
     {"train", "dot_reacher", "--time", "real"},
     2,
     "--time real needs --device, the port or address of the robot"},
    {"SacOnARobot",
     {"train", "create_mover", "--algo", "sac", "--time", "real", "--device", "/dev/ttyUSB0"},
     2,
     "sac cannot learn apart from the loop: an update of a whole batch takes milliseconds"},
    {"IacOnARobot",
     {"train", "create_mover", "--algo", "iac", "--time", "real", "--device", "/dev/ttyUSB0"},
     2,
     "--time real: iac cannot learn apart from the loop"},
    {"DeviceInSimulation",
     {"train", "dot_reacher", "--device", "/dev/ttyUSB0"},
     2,
     "--device /dev/ttyUSB0 needs --time real"},
    {"InitMissing",
     {"train", "dot_reacher", "--init", "SCRATCH/none", "--out", "SCRATCH/new"},
     2,
     "none: no such folder"},
    {"InitOfAnotherSize",
     {"train", "dot_reacher", "--init", "RUN", "--set", "hidden=12", "--out", "SCRATCH/new"},
     2,
     "its learner has other sizes or another algorithm"},
    {"InitMissingForSeeds",
     {"train", "dot_reacher", "--init", "SCRATCH/none", "--seeds", "0..1", "--out", "SCRATCH/new"},
     2,
     "none: no such folder"},
    {"EmptyInit", {"train", "dot_reacher", "--init", ""}, 2, "--init: must not be empty"},
    {"EmptyResume", {"train", "dot_reacher", "--resume", ""}, 2, "--resume: must not be empty"},
    {"EmptySeeds", {"train", "dot_reacher", "--seeds", ""}, 2, "--seeds: must not be empty"},
    {"EmptyOut", {"train", "dot_reacher", "--out", ""}, 2, "--out: must not be empty"},
    {"EmptyConfig", {"train", "dot_reacher", "--config", ""}, 2, "--config: must not be empty"},
    {"EmptyInfo", {"info", ""}, 2, "RUN: must not be empty"},
    {"EmptyInfoTask", {"info", "--task", ""}, 2, "--task: must not be empty"},
    {"JobsWithoutSeeds", {"train", "dot_reacher", "--jobs", "3"}, 2, "--jobs requires --seeds"},
    {"InfoOfRunAndTask", {"info", "RUN", "--task", "dot_reacher"}, 2, "excludes"},
    {"SecondsWithoutRate",
     {"profile", "dot_reacher", "--seconds", "5"},
     2,
     "--seconds requires --rate"},
    {"RateIsNan", {"profile", "dot_reacher", "--rate", "nan"}, 2, "--rate: must be a number"},
    {"UnlikeAnyCommand", {"xylophone"}, 2, "unknown command 'xylophone'; `instep --help` lists"},
    {"UnlikeAnyTask",
     {"train", "xylophone"},
     2,
     "unknown task 'xylophone'; `instep tasks` lists them"},
    {"UnlikeAnyKey",
     {"train", "dot_reacher", "--set", "xylophone=1"},
     2,
     "unknown key 'xylophone'; `instep settings --algo avg` lists them"},
    {"EvalNothing", {"eval"}, 2, "RUN is required"},
    {"EvalMissing", {"eval", "SCRATCH/none"}, 2, "none: no such folder"},
    {"EvalNoRun", {"eval", "SCRATCH/empty"}, 2, "empty: is not a run's folder"},
    {"EvalNoEpisodes", {"eval", "RUN", "--episodes", "0"}, 2, "--episodes"},
    {"InfoMissing", {"info", "SCRATCH/none"}, 2, "none: is neither a run here nor a task"},
    {"InfoUnknownTask", {"info", "--task", "hoper"}, 2, "did you mean 'hopper'?"},
    {"ReportMissing", {"report", "SCRATCH/none"}, 2, "none: no such folder"},
    {"ReportNoRun", {"report", "RUN", "SCRATCH/empty"}, 2, "empty: is not a run's folder"},
    {"ReportToAFolder",
     {"report", "RUN", "--out", "SCRATCH/empty"},
     2,
     "empty: is not a regular file"},
    {"ReportOfRawBytes", {"report", "SCRATCH/raw"}, 1, "raw/config.toml:2: is not UTF-8 text"},
    {"ReportWithoutEpisodes", {"report", "SCRATCH/config_only"}, 1, "episodes.csv: is missing"},
    {"CompareOne", {"compare", "RUN"}, 2, "OTHER is required"},
    {"CompareMissing", {"compare", "RUN", "SCRATCH/none"}, 2, "none: no such folder"},
    {"VerifyNothing", {"verify"}, 2, "FILE is required"},
    {"ReplayDevice", {"replay", "/dev/null"}, 2, "/dev/null: is no file; give a run's `record`"},
    {"VerifyMissing", {"verify", "SCRATCH/none"}, 2, "none: no such file"},
    {"VerifyUnknownPath",
     {"verify", "SCRATCH/file", "--path", "mmx"},
     2,
     "this machine has no path 'mmx'"},
    {"VerifyArithmetic", {"verify", "SCRATCH/file", "--arithmetic", "exact"}, 2, "--arithmetic"},
    {"ProfileUnknownTask", {"profile", "dot"}, 2, "unknown task 'dot'"},
    {"ProfileNoUpdates", {"profile", "dot_reacher", "--updates", "0"}, 2, "--updates"},
};

void replace(std::string& word, const std::string& from, const std::string& to) {
  const std::size_t at = word.find(from);
  if (at != std::string::npos) word.replace(at, from.size(), to);
}

TEST_F(Command, WrongUseIsToldAndLeavesNothing) {
  const TemporaryFolder scratch;
  write_bytes(scratch / "file", "no folder");
  write_bytes(scratch / "typo.toml", "[learner]\nhidden = 8\nactor_rl = 0.1\n");
  write_bytes(scratch / "syntax.toml", "[learner]\nhidden = = 8\n");
  write_bytes(scratch / "range.toml", "[learner]\n\n\nhidden = 7\n");
  for (const char* folder : {"empty", "raw", "config_only"}) {
    std::filesystem::create_directory(scratch / folder);
  }
  write_bytes(scratch / "raw/config.toml", "[run]\n\xff\xfe = 1\n");
  write_bytes(scratch / "raw/episodes.csv", "episode,step,return,length,terminated,seconds\n");
  write_bytes(scratch / "config_only/config.toml", "[run]\n");
  const auto run_before = folder_contents(run());
  const auto scratch_before = folder_contents(scratch.path());
  for (const WrongUse& use : kWrongUses) {
    SCOPED_TRACE(use.name);
    Words words = use.words;
    for (std::string& word : words) {
      replace(word, "RUN", run());
      replace(word, "SCRATCH", scratch.path());
    }
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, use.exit_code) << result;
    EXPECT_THAT(result.error, HasSubstr(use.message));
    EXPECT_THAT(result.error, testing::ContainsRegex("(^|\n)instep: ")) << result;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(folder_contents(run()), run_before);
    EXPECT_EQ(folder_contents(scratch.path()), scratch_before);
  }
}

TEST_F(Command, HelpAndVersionAreNoMistakes) {
  for (const Words& words :
       {Words{"--help"}, Words{"train", "--help"}, Words{"eval", "--help"}, Words{"verify", "-h"},
        Words{"profile", "--help"}, Words{"info", "--help"}, Words{"report", "--help"},
        Words{"compare", "--help"}, Words{"tasks", "--help"}}) {
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_THAT(result.out, HasSubstr("--help"));
    EXPECT_EQ(result.error, "");
  }
  const CommandResult version = run_command({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.rfind("instep ", 0), 0U) << version;
}

// ---------------------------------------------------------------------------------------------------
// The last line of --json

nlohmann::json last_json(const Words& words, int exit_code = 0) {
  const CommandResult result = run_command(words);
  EXPECT_EQ(result.exit_code, exit_code) << result;
  return nlohmann::json::parse(result.last_line());
}

void expect_keys(const nlohmann::json& object, const Words& keys) {
  for (const std::string& key : keys) EXPECT_TRUE(object.contains(key)) << key << " in " << object;
}

const Words kTrainKeys = {"task",
                          "algo",
                          "seed",
                          "steps",
                          "episodes",
                          "mean_return_last_eighth",
                          "steps_per_second",
                          "dropped_updates",
                          "missed_deadlines",
                          "out"};

TEST_F(Command, TrainTellsWhatItPromises) {
  const auto result = nlohmann::json::parse(trained_);
  expect_keys(result, kTrainKeys);
  EXPECT_EQ(result.at("task"), "dot_reacher");
  EXPECT_EQ(result.at("algo"), "avg");
  EXPECT_EQ(result.at("seed"), 2);
  EXPECT_EQ(result.at("steps"), 20'000);
  EXPECT_GT(result.at("steps_per_second"), 0.0);
  EXPECT_EQ(result.at("dropped_updates"), 0);
  EXPECT_EQ(result.at("missed_deadlines"), 0);
  EXPECT_EQ(result.at("out"), run());
  EXPECT_EQ(result.at("ended"), "done");

  // The numbers are those of episodes.csv.
  const std::string episodes = episodes_without_time(run());
  EXPECT_EQ(result.at("episodes"), std::count(episodes.begin(), episodes.end(), '\n') - 1);
  std::istringstream lines(episodes);
  std::string line;
  std::getline(lines, line);
  double sum = 0.0;
  int count = 0;
  while (std::getline(lines, line)) {
    long long episode = 0;
    long long step = 0;
    double episode_return = 0.0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%lld,%lld,%lf", &episode, &step, &episode_return), 3);
    if (step <= 17'500) continue;
    sum += episode_return;
    ++count;
  }
  if (count == 0) {
    EXPECT_TRUE(result.at("mean_return_last_eighth").is_null());
  } else {
    EXPECT_DOUBLE_EQ(result.at("mean_return_last_eighth").get<double>(), sum / count);
  }
}

TEST_F(Command, TrainIsSilentAboutWhatThereIsNot) {
  const auto result =
      last_json({"train", "dot_reacher", "--steps", "3", "--out", *folder_ / "short", "--json"});
  expect_keys(result, kTrainKeys);
  EXPECT_EQ(result.at("episodes"), 0);
  EXPECT_TRUE(result.at("mean_return_last_eighth").is_null());
}

TEST_F(Command, TrainOfSeveralSeedsTellsEach) {
  const std::string out = *folder_ / "seeds";
  const auto result = last_json({"train", "dot_reacher", "--steps", "20000", "--set", "hidden=8",
                                 "--seeds", "1..3", "--jobs", "2", "--out", out, "--json"});
  expect_keys(result, kTrainKeys);
  EXPECT_TRUE(result.at("seed").is_null());
  ASSERT_EQ(result.at("runs").size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& each = result.at("runs")[i];
    expect_keys(each, kTrainKeys);
    EXPECT_EQ(each.at("seed"), i + 1);
    EXPECT_EQ(each.at("out"), out + "/s" + std::to_string(i + 1));
  }
  EXPECT_TRUE(std::filesystem::exists(out + "/report.html"));
  // A run among several is the run it would be alone (but for its frequency of checkpoints).
  EXPECT_EQ(episodes_without_time(out + "/s2"), episodes_without_time(run()));
}

TEST_F(Command, SeveralSeedsAreAskedForMoreStepsBeforeAnyOfThemGoesOn) {
  const std::string out = *folder_ / "more";
  const CommandResult begun = run_command({"train", "dot_reacher", "--steps", "2000", "--set",
                                           "hidden=8", "--seeds", "0..1", "--out", out});
  ASSERT_EQ(begun.exit_code, 0) << begun;
  std::filesystem::remove_all(out + "/s1");  // begun later than the others
  const auto before = folder_contents(out);
  const CommandResult less = run_command({"train", "--resume", out, "--steps", "100"});
  EXPECT_EQ(less.exit_code, 2) << less;
  EXPECT_NE(less.error.find("seed 0 has already made 2000; --steps is the total"),
            std::string::npos)
      << less;
  EXPECT_EQ(folder_contents(out), before);
  // Of three that are done only those count in the mean that have one: an episode takes longer.
  const CommandResult done = run_command({"train", "dot_reacher", "--steps", "30", "--set",
                                          "hidden=8", "--seeds", "0..2", "--out", out + "2"});
  EXPECT_NE(done.out.find("3 of 3 seeds done: no mean yet"), std::string::npos) << done;
}

TEST_F(Command, EvalTellsMeanAndDeviation) {
  const auto result = last_json({"eval", run(), "--episodes", "3", "--json"});
  expect_keys(result, {"episodes", "mean_return", "std_return"});
  EXPECT_EQ(result.at("episodes"), 3);
  EXPECT_GE(result.at("std_return"), 0.0);
  EXPECT_EQ(last_json({"eval", run(), "--episodes", "3", "--json"}), result);
  EXPECT_NE(last_json({"eval", run(), "--episodes", "3", "--seed", "77", "--json"}), result);
  EXPECT_TRUE(last_json({"eval", run(), "--episodes", "1", "--json"}).at("std_return").is_null());
  EXPECT_EQ(result.at("deterministic"), false);
  EXPECT_NE(run_command({"eval", run()}).out.find("drawn as in training"), std::string::npos);
  const CommandResult mean = run_command({"eval", run(), "--deterministic"});
  EXPECT_NE(mean.out.find("always the mean action"), std::string::npos) << mean;
}

TEST_F(Command, ProfileTellsPercentiles) {
  const auto result =
      last_json({"profile", "dot_reacher", "--updates", "300", "--set", "hidden=8", "--json"});
  expect_keys(result, {"update_us", "observation_to_action_us", "wakeup_us", "phases_us",
                       "bound_us", "state_bytes", "backend", "path", "schedule"});
  for (const char* key : {"update_us", "observation_to_action_us"}) {
    const auto& percentiles = result.at(key);
    expect_keys(percentiles, {"p50", "p99", "p999", "max"});
    EXPECT_LE(percentiles.at("p50"), percentiles.at("p99"));
    EXPECT_LE(percentiles.at("p99"), percentiles.at("p999"));
    EXPECT_LE(percentiles.at("p999"), percentiles.at("max"));
  }
  EXPECT_LE(result.at("observation_to_action_us").at("p50"), result.at("update_us").at("p50"));
  EXPECT_GT(result.at("state_bytes"), 0);
}

TEST_F(Command, TasksAreAllListed) {
  const auto result = last_json({"tasks", "--json"});
  std::set<std::string> names;
  for (const auto& task : result.at("tasks")) {
    expect_keys(task, {"name", "observation_dim", "action_dim", "period_s", "available"});
    names.insert(task.at("name"));
  }
  EXPECT_EQ(names.size(), all_tasks().size());
  for (const TaskInfo& task : all_tasks()) EXPECT_TRUE(names.count(std::string(task.name)));
}

// Every key with the value, the bounds and the meaning that config.toml of such a run says.
TEST_F(Command, SettingsAreThoseARunBeginsWith) {
  for (const AlgorithmInfo* algorithm : all_algorithms()) {
    const std::string name(algorithm->name);
    const std::string run = *folder_ / ("settings_" + name);
    const CommandResult trained =
        run_command({"train", "dot_reacher", "--algo", name, "--steps", "1", "--out", run});
    ASSERT_EQ(trained.exit_code, 0) << trained;
    const std::string config = read_bytes(run + "/config.toml");
    const auto result = last_json({"settings", "dot_reacher", "--algo", name, "--json"});
    EXPECT_EQ(result.at("settings").size(), all_settings(*algorithm).size());
    for (const auto& row : result.at("settings")) {
      const auto text = [&](const char* key) { return row.at(key).get<std::string>(); };
      const std::string unit = text("unit").empty() ? "" : "; " + text("unit");
      EXPECT_THAT(config,
                  HasSubstr("# " + text("meaning") + " (" + text("allowed") + unit + ")\n"));
      EXPECT_EQ(format_value(read_config_toml(run + "/config.toml").settings, text("key")),
                text("default"));
    }
  }
  EXPECT_THAT(run_command({"settings", "--algo", "iac"}).out, HasSubstr("2.2e-05"));
}

TEST_F(Command, InfoTellsTheMemoryTable) {
  const auto result = last_json({"info", run(), "--json"});
  expect_keys(result, {"version", "compiler", "backends", "paths", "memory", "checkpoint"});
  EXPECT_EQ(result.at("checkpoint").at("step"), 20'000);
  EXPECT_EQ(result.at("shape").at(2), 8);
  std::int64_t snapshot_bytes = 0;
  for (const auto& part : result.at("memory")) {
    expect_keys(part, {"name", "bytes", "padding_bytes"});
    if (part.at("name") == "checkpoint snapshot") snapshot_bytes = part.at("bytes");
  }
  EXPECT_EQ(snapshot_bytes, result.at("checkpoint").at("snapshot_bytes"));
  EXPECT_TRUE(last_json({"info", "--json"}).at("checkpoint").is_null());
}

// ---------------------------------------------------------------------------------------------------
// What runs leave, and that they repeat

TEST_F(Command, ARunLeavesWhatItPromises) {
  for (const char* name :
       {"config.toml", "episodes.csv", "summary.json", "checkpoint", "report.html"}) {
    EXPECT_TRUE(std::filesystem::exists(run() + '/' + name)) << name;
  }
  const auto summary = nlohmann::json::parse(read_bytes(run() + "/summary.json"));
  EXPECT_EQ(summary.at("ended"), "done");
  expect_keys(summary, kTrainKeys);
  const std::string episodes = read_bytes(run() + "/episodes.csv");
  EXPECT_EQ(episodes.rfind("episode,step,return,length,terminated,seconds\n", 0), 0U);
  EXPECT_EQ(episodes.back(), '\n');
}

TEST_F(Command, TheDefaultFolderNamesTaskAndSeed) {
  const TemporaryFolder here;
  const std::string command = "cd " + here.path() + " && for i in 1 2; do " + INSTEP_COMMAND +
                              " train dot_reacher --steps 10 --set hidden=8 --seed 7; done";
  const CommandResult result = RunningCommand({"-c", command}, "/bin/bash").wait();
  ASSERT_EQ(result.exit_code, 0) << result;
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(here / "runs/dot_reacher")) {
    EXPECT_THAT(entry.path().filename().string(), testing::MatchesRegex("[0-9]+-[0-9]+-s7(-2)?"));
    ++count;
  }
  EXPECT_EQ(count, 2);
}

// Same seed, same bytes; another seed, others; the schedule changes nothing.
void expect_repeats(const std::string& task, const std::string& steps,
                    const std::string& algorithm) {
  const TemporaryFolder folder;
  const auto train = [&](const std::string& name, const Words& more) {
    Words words = {"train",   task,         "--steps",   steps,   "--algo",
                   algorithm, "--set",      "hidden=16", "--set", "checkpoint_every=900",
                   "--out",   folder / name};
    words.insert(words.end(), more.begin(), more.end());
    const CommandResult result = run_command(words);
    ASSERT_EQ(result.exit_code, 0) << result;
  };
  train("first", {"--seed", "5"});
  train("second", {"--seed", "5"});
  train("act_first", {"--seed", "5", "--schedule", "act_first"});
  train("other", {"--seed", "6"});
  expect_equal_runs(folder / "first", folder / "second");
  expect_equal_runs(folder / "first", folder / "act_first");
  EXPECT_NE(read_bytes(folder / "first/checkpoint"), read_bytes(folder / "other/checkpoint"));
  EXPECT_NE(episodes_without_time(folder / "first"), episodes_without_time(folder / "other"));
}

TEST(Runs, OfDotReacherRepeatBitForBit) {
  expect_repeats("dot_reacher", "20000", "avg");
  expect_repeats("dot_reacher", "20000", "iac");
}

TEST(Runs, OfMujocoRepeatBitForBit) {
  if (!has_mujoco()) GTEST_SKIP() << find_task("hopper")->missing;
  expect_repeats("hopper", "3000", "avg");
  expect_repeats("hopper", "3000", "iac");
}

// With portable arithmetic even the path is without effect.
TEST(Runs, WithPortableArithmeticDoNotTellThePaths) {
  const TemporaryFolder folder;
  const auto info = last_json({"info", "--json"});
  for (const auto& path : info.at("paths")) {
    const std::string name = path.get<std::string>();
    const CommandResult result =
        run_command({"train", "dot_reacher", "--steps", "3000", "--set", "hidden=72", "--set",
                     "arithmetic=portable", "--path", name, "--out", folder / name});
    ASSERT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(read_bytes(folder / name + "/checkpoint"),
              read_bytes(folder / info.at("paths")[0].get<std::string>() + "/checkpoint"))
        << name;
  }
}

TEST_F(Command, ConfigurationOfARunIsOneToStartFrom) {
  const std::string again = *folder_ / "again";
  const CommandResult result =
      run_command({"train", "--config", run() + "/config.toml", "--out", again});
  ASSERT_EQ(result.exit_code, 0) << result;
  expect_equal_runs(again, run());
}

TEST_F(Command, ReportsGoWhereTheyAreAskedTo) {
  const TemporaryFolder here;
  const std::string command = "cd " + here.path() + " && " + INSTEP_COMMAND + " report " + run() +
                              " --out one.html && " + INSTEP_COMMAND + " report " + run() + ' ' +
                              run();
  const CommandResult result = RunningCommand({"-c", command}, "/bin/bash").wait();
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_TRUE(std::filesystem::exists(here / "one.html"));
  EXPECT_TRUE(std::filesystem::exists(here / "report.html"));
  EXPECT_EQ(run_command({"report", run(), "--out", here / "no/one.html"}).exit_code, 3);
}

TEST_F(Command, NobodyReadingTheProgressIsNoReasonToStop) {
  const std::string command = std::string(INSTEP_COMMAND) +
                              " train dot_reacher --steps 20000 --seed 2 --set hidden=8 --set "
                              "checkpoint_every=5000 --out " +
                              (*folder_ / "unread") + " 2>&1 | true";
  RunningCommand({"-c", command}, "/bin/bash").wait();
  expect_equal_runs(*folder_ / "unread", run());
}

// A service is stopped by signals to every process of it, kill sends one to the first: both end all
// runs in order.
class Seeds : public testing::TestWithParam<bool> {};

TEST_P(Seeds, AreStoppedTogether) {
  const TemporaryFolder folder;
  RunningCommand command(
      {INSTEP_COMMAND, "train", "dot_reacher", "--steps", "1000000000", "--set", "hidden=8",
       "--seeds", "0..3", "--jobs", "2", "--out", folder / "runs", "--json"},
      "/usr/bin/setsid");
  const auto has_begun = [&](const char* name) {
    std::error_code error;
    return std::filesystem::file_size(folder / "runs/" + name + "/checkpoint", error) > 0 && !error;
  };
  for (int i = 0; i < 5000 && !(has_begun("s0") && has_begun("s1")); ++i) usleep(2000);
  usleep(300'000);
  const bool is_for_all = GetParam();
  ASSERT_EQ(kill(is_for_all ? -command.process() : command.process(), SIGTERM), 0);
  const CommandResult result = command.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  const auto summary = nlohmann::json::parse(result.last_line());
  ASSERT_EQ(summary.at("runs").size(), 2U);
  for (const auto& run : summary.at("runs")) EXPECT_EQ(run.at("ended"), "interrupted");
  EXPECT_EQ(summary.at("half_done"), nlohmann::json({0, 1}));
  EXPECT_EQ(summary.at("not_started"), nlohmann::json({2, 3}));
  EXPECT_TRUE(summary.at("mean_return_last_eighth").is_null()) << "a mean of half-done runs";
  EXPECT_NE(result.error.find("train --resume " + (folder / "runs")), std::string::npos) << result;
}

TEST(SeveralSeeds, AreFinishedByOneResume) {
  const TemporaryFolder folder;
  const std::string whole = folder / "whole";
  const std::string parts = folder / "parts";
  const std::vector<std::string> train = {"train",    "dot_reacher", "--steps", "3000", "--set",
                                          "hidden=8", "--seeds",     "0..2",    "--out"};
  for (const std::string& out : {whole, parts}) {
    std::vector<std::string> words = train;
    words.push_back(out);
    ASSERT_EQ(run_command(words).exit_code, 0);
  }
  std::filesystem::remove(parts + "/s1/summary.json");  // as if it had been killed at its end
  std::filesystem::remove_all(parts + "/s2");           // and this one never started
  const CommandResult result = run_command({"train", "--resume", parts, "--jobs", "2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(nlohmann::json::parse(result.last_line()).at("done"), 3);
  for (const char* seed : {"/s0", "/s1", "/s2"}) expect_equal_runs(parts + seed, whole + seed);
  EXPECT_EQ(run_command({"report", parts}).exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(OneOrAll, Seeds, testing::Bool());

}  // namespace
}  // namespace instep

#include "tools/library/run/settings_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/philox.h"
#include "tasks/registry.h"
#include "tools/library/error.h"

namespace instep {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A folder of its own for each test, with one file to read settings from.
class SettingsFile : public testing::Test {
 protected:
  SettingsFile() {
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "instep_" + test.test_suite_name() + "_" + test.name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    path_ = folder_ + "/config.toml";
  }
  ~SettingsFile() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  RunSettings applied(const std::string& text) const {
    write(text);
    RunSettings settings;
    apply_learner_table(settings, path_);
    return settings;
  }

  // What is said about the text, without the file's name in front.
  std::string config_problem(const std::string& text) const {
    write(text);
    return config_problem_of(path_);
  }

  static std::string config_problem_of(const std::string& path) {
    RunConfig config;
    try {
      apply_run_table(config, path);
      apply_learner_table(config.settings, path);
    } catch (const UsageError& error) {
      return without_prefix(error.what(), path);
    }
    return "accepted";
  }

  // What read_config_toml() says about the text, without the file's name in front.
  std::string damage(const std::string& text) const {
    write(text);
    try {
      read_config_toml(path_);
    } catch (const DataError& error) {
      return without_prefix(error.what(), path_);
    }
    return "accepted";
  }

  RunConfig read_back(const RunConfig& config) const {
    write(write_config_toml(config));
    return read_config_toml(path_);
  }

  static std::string without_prefix(const std::string& text, const std::string& prefix) {
    EXPECT_THAT(text, StartsWith(prefix));
    return text.substr(prefix.size());
  }

  std::string folder_;
  std::string path_;
};

using ConfigFile = SettingsFile;
using RunToml = SettingsFile;

RunConfig some_config() {
  RunConfig config;
  config.task = "hopper";
  config.seed = 7;
  config.steps = 1'000'000;
  config.path = "avx512";
  return config;
}

// Every field as bits, so that -0, denormals and last digits count.
std::string bits_of(const RunConfig& config) {
  std::ostringstream text;
  text << config.task << ' ' << config.seed << ' ' << config.steps << ' ' << config.backend << ' '
       << config.path << ' ' << static_cast<int>(config.schedule) << ' '
       << config.settings.algorithm->name << std::hex;
  for (const Setting* setting : all_settings(*config.settings.algorithm)) {
    text << ' ' << std::bit_cast<std::uint64_t>(value_of(config.settings, setting->name));
  }
  return text.str();
}

// A config whose every value is drawn from all that is allowed.
RunConfig random_config(std::uint64_t draw) {
  const Random random{.seed = 11, .stream = 0};
  std::uint32_t block = 0;
  const auto word = [&] { return random.bits(draw, block++)[0]; };
  const auto number = [&] { return (std::uint64_t{word()} << 32) | word(); };
  const auto fraction = [&] {  // full mantissa, of any size down to 1e-30
    return (static_cast<double>(number() >> 11) + 0.5) * 0x1p-53 *
           std::exp2(-static_cast<int>(word() % 46));
  };
  RunConfig config;
  config.task = word() % 2 == 0 ? "dot_reacher" : "walker2d";
  config.seed = number();
  config.steps = static_cast<std::int64_t>(number() >> 1);
  config.schedule = word() % 2 == 0 ? Schedule::kActFirst : Schedule::kThroughput;
  config.path = word() % 2 == 0 ? "scalar" : "avx2";
  RunSettings& settings = config.settings;
  settings.choose(*find_algorithm(word() % 2 == 0 ? "avg" : "iac"));
  SettingValues& values = settings.values;
  values.set("hidden", 4 + 4 * static_cast<int>(word() % 128));
  for (const char* key : {"discount", "actor_lr", "critic_lr", "beta2"})
    values.set(key, fraction());
  values.set("entropy_coef", 100.0 * fraction());
  values.set("beta1", word() % 2 == 0 ? 0.0 : fraction());
  values.set("adam_eps", 1e-30 + fraction() / 2.0);
  for (const char* key :
       {"observation_norm", "feature_norm", "td_error_scaling", "truncation_return"}) {
    values.set(key, word() % 2);
  }
  values.set("observation_norm_horizon",
             word() % 2 == 0 ? 0.0 : 2.0 + static_cast<double>(number() % 999'999'999'999));
  settings.arithmetic = word() % 2 == 0 ? Arithmetic::kFast : Arithmetic::kPortable;
  settings.checkpoint_every = 1 + static_cast<std::int64_t>(number() % 1'000'000'000);
  return config;
}

// The text with the first `from` replaced, which must be there.
std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return place == std::string::npos ? text : text.replace(place, from.size(), to);
}

// ---- --config

TEST_F(ConfigFile, SetsWhatItHoldsAndLeavesTheRest) {
  const RunSettings settings = applied(
      "# faster\n[learner]\nactor_lr = 0.25\nhidden = 64\nfeature_norm = false\n"
      "truncation_return = 'push'\ncheckpoint_every = 5_000\n");
  EXPECT_EQ(value_of(settings, "actor_lr"), 0.25);
  EXPECT_EQ(value_of(settings, "hidden"), 64);
  EXPECT_EQ(value_of(settings, "feature_norm"), 0.0);
  EXPECT_EQ(value_of(settings, "truncation_return"), 1.0);
  EXPECT_EQ(settings.checkpoint_every, 5000);
  EXPECT_EQ(value_of(settings, "critic_lr"), value_of(RunSettings(), "critic_lr"));
}

TEST_F(ConfigFile, GivesTheAlgorithmsOwnTableTheLastWord) {
  write("[learner]\nactor_lr = 0.1\nbeta2 = 0.4\n[avg]\nactor_lr = 0.2\n[iac]\nactor_lr = 0.3\n");
  for (const AlgorithmInfo* algorithm : {find_algorithm("avg"), find_algorithm("iac")}) {
    RunSettings settings;
    settings.choose(*algorithm);
    apply_learner_table(settings, path_);
    EXPECT_EQ(value_of(settings, "actor_lr"), algorithm->name == "avg" ? 0.2 : 0.3);
    EXPECT_EQ(value_of(settings, "beta2"), 0.4);
  }
  EXPECT_THAT(config_problem("[avg]\ncheckpoint_every = 5\n"),
              StartsWith(":2: unknown key 'checkpoint_every'"));
}

TEST_F(ConfigFile, MayBeEmptyOrHoldEmptyTables) {
  const std::uint64_t defaults = settings_hash({});
  EXPECT_EQ(settings_hash(applied("")), defaults);
  EXPECT_EQ(settings_hash(applied("# nothing\n")), defaults);
  EXPECT_EQ(settings_hash(applied("[learner]\n[run]\n")), defaults);
  EXPECT_EQ(settings_hash(applied("\xEF\xBB\xBF[learner]\n")), defaults);
}

TEST_F(ConfigFile, TakesWholeNumbersForRealKeysOnly) {
  EXPECT_EQ(value_of(applied("[learner]\ndiscount = 1\n"), "discount"), 1.0);
  EXPECT_EQ(
      config_problem("[learner]\nhidden = 256.0\n"),
      ":2: hidden is a real number, not an integer: must be a multiple of 4, at least 4 and at "
      "most 512");
}

TEST_F(ConfigFile, MayBeTheConfigOfARunWhoseLearnerItTakes) {
  RunConfig config = some_config();
  config.settings.values.set("actor_lr", 0.123);
  config.settings.arithmetic = Arithmetic::kPortable;
  config.settings.checkpoint_every = 77;
  const RunSettings settings = applied(write_config_toml(config));
  EXPECT_EQ(settings_hash(settings), settings_hash(config.settings));
  EXPECT_EQ(settings.checkpoint_every, 77);
}

TEST_F(ConfigFile, SaysWhatToRunButNotOnWhichMachine) {
  RunConfig whole = some_config();
  whole.settings.choose(*find_algorithm("iac"));
  whole.path = "none_of_ours";
  write(write_config_toml(whole));
  RunConfig config;
  config.path = "avx2";
  apply_run_table(config, path_);
  EXPECT_EQ(config.task, whole.task);
  EXPECT_EQ(config.settings.algorithm->name, "iac");
  EXPECT_EQ(config.seed, whole.seed);
  EXPECT_EQ(config.steps, whole.steps);
  EXPECT_EQ(config.schedule, whole.schedule);
  EXPECT_EQ(config.path, "avx2");
  write("[run]\nseed = 3\n");
  config.task = "walker2d";
  config.steps = 50;
  apply_run_table(config, path_);
  EXPECT_EQ(config.task, "walker2d");
  EXPECT_EQ(config.seed, 3U);
  EXPECT_EQ(config.steps, 50);
}

TEST_F(ConfigFile, NamesLineAndNearestOfAnUnknownKeyOrTable) {
  EXPECT_EQ(config_problem("[learner]\n\nactor_rl = 1.0\n"),
            ":3: unknown key 'actor_rl'; did you mean 'actor_lr'?");
  EXPECT_EQ(config_problem("# text\n[lerner]\nactor_lr = 1.0\n"),
            ":2: unknown table 'lerner'; did you mean 'learner'?");
  EXPECT_EQ(config_problem("[run]\ntask = 'hopper'\nsteps = 5\nsede = 1\n"),
            ":4: unknown key 'sede' in [run]; did you mean 'seed'?");
  EXPECT_EQ(config_problem("[learner]\n[learner.more]\nx = 1\n"),
            ":2: unknown key 'more'; `instep settings --algo avg` lists them");
  EXPECT_EQ(config_problem("\nactor_lr = 0.1\n"),
            ":2: 'actor_lr' belongs into the table [learner]");
  EXPECT_EQ(config_problem("\nsteps = 5\n"), ":2: 'steps' belongs into the table [run]");
  EXPECT_EQ(config_problem("stesp = 5\n"),
            ":1: unknown key 'stesp'; there are [learner] and [run]");
  EXPECT_EQ(config_problem("[run]\nsteps = -5\n"), ":2: steps is not valid: must be at least 1");
  EXPECT_EQ(config_problem("[run]\nsteps = 0\n"), ":2: steps is not valid: must be at least 1");
  EXPECT_EQ(config_problem("learner = 3\n"), ":1: learner must be a table");
  EXPECT_EQ(config_problem("[[learner]]\nactor_lr = 0.1\n"), ":1: learner must be a table");
  EXPECT_EQ(config_problem("[run]\n[learner]\n\"a\\nb\" = 1\n").substr(0, 24),
            ":3: unknown key 'a?b'; `");
}

TEST_F(ConfigFile, NamesLineKeyAndTypeOfAValueOfTheWrongType) {
  EXPECT_EQ(config_problem("[learner]\nactor_lr = \"0.1\"\n"),
            ":2: actor_lr is a string, not a real number: must be above 0 and at most 1");
  EXPECT_EQ(config_problem("[learner]\nfeature_norm = 1\n"),
            ":2: feature_norm is an integer, not a boolean: must be false or true");
  EXPECT_EQ(config_problem("[learner]\nfeature_norm = 'true'\n"),
            ":2: feature_norm is a string, not a boolean: must be false or true");
  EXPECT_EQ(config_problem("[learner]\narithmetic = true\n"),
            ":2: arithmetic is a boolean, not a string: must be fast or portable");
  EXPECT_THAT(config_problem("[learner]\nhidden = [4]\n"), HasSubstr(":2: hidden is an array"));
  EXPECT_THAT(config_problem("[learner.hidden]\n"), HasSubstr(":1: hidden is a table"));
  EXPECT_THAT(config_problem("[learner]\nbeta1 = 2020-01-01\n"),
              HasSubstr("beta1 is a date or time"));
  EXPECT_THAT(config_problem("[learner]\nbeta1 = 10:20:30\n"),
              HasSubstr("beta1 is a date or time"));
  EXPECT_THAT(config_problem("[learner]\nhidden = '64'\n"),
              HasSubstr("hidden is a string, not an integer"));
}

TEST_F(ConfigFile, NamesLineKeyAndBoundsOfAValueOutOfRange) {
  EXPECT_EQ(config_problem("[learner]\nbeta1 = 0.5\nactor_lr = -1\n"),
            ":3: actor_lr = -1 is out of range: must be above 0 and at most 1");
  EXPECT_EQ(
      config_problem("[learner]\nhidden = 510\n"),
      ":2: hidden = 510 is out of range: must be a multiple of 4, at least 4 and at most 512");
  EXPECT_EQ(config_problem("[learner]\ndiscount = nan\n"),
            ":2: discount = nan is not finite: must be at least 0 and at most 1");
  EXPECT_EQ(config_problem("[learner]\ndiscount = inf\n"),
            ":2: discount = inf is not finite: must be at least 0 and at most 1");
  EXPECT_EQ(config_problem("[learner]\narithmetic = 'slow'\n"),
            ":2: arithmetic = slow is not allowed: must be fast or portable");
  EXPECT_THAT(config_problem("[learner]\narithmetic = ''\n"),
              HasSubstr(":2: arithmetic has no value"));
}

TEST_F(ConfigFile, NamesTheLineOfWhatIsNoToml) {
  EXPECT_THAT(config_problem("[learner]\nactor_lr = 0.1\nactor_lr = 0.2\n"), StartsWith(":3: "));
  EXPECT_THAT(config_problem("[learner]\nbeta1 = 0.1\n[learner]\n"), StartsWith(":3: "));
  EXPECT_THAT(config_problem("[learner]\nactor_lr = \n"), StartsWith(":2: "));
  EXPECT_THAT(config_problem("[learner]\narithmetic = fast\n"), StartsWith(":2: "));
  EXPECT_THAT(config_problem("[learner]\nfeature_norm = True\n"), StartsWith(":2: "));
  EXPECT_THAT(config_problem("[learner]\nactor_lr = 0,5\n"), StartsWith(":2: "));
  EXPECT_THAT(config_problem("[learner]\nactor_lr = 1e400\n"), StartsWith(":2: "));
  EXPECT_THAT(config_problem("[learner]\nhidden = 99999999999999999999\n"), StartsWith(":2: "));
  EXPECT_THAT(config_problem("[learner\n"), StartsWith(":1: "));
  EXPECT_THAT(config_problem("\x7F"
                             "ELF\x02\x01"),
              StartsWith(":1: "));
  EXPECT_THAT(config_problem("[learner]\n# \xFF\xFE\n"), StartsWith(":2: "));
  EXPECT_THAT(config_problem(std::string("[learner]\n\0\0\0", 13)), StartsWith(":2: "));
  EXPECT_NE(config_problem("x = " + std::string(100'000, '[')), "accepted");
}

TEST_F(ConfigFile, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(config_problem_of(folder_ + "/absent.toml"),
            ": cannot be read: No such file or directory");
  EXPECT_EQ(config_problem_of(folder_), ": is a folder, not a file");
  EXPECT_EQ(config_problem("#" + std::string(1 << 20, ' ')),
            ": is larger than 1 MiB; settings are not");
  EXPECT_EQ(config_problem("#" + std::string((1 << 20) - 1, ' ')), "accepted");
}

// ---- --set

std::string set_problem(const std::vector<std::string>& options) {
  RunSettings settings;
  try {
    apply_set_options(settings, options);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(SetOptions, SetEachKeyTheyName) {
  RunSettings settings;
  apply_set_options(settings, std::vector<std::string>{});
  EXPECT_EQ(settings_hash(settings), settings_hash({}));
  apply_set_options(settings, std::vector<std::string>{"actor_lr=1e-3", "arithmetic=portable",
                                                       "checkpoint_every=3"});
  EXPECT_EQ(value_of(settings, "actor_lr"), 1e-3);
  EXPECT_EQ(settings.arithmetic, Arithmetic::kPortable);
  EXPECT_EQ(settings.checkpoint_every, 3);
}

TEST(SetOptions, SayWhatIsWrongWithWhichOption) {
  EXPECT_EQ(set_problem({"beta1=0", "actor_rl=1"}),
            "--set actor_rl=1: unknown key 'actor_rl'; did you mean 'actor_lr'?");
  EXPECT_EQ(set_problem({"actor_lr=-1"}),
            "--set actor_lr=-1: actor_lr = -1 is out of range: must be above 0 and at most 1");
  EXPECT_EQ(set_problem({"actor_lr"}),
            "--set actor_lr: must be key=value, without spaces, as --set hidden=64");
  EXPECT_EQ(set_problem({""}), "--set : must be key=value, without spaces, as --set hidden=64");
  EXPECT_EQ(set_problem({"actor_lr="}),
            "--set actor_lr=: actor_lr has no value: must be above 0 and at most 1");
  EXPECT_THAT(set_problem({"=1"}), HasSubstr("unknown key ''"));
  EXPECT_THAT(set_problem({" =1"}), HasSubstr("unknown key ''"));
  EXPECT_EQ(set_problem({"actor_lr =1"}), "accepted") << "as people type it in quotes";
  EXPECT_EQ(set_problem({"actor_lr= 1"}), "accepted");
  EXPECT_THAT(set_problem({"actor_lr=1=2"}), HasSubstr("actor_lr = 1=2 is not a number"));
}

TEST(SetOptions, RefuseAKeyGivenTwice) {
  EXPECT_EQ(set_problem({"actor_lr=0.1", "hidden=64", "actor_lr=0.1"}),
            "--set actor_lr=0.1: actor_lr is set twice");
}

// ---- config.toml

TEST_F(RunToml, SaysEveryValueInAStableText) {
  RunConfig config = some_config();
  config.settings.values.set("discount", 1.0);
  EXPECT_EQ(
      write_config_toml(config),
      R"(# What this run was started with. `instep train --config FILE` starts another like it.

[run]
# what is learnt (lower-case letters, digits, underscores and hyphens)
task = "hopper"
# the learner (avg or iac or sac or td3 or ppo or rac)
algo = "avg"
# key of every random number (0 to 18446744073709551615)
seed = 7
# length of the whole run (at least 1)
steps = 1000000
# when the actor's update is done (act_first or throughput)
schedule = "act_first"
# what computes (lower-case letters, digits, underscores and hyphens)
backend = "cpu"
# instruction set of the backend (lower-case letters, digits, underscores and hyphens)
path = "avx512"

[learner]
# portable: the same bits on every processor, at some cost in speed (fast or portable)
arithmetic = "fast"
# how often the run is saved (at least 1 and at most 1000000000; steps)
checkpoint_every = 10000

[avg]
# weight of the next step's value (gamma) (at least 0 and at most 1; per step)
discount = 1.0
# reward for acting at random (eta) (at least 0 and at most 100; reward per nat)
entropy_coef = 0.07
# step size of the actor's Adam (above 0 and at most 1)
actor_lr = 0.0063
# step size of the critic's Adam (above 0 and at most 1)
critic_lr = 0.0087
# decay of Adam's first moment; 0 stores none (at least 0 and below 1; per update)
beta1 = 0.0
# decay of Adam's second moment (at least 0 and below 1; per update)
beta2 = 0.999
# added to the root of Adam's second moment (at least 1e-30 and at most 1)
adam_eps = 1e-08
# size of each hidden layer (a multiple of 4, at least 4 and at most 512; units)
hidden = 256
# normalise observations (false or true)
observation_norm = true
# scale the last hidden layer to length 1 (false or true)
feature_norm = true
# divide the TD error by its scale (false or true)
td_error_scaling = true
# what a time limit does to the running return that scales the TD error (carry or push)
truncation_return = "carry"
# how far back observation statistics reach; 0: the whole life (0, or at least 2 and at most 1000000000000; steps)
observation_norm_horizon = 0
)");
}

TEST_F(RunToml, RoundTripsRandomConfigsBitForBit) {
  for (std::uint64_t draw = 0; draw < 200; ++draw) {
    const RunConfig config = random_config(draw);
    const RunConfig back = read_back(config);
    ASSERT_EQ(bits_of(back), bits_of(config)) << draw;
    ASSERT_EQ(write_config_toml(back), write_config_toml(config)) << draw;
    ASSERT_EQ(settings_hash(back.settings), settings_hash(config.settings)) << draw;
  }
}

// As the program wrote it before the algorithms had tables of their own.
TEST_F(RunToml, IsReadAlsoWhereLearnerHoldsEverything) {
  for (const char* algorithm : {"avg", "iac"}) {
    RunConfig config = some_config();
    config.settings.choose(*find_algorithm(algorithm));
    config.settings.values.set("actor_lr", 0.123);
    std::string text = write_config_toml(config);
    const std::string own_table = "\n[" + std::string(algorithm) + "]\n";
    text.erase(text.find(own_table), own_table.size());
    write(text);
    EXPECT_EQ(bits_of(read_config_toml(path_)), bits_of(config)) << algorithm;
    RunConfig other;
    apply_run_table(other, path_);
    apply_learner_table(other.settings, path_);
    EXPECT_EQ(settings_hash(other.settings), settings_hash(config.settings)) << algorithm;
  }
}

TEST_F(RunToml, RoundTripsTheLimitsOfEveryNumber) {
  constexpr std::uint64_t kSigned = std::numeric_limits<std::int64_t>::max();
  for (const std::uint64_t seed : {std::uint64_t{0}, kSigned, kSigned + 1, ~std::uint64_t{0}}) {
    RunConfig config = some_config();
    config.seed = seed;
    config.steps = std::max<std::int64_t>(1, static_cast<std::int64_t>(seed & kSigned));
    config.settings.values.set("actor_lr", 5e-324);
    config.settings.values.set("beta2", 0.9999999999999999);
    config.settings.values.set("beta1", 2.2250738585072014e-308);
    EXPECT_EQ(bits_of(read_back(config)), bits_of(config));
  }
}

TEST_F(RunToml, RoundTripsThePublishedSettingsOfEveryTask) {
  for (const TaskInfo& task : all_tasks()) {
    RunConfig config = some_config();
    config.task = task.name;
    config.steps = task.default_steps;
    apply_task_defaults(config.settings, task);
    EXPECT_EQ(bits_of(read_back(config)), bits_of(config)) << task.name;
  }
}

TEST_F(RunToml, RoundTripsUnderALocaleWithADecimalComma) {
  std::locale comma;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "es_ES.UTF-8"}) {
    try {
      comma = std::locale(name);
      break;
    } catch (const std::runtime_error&) {
      continue;  // not installed
    }
  }
  if (comma == std::locale::classic())
    GTEST_SKIP() << "no locale with a decimal comma is installed";
  const std::locale before = std::locale::global(comma);
  const RunConfig config = random_config(1);
  const std::string text = write_config_toml(config);
  write(text);
  const RunConfig back = read_config_toml(path_);
  std::locale::global(before);
  EXPECT_EQ(text, write_config_toml(config));
  EXPECT_EQ(bits_of(back), bits_of(config));
}

TEST_F(RunToml, LacksNoLineUnnoticed) {
  std::istringstream lines(write_config_toml(some_config()));
  std::string before;
  std::string line;
  int values = 0;
  while (std::getline(lines, line)) {
    const std::string after = lines.str().substr(before.size() + line.size() + 1);
    if (line.find(" = ") != std::string::npos && line[0] != '#') {
      const std::string key = line.substr(0, line.find(' '));
      EXPECT_THAT(damage(before + after),
                  testing::EndsWith(" has no " + key + "; restore it from a copy"));
      EXPECT_THAT(damage(before + line + "\n" + line + "\n" + after), HasSubstr(": "));
      EXPECT_THAT(damage(before + key + " = []\n" + after), HasSubstr(key + " is "));
      EXPECT_THAT(damage(before + key + " = -1\n" + after), HasSubstr(key + " "));
      EXPECT_THAT(damage(before + "x" + line + "\n" + after),
                  HasSubstr("unknown key 'x" + key + "'"));
      ++values;
    }
    before += line + "\n";
  }
  EXPECT_EQ(values, 22);
}

TEST_F(RunToml, IsDamagedWhereverItIsCutBeforeItsLastValue) {
  const std::string text = write_config_toml(some_config());
  const std::size_t complete =
      text.find("checkpoint_every = ") + 20;  // one digit of the last value
  for (std::size_t length = 0; length < complete; length += 7) {
    ASSERT_NE(damage(text.substr(0, length)), "accepted") << length;
  }
}

TEST_F(RunToml, NeverFailsInAnotherWayThanDataError) {
  const std::string text = write_config_toml(some_config());
  const Random random{.seed = 3, .stream = 0};
  int refused = 0;
  for (std::uint64_t draw = 0; draw < 400; ++draw) {
    const PhiloxBlock words = random.bits(draw, 0);
    std::string broken = text;
    broken[words[0] % text.size()] = static_cast<char>(words[1] % 256);
    if (words[2] % 2 == 0) broken.erase(words[3] % text.size(), words[2] % 40);
    refused += damage(broken) == "accepted" ? 0 : 1;  // any other exception fails the test
  }
  EXPECT_GT(refused, 100);
}

TEST_F(RunToml, NamesLineAndKeyOfADamagedValue) {
  const std::string text = write_config_toml(some_config());
  EXPECT_EQ(damage(replaced(text, "\"avg\"", "\"avq\"")),
            ":7: algo is not valid: must be avg or iac or sac or td3 or ppo or rac; restore it "
            "from a copy");
  EXPECT_EQ(damage(replaced(text, "seed = 7", "seed = -7")),
            ":9: seed is not valid: must be 0 to 18446744073709551615; restore it from a copy");
  EXPECT_THAT(damage(replaced(text, "seed = 7", "seed = '18446744073709551616'")),
              HasSubstr(":9: seed is not valid"));
  EXPECT_THAT(damage(replaced(text, "seed = 7", "seed = '7x'")),
              HasSubstr(":9: seed is not valid"));
  EXPECT_THAT(damage(replaced(text, "seed = 7", "seed = ''")), HasSubstr(":9: seed is not valid"));
  EXPECT_THAT(damage(replaced(text, "seed = 7", "seed = 7.0")), HasSubstr(":9: seed is not valid"));
  EXPECT_THAT(damage(replaced(text, "steps = 1000000", "steps = 1.5")),
              HasSubstr(":11: steps is not valid"));
  EXPECT_EQ(damage(replaced(text, "act_first\"", "act_last\"")),
            ":13: schedule is not valid: must be act_first or throughput; restore it from a copy");
  EXPECT_THAT(damage(replaced(text, "\"hopper\"", "\"../etc\"")),
              HasSubstr(":5: task is not valid"));
  EXPECT_THAT(damage(replaced(text, "\"hopper\"", "\"\"")), HasSubstr(":5: task is not valid"));
  EXPECT_THAT(damage(replaced(text, "\"avx512\"", "\"AVX\"")), HasSubstr(":17: path is not valid"));
  EXPECT_THAT(damage(replaced(text, "discount = 0.99", "discount = 9.99")),
              HasSubstr(":27: discount = 9.99 is out of range: must be at least 0"));
  EXPECT_THAT(damage(replaced(text, "\n[learner]\n", "\n\n")),
              HasSubstr("unknown key 'arithmetic' in [run]"));
}

TEST_F(RunToml, IsAnErrorWhenItCannotBeRead) {
  EXPECT_THROW(read_config_toml(folder_ + "/absent.toml"), DataError);
  EXPECT_THROW(read_config_toml(folder_), IoError);
  EXPECT_EQ(damage(""), ": [run] has no task; restore it from a copy");
}

}  // namespace
}  // namespace instep

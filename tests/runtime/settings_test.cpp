#include "runtime/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <clocale>
#include <cmath>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "kernels/philox.h"
#include "runtime/algorithms/actor_critic/actor_critic.h"

namespace instep {
namespace {

using testing::HasSubstr;

// What one key takes and refuses, at its bounds and just beyond; written down apart from the table.
struct KeyCase {
  std::string_view key;
  std::string_view allowed;
  std::vector<std::string_view> taken;
  std::vector<std::string_view> refused;
};

void PrintTo(const KeyCase& key_case, std::ostream* out) {
  *out << key_case.key;
}

const std::vector<KeyCase>& key_cases() {
  constexpr std::string_view kStepSize = "above 0 and at most 1";
  constexpr std::string_view kDecay = "at least 0 and below 1";
  static const std::vector<KeyCase> kCases = {
      {"discount",
       "at least 0 and at most 1",
       {"0", "0.99", "1"},
       {"-5e-324", "1.0000000000000002"}},
      {"entropy_coef",
       "at least 0 and at most 100",
       {"0", "100"},
       {"-0.001", "100.00000000000001"}},
      {"actor_lr", kStepSize, {"5e-324", "1.1e-05", "1"}, {"0", "-0", "-1", "1.0000000000000002"}},
      {"critic_lr", kStepSize, {"5e-324", "7.7e-05", "1"}, {"0", "-0", "-1", "1.0000000000000002"}},
      {"beta1", kDecay, {"0", "0.9", "0.9999999999999999"}, {"-5e-324", "1", "2"}},
      {"beta2", kDecay, {"0", "0.999", "0.9999999999999999"}, {"-5e-324", "1", "2"}},
      {"adam_eps", "at least 1e-30 and at most 1", {"1e-30", "1e-08", "1"}, {"0", "9e-31", "1.1"}},
      {"hidden",
       "a multiple of 4, at least 4 and at most 512",
       {"4", "64", "252", "512"},
       {"0", "-4", "2", "5", "510", "516", "256.0", "2e2.", "2e-2", "99999999999999999999"}},
      {"observation_norm", "false or true", {"true", "false"}, {"2", "-1", "tru"}},
      {"feature_norm", "false or true", {"true", "false"}, {"0.0", "oon", "truee"}},
      {"td_error_scaling", "false or true", {"true", "false"}, {"none", "of"}},
      {"truncation_return", "carry or push", {"carry", "push"}, {"Carry", "0", "true", "carry "}},
      {"observation_norm_horizon",
       "0, or at least 2 and at most 1000000000000",
       {"0", "2", "3", "1000000000000"},
       {"1", "-1", "1000000000001", "1e13", "9223372036854775808"}},
      {"arithmetic", "fast or portable", {"fast", "portable"}, {"exact", "FAST", "fast,portable"}},
      {"checkpoint_every",
       "at least 1 and at most 1000000000",
       {"1", "10000", "1000000000"},
       {"0", "-1", "1000000001", "0.5"}},
  };
  return kCases;
}

const AlgorithmInfo& kAvg = *find_algorithm("avg");
const std::vector<const Setting*> kKeys = all_settings(kAvg);

// Settings that differ from the defaults wherever a test would otherwise see no change.
RunSettings other_settings() {
  RunSettings settings;
  put_value(settings, "discount", 0.5);
  put_value(settings, "hidden", 128.0);
  put_value(settings, "feature_norm", 0.0);
  return settings;
}

std::vector<std::string> all_values(const RunSettings& settings) {
  std::vector<std::string> values;
  for (const Setting* setting : all_settings(*settings.algorithm)) {
    values.push_back(format_value(settings, setting->name));
  }
  return values;
}

class EveryKey : public testing::TestWithParam<KeyCase> {};

TEST_P(EveryKey, TakesItsBoundsAndGivesThemBackAsTheyWereWritten) {
  const KeyCase& key_case = GetParam();
  for (const std::string_view text : key_case.taken) {
    RunSettings settings = other_settings();
    EXPECT_EQ(set_value(settings, key_case.key, text), "");
    EXPECT_EQ(format_value(settings, key_case.key), text);
  }
}

TEST_P(EveryKey, ChangesNothingElse) {
  const KeyCase& key_case = GetParam();
  RunSettings settings = other_settings();
  std::vector<std::string> expected = all_values(settings);
  ASSERT_EQ(set_value(settings, key_case.key, key_case.taken.back()), "");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (kKeys[i]->name == key_case.key) expected[i] = key_case.taken.back();
  }
  EXPECT_EQ(all_values(settings), expected);
}

TEST_P(EveryKey, RefusesWhatLiesBeyondAndSaysWhatIsAllowed) {
  const KeyCase& key_case = GetParam();
  for (const std::string_view text : key_case.refused) {
    RunSettings settings = other_settings();
    const std::string problem = set_value(settings, key_case.key, text);
    EXPECT_THAT(problem,
                testing::StartsWith(std::string(key_case.key) + " = " + std::string(text)));
    EXPECT_THAT(problem, testing::EndsWith(": must be " + std::string(key_case.allowed)));
    EXPECT_EQ(all_values(settings), all_values(other_settings()));
  }
}

TEST_P(EveryKey, RefusesWhatIsNoValueAtAll) {
  const KeyCase& key_case = GetParam();
  for (const std::string_view text :
       {"",       " ",      "nan",  "-nan",     "nan(7)", "inf", "-inf", "infinity", "1e400",
        "-1e400", "1e-400", "0x10", "0x1p-3",   "0b1",    "1__", "+1",   " 1",       "1 ",
        "1\n",    "0,5",    "1,0",  "0.5.1",    "1e",     ".",   "-",    "--1",      "1f",
        "TRUTH",  "ja",     "null", "\xC2\xBD", "=",      "1=1"}) {
    RunSettings settings = other_settings();
    const std::string problem = set_value(settings, key_case.key, text);
    EXPECT_THAT(problem, testing::StartsWith(std::string(key_case.key))) << text;
    EXPECT_THAT(problem, testing::EndsWith(": must be " + std::string(key_case.allowed))) << text;
    EXPECT_EQ(all_values(settings), all_values(other_settings())) << text;
  }
  RunSettings settings = other_settings();
  EXPECT_NE(set_value(settings, key_case.key, std::string_view("1\0", 2)), "");
}

TEST_P(EveryKey, CountsInTheHashIfItDecidesBits) {
  const KeyCase& key_case = GetParam();
  RunSettings first = other_settings();
  RunSettings second = other_settings();
  ASSERT_EQ(set_value(first, key_case.key, key_case.taken.front()), "");
  ASSERT_EQ(set_value(second, key_case.key, key_case.taken.back()), "");
  EXPECT_EQ(settings_hash(first) != settings_hash(second), key_case.key != "checkpoint_every");
}

INSTANTIATE_TEST_SUITE_P(Settings, EveryKey, testing::ValuesIn(key_cases()),
                         [](const auto& each) { return std::string(each.param.key); });

TEST(Settings, HasACaseForEveryKeyAndTextsForUsers) {
  ASSERT_EQ(kKeys.size(), key_cases().size());
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < key_cases().size(); ++i) {
    const Setting& setting = *kKeys[i];
    EXPECT_EQ(setting.name, key_cases()[i].key);
    EXPECT_EQ(allowed_values(setting), key_cases()[i].allowed);
    EXPECT_EQ(find_setting(kAvg, setting.name), &setting);
    EXPECT_NE(setting.help, "") << setting.name;
    EXPECT_EQ(setting.help.find('\n'), std::string_view::npos) << setting.name;
    names.insert(setting.name);
  }
  EXPECT_EQ(names.size(), key_cases().size());
  EXPECT_EQ(find_setting(kAvg, ""), nullptr);
  EXPECT_EQ(find_setting(kAvg, "leaky_slope"), nullptr);
}

TEST(Settings, ReachesTheFieldOfItsName) {
  RunSettings settings;
  const std::vector<std::pair<std::string_view, std::string_view>> values = {
      {"discount", "0.125"},
      {"entropy_coef", "0.25"},
      {"actor_lr", "0.375"},
      {"critic_lr", "0.5"},
      {"beta1", "0.625"},
      {"beta2", "0.75"},
      {"adam_eps", "0.875"},
      {"hidden", "64"},
      {"observation_norm", "false"},
      {"feature_norm", "false"},
      {"td_error_scaling", "false"},
      {"truncation_return", "push"},
      {"observation_norm_horizon", "77"},
      {"arithmetic", "portable"},
      {"checkpoint_every", "99"}};
  ASSERT_EQ(values.size(), kKeys.size());
  for (const auto& [key, text] : values) ASSERT_EQ(set_value(settings, key, text), "");
  const LearnerSettings learner =
      learner_settings(Algorithm::kAvg, settings.values, settings.arithmetic);
  EXPECT_EQ(learner.discount, 0.125);
  EXPECT_EQ(learner.entropy_coef, 0.25);
  EXPECT_EQ(learner.actor_lr, 0.375);
  EXPECT_EQ(learner.critic_lr, 0.5);
  EXPECT_EQ(learner.beta1, 0.625);
  EXPECT_EQ(learner.beta2, 0.75);
  EXPECT_EQ(learner.adam_eps, 0.875);
  EXPECT_EQ(learner.hidden, 64);
  EXPECT_FALSE(learner.observation_norm);
  EXPECT_FALSE(learner.feature_norm);
  EXPECT_FALSE(learner.td_error_scaling);
  EXPECT_EQ(learner.truncation_return, TruncationReturn::kPush);
  EXPECT_EQ(learner.observation_norm_horizon, 77);
  EXPECT_EQ(learner.arithmetic, Arithmetic::kPortable);
  EXPECT_EQ(settings.checkpoint_every, 99);
}

TEST(Settings, TakesItsOwnDefaults) {
  const RunSettings defaults;
  for (const Setting* setting : kKeys) {
    RunSettings settings = other_settings();
    const std::string text = format_value(defaults, setting->name);
    EXPECT_EQ(set_value(settings, setting->name, text), "") << setting->name;
    EXPECT_EQ(value_of(settings, setting->name), value_of(defaults, setting->name));
  }
}

TEST(Settings, SaysExactlyWhatIsWrong) {
  RunSettings settings;
  EXPECT_EQ(set_value(settings, "actor_rl", "1"),
            "unknown key 'actor_rl'; did you mean 'actor_lr'?");
  EXPECT_EQ(set_value(settings, "actor_lr", "-1"),
            "actor_lr = -1 is out of range: must be above 0 and at most 1");
  EXPECT_EQ(set_value(settings, "actor_lr", "1e400"),
            "actor_lr = 1e400 is out of range: must be above 0 and at most 1");
  EXPECT_EQ(set_value(settings, "actor_lr", "fast"),
            "actor_lr = fast is not a number: must be above 0 and at most 1");
  EXPECT_EQ(set_value(settings, "actor_lr", "inf"),
            "actor_lr = inf is not finite: must be above 0 and at most 1");
  EXPECT_EQ(set_value(settings, "actor_lr", ""),
            "actor_lr has no value: must be above 0 and at most 1");
  EXPECT_EQ(set_value(settings, "hidden", "12.5"),
            "hidden = 12.5 is not a whole number: must be a multiple of 4, at least 4 and at "
            "most 512");
  EXPECT_EQ(set_value(settings, "arithmetic", "slow"),
            "arithmetic = slow is not allowed: must be fast or portable");
  EXPECT_EQ(set_value(settings, "feature_norm", "maybe"),
            "feature_norm = maybe is not allowed: must be false or true");
}

TEST(Settings, CountsArePeoplesToWrite) {
  const std::pair<std::string_view, std::int64_t> numbers[] = {{"0", 0},
                                                               {"7", 7},
                                                               {"-3", -3},
                                                               {"100000", 100'000},
                                                               {"1e5", 100'000},
                                                               {"1E5", 100'000},
                                                               {"1e+5", 100'000},
                                                               {"2.5e3", 2'500},
                                                               {"100k", 100'000},
                                                               {"1.5M", 1'500'000},
                                                               {"2G", 2'000'000'000},
                                                               {"100_000", 100'000},
                                                               {"100,000", 100'000},
                                                               {"1,234,567", 1'234'567},
                                                               {"9223372036854775807", INT64_MAX}};
  for (const auto& [text, number] : numbers) EXPECT_EQ(whole_number(text), number) << text;
  for (const std::string_view text : {"",
                                      "k",
                                      "e5",
                                      "1e",
                                      "1e-5",
                                      "0.5",
                                      "1.5",
                                      "5.0",
                                      "1.2345k",
                                      "1k5",
                                      "1kk",
                                      "10,00",
                                      ",100",
                                      "100,",
                                      "1,0000",
                                      "1__0",
                                      "_1",
                                      "1_",
                                      "+5",
                                      " 5",
                                      "5 ",
                                      "0x10",
                                      "1e99999999999",
                                      "1e30",
                                      "9223372036854775808",
                                      "nan",
                                      "inf",
                                      "--5",
                                      "1,2.5k",
                                      "ten"}) {
    EXPECT_EQ(whole_number(text), std::nullopt) << text;
  }
}

TEST(Settings, OnAndOffArePeoplesToWrite) {
  for (const auto& [text, value] : {std::pair{"on", "true"},
                                    {"yes", "true"},
                                    {"1", "true"},
                                    {"True", "true"},
                                    {"off", "false"},
                                    {"no", "false"},
                                    {"0", "false"},
                                    {"FALSE", "false"}}) {
    RunSettings settings;
    EXPECT_EQ(set_value(settings, "feature_norm", text), "") << text;
    EXPECT_EQ(format_value(settings, "feature_norm"), value) << text;
  }
}

TEST(Settings, KnowsWhatOtherProgramsCallThem) {
  RunSettings settings;
  EXPECT_EQ(set_value(settings, "gamma", "1"), "unknown key 'gamma'; did you mean 'discount'?");
  EXPECT_EQ(set_value(settings, "lr", "1"),
            "unknown key 'lr'; did you mean 'actor_lr' or 'critic_lr'?");
  settings.choose(*find_algorithm("ppo"));
  EXPECT_EQ(set_value(settings, "learning_rate", "1"),
            "unknown key 'learning_rate'; did you mean 'lr'?");
}

TEST(Settings, KeepsMessagesOnOneReadableLine) {
  RunSettings settings;
  const std::string problem =
      set_value(settings, "beta1", "\x1B[31m\n\xFF" + std::string(5000, '9'));
  EXPECT_THAT(problem, HasSubstr("beta1 = ?[31m??999"));
  EXPECT_LT(problem.size(), 200U);
  const std::string unknown = set_value(settings, "a\nb" + std::string(100'000, 'x'), "1");
  EXPECT_THAT(unknown, HasSubstr("unknown key 'a?bxxx"));
  EXPECT_LT(unknown.size(), 200U);
}

TEST(Settings, NamesTheNearestKey) {
  const std::vector<std::pair<std::string_view, std::string_view>> pairs = {
      {"actor_lr", "actor_lr"},
      {"actor_rl", "actor_lr"},
      {"actorlr", "actor_lr"},
      {"actor-lr", "actor_lr"},
      {"lr_actor", "actor_lr"},
      {"Critic_LR", "critic_lr"},
      {"critic_learning_rate", "critic_lr"},
      {"eps", "adam_eps"},
      {"beta", "beta1"},
      {"beta_2", "beta2"},
      {"disount", "discount"},
      {"entropy", "entropy_coef"},
      {"hidden_dim", "hidden"},
      {"checkpoint", "checkpoint_every"},
      {"horizon", "observation_norm_horizon"},
      {"td_eror_scaling", "td_error_scaling"},
      {"truncation", "truncation_return"},
      {"arithmetics", "arithmetic"},
      {"feature_nrom", "feature_norm"}};
  std::vector<std::string_view> keys;
  for (const Setting* setting : kKeys) keys.push_back(setting->name);
  for (const auto& [text, key] : pairs) EXPECT_EQ(nearest_word(text, keys), key) << text;
  EXPECT_NE(find_setting(kAvg, nearest_word("", keys)), nullptr);
  EXPECT_NE(find_setting(kAvg, nearest_word(std::string(1'000'000, 'x'), keys)), nullptr);
}

TEST(Settings, RoundTripsEveryBitOfARealNumber) {
  const Random random{.seed = 5, .stream = 0};
  int taken = 0;
  for (std::uint64_t step = 0; step < 20'000; ++step) {
    const PhiloxBlock words = random.bits(step, 0);
    const double value = std::bit_cast<double>((std::uint64_t{words[0]} << 32) | words[1]);
    if (!(value > 0.0 && value <= 1.0)) continue;
    RunSettings settings;
    put_value(settings, "actor_lr", value);
    RunSettings back;
    ASSERT_EQ(set_value(back, "actor_lr", format_value(settings, "actor_lr")), "");
    ASSERT_EQ(std::bit_cast<std::uint64_t>(value_of(back, "actor_lr")),
              std::bit_cast<std::uint64_t>(value));
    ++taken;
  }
  EXPECT_GT(taken, 4000);
}

TEST(Settings, TurnsMinusZeroIntoZero) {
  RunSettings settings;
  EXPECT_EQ(set_value(settings, "discount", "-0.0"), "");
  EXPECT_FALSE(std::signbit(value_of(settings, "discount")));
  EXPECT_EQ(format_value(settings, "discount"), "0");
}

// A locale that writes one half as 0,5, for as long as this object lives.
class CommaLocale {
 public:
  CommaLocale() {
    for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "es_ES.UTF-8"}) {
      is_set_ = is_set_ || std::setlocale(LC_ALL, name) != nullptr;
    }
  }
  ~CommaLocale() { std::setlocale(LC_ALL, "C"); }
  CommaLocale(const CommaLocale&) = delete;
  CommaLocale& operator=(const CommaLocale&) = delete;
  bool is_set() const { return is_set_; }

 private:
  bool is_set_ = false;
};

TEST(Settings, WritesAPointWhateverTheLocale) {
  const CommaLocale locale;
  if (!locale.is_set()) GTEST_SKIP() << "no locale with a decimal comma is installed";
  ASSERT_STREQ(std::localeconv()->decimal_point, ",");
  RunSettings settings;
  EXPECT_EQ(set_value(settings, "actor_lr", "0.25"), "");
  EXPECT_EQ(value_of(settings, "actor_lr"), 0.25);
  EXPECT_EQ(format_value(settings, "actor_lr"), "0.25");
  EXPECT_NE(set_value(settings, "actor_lr", "0,5"), "");
  EXPECT_EQ(allowed_values(*find_setting(kAvg, "checkpoint_every")),
            "at least 1 and at most 1000000000");
}

TEST(Settings, HasAHashThatIsTheSameInEveryBuild) {
  // Computed apart from this program: 64-bit FNV-1a of the lines key=value.
  RunSettings settings;
  EXPECT_EQ(settings_hash(settings), 0xDC5F8DF802F0C519U);
  EXPECT_EQ(settings_hash(other_settings()), 0xB55337B6386B86EFU);
}

// Checkpoints know an algorithm by its number, and a run by the hash: neither may ever change.
TEST(Algorithms, KeepTheirNumbersAndTheirHashes) {
  RunSettings settings;
  settings.choose(*find_algorithm("iac"));
  for (const Setting& setting : kAvg.settings) {
    put_value(settings, setting.name, value_of(RunSettings(), setting.name));
  }
  EXPECT_EQ(kAvg.number, 0U);
  EXPECT_EQ(settings.algorithm->number, 1U);
  // With AVG's values, as IAC had them once.
  EXPECT_EQ(settings_hash(settings), 0x31399FB0F69C732AU);
}

class EveryAlgorithm : public testing::TestWithParam<const AlgorithmInfo*> {};

TEST_P(EveryAlgorithm, HasANameANumberAndSettingsOfItsOwn) {
  const AlgorithmInfo& info = *GetParam();
  EXPECT_EQ(find_algorithm(info.name), &info);
  EXPECT_EQ(find_algorithm(info.number), &info);
  EXPECT_FALSE(info.summary.empty());
  std::set<std::string_view> names;
  for (const Setting* setting : all_settings(info)) {
    SCOPED_TRACE(setting->name);
    EXPECT_TRUE(names.insert(setting->name).second);
    EXPECT_TRUE(is_allowed(*setting, setting->initial));
    EXPECT_NE(setting->help, "");
    EXPECT_EQ(find_setting(info, setting->name), setting);
  }
  std::string problem;
  EXPECT_FALSE(info.paths("cpu", Arithmetic::kFast, problem).empty());
  EXPECT_FALSE(info.paths("cpu", Arithmetic::kPortable, problem).empty());
  EXPECT_TRUE(info.paths("abacus", Arithmetic::kFast, problem).empty());
}

TEST_P(EveryAlgorithm, MakesAnAgentThatRepeatsBitForBitAndGoesOnFromItsState) {
  const AlgorithmInfo& info = *GetParam();
  AgentConfig config;
  config.observation_dim = 3;
  config.action_dim = 2;
  config.settings = SettingValues(info.settings);
  config.arithmetic = Arithmetic::kPortable;
  config.seed = 5;
  const auto observation_of = [](std::uint64_t step) {
    std::vector<double> observation(3);
    Random{7, 0}.normal(step, observation.data(), 3);
    return observation;
  };
  const auto run = [&](Agent& agent, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) {
      const bool is_end = i % 17 == 16;
      const float* action =
          agent.sense(observation_of(i).data(), 0.1 * static_cast<double>(i % 5), is_end, false);
      agent.update();
      ASSERT_EQ(action == nullptr, is_end);
      for (int k = 0; action != nullptr && k < 2; ++k) ASSERT_LE(std::abs(action[k]), 1.0F);
      if (!is_end) continue;
      ASSERT_NE(agent.begin_episode(observation_of(1000 + i).data()), nullptr);
      agent.update();
    }
  };
  const auto state_of = [](Agent& agent) {
    std::vector<std::uint8_t> state(agent.state_bytes());
    agent.save_state(state);
    return state;
  };
  const auto whole = info.make(config);
  const auto half = info.make(config);
  EXPECT_EQ(whole->observation_dim(), 3);
  EXPECT_EQ(whole->action_dim(), 2);
  for (Agent* agent : {whole.get(), half.get()}) {
    ASSERT_NE(agent->begin_episode(observation_of(999).data()), nullptr);
    agent->update();
  }
  run(*whole, 0, 120);
  run(*half, 0, 60);
  const auto other = info.make(config);
  ASSERT_TRUE(other->load_state(state_of(*half), half->step()));
  ASSERT_NE(other->open_action(), nullptr);
  run(*other, 60, 120);
  EXPECT_EQ(other->step(), whole->step());
  EXPECT_EQ(state_of(*other), state_of(*whole));

  // Memory: named parts in a row, of which the state is the beginning.
  std::size_t end = 0;
  for (const MemoryPart& part : whole->memory_parts()) {
    EXPECT_EQ(part.offset, end);
    EXPECT_FALSE(part.name.empty());
    end = part.offset + part.bytes;
  }
  EXPECT_GE(end, whole->state_bytes());
  EXPECT_FALSE(whole->load_state(std::vector<std::uint8_t>(whole->state_bytes() + 1), 0));

  // Nothing that is not finite comes in, and the agent goes on in a new episode.
  const std::vector<double> spoiled = {1.0, std::nan(""), 0.0};
  EXPECT_EQ(whole->sense(spoiled.data(), 0.0, false, false), nullptr);
  EXPECT_TRUE(whole->was_dropped());
  whole->update();
  ASSERT_NE(whole->begin_episode(observation_of(2).data()), nullptr);
  whole->update();
  EXPECT_FALSE(whole->was_dropped());

  // Weights come over to another seed's agent, whose policy then acts alike.
  config.seed = 6;
  const auto taker = info.make(config);
  ASSERT_TRUE(taker->take_weights(*other));
  const std::vector<double> shown = observation_of(3);
  const float noise[2] = {};
  const auto mine = taker->make_policy(false);
  const auto theirs = other->make_policy(false);
  const float* const a = mine->act(shown.data(), noise);
  const std::vector<float> first(a, a + 2);
  const float* const b = theirs->act(shown.data(), noise);
  EXPECT_EQ(first, std::vector<float>(b, b + 2));
}

INSTANTIATE_TEST_SUITE_P(Table, EveryAlgorithm,
                         testing::ValuesIn(all_algorithms().begin(), all_algorithms().end()),
                         [](const auto& each) { return std::string(each.param->name); });

}  // namespace
}  // namespace instep

#include "runtime/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/check.h"
#include "runtime/hash.h"

namespace instep {
namespace {

constexpr std::array<std::string_view, 2> kBooleanWords = {"false", "true"};
// In the order of the enumerations.
constexpr std::array<std::string_view, 2> kTruncationReturnWords = {"carry", "push"};
constexpr std::array<std::string_view, 2> kArithmeticWords = {"fast", "portable"};

template <typename Settings, typename Value>
auto& field(Settings& settings, Value LearnerSettings::*member) {
  return settings.learner.*member;
}

template <typename Settings, typename Value>
auto& field(Settings& settings, Value RunSettings::*member) {
  return settings.*member;
}

template <auto member>
double get(const RunSettings& settings) {
  return static_cast<double>(field(settings, member));
}

template <auto member>
void set(RunSettings& settings, double value) {
  auto& place = field(settings, member);
  place = static_cast<std::remove_reference_t<decltype(place)>>(value);
}

// An entry of the table: the setting that stands in that member.
template <auto member>
constexpr Setting entry(Setting setting) {
  setting.get = get<member>;
  setting.set = set<member>;
  if (setting.kind == SettingKind::kBoolean) setting.choices = kBooleanWords;
  if (!setting.choices.empty()) setting.max = static_cast<double>(setting.choices.size() - 1);
  return setting;
}

constexpr std::array kSettings = {
    entry<&LearnerSettings::discount>({.name = "discount",
                                       .max = 1.0,
                                       .unit = "per step",
                                       .help = "weight of the next step's value (gamma)"}),
    entry<&LearnerSettings::entropy_coef>({.name = "entropy_coef",
                                           .max = 100.0,
                                           .unit = "reward per nat",
                                           .help = "reward for acting at random (eta)"}),
    entry<&LearnerSettings::actor_lr>({.name = "actor_lr",
                                       .max = 1.0,
                                       .above_min = true,
                                       .help = "step size of the actor's Adam"}),
    entry<&LearnerSettings::critic_lr>({.name = "critic_lr",
                                        .max = 1.0,
                                        .above_min = true,
                                        .help = "step size of the critic's Adam"}),
    entry<&LearnerSettings::beta1>({.name = "beta1",
                                    .max = 1.0,
                                    .below_max = true,
                                    .unit = "per update",
                                    .help = "decay of Adam's first moment; 0 stores none"}),
    entry<&LearnerSettings::beta2>({.name = "beta2",
                                    .max = 1.0,
                                    .below_max = true,
                                    .unit = "per update",
                                    .help = "decay of Adam's second moment"}),
    // Adam divides by it in single precision, where anything much smaller would be 0.
    entry<&LearnerSettings::adam_eps>({.name = "adam_eps",
                                       .min = 1e-30,
                                       .max = 1.0,
                                       .help = "added to the root of Adam's second moment"}),
    entry<&LearnerSettings::hidden>({.name = "hidden",
                                     .kind = SettingKind::kInteger,
                                     .min = 4.0,
                                     .max = kHiddenDimMax,
                                     .multiple_of = 4,
                                     .unit = "units",
                                     .help = "size of each hidden layer"}),
    entry<&LearnerSettings::observation_norm>({.name = "observation_norm",
                                               .kind = SettingKind::kBoolean,
                                               .help = "normalise observations"}),
    entry<&LearnerSettings::feature_norm>({.name = "feature_norm",
                                           .kind = SettingKind::kBoolean,
                                           .help = "scale the last hidden layer to length 1"}),
    entry<&LearnerSettings::td_error_scaling>({.name = "td_error_scaling",
                                               .kind = SettingKind::kBoolean,
                                               .help = "divide the TD error by its scale"}),
    entry<&LearnerSettings::truncation_return>(
        {.name = "truncation_return",
         .kind = SettingKind::kChoice,
         .choices = kTruncationReturnWords,
         .help = "what a time limit does to the running return that scales the TD error"}),
    entry<&LearnerSettings::observation_norm_horizon>(
        {.name = "observation_norm_horizon",
         .kind = SettingKind::kInteger,
         .min = 2.0,
         .max = 1e12,
         .or_zero = true,
         .unit = "steps",
         .help = "how far back observation statistics reach; 0: the whole life"}),
    entry<&LearnerSettings::arithmetic>(
        {.name = "arithmetic",
         .kind = SettingKind::kChoice,
         .choices = kArithmeticWords,
         .help = "portable: the same bits on every processor, at some cost in speed"}),
    entry<&RunSettings::checkpoint_every>({.name = "checkpoint_every",
                                           .kind = SettingKind::kInteger,
                                           .min = 1.0,
                                           .max = 1e9,
                                           .decides_bits = false,
                                           .unit = "steps",
                                           .help = "how often the run is saved"}),
};

// Text of a number: no value of ours needs more than 24 characters.
template <typename Number>
std::string number_text(Number value) {
  std::array<char, 32> text;
  const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), value);
  INSTEP_CHECK(end.ec == std::errc());
  return {text.data(), end.ptr};
}

std::string value_text(const Setting& setting, double value) {
  if (!setting.choices.empty()) {
    return std::string(setting.choices[static_cast<std::size_t>(value)]);
  }
  if (setting.kind == SettingKind::kInteger) return number_text(static_cast<std::int64_t>(value));
  return number_text(value);
}

bool is_allowed(const Setting& setting, double value) {
  if (setting.or_zero && value == 0.0) return true;
  if (setting.above_min ? value <= setting.min : value < setting.min) return false;
  if (setting.below_max ? value >= setting.max : value > setting.max) return false;
  return setting.multiple_of == 1 || std::fmod(value, setting.multiple_of) == 0.0;
}

// Reads the whole text as a decimal number. Answers what is wrong with it, or nothing.
std::string_view read_number(const Setting& setting, std::string_view text, double& value) {
  const char* const end = text.data() + text.size();
  std::from_chars_result result{};
  if (setting.kind == SettingKind::kInteger) {
    std::int64_t integer = 0;
    result = std::from_chars(text.data(), end, integer);
    value = static_cast<double>(integer);
    if (result.ec == std::errc::invalid_argument || result.ptr != end) {
      return "is not a whole number in digits";
    }
  } else {
    result = std::from_chars(text.data(), end, value);
    if (result.ec == std::errc::invalid_argument || result.ptr != end) return "is not a number";
  }
  if (result.ec == std::errc::result_out_of_range) return "is out of range";
  return std::isfinite(value) ? "" : "is not finite";
}

std::string_view read_value(const Setting& setting, std::string_view text, double& value) {
  if (text.empty()) return "has no value";
  if (!setting.choices.empty()) {
    const auto word = std::find(setting.choices.begin(), setting.choices.end(), text);
    if (word == setting.choices.end()) return "is not allowed";
    value = static_cast<double>(word - setting.choices.begin());
    return "";
  }
  const std::string_view problem = read_number(setting, text, value);
  if (!problem.empty()) return problem;
  return is_allowed(setting, value) ? "" : "is out of range";
}

// The Levenshtein distance: letters to add, drop or change.
std::size_t edit_distance(std::string_view text, std::string_view word) {
  std::vector<std::size_t> row(word.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char letter : text) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= word.size(); ++j) {
      const std::size_t changed = diagonal + (letter == word[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

std::array<std::string_view, kSettings.size()> setting_names() {
  std::array<std::string_view, kSettings.size()> names;
  std::transform(kSettings.begin(), kSettings.end(), names.begin(),
                 [](const Setting& setting) { return setting.name; });
  return names;
}

}  // namespace

std::span<const Setting> all_settings() {
  return kSettings;
}

const Setting* find_setting(std::string_view key) {
  const auto* const found =
      std::find_if(kSettings.begin(), kSettings.end(),
                   [&](const Setting& setting) { return setting.name == key; });
  return found == kSettings.end() ? nullptr : found;
}

std::string allowed_values(const Setting& setting) {
  if (!setting.choices.empty()) {
    std::string words;
    for (const std::string_view word : setting.choices) {
      words += (words.empty() ? "" : " or ") + std::string(word);
    }
    return words;
  }
  std::string text = setting.or_zero ? "0, or " : "";
  if (setting.multiple_of != 1) text += "a multiple of " + number_text(setting.multiple_of) + ", ";
  return text + (setting.above_min ? "above " : "at least ") + value_text(setting, setting.min) +
         " and " + (setting.below_max ? "below " : "at most ") + value_text(setting, setting.max);
}

std::string set_value(RunSettings& settings, std::string_view key, std::string_view text) {
  const Setting* const setting = find_setting(key);
  if (setting == nullptr) return unknown_key_text(key);
  double value = 0.0;
  const std::string_view problem = read_value(*setting, text, value);
  if (!problem.empty()) {
    const std::string shown = text.empty() ? "" : " = " + printable(text);
    return std::string(key) + shown + " " + std::string(problem) + ": must be " +
           allowed_values(*setting);
  }
  setting->set(settings, value + 0.0);  // The sum of -0 and 0 is 0.
  return "";
}

std::string format_value(const RunSettings& settings, std::string_view key) {
  const Setting* const setting = find_setting(key);
  INSTEP_CHECK(setting != nullptr);
  return value_text(*setting, setting->get(settings));
}

std::string unknown_key_text(std::string_view key) {
  const auto names = setting_names();
  return "unknown key '" + printable(key) + "'" +
         did_you_mean(key, names, "; every run's config.toml shows them all");
}

std::string_view nearest_word(std::string_view text, std::span<const std::string_view> words) {
  constexpr std::size_t kLengthMax = 64;  // What follows cannot decide, and the cost has a bound.
  text = text.substr(0, kLengthMax);
  // An abbreviation is further than its length says: "horizon" means the key that contains it.
  const auto distance = [text](std::string_view word) {
    return std::pair(text.empty() || word.find(text) == std::string_view::npos,
                     edit_distance(text, word));
  };
  return *std::min_element(words.begin(), words.end(), [&](std::string_view a, std::string_view b) {
    return distance(a) < distance(b);
  });
}

std::string did_you_mean(std::string_view text, std::span<const std::string_view> words,
                         std::string_view otherwise) {
  constexpr std::size_t kPartMin = 3;  // shorter ones are part of too many words
  const std::string_view word = nearest_word(text, words);
  const bool is_part = text.size() >= kPartMin && word.find(text) != std::string_view::npos;
  const bool can_be_close = text.size() <= 2 * word.size();  // spares the cost of a long text
  if (is_part || (can_be_close && edit_distance(text, word) <= (word.size() + 2) / 3)) {
    return "; did you mean '" + std::string(word) + "'?";
  }
  return std::string(otherwise);
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLengthMax = 60;
  std::string shown(text.substr(0, kLengthMax));
  const auto is_unprintable = [](char c) { return c < ' ' || c > '~'; };
  std::replace_if(shown.begin(), shown.end(), is_unprintable, '?');
  return text.size() > kLengthMax ? shown + "..." : shown;
}

std::uint64_t settings_hash(const RunSettings& settings) {
  // Texts rather than bytes: they do not depend on the order and padding of the structs.
  const LearnerSettings& learner = settings.learner;
  std::string text = "algorithm=" + number_text(static_cast<std::uint32_t>(learner.algorithm)) +
                     "\nleaky_slope=" + number_text(learner.leaky_slope) +
                     "\nlog_variance_min=" + number_text(learner.log_variance_min) +
                     "\nlog_variance_max=" + number_text(learner.log_variance_max) + "\n";
  for (const Setting& setting : kSettings) {
    if (!setting.decides_bits) continue;
    text += std::string(setting.name) + "=" + value_text(setting, setting.get(settings)) + "\n";
  }
  return hash_text(text);
}

}  // namespace instep

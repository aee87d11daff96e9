#include "runtime/setting.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/check.h"

namespace instep {
namespace {

// Text of a number: no value of ours needs more than 24 characters.
template <typename Number>
std::string number_text(Number value) {
  std::array<char, 32> text;
  const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), value);
  INSTEP_CHECK(end.ec == std::errc());
  return {text.data(), end.ptr};
}

// Reads the whole text as a decimal number. Answers what is wrong with it, or nothing.
std::string_view read_number(const Setting& setting, std::string_view text, double& value) {
  const char* const end = text.data() + text.size();
  if (setting.kind == SettingKind::kInteger) {
    if (const auto whole = whole_number(text)) {
      value = static_cast<double>(*whole);
      return "";
    }
    // As far as digits alone go: too many of them are a number out of range.
    std::int64_t integer = 0;
    const std::from_chars_result result = std::from_chars(text.data(), end, integer);
    const bool is_number = result.ptr == end && result.ec == std::errc::result_out_of_range;
    return is_number ? "is out of range" : "is not a whole number";
  }
  const std::from_chars_result result = std::from_chars(text.data(), end, value);
  if (result.ec == std::errc::invalid_argument || result.ptr != end) {
    return text.find(',') == std::string_view::npos ? "is not a number"
                                                    : "is not a number with a decimal point";
  }
  if (result.ec == std::errc::result_out_of_range) return "is out of range";
  return std::isfinite(value) ? "" : "is not finite";
}

// The digits of a number without what groups them ("100_000", "100,000"); nothing where the groups
// are none.
std::optional<std::string> without_groups(std::string_view digits) {
  std::string result;
  std::size_t group = 0;  // digits since the last comma
  bool has_comma = false;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const char c = digits[i];
    const bool is_between = i > 0 && i + 1 < digits.size();
    if (c >= '0' && c <= '9') {
      result += c;
      ++group;
    } else if (c == '_' && is_between && digits[i - 1] != '_') {
      continue;
    } else if (c == ',' && is_between && group <= 3 && (!has_comma || group == 3)) {
      has_comma = true;
      group = 0;
    } else {
      return std::nullopt;
    }
  }
  if (result.empty() || (has_comma && group != 3)) return std::nullopt;
  return result;
}

// The power of ten that stands behind a number: k, M, G, or e and digits; text loses it.
std::optional<int> take_power(std::string_view& text) {
  const std::size_t e = text.find_first_of("eE");
  if (e != std::string_view::npos) {
    int power = 0;
    std::string_view digits = text.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const char* const end = digits.data() + digits.size();
    const std::from_chars_result result = std::from_chars(digits.data(), end, power);
    if (result.ec != std::errc() || result.ptr != end || power < 0) return std::nullopt;
    text = text.substr(0, e);
    return power;
  }
  constexpr std::array<std::pair<char, int>, 6> kSuffixes = {
      {{'k', 3}, {'K', 3}, {'m', 6}, {'M', 6}, {'g', 9}, {'G', 9}}};
  for (const auto& [letter, power] : kSuffixes) {
    if (!text.ends_with(letter)) continue;
    text.remove_suffix(1);
    return power;
  }
  return 0;
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

}  // namespace

const Setting* find_setting(std::span<const Setting> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Setting& setting) { return setting.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  const bool is_negative = text.starts_with('-');
  if (is_negative) text.remove_prefix(1);
  const std::optional<int> power = take_power(text);
  if (!power) return std::nullopt;
  const std::size_t point = std::min(text.find('.'), text.size());
  std::optional<std::string> digits = without_groups(text.substr(0, point));
  if (!digits) return std::nullopt;
  std::string_view fraction = text.substr(std::min(point + 1, text.size()));
  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  if (point < text.size() && *power == 0) return std::nullopt;  // 5.0 is no way to count
  if (fraction.size() > static_cast<std::size_t>(*power)) return std::nullopt;
  if (fraction.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const std::size_t zeros = static_cast<std::size_t>(*power) - fraction.size();
  constexpr std::size_t kDigitsMax = 40;
  if (zeros > kDigitsMax) return std::nullopt;
  *digits += std::string(fraction) + std::string(zeros, '0');
  std::int64_t value = 0;
  const char* const end = digits->data() + digits->size();
  const std::from_chars_result result = std::from_chars(digits->data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return is_negative ? -value : value;
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

std::string_view read_value(const Setting& setting, std::string_view text, double& value) {
  if (text.empty()) return "has no value";
  if (setting.kind == SettingKind::kBoolean) {
    constexpr std::array<std::string_view, 4> kTrue = {"true", "on", "yes", "1"};
    constexpr std::array<std::string_view, 4> kFalse = {"false", "off", "no", "0"};
    std::string word(text);
    std::transform(word.begin(), word.end(), word.begin(), ascii_lower);
    const bool is_true = std::find(kTrue.begin(), kTrue.end(), word) != kTrue.end();
    const bool is_false = std::find(kFalse.begin(), kFalse.end(), word) != kFalse.end();
    if (!is_true && !is_false) return "is not allowed";
    value = is_true ? 1.0 : 0.0;
    return "";
  }
  if (!setting.choices.empty()) {
    const auto word = std::find(setting.choices.begin(), setting.choices.end(), text);
    if (word == setting.choices.end()) return "is not allowed";
    value = static_cast<double>(word - setting.choices.begin());
    return "";
  }
  const std::string_view problem = read_number(setting, text, value);
  if (!problem.empty()) return problem;
  value += 0.0;  // The sum of -0 and 0 is 0.
  return is_allowed(setting, value) ? "" : "is out of range";
}

SettingValues::SettingValues(std::span<const Setting> table) : table_(table) {
  for (const Setting& setting : table) values_.push_back(setting.initial);
}

std::size_t SettingValues::index_of(std::string_view key) const {
  const Setting* const setting = find_setting(table_, key);
  INSTEP_CHECK(setting != nullptr);
  return static_cast<std::size_t>(setting - table_.data());
}

void SettingValues::set(std::string_view key, double value) {
  const std::size_t index = index_of(key);
  INSTEP_CHECK(is_allowed(table_[index], value));
  values_[index] = value;
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

}  // namespace instep

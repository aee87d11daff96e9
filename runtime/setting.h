// One key that users may set, and values for a table of keys.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace instep {

// The small letter of a capital one, whatever the locale is; other characters as they are.
constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

enum class SettingKind { kReal, kInteger, kBoolean, kChoice };

// Every value passes as a double, which holds each of them exactly: integers stay below 2^53, a
// boolean is 0 or 1, a choice the index of its word. Plain data with static lifetime.
struct Setting {
  std::string_view name;
  SettingKind kind = SettingKind::kReal;
  double initial = 0.0;
  double min = 0.0;
  double max = 0.0;
  bool above_min = false;  // min itself is not allowed
  bool below_max = false;  // max itself is not allowed
  bool or_zero = false;    // 0 is allowed, though it is below min
  int multiple_of = 1;
  std::span<const std::string_view> choices{};
  bool decides_bits = true;  // counts in settings_hash()
  std::string_view unit{};   // empty for pure numbers
  std::string_view help{};   // one line
};

// Entries of a table for the two kinds whose words and bounds follow from each other.
inline constexpr std::string_view kBooleanWords[] = {"false", "true"};
constexpr Setting boolean_setting(std::string_view name, bool initial, std::string_view help) {
  return {.name = name,
          .kind = SettingKind::kBoolean,
          .initial = initial ? 1.0 : 0.0,
          .max = 1.0,
          .choices = kBooleanWords,
          .help = help};
}
constexpr Setting choice_setting(std::string_view name, std::span<const std::string_view> words,
                                 std::string_view help) {
  return {.name = name,
          .kind = SettingKind::kChoice,
          .max = static_cast<double>(words.size() - 1),
          .choices = words,
          .help = help};
}

// The setting of that name, or null.
const Setting* find_setting(std::span<const Setting> table, std::string_view name);

// What values the setting takes, for example "above 0 and at most 1" or "true or false".
std::string allowed_values(const Setting& setting);

bool is_allowed(const Setting& setting, double value);

// The value as the shortest text that read_value() turns into the same bits.
std::string value_text(const Setting& setting, double value);

// A whole number as people write it: 100000, 100_000, 100,000, 1e5, 100k, 1.5M. Nothing where the
// text is something else, or the number too large for 64 bits.
std::optional<std::int64_t> whole_number(std::string_view text);

// Reads a value as typed: decimal numbers with a point whatever the locale, true or false (also on
// or off, yes or no, 1 or 0), one of the choices; -0 becomes 0. Answers what is wrong ("is out of
// range"), or nothing.
std::string_view read_value(const Setting& setting, std::string_view text, double& value);

// A value for each key of a table; each begins as its initial one.
class SettingValues {
 public:
  SettingValues() = default;
  explicit SettingValues(std::span<const Setting> table);

  std::span<const Setting> table() const { return table_; }
  // The key must be one of the table's, the value one that it allows.
  double at(std::string_view key) const { return values_[index_of(key)]; }
  void set(std::string_view key, double value);

  friend bool operator==(const SettingValues& a, const SettingValues& b) {
    return a.table_.data() == b.table_.data() && a.values_ == b.values_;
  }

 private:
  std::size_t index_of(std::string_view key) const;

  std::span<const Setting> table_;
  std::vector<double> values_;
};

// ---- Words of messages

// The word that is most like the text: one that contains it, else the nearest by edit distance.
// words is not empty.
std::string_view nearest_word(std::string_view text, std::span<const std::string_view> words);

// "; did you mean 'actor_lr'?" where the nearest word contains the text or differs in a third of
// its letters at most; else the `otherwise` text.
std::string did_you_mean(std::string_view text, std::span<const std::string_view> words,
                         std::string_view otherwise);

// The text for a message: without unprintable bytes, and cut where it is too long for a line.
std::string printable(std::string_view text);

}  // namespace instep

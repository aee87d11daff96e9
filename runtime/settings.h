// What a run is started with, and its settings as users write them: names, bounds, units and texts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/learner.h"

namespace instep {

// Everything a user may set for a run.
struct RunSettings {
  LearnerSettings learner;
  std::int64_t checkpoint_every = 10'000;  // steps between checkpoints, >= 1
};

// All that one run is started with, every choice resolved. The algorithm is
// settings.learner.algorithm.
struct RunConfig {
  std::string task;
  std::uint64_t seed = 0;
  std::int64_t steps = 0;  // in all, >= 0
  Schedule schedule = Schedule::kActFirst;
  std::string backend = "cpu";
  std::string path;  // the executor's, for example "avx512"
  RunSettings settings;
};

enum class SettingKind { kReal, kInteger, kBoolean, kChoice };

// One key that users may set. Every value passes as a double, which holds each of them exactly:
// integers stay below 2^53, a boolean is 0 or 1, a choice the index of its word.
struct Setting {
  std::string_view name;
  SettingKind kind = SettingKind::kReal;
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
  double (*get)(const RunSettings&) = nullptr;
  void (*set)(RunSettings&, double) = nullptr;  // the value is within bounds
};

// Every key, in the order users see them. Adding one is a field above or in LearnerSettings and one
// entry of the table in settings.cpp. Static lifetime.
std::span<const Setting> all_settings();

// The setting of that name, or null.
const Setting* find_setting(std::string_view key);

// What values the setting takes, for example "above 0 and at most 1" or "true or false".
std::string allowed_values(const Setting& setting);

// Sets a key from its text, as typed: decimal numbers with a point whatever the locale, true or
// false, one of the choices. Answers what is wrong (key, value, what is allowed), or nothing when
// it is done; settings are unchanged when something is wrong. -0 becomes 0.
std::string set_value(RunSettings& settings, std::string_view key, std::string_view text);

// The value of a known key as the shortest text that set_value() turns into the same bits.
std::string format_value(const RunSettings& settings, std::string_view key);

// "unknown key 'actor_rl'; did you mean 'actor_lr'?", or where the keys stand if none is like it.
std::string unknown_key_text(std::string_view key);

// The word that is most like the text: one that contains it, else the nearest by edit distance.
// words is not empty.
std::string_view nearest_word(std::string_view text, std::span<const std::string_view> words);

// "; did you mean 'actor_lr'?" where the nearest word contains the text or differs in a third of
// its letters at most; else the `otherwise` text.
std::string did_you_mean(std::string_view text, std::span<const std::string_view> words,
                         std::string_view otherwise);

// The text for a message: without unprintable bytes, and cut where it is too long for a line.
std::string printable(std::string_view text);

// A number for all that decides the learner's bits, the same on every machine and in every build.
// Equal settings have equal numbers; keys that do not decide bits (checkpoint_every) do not count.
std::uint64_t settings_hash(const RunSettings& settings);

}  // namespace instep

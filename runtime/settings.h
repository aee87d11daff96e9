// What a run starts with, and its settings as users write them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/settings.h"
#include "runtime/algorithm.h"
#include "runtime/setting.h"

namespace instep {

// Everything a user may set for a run: the keys of its algorithm and those that all algorithms
// have.
struct RunSettings {
  const AlgorithmInfo* algorithm = all_algorithms().front();
  SettingValues values{algorithm->settings};  // of the algorithm's own keys
  Arithmetic arithmetic = Arithmetic::kFast;
  std::int64_t checkpoint_every = 10'000;  // steps between checkpoints, >= 1

  // Another algorithm, with its initial values.
  void choose(const AlgorithmInfo& info) {
    algorithm = &info;
    values = SettingValues(info.settings);
  }
};

// All that one run is started with, every choice resolved.
struct RunConfig {
  std::string task;
  std::uint64_t seed = 0;
  std::int64_t steps = 0;  // in all, >= 0
  Schedule schedule = Schedule::kActFirst;
  std::string backend = "cpu";
  std::string path;  // of the backend, for example "avx512"
  RunSettings settings;
};

// The keys that all algorithms have, in the order users see them. Static lifetime.
std::span<const Setting> common_settings();

// The key of that name, common or the algorithm's own, or null.
const Setting* find_setting(const AlgorithmInfo& algorithm, std::string_view key);

// Every key of an algorithm, its own first.
std::vector<const Setting*> all_settings(const AlgorithmInfo& algorithm);

// The value of a known key.
double value_of(const RunSettings& settings, std::string_view key);

// Sets a known key to a value that it allows.
void put_value(RunSettings& settings, std::string_view key, double value);

// Sets a key from its text, as typed. Answers what is wrong (key, value, what is allowed), or
// nothing when it is done; settings are unchanged when something is wrong.
std::string set_value(RunSettings& settings, std::string_view key, std::string_view text);

// The value of a known key as the shortest text that set_value() turns into the same bits.
std::string format_value(const RunSettings& settings, std::string_view key);

// "'actor_lr' or 'critic_lr'": our keys for a word of other programs (lr, gamma); empty for any
// other word.
std::string meant_keys(const AlgorithmInfo& algorithm, std::string_view key);

// "unknown key 'actor_rl'; did you mean 'actor_lr'?", or what lists them if none is like it.
std::string unknown_key_text(const AlgorithmInfo& algorithm, std::string_view key);

// A number for all that decides the learner's bits, the same on every machine and in every build.
// Equal settings have equal numbers; keys that do not decide bits (checkpoint_every) do not count.
std::uint64_t settings_hash(const RunSettings& settings);

}  // namespace instep

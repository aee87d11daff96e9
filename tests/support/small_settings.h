// Settings with which any algorithm of the table learns within a short test: tests that walk the
// table want its updates, not its sizes.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/settings.h"

namespace instep {

inline constexpr std::array<std::pair<std::string_view, int>, 6> kSmallSettings = {{
    {"hidden", 16},
    {"buffer", 500},
    {"batch", 16},
    {"learning_starts", 100},
    {"rollout", 128},
    {"minibatches", 4},
}};

inline void make_small(RunSettings& settings) {
  for (const auto& [key, value] : kSmallSettings) {
    if (find_setting(settings.algorithm->settings, key) == nullptr) continue;
    settings.values.set(key, value);
  }
}

// The same as words of the command.
inline std::vector<std::string> small_setting_words(const AlgorithmInfo& algorithm) {
  std::vector<std::string> words;
  for (const auto& [key, value] : kSmallSettings) {
    if (find_setting(algorithm.settings, key) == nullptr) continue;
    words.insert(words.end(), {"--set", std::string(key) + "=" + std::to_string(value)});
  }
  return words;
}

}  // namespace instep

#include "tools/instep/typed.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "runtime/settings.h"
#include "tools/library/error.h"

namespace instep {
namespace {

using Name = std::pair<std::string_view, std::string_view>;  // elsewhere, and here

constexpr std::array kCommands = {
    Name{"evaluate", "eval"},
    Name{"test", "eval"},
    Name{"play", "eval"},
    Name{"run", "train"},
    Name{"learn", "train"},
    Name{"start", "train"},
    Name{"resume", "train --resume"},
    Name{"continue", "train --resume"},
    Name{"plot", "report"},
    Name{"list", "tasks"},
    Name{"ls", "tasks"},
    Name{"envs", "tasks"},
    Name{"bench", "profile"},
    Name{"benchmark", "profile"},
    Name{"simulate", "sim"},
    Name{"check", "doctor"},
    Name{"config", "settings"},
    Name{"params", "settings"},
    Name{"diff", "compare"},
    Name{"search", "study"},
};

constexpr std::array kOptions = {
    Name{"timesteps", "--steps"},
    Name{"total-timesteps", "--steps"},
    Name{"total-steps", "--steps"},
    Name{"num-steps", "--steps"},
    Name{"iterations", "--updates"},
    Name{"n-episodes", "--episodes"},
    Name{"num-episodes", "--episodes"},
    Name{"algorithm", "--algo"},
    Name{"agent", "--algo"},
    Name{"output", "--out"},
    Name{"outdir", "--out"},
    Name{"logdir", "--out"},
    Name{"dir", "--out"},
    Name{"continue", "--resume"},
    Name{"restore", "--resume"},
    Name{"load", "--init"},
    Name{"checkpoint", "--resume"},
    Name{"port", "--device"},
    Name{"cpu", "--backend cpu"},
    Name{"gpu", "--backend cuda"},
    Name{"cuda", "--backend cuda"},
    Name{"workers", "--jobs"},
    Name{"num-envs", "--seeds"},
    Name{"hz", "--rate"},
};

std::string_view here(std::span<const Name> names, std::string_view word) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [word](const Name& name) { return name.first == word; });
  return found == names.end() ? "" : found->second;
}

bool is_set_word(std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == 0 || equals == std::string_view::npos) return false;
  return word.substr(0, equals).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
         std::string_view::npos;
}

// "a=1,b=2" as its parts; commas within a value stay.
std::vector<std::string> set_parts(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    if (comma == std::string_view::npos || !is_set_word(text.substr(comma + 1))) break;
    parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma + 1);
  }
  parts.emplace_back(text);
  return parts;
}

[[noreturn]] void refuse_seeds(const std::string& text) {
  throw UsageError("--seeds " + printable(text) +
                   ": write the first and the last seed, as in 0..4, or how many, as in 5");
}

std::uint64_t seed_of(std::string_view part, const std::string& text) {
  std::uint64_t value = 0;
  const auto result = std::from_chars(part.data(), part.data() + part.size(), value);
  if (part.empty() || result.ec != std::errc() || result.ptr != part.data() + part.size()) {
    refuse_seeds(text);
  }
  return value;
}

// Listed one by one.
SeedRange listed_seeds(const std::string& text) {
  SeedRange range;
  std::string_view rest = text;
  for (bool is_first = true; !rest.empty(); is_first = false) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::uint64_t seed = seed_of(rest.substr(0, comma), text);
    if (!is_first && seed != range.last + 1) {
      throw UsageError("--seeds " + printable(text) +
                       ": seeds must follow one another, as in 0,1,2; start others with --seed");
    }
    if (is_first) range.first = seed;
    range.last = seed;
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  if (text.ends_with(',')) refuse_seeds(text);
  return range;
}

}  // namespace

SeedRange parse_seeds(const std::string& text) {
  SeedRange range;
  const std::size_t dots = text.find("..");
  const std::size_t dash = text.find('-', 1);
  if (dots != std::string::npos) {
    range.first = seed_of(std::string_view(text).substr(0, dots), text);
    range.last = seed_of(std::string_view(text).substr(dots + 2), text);
  } else if (dash != std::string::npos) {
    range.first = seed_of(std::string_view(text).substr(0, dash), text);
    range.last = seed_of(std::string_view(text).substr(dash + 1), text);
  } else if (text.find(',') != std::string::npos) {
    range = listed_seeds(text);
  } else {
    const std::uint64_t count = seed_of(text, text);
    if (count == 0) refuse_seeds(text);
    range.last = count - 1;
  }
  if (range.last < range.first || range.last - range.first >= 1000) {
    throw UsageError("--seeds " + printable(text) + ": must name 1 to 1000 seeds in rising order");
  }
  return range;
}

std::vector<std::string> understood_words(const std::vector<std::string>& words) {
  std::vector<std::string> result(words.begin(), words.begin() + (words.empty() ? 0 : 1));
  std::size_t at = result.size();
  const auto is = [&](std::size_t i, std::string_view word) {
    return i < words.size() && words[i] == word;
  };
  if (is(at, "help")) {
    result.insert(result.end(), words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
    result.emplace_back("--help");
    return result;
  }
  if (words.size() == at + 1 && (is(at, "-v") || is(at, "-V") || is(at, "version"))) {
    result.emplace_back("--version");
    return result;
  }
  if (words.size() == at + 2 && is(at + 1, "help")) return {words[0], words[at], "--help"};
  for (bool is_in_set = false; at < words.size(); ++at) {
    const std::string& word = words[at];
    const bool is_value = is_in_set && is_set_word(word);
    if (is_value || is(at - 1, "--set")) {
      for (const std::string& part : set_parts(word)) {
        if (result.back() != "--set") result.emplace_back("--set");
        result.push_back(part);
      }
      is_in_set = true;
    } else {
      result.push_back(word);
      is_in_set = false;
    }
  }
  return result;
}

std::string meant_by(std::string_view word, std::string_view command,
                     const std::vector<std::string>& options) {
  const auto has = [&](std::string_view name) {
    return std::find(options.begin(), options.end(), name.substr(0, name.find(' '))) !=
           options.end();
  };
  if (!word.starts_with('-')) {
    if (is_set_word(word) && has("--set")) return "; did you mean --set " + printable(word) + "?";
    if (whole_number(word) && has("--steps")) {
      return "; did you mean --steps " + printable(word) + "?";
    }
    return "; `instep " + std::string(command) + " --help` says what it takes";
  }
  std::string name(word.substr(std::min(word.find_first_not_of('-'), word.size())));
  name = name.substr(0, name.find('='));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '_' ? '-' : c;
  });
  if (has("--" + name)) return "; did you mean --" + name + "?";
  const std::string_view other = here(kOptions, name);
  if (!other.empty() && has(other)) return "; did you mean " + std::string(other) + "?";
  std::string key = name;
  std::replace(key.begin(), key.end(), '-', '_');
  for (const AlgorithmInfo* info : all_algorithms()) {
    if (!has("--set")) break;
    if (find_setting(*info, key) != nullptr) {
      return "; it is a setting: --set " + key + "=VALUE";
    }
    const std::string meant = meant_keys(*info, key);
    if (!meant.empty()) {
      return "; did you mean the setting " + meant + " (--set KEY=VALUE)?";
    }
  }
  if (name == "env" || name == "env-id" || name == "task") {
    return "; the task has no option before it: `instep " + std::string(command) + " TASK`";
  }
  std::vector<std::string_view> names(options.begin(), options.end());
  if (names.empty()) return "";
  return did_you_mean("--" + name, names,
                      "; `instep " + std::string(command) + " --help` lists what it takes");
}

std::string_view command_called(std::string_view word) {
  return here(kCommands, word);
}

}  // namespace instep

#include "tools/instep/typed.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "runtime/settings.h"
#include "tools/library/error.h"
#include "tools/library/run/settings_io.h"

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
    Name{"steps", "--updates"},
    Name{"steps", "--episodes"},
    Name{"n", "--episodes"},
    Name{"n", "--steps"},
    Name{"n", "--updates"},
    Name{"n-episodes", "--episodes"},
    Name{"num-episodes", "--episodes"},
    Name{"algorithm", "--algo"},
    Name{"agent", "--algo"},
    Name{"output", "--out"},
    Name{"o", "--out"},
    Name{"s", "--seed"},
    Name{"j", "--jobs"},
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

// Of one command.
struct OptionNames {
  std::span<const std::string> names;

  bool has(std::string_view name) const {
    return std::find(names.begin(), names.end(), name.substr(0, name.find(' '))) != names.end();
  }
  // The option, of those that it has, that is called so elsewhere.
  std::string_view called(std::string_view word) const {
    const auto found = std::find_if(kOptions.begin(), kOptions.end(), [&](const Name& name) {
      return name.first == word && has(name.second);
    });
    return found == kOptions.end() ? "" : found->second;
  }
};

bool is_set_word(std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == 0 || equals == std::string_view::npos) return false;
  return word.substr(0, equals).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
         std::string_view::npos;
}

// "a=1,b=2" and "a=1 b=2" as their parts; commas within a value stay.
std::vector<std::string> set_parts(std::string_view text) {
  std::vector<std::string> parts;
  const auto add = [&parts](std::string_view part) {
    const bool has_comma = part.size() > 1 && part.ends_with(',');
    parts.emplace_back(part.substr(0, part.size() - (has_comma ? 1 : 0)));
  };
  for (std::size_t at = text.find_first_of(", "); at != std::string_view::npos;
       at = text.find_first_of(", ", at + 1)) {
    if (!is_set_word(text.substr(at + 1))) continue;
    add(text.substr(0, at));
    text.remove_prefix(at + 1);
    at = 0;
  }
  add(text);
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

namespace {

constexpr std::array kWithValues = {std::string_view("--set"), std::string_view("--change"),
                                    std::string_view("--seeds")};

bool is_seed_word(std::string_view word) {
  return !word.empty() && word.find_first_not_of("0123456789,") == std::string_view::npos;
}

// Appends the words of a command line; what belongs to one option is put together.
void append_values(std::span<const std::string> words, std::vector<std::string>& result) {
  std::string_view option;  // that still takes words
  for (std::string word : words) {
    for (const std::string_view name : kWithValues) {  // --set=a=1 is --set a=1
      if (!word.starts_with(std::string(name) + '=')) continue;
      result.emplace_back(name);
      option = name;
      word.erase(0, name.size() + 1);
    }
    const bool is_first = !result.empty() && result.back() == option;
    if (option == "--set" && !is_first && !word.starts_with('-') &&
        result.back().find('=') == std::string::npos) {
      throw UsageError("--set " + printable(result.back()) + ' ' + printable(word) + ": " +
                       kSetForm);
    }
    if (option == "--set" && (is_first ? !word.starts_with("--") : is_set_word(word))) {
      for (const std::string& part : set_parts(word)) {
        if (result.back() != "--set") result.emplace_back("--set");
        result.push_back(part);
      }
    } else if (option == "--change" && !is_first && is_set_word(word)) {
      result.back() += ' ' + word;
    } else if (option == "--seeds" && !is_first && is_seed_word(result.back()) &&
               is_seed_word(word)) {
      result.back() += ',' + word;
    } else {
      result.push_back(word);
      if (is_first && !word.starts_with("--")) continue;
      const auto named = std::find(kWithValues.begin(), kWithValues.end(), word);
      option = named == kWithValues.end() ? std::string_view() : *named;
    }
  }
}

}  // namespace

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
  if (is(at, "stop")) return words;  // which stops the robot first, and complains afterwards
  append_values(std::span(words).subspan(at), result);
  return result;
}

namespace {

// A word `key=value` that no option takes.
std::string meant_by_value(std::string_view word, const OptionNames& options) {
  const std::string key(word.substr(0, word.find('=')));
  const std::string value = printable(word.substr(key.size() + 1));
  std::string name = key;
  std::replace(name.begin(), name.end(), '_', '-');
  if (options.has("--" + name)) return "; did you mean --" + name + " " + value + "?";
  const std::string_view other = options.called(name);
  if (!other.empty()) return "; did you mean " + std::string(other) + " " + value + "?";
  if (key == "at" && options.has("--change")) {
    return "; did you mean --change 'at=" + value + " NAME=VALUE'?";
  }
  if (!options.has("--set")) return "";
  for (const AlgorithmInfo* info : all_algorithms()) {
    if (find_setting(*info, key) != nullptr) return "; did you mean --set " + printable(word) + "?";
    const std::string meant = meant_keys(*info, key);
    if (!meant.empty()) return "; did you mean the setting " + meant + " (--set KEY=VALUE)?";
  }
  return "; settings are --set KEY=VALUE, and `instep settings` lists them";
}

}  // namespace

std::string meant_by(std::string_view word, std::string_view command,
                     const std::vector<std::string>& options) {
  const OptionNames known{options};
  const auto has = [&known](std::string_view name) { return known.has(name); };
  if (!word.starts_with('-')) {
    if (is_set_word(word)) {
      const std::string meant = meant_by_value(word, known);
      if (!meant.empty()) return meant;
    }
    for (const char* const counted : {"--steps", "--episodes", "--updates"}) {
      if (!whole_number(word) || !has(counted)) continue;
      return "; did you mean " + std::string(counted) + " " + printable(word) + "?";
    }
    return "; `instep " + std::string(command) + " --help` says what it takes";
  }
  std::string name(word.substr(std::min(word.find_first_not_of('-'), word.size())));
  name = name.substr(0, name.find('='));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c == '_' ? '-' : ascii_lower(c); });
  if (has("--" + name)) return "; did you mean --" + name + "?";
  if (name == "version" || word == "-v") return "; `instep --version` says it";
  const std::string_view other = known.called(name);
  if (!other.empty()) return "; did you mean " + std::string(other) + "?";
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
  if (name == "env" || name == "env-id" || name == "task" || word == "-t") {
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

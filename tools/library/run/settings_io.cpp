#include "tools/library/run/settings_io.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <string_view>

#include "kernels/check.h"
#include "tools/library/error.h"
#include "tools/library/names.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

// Functions here that read answer what is wrong, as ":line: what", or nothing: the caller puts the
// file's name in front and knows whether it is wrong use or damaged data.
std::string at_line(const toml::source_region& source, const std::string& text) {
  return ":" + std::to_string(source.begin.line) + ": " + text;
}

// Names of tasks, backends and paths: short enough and plain enough to need no escapes.
bool is_name(std::string_view text) {
  constexpr std::size_t kLengthMax = 64;
  return !text.empty() && text.size() <= kLengthMax &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

std::string toml_name(std::string_view name) {
  INSTEP_CHECK(is_name(name));
  return "\"" + std::string(name) + "\"";
}

bool read_name(const toml::node& node, std::string& name) {
  name = node.value_exact<std::string>().value_or("");
  return is_name(name);
}

// Finds the one of `choices` that has that name.
template <typename Choice>
bool read_choice(const toml::node& node, std::initializer_list<Choice> choices,
                 std::string_view (*name_of)(Choice), Choice& choice) {
  const std::string name = node.value_exact<std::string>().value_or("");
  const auto* const found = std::find_if(choices.begin(), choices.end(),
                                         [&](Choice each) { return name_of(each) == name; });
  if (found == choices.end()) return false;
  choice = *found;
  return true;
}

// TOML's integers end at 2^63 - 1; larger seeds are written as strings.
std::string seed_text(std::uint64_t seed) {
  const std::string digits = std::to_string(seed);
  return seed <= std::numeric_limits<std::int64_t>::max() ? digits : toml_name(digits);
}

bool read_seed(const toml::node& node, std::uint64_t& seed) {
  if (const auto integer = node.value_exact<std::int64_t>()) {
    seed = static_cast<std::uint64_t>(*integer);
    return *integer >= 0;
  }
  const std::string digits = node.value_exact<std::string>().value_or("");
  const char* const end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, seed);
  return result.ec == std::errc() && result.ptr == end;
}

bool read_steps(const toml::node& node, std::int64_t& steps) {
  steps = node.value_exact<std::int64_t>().value_or(0);
  const double real = node.value_exact<double>().value_or(0.5);  // 1e5
  if (real >= 1.0 && real < 1e15 && std::floor(real) == real) {
    steps = static_cast<std::int64_t>(real);
  }
  return steps >= 1;
}

// One key of the table [run].
struct RunKey {
  std::string_view name;
  std::string_view help;
  std::string (*allowed)() = nullptr;  // asked when a table of this program has all its lines
  std::string (*write)(const RunConfig&) = nullptr;
  bool (*read)(const toml::node&, RunConfig&) = nullptr;
  bool is_of_machine = false;
};

std::string name_allowed() {
  return "lower-case letters, digits, underscores and hyphens";
}

constexpr std::array kRunKeys = {
    RunKey{"task", "what is learnt", name_allowed,
           [](const RunConfig& config) { return toml_name(config.task); },
           [](const toml::node& node, RunConfig& config) { return read_name(node, config.task); }},
    RunKey{"algo", "the learner", algorithm_names,
           [](const RunConfig& config) { return toml_name(config.settings.algorithm->name); },
           [](const toml::node& node, RunConfig& config) {
             const AlgorithmInfo* const info =
                 find_algorithm(node.value_exact<std::string>().value_or(""));
             if (info != nullptr) config.settings.choose(*info);
             return info != nullptr;
           }},
    RunKey{"seed", "key of every random number",
           [] { return std::string("0 to 18446744073709551615"); },
           [](const RunConfig& config) { return seed_text(config.seed); },
           [](const toml::node& node, RunConfig& config) { return read_seed(node, config.seed); }},
    RunKey{
        "steps", "length of the whole run", [] { return std::string("at least 1"); },
        [](const RunConfig& config) { return std::to_string(config.steps); },
        [](const toml::node& node, RunConfig& config) { return read_steps(node, config.steps); }},
    RunKey{"schedule", "when the actor's update is done",
           [] { return std::string("act_first or throughput"); },
           [](const RunConfig& config) { return toml_name(schedule_name(config.schedule)); },
           [](const toml::node& node, RunConfig& config) {
             return read_choice(node, {Schedule::kActFirst, Schedule::kThroughput}, schedule_name,
                                config.schedule);
           }},
    RunKey{
        "backend", "what computes", name_allowed,
        [](const RunConfig& config) { return toml_name(config.backend); },
        [](const toml::node& node, RunConfig& config) { return read_name(node, config.backend); },
        true},
    RunKey{"path", "instruction set of the backend", name_allowed,
           [](const RunConfig& config) { return toml_name(config.path); },
           [](const toml::node& node, RunConfig& config) { return read_name(node, config.path); },
           true},
};

// [run], [learner] and one of each algorithm.
std::vector<std::string_view> table_names() {
  std::vector<std::string_view> names = {"learner", "run"};
  for (const AlgorithmInfo* info : all_algorithms()) names.push_back(info->name);
  return names;
}

// Whether it is a setting of any algorithm.
bool is_setting(std::string_view name) {
  const auto algorithms = all_algorithms();
  return std::any_of(algorithms.begin(), algorithms.end(), [&](const AlgorithmInfo* info) {
    return find_setting(*info, name) != nullptr;
  });
}

const RunKey* find_run_key(std::string_view name) {
  const auto* const found = std::find_if(kRunKeys.begin(), kRunKeys.end(),
                                         [&](const RunKey& key) { return key.name == name; });
  return found == kRunKeys.end() ? nullptr : found;
}

std::string run_key_meant(std::string_view text) {
  std::array<std::string_view, kRunKeys.size()> names;
  std::transform(kRunKeys.begin(), kRunKeys.end(), names.begin(),
                 [](const RunKey& key) { return key.name; });
  return did_you_mean(text, names, "; every run's config.toml shows them all");
}

// Answers what is wrong with the file itself, as ": what", or nothing.
std::string read_text(const std::string& path, std::string& text) {
  constexpr std::size_t kBytesMax = std::size_t{1} << 20;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return ": is a folder, not a file";
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::array<char, 16384> bytes;
  while (file && text.size() <= kBytesMax) {
    file.read(bytes.data(), bytes.size());
    text.append(bytes.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file && !file.eof()) return std::string(": cannot be read: ") + std::strerror(errno);
  return text.size() > kBytesMax ? ": is larger than 1 MiB; settings are not" : "";
}

// How many bytes at the start of `text` are one UTF-8 character; 0 when they are none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  const bool is_none =
      length > 2 && ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
                     (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F));
  return is_none ? 0 : length;
}

// The problem of a text that is not UTF-8, which TOML is.
std::string utf8_problem(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) {
      return ":" +
             std::to_string(1 + std::count(text.begin(),
                                           text.begin() + static_cast<std::ptrdiff_t>(at), '\n')) +
             ": is not UTF-8 text";
    }
    at += length;
  }
  return "";
}

std::string parse_file(const std::string& path, toml::table& root) {
  std::string text;
  std::string problem = read_text(path, text);
  if (problem.empty()) problem = utf8_problem(text);
  if (!problem.empty()) return problem;
  // toml++ 3.3 reaches undefined behaviour at letters like U+00E4 outside strings and comments.
  // Keys and values that we know have none, and what a comment says is not kept.
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // a mark that some editors write
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  std::replace_if(text.begin(), text.end(), std::not_fn(is_ascii), '?');
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return at_line(error.source(), std::string(error.description()));
  }
  return "";
}

std::string_view type_name(toml::node_type type) {
  switch (type) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a real number";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    default:
      return "a date or time";
  }
}

toml::node_type type_of(SettingKind kind) {
  switch (kind) {
    case SettingKind::kReal:
      return toml::node_type::floating_point;
    case SettingKind::kInteger:
      return toml::node_type::integer;
    case SettingKind::kBoolean:
      return toml::node_type::boolean;
    case SettingKind::kChoice:
      break;
  }
  return toml::node_type::string;
}

// The value as set_value() takes it.
std::string plain_text(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto boolean = node.value_exact<bool>()) return *boolean ? "true" : "false";
  if (const auto integer = node.value_exact<std::int64_t>()) return std::to_string(*integer);
  std::array<char, 32> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(),
                                    node.value_exact<double>().value_or(0.0));
  return {digits.data(), result.ptr};
}

// Every table and key of the file has a name we know.
std::string check_names(const toml::table& root, const AlgorithmInfo& algorithm) {
  const std::vector<std::string_view> tables = table_names();
  for (const auto& [key, node] : root) {
    const std::string_view name = key.str();
    const bool is_known = std::find(tables.begin(), tables.end(), name) != tables.end();
    if (!is_known && is_setting(name)) {
      return at_line(key.source(), "'" + std::string(name) + "' belongs into the table [learner]");
    }
    if (!is_known && find_run_key(name) != nullptr) {
      return at_line(key.source(), "'" + std::string(name) + "' belongs into the table [run]");
    }
    if (!is_known) {
      return at_line(key.source(),
                     (node.is_table() ? "unknown table '" : "unknown key '") + printable(name) +
                         "'" + did_you_mean(name, tables, "; there are [learner] and [run]"));
    }
    if (!node.is_table()) return at_line(key.source(), std::string(name) + " must be a table");
  }
  if (const toml::table* const learner = root["learner"].as_table()) {
    for (const auto& [key, node] : *learner) {
      if (!is_setting(key.str())) {
        return at_line(key.source(), unknown_key_text(algorithm, key.str()));
      }
    }
  }
  for (const AlgorithmInfo* info : all_algorithms()) {
    const toml::table* const own = root[info->name].as_table();
    if (own == nullptr) continue;
    for (const auto& [key, node] : *own) {
      if (find_setting(info->settings, key.str()) != nullptr) continue;
      return at_line(key.source(), unknown_key_text(*info, key.str()));
    }
  }
  if (const toml::table* const run = root["run"].as_table()) {
    for (const auto& [key, node] : *run) {
      if (find_run_key(key.str()) != nullptr) continue;
      return at_line(key.source(), "unknown key '" + printable(key.str()) + "' in [run]" +
                                       run_key_meant(key.str()));
    }
  }
  return "";
}

std::string read_setting(const toml::node& node, const Setting& setting, RunSettings& settings) {
  const toml::node_type wanted = type_of(setting.kind);
  const bool is_whole_real = setting.kind == SettingKind::kReal && node.is_integer();
  if (node.type() != wanted && !is_whole_real) {
    return at_line(node.source(), std::string(setting.name) + " is " +
                                      std::string(type_name(node.type())) + ", not " +
                                      std::string(type_name(wanted)) + ": must be " +
                                      allowed_values(setting));
  }
  const std::string problem = set_value(settings, setting.name, plain_text(node));
  return problem.empty() ? "" : at_line(node.source(), problem);
}

// Sets what [learner] and the algorithm's own table hold; the latter has the last word. With `all`,
// they must hold every key. Runs of version 1 have all in [learner].
std::string read_learner(const toml::table& root, bool all, RunSettings& settings) {
  const AlgorithmInfo& algorithm = *settings.algorithm;
  if (const toml::table* const learner = root["learner"].as_table()) {
    for (const auto& [key, node] : *learner) {
      if (find_setting(algorithm, key.str()) != nullptr) continue;
      return at_line(key.source(), "'" + std::string(key.str()) + "' is no setting of " +
                                       std::string(algorithm.name));
    }
  }
  for (const Setting* setting : all_settings(algorithm)) {
    const bool is_own = find_setting(algorithm.settings, setting->name) != nullptr;
    bool is_said = false;
    for (const std::string_view table : {std::string_view("learner"), algorithm.name}) {
      const toml::node* const node = root[table][setting->name].node();
      if (node == nullptr) continue;
      is_said = true;
      std::string problem = read_setting(*node, *setting, settings);
      if (!problem.empty()) return problem;
    }
    if (!is_said && all) {
      return ": [" + std::string(is_own ? algorithm.name : "learner") + "] has no " +
             std::string(setting->name);
    }
  }
  return "";
}

// With `all`, it must hold every key; otherwise those of the machine are left alone.
std::string read_run(const toml::table& root, bool all, RunConfig& config) {
  for (const RunKey& key : kRunKeys) {
    const toml::node* const node = root["run"][key.name].node();
    if (node == nullptr && all) return ": [run] has no " + std::string(key.name);
    if (node == nullptr || (key.is_of_machine && !all)) continue;
    if (!key.read(*node, config)) {
      return at_line(node->source(),
                     std::string(key.name) + " is not valid: must be " + key.allowed());
    }
  }
  return "";
}

// A file that somebody may have written by hand.
toml::table parse_config_file(const std::string& path, const AlgorithmInfo& algorithm) {
  toml::table root;
  std::string problem = parse_file(path, root);
  if (problem.empty()) problem = check_names(root, algorithm);
  if (!problem.empty()) throw UsageError(path + problem);
  return root;
}

// The value as TOML: words in quotes, and every real number recognisable as one.
std::string toml_text(const Setting& setting, const RunSettings& settings) {
  const std::string text = format_value(settings, setting.name);
  if (setting.kind == SettingKind::kChoice) return toml_name(text);
  const bool looks_whole = text.find_first_of(".e") == std::string::npos;
  return setting.kind == SettingKind::kReal && looks_whole ? text + ".0" : text;
}

// One table of settings with a comment for each.
std::string table_text(std::string_view name, std::span<const Setting> table,
                       const RunSettings& settings) {
  std::string text = "\n[" + std::string(name) + "]\n";
  for (const Setting& setting : table) {
    const std::string unit = setting.unit.empty() ? "" : "; " + std::string(setting.unit);
    text += "# " + std::string(setting.help) + " (" + allowed_values(setting) + unit + ")\n" +
            std::string(setting.name) + " = " + toml_text(setting, settings) + "\n";
  }
  return text;
}

}  // namespace

void apply_run_table(RunConfig& config, const std::string& path) {
  const toml::table root = parse_config_file(path, *config.settings.algorithm);
  const std::string problem = read_run(root, false, config);
  if (!problem.empty()) throw UsageError(path + problem);
}

void apply_learner_table(RunSettings& settings, const std::string& path) {
  const toml::table root = parse_config_file(path, *settings.algorithm);
  const std::string problem = read_learner(root, false, settings);
  if (!problem.empty()) throw UsageError(path + problem);
}

void apply_set_options(RunSettings& settings, std::span<const std::string> options) {
  std::set<std::string> seen;
  for (const std::string& option : options) {
    const std::string shown = "--set " + printable(option) + ": ";
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos) {
      throw UsageError(shown + kSetForm);
    }
    std::string key = option.substr(0, equals);
    key.erase(key.find_last_not_of(' ') + 1);  // npos + 1 is 0
    if (key == "at") {
      throw UsageError(shown +
                       "is no setting; what happens to the world is --change 'at=100000 "
                       "NAME=VALUE'");
    }
    if (find_run_key(key) != nullptr) {
      throw UsageError(shown + "is no setting of the learner; use " +
                       (key == "task" ? "TASK" : "--" + key));
    }
    const std::size_t begin = option.find_first_not_of(' ', equals + 1);
    const std::string problem =
        set_value(settings, key, begin == std::string::npos ? "" : option.substr(begin));
    if (!problem.empty()) throw UsageError(shown + problem);
    if (!seen.insert(key).second) throw UsageError(shown + key + " is set twice");
  }
}

std::string write_config_toml(const RunConfig& config) {
  std::string text =
      "# What this run was started with. `instep train --config FILE` starts another like it.\n"
      "\n[run]\n";
  for (const RunKey& key : kRunKeys) {
    text += "# " + std::string(key.help) + " (" + key.allowed() + ")\n" + std::string(key.name) +
            " = " + key.write(config) + "\n";
  }
  const AlgorithmInfo& algorithm = *config.settings.algorithm;
  return text + table_text("learner", common_settings(), config.settings) +
         table_text(algorithm.name, algorithm.settings, config.settings);
}

// What helps against a damaged config.toml of a run.
static std::string copy_text(const std::string& path) {
  const std::string copy = std::filesystem::path(path).parent_path() / "best/config.toml";
  std::error_code error;
  return "; restore it from a copy" +
         (std::filesystem::exists(copy, error) ? ", as " + copy : std::string());
}

RunConfig read_config_toml(const std::string& path) {
  require_plain_file(path);
  RunConfig config;
  toml::table root;
  std::string problem = parse_file(path, root);
  if (problem.empty()) problem = check_names(root, *config.settings.algorithm);
  if (problem.empty()) problem = read_run(root, true, config);
  if (problem.empty()) problem = read_learner(root, true, config.settings);
  if (!problem.empty()) throw DataError(path + problem + copy_text(path));
  return config;
}

void require_toml(const std::string& path) {
  require_plain_file(path);
  toml::table ignored;
  const std::string problem = parse_file(path, ignored);
  if (!problem.empty()) throw DataError(path + problem + copy_text(path));
}

}  // namespace instep

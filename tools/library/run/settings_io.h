// Settings from files and options, and config.toml, which keeps what a run was started with.
#pragma once

#include <span>
#include <string>

#include "runtime/settings.h"

namespace instep {

// Both take a TOML file, as a run's own config.toml, which may say anything from nothing to
// everything, and throw UsageError naming file, line, key and what is allowed. What the file does
// not say stays.
// [run]: task, learner, seed, steps and schedule. Backend and path stay, too: they are of the
// machine.
void apply_run_table(RunConfig& config, const std::string& path);
// [learner], and the table of the settings' algorithm (as [avg]), which has the last word. Either
// may hold the algorithm's keys; tables of other algorithms do not count.
void apply_learner_table(RunSettings& settings, const std::string& path);

// What is said of one that is not of this form.
inline constexpr const char* kSetForm = "must be key=value, without spaces, as --set hidden=64";

// Sets what `--set key=value` options say, each key at most once. Throws UsageError naming the
// option.
void apply_set_options(RunSettings& settings, std::span<const std::string> options);

// The text of config.toml: every value with a comment, the same text for the same config. Names in
// it (task, backend, path) are lower-case letters, digits and underscores.
std::string write_config_toml(const RunConfig& config);

// Reads what write_config_toml() has written; every value comes back bit for bit. Throws DataError
// naming file, line and key when the file is missing, lacks a value or holds one that is not
// allowed, IoError when it cannot be read.
RunConfig read_config_toml(const std::string& path);

// Throws DataError unless the file is TOML, whatever it holds: an older program's config.toml too;
// IoError when it cannot be read.
void require_toml(const std::string& path);

}  // namespace instep

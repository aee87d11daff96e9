// What people type, before the parser sees it: short ways of saying things, and what words that the
// parser does not know may have meant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/library/run/train.h"

namespace instep {

// "0..4", "0-4", "0,1,2" or a count ("5" is 0..4). Throws UsageError for other texts and for more
// than 1000 seeds.
SeedRange parse_seeds(const std::string& text);

// The command line as the parser knows it: `help train` and `train help` become `train --help`,
// `-v` and `version` become `--version`, each `key=value` that follows --set gets a --set of its
// own, and the words of a --change or of listed --seeds that were not quoted become one.
std::vector<std::string> understood_words(const std::vector<std::string>& words);

// What was probably meant by a word that no option or place of the command takes: "; did you mean
// --steps?". `command`: its words ("train"); `options`: the names that it has ("--steps"). Empty
// where nothing is like it.
std::string meant_by(std::string_view word, std::string_view command,
                     const std::vector<std::string>& options);

// The command that is called so elsewhere ("evaluate" is eval); empty for other words.
std::string_view command_called(std::string_view word);

}  // namespace instep

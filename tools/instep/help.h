// What --help says of a command.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace instep {

// Description, usage, each argument and option with what it accepts and its default, and the
// command's examples (its footer), in lines of so many columns (0: no terminal says how many).
// Options whose group is empty are left out.
std::string help_text(const CLI::App& command, std::size_t columns);

// "train", "study random-search": the command as it is typed behind `instep`.
std::string command_words(const CLI::App& command);

}  // namespace instep

// From the words of a command line to what is to be done.
#pragma once

#include <functional>

namespace instep {

// What one command does; answers an exit code, throws CommandError.
using Action = std::function<int()>;

struct CommandLine {
  Action action;      // empty when there is nothing more to do
  int exit_code = 0;  // then: after --help or --version, or a mistake that has been told on stderr
  bool json = false;  // standard output is one JSON object alone
};

// Reads options as main() gets them, and does nothing yet. Throws UsageError for an unknown
// command.
CommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace instep

// How commands fail: an exception with what, where and what to do, turned into an exit code by
// main().
#pragma once

#include <stdexcept>
#include <string>

namespace instep {

// Exit codes of every command.
enum ExitCode { kDone = 0, kCheckFailed = 1, kWrongUse = 2, kDeviceError = 3 };

// Ends a command: the text goes to stderr behind "instep: ", the code becomes the exit status.
class CommandError : public std::runtime_error {
 public:
  CommandError(ExitCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// Damaged or unreadable data: exit code 1.
class DataError : public CommandError {
 public:
  explicit DataError(const std::string& text) : CommandError(kCheckFailed, text) {}
};

// A wrong option, key or value: exit code 2.
class UsageError : public CommandError {
 public:
  explicit UsageError(const std::string& text) : CommandError(kWrongUse, text) {}
};

// A device or the file system refused: exit code 3.
class IoError : public CommandError {
 public:
  explicit IoError(const std::string& text) : CommandError(kDeviceError, text) {}
};

// How a command ends that something was thrown at: an exit code and a sentence.
struct Failure {
  int code = kDone;
  std::string text;
};

// Of the exception that is being handled; in a catch block.
Failure current_failure();

// What to do about an errno value that says that something has run out, to be put behind a message;
// empty for others.
std::string system_advice(int error);

// "WHAT: what the system says", and the advice.
std::string system_trouble(const std::string& what, int error);

}  // namespace instep

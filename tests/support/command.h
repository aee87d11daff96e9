// The real command in a process of its own: what it prints, how it ends, and ending it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "temporary_folder.h"

extern char** environ;

namespace instep {

// How a process ended and what it said.
struct CommandResult {
  int exit_code = -1;  // -1 when a signal ended it
  int signal = 0;      // 0 when it ended by itself
  std::string out;
  std::string error;

  // The last line of stdout: one JSON object where --json was given.
  std::string last_line() const {
    std::string text = out;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.substr(text.rfind('\n') + 1);  // npos + 1 is 0
  }
};

inline std::ostream& operator<<(std::ostream& stream, const CommandResult& result) {
  return stream << "exit code " << result.exit_code << ", signal " << result.signal
                << "\n--- stdout\n"
                << result.out << "--- stderr\n"
                << result.error;
}

// The command, running. Output goes to files, so that it never waits for a reader; a test that
// fails prints what it said.
class RunningCommand {
 public:
  explicit RunningCommand(const std::vector<std::string>& arguments,
                          const std::string& program = INSTEP_COMMAND) {
    std::vector<std::string> words = {program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, (output_ / "out").c_str(), flags, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, (output_ / "error").c_str(), flags, 0600);
    const int error =
        posix_spawn(&process_, program.c_str(), &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      ADD_FAILURE() << program << ": " << std::strerror(error);
      process_ = -1;
    }
  }
  ~RunningCommand() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    const CommandResult result = wait();
    if (testing::Test::HasFailure()) std::cout << "killed at the test's end: " << result << '\n';
  }
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  pid_t process() const { return process_; }
  void send(int signal) const {
    if (process_ > 0) kill(process_, signal);
  }

  CommandResult wait() {
    CommandResult result;
    if (process_ <= 0) return result;
    int status = 0;
    while (waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    result.out = read_bytes(output_ / "out");
    result.error = read_bytes(output_ / "error");
    return result;
  }

 private:
  TemporaryFolder output_;
  pid_t process_ = -1;
};

inline CommandResult run_command(const std::vector<std::string>& arguments) {
  return RunningCommand(arguments).wait();
}

}  // namespace instep

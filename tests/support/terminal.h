// A command on a terminal of its own, whose keys a test presses and whose screen it may leave
// unread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "command.h"
#include "wait_for.h"

namespace instep {

class CommandOnTerminal {
 public:
  // `is_controlled`: the terminal is the command's controlling one; else it is nobody's.
  explicit CommandOnTerminal(std::vector<std::string> arguments,
                             const std::string& program = INSTEP_COMMAND,
                             bool is_controlled = true) {
    arguments.insert(arguments.begin(), program);
    std::vector<char*> pointers;
    for (std::string& word : arguments) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    EXPECT_EQ(openpty(&terminal_, &side_, nullptr, nullptr, nullptr), 0);
    EXPECT_EQ(fcntl(terminal_, F_SETFD, FD_CLOEXEC), 0);
    process_ = fork();
    if (process_ == 0) {
      for (int i = 0; i < 3; ++i) dup2(side_, i);
      if (side_ > 2) close(side_);
      if (is_controlled && (setsid() < 0 || ioctl(0, TIOCSCTTY, 0) != 0)) _exit(126);
      std::signal(SIGINT, SIG_DFL);  // which whoever starts a test in the background may ignore
      execv(pointers[0], pointers.data());
      _exit(127);
    }
    EXPECT_GT(process_, 0);
    close(side_);
    side_ = -1;
    EXPECT_EQ(fcntl(terminal_, F_SETFL, O_NONBLOCK), 0);
  }
  ~CommandOnTerminal() {
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
    if (side_ >= 0) close(side_);
    if (terminal_ >= 0) close(terminal_);
  }
  CommandOnTerminal(const CommandOnTerminal&) = delete;
  CommandOnTerminal& operator=(const CommandOnTerminal&) = delete;

  pid_t process() const { return process_; }
  void send(int signal) const { kill(process_, signal); }
  void type(const std::string& keys) const {
    EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  // Its window is closed.
  void hang_up() {
    if (side_ >= 0) close(side_);
    close(terminal_);
    side_ = terminal_ = -1;
  }
  // Halts the terminal's output, as its own Ctrl-S or a multiplexer does.
  void halt() const { EXPECT_EQ(tcflow(terminal_side(), TCOOFF), 0); }
  termios settings() const {
    termios settings{};
    EXPECT_EQ(tcgetattr(terminal_, &settings), 0);
    return settings;
  }

  // All that it has shown so far.
  const std::string& shown() {
    char text[4096];
    ssize_t count = 0;
    while ((count = read(terminal_, text, sizeof text)) > 0) {
      shown_.append(text, static_cast<std::size_t>(count));
    }
    return shown_;
  }
  bool shows(const std::string& text, std::int64_t most_ns = 60'000'000'000) {
    return wait_for([&] { return shown().find(text) != std::string::npos; }, most_ns);
  }
  // Whether it ends within that time; then result() says how.
  bool ends_within(std::int64_t most_ns) {
    return wait_for(
        [&] {
          if (process_ > 0 && waitpid(process_, &status_, WNOHANG) == process_) process_ = -1;
          return process_ < 0;
        },
        most_ns);
  }
  int exit_code() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }
  int signal() const { return WIFSIGNALED(status_) ? WTERMSIG(status_) : 0; }

 private:
  // The command's side of it.
  int terminal_side() const {
    if (side_ < 0) side_ = open(ptsname(terminal_), O_RDWR | O_NOCTTY | O_CLOEXEC);
    return side_;
  }

  int terminal_ = -1;
  mutable int side_ = -1;
  pid_t process_ = -1;
  int status_ = 0;
  std::string shown_;
};

}  // namespace instep

#include "tools/library/run/keyboard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

namespace instep {
namespace {

constexpr char kGoOnKey = 'c';

// Of the terminal, to put back; a signal handler finds no object.
termios terminal_before{};
std::atomic<bool> is_terminal_changed{false};
static_assert(std::atomic<bool>::is_always_lock_free);

bool is_in_foreground() {
  return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

// Whatever else ends a process with a core or without. The second time it does.
void end_with_terminal_restored(int name) {
  restore_terminal();
  std::raise(name);
}

void restore_terminal_on_crash() {
  struct sigaction action {};
  action.sa_handler = end_with_terminal_restored;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int name : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGQUIT,
                         SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF}) {
    struct sigaction before {};
    sigaction(name, nullptr, &before);
    if (before.sa_handler == SIG_DFL) sigaction(name, &action, nullptr);
  }
}

}  // namespace

void restore_terminal() {
  if (!is_terminal_changed.exchange(false)) return;
  const int error = errno;  // of whatever a signal interrupted
  // A shell that has put this process into the background has its own settings there by now.
  if (is_in_foreground()) tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
  errno = error;
}

Keyboard::Keyboard() {
  std::signal(SIGTTIN, SIG_IGN);
  std::signal(SIGTTOU, SIG_IGN);
  // In the background the keys are somebody else's.
  is_terminal_ =
      isatty(STDIN_FILENO) == 1 && is_in_foreground() && tcgetattr(STDIN_FILENO, &settings_) == 0;
  if (!is_terminal_) return;
  restore_terminal_on_crash();
  terminal_before = settings_;
  is_terminal_changed = true;
  settings_.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
  settings_.c_iflag &= ~static_cast<tcflag_t>(IXON | IXOFF);
  settings_.c_cc[VSUSP] = settings_.c_cc[VQUIT] = _POSIX_VDISABLE;
  settings_.c_cc[VMIN] = settings_.c_cc[VTIME] = 0;  // a key that another program took is no wait
  tcsetattr(STDIN_FILENO, TCSANOW, &settings_);
}

Keyboard::~Keyboard() {
  restore_terminal();
}

int Keyboard::descriptor() {
  if (!is_terminal_ || !is_terminal_changed || !is_in_foreground()) return -1;
  termios now{};
  if (tcgetattr(STDIN_FILENO, &now) != 0) return -1;
  const bool is_set_up = now.c_lflag == settings_.c_lflag && now.c_iflag == settings_.c_iflag &&
                         std::equal(std::begin(now.c_cc), std::end(now.c_cc), settings_.c_cc);
  if (!is_set_up) tcsetattr(STDIN_FILENO, TCSANOW, &settings_);
  return STDIN_FILENO;
}

Keyboard::Press Keyboard::read() {
  std::array<char, 256> keys;
  const ssize_t count = ::read(STDIN_FILENO, keys.data(), keys.size());
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Press::kNone;
  if (count <= 0) {
    // VMIN is 0: nothing was left to read, or the terminal has been hung up.
    is_terminal_ = count == 0 && isatty(STDIN_FILENO) == 1;
    return Press::kNone;
  }
  const bool is_go_on =
      std::all_of(keys.begin(), keys.begin() + count, [](char key) { return key == kGoOnKey; });
  return is_go_on ? Press::kGoOn : Press::kHold;
}

}  // namespace instep

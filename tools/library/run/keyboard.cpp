#include "tools/library/run/keyboard.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace instep {
namespace {

constexpr char kGoOnKey = 'c';

// Of the terminal, to put back; a signal handler finds no object.
termios terminal_before{};
std::atomic<bool> is_terminal_changed{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// Nobody controls the terminal, so that its keys are whose who reads them and make no signals.
std::atomic<bool> is_terminal_free{false};
// The terminal was put back for good.
std::atomic<bool> is_over{false};

bool is_in_foreground() {
  return is_terminal_free || tcgetpgrp(STDIN_FILENO) == getpgrp();
}

// Whether it is the controlling terminal of any process that can be seen.
bool is_controlled(dev_t terminal) {
  // As /proc has it: the minor number's upper bits above the major number.
  const std::uint64_t wanted = (minor(terminal) & 0xFFU) | (std::uint64_t{major(terminal)} << 8) |
                               (std::uint64_t{minor(terminal) & ~0xFFU} << 12);
  std::error_code failed;
  for (std::filesystem::directory_iterator entry("/proc", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::ifstream file(entry->path() / "stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(") ");
    if (name_end == std::string::npos) continue;
    std::istringstream words(text.substr(name_end + 2));
    std::string state;
    std::uint64_t parent = 0;
    std::uint64_t group = 0;
    std::uint64_t session = 0;
    std::uint64_t controlling = 0;
    words >> state >> parent >> group >> session >> controlling;
    if (controlling == wanted) return true;
  }
  return false;
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
  const int error = errno;  // of whatever a signal interrupted
  is_over = true;
  // A shell that has put this process into the background has its own settings there by now.
  if (is_terminal_changed.exchange(false) && is_in_foreground()) {
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
  }
  errno = error;
}

Keyboard::Keyboard() {
  std::signal(SIGTTIN, SIG_IGN);
  std::signal(SIGTTOU, SIG_IGN);  // its settings
  is_over = false;
  struct stat status {};
  if (isatty(STDIN_FILENO) != 1 || fstat(STDIN_FILENO, &status) != 0) return;
  reach_ = Reach::kOtherJob;
  if (tcgetpgrp(STDIN_FILENO) < 0) {
    is_terminal_free = !is_controlled(status.st_rdev);
    if (!is_terminal_free) reach_ = Reach::kOtherSession;
  }
  look();
}

Keyboard::~Keyboard() {
  restore_terminal();
}

void Keyboard::set_up() {
  termios now{};
  if (tcgetattr(STDIN_FILENO, &now) != 0) return;
  if (!is_set_up_) {
    restore_terminal_on_crash();
    terminal_before = settings_ = now;
    settings_.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
    if (is_terminal_free) settings_.c_lflag &= ~static_cast<tcflag_t>(ISIG);
    settings_.c_iflag &= ~static_cast<tcflag_t>(IXON | IXOFF);
    settings_.c_cc[VSUSP] = settings_.c_cc[VQUIT] = _POSIX_VDISABLE;
    settings_.c_cc[VMIN] = settings_.c_cc[VTIME] = 0;  // a key that another program took is no wait
    is_set_up_ = true;
    is_terminal_changed = true;
  }
  const bool is_right = now.c_lflag == settings_.c_lflag && now.c_iflag == settings_.c_iflag &&
                        std::equal(std::begin(now.c_cc), std::end(now.c_cc), settings_.c_cc);
  if (!is_right) tcsetattr(STDIN_FILENO, TCSANOW, &settings_);
}

Keyboard::Reach Keyboard::look() {
  if (reach_ != Reach::kThis && reach_ != Reach::kOtherJob) return reach_;
  reach_ = is_in_foreground() ? Reach::kThis : Reach::kOtherJob;
  if (reach_ == Reach::kThis && !is_over) set_up();
  return reach_;
}

// Who controls the terminal from elsewhere may leave it; who has put this job into the background
// may not.
int Keyboard::descriptor() const {
  const bool is_its_own = reach_ == Reach::kThis || reach_ == Reach::kOtherJob;
  return is_its_own && !is_over ? STDIN_FILENO : -1;
}

void Keyboard::hang_up() {
  reach_ = Reach::kHungUp;
}

Keyboard::Press Keyboard::read() {
  constexpr int kReadsMax = 64;  // more than a terminal holds
  std::array<char, 256> keys;
  Press press = Press::kNone;
  // All that is there, so that the end of a text that was pasted is no key of its own.
  for (int i = 0; i < kReadsMax; ++i) {
    const ssize_t count = ::read(STDIN_FILENO, keys.data(), keys.size());
    // VMIN is 0: nothing was left to read.
    if (count <= 0 || is_over) break;
    const auto end = keys.begin() + count;
    if (is_terminal_free &&
        std::find(keys.begin(), end, static_cast<char>(settings_.c_cc[VINTR])) != end) {
      return Press::kInterrupt;
    }
    const bool is_go_on = press != Press::kHold &&
                          std::all_of(keys.begin(), end, [](char key) { return key == kGoOnKey; });
    press = is_go_on ? Press::kGoOn : Press::kHold;
    if (count < static_cast<ssize_t>(keys.size())) break;
  }
  return press;
}

}  // namespace instep

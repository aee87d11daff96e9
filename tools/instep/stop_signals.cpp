#include "tools/instep/stop_signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace instep {
namespace {

constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGHUP};

StopRequest stop;
std::atomic<int> exit_code_at_end{0};
static_assert(std::atomic<int>::is_always_lock_free);

// No word to the terminal: one that is being closed keeps whoever speaks to it waiting.
void request_stop(int) {
  stop.ask();
}

void end_now(int) {
  _exit(exit_code_at_end);
}

}  // namespace

// Nobody reading the progress any more is no reason to stop. Who presses Ctrl-C twice wants the end
// at once; the other signals come twice by themselves, to a group of processes and from the parent.
const StopRequest& install_stop_handler() {
  std::signal(SIGPIPE, SIG_IGN);
  // A job in the background that writes to its terminal is not halted: a robot may be moving.
  std::signal(SIGTTOU, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = request_stop;
  for (const int name : kStopSignals) {
    action.sa_flags = name == SIGINT ? static_cast<int>(SA_RESETHAND) : 0;
    struct sigaction before {};
    sigaction(name, nullptr, &before);
    // As nohup and a script's `&` set it; SIGTERM is what `instep stop` asks with.
    const bool is_taken = before.sa_handler != SIG_IGN || name == SIGTERM;
    if (is_taken) sigaction(name, &action, nullptr);
  }
  return stop;
}

void let_signals_end(int exit_code) {
  exit_code_at_end = exit_code;
  struct sigaction action {};
  action.sa_handler = end_now;
  for (const int name : kStopSignals) {
    struct sigaction before {};
    sigaction(name, nullptr, &before);
    if (before.sa_handler == request_stop) sigaction(name, &action, nullptr);
  }
  if (!stop.is_asked()) return;
  constexpr unsigned kPrintingS = 2;
  sigaction(SIGALRM, &action, nullptr);
  alarm(kPrintingS);
}

}  // namespace instep

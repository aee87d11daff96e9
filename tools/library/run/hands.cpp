#include "tools/library/run/hands.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace instep {
namespace {

constexpr std::int64_t kRoundNs = 50'000'000;
constexpr std::int64_t kKeyPauseNs = 10'000'000;  // keys that come faster keep no processor
constexpr std::int64_t kFirstWordNs = 1'000'000'000;
constexpr std::int64_t kNextWordNs = 5'000'000'000;

// Of those that ask for a stop, and that tell of having been halted.
sigset_t signals_taken() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int name : {SIGINT, SIGTERM, SIGHUP, SIGCONT}) sigaddset(&signals, name);
  return signals;
}

bool is_ignored(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

}  // namespace

Hands::BlockedSignals::BlockedSignals() {
  const sigset_t taken = signals_taken();
  pthread_sigmask(SIG_BLOCK, &taken, &before_);
}

Hands::BlockedSignals::~BlockedSignals() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

Hands::Hands(const Body& body)
    : body_(body),
      in_background_(unreachable("this run is in the background (`fg` gives it the keys)")),
      reach_(keyboard_.look()) {
  if (reach_ == Keyboard::Reach::kOtherJob) {
    body_.voice.say(in_background_);
  } else if (reach_ == Keyboard::Reach::kOtherSession) {
    body_.voice.say(unreachable("this run's terminal belongs to another session"));
  } else if (is_ignored(SIGINT)) {
    body_.voice.say(unreachable("this run was started so that Ctrl-C is ignored"));
  }
  if (is_asked(body_.stop)) stop(clock_.now_ns());
  thread_ = start_thread("the thread that watches keys and signals", [this] { run(); });
}

Hands::~Hands() {
  is_ending_ = true;
  wake_.wake();
  thread_.join();
}

void Hands::loop_is_over() {
  is_over_ = true;
  wake_.wake();
}

// What to do where keys and Ctrl-C do not reach the run.
std::string Hands::unreachable(const std::string& why) const {
  return why + ": keys and Ctrl-C do not stop the robot; `instep stop " + body_.device +
         "` or `kill " + std::to_string(getpid()) + "` does";
}

void Hands::look_at_terminal() {
  const Keyboard::Reach before = std::exchange(reach_, keyboard_.look());
  if (reach_ == before || is_stopping_) return;
  if (reach_ == Keyboard::Reach::kOtherJob) body_.voice.post(in_background_);
  if (reach_ == Keyboard::Reach::kThis) {
    body_.voice.post("in the foreground again: any key holds the robot, Ctrl-C stops it");
  }
}

// Signals are let in only while it sleeps, so that none comes between a look and the sleep.
void Hands::wait(std::int64_t timeout_ns, const sigset_t& signals) {
  look_at_terminal();
  const bool may_take = clock_.now_ns() >= key_ns_;
  const bool takes_keys = may_take && reach_ == Keyboard::Reach::kThis;
  // Without events it still hears of the terminal's end.
  pollfd wanted[] = {{wake_.descriptor(), POLLIN, 0},
                     {keyboard_.descriptor(), static_cast<short>(takes_keys ? POLLIN : 0), 0}};
  if (!may_take) timeout_ns = std::min(timeout_ns, kKeyPauseNs);
  const timespec timeout{0, static_cast<long>(timeout_ns)};
  if (ppoll(wanted, 2, &timeout, &signals) <= 0) return;
  if (wanted[0].revents != 0) wake_.clear();
  if ((wanted[1].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
    keyboard_.hang_up();
    kill(getpid(), SIGHUP);  // which the system sends to the job in the foreground alone
  } else if (wanted[1].revents != 0) {
    take_key();
  }
}

void Hands::take_key() {
  key_ns_ = clock_.now_ns() + kKeyPauseNs;
  const Keyboard::Press press = keyboard_.read();
  if (press == Keyboard::Press::kInterrupt && !is_ignored(SIGINT)) {
    kill(getpid(), SIGINT);
    return;
  }
  if (press == Keyboard::Press::kNone || is_stopping_) return;
  const bool must_hold = press != Keyboard::Press::kGoOn;
  const bool was_held = body_.signals.hold.exchange(must_hold);
  body_.link.set_halt(must_hold);
  if (was_held != must_hold) body_.voice.post(must_hold ? "held; press c to go on" : "going on");
}

void Hands::stop(std::int64_t now_ns) {
  if (is_stopping_) return;
  is_stopping_ = true;
  body_.signals.stop = true;
  body_.link.set_halt(true);
  // Not before: it may wait. A second Ctrl-C, which comes only after this, leaves no time for it.
  restore_terminal();
  body_.notice.stopping();
  tell_ns_ = now_ns + kFirstWordNs;
}

// Only what has moved since the last time is alive.
void Hands::feed(std::int64_t now_ns) {
  if (is_stopping_ || is_over_ || !body_.notice.is_due(now_ns)) return;
  const std::uint64_t ticks = body_.world.ticks();
  const std::uint64_t rounds = body_.link.rounds();
  if (ticks == ticks_fed_ || rounds == rounds_fed_) return;
  ticks_fed_ = ticks;
  rounds_fed_ = rounds;
  body_.notice.feed(now_ns);
}

void Hands::tell(std::int64_t now_ns) {
  if (!is_stopping_ || now_ns < tell_ns_) return;
  tell_ns_ = now_ns + kNextWordNs;
  body_.voice.post(at_.load(std::memory_order_relaxed));
}

void Hands::tell_of_guardian() {
  const std::uint32_t stops = body_.link.guardian_stops();
  if (stops == guardian_stops_) return;
  guardian_stops_ = stops;
  if (is_stopping_ || is_over_) return;
  body_.voice.post("this program stood still, and its guardian stopped the robot; going on");
}

void Hands::run() {
  priority_error_ = become_realtime("instep-hands", kHandsPriority);
  sigset_t while_asleep;
  pthread_sigmask(SIG_SETMASK, nullptr, &while_asleep);
  for (const int name : {SIGINT, SIGTERM, SIGHUP, SIGCONT}) sigdelset(&while_asleep, name);
  const std::int64_t round_ns = std::min(kRoundNs, body_.notice.period_ns() / 4);
  while (!is_ending_) {
    wait(round_ns, while_asleep);
    const std::int64_t now_ns = clock_.now_ns();
    if (is_asked(body_.stop)) stop(now_ns);
    if (is_over_ && !is_link_told_) {
      is_link_told_ = true;
      body_.link.ask_to_stop();
    }
    feed(now_ns);
    tell(now_ns);
    tell_of_guardian();
  }
}

}  // namespace instep

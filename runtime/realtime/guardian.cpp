#include "runtime/realtime/guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <system_error>

#include "runtime/realtime/thread.h"

namespace instep {
namespace {

constexpr char kBeat = 'b';
constexpr char kLost = 'l';
constexpr char kOpened = 'o';  // followed by the path, zeros to its end
constexpr char kRelease = 'q';
constexpr char kReady = 'w';  // the only one that the guardian sends
// Not sent, but found.
constexpr char kSilence = 's';
constexpr char kEnd = 'e';

// A path and its letter reach the pipe in one piece.
static_assert(PortAddress::kPathMax + 1 <= PIPE_BUF);

constexpr std::int64_t kLateNs = 20'000'000;  // this process itself was not woken in time

[[noreturn]] void fail(int error) {
  throw std::system_error(
      error, std::generic_category(),
      "the guardian process, which stops the robot when this program dies, cannot be started");
}

// The letter that /proc has for it, or a negative errno value; -ESRCH: there is none.
int thread_state(pid_t process, pid_t thread) {
  std::array<char, 48> path;
  std::snprintf(path.data(), path.size(), "/proc/%d/task/%d/stat", process, thread);
  const Descriptor file(open(path.data(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return errno == ENOENT ? -ESRCH : -errno;
  std::array<char, 128> text;
  const ssize_t size = read(file.get(), text.data(), text.size());
  if (size < 0) return -errno;
  // Behind its name, which may hold anything.
  const std::string_view stat(text.data(), static_cast<std::size_t>(size));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= stat.size()) return -EIO;
  return static_cast<unsigned char>(stat[name_end + 2]);
}

// Stopped, asleep or dead.
bool is_rest(int state) {
  return state == 'T' || state == 't' || state == 'S' || state == 'Z';
}

// The guardian's own process.
class Watch {
 public:
  Watch(int port, const PortAddress& address, const PortOperations& operations, DeviceStop* stop,
        GuardianShared& shared, WakeUp& nudge, int lock)
      : port_(port),
        address_(address),
        operations_(operations),
        stop_(stop),
        shared_(shared),
        nudge_(nudge),
        lock_(lock),
        opens_when_needed_(port < 0) {}

  [[noreturn]] void run(int pipe, int agents_end, int ready);

 private:
  void settle(int agents_end, int ready);
  char next_message(bool is_beating);
  bool is_silent();
  bool is_agent_frozen() const;
  void open_where_told();
  void stop(bool agent_lives);
  bool must_go_on(const PortStop& work, std::int64_t begin_ns) const;

  Descriptor port_;
  PortAddress address_;
  const PortOperations& operations_;
  DeviceStop* stop_;  // null: nothing is to be stopped
  GuardianShared& shared_;
  WakeUp& nudge_;
  int lock_;
  bool opens_when_needed_;  // a connection that nobody reads would fill
  MonotonicClock clock_;
  pid_t agent_ = 0;
  bool has_proc_ = false;
  int pipe_ = -1;
  bool is_lost_ = false;
};

void Watch::settle(int agents_end, int ready) {
  // Its work is short, and the robot waits for it. Without the right to this it does it all the
  // same.
  const int ordinary = become_realtime(kGuardianName, kIoPriority);
  static_cast<void>(ordinary);
  agent_ = getppid();
  has_proc_ = access("/proc/self/stat", R_OK) == 0;
  // It ends when its pipe does, and not when a terminal or a service manager ends everybody.
  for (const int name : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP}) {
    std::signal(name, SIG_IGN);
  }
  setsid();
  // Stopped itself, it goes on when the agent dies.
  const int unheard = prctl(PR_SET_PDEATHSIG, SIGCONT);
  static_cast<void>(unheard);  // any kernel knows it
  // Nothing else of the agent's may live on in here: not its files, nor the pipe's other end.
  for (int i = 0; i < 1024; ++i) {
    const bool is_kept =
        i == port_.get() || i == lock_ || i == pipe_ || i == ready || i == nudge_.descriptor();
    if (!is_kept) close(i);
  }
  close(agents_end);  // whatever its number: while it is open here, the pipe does not end
  // Without the right to it the stop may wait for pages, which is better than none.
  const int unlocked = mlockall(MCL_CURRENT);
  static_cast<void>(unlocked);
  const ssize_t told = write(ready, &kReady, 1);
  static_cast<void>(told);  // an agent that is dead already is seen by its pipe
  close(ready);
}

// Whether the thread that gives the beats is stopped, sleeps, or has died: the pipe of a process
// that is killed ends only when the last of its threads has.
bool Watch::is_agent_frozen() const {
  const pid_t thread = shared_.thread.load(std::memory_order_relaxed);
  const int state = thread_state(agent_, thread != 0 ? thread : agent_);
  return is_rest(state) || state == 'X' || (state == -ESRCH && has_proc_);
}

// Waits for a message; true when none comes in time.
bool Watch::is_silent() {
  const std::int64_t due_ns = clock_.now_ns() + Guardian::kSilenceNs;
  const auto hears = [this](std::int64_t within_ns) {
    pollfd wanted{pipe_, POLLIN, 0};
    return poll(&wanted, 1, static_cast<int>(within_ns / 1'000'000)) > 0;
  };
  if (hears(Guardian::kNudgeNs)) return false;
  // A thread that sleeps on a processor that is away wakes on another one.
  nudge_.wake();
  for (std::int64_t wait_ns = Guardian::kFrozenNs - Guardian::kNudgeNs; clock_.now_ns() < due_ns;
       wait_ns = Guardian::kBeatIntervalNs) {
    if (hears(wait_ns)) return false;
    if (is_agent_frozen()) return true;
  }
  // Where the whole machine stood still the agent gets a moment to speak first.
  const bool was_late = clock_.now_ns() - due_ns > kLateNs;
  return !hears(was_late ? kLateNs : 0);
}

char Watch::next_message(bool is_beating) {
  if (is_beating && is_silent()) return kSilence;
  char message = kEnd;
  ssize_t bytes = -1;
  while ((bytes = read(pipe_, &message, 1)) < 0 && errno == EINTR) continue;
  return bytes == 1 ? message : kEnd;
}

void Watch::open_where_told() {
  PortAddress address = address_;
  const ssize_t bytes = read(pipe_, address.given.data(), address.given.size());
  if (bytes != static_cast<ssize_t>(address.given.size())) return;
  is_lost_ = false;
  port_.reset();
  const int opened = operations_.open(&address);
  if (opened >= 0) port_.reset(opened);  // else it is tried again when it is needed
  address_.node = address.node;
}

bool Watch::must_go_on(const PortStop& work, std::int64_t begin_ns) const {
  const std::int64_t now_ns = clock_.now_ns();
  if (work.stands() || now_ns - begin_ns >= Guardian::kAwayNsMax) return false;
  return work.begun_ns() < 0 || now_ns - work.begun_ns() < Guardian::kStopNsMax;
}

// Until the device is seen to stand, time is over, or the agent is heard again.
void Watch::stop(bool agent_lives) {
  const std::int64_t begin_ns = clock_.now_ns();
  PortStop work(*stop_, operations_, address_, port_);
  bool is_claimed = agent_lives;
  while (must_go_on(work, begin_ns)) {
    work.step(clock_.now_ns() + PortStop::kOpenPeriodNs, agent_lives ? pipe_ : -1);
    if (!is_claimed && work.has_written() && port_.is_open()) {
      // A run that has been started since stops the robot before it moves it.
      if (operations_.claim(port_.get()) == EBUSY) return;
      is_claimed = true;
    }
    pollfd heard{pipe_, POLLIN, 0};
    if (agent_lives && poll(&heard, 1, 0) == 1) break;
  }
  if (!agent_lives && port_.is_open() && operations_.drain != nullptr) {
    operations_.drain(port_.get());
  }
  if (is_lost_ || opens_when_needed_) port_.reset();
}

void Watch::run(int pipe, int agents_end, int ready) {
  pipe_ = pipe;
  settle(agents_end, ready);
  for (bool is_beating = false;;) {
    switch (next_message(is_beating)) {
      case kBeat:
        shared_.heard.fetch_add(1, std::memory_order_relaxed);
        is_beating = true;
        break;
      case kLost:
        is_lost_ = true;
        port_.reset();
        break;
      case kOpened:
        open_where_told();
        break;
      case kSilence:
        is_beating = false;  // until the agent goes on
        if (stop_ == nullptr) break;
        shared_.stops.fetch_add(1, std::memory_order_relaxed);
        stop(true);
        break;
      case kRelease:
        _exit(0);
      default:
        if (stop_ != nullptr) stop(false);
        _exit(0);
    }
  }
}

struct Pipe {
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail(errno);
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }
  Descriptor read_end;
  Descriptor write_end;
};

GuardianShared* make_shared_memory(Descriptor& record) {
  record.reset(memfd_create(kPortRecordName, MFD_CLOEXEC));
  if (!record.is_open() || ftruncate(record.get(), sizeof(GuardianShared)) != 0) fail(errno);
  void* const memory =
      mmap(nullptr, sizeof(GuardianShared), PROT_READ | PROT_WRITE, MAP_SHARED, record.get(), 0);
  if (memory == MAP_FAILED) fail(errno);
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
                std::atomic<pid_t>::is_always_lock_free && offsetof(GuardianShared, names) == 0);
  return new (memory) GuardianShared;
}

void release(GuardianShared* shared) {
  munmap(shared, sizeof *shared);
}

}  // namespace

Guardian::Guardian(int descriptor, const PortAddress& address, const PortOperations& port,
                   DeviceStop* stop, int lock) {
  Pipe messages;
  Pipe ready;
  fcntl(messages.write_end.get(), F_SETFL, O_NONBLOCK);
  // beat() is to learn of the guardian's death, not to share it.
  std::signal(SIGPIPE, SIG_IGN);
  shared_ = make_shared_memory(record_);
  shared_->names = address.names;
  process_ = fork();
  if (process_ == 0) {
    Watch(descriptor, address, port, stop, *shared_, nudge_, lock)
        .run(messages.read_end.get(), messages.write_end.get(), ready.write_end.get());
  }
  const int error = errno;
  ready.write_end.reset();
  // Until it watches nothing may move.
  char message = 0;
  ssize_t bytes = -1;
  while (process_ > 0 && (bytes = read(ready.read_end.get(), &message, 1)) < 0 && errno == EINTR) {
  }
  pipe_ = std::move(messages.write_end);
  if (bytes == 1) return;
  pipe_.reset();
  instep::release(shared_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
  fail(process_ < 0 ? error : EPIPE);
}

Guardian::~Guardian() {
  if (!is_left_) release();
  pipe_.reset();
  instep::release(shared_);
  kill(process_, SIGCONT);  // it may have been stopped
  if (!is_left_) see_it_end();
}

// The robot is released: it does no harm to kill what does not end. What a debugger holds may not
// end even then.
void Guardian::see_it_end() const {
  constexpr std::int64_t kRoundNs = 2'000'000;
  const MonotonicClock clock;
  const std::int64_t kill_ns = clock.now_ns() + kEndNsMax;
  std::int64_t now_ns = clock.now_ns();
  while (waitpid(process_, nullptr, WNOHANG) == 0 && now_ns < kill_ns + kEndNsMax) {
    if (now_ns >= kill_ns) kill(process_, SIGKILL);
    sleep_until(now_ns + kRoundNs);
    now_ns = clock.now_ns();
  }
}

bool Guardian::is_at_rest() const {
  return is_rest(thread_state(process_, process_));
}

void Guardian::send(char message) const {
  const ssize_t ignored = write(pipe_.get(), &message, 1);
  static_cast<void>(ignored);
}

void Guardian::watch_this_thread() const {
  shared_->thread.store(gettid(), std::memory_order_relaxed);
}

bool Guardian::beat() const {
  return write(pipe_.get(), &kBeat, 1) == 1;
}

void Guardian::lose() const {
  send(kLost);
}

void Guardian::release() const {
  send(kRelease);
}

void Guardian::leave() {
  lose();
  is_left_ = true;
}

void Guardian::reopen(const PortAddress& address) const {
  std::array<char, PortAddress::kPathMax + 1> message{};
  message[0] = kOpened;
  std::copy(address.node.begin(), address.node.end(), message.begin() + 1);
  shared_->names = address.names;
  const ssize_t ignored = write(pipe_.get(), message.data(), message.size());
  static_cast<void>(ignored);
}

}  // namespace instep

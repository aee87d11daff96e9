// The I/O thread and the guardian against a device behind a pseudo-terminal, on real time.
#include "runtime/realtime/realtime_link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "drivers/loopback/loopback.h"
#include "drivers/serial_port.h"
#include "opened_loopback.h"
#include "wait_for.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;

Command move(double first) {
  return {.kind = Command::kMove, .count = 2, .values = {first, 0.0}};
}

struct Rig {
  explicit Rig(std::int64_t dead_man_ns = 100'000 * kMs)
      : device(5 * kMs),
        session(dead_man_ns),
        port(device.path()),
        link(session, std::move(port.descriptor), port.address, kLoopbackPort, nullptr,
             {.stop = &stop}) {
    link.start();
  }
  LoopbackDevice device;
  LoopbackSession session;
  OpenedLoopback port;
  LoopbackStop stop;
  RealtimeLink link;
};

TEST(RealtimeLink, BringsPacketsInOrderAndCommandsOut) {
  Rig rig;
  Packet packet;
  ASSERT_TRUE(wait_for([&] { return rig.link.next_packet(&packet); }));
  EXPECT_EQ(rig.link.state(), LinkState::kReady);
  std::uint32_t last = packet.sequence;
  std::int64_t last_ns = packet.time_ns;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(wait_for([&] { return rig.link.next_packet(&packet); }));
    EXPECT_EQ(packet.sequence, ++last);
    EXPECT_GE(packet.time_ns, last_ns);
    EXPECT_LE(packet.time_ns, rig.link.now_ns());
    last_ns = packet.time_ns;
  }
  rig.link.post(move(0.25));
  EXPECT_TRUE(wait_for([&] { return rig.device.velocity() == 0.25F; }));
  rig.link.post(Command{});
  rig.link.stop();
  EXPECT_TRUE(wait_for([&] { return rig.device.velocity() == 0.0F; })) << "sent before it ended";
  EXPECT_EQ(rig.link.latency().command_to_wire.total(), 2U);
  EXPECT_EQ(rig.link.latency().packet_to_wire.total(), 2U);
}

TEST(RealtimeLink, SendsOnlyTheNewestCommand) {
  Rig rig;
  ASSERT_TRUE(wait_for([&] { return rig.link.state() == LinkState::kReady; }));
  for (int i = 1; i <= 1000; ++i) rig.link.post(move(0.001 * i));
  EXPECT_TRUE(wait_for([&] { return rig.device.velocity() == 1.0F; }));
  EXPECT_LE(rig.device.commands(), 1000U);
}

TEST(RealtimeLink, StopsTheRobotWhenTheLoopFallsSilent) {
  Rig rig(50 * kMs);
  rig.link.post(move(0.5));
  ASSERT_TRUE(wait_for([&] { return rig.device.velocity() == 0.5F; }));
  const std::int64_t begin_ns = rig.link.now_ns();
  ASSERT_TRUE(wait_for([&] { return rig.device.velocity() == 0.0F; }));
  EXPECT_LT(rig.device.stopped_ns() - begin_ns, 2'000 * kMs);
  rig.link.stop();
  EXPECT_EQ(rig.session.counters().dead_man_stops, 1U);
}

// A port that goes away and comes back under the same name.
std::string port_link_path() {
  return testing::TempDir() + "instep_port_" + std::to_string(getpid());
}

TEST(RealtimeLink, OpensALostPortAgain) {
  const std::string path = port_link_path();
  auto device = std::make_unique<LoopbackDevice>(5 * kMs);
  unlink(path.c_str());
  ASSERT_EQ(symlink(device->path().c_str(), path.c_str()), 0);
  LoopbackSession session(100'000 * kMs);
  OpenedLoopback port(path);
  RealtimeLink link(session, std::move(port.descriptor), port.address, kLoopbackPort, nullptr, {});
  link.start();
  ASSERT_TRUE(wait_for([&] { return link.state() == LinkState::kReady; }));
  unlink(path.c_str());  // as udev does; the terminal's own name may soon be another one's
  device.reset();
  ASSERT_TRUE(wait_for([&] { return link.state() == LinkState::kLost; }));
  device = std::make_unique<LoopbackDevice>(5 * kMs);
  ASSERT_EQ(symlink(device->path().c_str(), path.c_str()), 0);
  ASSERT_TRUE(wait_for([&] { return link.state() == LinkState::kReady; }, 20'000 * kMs));
  link.post(move(0.75));
  EXPECT_TRUE(wait_for([&] { return device->velocity() == 0.75F; }));
  link.stop();
  EXPECT_EQ(session.counters().reconnects, 1U);
  unlink(path.c_str());
}

TEST(WakeUp, SaysWhenTheSystemRefuses) {
#ifdef INSTEP_SANITIZED
  GTEST_SKIP() << "the sanitizer needs descriptors of its own to look at an exception";
#endif
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_THROW(WakeUp(), std::system_error);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// A port with its guardian.
struct GuardedPort {
  explicit GuardedPort(const std::string& path) : port(path) {}
  OpenedLoopback port;
  PortOperations operations = kLoopbackPort;
  LoopbackStop stop;
  Guardian guardian{port.descriptor.get(), port.address, operations, &stop};
};

// A guardian outlives its agent. It becomes this process's child then, and must not find the next
// test's device under the name of this one's.
const int is_subreaper = prctl(PR_SET_CHILD_SUBREAPER, 1);

void wait_for_guardians() {
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) continue;
}

// A process that drives the device at full speed and is killed; answers when that was. `cut_off`:
// with the first bytes of a command just written. `files`: which it has open beside.
std::int64_t drive_and_be_killed(LoopbackDevice& device, int signal, bool cut_off, int files = 0) {
  const pid_t agent = fork();
  if (agent == 0) {
    for (int i = 0; i < files; ++i) {
      if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) _exit(1);
    }
    const GuardedPort guarded(device.path());
    const int port = guarded.port.descriptor.get();
    const std::uint8_t command[9] = {0xC3, 0, 0, 0x80, 0x3F, 0, 0, 0, 0};  // 1.0f, 0.0f
    while (write(port, command, sizeof command) < 0) continue;
    if (cut_off) {
      const MonotonicClock clock;
      sleep_until(clock.now_ns() + 300 * kMs);
      while (write(port, command, 3) < 0) continue;
    }
    while (true) pause();
  }
  EXPECT_TRUE(wait_for([&] { return device.velocity() == 1.0F; }));
  const MonotonicClock clock;
  if (cut_off) sleep_until(clock.now_ns() + 500 * kMs);
  EXPECT_EQ(device.velocity(), 1.0F);
  const std::int64_t killed_ns = clock.now_ns();
  kill(agent, signal);
  waitpid(agent, nullptr, 0);
  return killed_ns;
}

class GuardianTest : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(GuardianTest, StopsTheRobotOfAProcessThatWasKilled) {
  const auto& [signal, cut_off] = GetParam();
  LoopbackDevice device(5 * kMs);
  const std::int64_t killed_ns = drive_and_be_killed(device, signal, cut_off);
  ASSERT_TRUE(wait_for([&] { return device.velocity() == 0.0F; }));
  EXPECT_LT(device.stopped_ns() - killed_ns, 200 * kMs);
  wait_for_guardians();
}

INSTANTIATE_TEST_SUITE_P(Deaths, GuardianTest,
                         testing::Combine(testing::Values(SIGKILL, SIGTERM, SIGABRT),
                                          testing::Bool()));

TEST(Guardian, StopsTheRobotOfAProcessWithManyFiles) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  if (before.rlim_max < 2048) GTEST_SKIP() << "no process may have that many here";
  const rlimit many{std::max<rlim_t>(2048, before.rlim_cur), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &many), 0);
  LoopbackDevice device(5 * kMs);
  drive_and_be_killed(device, SIGKILL, false, 1100);
  EXPECT_TRUE(wait_for([&] { return device.velocity() == 0.0F; }));
  wait_for_guardians();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// Whether a child of this process has been stopped.
bool is_stopped(pid_t child) {
  siginfo_t seen{};  // WNOWAIT: and seen again the next time
  constexpr int kHow = WSTOPPED | WNOHANG | WNOWAIT;
  return waitid(P_PID, static_cast<id_t>(child), &seen, kHow) == 0 && seen.si_pid == child;
}

// A debugger that holds a process, until this goes.
class Debugger {
 public:
  explicit Debugger(pid_t victim) {
    int held[2];
    EXPECT_EQ(pipe(held), 0);
    process_ = fork();
    if (process_ == 0) {
      char result = 0;
      if (ptrace(PTRACE_SEIZE, victim, nullptr, nullptr) != 0) _exit(0);
      if (ptrace(PTRACE_INTERRUPT, victim, nullptr, nullptr) != 0) _exit(0);
      if (waitpid(victim, nullptr, __WALL) != victim || write(held[1], &result, 1) != 1) _exit(0);
      while (true) pause();
    }
    close(held[1]);
    char result = 0;
    holds_ = read(held[0], &result, 1) == 1;
    close(held[0]);
  }
  ~Debugger() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  Debugger(const Debugger&) = delete;
  Debugger& operator=(const Debugger&) = delete;
  bool holds() const { return holds_; }

 private:
  pid_t process_ = -1;
  bool holds_ = false;
};

TEST(Guardian, NoticesWhenItHasDied) {
  LoopbackDevice device(5 * kMs);
  const GuardedPort guarded(device.path());
  const Guardian& guardian = guarded.guardian;
  EXPECT_TRUE(guardian.beat());
  kill(guardian.process(), SIGKILL);
  EXPECT_TRUE(wait_for([&] { return !guardian.beat(); }));
}

// The agent's death wakes it.
TEST(Guardian, StopsTheRobotOfAProcessThatWasKilledThoughItWasStoppedItself) {
  LoopbackDevice device(5 * kMs);
  const pid_t agent = fork();
  if (agent == 0) {
    const GuardedPort guarded(device.path());
    const Guardian& guardian = guarded.guardian;
    kill(guardian.process(), SIGSTOP);
    if (!wait_for([&] { return is_stopped(guardian.process()); })) _exit(1);
    const std::uint8_t command[9] = {0xC3, 0, 0, 0x80, 0x3F, 0, 0, 0, 0};
    while (write(guarded.port.descriptor.get(), command, sizeof command) < 0) continue;
    while (true) pause();
  }
  ASSERT_TRUE(wait_for([&] { return device.velocity() == 1.0F; }));
  kill(agent, SIGKILL);
  EXPECT_TRUE(wait_for([&] { return device.velocity() == 0.0F; }));
  wait_for_guardians();
}

TEST(Guardian, EndsWhenItIsLetGoThoughItWasStopped) {
  LoopbackDevice device(5 * kMs);
  const MonotonicClock clock;
  std::int64_t begin_ns = 0;
  {
    const GuardedPort guarded(device.path());
    const Guardian& guardian = guarded.guardian;
    kill(guardian.process(), SIGSTOP);
    ASSERT_TRUE(wait_for([&] { return is_stopped(guardian.process()); }));
    begin_ns = clock.now_ns();
  }
  EXPECT_LT(clock.now_ns() - begin_ns, 10'000 * kMs);
  EXPECT_EQ(device.commands(), 0U);
}

// Not one that was stopped for a moment.
TEST(RealtimeLink, StopsTheRobotWhenItsGuardianIsStopped) {
  LoopbackDevice device(5 * kMs);
  LoopbackSession session(100'000 * kMs);
  GuardedPort guarded(device.path());
  const pid_t guardian = guarded.guardian.process();
  RealtimeLink link(session, std::move(guarded.port.descriptor), guarded.port.address,
                    kLoopbackPort, &guarded.guardian, {.stop = &guarded.stop});
  link.start();
  ASSERT_TRUE(wait_for([&] { return link.state() == LinkState::kReady; }));
  kill(guardian, SIGSTOP);
  ASSERT_TRUE(wait_for([&] { return is_stopped(guardian); }));
  kill(guardian, SIGCONT);
  EXPECT_TRUE(wait_for([&] { return !is_stopped(guardian); }));
  EXPECT_EQ(link.state(), LinkState::kReady);
  link.post(move(0.5));
  ASSERT_TRUE(wait_for([&] { return device.velocity() == 0.5F; }));
  kill(guardian, SIGSTOP);
  EXPECT_TRUE(wait_for([&] { return link.state() == LinkState::kFailed; }));
  link.stop();
  EXPECT_TRUE(link.has_lost_guardian());
  EXPECT_EQ(device.velocity(), 0.0F);
}

// What halts it is not seen in the state of its process; nor does it end when it is killed.
TEST(RealtimeLink, StopsTheRobotWhenADebuggerHoldsItsGuardian) {
  LoopbackDevice device(5 * kMs);
  LoopbackSession session(100'000 * kMs);
  const MonotonicClock clock;
  std::int64_t begin_ns = 0;
  std::optional<Debugger> debugger;
  {
    GuardedPort guarded(device.path());
    RealtimeLink link(session, std::move(guarded.port.descriptor), guarded.port.address,
                      kLoopbackPort, &guarded.guardian, {.stop = &guarded.stop});
    link.start();
    ASSERT_TRUE(wait_for([&] { return link.state() == LinkState::kReady; }));
    link.post(move(0.5));
    ASSERT_TRUE(wait_for([&] { return device.velocity() == 0.5F; }));
    debugger.emplace(guarded.guardian.process());
    if (!debugger->holds()) GTEST_SKIP() << "no debugger is allowed here";
    EXPECT_TRUE(wait_for([&] { return link.state() == LinkState::kFailed; }));
    link.stop();
    EXPECT_TRUE(link.has_lost_guardian());
    EXPECT_EQ(device.velocity(), 0.0F);
    begin_ns = clock.now_ns();
  }
  EXPECT_LT(clock.now_ns() - begin_ns, 20'000 * kMs);
  debugger.reset();
  wait_for_guardians();
}

TEST(Guardian, StopsTheRobotOfAProcessThatStandsStill) {
  LoopbackDevice device(5 * kMs);
  const pid_t agent = fork();
  if (agent == 0) {
    const GuardedPort guarded(device.path());
    const Guardian& guardian = guarded.guardian;
    const int port = guarded.port.descriptor.get();
    const std::uint8_t command[9] = {0xC3, 0, 0, 0x80, 0x3F, 0, 0, 0, 0};
    const MonotonicClock clock;
    while (true) {
      while (write(port, command, sizeof command) < 0) continue;
      if (!guardian.beat()) _exit(1);
      sleep_until(clock.now_ns() + 20 * kMs);
    }
  }
  const MonotonicClock clock;
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(wait_for([&] { return device.velocity() == 1.0F; })) << "it goes on, too";
    sleep_until(clock.now_ns() + 50 * kMs);
    kill(agent, SIGSTOP);
    ASSERT_TRUE(wait_for([&] { return device.velocity() == 0.0F; }));
    kill(agent, SIGCONT);
  }
  kill(agent, SIGKILL);
  wait_for_guardians();
}

// A thread that waits for a processor, or in the kernel, is not one that stands still.
TEST(Guardian, LeavesTheRobotOfABusyProcessAlone) {
  LoopbackDevice device(5 * kMs);
  const GuardedPort guarded(device.path());
  const Guardian& guardian = guarded.guardian;
  const MonotonicClock clock;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(guardian.beat());
    const std::int64_t end_ns = clock.now_ns() + 200 * kMs;
    while (clock.now_ns() < end_ns) continue;
  }
  EXPECT_EQ(guardian.stops(), 0U);
  ASSERT_TRUE(guardian.beat());
  EXPECT_TRUE(wait_for([&] { return guardian.stops() == 1; })) << "asleep";
}

// Which sleeps on a processor that is away, perhaps.
TEST(Guardian, CallsAThreadThatIsLate) {
  LoopbackDevice device(5 * kMs);
  GuardedPort guarded(device.path());
  ASSERT_TRUE(guarded.guardian.beat());
  guarded.guardian.nudge().wait();
  ASSERT_TRUE(guarded.guardian.beat());
}

TEST(Guardian, LeavesTheRobotAloneWhenItIsLetGo) {
  LoopbackDevice device(5 * kMs);
  {
    const GuardedPort guarded(device.path());
    EXPECT_EQ(kill(guarded.guardian.process(), 0), 0);
  }
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 50 * kMs);
  EXPECT_EQ(device.commands(), 0U);
}

TEST(Guardian, OutlivesTheSignalsThatEndAProcessInOrder) {
  LoopbackDevice device(5 * kMs);
  const GuardedPort guarded(device.path());
  const Guardian& guardian = guarded.guardian;
  for (const int name : {SIGTERM, SIGINT, SIGHUP}) {
    // Signals that arrive before it ignores them end it; give it the time to begin.
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 100 * kMs);
    kill(guardian.process(), name);
  }
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 50 * kMs);
  EXPECT_EQ(waitpid(guardian.process(), nullptr, WNOHANG), 0);
}

TEST(Guardian, FollowsAPortThatWasOpenedAgain) {
  const std::string path = port_link_path() + "_guardian";
  auto first = std::make_unique<LoopbackDevice>(5 * kMs);
  unlink(path.c_str());
  ASSERT_EQ(symlink(first->path().c_str(), path.c_str()), 0);
  LoopbackDevice second(5 * kMs);
  const pid_t agent = fork();
  if (agent == 0) {
    GuardedPort guarded(path);
    unlink(path.c_str());
    if (symlink(second.path().c_str(), path.c_str()) != 0) _exit(1);
    guarded.guardian.lose();
    guarded.port.descriptor.reset();
    const OpenedLoopback again(path);
    guarded.guardian.reopen(again.address);
    const int port = again.descriptor.get();
    const std::uint8_t command[9] = {0xC3, 0, 0, 0x80, 0x3F, 0, 0, 0, 0};
    while (write(port, command, sizeof command) < 0) continue;
    while (true) pause();
  }
  ASSERT_TRUE(wait_for([&] { return second.velocity() == 1.0F; }));
  kill(agent, SIGKILL);
  waitpid(agent, nullptr, 0);
  EXPECT_TRUE(wait_for([&] { return second.velocity() == 0.0F; }));
  EXPECT_EQ(first->commands(), 0U);
  wait_for_guardians();
  unlink(path.c_str());
}

bool has_reader(int far_end) {
  pollfd wanted{far_end, 0, 0};
  return poll(&wanted, 1, 0) == 0;
}

// Else the port keeps its name and its lock for as long as the run lives.
TEST(Guardian, LetsGoOfAPortThatIsLost) {
  int far_end = -1;
  int near_end = -1;
  char name[64];
  ASSERT_EQ(openpty(&far_end, &near_end, name, nullptr, nullptr), 0);
  close(near_end);
  {
    GuardedPort guarded(name);
    guarded.port.descriptor.reset();
    EXPECT_FALSE(wait_for([&] { return !has_reader(far_end); }, 100 * kMs)) << "it guards";
    guarded.guardian.lose();
    EXPECT_TRUE(wait_for([&] { return !has_reader(far_end); }));
    const OpenedLoopback again(name);  // nobody has the lock
    guarded.guardian.reopen(again.address);
  }
  close(far_end);
}

// The robot's cable is out when the agent dies, and comes back two seconds later.
TEST(Guardian, StopsTheRobotWhenItComesBackAfterTheAgentsDeath) {
  const std::string path = port_link_path() + "_back";
  auto device = std::make_unique<LoopbackDevice>(5 * kMs);
  unlink(path.c_str());
  ASSERT_EQ(symlink(device->path().c_str(), path.c_str()), 0);
  const pid_t agent = fork();
  if (agent == 0) {
    const GuardedPort guarded(path);
    while (true) pause();
  }
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 200 * kMs);
  unlink(path.c_str());  // as udev does; the terminal's own name may soon be another one's
  device.reset();
  kill(agent, SIGKILL);
  waitpid(agent, nullptr, 0);
  sleep_until(clock.now_ns() + 2200 * kMs);
  device = std::make_unique<LoopbackDevice>(5 * kMs);
  ASSERT_EQ(symlink(device->path().c_str(), path.c_str()), 0);
  EXPECT_TRUE(wait_for([&] { return device->commands() > 0; })) << "it is told to stop";
  wait_for_guardians();
  unlink(path.c_str());
}

// The end of a link: what the device sends decides, not that a stop was written.
TEST(RealtimeLink, SaysWhetherTheRobotStood) {
  for (const bool is_silent : {false, true}) {
    Rig rig;
    ASSERT_TRUE(wait_for([&] { return rig.link.state() == LinkState::kReady; }));
    rig.link.post(move(0.5));
    ASSERT_TRUE(wait_for([&] { return rig.device.velocity() == 0.5F; }));
    rig.device.set_silent(is_silent);
    rig.link.stop();
    ASSERT_TRUE(rig.link.stood().has_value());
    EXPECT_EQ(*rig.link.stood(), !is_silent);
    EXPECT_EQ(rig.device.velocity(), 0.0F) << "told all the same";
  }
  Rig rig;
  ASSERT_TRUE(wait_for([&] { return rig.link.state() == LinkState::kReady; }));
  rig.link.stop();
  EXPECT_FALSE(rig.link.stood().has_value()) << "it was never told to move";
}

// As `stty sane`, a getty or a lister of ports does it, while one command is in force.
TEST(RealtimeLink, PutsRightWhatSomebodyChangesOfThePort) {
  Rig rig;
  ASSERT_TRUE(wait_for([&] { return rig.link.state() == LinkState::kReady; }));
  rig.link.post(move(0.5));
  ASSERT_TRUE(wait_for([&] { return rig.device.velocity() == 0.5F; }));
  const int foreign = open(rig.device.path().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(foreign, 0);
  termios settings{};
  ASSERT_EQ(tcgetattr(foreign, &settings), 0);
  settings.c_lflag |= ICANON | ECHO;
  ASSERT_EQ(tcsetattr(foreign, TCSANOW, &settings), 0);
  EXPECT_TRUE(wait_for(
      [&] { return tcgetattr(foreign, &settings) == 0 && (settings.c_lflag & ICANON) == 0; }));
  EXPECT_TRUE(wait_for([&] { return rig.link.state() == LinkState::kReady; }));
  rig.link.stop();
  EXPECT_EQ(rig.link.port_resets(), 1U);
  close(foreign);
}

// What a session is given.
class ListeningSession final : public Session {
 public:
  void on_connect(int, std::int64_t) override {}
  void on_disconnect(int, std::int64_t) override { ++disconnections_; }
  void on_interruption(int, std::int64_t) override { ++interruptions_; }
  void on_bytes(int, std::span<const std::uint8_t> bytes, std::int64_t, PacketSink&) override {
    largest_ = std::max(largest_.load(), bytes.size());
    total_ += bytes.size();
  }
  void on_command(const Command&, std::int64_t) override {}
  std::int64_t poll(std::int64_t now_ns) override { return now_ns + 1000 * kMs; }
  std::span<const std::uint8_t> output(int) const override { return {}; }
  void consume(int, std::size_t) override {}
  LinkState state() const override { return LinkState::kReady; }
  const LinkCounters& counters() const override { return counters_; }
  const char* error() const override { return ""; }

  std::size_t largest() const { return largest_; }
  std::size_t total() const { return total_; }
  int disconnections() const { return disconnections_; }
  int interruptions() const { return interruptions_; }

 private:
  std::atomic<std::size_t> largest_{0};
  std::atomic<std::size_t> total_{0};
  std::atomic<int> disconnections_{0};
  std::atomic<int> interruptions_{0};
  LinkCounters counters_;
};

// A cable that is in is none that is out, whatever byte the robot sends to a port set up for lines.
TEST(RealtimeLink, TakesNoEndOfFileForACableThatIsOut) {
  const Descriptor robot(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(robot.is_open() && grantpt(robot.get()) == 0 && unlockpt(robot.get()) == 0);
  PortAddress address = make_port_address(ptsname(robot.get()));
  ListeningSession session;
  Descriptor port(kSerialPort.open(&address));
  ASSERT_TRUE(port.is_open());
  const int descriptor = port.get();
  RealtimeLink link(session, std::move(port), address, kSerialPort, nullptr, {});
  link.start();
  for (int i = 1; i <= 20; ++i) {
    termios settings{};
    ASSERT_EQ(tcgetattr(descriptor, &settings), 0);
    settings.c_lflag |= ICANON;
    settings.c_cc[VEOF] = 4;
    ASSERT_EQ(tcsetattr(descriptor, TCSANOW, &settings), 0);
    ASSERT_EQ(write(robot.get(), "\x04", 1), 1);
    ASSERT_TRUE(wait_for([&] { return session.interruptions() + session.disconnections() >= i; }));
  }
  EXPECT_EQ(session.disconnections(), 0);
  link.stop();
}

// A session dates the packets of a backlog by how many follow them, so it must see all of it.
TEST(RealtimeLink, HandsOnAWholeBacklogAtOnce) {
  constexpr std::size_t kBytes = 20000;
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  const std::vector<std::uint8_t> backlog(kBytes, 7);
  ASSERT_EQ(write(ends[0], backlog.data(), backlog.size()), static_cast<ssize_t>(kBytes));
  ListeningSession session;
  {
    RealtimeLink link(session, Descriptor(ends[1]), make_port_address("socket"), kLoopbackPort,
                      nullptr, {});
    link.start();
    EXPECT_TRUE(wait_for([&] { return session.total() == kBytes; }));
  }
  EXPECT_EQ(session.largest(), kBytes);
  close(ends[0]);
}

// Threads that the system refuses are an error with a subject. The limit is of all the user's
// processes together, and the superuser has none.
TEST(Threads, SayWhichOneCannotBeStarted) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
    if (setrlimit(RLIMIT_NPROC, &none) != 0) _exit(2);
    try {
      start_thread("the thread of a test", [] {}).join();
    } catch (const std::system_error& error) {
      _exit(std::string(error.what()).starts_with("the thread of a test cannot be started: ") ? 0
                                                                                              : 3);
    }
    _exit(4);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Guardian, SaysWhenItCannotBeStarted) {
  LoopbackDevice device(5 * kMs);
  const std::string path = device.path();
  ASSERT_EQ(chmod(path.c_str(), 0666), 0);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
    if (setrlimit(RLIMIT_NPROC, &none) != 0) _exit(2);
    OpenedLoopback port(path);
    LoopbackStop stop;
    try {
      const Guardian guardian(port.descriptor.get(), port.address, kLoopbackPort, &stop);
    } catch (const std::system_error& error) {
      _exit(std::string(error.what()).starts_with("the guardian process, ") ? 0 : 3);
    }
    _exit(4);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace instep

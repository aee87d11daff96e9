// A Create 2 behind a strict serial port, on real time, whose port others reset, rename, read and
// hold at random times. Whatever happens, the robot does what it was told last or stands, and at
// the end it is seen to stand. The session alone has a thousand such schedules on simulated time
// (create_mover_faults_test); these are for the port, the link and the guardian.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "create2_on_pty.h"
#include "drivers/create2/session.h"
#include "drivers/create2/stop.h"
#include "drivers/serial_port.h"
#include "kernels/philox.h"
#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/guardian.h"
#include "runtime/realtime/realtime_link.h"
#include "wait_for.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kPatienceNs = 20'000 * kMs;  // how long a busy machine may need

// What drives the robot: its session, link and guardian.
class Agent {
 public:
  explicit Agent(const std::string& path) {
    PortAddress address = make_port_address(path);
    Descriptor port(open_serial_port(&address));
    EXPECT_TRUE(port.is_open());
    EXPECT_EQ(claim_serial_port(port.get()), 0);
    guardian_ = std::make_unique<Guardian>(port.get(), address, kSerialPort, &stop_);
    link_ = std::make_unique<RealtimeLink>(session_, std::move(port), address, kSerialPort,
                                           guardian_.get(),
                                           LinkEnd{.stop = &stop_, .timeout_ns = kPatienceNs});
    link_->start();
  }

  RealtimeLink& link() { return *link_; }

  // Takes what the robot says, and drives it.
  void drive(std::int64_t for_ns) {
    for (const std::int64_t end_ns = clock_.now_ns() + for_ns; clock_.now_ns() < end_ns;) {
      while (link_->next_packet(&packet_)) continue;
      // A person who sees that the robot was taken over says that it may go on.
      if (link_->state() == LinkState::kTakenOver) ++acknowledged_;
      link_->post({.kind = Command::kMove,
                   .count = 2,
                   .acknowledged = acknowledged_,
                   .values = {120.0, 140.0}});
      sleep_until(clock_.now_ns() + 20 * kMs);
    }
  }

 private:
  Create2Session session_;
  Create2Stop stop_;
  MonotonicClock clock_;
  Packet packet_;
  std::int32_t acknowledged_ = 0;
  std::unique_ptr<Guardian> guardian_;
  std::unique_ptr<RealtimeLink> link_;
};

// Whoever does things to a robot's port. `wait` lets so many nanoseconds pass, `stall` too, but the
// loop that commands the robot stands still meanwhile, as one does that waits for a disk.
class Others {
 public:
  using Wait = std::function<void(std::int64_t)>;
  static constexpr int kKinds = 7;

  Others(std::uint64_t seed, Create2OnPty& robot, Wait wait, Wait stall)
      : random_{seed, static_cast<std::uint32_t>(Stream::kFaults)},
        robot_(robot),
        wait_(std::move(wait)),
        stall_(std::move(stall)) {}

  // Does one of them. Answers what.
  const char* disturb() { return disturb(static_cast<int>(draw(kKinds))); }
  const char* disturb(int kind) {
    ++counts_[static_cast<std::size_t>(kind)];
    switch (kind) {
      case 0:
        robot_.reset_settings();
        return "settings reset";
      case 1:
        replug();
        return "cable out and in";
      case 2: {
        const Descriptor foreign = open_port();
        replug();
        return "cable out and in while somebody holds the old port";
      }
      case 3: {
        const Descriptor foreign = open_port();
        std::array<char, 256> bytes;
        for (int i = 0; i < 30; ++i) {
          static_cast<void>(read(foreign.get(), bytes.data(), bytes.size()) == 0);
          wait_(kMs);
        }
        return "bytes read by somebody else";
      }
      case 4: {
        const Descriptor foreign = open_port();
        ioctl(foreign.get(), TIOCEXCL);
        tcflow(foreign.get(), TCOOFF);
        return "port halted, and taken for somebody else alone";
      }
      case 5:
        stall_(static_cast<std::int64_t>(100.0 + draw(900.0)) * kMs);
        return "loop stalled by a sync";
      default:
        robot_.does([](Create2OnPort& port) { port.simulator().set_line_faults({.drop = 1.0}); });
        wait_(static_cast<std::int64_t>(draw(400.0)) * kMs);
        robot_.does([](Create2OnPort& port) { port.simulator().set_line_faults({}); });
        return "robot unheard";
    }
  }

  int resets() const { return counts_[0]; }
  // How often each was done.
  const std::array<int, kKinds>& counts() const { return counts_; }
  double draw(double below) {
    double share = 0.0;
    random_.uniform(draws_++, &share, 1);
    return below * share;
  }

 private:
  Descriptor open_port() {
    return Descriptor(open(robot_.path_now().c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  }
  void replug() {
    robot_.unplug();
    wait_(static_cast<std::int64_t>(10.0 + draw(400.0)) * kMs);
    robot_.plug();
  }

  Random random_;
  Create2OnPty& robot_;
  Wait wait_;
  Wait stall_;
  std::uint64_t draws_ = 0;
  std::array<int, kKinds> counts_{};
};

// Whether it comes to stand for good: the last commands of a killed process may still be on their
// way, and a busy machine may be late with the guardian's.
bool stays_still(const Create2OnPty& robot) {
  const MonotonicClock clock;
  std::int64_t still_ns = clock.now_ns();
  const auto stands = [&] {
    if (robot.is_moving()) still_ns = clock.now_ns();
    return clock.now_ns() - still_ns > 500 * kMs;
  };
  return wait_for(stands, kPatienceNs);
}

int schedules() {
  const char* const text = std::getenv("INSTEP_PORT_SCHEDULES");
  return text == nullptr ? 12 : std::atoi(text);
}

TEST(Create2PortFaults, LeaveARobotThatMovesAgainAndStandsAtTheEnd) {
  const MonotonicClock clock;
  std::array<int, Others::kKinds> counts{};
  std::uint64_t counted_resets = 0;
  for (int seed = 1; seed <= schedules(); ++seed) {
    SCOPED_TRACE("schedule " + std::to_string(seed));
    Create2OnPty robot;
    Agent agent(robot.path());
    const auto moves_at_last = [&] {
      const std::int64_t end_ns = clock.now_ns() + kPatienceNs;
      while (clock.now_ns() < end_ns && !robot.is_moving()) agent.drive(20 * kMs);
      return robot.is_moving();
    };
    Others others(
        static_cast<std::uint64_t>(seed), robot, [&](std::int64_t for_ns) { agent.drive(for_ns); },
        [&](std::int64_t for_ns) { sleep_until(clock.now_ns() + for_ns); });
    ASSERT_TRUE(moves_at_last());
    std::string what;
    for (int i = 0; i < 3; ++i) {
      what += std::string(what.empty() ? "" : ", then ") + others.disturb();
      agent.drive(static_cast<std::int64_t>(others.draw(200.0)) * kMs);
      if (others.draw(1.0) < 0.5) {
        ASSERT_TRUE(moves_at_last()) << what;
      }
    }
    agent.link().stop();
    EXPECT_EQ(agent.link().stood(), true) << what;
    EXPECT_FALSE(robot.is_moving()) << what;
    // One that falls on a lost port is put right by the opening, which is none to be counted.
    if (others.resets() == 0) {
      EXPECT_EQ(agent.link().port_resets(), 0U) << what;
    }
    counted_resets += agent.link().port_resets();
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += others.counts()[i];
  }
  if (schedules() >= 12) {
    EXPECT_GT(*std::min_element(counts.begin(), counts.end()), 0) << "every kind is drawn";
    EXPECT_GT(counted_resets, 0U);
  }
}

// As above, and then the process dies that drives it.
TEST(Create2PortFaults, LeaveARobotThatTheGuardianStops) {
#ifdef INSTEP_SANITIZED
  // The child would wait for ever for a lock of the sanitizer's that another thread had at the
  // fork.
  GTEST_SKIP() << "forks where there are threads, and allocates in the child";
#endif
  const MonotonicClock clock;
  for (int seed = 1; seed <= schedules(); ++seed) {
    SCOPED_TRACE("schedule " + std::to_string(seed));
    Create2OnPty robot;
    const pid_t process = fork();
    if (process == 0) {
      Agent agent(robot.path());
      while (true) agent.drive(1000 * kMs);
    }
    Others others(
        static_cast<std::uint64_t>(1000 + seed), robot,
        [&](std::int64_t for_ns) { sleep_until(clock.now_ns() + for_ns); },
        [&](std::int64_t for_ns) {
          kill(process, SIGSTOP);
          sleep_until(clock.now_ns() + for_ns);
          kill(process, SIGCONT);
        });
    EXPECT_TRUE(wait_for([&] { return robot.is_moving(); }, kPatienceNs));
    const char* const what = others.disturb(seed % Others::kKinds);
    sleep_until(clock.now_ns() + static_cast<std::int64_t>(others.draw(200.0)) * kMs);
    kill(process, SIGKILL);
    waitpid(process, nullptr, 0);
    EXPECT_TRUE(stays_still(robot)) << what;
  }
}

}  // namespace
}  // namespace instep

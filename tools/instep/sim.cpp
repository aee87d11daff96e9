#include "tools/instep/sim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <sstream>

#include "drivers/create2/fault_schedule.h"
#include "drivers/create2/simulator.h"
#include "runtime/clock.h"
#include "tools/instep/error.h"

namespace instep {
namespace {

volatile std::sig_atomic_t must_stop = 0;

constexpr const char* kWords =
    "plug, unplug, lift, put, cliff BITS, battery MAH, text, reset, silence, sound, drop SHARE, "
    "place X Y (mm), status, quit";

// A rate as the C library gives it back. Headers of glibc 2.42 (zig has them) say 115200 where an
// older library, which the program may run with, says 0010002.
speed_t as_given_back(speed_t rate) {
  termios settings{};
  return cfsetspeed(&settings, rate) == 0 ? cfgetospeed(&settings) : B0;
}

// The code that opcode 129 has for a rate; -1 for one that it has not.
int baud_code(speed_t baud) {
  // Terminals know no 14,400 and no 28,800 baud.
  constexpr std::array<speed_t, 12> kBauds = {B300, B600,   B1200, B2400,  B4800,  B9600,
                                              B0,   B19200, B0,    B38400, B57600, B115200};
  const auto is_it = [baud](speed_t rate) { return as_given_back(rate) == baud; };
  const auto* found = std::find_if(kBauds.begin(), kBauds.end(), is_it);
  return baud == B0 || found == kBauds.end() ? -1 : static_cast<int>(found - kBauds.begin());
}

// A pseudo-terminal under a name of its own.
class PtyLink {
 public:
  explicit PtyLink(std::string link) : link_(std::move(link)) {}
  ~PtyLink() {
    close_line();
    if (is_linked_) unlink(link_.c_str());
  }
  PtyLink(const PtyLink&) = delete;
  PtyLink& operator=(const PtyLink&) = delete;

  // Opens a new pseudo-terminal and has the name point to it.
  void open_line() {
    master_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    std::array<char, 128> name{};
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0 ||
        ptsname_r(master_, name.data(), name.size()) != 0) {
      throw IoError(std::string("no pseudo-terminal can be had: ") + std::strerror(errno));
    }
    terminal_ = name.data();
    renew();
    make_link(name.data());
  }

  // As when the cable is pulled out: whoever has the port open reads its end.
  void close_line() {
    if (master_ >= 0) close(master_);
    master_ = -1;
    has_client_ = false;
  }

  // Looks whether anybody has the port open. What one client has left unread or set up the next
  // does not find: a serial port that nobody has open receives nothing.
  void follow_client() {
    pollfd line{master_, 0, 0};
    const bool has_client = is_open() && poll(&line, 1, 0) >= 0 && (line.revents & POLLHUP) == 0;
    if (has_client_ && !has_client && is_open()) renew();
    has_client_ = has_client;
  }

  bool is_open() const { return master_ >= 0; }
  bool has_client() const { return has_client_; }
  int descriptor() const { return master_; }

  // The rate that the client has set.
  speed_t baud() const {
    termios settings{};
    return tcgetattr(master_, &settings) == 0 ? cfgetospeed(&settings) : B0;
  }

 private:
  // Bytes pass unchanged, whatever was set before, and none are waiting.
  void renew() const {
    const int slave = open(terminal_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios settings{};
    if (slave < 0 || tcgetattr(slave, &settings) != 0) {
      throw IoError(terminal_ + ": " + std::strerror(errno));
    }
    cfmakeraw(&settings);
    cfsetspeed(&settings, B115200);
    tcsetattr(slave, TCSANOW, &settings);
    tcflush(slave, TCIFLUSH);
    close(slave);
  }

  // Whether a simulation that was killed has left the link. Its terminal is gone, or has become
  // this one's: the system gives their numbers out again.
  bool is_left_over(const char* target) const {
    std::error_code ignored;
    if (!std::filesystem::is_symlink(link_, ignored)) return false;
    return std::filesystem::read_symlink(link_, ignored) == target ||
           !std::filesystem::exists(link_, ignored);
  }

  void make_link(const char* target) {
    if (is_linked_ || is_left_over(target)) unlink(link_.c_str());
    is_linked_ = symlink(target, link_.c_str()) == 0;
    if (is_linked_) return;
    const int error = errno;
    throw IoError(link_ + ": cannot be made: " + std::strerror(error) +
                  (error == EEXIST ? "; remove it, or choose another --link" : ""));
  }

  std::string link_;
  std::string terminal_;
  int master_ = -1;
  bool has_client_ = false;
  bool is_linked_ = false;
};

class SimulatedCreate2 {
 public:
  explicit SimulatedCreate2(const SimOptions& options)
      : options_(options),
        pty_(options.link),
        simulator_({.seed = options.seed, .wakes_on_start = true}),
        faults_(options.fault_seed.value_or(0)) {
    simulator_.restart({options.seed, static_cast<std::uint32_t>(Stream::kTaskReset)}, 0);
    pty_.open_line();
    begin_ns_ = clock_.now_ns();
    std::printf("create2: a simulated robot at %s; ready. On stdin: %s\n", options.link.c_str(),
                kWords);
    std::fflush(stdout);
  }

  // One round: waits for bytes, words or the robot.
  void run_once() {
    pty_.follow_client();
    // A terminal that nobody has open would end every wait.
    pollfd events[2] = {{pty_.has_client() ? pty_.descriptor() : -1, POLLIN, 0},
                        {is_stdin_open_ ? 0 : -1, POLLIN, 0}};
    const std::int64_t wait_ns = std::clamp<std::int64_t>(next_ns_ - now_ns(), 0, 50'000'000);
    const timespec wait = {0, static_cast<long>(wait_ns)};
    sigset_t none;
    sigemptyset(&none);
    if (ppoll(events, 2, &wait, &none) < 0 && errno != EINTR) {
      throw IoError(std::string("poll: ") + std::strerror(errno));
    }
    if ((events[1].revents & (POLLIN | POLLHUP)) != 0) take_words();
    if (options_.fault_seed) show_fault();
    follow_cable();
    exchange();
  }

 private:
  std::int64_t now_ns() const { return clock_.now_ns() - begin_ns_; }

  void exchange() {
    std::array<std::uint8_t, 4096> bytes;
    if (pty_.is_open()) {
      const ssize_t count = read(pty_.descriptor(), bytes.data(), bytes.size());
      if (count > 0) {
        simulator_.set_host_baud_code(baud_code(pty_.baud()));
        simulator_.on_bytes({bytes.data(), static_cast<std::size_t>(count)}, now_ns());
      }
    }
    next_ns_ = simulator_.advance(now_ns());
    const std::size_t count = simulator_.read(bytes);
    // Where nobody reads the line fills up, and what finds no room is lost.
    if (count > 0 && pty_.has_client() && write(pty_.descriptor(), bytes.data(), count) < 0 &&
        errno != EAGAIN && errno != EIO) {
      throw IoError(options_.link + ": " + std::strerror(errno));
    }
  }

  void follow_cable() {
    if (simulator_.is_plugged() == pty_.is_open()) return;
    if (simulator_.is_plugged()) {
      pty_.open_line();
    } else {
      pty_.close_line();
    }
  }

  void show_fault() {
    const Create2Fault before = faults_.fault();
    faults_.advance(now_ns(), simulator_);
    if (faults_.fault() == before) return;
    std::printf("%.3f s: %s\n", static_cast<double>(now_ns()) * 1e-9,
                create2_fault_name(faults_.fault()));
    std::fflush(stdout);
  }

  void take_words() {
    std::array<char, 512> text;
    const ssize_t count = read(0, text.data(), text.size());
    if (count <= 0) {
      is_stdin_open_ = false;
      return;
    }
    words_.append(text.data(), static_cast<std::size_t>(count));
    for (std::size_t end = words_.find('\n'); end != std::string::npos; end = words_.find('\n')) {
      take_line(words_.substr(0, end));
      words_.erase(0, end + 1);
    }
    if (words_.size() > 4096) words_.clear();
  }

  void take_line(const std::string& line) {
    std::istringstream in(line);
    std::string word;
    double number = 0.0;
    double second = 0.0;
    in >> word >> number >> second;
    if (word.empty()) return;
    if (word == "plug" || word == "unplug") {
      simulator_.set_plugged(word == "plug");
    } else if (word == "lift" || word == "put") {
      simulator_.set_lifted(word == "lift");
    } else if (word == "cliff") {
      simulator_.set_cliffs(static_cast<int>(std::clamp(number, 0.0, 15.0)));
    } else if (word == "battery") {
      simulator_.set_charge_mah(number);
    } else if (word == "text") {
      simulator_.say("Flash CRC successful: 0x0 (0x0)\r\n");
    } else if (word == "reset") {
      simulator_.take_battery_out();
    } else if (word == "silence" || word == "sound" || word == "drop") {
      simulator_.set_line_faults({.drop = word == "silence" ? 1.0 : word == "drop" ? number : 0.0});
    } else if (word == "place") {
      simulator_.place(std::clamp(number, 180.0, kArenaWidthMm - 180.0),
                       std::clamp(second, 180.0, kArenaHeightMm - 180.0), 0.0);
    } else if (word == "quit") {
      must_stop = 1;
    } else if (word != "status") {
      std::printf("unknown word '%s'; there are: %s\n", word.c_str(), kWords);
    }
    show_status();
  }

  void show_status() const {
    const Arena& arena = simulator_.arena();
    std::printf(
        "%.3f s: mode %d%s, at %.0f %.0f mm, heading %.2f rad, wheels %.0f %.0f mm/s, "
        "battery %.0f mAh, bumps %d, %lld commands\n",
        static_cast<double>(now_ns()) * 1e-9, static_cast<int>(simulator_.mode()),
        simulator_.is_asleep() ? " asleep" : "", arena.robot.x, arena.robot.y, arena.heading,
        arena.left_mm_s, arena.right_mm_s, simulator_.charge_mah(), arena_bumps(arena),
        static_cast<long long>(simulator_.counters().commands));
    std::fflush(stdout);
  }

  SimOptions options_;
  PtyLink pty_;
  Create2Simulator simulator_;
  Create2FaultSchedule faults_;
  MonotonicClock clock_;
  std::int64_t begin_ns_ = 0;
  std::int64_t next_ns_ = 0;
  bool is_stdin_open_ = true;
  std::string words_;
};

// Signals are let in only while the simulation waits, so that none is missed.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { must_stop = 1; };
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaction(signal, &action, nullptr);
    sigaddset(&signals, signal);
  }
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

int run_sim(const SimOptions& options) {
  if (options.device != "create2") {
    throw UsageError("sim " + options.device + ": there is one simulated device, create2");
  }
  if (options.link.empty()) {
    throw UsageError("sim create2 needs --link PATH: where the robot's port is to appear");
  }
  catch_signals();
  SimulatedCreate2 robot(options);
  while (must_stop == 0) robot.run_once();
  return kDone;
}

}  // namespace instep

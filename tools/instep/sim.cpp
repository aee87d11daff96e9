#include "tools/instep/sim.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sstream>
#include <vector>

#include "drivers/create2/fault_schedule.h"
#include "drivers/create2/simulator_on_port.h"
#include "runtime/clock.h"
#include "tools/instep/sim_ur.h"
#include "tools/library/error.h"

namespace instep {
namespace {

// Lock-free, so that the handler may set it.
std::atomic<bool> must_stop{false};

constexpr std::size_t kLineBytesMax = 512;

using Numbers = std::vector<double>;

// A word that may stand on stdin: with how many numbers, of which range, and what it does.
struct Word {
  const char* name;
  const char* numbers;  // for people
  std::size_t count_min;
  std::size_t count_max;
  double least;
  double most;
  void (*act)(Create2OnPort& robot, const Numbers& numbers, std::int64_t now_ns);
};

constexpr std::array<Word, 19> kWords = {{
    {"plug", "", 0, 0, 0, 0, [](auto& r, auto&, auto) { r.simulator().set_plugged(true); }},
    {"unplug", "", 0, 0, 0, 0, [](auto& r, auto&, auto) { r.simulator().set_plugged(false); }},
    {"lift", "", 0, 0, 0, 0, [](auto& r, auto&, auto) { r.simulator().set_lifted(true); }},
    {"put", "", 0, 0, 0, 0, [](auto& r, auto&, auto) { r.simulator().set_lifted(false); }},
    {"cliff", " BITS", 1, 1, 0, 15,
     [](auto& r, auto& n, auto) { r.simulator().set_cliffs(static_cast<int>(n[0])); }},
    {"battery", " MAH", 1, 1, 0, 65535,
     [](auto& r, auto& n, auto) { r.simulator().set_charge_mah(n[0]); }},
    {"capacity", " MAH", 1, 1, 1, 65535,
     [](auto& r, auto& n, auto) { r.simulator().set_capacity_mah(n[0]); }},
    {"text", "", 0, 0, 0, 0,
     [](auto& r, auto&, auto) { r.simulator().say("Flash CRC successful: 0x0 (0x0)\r\n"); }},
    {"reset", "", 0, 0, 0, 0, [](auto& r, auto&, auto) { r.simulator().take_battery_out(); }},
    {"silence", "", 0, 0, 0, 0,
     [](auto& r, auto&, auto) { r.simulator().set_line_faults({.drop = 1.0}); }},
    {"sound", "", 0, 0, 0, 0, [](auto& r, auto&, auto) { r.simulator().set_line_faults({}); }},
    {"drop", " SHARE", 1, 1, 0, 1,
     [](auto& r, auto& n, auto) { r.simulator().set_line_faults({.drop = n[0]}); }},
    {"change", " SHARE", 1, 1, 0, 1,
     [](auto& r, auto& n, auto) { r.simulator().set_line_faults({.change = n[0]}); }},
    {"forge", " SHARE", 1, 1, 0, 1,
     [](auto& r, auto& n, auto) { r.simulator().set_line_faults({.forged = n[0]}); }},
    {"place", " X Y (mm)", 2, 2, 180, kArenaWidthMm - 180.0,
     [](auto& r, auto& n, auto) {
       r.simulator().place(n[0], std::min(n[1], kArenaHeightMm - 180.0), 0.0);
     }},
    {"stty", "", 0, 0, 0, 0, [](auto& r, auto&, auto) { r.port().reset_settings(); }},
    {"send", " BYTE...", 1, 64, 0, 255,
     [](auto& r, auto& n, auto now_ns) {
       std::vector<std::uint8_t> bytes;
       for (const double number : n) bytes.push_back(static_cast<std::uint8_t>(number));
       r.send_as_another_program(bytes, now_ns);
     }},
    {"status", "", 0, 0, 0, 0, [](auto&, auto&, auto) {}},
    {"quit", "", 0, 0, 0, 0, [](auto&, auto&, auto) { must_stop = true; }},
}};

std::string all_words() {
  std::string text;
  for (const Word& word : kWords) {
    text += std::string(text.empty() ? "" : ", ") + word.name + word.numbers;
  }
  return text;
}

class SimulatedCreate2 {
 public:
  explicit SimulatedCreate2(const SimOptions& options)
      : options_(options),
        robot_({.path = options.link, .is_strict = options.is_strict, .seed = options.seed}),
        faults_(options.fault_seed.value_or(0)) {
    begin_ns_ = clock_.now_ns();
    std::printf("create2: a simulated robot at %s; ready. On stdin: %s\n", options.link.c_str(),
                all_words().c_str());
    show_port();
  }

  // One round: waits for bytes, words or the robot.
  void run_once() {
    // A terminal that nobody has open would end every wait.
    const SimulatedSerialPort& port = robot_.port();
    pollfd events[2] = {{port.has_client() ? port.descriptor() : -1, POLLIN, 0},
                        {is_stdin_open_ ? 0 : -1, POLLIN, 0}};
    const std::int64_t wait_ns = std::clamp<std::int64_t>(next_ns_ - now_ns(), 0, 50'000'000);
    const timespec wait = {0, static_cast<long>(wait_ns)};
    if (ppoll(events, 2, &wait, nullptr) < 0 && errno != EINTR) {
      throw IoError(std::string("poll: ") + std::strerror(errno));
    }
    if ((events[1].revents & (POLLIN | POLLHUP)) != 0) take_words();
    if (options_.fault_seed) show_fault();
    const bool was_plugged = port.is_plugged();
    next_ns_ = robot_.advance(now_ns());
    if (port.is_plugged() && !was_plugged) show_port();
  }

 private:
  std::int64_t now_ns() const { return clock_.now_ns() - begin_ns_; }

  // The names of the port; that of one that was put in again may be another.
  void show_port() const {
    if (options_.is_strict) {
      std::printf("port %s, always at %s\n", robot_.port().path().c_str(),
                  robot_.port().stable_path().c_str());
    }
    std::fflush(stdout);
  }

  void show_fault() {
    const Create2Fault before = faults_.fault();
    faults_.advance(now_ns(), robot_.simulator());
    if (faults_.fault() == before) return;
    std::printf("%.3f s: %s\n", static_cast<double>(now_ns()) * 1e-9,
                create2_fault_name(faults_.fault()));
    std::fflush(stdout);
  }

  void take_words() {
    std::array<char, kLineBytesMax> text;
    const ssize_t count = read(0, text.data(), text.size());
    if (count <= 0) {
      is_stdin_open_ = false;
      return;
    }
    words_.append(text.data(), static_cast<std::size_t>(count));
    for (std::size_t end = words_.find('\n'); end != std::string::npos && !must_stop;
         end = words_.find('\n')) {
      take_line(words_.substr(0, end));
      words_.erase(0, end + 1);
    }
    if (words_.size() < kLineBytesMax) return;
    std::printf("stdin has lines of more than %zu bytes: it is not read any more\n",
                kLineBytesMax - 1);
    std::fflush(stdout);
    is_stdin_open_ = false;
  }

  void take_line(const std::string& line) {
    std::istringstream in(line);
    std::string name;
    if (!(in >> name)) return;
    const auto* word = std::find_if(kWords.begin(), kWords.end(),
                                    [&name](const Word& one) { return name == one.name; });
    if (word == kWords.end()) {
      std::printf("unknown word '%s'; there are: %s\n", name.c_str(), all_words().c_str());
      std::fflush(stdout);
      return;
    }
    Numbers numbers;
    bool is_valid = true;
    for (std::string text; in >> text;) {
      char* end = nullptr;
      numbers.push_back(std::strtod(text.c_str(), &end));
      // Written so that a NaN is wrong.
      is_valid =
          is_valid && *end == '\0' && numbers.back() >= word->least && numbers.back() <= word->most;
    }
    if (is_valid && numbers.size() >= word->count_min && numbers.size() <= word->count_max) {
      word->act(robot_, numbers, now_ns());
      show_status();
    } else if (word->count_max == 0) {
      std::printf("'%s': nothing may follow '%s'; ignored\n", line.c_str(), word->name);
    } else {
      std::printf("'%s': must be '%s%s', numbers from %g to %g; ignored\n", line.c_str(),
                  word->name, word->numbers, word->least, word->most);
    }
    std::fflush(stdout);
  }

  void show_status() const {
    const Create2Simulator& robot = robot_.simulator();
    const Arena& arena = robot.arena();
    std::printf(
        "%.3f s: mode %d%s, at %.0f %.0f mm, heading %.2f rad, wheels %.0f %.0f mm/s, "
        "battery %.0f mAh, bumps %d, %lld commands\n",
        static_cast<double>(now_ns()) * 1e-9, static_cast<int>(robot.mode()),
        robot.is_asleep() ? " asleep" : "", arena.robot.x, arena.robot.y, arena.heading,
        arena.left_mm_s, arena.right_mm_s, robot.charge_mah(), arena_bumps(arena),
        static_cast<long long>(robot.counters().commands));
  }

  SimOptions options_;
  Create2OnPort robot_;
  Create2FaultSchedule faults_;
  MonotonicClock clock_;
  std::int64_t begin_ns_ = 0;
  std::int64_t next_ns_ = 0;
  bool is_stdin_open_ = true;
  std::string words_;
};

// No wait is longer than 50 ms, so that a signal just before one is not missed for long.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { must_stop = true; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

int run_sim(const SimOptions& options) {
  const bool is_ur = options.device == "ur";
  if (!is_ur && options.device != "create2") {
    throw UsageError("sim " + options.device + ": the simulated devices are create2 and ur");
  }
  if (is_ur && (options.address.empty() || !options.link.empty() || options.is_strict)) {
    throw UsageError("sim ur needs --address IP, as 127.0.0.1, and takes no --link or --strict");
  }
  if (!is_ur && !options.address.empty()) {
    throw UsageError("sim create2 takes --link PATH, not --address");
  }
  if (is_ur) return run_ur_sim(options);
  if (options.link.empty()) {
    throw UsageError("sim create2 needs --link PATH: where the robot's port is to appear");
  }
  if (options.is_strict && std::isdigit(static_cast<unsigned char>(options.link.back())) == 0) {
    throw UsageError("--link " + options.link +
                     ": with --strict it must end in a number, as ttyUSB0 does");
  }
  catch_signals();
  try {
    SimulatedCreate2 robot(options);
    while (!must_stop) robot.run_once();
  } catch (const std::runtime_error& error) {
    throw IoError(error.what());
  }
  return kDone;
}

}  // namespace instep

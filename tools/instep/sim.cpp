#include "tools/instep/sim.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "drivers/channel_simulation.h"
#include "drivers/registry.h"
#include "runtime/clock.h"
#include "runtime/setting.h"
#include "tools/library/error.h"

namespace instep {
namespace {

// Lock-free, so that the handler may set it.
std::atomic<bool> must_stop{false};

constexpr std::size_t kLineBytesMax = 511;
constexpr std::size_t kBytesWithoutLineMax = std::size_t{1} << 20;  // that nobody has typed

// What every simulation knows.
constexpr std::array<SimulationWord, 2> kOwnWords = {
    {{"status", "", 0, 0, 0, 0, [](DeviceSimulation&, const Numbers&, std::int64_t) {}},
     {"quit", "", 0, 0, 0, 0,
      [](DeviceSimulation&, const Numbers&, std::int64_t) { must_stop = true; }}}};

// The words on stdin, a line each.
class WordReader {
 public:
  explicit WordReader(DeviceSimulation& simulation) : simulation_(simulation) {
    words_.assign(simulation.words().begin(), simulation.words().end());
    words_.insert(words_.end(), kOwnWords.begin(), kOwnWords.end());
  }

  std::string all_words() const {
    std::string text;
    for (const SimulationWord& word : words_) {
      text += std::string(text.empty() ? "" : ", ") + word.name + word.numbers;
    }
    return text;
  }

  // stdin, or -1.
  int descriptor() const { return is_open_ ? 0 : -1; }

  // What can be read without waiting.
  void read_words(std::int64_t now_ns) {
    std::array<char, kLineBytesMax + 1> text;
    const ssize_t count = read(0, text.data(), text.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count <= 0) {
      is_open_ = false;
      take_line(now_ns);
    }
    for (ssize_t i = 0; i < count && !must_stop; ++i) {
      if (text[static_cast<std::size_t>(i)] == '\n') {
        take_line(now_ns);
        continue;
      }
      if (line_bytes_++ < kLineBytesMax) line_ += text[static_cast<std::size_t>(i)];
    }
    if (line_bytes_ > kBytesWithoutLineMax) {
      std::printf("stdin has no lines: it is not read any more\n");
      is_open_ = false;
    }
    std::fflush(stdout);
  }

 private:
  void take_line(std::int64_t now_ns) {
    if (line_bytes_ > kLineBytesMax) {
      std::printf("'%s': a line has at most %zu bytes; ignored\n", printable(line_).c_str(),
                  kLineBytesMax);
    } else {
      take_words(now_ns);
    }
    line_.clear();
    line_bytes_ = 0;
  }

  void take_words(std::int64_t now_ns) {
    const std::string line = printable(line_);
    std::istringstream in(line_);
    std::string name;
    if (!(in >> name)) return;
    const auto word = std::find_if(words_.begin(), words_.end(),
                                   [&name](const SimulationWord& one) { return name == one.name; });
    if (word == words_.end()) {
      std::printf("unknown word '%s'; there are: %s\n", printable(name).c_str(),
                  all_words().c_str());
      return;
    }
    Numbers numbers;
    bool is_valid = true;
    for (std::string text; in >> text;) {
      const char* const end = text.data() + text.size();
      const auto parsed = std::from_chars(text.data(), end, numbers.emplace_back());
      // Written so that a NaN is wrong.
      is_valid = is_valid && parsed.ec == std::errc() && parsed.ptr == end &&
                 numbers.back() >= word->least && numbers.back() <= word->most &&
                 (!word->is_whole || numbers.back() == std::floor(numbers.back()));
    }
    is_valid = is_valid && numbers.size() >= word->count_min && numbers.size() <= word->count_max &&
               (!word->last_most || numbers.back() <= *word->last_most);
    if (is_valid) {
      word->act(simulation_, numbers, now_ns);
      std::fputs(simulation_.status().c_str(), stdout);
    } else if (word->count_max == 0) {
      std::printf("'%s': nothing may follow '%s'; ignored\n", line.c_str(), word->name);
    } else {
      std::printf("'%s': must be '%s%s', %snumbers from %g to %g", line.c_str(), word->name,
                  word->numbers, word->is_whole ? "whole " : "", word->least, word->most);
      if (word->last_most) std::printf(", the last one to %g", *word->last_most);
      std::printf("; ignored\n");
    }
  }

  DeviceSimulation& simulation_;
  std::vector<SimulationWord> words_;
  bool is_open_ = true;
  std::string line_;            // the beginning of one that is not whole
  std::size_t line_bytes_ = 0;  // of all of it
};

// Until Ctrl-C or `quit`.
void serve(const std::string& name, DeviceSimulation& simulation) {
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  WordReader reader(simulation);
  std::printf("%s: %s; ready. On stdin: %s\n", name.c_str(), simulation.title().c_str(),
              reader.all_words().c_str());
  std::fflush(stdout);
  std::vector<pollfd> events;
  std::string news;
  for (std::int64_t next_ns = 0; !must_stop;) {
    events.assign(1, {reader.descriptor(), POLLIN, 0});
    simulation.add_events(events);
    const std::int64_t wait_ns =
        std::clamp<std::int64_t>(next_ns - (clock.now_ns() - begin_ns), 0, 50'000'000);
    const timespec wait = {0, static_cast<long>(wait_ns)};
    if (ppoll(events.data(), events.size(), &wait, nullptr) < 0 && errno != EINTR) {
      throw IoError(std::string("poll: ") + std::strerror(errno));
    }
    const std::int64_t now_ns = clock.now_ns() - begin_ns;
    if ((events[0].revents & (POLLIN | POLLHUP)) != 0) reader.read_words(now_ns);
    next_ns = simulation.advance(std::span<const pollfd>(events).subspan(1), now_ns, news);
    if (news.empty()) continue;
    std::fputs(news.c_str(), stdout);
    std::fflush(stdout);
    news.clear();
  }
  std::fputs(simulation.last_words().c_str(), stdout);
}

// No wait is longer than 50 ms, so that a signal just before one is not missed for long.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { must_stop = true; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

// Throws UsageError where the options are not those of the driver's simulation.
void check_options(const SimOptions& options, const DriverInfo& driver) {
  const SimulationInfo& info = driver.simulation;
  const std::string command = "sim " + options.device;
  const auto end = driver.channels.begin() + driver.channel_count;
  const auto is_at_path = [](const DriverChannel& one) { return one.transport->is_at_path; };
  const bool has_port = std::any_of(driver.channels.begin(), end, is_at_path);
  const bool has_sockets = !std::all_of(driver.channels.begin(), end, is_at_path);
  if (has_port && options.link.empty()) {
    throw UsageError(command + " needs --link PATH: where the robot's port is to appear");
  }
  if (has_sockets && options.address.empty()) {
    throw UsageError(command + " needs --address IP: where its sockets are to be, as 127.0.0.1");
  }
  if (!has_port && !options.link.empty()) throw UsageError(command + " takes no --link");
  if (!has_sockets && !options.address.empty()) throw UsageError(command + " takes no --address");
  if (options.is_strict && !info.may_be_strict) throw UsageError(command + " takes no --strict");
  if (options.fault_seed && info.make == nullptr) {
    throw UsageError(command + " takes no --faults");
  }
  const auto is_model = [&](const char* model) { return options.model == model; };
  if (!options.model.empty() && std::none_of(info.models.begin(), info.models.end(), is_model)) {
    std::string models;
    for (const char* model : info.models)
      models += (models.empty() ? "" : ", ") + std::string(model);
    throw UsageError("--model " + options.model + ": " + command +
                     (models.empty() ? " has no models" : " has the models " + models));
  }
}

}  // namespace

std::string simulated_devices() {
  std::string names;
  for (const DriverInfo* driver : all_drivers()) {
    names += (names.empty() ? "" : ", ") + std::string(driver->name);
  }
  return names;
}

int run_sim(const SimOptions& options) {
  const DriverInfo* const driver = find_driver(options.device);
  if (driver == nullptr) {
    throw UsageError("sim " + options.device + ": the simulated devices are " +
                     simulated_devices());
  }
  const SimulationInfo& info = driver->simulation;
  check_options(options, *driver);
  catch_signals();
  try {
    const SimulationOptions chosen = {.path = options.link,
                                      .address = options.address,
                                      .model = options.model,
                                      .is_strict = options.is_strict,
                                      .seed = options.seed,
                                      .fault_seed = options.fault_seed};
    const std::unique_ptr<DeviceSimulation> simulation =
        info.make != nullptr ? info.make(chosen) : make_channel_simulation(*driver, chosen);
    serve(options.device, *simulation);
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  } catch (const std::runtime_error& error) {
    throw IoError(error.what());
  }
  return kDone;
}

}  // namespace instep

#include "tools/instep/sim_ur.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <sstream>
#include <vector>

#include "drivers/ur/fault_schedule.h"
#include "drivers/ur/simulator.h"
#include "runtime/clock.h"
#include "runtime/latency_histogram.h"
#include "tools/library/error.h"

namespace instep {
namespace {

// Lock-free, so that the handler may set it.
std::atomic<bool> must_stop{false};

constexpr std::size_t kLineBytesMax = 512;
constexpr std::int64_t kMillisecondNs = 1'000'000;
// A client that does not read is noticed soon.
constexpr int kSendBufferBytes = 65536;

using Numbers = std::vector<double>;

// A word that may stand on stdin: with how many numbers, of which range, and what it does.
struct Word {
  const char* name;
  const char* numbers;  // for people
  std::size_t count;
  double least;
  double most;
  void (*act)(UrSimulator& robot, const Numbers& numbers);
};

std::int64_t milliseconds(double value) {
  return static_cast<std::int64_t>(value) * kMillisecondNs;
}

constexpr std::array<Word, 25> kWords = {{
    {"delay", " MS", 1, 0, 10000,
     [](auto& r, auto& n) { r.set_link_faults({.delay_ns = milliseconds(n[0])}); }},
    {"delay_commands", " MS", 1, 0, 10000,
     [](auto& r, auto& n) { r.set_link_faults({.to_robot_ns = milliseconds(n[0])}); }},
    {"stall", "", 0, 0, 0, [](auto& r, auto&) { r.set_link_faults({.is_stalled = true}); }},
    {"stale", "", 0, 0, 0, [](auto& r, auto&) { r.set_link_faults({.is_stale = true}); }},
    {"flow", "", 0, 0, 0, [](auto& r, auto&) { r.set_link_faults({}); }},
    {"reset", "", 0, 0, 0, [](auto& r, auto&) { r.reset_connections(0); }},
    {"drift", " SHARE", 1, -0.1, 0.1, [](auto& r, auto& n) { r.set_clock_drift(n[0]); }},
    {"protect", "", 0, 0, 0,
     [](auto& r, auto&) { r.controller().protective_stop("asked for on stdin"); }},
    {"refuse", " COUNT", 1, 0, 100,
     [](auto& r, auto& n) { r.controller().refuse_unlocks(static_cast<std::int64_t>(n[0])); }},
    {"unlock", "", 0, 0, 0, [](auto& r, auto&) { r.controller().unlock_protective_stop(); }},
    {"press", "", 0, 0, 0, [](auto& r, auto&) { r.controller().emergency_stop(true); }},
    {"release", "", 0, 0, 0, [](auto& r, auto&) { r.controller().emergency_stop(false); }},
    {"open", "", 0, 0, 0, [](auto& r, auto&) { r.controller().safeguard_stop(true); }},
    {"shut", "", 0, 0, 0, [](auto& r, auto&) { r.controller().safeguard_stop(false); }},
    {"fault", "", 0, 0, 0, [](auto& r, auto&) { r.controller().fault(); }},
    {"restart", "", 0, 0, 0, [](auto& r, auto&) { r.restart_controller(); }},
    {"help_up", "", 0, 0, 0, [](auto& r, auto&) { ur_help_up(r); }},
    {"slider", " FRACTION", 1, 0, 1, [](auto& r, auto& n) { r.controller().set_slider(n[0]); }},
    {"foreign", "", 0, 0, 0,
     [](auto& r, auto&) { r.controller().run_script(ur_foreign_program()); }},
    {"fieldbus", " 0|1|2", 1, 0, 2,
     [](auto& r, auto& n) { r.controller().set_fieldbus(n[0] >= 1.0, n[0] >= 2.0); }},
    {"local", "", 0, 0, 0, [](auto& r, auto&) { r.controller().set_remote_control(false); }},
    {"remote", "", 0, 0, 0, [](auto& r, auto&) { r.controller().set_remote_control(true); }},
    {"place", " Q*6 (rad)", kUrJoints, -6.3, 6.3,
     [](auto& r, auto& n) {
       UrVector q{};
       std::copy(n.begin(), n.end(), q.begin());
       r.controller().place(q);
     }},
    {"status", "", 0, 0, 0, [](auto&, auto&) {}},
    {"quit", "", 0, 0, 0, [](auto&, auto&) { must_stop = true; }},
}};

IoError io_error(const std::string& what) {
  return IoError(what + ": " + std::strerror(errno));
}

// One of the controller's ports, open for clients while the controller listens.
class Listener {
 public:
  Listener(std::string address, int port) : address_(std::move(address)), port_(port) {}
  ~Listener() { close_port(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void open_port() {
    if (descriptor_ >= 0) return;
    const std::string name = address_ + " port " + std::to_string(port_);
    descriptor_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) throw io_error(name);
    const int on = 1;
    setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(static_cast<std::uint16_t>(port_));
    if (inet_pton(AF_INET, address_.c_str(), &place.sin_addr) != 1) {
      throw UsageError("--address " + address_ + ": must be an IPv4 address, as 127.0.0.1");
    }
    if (bind(descriptor_, reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 ||
        listen(descriptor_, 8) != 0) {
      throw io_error(name + " cannot be opened");
    }
  }
  void close_port() {
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = -1;
  }
  // The next client; -1: none waits.
  int accept_client() const {
    return accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  }
  int descriptor() const { return descriptor_; }
  int port() const { return port_; }

 private:
  std::string address_;
  int port_;
  int descriptor_ = -1;
};

// A client's socket, and what it has not taken yet.
class Connection {
 public:
  Connection(int descriptor, int client) : descriptor_(descriptor), client_(client) {
    const int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  }
  ~Connection() { close(descriptor_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int descriptor() const { return descriptor_; }
  int client() const { return client_; }
  bool waits_to_write() const { return begin_ < size_; }

  // Hands on what the client has sent. False: it has gone.
  bool receive(UrSimulator& simulator, std::int64_t now_ns) const {
    std::array<std::uint8_t, 8192> bytes;
    const ssize_t count = recv(descriptor_, bytes.data(), bytes.size(), 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    simulator.on_bytes(client_, {bytes.data(), static_cast<std::size_t>(count)}, now_ns);
    return true;
  }

  // Sends what there is, as far as the client takes it. False: it has gone, or is to go.
  bool send_all(UrSimulator& simulator, std::int64_t now_ns) {
    for (;;) {
      if (begin_ == size_) {
        begin_ = 0;
        size_ = simulator.read(client_, bytes_, now_ns);
        if (size_ == 0) return simulator.is_connected(client_);
      }
      const ssize_t count = send(descriptor_, bytes_.data() + begin_, size_ - begin_, MSG_NOSIGNAL);
      if (count < 0) {
        const bool is_full = errno == EAGAIN || errno == EINTR;
        return is_full && simulator.is_connected(client_);
      }
      begin_ += static_cast<std::size_t>(count);
    }
  }

 private:
  int descriptor_;
  int client_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
  std::array<std::uint8_t, 4096> bytes_{};
};

class SimulatedUr {
 public:
  explicit SimulatedUr(const SimOptions& options)
      : options_(options),
        simulator_(std::make_unique<UrSimulator>(UrControllerOptions{
            .model = options.model == "e-series" ? UrModel::kESeries : UrModel::kCb3,
            .seed = options.seed})),
        faults_(options.fault_seed.value_or(0)) {
    for (const int port : kUrPorts) {
      listeners_.push_back(std::make_unique<Listener>(options.address, port));
      listeners_.back()->open_port();
    }
    begin_ns_ = clock_.now_ns();
    const UrVersion& version = simulator_->controller().version();
    std::printf("ur: a simulated %s (software %u.%u.%u) at %s; ready. On stdin: %s\n",
                options.model == "e-series" ? "UR5e" : "UR5", version.major, version.minor,
                version.bugfix, options.address.c_str(), ur_sim_words().c_str());
    std::fflush(stdout);
  }
  ~SimulatedUr() { show_lateness(); }
  SimulatedUr(const SimulatedUr&) = delete;
  SimulatedUr& operator=(const SimulatedUr&) = delete;

  // One round: waits for clients, bytes, words or the robot.
  void run_once() {
    fill_events();
    const std::int64_t wait_ns = std::clamp<std::int64_t>(next_ns_ - now_ns(), 0, 50'000'000);
    const timespec wait = {0, static_cast<long>(wait_ns)};
    if (ppoll(events_.data(), events_.size(), &wait, nullptr) < 0 && errno != EINTR) {
      throw io_error("poll");
    }
    const std::int64_t now = now_ns();
    if (now >= next_ns_) lateness_.record(now - next_ns_);
    take_events(now);
    if (options_.fault_seed) show_fault(now);
    next_ns_ = simulator_->advance(now);
    follow_listening();
    for (auto& connection : connections_) {
      if (!connection->send_all(*simulator_, now)) drop(connection);
    }
    std::erase(connections_, nullptr);
    show_log();
  }

 private:
  std::int64_t now_ns() const { return clock_.now_ns() - begin_ns_; }

  // stdin, the ports, the clients: in this order.
  void fill_events() {
    events_.clear();
    events_.push_back({is_stdin_open_ ? 0 : -1, POLLIN, 0});
    for (const auto& listener : listeners_) events_.push_back({listener->descriptor(), POLLIN, 0});
    for (const auto& connection : connections_) {
      const short wanted = connection->waits_to_write() ? POLLIN | POLLOUT : POLLIN;
      events_.push_back({connection->descriptor(), wanted, 0});
    }
  }

  void take_events(std::int64_t now) {
    const std::size_t first = 1 + listeners_.size();
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      if ((events_[first + i].revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
      if (!connections_[i]->receive(*simulator_, now)) drop(connections_[i]);
    }
    std::erase(connections_, nullptr);
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if ((events_[1 + i].revents & POLLIN) != 0) accept_clients(*listeners_[i]);
    }
    if ((events_[0].revents & (POLLIN | POLLHUP)) != 0) take_words();
  }

  void accept_clients(const Listener& listener) {
    for (int one = listener.accept_client(); one >= 0; one = listener.accept_client()) {
      const int client = simulator_->connect(listener.port());
      if (client < 0) {
        close(one);
      } else {
        connections_.push_back(std::make_unique<Connection>(one, client));
      }
    }
  }

  void drop(std::unique_ptr<Connection>& connection) {
    simulator_->disconnect(connection->client());
    connection.reset();
  }

  // A controller that is switched off refuses connections.
  void follow_listening() {
    for (const auto& listener : listeners_) {
      if (simulator_->is_listening()) {
        listener->open_port();
      } else {
        listener->close_port();
      }
    }
  }

  void show_fault(std::int64_t now) {
    const UrFault before = faults_.fault();
    faults_.advance(now, *simulator_);
    if (faults_.fault() == before) return;
    std::printf("%.3f s: %s\n", static_cast<double>(now) * 1e-9, ur_fault_name(faults_.fault()));
    std::fflush(stdout);
  }

  void show_log() {
    const UrController& controller = simulator_->controller();
    const std::int64_t count = controller.log_count();
    const auto kept = static_cast<std::int64_t>(UrController::kLogLines);
    if (log_count_ == count) return;
    for (log_count_ = std::max(log_count_, count - kept); log_count_ < count; ++log_count_) {
      const UrLogLine& line = controller.log_line(log_count_);
      std::printf("%.3f s: %s\n", static_cast<double>(line.tick) * controller.period_s(),
                  line.text.data());
    }
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
      std::printf("unknown word '%s'; there are: %s\n", name.c_str(), ur_sim_words().c_str());
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
    if (is_valid && numbers.size() == word->count) {
      word->act(*simulator_, numbers);
      show_status();
    } else if (word->count == 0) {
      std::printf("'%s': nothing may follow '%s'; ignored\n", line.c_str(), word->name);
    } else {
      std::printf("'%s': must be '%s%s', numbers from %g to %g; ignored\n", line.c_str(),
                  word->name, word->numbers, word->least, word->most);
    }
    std::fflush(stdout);
  }

  void show_status() const {
    const UrController& robot = simulator_->controller();
    std::printf("%.3f s: %s, %s, program %s, slider %.2f, joints", robot.timestamp_s(),
                std::string(ur_robot_mode_name(robot.robot_mode())).c_str(),
                std::string(ur_safety_mode_name(robot.safety_mode())).c_str(),
                robot.runtime() == UrRuntime::kPlaying  ? "playing"
                : robot.runtime() == UrRuntime::kPaused ? "paused"
                                                        : "stopped",
                robot.slider());
    for (const double q : robot.arm().q) std::printf(" %.4f", q);
    std::printf(" rad, speeds");
    for (const double qd : robot.arm().qd) std::printf(" %.4f", qd);
    std::printf(" rad/s, %zu clients, %lld cut off\n", connections_.size(),
                static_cast<long long>(simulator_->cut_off()));
    show_lateness();
  }

  // How late this machine has let the simulation be: a client's missed deadline may be ours.
  void show_lateness() const {
    std::printf("own lateness: p50 %.0f, p99 %.0f, max %.0f us of a period of %.0f us\n",
                1e-3 * static_cast<double>(lateness_.quantile_ns(0.5)),
                1e-3 * static_cast<double>(lateness_.quantile_ns(0.99)),
                1e-3 * static_cast<double>(lateness_.max_ns()),
                1e-3 * static_cast<double>(simulator_->controller().period_ns()));
    std::fflush(stdout);
  }

  SimOptions options_;
  std::unique_ptr<UrSimulator> simulator_;
  UrFaultSchedule faults_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<pollfd> events_;
  LatencyHistogram lateness_;
  MonotonicClock clock_;
  std::int64_t begin_ns_ = 0;
  std::int64_t next_ns_ = 0;
  std::int64_t log_count_ = 0;
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

std::string ur_sim_words() {
  std::string text;
  for (const Word& word : kWords) {
    text += std::string(text.empty() ? "" : ", ") + word.name + word.numbers;
  }
  return text;
}

int run_ur_sim(const SimOptions& options) {
  catch_signals();
  SimulatedUr robot(options);
  while (!must_stop) robot.run_once();
  return kDone;
}

}  // namespace instep

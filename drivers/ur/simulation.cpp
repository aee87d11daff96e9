#include "drivers/ur/simulation.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include "drivers/ur/fault_schedule.h"
#include "drivers/ur/simulator.h"
#include "runtime/latency_histogram.h"

namespace instep {
namespace {

constexpr std::int64_t kMillisecondNs = 1'000'000;
// A client that does not read is noticed soon.
constexpr int kSendBufferBytes = 65536;

UrSimulator& robot(DeviceSimulation& simulation);

std::int64_t milliseconds(double value) {
  return static_cast<std::int64_t>(value) * kMillisecondNs;
}

void set_remote_control(DeviceSimulation& simulation, bool is_remote) {
  UrController& controller = robot(simulation).controller();
  if (controller.model() == UrModel::kCb3) {
    return controller.log(RtdeTextLevel::kWarning,
                          "local, remote: a CB3 has no such mode and takes programs always; "
                          "an e-Series (--model e-series) has it");
  }
  controller.set_remote_control(is_remote);
}

constexpr std::array<SimulationWord, 23> kWords = {{
    {"delay", " MS", 1, 1, 0, 10000,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).set_link_faults({.delay_ns = milliseconds(n[0])});
     },
     true},
    {"delay_commands", " MS", 1, 1, 0, 10000,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).set_link_faults({.to_robot_ns = milliseconds(n[0])});
     },
     true},
    {"stall", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).set_link_faults({.is_stalled = true});
     }},
    {"stale", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).set_link_faults({.is_stale = true});
     }},
    {"flow", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { robot(s).set_link_faults({}); }},
    {"reset", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { robot(s).reset_connections(0); }},
    {"drift", " SHARE", 1, 1, -0.1, 0.1,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) { robot(s).set_clock_drift(n[0]); }},
    {"protect", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).controller().protective_stop("asked for on stdin");
     }},
    {"refuse", " COUNT", 1, 1, 0, 100,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).controller().refuse_unlocks(static_cast<std::int64_t>(n[0]));
     },
     true},
    {"unlock", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).controller().unlock_protective_stop();
     }},
    {"press", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).controller().emergency_stop(true);
     }},
    {"release", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).controller().emergency_stop(false);
     }},
    {"open", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).controller().safeguard_stop(true);
     }},
    {"shut", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).controller().safeguard_stop(false);
     }},
    {"fault", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { robot(s).controller().fault(); }},
    {"restart", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { robot(s).restart_controller(); }},
    {"help_up", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { ur_help_up(robot(s)); }},
    {"slider", " FRACTION", 1, 1, 0, 1,
     [](DeviceSimulation& s, const Numbers& n,
        std::int64_t) { robot(s).controller().set_slider(n[0]); }},
    {"foreign", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&,
        std::int64_t) { robot(s).controller().run_script(ur_foreign_program()); }},
    {"fieldbus", " 0|1|2", 1, 1, 0, 2,
     [](DeviceSimulation& s, const Numbers& n,
        std::int64_t) { robot(s).controller().set_fieldbus(n[0] >= 1.0, n[0] >= 2.0); },
     true},
    {"local", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { set_remote_control(s, false); }},
    {"remote", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { set_remote_control(s, true); }},
    {"place", " Q*6 (rad)", kUrJoints, kUrJoints, -6.3, 6.3,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       UrVector q{};
       std::copy(n.begin(), n.end(), q.begin());
       robot(s).controller().place(q);
     }},
}};

std::runtime_error system_trouble(const std::string& what) {
  return std::runtime_error(what + ": " + std::strerror(errno));
}

template <class... Values>
std::string formatted(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
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
    if (descriptor_ < 0) throw system_trouble(name);
    const int on = 1;
    setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(static_cast<std::uint16_t>(port_));
    if (inet_pton(AF_INET, address_.c_str(), &place.sin_addr) != 1) {
      throw std::invalid_argument("--address " + address_ +
                                  ": must be an IPv4 address, as 127.0.0.1");
    }
    if (bind(descriptor_, reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 ||
        listen(descriptor_, 8) != 0) {
      const int error = errno;
      throw std::runtime_error(name + " cannot be opened: " + std::strerror(error) + advice(error));
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
  static const char* advice(int error) {
    switch (error) {
      case EADDRINUSE:
        return "; another simulator or program has it: choose another --address, as 127.0.0.2";
      case EADDRNOTAVAIL:
        return "; it is no address of this machine: choose one, as 127.0.0.1";
      default:
        return "";
    }
  }

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

class UrSimulation final : public DeviceSimulation {
 public:
  explicit UrSimulation(const SimulationOptions& options)
      : options_(options),
        is_e_series_(options.model == kUrSimulationModels[1]),
        simulator_(std::make_unique<UrSimulator>(UrControllerOptions{
            .model = is_e_series_ ? UrModel::kESeries : UrModel::kCb3, .seed = options.seed})),
        faults_(options.fault_seed.value_or(0)) {
    for (const int port : kUrPorts) {
      listeners_.push_back(std::make_unique<Listener>(options.address, port));
      listeners_.back()->open_port();
    }
  }

  std::string title() const override {
    const UrVersion& version = simulator_->controller().version();
    return formatted("a simulated %s (software %u.%u.%u) at ", is_e_series_ ? "UR5e" : "UR5",
                     version.major, version.minor, version.bugfix) +
           options_.address;
  }
  std::span<const SimulationWord> words() const override { return kWords; }

  // The ports, the clients: in this order.
  void add_events(std::vector<pollfd>& events) const override {
    for (const auto& listener : listeners_) events.push_back({listener->descriptor(), POLLIN, 0});
    for (const auto& connection : connections_) {
      const short wanted = connection->waits_to_write() ? POLLIN | POLLOUT : POLLIN;
      events.push_back({connection->descriptor(), wanted, 0});
    }
  }

  std::int64_t advance(std::span<const pollfd> events, std::int64_t now_ns,
                       std::string& news) override {
    if (now_ns >= next_ns_) lateness_.record(now_ns - next_ns_);
    take_events(events, now_ns);
    if (options_.fault_seed) add_fault(now_ns, news);
    next_ns_ = simulator_->advance(now_ns);
    follow_listening();
    for (auto& connection : connections_) {
      if (!connection->send_all(*simulator_, now_ns)) drop(connection);
    }
    std::erase(connections_, nullptr);
    add_log(news);
    return next_ns_;
  }

  std::string status() const override {
    const UrController& robot = simulator_->controller();
    std::string text =
        formatted("%.3f s: %s, %s, program %s, slider %.2f, joints", robot.timestamp_s(),
                  std::string(ur_robot_mode_name(robot.robot_mode())).c_str(),
                  std::string(ur_safety_mode_name(robot.safety_mode())).c_str(),
                  robot.runtime() == UrRuntime::kPlaying  ? "playing"
                  : robot.runtime() == UrRuntime::kPaused ? "paused"
                                                          : "stopped",
                  robot.slider());
    for (const double q : robot.arm().q) text += formatted(" %.4f", q);
    text += " rad, speeds";
    for (const double qd : robot.arm().qd) text += formatted(" %.4f", qd);
    text += formatted(" rad/s, %zu clients, %lld cut off\n", connections_.size(),
                      static_cast<long long>(simulator_->cut_off()));
    const auto age_ms = [&robot](std::int64_t tick) {
      return 1e3 * static_cast<double>(tick) * robot.period_s();
    };
    const double ago_ms = age_ms(robot.ticks() - robot.moved_tick());
    if (robot.moved_tick() == 0) {
      text += "no motion yet\n";
    } else if (robot.moved_tick() < robot.input_tick()) {
      text += formatted("last motion %.0f ms ago, before the last command that arrived\n", ago_ms);
    } else {
      text += formatted("last motion %.0f ms after the last command that arrived, %.0f ms ago\n",
                        age_ms(robot.moved_tick() - robot.input_tick()), ago_ms);
    }
    return text + last_words();
  }

  // How late this machine has let the simulation be: a client's missed deadline may be ours.
  std::string last_words() const override {
    return formatted("own lateness: p50 %.0f, p99 %.0f, max %.0f us of a period of %.0f us\n",
                     1e-3 * static_cast<double>(lateness_.quantile_ns(0.5)),
                     1e-3 * static_cast<double>(lateness_.quantile_ns(0.99)),
                     1e-3 * static_cast<double>(lateness_.max_ns()),
                     1e-3 * static_cast<double>(simulator_->controller().period_ns()));
  }

  UrSimulator& simulator() { return *simulator_; }

 private:
  void take_events(std::span<const pollfd> events, std::int64_t now_ns) {
    const std::size_t first = listeners_.size();
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      if ((events[first + i].revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
      if (!connections_[i]->receive(*simulator_, now_ns)) drop(connections_[i]);
    }
    std::erase(connections_, nullptr);
    // Whoever still waits at the port of a controller that has been switched off is refused when it
    // closes: let in and sent away before, he would find it open once more.
    if (!simulator_->is_listening()) return;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if ((events[i].revents & POLLIN) != 0) accept_clients(*listeners_[i]);
    }
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

  void add_fault(std::int64_t now_ns, std::string& news) {
    const UrFault before = faults_.fault();
    faults_.advance(now_ns, *simulator_);
    if (faults_.fault() == before) return;
    news += formatted("%.3f s: %s\n", static_cast<double>(now_ns) * 1e-9,
                      ur_fault_name(faults_.fault()));
  }

  void add_log(std::string& news) {
    const UrController& controller = simulator_->controller();
    const std::int64_t count = controller.log_count();
    const auto kept = static_cast<std::int64_t>(UrController::kLogLines);
    for (log_count_ = std::max(log_count_, count - kept); log_count_ < count; ++log_count_) {
      const UrLogLine& line = controller.log_line(log_count_);
      news += formatted("%.3f s: ", static_cast<double>(line.tick) * controller.period_s()) +
              line.text.data() + '\n';
    }
  }

  SimulationOptions options_;
  bool is_e_series_;
  std::unique_ptr<UrSimulator> simulator_;
  UrFaultSchedule faults_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  LatencyHistogram lateness_;
  std::int64_t next_ns_ = 0;
  std::int64_t log_count_ = 0;
};

UrSimulator& robot(DeviceSimulation& simulation) {
  return static_cast<UrSimulation&>(simulation).simulator();
}

}  // namespace

std::unique_ptr<DeviceSimulation> make_ur_simulation(const SimulationOptions& options) {
  return std::make_unique<UrSimulation>(options);
}

}  // namespace instep

// A simulated device on real time, behind a real file or real sockets: what `instep sim` serves.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace instep {

struct SimulationOptions {
  std::string path{};      // of the port of a device that has one
  std::string address{};   // the IPv4 address of the sockets of one that has such
  std::string model{};     // one of SimulationInfo::models; empty: the first
  bool is_strict = false;  // forgives nothing that a robot and its adapter would not
  std::uint64_t seed = 0;
  std::optional<std::uint64_t> fault_seed{};  // a schedule of faults, without end
};

class DeviceSimulation;
using Numbers = std::vector<double>;

// A word by which a person makes something happen, and the numbers that it takes.
struct SimulationWord {
  const char* name;
  const char* numbers;  // for people
  std::size_t count_min;
  std::size_t count_max;
  double least;
  double most;
  void (*act)(DeviceSimulation& simulation, const Numbers& numbers, std::int64_t now_ns);
  bool is_whole = false;              // whole numbers alone
  std::optional<double> last_most{};  // of the last number, where that differs
};

// Time begins at 0 with the first advance(). One thread. Methods throw std::runtime_error when the
// system refuses something.
class DeviceSimulation {
 public:
  DeviceSimulation() = default;
  DeviceSimulation(const DeviceSimulation&) = delete;
  DeviceSimulation& operator=(const DeviceSimulation&) = delete;
  virtual ~DeviceSimulation() = default;

  // What it is, for its first line: "a simulated robot at /tmp/robot".
  virtual std::string title() const = 0;
  virtual std::span<const SimulationWord> words() const = 0;
  // How the device is now, a line or several.
  virtual std::string status() const = 0;
  // What there is to say at the end; may be empty.
  virtual std::string last_words() const { return ""; }

  // Adds what to wait for.
  virtual void add_events(std::vector<pollfd>& events) const = 0;
  // Moves time on until now_ns and lets bytes pass. `events` are those that were added, with what
  // has happened. Adds lines that people should know to `news`. Answers when to be called next.
  virtual std::int64_t advance(std::span<const pollfd> events, std::int64_t now_ns,
                               std::string& news) = 0;
};

// What is known of a driver's simulation before it is made.
struct SimulationInfo {
  bool may_be_strict = false;
  std::span<const char* const> models{};
  // Throws std::runtime_error, or std::invalid_argument where path or address are none. Null:
  // DriverInfo::make_simulator behind its channels (channel_simulation.h).
  std::unique_ptr<DeviceSimulation> (*make)(const SimulationOptions& options) = nullptr;
};

}  // namespace instep

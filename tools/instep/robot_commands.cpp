#include "tools/instep/robot_commands.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/registry.h"
#include "runtime/clock.h"
#include "runtime/realtime/guardian.h"
#include "runtime/realtime/packet_record.h"
#include "runtime/realtime/thread.h"
#include "tasks/registry.h"
#include "tools/instep/stop_signals.h"
#include "tools/library/error.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

std::string names_of(const std::vector<const DriverInfo*>& drivers) {
  std::string names;
  for (const DriverInfo* driver : drivers) {
    names += (names.empty() ? "" : ", ") + std::string(driver->name);
  }
  return names;
}

// The driver that was asked for, or else the only one whose devices have such names.
const DriverInfo& driver_of(const RobotOptions& options) {
  if (!options.task.empty()) {
    const TaskInfo& task = require_task(options.task);
    if (task.make_robot == nullptr) throw UsageError("--task " + options.task + ": has no robot");
    return *find_driver(task.driver);
  }
  if (!options.robot.empty()) {
    const DriverInfo* const driver = find_driver(options.robot);
    if (driver != nullptr) return *driver;
    const std::span<const DriverInfo* const> all = all_drivers();
    throw UsageError("--robot " + options.robot +
                     ": there is no such robot; there are: " + names_of({all.begin(), all.end()}));
  }
  const std::vector<const DriverInfo*> found = drivers_of_device(options.device);
  if (found.size() == 1) return *found.front();
  if (found.empty()) {
    throw UsageError(options.device + ": no robot has such a port or address; `instep " +
                     "watch --help` says what to give");
  }
  throw UsageError(options.device +
                   ": which robot is it? Say --robot and one of: " + names_of(found));
}

bool has_the_device(const PortUser& user) {
  return user.how == PortUser::How::kHasItOpen || user.how == PortUser::How::kHasTheLock;
}

// Whether it is that command of this program's. A guardian has its run's command line, and must
// outlive it.
bool is_command(const PortUser& user, std::string_view name) {
  if (user.name == kGuardianName || user.command.size() < 2) return false;
  const std::string program = std::filesystem::path(user.command[0]).filename();
  const bool is_ours = program.starts_with("instep") || program == program_invocation_short_name;
  return is_ours && user.command[1] == name;
}

// Whether it drives a robot: it has the device for itself, or says that it is its port, which
// /dev/null is of no run. Of a port that is away nobody has more than a name.
bool is_driving(const PortUser& user, bool is_away) {
  const bool has_it_as_port = has_the_device(user) && (user.has_lock || user.knows_it);
  const bool waits_for_it =
      is_away && (user.how == PortUser::How::kNamesIt || user.how == PortUser::How::kKnowsIt);
  return (is_command(user, "train") || is_command(user, "eval")) &&
         (has_it_as_port || waits_for_it);
}

// Whether it takes a robot's bytes, and moves nothing.
bool is_watching(const PortUser& user) {
  return is_command(user, "watch") && has_the_device(user);
}

// Who has the device.
std::vector<PortUser> users_of(const DriverInfo& driver, const std::string& device) {
  return driver.channels[0].transport->users(channel_name(device, 0));
}

// Whether `instep stop`, of another user's, needs the device's bytes.
bool is_being_stopped(const DriverInfo& driver, const std::string& device) {
  const std::vector<PortUser> users = users_of(driver, device);
  return std::any_of(users.begin(), users.end(),
                     [](const PortUser& user) { return is_command(user, "stop"); });
}

// Ends the runs that have the device, as Ctrl-C would, and whoever watches it; answers those that
// may be asked.
std::vector<PortUser> ask_to_end(const DriverInfo& driver, const std::string& device,
                                 bool is_away) {
  std::vector<PortUser> asked;
  for (PortUser& user : users_of(driver, device)) {
    const bool is_run = is_driving(user, is_away);
    if ((!is_run && !is_watching(user)) || kill(user.process, SIGTERM) != 0) continue;
    std::printf(is_run ? "asking process %d to stop its run\n" : "asking process %d to end\n",
                user.process);
    static_cast<void>(kill(user.process, SIGCONT));  // else one that is halted would not hear it
    asked.push_back(std::move(user));
  }
  std::fflush(stdout);
  return asked;
}

// A robot that is stopped from outside, and how that goes.
class Stopping {
 public:
  Stopping(const DriverInfo& driver, const std::string& device);

  void stop();

 private:
  bool take_the_right();
  void find_watchers();
  void see_it_stand();
  std::string what_keeps_it() const;
  void tell() const;

  const DriverInfo& driver_;
  const std::string& device_;
  const PortOperations& port_;
  std::unique_ptr<DeviceStop> stop_;
  PortAddress address_;
  Descriptor descriptor_;
  Descriptor lock_;
  PortStop work_;
  std::vector<PortUser> asked_;
  std::vector<PortUser> watchers_;  // the only others that have it, and could not be asked
  bool is_alone_ = false;  // the device is this process's, so that nobody moves the robot again
  bool is_there_ = true;   // the port could be opened to the end
};

Stopping::Stopping(const DriverInfo& driver, const std::string& device)
    : driver_(driver),
      device_(device),
      port_(driver.stop_place().transport->port),
      stop_(driver.make_stop()),
      address_(channel_address(driver.stop_place(), stop_name(driver, device))),
      work_(*stop_, port_, address_, descriptor_) {}

bool Stopping::take_the_right() {
  const Transport& transport = *driver_.channels[0].transport;
  if (transport.lock == nullptr) return port_.claim(descriptor_.get()) == 0;
  const int lock = transport.lock(channel_name(device_, 0));
  if (lock >= 0) lock_.reset(lock);
  return lock >= 0;
}

// Of another user, or halted: they share the robot's bytes with this process and move nothing.
void Stopping::find_watchers() {
  std::vector<PortUser> users = users_of(driver_, device_);
  std::erase_if(users, [](const PortUser& user) { return !has_the_device(user); });
  const auto was_asked = [this](const PortUser& user) {
    return std::any_of(asked_.begin(), asked_.end(),
                       [&user](const PortUser& other) { return other.process == user.process; });
  };
  const bool is_harmless = std::all_of(users.begin(), users.end(), [&](const PortUser& user) {
    return is_watching(user) && (user.is_halted || !was_asked(user));
  });
  if (is_harmless) watchers_ = std::move(users);
}

// Repeats the stop until the robot is seen to stand and nobody else can move it, as long as that
// may take. Whoever has it is left the robot's bytes for as long as a run needs for its own end.
void Stopping::see_it_stand() {
  constexpr std::int64_t kRunEndNs = 2'500'000'000;
  constexpr std::int64_t kPatienceNs = 10'000'000'000;
  constexpr std::int64_t kListenNs = 1'500'000'000;   // to a device that is this process's alone
  constexpr std::int64_t kWatchedNs = 4'000'000'000;  // within which a watch lets go
  constexpr std::int64_t kRoundNs = 20'000'000;
  const bool has_one_reader = driver_.stop_place().transport->has_one_reader;
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  std::int64_t open_ns = begin_ns;
  std::int64_t alone_ns = begin_ns;
  for (std::int64_t now_ns = begin_ns;; now_ns = clock.now_ns()) {
    if (descriptor_.is_open()) open_ns = now_ns;
    is_there_ = now_ns - open_ns < kListenNs;
    if (!descriptor_.is_open() && !lock_.is_open()) is_alone_ = false;
    if (descriptor_.is_open() && !is_alone_ && take_the_right()) {
      is_alone_ = true;
      alone_ns = now_ns;
      work_.begin_again();
    }
    const bool is_free = is_alone_ || !watchers_.empty();
    const std::int64_t listen_ns = is_alone_ ? kListenNs : kWatchedNs;
    const bool is_over = is_free ? work_.stands() || now_ns - alone_ns >= listen_ns
                                 : now_ns - begin_ns >= kPatienceNs;
    if (is_over || !is_there_) return;
    const bool may_read = !has_one_reader || is_free || now_ns - begin_ns >= kRunEndNs;
    work_.step(now_ns + kRoundNs, -1, may_read);
    // Seen to stand, but not alone: what else may be done is to wait.
    if (work_.stands() && !is_free) sleep_until(now_ns + kRoundNs);
  }
}

std::string Stopping::what_keeps_it() const {
  std::vector<PortUser> users = users_of(driver_, device_);
  std::erase_if(users, [](const PortUser& user) { return !has_the_device(user); });
  const auto guards = [](const PortUser& user) { return user.name == kGuardianName; };
  if (!users.empty() && std::all_of(users.begin(), users.end(), guards)) {
    return port_user_names(users) + " still has the port: it stops the robot of a run that has " +
           "died, or is halted, and ends by itself";
  }
  // A guardian ends with its run, and a watch moves nothing.
  std::erase_if(users, [&](const PortUser& user) { return guards(user) || is_watching(user); });
  if (users.empty()) {
    return "a program that could not be asked still has the port and may move the robot again; "
           "`sudo fuser " +
           device_ + "` says which";
  }
  std::string text = port_user_names(users) + " still has the port and may move the robot again";
  for (const PortUser& user : users) {
    const auto is_it = [&user](const PortUser& other) { return other.process == user.process; };
    const std::string process = std::to_string(user.process);
    if (user.is_halted) {
      text += "; process " + process + " is halted: `kill -KILL " + process + "` ends it";
    } else if (std::any_of(asked_.begin(), asked_.end(), is_it)) {
      text += "; process " + process + " was asked to end";
    } else {
      text += "; it could not be asked: `sudo kill " + process + "` ends it";
    }
  }
  return text;
}

// Throws IoError where the robot is not known to stand for good.
void Stopping::tell() const {
  if (!is_there_) {
    throw IoError(
        driver_.stop_place().transport->trouble(stop_name(driver_, device_), work_.error()));
  }
  if (!work_.has_written()) {
    throw IoError(device_ + ": the port takes no bytes; is it connected?");
  }
  const char* const shown =
      work_.stillness() == Stillness::kStands ? "the robot stands"
      : work_.stillness() == Stillness::kMoves
          ? "the robot was told to stop, but its own frames show that it still moves"
          : "the robot was told to stop, but nothing it sends shows that it stands";
  if (!is_alone_ && watchers_.empty()) {
    throw IoError(device_ + ": " + shown + "; " + what_keeps_it());
  }
  if (work_.stillness() != Stillness::kStands && !watchers_.empty()) {
    throw IoError(device_ + ": " + shown + ": " + port_user_names(watchers_) +
                  " (instep watch) has the port, too, and may take what the robot sends; it moves "
                  "nothing. End it, and stop the robot once more to see that it stands");
  }
  if (work_.stillness() != Stillness::kStands) {
    throw IoError(
        device_ + ": " + shown +
        ": keep away from it and cut its power; is it switched on, and is this its port?");
  }
  std::printf("%s: stands (the robot's own frames show it)\n", device_.c_str());
  for (const PortUser& user : asked_) {
    if (kill(user.process, 0) == 0 && !is_watching(user)) {
      std::printf("process %d is still writing its files\n", user.process);
    }
  }
}

// Opened beside whoever has it, and told to stop before anything else is looked at.
void Stopping::stop() {
  const MonotonicClock clock;
  work_.step(clock.now_ns(), -1, false);
  const bool is_away = !descriptor_.is_open() && work_.error() != 0;
  const bool is_no_port = is_away && (work_.error() == ENOTTY || work_.error() == EISDIR);
  if (!is_no_port) asked_ = ask_to_end(driver_, device_, is_away);  // it is no run's
  if (is_away) {
    for (const PortUser& user : asked_) {
      if (user.port_now.empty() || user.port_now == device_) continue;
      std::printf("%s: is %s now\n", device_.c_str(), user.port_now.c_str());
      return Stopping(driver_, user.port_now).stop();
    }
    throw IoError(
        driver_.stop_place().transport->trouble(stop_name(driver_, device_), work_.error()) +
        (asked_.empty() ? "" : "; its run was asked to end, but nothing shows that it stands"));
  }
  find_watchers();
  see_it_stand();
  tell();
}

const char* state_text(LinkState state) {
  switch (state) {
    case LinkState::kConnecting:
      return "connecting";
    case LinkState::kReady:
    case LinkState::kTakenOver:  // nothing here moves it
      return "ready";
    case LinkState::kLost:
      return "lost";
    case LinkState::kFailed:
      return "failed";
  }
  return "";
}

}  // namespace

namespace {

// The widths of a table whose columns are a driver's fields.
std::vector<int> column_widths(std::span<const PacketField> fields) {
  std::vector<int> widths;
  for (const PacketField& field : fields) {
    std::size_t width =
        std::max({std::strlen(field.name), std::strlen(field.unit) + 2, std::size_t{7}});
    for (const char* word : field.words) width = std::max(width, std::strlen(word));
    widths.push_back(static_cast<int>(width));
  }
  return widths;
}

void show_names(const char* first, const char* second, std::span<const PacketField> fields,
                const std::vector<int>& widths) {
  std::printf("%-10s %8s", first, second);
  for (std::size_t i = 0; i < fields.size(); ++i) std::printf(" %*s", widths[i], fields[i].name);
  std::printf("\n%-10s %8s", "", "");
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::string unit = fields[i].unit;
    std::printf(" %*s", widths[i], unit.empty() ? "" : ('[' + unit + ']').c_str());
  }
  std::printf("\n");
}

void show_values(std::span<const PacketField> fields, const std::vector<int>& widths,
                 const std::vector<double>& values) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const bool is_share = std::string_view(fields[i].unit) == "%";
    const double value = is_share ? 100.0 * values[i] : values[i];
    if (std::isnan(value)) {
      std::printf(" %*s", widths[i], "unknown");
    } else if (fields[i].words.empty()) {
      std::printf(value == std::round(value) ? " %*.0f" : " %*.3f", widths[i], value);
    } else if (value >= 0.0 && value < static_cast<double>(fields[i].words.size())) {
      std::printf(" %*s", widths[i], fields[i].words[static_cast<std::size_t>(value)]);
    } else {
      std::printf(" %*.0f", widths[i], value);
    }
  }
}

// Whether the name is a file of packets, as a run with --record leaves it, and not a device.
bool is_recording(const std::string& name) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(name, ignored)) return false;
  std::array<char, 8> start{};
  std::ifstream(name).read(start.data(), start.size());
  return PacketFileReader({reinterpret_cast<const std::uint8_t*>(start.data()), start.size()})
      .is_one();
}

// Shows every packet of a run's recording, at the time since its first one.
int watch_recording(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const RunConfig config = read_config_toml((parent.empty() ? "." : parent) + "/config.toml");
  const PacketFormat& format = *find_driver(require_task(config.task).driver)->packets;
  const std::vector<int> widths = column_widths(format.fields);
  const std::string text = read_file(path);
  PacketFileReader reader({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  std::vector<double> values(format.fields.size());
  Packet packet;
  show_names("time [s]", "packet", format.fields, widths);
  for (std::optional<std::int64_t> begin_ns; reader.next(&packet);) {
    if (!begin_ns) begin_ns = packet.time_ns;
    std::printf("%-10.3f %8u", static_cast<double>(packet.time_ns - *begin_ns) * 1e-9,
                packet.sequence);
    if (format.decode(packet, values)) show_values(format.fields, widths, values);
    std::printf("\n");
  }
  if (!reader.is_cut()) return kDone;
  throw DataError(path + ": is damaged, or was cut off, behind the last packet shown");
}

}  // namespace

int run_watch(const RobotOptions& options) {
  if (is_recording(options.device)) return watch_recording(options.device);
  constexpr std::int64_t kShowNs = 200'000'000;
  constexpr int kRowsPerHeader = 20;
  constexpr int kRowsPerLook = 5;
  const DriverInfo& driver = driver_of(options);
  const std::unique_ptr<Session> session = driver.make_session(0);
  OpenedDevice opened = open_device(driver, options.device, DeviceUse::kRead);
  const StopRequest& asked = install_stop_handler();
  RealtimeLink link(*session, std::move(opened.channels), nullptr, {});
  link.start();
  const MonotonicClock clock;
  const std::int64_t end_ns = clock.now_ns() + static_cast<std::int64_t>(options.seconds * 1e9);
  const PacketFormat& format = *driver.packets;
  const std::vector<int> widths = column_widths(format.fields);
  std::vector<double> values(format.fields.size());
  std::uint64_t packets = 0;
  Packet packet;
  bool must_let_go = false;
  auto tell_lacks = [&, told = std::uint64_t{0}]() mutable {
    if (link.lacks() == told) return;
    told = link.lacks();
    if (told == 0) return;
    std::fprintf(stderr, "instep: warning: %s: %s\n", options.device.c_str(),
                 driver.lacks_text(told).c_str());
  };
  for (int row = 0;
       !must_let_go && !asked.is_asked() && (options.seconds <= 0.0 || clock.now_ns() < end_ns) &&
       link.state() != LinkState::kFailed;
       ++row) {
    sleep_until(clock.now_ns() + kShowNs);
    while (link.next_packet(&packet)) ++packets;
    tell_lacks();
    if (row % kRowsPerHeader == 0) show_names("state", "packets", format.fields, widths);
    std::printf("%-10s %8llu", state_text(link.state()), static_cast<unsigned long long>(packets));
    if (packets > 0 && format.decode(packet, values)) show_values(format.fields, widths, values);
    std::printf("\n");
    // A look at all processes, once a second.
    must_let_go = row % kRowsPerLook == 0 && driver.channels[0].transport->has_one_reader &&
                  is_being_stopped(driver, options.device);
    if (must_let_go) std::printf("instep stop needs the robot's answer: watching no longer\n");
    if (std::fflush(stdout) != 0) must_let_go = true;  // nobody looks any more
  }
  const bool has_failed = link.state() == LinkState::kFailed;
  link.stop();
  tell_lacks();
  if (has_failed || (packets == 0 && !must_let_go)) {
    const std::string error = session->error();
    throw IoError(
        options.device + ": " +
        (error.empty() ? "no packet came; is the robot switched on and connected?" : error));
  }
  return kDone;
}

namespace {

// Where it is not clear which robot it is, the run that drives it knows how to stop it.
void stop(const RobotOptions& options) {
  // Who may not is an ordinary process, which on a busy machine may have to wait for its turn.
  static_cast<void>(become_realtime("instep-stop", kLoopPriority));
  const DriverInfo* driver = nullptr;
  try {
    driver = &driver_of(options);
  } catch (const UsageError&) {
    for (const DriverInfo* one : drivers_of_device(options.device)) {
      if (!ask_to_end(*one, options.device, false).empty()) break;
    }
    throw;
  }
  Stopping(*driver, options.device).stop();
}

}  // namespace

int run_stop(const RobotOptions& options) {
  try {
    stop(options);
  } catch (const UsageError&) {
    // Which robot it is may be wrong; that it is to stop is not.
    if (!options.task.empty() || !options.robot.empty()) stop_robots_among({options.device});
    throw;
  }
  return kDone;
}

void stop_robots_among(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::vector<const DriverInfo*> drivers = drivers_of_device(word);
    const bool is_device = std::any_of(drivers.begin(), drivers.end(), [&](const DriverInfo* one) {
      return one->channels[0].transport->is_device(channel_name(word, 0));
    });
    if (!is_device) continue;
    try {
      stop({.device = word});
    } catch (const CommandError& error) {
      std::fprintf(stderr, "instep: %s\n", error.what());
    }
  }
}

}  // namespace instep

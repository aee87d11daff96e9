#include "tools/instep/robot_commands.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "drivers/port_users.h"
#include "runtime/clock.h"
#include "runtime/realtime/guardian.h"
#include "tasks/registry.h"
#include "tools/library/error.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/session.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

const TaskInfo& robot_task(const RobotOptions& options) {
  if (!options.task.empty()) {
    const TaskInfo& task = require_task(options.task);
    if (task.make_robot == nullptr) throw UsageError("--task " + options.task + ": has no robot");
    return task;
  }
  const TaskInfo* found = nullptr;
  for (const TaskInfo& task : all_tasks()) {
    if (task.make_robot == nullptr) continue;
    if (found != nullptr) throw UsageError("several tasks have a robot: say --task which");
    found = &task;
  }
  if (found == nullptr) throw UsageError("no task of this build has a robot");
  return *found;
}

// Whether it drives a robot. Its guardian has the same command line, and must outlive it.
bool is_driving(const PortUser& user) {
  if (user.name == kGuardianName || user.command.size() < 2) return false;
  const std::string program = std::filesystem::path(user.command[0]).filename();
  return program.starts_with("instep") &&
         (user.command[1] == "train" || user.command[1] == "eval") &&
         (user.how == PortUser::How::kHasItOpen || user.how == PortUser::How::kHasTheLock);
}

// Ends the runs that have the port, as Ctrl-C would; answers those that may be asked.
std::vector<PortUser> ask_runs_to_end(const std::string& path) {
  std::vector<PortUser> asked;
  for (PortUser& user : port_users(path)) {
    if (!is_driving(user) || kill(user.process, SIGTERM) != 0) continue;
    std::printf("asking process %d to stop its run\n", user.process);
    asked.push_back(std::move(user));
  }
  std::fflush(stdout);
  return asked;
}

// How stopping a robot from outside went.
struct Stopping {
  bool is_alone = false;  // the port is this process's, so that nobody moves the robot again
  bool has_written = false;
  bool is_there = true;  // the port could be opened to the end
  Stillness stillness = Stillness::kUnknown;
};

// Repeats the stop until the robot is seen to stand and nobody else has the port, as long as that
// may take. Whoever has it is left the robot's bytes for as long as a run needs for its own end.
Stopping see_it_stand(PortStop& work, const RobotKit& kit, const Descriptor& port) {
  constexpr std::int64_t kRunEndNs = 2'500'000'000;
  constexpr std::int64_t kPatienceNs = 10'000'000'000;
  constexpr std::int64_t kListenNs = 1'500'000'000;  // to a port that is this process's alone
  constexpr std::int64_t kRoundNs = 20'000'000;
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  Stopping result;
  std::int64_t open_ns = begin_ns;
  std::int64_t alone_ns = begin_ns;
  for (std::int64_t now_ns = begin_ns;; now_ns = clock.now_ns()) {
    if (port.is_open()) open_ns = now_ns;
    result.is_there = now_ns - open_ns < kListenNs;
    if (!port.is_open()) result.is_alone = false;
    if (port.is_open() && !result.is_alone && kit.port.claim(port.get()) == 0) {
      result.is_alone = true;
      alone_ns = now_ns;
      work.begin_again();
    }
    const bool is_over = result.is_alone ? work.stands() || now_ns - alone_ns >= kListenNs
                                         : now_ns - begin_ns >= kPatienceNs;
    if (is_over || !result.is_there) break;
    const bool may_read = result.is_alone || now_ns - begin_ns >= kRunEndNs;
    work.step(now_ns + kRoundNs, -1, may_read);
    // Seen to stand, but not alone: what else may be done is to wait.
    if (work.stands() && !result.is_alone) sleep_until(now_ns + kRoundNs);
  }
  result.has_written = work.has_written();
  result.stillness = work.stillness();
  return result;
}

std::string what_keeps_it(const std::string& path, const std::vector<PortUser>& asked) {
  std::vector<PortUser> users;
  for (PortUser& user : port_users(path)) {
    using How = PortUser::How;
    if (user.how == How::kHasItOpen || user.how == How::kHasTheLock) users.push_back(user);
  }
  if (users.empty()) {
    return "a program that could not be asked still has the port and may move the robot again; "
           "`sudo fuser " +
           path + "` says which";
  }
  std::string text = port_user_names(users) + " still has the port and may move the robot again";
  for (const PortUser& user : users) {
    const auto is_it = [&user](const PortUser& other) { return other.process == user.process; };
    const std::string process = std::to_string(user.process);
    if (user.is_halted) {
      text += "; process " + process + " is halted: `kill -KILL " + process + "` ends it";
    } else if (std::any_of(asked.begin(), asked.end(), is_it)) {
      text += "; process " + process + " was asked to end";
    } else {
      text += "; it could not be asked: `sudo kill " + process + "` ends it";
    }
  }
  return text;
}

// Throws IoError where the robot is not known to stand for good.
void tell(const Stopping& result, const RobotOptions& options, const RobotKit& kit, int error,
          const std::vector<PortUser>& asked) {
  const std::string& path = options.device;
  if (!result.is_there) throw IoError(kit.open_trouble(path, error));
  if (!result.has_written) throw IoError(path + ": the port takes no bytes; is it connected?");
  const char* const shown =
      result.stillness == Stillness::kStands ? "the robot stands"
      : result.stillness == Stillness::kMoves
          ? "the robot was told to stop, but its own frames show that it still moves"
          : "the robot was told to stop, but nothing it sends shows that it stands";
  if (!result.is_alone) throw IoError(path + ": " + shown + "; " + what_keeps_it(path, asked));
  if (result.stillness != Stillness::kStands) {
    throw IoError(
        path + ": " + shown +
        ": keep away from it and cut its power; is it switched on, and is this its port?");
  }
  std::printf("%s: stands (the robot's own frames show it)\n", path.c_str());
  for (const PortUser& user : asked) {
    if (kill(user.process, 0) == 0) {
      std::printf("process %d is still writing its files\n", user.process);
    }
  }
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

int run_watch(const RobotOptions& options) {
  const TaskInfo& info = robot_task(options);
  RobotKit kit = info.make_robot();
  OpenedPort port = open_port(kit, options.device);
  install_stop_handler();
  RealtimeLink link(*kit.session, std::move(port.descriptor), port.address, kit.port, nullptr, {});
  link.start();
  constexpr std::int64_t kShowNs = 200'000'000;
  const MonotonicClock clock;
  const std::int64_t end_ns = clock.now_ns() + static_cast<std::int64_t>(options.seconds * 1e9);
  std::vector<double> observation(static_cast<std::size_t>(info.observation_dim));
  std::uint64_t packets = 0;
  Packet packet;
  while (!is_stop_requested() && (options.seconds <= 0.0 || clock.now_ns() < end_ns) &&
         link.state() != LinkState::kFailed) {
    sleep_until(clock.now_ns() + kShowNs);
    while (link.next_packet(&packet)) {
      kit.task->take(packet);
      ++packets;
    }
    std::printf("%-10s %8llu packets", state_text(link.state()),
                static_cast<unsigned long long>(packets));
    if (packets > 0) {
      kit.task->first_observation(observation.data());
      for (const double value : observation) std::printf(" %7.3f", value);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  const bool has_failed = link.state() == LinkState::kFailed;
  link.stop();
  if (has_failed || packets == 0) {
    const std::string error = kit.session->error();
    throw IoError(
        options.device + ": " +
        (error.empty() ? "no packet came; is the robot switched on and connected?" : error));
  }
  return kDone;
}

namespace {

void stop(const RobotOptions& options) {
  const RobotKit kit = robot_task(options).make_robot();
  PortAddress address = port_address(options.device);
  // Opened beside whoever has it, and told to stop before anything else is looked at.
  const int opened = kit.port.open(&address);
  if (opened < 0) throw IoError(kit.open_trouble(options.device, -opened));
  Descriptor port(opened);
  PortStop work(*kit.stop, kit.port, address, port);
  const MonotonicClock clock;
  work.step(clock.now_ns(), -1, false);
  const std::vector<PortUser> asked = ask_runs_to_end(options.device);
  const Stopping result = see_it_stand(work, kit, port);
  tell(result, options, kit, work.error(), asked);
}

}  // namespace

int run_stop(const RobotOptions& options) {
  try {
    stop(options);
  } catch (const UsageError&) {
    // Which robot it is may be wrong; that it is to stop is not.
    if (!options.task.empty()) stop_robots_among({options.device});
    throw;
  }
  return kDone;
}

void stop_robots_among(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    std::error_code ignored;
    if (!std::filesystem::is_character_file(word, ignored)) continue;
    try {
      stop({.device = word, .task = ""});
    } catch (const CommandError& error) {
      std::fprintf(stderr, "instep: %s\n", error.what());
    }
  }
}

}  // namespace instep

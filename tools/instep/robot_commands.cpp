#include "tools/instep/robot_commands.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

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
bool is_driving(const std::filesystem::path& process) {
  std::string name;
  std::ifstream(process / "comm") >> name;
  if (name == kGuardianName) return false;
  std::ifstream words(process / "cmdline");
  std::string program;
  std::string command;
  std::getline(words, program, '\0');
  std::getline(words, command, '\0');
  return std::filesystem::path(program).filename().string().starts_with("instep") &&
         (command == "train" || command == "eval");
}

// The runs that have the file open.
std::vector<pid_t> holders(const std::string& path) {
  namespace fs = std::filesystem;
  std::vector<pid_t> processes;
  std::error_code ignored;
  const fs::path file = fs::canonical(path, ignored);
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const pid_t process = std::atoi(entry.path().filename().c_str());
    if (process <= 0 || !is_driving(entry.path())) continue;
    std::error_code failed;
    for (fs::directory_iterator fd(entry.path() / "fd", failed), end; !failed && fd != end;
         fd.increment(failed)) {
      if (fs::read_symlink(fd->path(), ignored) != file) continue;
      processes.push_back(process);
      break;
    }
  }
  return processes;
}

void write_all(int port, std::span<const std::uint8_t> bytes) {
  const MonotonicClock clock;
  std::size_t written = 0;
  for (int tries = 0; written < bytes.size() && tries < 100; ++tries) {
    const ssize_t count = write(port, bytes.data() + written, bytes.size() - written);
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else {
      sleep_until(clock.now_ns() + 10'000'000);
    }
  }
  if (written < bytes.size()) throw IoError("the robot's port takes no bytes; is it connected?");
}

// Waits for a run to let the port go, which takes it about a second.
bool becomes_free(int port) {
  const MonotonicClock clock;
  for (int tries = 0; tries < 100; ++tries) {
    if (flock(port, LOCK_EX | LOCK_NB) == 0) return true;
    sleep_until(clock.now_ns() + 100'000'000);
  }
  return false;
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
  const int descriptor = kit.port.open(options.device.c_str());
  if (descriptor < 0) {
    throw IoError(kit.open_trouble(options.device, -descriptor));
  }
  install_stop_handler();
  RealtimeLink link(*kit.session, descriptor, options.device, kit.port, nullptr);
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

int run_stop(const RobotOptions& options) {
  const RobotKit kit = robot_task(options).make_robot();
  // Not the driver's own way of opening: that would refuse a port that a run holds.
  const int port = open(options.device.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (port < 0 || isatty(port) == 0) {
    const int error = port < 0 ? errno : ENOTTY;
    if (port >= 0) close(port);
    throw IoError(kit.open_trouble(options.device, error));
  }
  for (const pid_t process : holders(options.device)) {
    std::printf("asking process %d to stop its run\n", process);
    kill(process, SIGTERM);
  }
  write_all(port, kit.stop_bytes);
  const bool is_free = becomes_free(port);
  close(port);
  if (!is_free) {
    throw IoError(
        options.device +
        ": told to stop, but a program that could not be asked still has the port and may "
        "move the robot again; `sudo fuser " +
        options.device + "` says which");
  }
  std::printf("%s: told to stop\n", options.device.c_str());
  return kDone;
}

}  // namespace instep

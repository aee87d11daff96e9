// A process that outlives the agent by just long enough to stop its robot.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/device_stop.h"
#include "runtime/realtime/port.h"
#include "runtime/realtime/thread.h"

namespace instep {

// What the system calls its process.
inline constexpr const char* kGuardianName = "instep-guardian";

// What both processes read and write, in a file without a place in any folder: whoever looks for
// the process that has a port, or waits for it, finds it among that process's files by its name,
// and its first bytes are the port's names.
inline constexpr const char* kPortRecordName = "instep-port";
struct GuardianShared {
  std::array<char, PortAddress::kNamesMax> names{};  // as in PortAddress
  std::atomic<std::uint32_t> stops{0};
  std::atomic<pid_t> thread{0};         // that gives the beats; 0: the process's first one
  std::atomic<std::uint32_t> heard{0};  // beats
};

// Forks a process that holds the port open and reads from a pipe whose only writer is this process.
// When the pipe ends because this process has died, whatever killed it, the guardian stops the
// device until the device's own bytes show that it stands, for at most kStopNsMax; while it cannot
// open the port it tries to, for at most kAwayNsMax. It ignores the signals that end a process in
// order, and allocates nothing. To be made before any thread is started.
//
// It does the same when this process stands still: no beat() for kFrozenNs, and the system says
// that the thread which gives them has died, is stopped (SIGSTOP, a debugger), or sleeps on though
// nudge() has called it. A thread that waits for a processor, or in the kernel (reading a terminal
// waits for a worker of ordinary priority), may be healthy: it has kSilenceNs.
//
// It may stand still itself: heard() tells. One that was stopped (SIGSTOP) goes on when this
// process dies.
//
// It cannot outlive process 1 of a container: the kernel ends both at once.
class Guardian {
 public:
  static constexpr std::int64_t kBeatIntervalNs = 10'000'000;
  static constexpr std::int64_t kNudgeNs = 30'000'000;
  static constexpr std::int64_t kFrozenNs = 50'000'000;
  static constexpr std::int64_t kSilenceNs = 500'000'000;
  static constexpr std::int64_t kStopNsMax = 2'000'000'000;
  static constexpr std::int64_t kAwayNsMax = 30'000'000'000;
  static constexpr std::int64_t kEndNsMax = 1'000'000'000;

  // `descriptor` is the port as opened at `address`, or -1: the guardian opens it when it has to
  // stop the device. `lock`: a descriptor, or -1, that holds the right to the device and that the
  // guardian keeps while it lives. It has copies of all it is given. When this returns, the robot
  // is guarded. Throws std::system_error when the system refuses. From now on this process ignores
  // SIGPIPE. `stop` null: this process never tells the device to move, so the guardian sends
  // nothing, whatever happens.
  Guardian(int descriptor, const PortAddress& address, const PortOperations& port, DeviceStop* stop,
           int lock = -1);
  // Releases the guardian without touching the robot, and waits for its end: kEndNsMax until it
  // kills the guardian, and as long again; after leave() neither. A guardian that somebody has
  // stopped is continued first.
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

  // From now on the calling thread gives the beats.
  void watch_this_thread() const;

  // Messages: one write each, which does not wait. Any thread.

  // Says that this process runs. Once called, it must be called at least every kBeatIntervalNs.
  // False when the guardian is dead.
  [[nodiscard]] bool beat() const;
  // Whether the system says that its process is stopped or sleeps, and does not wait for a
  // processor or in the kernel. Any thread.
  bool is_at_rest() const;
  // How many beats it has heard, modulo 2^32. Any thread.
  std::uint32_t heard() const { return shared_->heard.load(std::memory_order_relaxed); }
  // The port is lost: the guardian closes it, so that its name can be given out again.
  void lose() const;
  // The port has been opened anew at address.node: the guardian does the same.
  void reopen(const PortAddress& address) const;
  // The robot stands for good: there is nothing to guard any more.
  void release() const;
  // Nobody knows whether the robot stands: the guardian closes the port, and when this object or
  // process goes, it stops the robot.
  void leave();

  // Readable when the guardian has heard no beat for kNudgeNs; clear() it. One thread.
  WakeUp& nudge() { return nudge_; }

  // How often it has stopped the robot because this process stood still. Any thread.
  std::uint32_t stops() const { return shared_->stops.load(std::memory_order_relaxed); }
  pid_t process() const { return process_; }

 private:
  void send(char message) const;
  void see_it_end() const;

  Descriptor pipe_;
  Descriptor record_;
  WakeUp nudge_;
  pid_t process_ = -1;
  bool is_left_ = false;
  GuardianShared* shared_ = nullptr;  // in memory that both processes have
};

}  // namespace instep

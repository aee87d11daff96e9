// A process that outlives the agent by just long enough to stop its robot.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "runtime/realtime/port.h"

namespace instep {

// What the system calls its process.
inline constexpr const char* kGuardianName = "instep-guardian";

// Forks a process that holds the port open and reads from a pipe whose only writer is this process.
// When the pipe ends because this process has died, whatever killed it, the guardian writes the
// driver's stop bytes, which first complete a command that was cut off. It does the same when this
// process stands still (a debugger, SIGSTOP): no beat() for half a second after the last. It
// ignores the signals that end a process in order, and allocates nothing. To be made before any
// thread is started.
class Guardian {
 public:
  // `descriptor` is the opened port. When this returns, the robot is guarded. Throws
  // std::system_error when the system refuses. From now on this process ignores SIGPIPE.
  Guardian(int descriptor, const std::string& path, const PortOperations& port,
           std::span<const std::uint8_t> stop_bytes);
  // Lets it go without touching the robot, and waits for its end.
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

  static constexpr std::int64_t kBeatIntervalNs = 100'000'000;

  // This process runs; to be said at least every kBeatIntervalNs once it was said. False when the
  // guardian does not live to hear it. Any thread; one write, which does not wait.
  [[nodiscard]] bool beat() const;
  // The port has been opened anew: the guardian does the same. One write, as beat().
  void reopen() const;

  pid_t process() const { return process_; }

 private:
  int pipe_ = -1;
  pid_t process_ = -1;
};

}  // namespace instep

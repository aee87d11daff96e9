// What a real-time thread asks of the operating system. Rights that are missing degrade with a
// warning: everything still runs, and is less punctual.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace instep {

// Who goes before whom when all want the processor.
inline constexpr int kIoPriority = 80;
inline constexpr int kHandsPriority = 75;
inline constexpr int kLoopPriority = 70;
inline constexpr int kLearnerPriority = 60;

// Starts a thread that no signal interrupts but those of its own faults. Throws std::system_error,
// whose text begins with `subject`, where the system refuses.
std::thread start_thread(const std::string& subject, std::function<void()> work);

// In place of an error of become_realtime() that is not known yet.
inline constexpr int kNotTriedYet = -1;

// Makes the calling thread a first-in-first-out real-time thread of that priority and names it (at
// most 15 bytes). Answers 0 or an errno value: EPERM without the right to do so.
[[nodiscard]] int become_realtime(const char* name, int priority);

// Keeps the calling thread on one core. Answers 0 or an errno value: EINVAL where this process may
// not run there.
[[nodiscard]] int pin_to_core(int core);

// More memory than any run locks.
inline constexpr std::int64_t kLockedBytesWanted = std::int64_t{256} << 20;

// Keeps all memory, present and future, from being paged out. Answers 0 or an errno value; where
// there is no right to kLockedBytesWanted more, nothing is locked, so that no later request fails.
[[nodiscard]] int lock_memory();

// How a user gets these rights, and that to robots' ports.
inline constexpr const char* kRightsAdvice =
    "sudo usermod --append --groups instep,dialout $USER, then log in again (the groups and limits "
    "come with the package)";

// Sleeps until CLOCK_MONOTONIC shows deadline_ns, an absolute time.
void sleep_until(std::int64_t deadline_ns);

// Time in which the machine's own processors were taken away by a hypervisor, summed over cores,
// since it started; 0 where the system does not tell.
std::int64_t steal_time_ns();

// An eventfd: one thread wakes another.
class WakeUp {
 public:
  // Throws std::system_error when the system refuses.
  WakeUp();
  ~WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;

  int descriptor() const { return descriptor_; }
  void wake() const;
  // Forgets what has been woken so far; does not block.
  void clear() const;
  // Blocks until somebody has called wake(), and forgets it.
  void wait() const;

 private:
  int descriptor_;
};

}  // namespace instep

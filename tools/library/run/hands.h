// What must be at hand at any moment while a robot moves: keys, signals, the service's watchdog.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>
#include <string>
#include <thread>

#include "runtime/clock.h"
#include "runtime/realtime/realtime_link.h"
#include "runtime/realtime/thread.h"
#include "runtime/robot_world.h"
#include "tools/library/listen/service_notice.h"
#include "tools/library/listen/voice.h"
#include "tools/library/run/keyboard.h"
#include "tools/library/run/stop_request.h"

namespace instep {

// What the writer is at once the run is over, for people; literals.
inline constexpr const char* kEndingLoop = "stopping: waiting for the loop and its learner to end";
inline constexpr const char* kWritingCheckpoint =
    "stopping: the robot was stopped; still writing the checkpoint";
inline constexpr const char* kWritingResults =
    "stopping: the robot was stopped; still writing summary and report";
// The same where nothing has shown that the robot stands.
inline constexpr const char* kWritingCheckpointUnseen =
    "stopping: nothing shows that the robot stands, keep away from it; still writing the "
    "checkpoint";
inline constexpr const char* kWritingResultsUnseen =
    "stopping: nothing shows that the robot stands, keep away from it; still writing summary and "
    "report";

// A real-time thread that opens no file and writes to no terminal, so that nothing it depends on
// can wait. Any key holds the robot, `c` goes on. A stop that is asked for (stop_request.h) stops
// it, and so does the end of its terminal, unless SIGHUP is ignored. All reach the I/O thread
// at once, whatever loop and writer are at. It feeds the watchdog as long as the loop and the I/O
// thread go round, and says what a stop waits for when it takes long, whom keys and Ctrl-C reach
// where that is not this process, and when the guardian has stopped the robot.
//
// It alone takes the process's signals; the maker's thread has them blocked meanwhile. Borrows all.
class Hands {
 public:
  // What the hands work on.
  struct Body {
    RobotSignals& signals;
    RealtimeLink& link;
    const RobotWorld& world;
    Voice& voice;
    ServiceNotice& notice;
    std::string device;  // as the user named it
    const StopRequest* stop = nullptr;
  };

  // Before the loop is started. Throws std::system_error when the system refuses a thread.
  explicit Hands(const Body& body);
  ~Hands();
  Hands(const Hands&) = delete;
  Hands& operator=(const Hands&) = delete;

  // The loop has ended: nothing is commanded any more, and the I/O thread may end, too. Any thread.
  void loop_is_over();
  // What a stop waits for from now on; one of the literals above.
  void is_at(const char* what) { at_.store(what, std::memory_order_relaxed); }

  // 0, or why it is no FIFO thread; kNotTriedYet before it has begun. Any time.
  int priority_error() const { return priority_error_; }

 private:
  // The signals that the hands take, as long as it lives in no other thread's way.
  class BlockedSignals {
   public:
    BlockedSignals();
    ~BlockedSignals();
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

   private:
    sigset_t before_{};
  };

  void run();
  void wait(std::int64_t timeout_ns, const sigset_t& signals);
  void look_at_terminal();
  void take_key();
  void stop(std::int64_t now_ns);
  void feed(std::int64_t now_ns);
  void tell(std::int64_t now_ns);
  void tell_of_guardian();
  std::string unreachable(const std::string& why) const;

  Body body_;
  BlockedSignals blocked_;  // before the terminal is changed, which a signal puts back
  Keyboard keyboard_;
  MonotonicClock clock_;
  WakeUp wake_;
  std::atomic<bool> is_over_{false};
  std::atomic<bool> is_ending_{false};
  std::atomic<const char*> at_{kEndingLoop};
  std::atomic<int> priority_error_{kNotTriedYet};
  const std::string in_background_;
  // The thread's.
  Keyboard::Reach reach_ = Keyboard::Reach::kNobody;
  std::uint32_t guardian_stops_ = 0;
  bool is_stopping_ = false;
  bool is_link_told_ = false;
  std::int64_t key_ns_ = 0;   // no key is taken before
  std::int64_t tell_ns_ = 0;  // when the next word about a stop is due
  std::uint64_t ticks_fed_ = 0;
  std::uint64_t rounds_fed_ = 0;
  std::thread thread_;
};

}  // namespace instep

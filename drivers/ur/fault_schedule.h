// Everything that can happen to a UR5 and its network, at times that a seed decides, and a person
// beside it who gets it going again.
#pragma once

#include <cstdint>

#include "drivers/ur/simulator.h"

namespace instep {

enum class UrFault : std::uint8_t {
  kNone,
  kDelay,         // packages arrive late
  kDelayToRobot,  // commands arrive late
  kStall,         // nothing arrives at either end, then all of it
  kReset,         // every connection breaks
  kResetRtde,     // that of port 30004
  kStale,         // packages with a timestamp that stands
  kClockDrift,    // the controller's clock is off by 1 %
  kProtectiveStop,
  kRefusedUnlock,  // a protective stop that does not let itself be unlocked at first
  kSafeguard,      // a door is open
  kEmergencyStop,
  kSafetyFault,
  kRestart,         // the controller is switched off and boots
  kSlider,          // somebody moves the speed slider
  kSliderAtZero,    // down to 0, and up again
  kFieldBus,        // EtherNet/IP takes the slider, and every client must connect anew
  kNoScanner,       // the same, but its scanner is missing: programs that start are stopped
  kForeignProgram,  // another program replaces the one that runs
  kForeignLine,     // a line from another client does, and is done
  kDashboardStop,   // somebody presses stop
  kPause,           // or pause
  kLocalControl,    // somebody stops the program and goes on by hand
};
inline constexpr int kUrFaults = 23;

const char* ur_fault_name(UrFault fault);
// Whether it is somebody's doing, after which the arm is to stand until a key says that it goes on.
bool is_by_hand(UrFault fault);

// One fault at a time, of 0.1 to 3 s, with 1 to 8 s between two. Plain data.
class UrFaultSchedule {
 public:
  explicit UrFaultSchedule(std::uint64_t seed) : seed_(seed) {}

  // Begins and ends what is due by now_ns. To be called every few milliseconds.
  void advance(std::int64_t now_ns, UrSimulator& simulator);
  // Ends the fault there is, and lets none come any more; the person stays.
  void finish(UrSimulator& simulator);

  UrFault fault() const { return fault_; }
  std::int64_t since_ns() const { return since_ns_; }

 private:
  void begin(UrSimulator& simulator);
  void end(UrSimulator& simulator);

  std::uint64_t seed_;
  std::uint64_t count_ = 0;
  UrFault fault_ = UrFault::kNone;
  bool is_over_ = false;
  std::int64_t since_ns_ = 0;  // of the fault, or of the pause
  std::int64_t until_ns_ = 4'000'000'000;
};

// What a person does beside a robot that stands: unlocks protective stops when they are old enough,
// restarts the safety system after a fault, switches power on and releases the brakes. To be called
// again and again.
void ur_help_up(UrSimulator& simulator);

// A program of somebody else's that does nothing.
const char* ur_foreign_program();
// A line of somebody else's that is over at once.
const char* ur_foreign_line();

}  // namespace instep

// Everything that can happen to a Create 2 and its cable, at times that a seed decides.
#pragma once

#include <cstdint>

#include "drivers/create2/simulator.h"

namespace instep {

enum class Create2Fault : std::uint8_t {
  kNone,
  kDroppedBytes,
  kDuplicatedBytes,
  kChangedBytes,
  kRepeatedFrames,
  kDelays,
  kLumps,  // many frames at once, and frames in two pieces
  kText,
  kHostBytesDropped,
  kSilence,  // nothing of what the robot sends arrives
  kUnplugged,
  kLifted,
  kCliff,
  kLowBattery,
  kReset,        // its firmware starts anew
  kPortReset,    // another program sets the port to 9600 baud; until its user looks, 50 ms at most
  kRenamed,      // unplugged, and back as a new port: at 9600 baud until its user has found it
  kOtherReader,  // another program reads the port, too
};
inline constexpr int kCreate2Faults = 18;

const char* create2_fault_name(Create2Fault fault);

// One fault at a time, of 0.1 to 3 s but for kPortReset, with 0.5 to 5 s between two. A kRenamed
// ends as a kPortReset. Plain data.
class Create2FaultSchedule {
 public:
  explicit Create2FaultSchedule(std::uint64_t seed) : seed_(seed) {}

  // Begins and ends what is due by now_ns. To be called every few milliseconds.
  void advance(std::int64_t now_ns, Create2Simulator& simulator);
  // Ends the fault there is, and lets none come any more.
  void finish(Create2Simulator& simulator);

  // When kPortReset is over, the host has put the port right: Session::on_interruption().
  Create2Fault fault() const { return fault_; }
  std::int64_t since_ns() const { return since_ns_; }

 private:
  void begin(Create2Fault fault, double share, std::int64_t now_ns, Create2Simulator& simulator);
  void end(Create2Simulator& simulator);

  std::uint64_t seed_;
  std::uint64_t count_ = 0;
  Create2Fault fault_ = Create2Fault::kNone;
  bool is_over_ = false;
  std::int64_t since_ns_ = 0;  // of the fault, or of the pause
  std::int64_t until_ns_ = 2'000'000'000;
};

}  // namespace instep

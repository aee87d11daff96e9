#include "drivers/create2/fault_schedule.h"

#include <algorithm>
#include <array>

#include "kernels/philox.h"

namespace instep {

const char* create2_fault_name(Create2Fault fault) {
  constexpr std::array<const char*, kCreate2Faults> kNames = {"none",
                                                              "dropped bytes",
                                                              "duplicated bytes",
                                                              "changed bytes",
                                                              "repeated frames",
                                                              "delays",
                                                              "lumps",
                                                              "text",
                                                              "dropped host bytes",
                                                              "silence",
                                                              "unplugged",
                                                              "lifted",
                                                              "cliff",
                                                              "low battery",
                                                              "reset",
                                                              "port reset",
                                                              "renamed",
                                                              "another reader"};
  return kNames[static_cast<std::size_t>(fault)];
}

void Create2FaultSchedule::advance(std::int64_t now_ns, Create2Simulator& simulator) {
  if (is_over_ || now_ns < until_ns_) return;
  since_ns_ = now_ns;
  const Random random{seed_, static_cast<std::uint32_t>(Stream::kFaults)};
  double draws[2];
  random.uniform(++count_, draws, 2);
  if (fault_ == Create2Fault::kNone) {
    const int fault = static_cast<int>(draws[1] * (kCreate2Faults - 1));
    begin(static_cast<Create2Fault>(1 + std::min(kCreate2Faults - 2, fault)), draws[0], now_ns,
          simulator);
    return;
  }
  const bool was_renamed = fault_ == Create2Fault::kRenamed;
  end(simulator);
  if (was_renamed) return begin(Create2Fault::kPortReset, draws[0], now_ns, simulator);
  until_ns_ = now_ns + static_cast<std::int64_t>((0.5 + 4.5 * draws[0]) * 1e9);
}

void Create2FaultSchedule::begin(Create2Fault fault, double share, std::int64_t now_ns,
                                 Create2Simulator& simulator) {
  fault_ = fault;
  const double length_s =
      fault == Create2Fault::kPortReset ? 0.05 * share : 0.1 + 2.9 * share * share;
  until_ns_ = now_ns + static_cast<std::int64_t>(length_s * 1e9);
  switch (fault_) {
    case Create2Fault::kDroppedBytes:
      return simulator.set_line_faults({.drop = 0.02});
    case Create2Fault::kDuplicatedBytes:
      return simulator.set_line_faults({.duplicate = 0.02});
    case Create2Fault::kChangedBytes:
      return simulator.set_line_faults({.change = 0.02});
    case Create2Fault::kRepeatedFrames:
      return simulator.set_line_faults({.repeat = 0.3});
    case Create2Fault::kDelays:
      return simulator.set_line_faults({.delay = 0.2});
    case Create2Fault::kLumps:
      return simulator.set_line_faults({.lump_s = 0.04});
    case Create2Fault::kText:
      return simulator.set_line_faults({.text = 0.2});
    case Create2Fault::kHostBytesDropped:
      return simulator.set_line_faults({.host_drop = 0.05});
    case Create2Fault::kSilence:
      return simulator.set_line_faults({.drop = 1.0});
    case Create2Fault::kPortReset:
      return simulator.set_line_faults({.is_misset = true});
    case Create2Fault::kOtherReader:
      return simulator.set_line_faults({.stolen = 0.6});
    case Create2Fault::kUnplugged:
    case Create2Fault::kRenamed:
      return simulator.set_plugged(false);
    case Create2Fault::kLifted:
      return simulator.set_lifted(true);
    case Create2Fault::kCliff:
      return simulator.set_cliffs(6);
    case Create2Fault::kLowBattery:
      return simulator.set_charge_mah(1490.0);
    case Create2Fault::kReset: {
      constexpr std::array<std::uint8_t, 1> kReset = {7};
      simulator.on_bytes(0, kReset, since_ns_);
      return;
    }
    case Create2Fault::kNone:
      return;
  }
}

void Create2FaultSchedule::end(Create2Simulator& simulator) {
  simulator.set_line_faults({});
  if (fault_ == Create2Fault::kUnplugged || fault_ == Create2Fault::kRenamed) {
    simulator.set_plugged(true);
  }
  if (fault_ == Create2Fault::kLifted) simulator.set_lifted(false);
  if (fault_ == Create2Fault::kCliff) simulator.set_cliffs(0);
  // A full battery soon, or every fault would be followed by an hour on the dock.
  if (fault_ == Create2Fault::kLowBattery) simulator.set_charge_mah(2650.0);
  fault_ = Create2Fault::kNone;
}

void Create2FaultSchedule::finish(Create2Simulator& simulator) {
  end(simulator);
  is_over_ = true;
}

}  // namespace instep

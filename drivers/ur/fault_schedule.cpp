#include "drivers/ur/fault_schedule.h"

#include <algorithm>
#include <array>

#include "kernels/philox.h"

namespace instep {

const char* ur_fault_name(UrFault fault) {
  constexpr std::array<const char*, kUrFaults> kNames = {"none",
                                                         "delay",
                                                         "delay to the robot",
                                                         "stall",
                                                         "reset",
                                                         "reset of 30004",
                                                         "stale timestamp",
                                                         "clock drift",
                                                         "protective stop",
                                                         "refused unlock",
                                                         "safeguard stop",
                                                         "emergency stop",
                                                         "safety fault",
                                                         "restart",
                                                         "slider",
                                                         "slider at 0",
                                                         "field bus",
                                                         "field bus without scanner",
                                                         "foreign program",
                                                         "line of another client",
                                                         "stop by the dashboard",
                                                         "pause by the dashboard",
                                                         "local control"};
  return kNames[static_cast<std::size_t>(fault)];
}

bool is_by_hand(UrFault fault) {
  switch (fault) {
    case UrFault::kEmergencyStop:
    case UrFault::kSafetyFault:
    case UrFault::kRestart:
    case UrFault::kForeignProgram:
    case UrFault::kForeignLine:
    case UrFault::kDashboardStop:
    case UrFault::kPause:
    case UrFault::kLocalControl:
      return true;
    default:
      return false;
  }
}

const char* ur_foreign_program() {
  return "def foreign():\n  while True:\n    sync()\n  end\nend\n";
}

const char* ur_foreign_line() {
  return "set_digital_out(0, True)\n";
}

void ur_help_up(UrSimulator& simulator) {
  if (!simulator.is_listening()) return;
  UrController& controller = simulator.controller();
  if (controller.safety_mode() == UrSafetyMode::kProtectiveStop) {
    controller.unlock_protective_stop();
  } else if (controller.safety_mode() == UrSafetyMode::kFault) {
    controller.restart_safety();
  } else if (controller.robot_mode() == UrRobotMode::kPowerOff) {
    controller.power_on();
  } else if (controller.robot_mode() == UrRobotMode::kIdle) {
    controller.release_brakes();
  }
}

void UrFaultSchedule::advance(std::int64_t now_ns, UrSimulator& simulator) {
  if (fault_ == UrFault::kNone) ur_help_up(simulator);
  if (is_over_ || now_ns < until_ns_) return;
  since_ns_ = now_ns;
  const Random random{seed_, static_cast<std::uint32_t>(Stream::kFaults)};
  double draws[2];
  random.uniform(++count_, draws, 2);
  if (fault_ != UrFault::kNone) {
    end(simulator);
    until_ns_ = now_ns + static_cast<std::int64_t>((1.0 + 7.0 * draws[0]) * 1e9);
    return;
  }
  fault_ = static_cast<UrFault>(
      1 + std::min(kUrFaults - 2, static_cast<int>(draws[1] * (kUrFaults - 1))));
  until_ns_ = now_ns + static_cast<std::int64_t>((0.1 + 2.9 * draws[0] * draws[0]) * 1e9);
  begin(simulator);
}

void UrFaultSchedule::begin(UrSimulator& simulator) {
  UrController& controller = simulator.controller();
  switch (fault_) {
    case UrFault::kDelay:
      return simulator.set_link_faults({.delay_ns = 60'000'000});
    case UrFault::kDelayToRobot:
      return simulator.set_link_faults({.to_robot_ns = 60'000'000});
    case UrFault::kStall:
      return simulator.set_link_faults({.is_stalled = true});
    case UrFault::kStale:
      return simulator.set_link_faults({.is_stale = true});
    case UrFault::kReset:
      return simulator.reset_connections(0);
    case UrFault::kResetRtde:
      return simulator.reset_connections(kUrRtdePort);
    case UrFault::kClockDrift:
      return simulator.set_clock_drift(0.01);
    case UrFault::kRefusedUnlock:
      controller.refuse_unlocks(2);
      [[fallthrough]];
    case UrFault::kProtectiveStop:
      return controller.protective_stop("by the schedule of faults");
    case UrFault::kSafeguard:
      return controller.safeguard_stop(true);
    case UrFault::kEmergencyStop:
      return controller.emergency_stop(true);
    case UrFault::kSafetyFault:
      return controller.fault();
    case UrFault::kRestart:
      return simulator.restart_controller();
    case UrFault::kSlider:
      return controller.set_slider(0.5);
    case UrFault::kSliderAtZero:
      return controller.set_slider(0.0);
    case UrFault::kFieldBus:
    case UrFault::kNoScanner:
      controller.set_fieldbus(true, fault_ == UrFault::kFieldBus);
      return simulator.reset_connections(kUrRtdePort);
    case UrFault::kForeignProgram:
      return controller.run_script(ur_foreign_program());
    case UrFault::kForeignLine:
      return controller.run_script(ur_foreign_line());
    case UrFault::kDashboardStop:
      return controller.stop_program("somebody has pressed stop");
    case UrFault::kPause:
      return controller.pause_program("somebody has pressed pause");
    case UrFault::kLocalControl:
      controller.set_remote_control(false);
      return controller.stop_program("somebody works at the teach pendant");
    case UrFault::kNone:
      return;
  }
}

void UrFaultSchedule::end(UrSimulator& simulator) {
  UrController& controller = simulator.controller();
  simulator.set_link_faults({});
  simulator.set_clock_drift(0.0);
  if (fault_ == UrFault::kSafeguard) controller.safeguard_stop(false);
  if (fault_ == UrFault::kEmergencyStop) controller.emergency_stop(false);
  if (fault_ == UrFault::kSlider || fault_ == UrFault::kSliderAtZero) controller.set_slider(1.0);
  controller.set_fieldbus(false, false);
  controller.set_remote_control(true);
  if (fault_ == UrFault::kForeignProgram && controller.program_name() == "foreign") {
    controller.stop_program("its owner has ended it");
  }
  fault_ = UrFault::kNone;
}

void UrFaultSchedule::finish(UrSimulator& simulator) {
  end(simulator);
  is_over_ = true;
}

}  // namespace instep

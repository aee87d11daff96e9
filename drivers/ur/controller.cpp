#include "drivers/ur/controller.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include "kernels/check.h"
#include "kernels/philox.h"

namespace instep {
namespace {

constexpr UrVersion kCb3Version{3, 15, 8, 106339};
constexpr UrVersion kESeriesVersion{5, 12, 8, 1101319};

// How long the steps of a start take is not published; these are of the right size.
constexpr double kBootS = 3.0;
constexpr double kPowerOnS = 1.0;
constexpr double kBrakeReleaseS = 1.0;

// What a UR5's encoders leave open.
constexpr double kNoiseQ = 1e-5;
constexpr double kNoiseQd = 5e-4;

}  // namespace

std::string_view ur_robot_mode_name(UrRobotMode mode) {
  constexpr std::array<std::string_view, 9> kNames = {
      "NO_CONTROLLER", "DISCONNECTED", "CONFIRM_SAFETY", "BOOTING", "POWER_OFF",
      "POWER_ON",      "IDLE",         "BACKDRIVE",      "RUNNING"};
  return kNames[static_cast<std::size_t>(static_cast<std::int64_t>(mode) + 1)];
}

std::string_view ur_safety_mode_name(UrSafetyMode mode) {
  constexpr std::array<std::string_view, 10> kNames = {"",
                                                       "NORMAL",
                                                       "REDUCED",
                                                       "PROTECTIVE_STOP",
                                                       "RECOVERY",
                                                       "SAFEGUARD_STOP",
                                                       "SYSTEM_EMERGENCY_STOP",
                                                       "ROBOT_EMERGENCY_STOP",
                                                       "VIOLATION",
                                                       "FAULT"};
  return kNames[static_cast<std::size_t>(mode)];
}

UrController::UrController(const UrControllerOptions& options) : options_(options) {
  state_.arm.model = static_cast<std::int64_t>(options.model);
  // Upright and folded a little, free of any table.
  place({0.0, -1.57, 0.0, -1.57, 0.0, 0.0});
}

const UrVersion& UrController::version() const {
  return model() == UrModel::kCb3 ? kCb3Version : kESeriesVersion;
}

void UrController::boot() {
  main_.stop();
  secondary_.stop();
  State fresh;
  fresh.arm.model = state_.arm.model;
  fresh.arm.q = fresh.arm.target_q = state_.arm.q;
  fresh.measured_q = state_.arm.q;
  fresh.has_fieldbus = state_.has_fieldbus;
  fresh.has_scanner = state_.has_scanner;
  fresh.is_estop_pressed = state_.is_estop_pressed;
  fresh.is_safeguard_open = state_.is_safeguard_open;
  fresh.counters = state_.counters;
  fresh.log_count = state_.log_count;
  fresh.lines = state_.lines;
  state_ = fresh;
  state_.robot_mode = UrRobotMode::kBooting;
  state_.mode_ticks = static_cast<std::int64_t>(kBootS / period_s());
  log(RtdeTextLevel::kInfo, "the controller boots, software %u.%u.%u", version().major,
      version().minor, version().bugfix);
}

void UrController::make_ready() {
  state_.robot_mode = UrRobotMode::kRunning;
  state_.mode_ticks = 0;
  state_.safety_mode = UrSafetyMode::kNormal;
  state_.arm.is_powered = 1;
}

void UrController::place(const UrVector& q) {
  state_.arm.q = state_.arm.target_q = state_.measured_q = q;
  state_.arm.qd = state_.arm.target_qd = state_.arm.target_qdd = state_.measured_qd = {};
  state_.arm.motion = UrMotion::kNone;
}

void UrController::log(RtdeTextLevel level, const char* format, ...) {
  UrLogLine& line = state_.lines[static_cast<std::size_t>(state_.log_count++) % kLogLines];
  line.tick = state_.tick;
  line.level = static_cast<std::int64_t>(level);
  line.text = {};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line.text.data(), line.text.size(), format, arguments);
  va_end(arguments);
}

const UrLogLine& UrController::log_line(std::int64_t number) const {
  INSTEP_CHECK(number >= 0 && number < state_.log_count);
  return state_.lines[static_cast<std::size_t>(number) % kLogLines];
}

// ------------------------------------------------------------------------------------------------
// Time

void UrController::tick() {
  ++state_.tick;
  advance_modes();
  check_watchdogs();
  run_programs();
  // A stop is the controller's own and no slider slows it.
  const double scaling = state_.arm.motion == UrMotion::kStop ? 1.0 : state_.slider;
  ur_advance(state_.arm, period_s(), scaling);
  if (ur_moves(state_.arm)) {
    state_.moved_tick = state_.tick;
  } else if (state_.robot_mode < UrRobotMode::kIdle) {
    state_.arm.is_powered = 0;
  }
  if (const char* const cause = ur_overrun(state_.arm); cause != nullptr) protective_stop(cause);
  measure();
}

void UrController::advance_modes() {
  if (state_.mode_ticks == 0 || --state_.mode_ticks > 0) return;
  switch (state_.robot_mode) {
    case UrRobotMode::kBooting:
      state_.robot_mode = UrRobotMode::kPowerOff;
      break;
    case UrRobotMode::kPowerOn:
      state_.robot_mode = UrRobotMode::kIdle;
      break;
    case UrRobotMode::kIdle:
      state_.robot_mode = UrRobotMode::kRunning;
      state_.arm.is_powered = 1;
      break;
    default:
      break;
  }
}

void UrController::check_watchdogs() {
  if (state_.runtime != UrRuntime::kPlaying) return;
  for (const Watchdog& watchdog : state_.watchdogs) {
    if (watchdog.input < 0 || state_.tick - watchdog.last_tick <= watchdog.ticks_max) continue;
    ++state_.counters.watchdog_stops;
    constexpr const char* kWhy = "the watchdog of an RTDE input has expired";
    if (watchdog.stops != 0) {
      stop_program(kWhy);
    } else {
      pause_program(kWhy);
    }
    return;
  }
}

void UrController::run_programs() {
  if (state_.runtime == UrRuntime::kPlaying) {
    if (!main_.tick(*this, period_s())) {
      log(RtdeTextLevel::kError, "runtime error in line %d: %s", main_.line(), main_.error());
      end_program();
    } else if (!main_.is_running() && state_.runtime == UrRuntime::kPlaying) {
      if (!program_name().empty()) {
        log(RtdeTextLevel::kInfo, "the program %s has ended", program_name().data());
      }
      end_program();
    }
  }
  if (secondary_.is_running() && !secondary_.tick(*this, period_s())) {
    log(RtdeTextLevel::kError, "runtime error in line %d of a secondary program: %s",
        secondary_.line(), secondary_.error());
  }
}

void UrController::measure() {
  const Random random{options_.seed, static_cast<std::uint32_t>(Stream::kTaskEvents)};
  std::array<double, 2 * kUrJoints> noise{};
  random.normal(static_cast<std::uint64_t>(state_.tick), noise.data(),
                static_cast<int>(noise.size()));
  for (std::size_t i = 0; i < kUrJoints; ++i) {
    state_.measured_q[i] = state_.arm.q[i] + kNoiseQ * noise[i];
    state_.measured_qd[i] = state_.arm.qd[i] + kNoiseQd * noise[kUrJoints + i];
  }
}

// ------------------------------------------------------------------------------------------------
// Programs

bool UrController::is_running_normally() const {
  return state_.robot_mode == UrRobotMode::kRunning &&
         (state_.safety_mode == UrSafetyMode::kNormal ||
          state_.safety_mode == UrSafetyMode::kReduced);
}

void UrController::run_script(std::string_view text) {
  const char* why = nullptr;
  if (!is_remote_control()) why = "the robot is not in remote control";
  if (!is_running_normally()) why = "the robot is not running";
  if (why != nullptr) {
    ++state_.counters.programs_refused;
    log(RtdeTextLevel::kError, "a program is not started: %s", why);
    return;
  }
  // A secondary program leaves the one that runs alone, also when it does not compile.
  const std::size_t word = text.find_first_not_of(" \t\r\n");
  const bool is_secondary = word != std::string_view::npos && text.substr(word).starts_with("sec");
  UrMachine& machine = is_secondary ? secondary_ : main_;
  if (!is_secondary && state_.runtime != UrRuntime::kStopped) {
    main_.stop();
    state_.runtime = UrRuntime::kStopped;
    state_.watchdogs = {};
  }
  UrScriptError error;
  if (!compile_ur_script(text, &machine.program(), &error)) {
    machine.stop();
    ++state_.counters.programs_refused;
    log(RtdeTextLevel::kError, "%s (line %d)", error.text.data(), error.line);
    if (!is_secondary) brake(kUrProgramEndDecelRadS2);
    return;
  }
  machine.start();
  if (is_secondary) return;
  ++state_.counters.programs;
  state_.runtime = UrRuntime::kPlaying;
  // A line by itself goes on with the motion there is; a program begins at rest.
  if (!program_name().empty()) {
    log(RtdeTextLevel::kInfo, "the program %s has started", program_name().data());
    brake(kUrProgramEndDecelRadS2);
  }
  if (state_.has_fieldbus != 0 && state_.has_scanner == 0) {
    protective_stop("the field bus adapter has no scanner");
  }
}

void UrController::brake(double deceleration) {
  ur_stopj(state_.arm, deceleration);
}

void UrController::end_program() {
  main_.stop();
  state_.runtime = UrRuntime::kStopped;
  state_.watchdogs = {};
  if (state_.arm.motion != UrMotion::kStop) brake(kUrProgramEndDecelRadS2);
}

void UrController::stop_program(const char* why) {
  if (state_.runtime == UrRuntime::kStopped) return;
  log(RtdeTextLevel::kWarning, "the program is stopped: %s", why);
  end_program();
}

void UrController::pause_program(const char* why) {
  if (state_.runtime != UrRuntime::kPlaying) return;
  log(RtdeTextLevel::kWarning, "the program is paused: %s", why);
  state_.runtime = UrRuntime::kPaused;
  brake(kUrProgramEndDecelRadS2);
}

bool UrController::play() {
  if (state_.runtime != UrRuntime::kPaused || !is_running_normally()) return false;
  state_.runtime = UrRuntime::kPlaying;
  for (Watchdog& watchdog : state_.watchdogs) watchdog.last_tick = state_.tick;
  return true;
}

// ------------------------------------------------------------------------------------------------
// Power and safety

bool UrController::power_on() {
  if (state_.robot_mode != UrRobotMode::kPowerOff || state_.is_estop_pressed != 0 ||
      state_.safety_mode == UrSafetyMode::kFault) {
    return false;
  }
  state_.robot_mode = UrRobotMode::kPowerOn;
  state_.mode_ticks = static_cast<std::int64_t>(kPowerOnS / period_s());
  return true;
}

bool UrController::power_off() {
  if (state_.robot_mode < UrRobotMode::kPowerOff) return false;
  stop_program("the power is switched off");
  switch_off(kUrProtectiveDecelRadS2);
  return true;
}

bool UrController::release_brakes() {
  if (state_.robot_mode != UrRobotMode::kIdle) return false;
  if (state_.mode_ticks == 0) {
    state_.mode_ticks = static_cast<std::int64_t>(kBrakeReleaseS / period_s());
  }
  return true;
}

void UrController::protective_stop(const char* cause) {
  if (!is_running_normally()) return;
  ++state_.counters.protective_stops;
  state_.safety_mode = UrSafetyMode::kProtectiveStop;
  state_.stopped_tick = state_.tick;
  log(RtdeTextLevel::kError, "protective stop: %s", cause);
  pause_program("protective stop");
  brake(kUrProtectiveDecelRadS2);
}

const char* UrController::unlock_protective_stop() {
  constexpr const char* kRefusal =
      "Cannot unlock protective stop until 5s after occurrence. Always inspect cause of protective "
      "stop before unlocking";
  if (state_.safety_mode != UrSafetyMode::kProtectiveStop) return "No protective stop";
  const double age_s = static_cast<double>(state_.tick - state_.stopped_tick) * period_s();
  if (age_s < kUnlockAfterS) return kRefusal;
  if (state_.unlocks_refused > 0) {
    --state_.unlocks_refused;
    return kRefusal;
  }
  state_.safety_mode = UrSafetyMode::kNormal;
  return nullptr;
}

void UrController::emergency_stop(bool is_pressed) {
  if (is_pressed == (state_.is_estop_pressed != 0)) return;
  state_.is_estop_pressed = is_pressed ? 1 : 0;
  if (!is_pressed) {
    if (state_.safety_mode == UrSafetyMode::kRobotEmergencyStop) {
      state_.safety_mode = UrSafetyMode::kNormal;
    }
    return;
  }
  log(RtdeTextLevel::kError, "robot emergency stop");
  stop_program("emergency stop");
  state_.safety_mode = UrSafetyMode::kRobotEmergencyStop;
  switch_off(kUrEmergencyDecelRadS2);
}

// The arm keeps its power until it stands.
void UrController::switch_off(double deceleration) {
  if (state_.robot_mode < UrRobotMode::kPowerOn) return;
  state_.robot_mode = UrRobotMode::kPowerOff;
  state_.mode_ticks = 0;
  brake(deceleration);
}

void UrController::safeguard_stop(bool is_open) {
  if (is_open == (state_.is_safeguard_open != 0)) return;
  state_.is_safeguard_open = is_open ? 1 : 0;
  if (is_open && is_running_normally()) {
    log(RtdeTextLevel::kWarning, "safeguard stop");
    pause_program("safeguard stop");
    brake(kUrProtectiveDecelRadS2);
    state_.safety_mode = UrSafetyMode::kSafeguardStop;
  } else if (!is_open && state_.safety_mode == UrSafetyMode::kSafeguardStop) {
    state_.safety_mode = UrSafetyMode::kNormal;
  }
}

void UrController::fault() {
  log(RtdeTextLevel::kError, "safety fault");
  stop_program("safety fault");
  state_.safety_mode = UrSafetyMode::kFault;
  power_off();
}

void UrController::restart_safety() {
  stop_program("the safety system restarts");
  state_.safety_mode =
      state_.is_estop_pressed != 0 ? UrSafetyMode::kRobotEmergencyStop : UrSafetyMode::kNormal;
  power_off();
}

void UrController::set_slider(double fraction) {
  const double next = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const bool wakes = state_.slider == 0.0 && next > 0.0;
  state_.slider = next;
  const bool is_instructed = state_.runtime == UrRuntime::kPlaying &&
                             state_.arm.motion != UrMotion::kNone &&
                             state_.arm.motion != UrMotion::kStop;
  if (wakes && is_instructed) protective_stop("the speed slider has left 0 during a motion");
}

void UrController::set_fieldbus(bool is_on, bool has_scanner) {
  state_.has_fieldbus = is_on ? 1 : 0;
  state_.has_scanner = has_scanner ? 1 : 0;
}

// What EtherNet/IP and PROFINET adapters take when they are enabled.
bool UrController::fieldbus_owns(int input) const {
  if (state_.has_fieldbus == 0) return false;
  if (input >= kRtdeInputInt0 && input < kRtdeInputInt0 + kUrFirstClientRegister) return true;
  if (input >= kRtdeInputDouble0 && input < kRtdeInputDouble0 + kUrFirstClientRegister) return true;
  return input <= static_cast<int>(RtdeInput::kToolDigitalOutput);
}

}  // namespace instep

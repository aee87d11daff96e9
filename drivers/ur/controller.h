// The controller of a simulated UR5 or UR5e: its arm, safety modes, registers, and the programs it
// runs, one control period at a time. No bytes: the servers of its ports are in rtde_server.h,
// dashboard.h and script_server.h. Deterministic.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "drivers/ur/arm.h"
#include "drivers/ur/fields.h"
#include "drivers/ur/machine.h"
#include "drivers/ur/rtde.h"

namespace instep {

enum class UrRuntime : std::int64_t { kStopping = 0, kStopped = 1, kPlaying = 2, kPaused = 4 };

std::string_view ur_robot_mode_name(UrRobotMode mode);
std::string_view ur_safety_mode_name(UrSafetyMode mode);

// What the controller has said, newest last.
struct UrLogLine {
  std::int64_t tick = 0;
  std::int64_t level = 0;  // an RtdeTextLevel
  std::array<char, 176> text{};
};

struct UrRegisters {
  std::array<double, kUrDoubleRegisters> input_doubles{};
  std::array<double, kUrDoubleRegisters> output_doubles{};
  std::array<std::int32_t, kUrIntRegisters> input_ints{};
  std::array<std::int32_t, kUrIntRegisters> output_ints{};
  std::array<std::uint64_t, 2> input_bits{};
  std::array<std::uint64_t, 2> output_bits{};
};

struct UrControllerOptions {
  UrModel model = UrModel::kCb3;
  std::uint64_t seed = 0;
  // Commands of faster joints than this are counted as violations.
  double speed_limit_rad_s = kUrSpeedMaxRadS;
};

struct UrControllerCounters {
  std::int64_t programs = 0;
  std::int64_t programs_refused = 0;
  std::int64_t protective_stops = 0;
  std::int64_t limit_violations = 0;
  std::int64_t watchdog_stops = 0;
};

class UrController final : public UrScriptHost {
 public:
  static constexpr std::size_t kLogLines = 32;
  static constexpr double kUnlockAfterS = 5.0;

  explicit UrController(const UrControllerOptions& options = {});

  // A controller that has just been switched on: it boots, its arm is where it was, without power.
  void boot();
  // As a person leaves it for work: powered, brakes released, normal, nothing running.
  void make_ready();

  // One control period.
  void tick();

  UrModel model() const { return options_.model; }
  const UrVersion& version() const;
  std::int64_t period_ns() const { return options_.model == UrModel::kCb3 ? 8'000'000 : 2'000'000; }
  double period_s() const { return static_cast<double>(period_ns()) * 1e-9; }
  double timestamp_s() const { return static_cast<double>(state_.tick) * period_s(); }

  // ----- programs
  // Compiles and starts it; a program without `sec` replaces the one that runs.
  void run_script(std::string_view text);
  void stop_program(const char* why);
  void pause_program(const char* why);
  bool play();  // goes on with a paused program; false: there is none that may
  UrRuntime runtime() const { return state_.runtime; }
  std::string_view program_name() const { return main_.program().name.data(); }
  int script_line() const { return runtime() == UrRuntime::kPlaying ? main_.line() : 0; }

  // ----- registers
  // Reads the value of an input from a data package and notes the time for watchdogs.
  void set_input(int field, RtdeReader& reader);
  // Writes the value of an output.
  void write_output(int field, RtdeWriter& writer) const;
  const UrRegisters& registers() const { return state_.registers; }
  // Whether a field bus has this input to itself.
  bool fieldbus_owns(int input) const;

  // ----- what a person or the dashboard does
  bool power_on();
  bool power_off();
  bool release_brakes();
  // What the dashboard answers; nullptr: it is done.
  const char* unlock_protective_stop();
  void restart_safety();
  void set_remote_control(bool is_remote) { state_.is_remote = is_remote ? 1 : 0; }
  bool is_remote_control() const { return model() == UrModel::kCb3 || state_.is_remote != 0; }
  void set_slider(double fraction);

  // ----- what happens to a robot
  void protective_stop(const char* cause);
  void emergency_stop(bool is_pressed);
  void safeguard_stop(bool is_open);
  void fault();  // a safety fault, from which only restart_safety() leads
  void refuse_unlocks(std::int64_t count) { state_.unlocks_refused = count; }
  void set_fieldbus(bool is_on, bool has_scanner);
  void place(const UrVector& q);  // elsewhere, at rest

  // ----- what an onlooker sees
  const UrArm& arm() const { return state_.arm; }
  // Joint angles and speeds as the encoders say them.
  const UrVector& measured_q() const { return state_.measured_q; }
  const UrVector& measured_qd() const { return state_.measured_qd; }
  UrVector tcp_pose(const UrVector& q) const;
  UrRobotMode robot_mode() const { return state_.robot_mode; }
  UrSafetyMode safety_mode() const { return state_.safety_mode; }
  double slider() const { return state_.slider; }
  bool is_running_normally() const;
  const UrControllerCounters& counters() const { return state_.counters; }
  std::int64_t ticks() const { return state_.tick; }
  // The tick in which the arm moved last, and the one in which an input was set last.
  std::int64_t moved_tick() const { return state_.moved_tick; }
  std::int64_t input_tick() const { return state_.input_tick; }
  // Lines of the log so far, and the newest kLogLines of them by number.
  std::int64_t log_count() const { return state_.log_count; }
  const UrLogLine& log_line(std::int64_t number) const;
  void log(RtdeTextLevel level, const char* format, ...) __attribute__((format(printf, 3, 4)));

  void call(UrCall& call) override;
  bool motion_is_done() const override { return ur_motion_is_done(state_.arm); }

 private:
  struct Watchdog {
    std::int64_t input = -1;
    std::int64_t last_tick = 0;
    std::int64_t ticks_max = 0;
    std::int64_t stops = 0;  // 1: the action is stop, 0: pause
  };

  // Members of eight bytes or multiples of them, so that no padding makes equal states differ.
  struct State {
    std::int64_t tick = 0;
    UrRobotMode robot_mode = UrRobotMode::kPowerOff;
    std::int64_t mode_ticks = 0;  // until the next mode on the way; 0: it stays
    UrSafetyMode safety_mode = UrSafetyMode::kNormal;
    std::int64_t stopped_tick = 0;  // of the last protective stop
    std::int64_t unlocks_refused = 0;
    std::int64_t is_estop_pressed = 0;
    std::int64_t is_safeguard_open = 0;
    std::int64_t has_fieldbus = 0;
    std::int64_t has_scanner = 0;
    std::int64_t is_remote = 1;
    UrRuntime runtime = UrRuntime::kStopped;
    double slider = 1.0;
    std::uint64_t slider_mask = 0;
    UrArm arm;
    UrVector measured_q{};
    UrVector measured_qd{};
    UrVector tcp_offset{};
    double payload = 0.0;
    std::array<double, 3> payload_cog{};
    std::uint64_t digital_outputs = 0;
    std::uint64_t digital_mask = 0;
    UrRegisters registers;
    std::array<Watchdog, 8> watchdogs{};
    std::int64_t moved_tick = 0;
    std::int64_t input_tick = 0;
    UrControllerCounters counters;
    std::int64_t log_count = 0;
    std::array<UrLogLine, kLogLines> lines{};
  };

  void advance_modes();
  void check_watchdogs();
  void run_programs();
  void end_program();
  void brake(double deceleration);
  void switch_off(double deceleration);
  void measure();
  double joint_deceleration(double deceleration) const;
  void call_motion(UrCall& call);
  void call_register(UrCall& call);
  void call_state(UrCall& call);
  void call_setting(UrCall& call);
  void set_watchdog(UrCall& call);
  void find_joints(UrCall& call) const;
  bool joints_at(const UrVector& pose, const UrVector& offset, const UrVector& near,
                 UrVector* q) const;
  void say(UrCall& call);
  std::uint32_t safety_bits() const;
  UrFrame tool_frame(const UrVector& q) const;
  UrVector tcp_speed(const UrVector& q, const UrVector& qd) const;
  void write_numbers(RtdeOutput field, RtdeWriter& writer) const;
  bool write_vector(RtdeOutput field, RtdeWriter& writer) const;

  UrControllerOptions options_;
  State state_;
  UrMachine main_;
  UrMachine secondary_;
};

}  // namespace instep

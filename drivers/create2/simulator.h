// A Create 2 that is not there: takes the Open Interface's bytes, drives in an arena, and sends
// what its sensors say, at the pace of the real serial line. The same for simulated time and behind
// a pseudo-terminal. Faults come when they are asked for.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/create2/arena.h"
#include "drivers/create2/codec.h"
#include "kernels/philox.h"
#include "runtime/robot.h"

namespace instep {

// A serial line in one direction: bytes leave it one after another, 11.52 to a millisecond. Plain
// data that may be copied and saved.
class PacedBytes {
 public:
  static constexpr std::int64_t kByteNs = 86'806;  // ten bits at 115200 baud
  static constexpr std::size_t kBytesMax = 2048;

  // Bytes that find no room are lost, as in a UART.
  void push(std::uint8_t byte, std::int64_t now_ns);
  // All that is still on its way takes so much longer.
  void delay(std::int64_t by_ns) { last_due_ns_ += by_ns; }
  // Moves what has left by now_ns into out; answers how much.
  std::size_t take(std::span<std::uint8_t> out, std::int64_t now_ns);
  // When the first and the last byte are out; no time at all when there is none.
  std::int64_t first_due_ns() const;
  std::int64_t last_due_ns() const;
  void clear() { count_ = 0; }
  bool is_valid() const;

 private:
  std::int64_t begin_ = 0;
  std::int64_t count_ = 0;
  std::int64_t last_due_ns_ = 0;
  std::array<std::uint8_t, kBytesMax> bytes_{};
};

// What may go wrong with the line, each a probability; none of it by default.
struct Create2LineFaults {
  double drop = 0.0;       // per byte, on the way to the host
  double duplicate = 0.0;  // per byte
  double change = 0.0;     // per byte: one bit
  double host_drop = 0.0;  // per byte, on the way to the robot
  double repeat = 0.0;     // per frame: all of it twice
  double forged = 0.0;     // per frame: two bytes changed, and the checksum right all the same
  double delay = 0.0;      // per frame: 5 to 80 ms
  double text = 0.0;       // per frame: a line of text before it
  // Bytes become readable in lumps, all at multiples of this; 0: at once. As USB adapters do it.
  double lump_s = 0.0;
  double stolen = 0.0;  // per 15 ms: another reader of the port takes what the host had to read
  // The host's port is at 9600 baud: both ends hear other bytes than were sent.
  bool is_misset = false;
};

struct Create2SimulatorOptions {
  std::uint64_t seed = 0;
  // Commands of faster wheels than this are counted as violations.
  double speed_limit_mm_s = 500.0;
  // The robot's clock gains so much on the host's (1e-4: 100 ppm).
  double clock_drift = 0.0;
  // A sleeping robot hears Start. The real one only hears its wake line, which a pseudo-terminal
  // has not.
  bool wakes_on_start = false;
};

// What the battery's gauge says instead of the truth; below 0: the truth.
struct Create2Gauge {
  int charge_mah = -1;
  int capacity_mah = -1;
  int charging_state = -1;
};

// What happened since the simulator was made or its state loaded.
struct Create2SimulatorCounters {
  std::int64_t commands = 0;
  std::int64_t limit_violations = 0;  // as the host sent them, before the line's faults
  std::int64_t frames = 0;
  std::int64_t bytes_dropped = 0;
  std::int64_t texts = 0;
};

class Create2Simulator final : public DeviceSimulator {
 public:
  explicit Create2Simulator(const Create2SimulatorOptions& options = {});

  // A new robot at time 0, switched off, with a full battery, where `random` places it at `step`;
  // obstacles follow from its seed alone. Changes, faults and counters stay.
  void restart(const Random& random, std::uint64_t step);

  bool open(int) override { return is_plugged(); }
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns) override;
  std::int64_t advance(std::int64_t now_ns) override;
  std::size_t read(int channel, std::span<std::uint8_t> out) override;
  void set_wake_line(bool is_low, std::int64_t now_ns) override;
  bool moves() const override {
    return state_.target_left != 0.0 || state_.target_right != 0.0 ||
           state_.arena.left_mm_s != 0.0 || state_.arena.right_mm_s != 0.0;
  }

  // ----- things that happen to a robot
  void set_plugged(bool is_plugged);
  bool is_plugged() const { return state_.is_plugged != 0; }
  void set_lifted(bool is_lifted) { state_.arena.is_lifted = is_lifted ? 1 : 0; }
  void set_cliffs(int bits) { state_.arena.cliffs = bits & 15; }  // L, FL, FR, R
  void set_charge_mah(double charge_mah);
  // What the battery can hold; below 2696 mAh it is a worn one.
  void set_capacity_mah(double capacity_mah);
  void set_gauge(const Create2Gauge& gauge) { gauge_ = gauge; }
  void set_line_faults(const Create2LineFaults& faults) { faults_ = faults; }
  void say(const char* text);  // as the firmware does, in the middle of everything
  void take_battery_out();     // and put it back: off, and awake
  // The rate at which the host sends, as opcode 129 numbers them. As long as the robot is at 115200
  // baud it hears every host: behind a pseudo-terminal many set no rate at all.
  void set_host_baud_code(int code) { host_baud_code_ = code; }
  int baud_code() const { return static_cast<int>(state_.baud_code); }
  // Puts it elsewhere, at rest.
  void place(double x_mm, double y_mm, double heading);
  void set_changes(const Create2Changes& changes) { state_.changes = changes; }

  // ----- what an onlooker sees
  const Arena& arena() const { return state_.arena; }
  Create2Mode mode() const { return static_cast<Create2Mode>(state_.mode); }
  bool is_asleep() const { return state_.is_asleep != 0; }
  double charge_mah() const { return state_.charge_mah; }
  const Create2Changes& changes() const { return state_.changes; }
  const Create2SimulatorCounters& counters() const { return state_.counters; }
  // Speeds that the wheels are told to have now.
  double target_left_mm_s() const { return state_.target_left; }
  double target_right_mm_s() const { return state_.target_right; }

  static std::size_t state_bytes() { return sizeof(State); }
  void save_state(std::span<std::uint8_t> out) const;
  [[nodiscard]] bool load_state(std::span<const std::uint8_t> in);

 private:
  struct DelayedSpeeds {
    std::int64_t due_ns = 0;
    double left = 0.0;
    double right = 0.0;
  };

  // Members of eight bytes or multiples of them, so that no padding makes equal states differ.
  struct State {
    std::int64_t now_ns = 0;
    std::int64_t tick_ns = 0;  // when the next sensor update is due
    std::int64_t tick = 0;     // of this robot's life
    std::uint64_t seed = 0;    // of its noise
    std::uint64_t noise_step = 0;
    std::int64_t noise_stream = 0;
    Arena arena;
    Create2Changes changes;
    Create2SimulatorCounters counters;

    std::int64_t mode = 0;
    std::int64_t is_asleep = 0;
    std::int64_t is_deaf = 0;  // on its dock, in Safe or Full mode for too long
    std::int64_t is_plugged = 1;
    std::int64_t baud_code = 11;
    std::int64_t wake_low_ns = -1;  // since when the wake line is low; -1: it is high
    std::int64_t sleep_ns = 0;      // when it falls asleep if nothing happens
    std::int64_t docked_ns = -1;    // since when it is on its dock; -1: it is not
    std::int64_t seek_phase = 0;    // of the way to the dock; 0: not on it
    std::int64_t seek_tick = 0;     // since when
    std::int64_t was_at_cliff = 0;
    double charge_mah = 0.0;
    double capacity_mah = 0.0;

    double target_left = 0.0;  // mm/s, what the wheels follow
    double target_right = 0.0;
    double requested_left = 0.0;  // what was asked for last
    double requested_right = 0.0;
    double requested_velocity = 0.0;
    double requested_radius = 0.0;
    std::array<DelayedSpeeds, 16> delayed{};
    std::int64_t delayed_count = 0;
    double distance_left_mm = 0.0;  // since packets 19 and 20 were last sent
    double distance_right_mm = 0.0;

    std::int64_t is_streaming = 0;
    std::int64_t stream_count = 0;
    PacedBytes input;
    PacedBytes output;
    std::array<std::uint8_t, 106> stream_ids{};
    Create2CommandParser heard;    // behind the line's faults
    Create2CommandParser as_sent;  // before them
  };

  double draw(std::uint32_t purpose, std::uint32_t index) const;
  bool happens(double probability, std::uint32_t purpose, std::uint32_t index) const;
  void tick();
  void move(double dt_s);
  void seek_dock();
  void charge(double dt_s);
  void apply_reflexes();
  void wake(std::int64_t now_ns);
  void fall_asleep_if_due();
  void send_frame();
  void forge(std::span<std::uint8_t> frame) const;
  void emit(std::uint8_t byte, std::uint32_t index);
  void obey(const Create2Command& command);
  void obey_list(const Create2Command& command);
  void enter(Create2Mode mode);
  void reset();
  void answer(std::uint8_t id);
  void set_speeds(double left, double right);
  void drive(double velocity, double radius);
  void check_limits(const Create2Command& command);
  std::uint32_t value_of(std::uint8_t id);
  std::uint32_t sensor_value(std::uint8_t id) const;
  double take_distance_mm();
  double take_angle_degrees();
  std::uint32_t light_bump(int sensor) const;
  std::uint32_t infrared() const;
  bool is_awake_on_dock() const { return state_.docked_ns >= 0 && state_.is_asleep == 0; }

  Create2SimulatorOptions options_;
  Create2LineFaults faults_;
  Create2Gauge gauge_;
  std::int64_t tick_period_ns_;
  int host_baud_code_ = 11;
  State state_;
  ArenaMap way_home_;  // follows from the arena
};

}  // namespace instep

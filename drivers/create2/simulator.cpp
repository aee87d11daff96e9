#include "drivers/create2/simulator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <type_traits>
#include <vector>

#include "drivers/create2/fields.h"
#include "drivers/simulated_serial_port.h"
#include "kernels/check.h"

namespace instep {
namespace {

constexpr std::int64_t kNever = INT64_MAX;
constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kPassiveSleepNs = 300 * kSecondNs;
constexpr std::int64_t kDockSleepNs = 60 * kSecondNs;
constexpr std::int64_t kDockRevivalNs = kSecondNs * 3 / 10;
constexpr std::int64_t kWakePulseNsMin = 50'000'000;
constexpr int kPhysicsPerTick = 3;
constexpr int kBaud = 115'200;
constexpr int kMissetBaud = 9'600;

constexpr double kCapacityMah = 2696.0;
constexpr int kChargingFault = 5;
constexpr double kChargeMa = 1250.0;
constexpr double kIdleMa = 200.0;
constexpr double kDriveMa = 800.0;  // at full speed of a learning robot, 150 mm/s on both wheels

constexpr double kSeekMmS = 150.0;
constexpr double kSeekTurnMmS = 60.0;

// What draws of one tick are for: blocks of Philox far enough apart.
enum Purpose : std::uint32_t { kNoise = 0, kByteFaults = 16, kHostFaults = 1u << 16, kFrame = 8 };

double wrapped(double angle) {
  return std::remainder(angle, 2.0 * std::numbers::pi);
}

// Counts saturate in packets 19 and 20.
std::uint32_t saturated(double value) {
  return static_cast<std::uint16_t>(
      static_cast<std::int16_t>(std::clamp(value, -32768.0, 32767.0)));
}

constexpr const char* kBanner =
    "bl-start\r\nSTR730\r\nbootloader id: #x47175347 8301FFFF\r\nbootloader info rev: #xF000\r\n"
    "r3_robot/tags/release-3.2.6:4975 CLEAN\r\nbattery-current-zero 256\r\n";
constexpr const char* kChatter = "Flash CRC successful: 0x0 (0x0)\r\n";

}  // namespace

// ------------------------------------------------------------------------------------------------
// The line

void PacedBytes::push(std::uint8_t byte, std::int64_t now_ns) {
  if (count_ == static_cast<std::int64_t>(kBytesMax)) return;
  last_due_ns_ = std::max(last_due_ns_, now_ns) + kByteNs;
  bytes_[static_cast<std::size_t>(begin_ + count_) % kBytesMax] = byte;
  ++count_;
}

// Bytes that are still on their way follow each other without a gap; ones that wait to be taken
// have left already, whatever this says of them.
std::int64_t PacedBytes::first_due_ns() const {
  return count_ == 0 ? kNever : last_due_ns_ - (count_ - 1) * kByteNs;
}

std::int64_t PacedBytes::last_due_ns() const {
  return count_ == 0 ? kNever : last_due_ns_;
}

std::size_t PacedBytes::take(std::span<std::uint8_t> out, std::int64_t now_ns) {
  std::size_t taken = 0;
  while (taken < out.size() && count_ > 0 && first_due_ns() <= now_ns) {
    out[taken++] = bytes_[static_cast<std::size_t>(begin_)];
    begin_ = (begin_ + 1) % static_cast<std::int64_t>(kBytesMax);
    --count_;
  }
  return taken;
}

bool PacedBytes::is_valid() const {
  constexpr auto kMax = static_cast<std::int64_t>(kBytesMax);
  return begin_ >= 0 && begin_ < kMax && count_ >= 0 && count_ <= kMax && last_due_ns_ >= 0 &&
         last_due_ns_ < kNever / 2;
}

// ------------------------------------------------------------------------------------------------
// A robot's life

Create2Simulator::Create2Simulator(const Create2SimulatorOptions& options)
    : options_(options),
      tick_period_ns_(
          std::llround(static_cast<double>(kCreate2FramePeriodNs) / (1.0 + options.clock_drift))) {
  static_assert(std::is_trivially_copyable_v<State>);
  restart({options.seed, static_cast<std::uint32_t>(Stream::kTaskReset)}, 0);
}

void Create2Simulator::restart(const Random& random, std::uint64_t step) {
  const Create2Changes changes = state_.changes;
  const Create2SimulatorCounters counters = state_.counters;
  state_ = State{};
  state_.changes = changes;
  state_.counters = counters;
  state_.seed = random.seed;
  // Evaluation's noise is its own, as its resets are.
  state_.noise_stream = static_cast<std::int64_t>(random.stream) -
                        static_cast<std::int64_t>(Stream::kTaskReset) +
                        static_cast<std::int64_t>(Stream::kTaskEvents);
  state_.noise_step = step << 24;  // ticks of a robot's life: seventy hours
  state_.charge_mah = state_.capacity_mah = kCapacityMah;
  state_.tick_ns = tick_period_ns_;
  place_in_arena(random, step, &state_.arena);
}

// One of 2^32 equally likely numbers of [0, 1); the same for the same tick, purpose and index.
double Create2Simulator::draw(std::uint32_t purpose, std::uint32_t index) const {
  const Random random{state_.seed, static_cast<std::uint32_t>(state_.noise_stream)};
  const PhiloxBlock block =
      random.bits(state_.noise_step + static_cast<std::uint64_t>(state_.tick), purpose + index / 4);
  return static_cast<double>(block[index % 4]) * 0x1p-32;
}

bool Create2Simulator::happens(double probability, std::uint32_t purpose,
                               std::uint32_t index) const {
  return probability > 0.0 && draw(purpose, index) < probability;
}

void Create2Simulator::on_bytes(int, std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  if (state_.is_plugged == 0) return;
  for (const std::uint8_t byte : bytes) {
    if (state_.as_sent.take(byte)) check_limits(state_.as_sent.command());
  }
  std::vector<std::uint8_t> misheard;
  if (faults_.is_misset) {
    hear_bytes(bytes, kMissetBaud, kBaud, &misheard);
    bytes = misheard;
  }
  std::uint32_t index = 0;
  for (const std::uint8_t byte : bytes) {
    // The index tells bytes of one tick apart; a repeat after 2^16 does no harm.
    if (happens(faults_.host_drop, kHostFaults, index++ & 0xFFFFU)) {
      ++state_.counters.bytes_dropped;
      continue;
    }
    state_.input.push(byte, now_ns);
  }
}

std::int64_t Create2Simulator::advance(std::int64_t now_ns) {
  for (;;) {
    const std::int64_t next = std::min(state_.tick_ns, state_.input.first_due_ns());
    if (next > now_ns) break;
    std::uint8_t byte = 0;
    if (next < state_.tick_ns && state_.input.take({&byte, 1}, next) == 1) {
      state_.now_ns = std::max(state_.now_ns, next);
      if (options_.wakes_on_start && byte == static_cast<std::uint8_t>(Create2Opcode::kStart) &&
          (state_.is_asleep != 0 || state_.is_deaf != 0)) {
        wake(next);
      }
      // At another baud rate, or asleep, it hears nothing.
      const bool is_same_baud = state_.baud_code == 11 || state_.baud_code == host_baud_code_;
      if (state_.is_asleep == 0 && is_same_baud && state_.heard.take(byte)) {
        obey(state_.heard.command());
      }
      continue;
    }
    state_.now_ns = state_.tick_ns;
    state_.tick_ns += tick_period_ns_;
    ++state_.tick;
    tick();
  }
  state_.now_ns = now_ns;
  const std::int64_t sent = state_.output.last_due_ns();
  const std::int64_t next = std::min(state_.tick_ns, state_.input.first_due_ns());
  return sent > now_ns ? std::min(sent, next) : next;
}

std::size_t Create2Simulator::read(int, std::span<std::uint8_t> out) {
  if (state_.is_plugged == 0) return 0;
  std::int64_t until = state_.now_ns;
  if (faults_.lump_s > 0.0) {
    const auto lump_ns = static_cast<std::int64_t>(faults_.lump_s * 1e9);
    until -= until % std::max<std::int64_t>(lump_ns, 1);
  }
  const std::size_t count = state_.output.take(out, until);
  if (happens(faults_.stolen, kFrame, 12)) return 0;
  if (!faults_.is_misset) return count;
  std::vector<std::uint8_t> misheard;
  hear_bytes(out.first(count), kBaud, kMissetBaud, &misheard);
  std::copy(misheard.begin(), misheard.end(), out.begin());  // fewer than were sent
  return misheard.size();
}

void Create2Simulator::set_plugged(bool is_plugged) {
  state_.is_plugged = is_plugged ? 1 : 0;
  if (is_plugged) return;
  // What is under way falls on the floor; a command that was cut off stays so.
  state_.input.clear();
  state_.output.clear();
}

void Create2Simulator::set_wake_line(bool is_low, std::int64_t now_ns) {
  if (state_.is_plugged == 0) return;
  if (is_low) {
    if (state_.wake_low_ns < 0) state_.wake_low_ns = now_ns;
    return;
  }
  const bool is_pulse = state_.wake_low_ns >= 0 && now_ns - state_.wake_low_ns >= kWakePulseNsMin;
  state_.wake_low_ns = -1;
  if (is_pulse) wake(now_ns);
}

void Create2Simulator::wake(std::int64_t now_ns) {
  if (state_.charge_mah <= 0.0) return;
  if (state_.is_asleep != 0) enter(Create2Mode::kOff);
  state_.is_asleep = 0;
  state_.is_deaf = 0;
  state_.sleep_ns = now_ns + (state_.docked_ns >= 0 ? kDockRevivalNs : kPassiveSleepNs);
}

void Create2Simulator::set_charge_mah(double charge_mah) {
  state_.charge_mah = std::clamp(charge_mah, 0.0, state_.capacity_mah);
}

void Create2Simulator::set_capacity_mah(double capacity_mah) {
  state_.capacity_mah = std::clamp(capacity_mah, 1.0, kCapacityMah);
  set_charge_mah(state_.charge_mah);
}

void Create2Simulator::say(const char* text) {
  if (state_.is_plugged == 0) return;
  for (; *text != '\0'; ++text) {
    state_.output.push(static_cast<std::uint8_t>(*text), state_.now_ns);
  }
  ++state_.counters.texts;
}

void Create2Simulator::take_battery_out() {
  state_.is_asleep = 0;
  state_.is_deaf = 0;
  state_.baud_code = 11;
  state_.heard = Create2CommandParser{};
  reset();
}

void Create2Simulator::place(double x_mm, double y_mm, double heading) {
  state_.arena.robot = {x_mm, y_mm};
  state_.arena.heading = wrapped(heading);
  state_.arena.left_mm_s = state_.arena.right_mm_s = 0.0;
  state_.arena.is_touching = 0;
}

// ------------------------------------------------------------------------------------------------
// Fifteen milliseconds

void Create2Simulator::tick() {
  const double dt_s = static_cast<double>(tick_period_ns_) * 1e-9;
  if (state_.seek_phase != 0) seek_dock();
  for (int i = 0; i < kPhysicsPerTick; ++i) move(dt_s / kPhysicsPerTick);
  charge(dt_s);
  apply_reflexes();
  fall_asleep_if_due();
  if (state_.is_streaming != 0 && state_.is_asleep == 0) send_frame();
}

void Create2Simulator::move(double dt_s) {
  while (state_.delayed_count > 0 && state_.delayed[0].due_ns <= state_.now_ns) {
    state_.target_left = state_.delayed[0].left;
    state_.target_right = state_.delayed[0].right;
    std::copy(state_.delayed.begin() + 1, state_.delayed.end(), state_.delayed.begin());
    --state_.delayed_count;
  }
  Arena& arena = state_.arena;
  const double left = arena.left_counts;
  const double right = arena.right_counts;
  advance_arena(state_.target_left, state_.target_right, dt_s, state_.changes, &arena);
  state_.distance_left_mm += (arena.left_counts - left) * kCreate2MmPerCount;
  state_.distance_right_mm += (arena.right_counts - right) * kCreate2MmPerCount;
}

// Its own way home: to a point in front of the dock, turn, and in. What it bumps into it backs away
// from.
void Create2Simulator::seek_dock() {
  enum Phase : std::int64_t { kGo = 1, kTurn, kEnter, kBack };
  const Arena& arena = state_.arena;
  const std::int64_t ticks = state_.tick - state_.seek_tick;
  const auto go_to = [&](Phase phase) {
    state_.seek_phase = phase;
    state_.seek_tick = state_.tick;
  };
  const auto steer = [&](double error) {
    const double turn = std::clamp(error, -1.0, 1.0) * kSeekTurnMmS;
    const double speed = std::abs(error) > 0.5 ? 0.0 : kSeekMmS - kSeekTurnMmS;
    state_.target_left = speed - turn;
    state_.target_right = speed + turn;
  };
  if (state_.docked_ns >= 0) {
    state_.seek_phase = 0;
    state_.target_left = state_.target_right = 0.0;
    return;
  }
  if (state_.seek_phase < kBack && arena_bumps(arena) != 0) go_to(kBack);
  switch (state_.seek_phase) {
    case kGo: {
      const ArenaPoint next = next_on_way(way_home_, arena.robot);
      if (std::hypot(kDockFront.x - arena.robot.x, kDockFront.y - arena.robot.y) < 40.0) {
        go_to(kTurn);
      }
      steer(wrapped(std::atan2(next.y - arena.robot.y, next.x - arena.robot.x) - arena.heading));
      return;
    }
    case kTurn: {
      const double error = wrapped(std::numbers::pi - arena.heading);
      if (std::abs(error) < 0.03) go_to(kEnter);
      state_.target_left = error > 0.0 ? -kSeekTurnMmS : kSeekTurnMmS;
      state_.target_right = -state_.target_left;
      return;
    }
    case kEnter: {
      // Towards a point a hand's breadth behind the dock.
      const double error =
          wrapped(std::atan2(kDockYMm - arena.robot.y, -arena.robot.x + kCreate2RadiusMm - 150.0) -
                  arena.heading);
      steer(error);
      return;
    }
    default:
      state_.target_left = state_.target_right = -kSeekMmS;
      if (ticks > 40) go_to(kGo);
      return;
  }
}

void Create2Simulator::charge(double dt_s) {
  const bool is_docked = is_on_dock(state_.arena);
  if (is_docked && state_.docked_ns < 0) {
    state_.docked_ns = state_.now_ns;
    state_.sleep_ns = state_.now_ns + kDockSleepNs;
    // The charger's contact ends Safe mode.
    if (mode() == Create2Mode::kSafe) enter(Create2Mode::kPassive);
  }
  if (!is_docked) {
    if (state_.docked_ns >= 0) state_.sleep_ns = state_.now_ns + kPassiveSleepNs;
    state_.docked_ns = -1;
    state_.is_deaf = 0;
  }
  const bool is_driving = state_.target_left != 0.0 || state_.target_right != 0.0;
  const double speed = std::abs(state_.arena.left_mm_s) + std::abs(state_.arena.right_mm_s);
  double current_ma = state_.is_asleep != 0 ? -5.0 : -kIdleMa;
  if (is_driving) current_ma -= kDriveMa * speed / 300.0;
  const bool has_fault = gauge_.charging_state == kChargingFault;
  if (is_docked && mode() <= Create2Mode::kPassive && !has_fault) current_ma = kChargeMa;
  set_charge_mah(state_.charge_mah + current_ma * dt_s / 3600.0);
  if (state_.charge_mah <= 0.0 && state_.is_asleep == 0) {
    enter(Create2Mode::kOff);
    state_.is_asleep = 1;
  }
}

// Safe mode lets go of the wheels at a cliff ahead, and in the air.
void Create2Simulator::apply_reflexes() {
  if (mode() != Create2Mode::kSafe) return;
  const double speed = state_.target_left + state_.target_right;
  const bool turns = state_.target_left != state_.target_right;
  const bool at_cliff = state_.arena.cliffs != 0 && (speed > 0.0 || (speed < 0.0 && turns));
  if (at_cliff || state_.arena.is_lifted != 0) enter(Create2Mode::kPassive);
}

void Create2Simulator::fall_asleep_if_due() {
  if (state_.is_asleep != 0 || mode() == Create2Mode::kOff) return;
  if (state_.docked_ns >= 0 && mode() >= Create2Mode::kSafe) {
    if (state_.now_ns >= state_.sleep_ns) state_.is_deaf = 1;
    return;
  }
  if (mode() != Create2Mode::kPassive || state_.seek_phase != 0 ||
      state_.now_ns < state_.sleep_ns) {
    return;
  }
  state_.is_asleep = 1;
  state_.is_streaming = 0;
  state_.output.clear();
}

void Create2Simulator::emit(std::uint8_t byte, std::uint32_t index) {
  if (happens(faults_.drop, kByteFaults, 3 * index)) {
    ++state_.counters.bytes_dropped;
    return;
  }
  if (happens(faults_.change, kByteFaults, 3 * index + 1)) {
    byte = static_cast<std::uint8_t>(byte ^ 1U << (index % 8));
  }
  state_.output.push(byte, state_.now_ns);
  if (happens(faults_.duplicate, kByteFaults, 3 * index + 2)) {
    state_.output.push(byte, state_.now_ns);
  }
}

// What one takes away, the other adds: eight bits of checksum do not see it.
void Create2Simulator::forge(std::span<std::uint8_t> frame) const {
  const auto any = [&](std::uint32_t index) {
    const double inside = static_cast<double>(frame.size() - 3);
    return 2 + static_cast<std::size_t>(draw(kFrame, index) * inside);
  };
  const auto change = static_cast<std::uint8_t>(1.0 + draw(kFrame, 9) * 255.0);
  frame[any(10)] += change;
  frame[any(11)] -= change;
}

void Create2Simulator::send_frame() {
  if (state_.is_plugged == 0) return;
  if (happens(faults_.text, kFrame, 0)) say(kChatter);
  Create2FrameWriter writer;
  writer.begin();
  for (std::int64_t i = 0; i < state_.stream_count; ++i) {
    const std::uint8_t id = state_.stream_ids[static_cast<std::size_t>(i)];
    writer.add(id, value_of(id));
  }
  std::uint32_t index = 0;
  std::array<std::uint8_t, kCreate2FrameBytesMax> bytes{};
  const auto finished = writer.finish();
  std::copy(finished.begin(), finished.end(), bytes.begin());
  const std::span<std::uint8_t> frame(bytes.data(), finished.size());
  if (happens(faults_.forged, kFrame, 8)) forge(frame);
  for (const std::uint8_t byte : frame) emit(byte, index++);
  if (happens(faults_.repeat, kFrame, 4)) {
    for (const std::uint8_t byte : frame) emit(byte, index++);
  }
  if (happens(faults_.delay, kFrame, 1)) {
    state_.output.delay(static_cast<std::int64_t>((5.0 + 75.0 * draw(kFrame, 2)) * 1e6));
  }
  ++state_.counters.frames;
}

// ------------------------------------------------------------------------------------------------
// Commands

void Create2Simulator::check_limits(const Create2Command& command) {
  const auto opcode = static_cast<Create2Opcode>(command.opcode);
  double fastest = 0.0;
  if (opcode == Create2Opcode::kDriveDirect) {
    fastest = std::max(std::abs(command.word(0)), std::abs(command.word(2)));
  } else if (opcode == Create2Opcode::kDrive) {
    fastest = std::abs(command.word(0));
  } else if (opcode == Create2Opcode::kDrivePwm) {
    fastest = std::max(std::abs(command.word(0)), std::abs(command.word(2))) * kCreate2SpeedMaxMmS /
              255.0;
  }
  if (fastest > options_.speed_limit_mm_s) ++state_.counters.limit_violations;
}

void Create2Simulator::enter(Create2Mode mode) {
  state_.mode = static_cast<std::int64_t>(mode);
  state_.seek_phase = 0;
  state_.delayed_count = 0;
  state_.target_left = state_.target_right = 0.0;
  state_.requested_left = state_.requested_right = 0.0;
  state_.requested_velocity = state_.requested_radius = 0.0;
  if (mode == Create2Mode::kOff) state_.is_streaming = 0;
}

void Create2Simulator::set_speeds(double left, double right) {
  const double most = kCreate2SpeedMaxMmS;
  state_.requested_left = std::clamp(left, -most, most);
  state_.requested_right = std::clamp(right, -most, most);
  if (state_.changes.delay_s <= 0.0) {
    state_.target_left = state_.requested_left;
    state_.target_right = state_.requested_right;
    return;
  }
  const auto room = static_cast<std::int64_t>(state_.delayed.size());
  const std::int64_t at = std::min(state_.delayed_count, room - 1);
  state_.delayed[static_cast<std::size_t>(at)] = {
      state_.now_ns + static_cast<std::int64_t>(state_.changes.delay_s * 1e9),
      state_.requested_left, state_.requested_right};
  state_.delayed_count = at + 1;
}

void Create2Simulator::drive(double velocity, double radius) {
  state_.requested_velocity = velocity;
  state_.requested_radius = radius;
  const double half_base = 0.5 * kCreate2WheelBaseMm;
  if (radius == -32768.0 || radius == 32767.0 || radius == 0.0) {
    set_speeds(velocity, velocity);
  } else if (radius == kCreate2TurnClockwise) {
    set_speeds(velocity, -velocity);
  } else if (radius == kCreate2TurnCounterclockwise) {
    set_speeds(-velocity, velocity);
  } else {
    set_speeds(velocity * (radius - half_base) / radius, velocity * (radius + half_base) / radius);
  }
}

void Create2Simulator::reset() {
  enter(Create2Mode::kOff);
  state_.stream_count = 0;
  say(kBanner);
}

void Create2Simulator::obey(const Create2Command& command) {
  ++state_.counters.commands;
  if (state_.is_deaf != 0) return;
  const auto opcode = static_cast<Create2Opcode>(command.opcode);
  if (mode() == Create2Mode::kOff && opcode != Create2Opcode::kStart &&
      opcode != Create2Opcode::kReset) {
    return;
  }
  if (state_.docked_ns < 0 || opcode == Create2Opcode::kStart) {
    state_.sleep_ns = state_.now_ns + (state_.docked_ns < 0 ? kPassiveSleepNs : kDockSleepNs);
  }
  const bool is_driven = mode() >= Create2Mode::kSafe;
  switch (opcode) {
    case Create2Opcode::kReset:
      return reset();
    case Create2Opcode::kStart:
    case Create2Opcode::kPower:
    case Create2Opcode::kSpot:
    case Create2Opcode::kClean:
    case Create2Opcode::kMax:
      return enter(Create2Mode::kPassive);
    case Create2Opcode::kControl:
    case Create2Opcode::kSafe:
      return enter(Create2Mode::kSafe);
    case Create2Opcode::kFull:
      return enter(Create2Mode::kFull);
    case Create2Opcode::kStop:
      return enter(Create2Mode::kOff);
    case Create2Opcode::kSeekDock:
      enter(Create2Mode::kPassive);
      state_.seek_phase = state_.docked_ns >= 0 ? 0 : 1;
      state_.seek_tick = state_.tick;
      map_way_to_dock(state_.arena, &way_home_);
      return;
    case Create2Opcode::kBaud:
      // There are codes 0 to 11. Rubbish that is taken for this command mostly has another.
      if (command.data[0] <= 11) state_.baud_code = command.data[0];
      return;
    case Create2Opcode::kDrive:
      if (is_driven) drive(command.word(0), command.word(2));
      return;
    case Create2Opcode::kDriveDirect:
      if (is_driven) set_speeds(command.word(2), command.word(0));
      return;
    case Create2Opcode::kDrivePwm:
      if (is_driven) {
        constexpr double kMmSPerStep = kCreate2SpeedMaxMmS / 255.0;
        set_speeds(kMmSPerStep * command.word(2), kMmSPerStep * command.word(0));
      }
      return;
    default:
      return obey_list(command);
  }
}

// What asks for sensor data. Lights, sounds and schedules have nobody here to notice them.
void Create2Simulator::obey_list(const Create2Command& command) {
  const std::size_t count = command.size > 0 ? command.data[0] : 0;
  switch (static_cast<Create2Opcode>(command.opcode)) {
    case Create2Opcode::kSensors:
      answer(command.data[0]);
      return;
    case Create2Opcode::kQueryList:
      for (std::size_t i = 0; i < count && i + 1 < command.size; ++i) answer(command.data[1 + i]);
      return;
    case Create2Opcode::kPauseStream:
      state_.is_streaming = command.data[0] != 0 && state_.stream_count > 0 ? 1 : 0;
      return;
    case Create2Opcode::kStream: {
      // Groups count as their packets; what does not fit into 15 ms is cut off.
      std::size_t bytes = 3;
      state_.stream_count = 0;
      for (std::size_t i = 0; i < count && i + 1 < command.size; ++i) {
        const Create2IdRange range = create2_id_range(command.data[1 + i]);
        for (int id = range.first; id <= range.last; ++id) {
          const auto one = static_cast<std::uint8_t>(id);
          bytes += 1 + create2_packet_bytes(one);
          if (bytes > kCreate2FrameBytesMax) break;
          state_.stream_ids[static_cast<std::size_t>(state_.stream_count++)] = one;
        }
      }
      state_.is_streaming = state_.stream_count > 0 ? 1 : 0;
      return;
    }
    default:
      return;
  }
}

// The bare data of a packet or group, without ids or checksum.
void Create2Simulator::answer(std::uint8_t id) {
  if (state_.is_plugged == 0) return;
  const Create2IdRange range = create2_id_range(id);
  for (int one = range.first; one <= range.last; ++one) {
    const auto packet = static_cast<std::uint8_t>(one);
    const std::uint32_t value = value_of(packet);
    if (create2_packet_bytes(packet) == 2) {
      state_.output.push(static_cast<std::uint8_t>(value >> 8), state_.now_ns);
    }
    state_.output.push(static_cast<std::uint8_t>(value), state_.now_ns);
  }
}

// ------------------------------------------------------------------------------------------------
// Sensors

std::uint32_t Create2Simulator::light_bump(int sensor) const {
  const int seen = state_.changes.are_sensors_swapped != 0.0 ? 5 - sensor : sensor;
  const double signal = light_bump_signal(arena_light_distance_mm(state_.arena, seen));
  const auto at = static_cast<std::uint32_t>(sensor);
  // Daylight and dust: up to 12 in free air, and five per cent.
  const double noise = 12.0 * draw(kNoise, at) + 0.1 * (draw(kNoise, 8 + at) - 0.5) * signal;
  return static_cast<std::uint32_t>(std::clamp(signal + noise, 0.0, 4095.0));
}

// Force field near the dock, its beams further away.
std::uint32_t Create2Simulator::infrared() const {
  const Arena& arena = state_.arena;
  const double x = arena.robot.x - kCreate2RadiusMm;
  const double y = arena.robot.y - kDockYMm;
  if (std::hypot(x, y) < 350.0) return 161;
  if (x > 1000.0 || std::abs(y) > 0.5 * x) return 0;
  if (std::abs(y) < 0.05 * x) return 172;
  return y > 0.0 ? 164 : 168;
}

double Create2Simulator::take_distance_mm() {
  const double mm = std::trunc(0.5 * (state_.distance_left_mm + state_.distance_right_mm));
  state_.distance_left_mm -= mm;
  state_.distance_right_mm -= mm;
  return mm;
}

double Create2Simulator::take_angle_degrees() {
  const double mm_per_degree = kCreate2WheelBaseMm * std::numbers::pi / 180.0;
  const double turned = state_.distance_right_mm - state_.distance_left_mm;
  const double degrees = std::trunc(turned / mm_per_degree);
  state_.distance_right_mm -= 0.5 * degrees * mm_per_degree;
  state_.distance_left_mm += 0.5 * degrees * mm_per_degree;
  return degrees;
}

// How strongly one of a row of sensors sees something; 0 for every packet that is none of those.
std::uint32_t Create2Simulator::sensor_value(std::uint8_t id) const {
  const auto cliffs = static_cast<std::uint32_t>(state_.arena.cliffs);
  if (id >= static_cast<std::uint8_t>(Create2Id::kLightBumpLeft) &&
      id <= static_cast<std::uint8_t>(Create2Id::kLightBumpRight)) {
    return light_bump(id - static_cast<int>(Create2Id::kLightBumpLeft));
  }
  if (id >= static_cast<std::uint8_t>(Create2Id::kCliffLeftSignal) &&
      id <= static_cast<std::uint8_t>(Create2Id::kCliffRightSignal)) {
    const auto bit = id - static_cast<std::uint32_t>(Create2Id::kCliffLeftSignal);
    return (cliffs >> bit & 1U) != 0 ? 20 : 2700;
  }
  return 0;
}

std::uint32_t Create2Simulator::value_of(std::uint8_t id) {
  const Arena& arena = state_.arena;
  const auto word = [](double value) { return saturated(value); };
  const auto count = [](double counts) {
    return static_cast<std::uint32_t>(static_cast<std::int64_t>(std::floor(counts))) & 0xFFFFU;
  };
  const bool is_charging = state_.docked_ns >= 0 && mode() <= Create2Mode::kPassive;
  switch (static_cast<Create2Id>(id)) {
    case Create2Id::kBumpsAndWheelDrops:
      return static_cast<std::uint32_t>(arena_bumps(arena) | (arena.is_lifted != 0 ? 12 : 0));
    case Create2Id::kWall:
      return light_bump(5) > 200 ? 1 : 0;
    case Create2Id::kCliffLeft:
    case Create2Id::kCliffFrontLeft:
    case Create2Id::kCliffFrontRight:
    case Create2Id::kCliffRight:
      return static_cast<std::uint32_t>(arena.cliffs) >>
                 (id - static_cast<std::uint32_t>(Create2Id::kCliffLeft)) &
             1U;
    case Create2Id::kInfraredOmni:
    case Create2Id::kInfraredLeft:
    case Create2Id::kInfraredRight:
      return infrared();
    case Create2Id::kDistance:
      return word(take_distance_mm());
    case Create2Id::kAngle:
      return word(take_angle_degrees());
    case Create2Id::kChargingState:
      if (gauge_.charging_state >= 0) return static_cast<std::uint32_t>(gauge_.charging_state);
      return is_charging ? (state_.charge_mah < 0.98 * state_.capacity_mah ? 2 : 3) : 0;
    case Create2Id::kVoltage:
      return word(13200.0 + 3300.0 * state_.charge_mah / state_.capacity_mah);
    case Create2Id::kCurrent:
      return word(is_charging ? kChargeMa : -kIdleMa);
    case Create2Id::kTemperature:
      return 25;
    case Create2Id::kCharge:
      if (gauge_.charge_mah >= 0) return static_cast<std::uint32_t>(gauge_.charge_mah);
      return word(state_.charge_mah);
    case Create2Id::kCapacity:
      if (gauge_.capacity_mah >= 0) return static_cast<std::uint32_t>(gauge_.capacity_mah);
      return word(state_.capacity_mah);
    case Create2Id::kChargingSources:
      return state_.docked_ns >= 0 ? 2 : 0;
    case Create2Id::kMode:
      return static_cast<std::uint32_t>(state_.mode);
    case Create2Id::kStreamPackets:
      return static_cast<std::uint32_t>(state_.stream_count);
    case Create2Id::kRequestedVelocity:
      return word(state_.requested_velocity);
    case Create2Id::kRequestedRadius:
      return word(state_.requested_radius);
    case Create2Id::kRequestedRight:
      return word(state_.requested_right);
    case Create2Id::kRequestedLeft:
      return word(state_.requested_left);
    case Create2Id::kEncoderLeft:
      return count(arena.left_counts);
    case Create2Id::kEncoderRight:
      return count(arena.right_counts);
    case Create2Id::kLightBumper: {
      std::uint32_t bits = 0;
      for (int i = 0; i < 6; ++i) bits |= (light_bump(i) > 200 ? 1U : 0U) << i;
      return bits;
    }
    case Create2Id::kStasis:
      return arena.left_mm_s + arena.right_mm_s > 20.0 && arena.is_touching == 0 ? 1 : 0;
    default:
      return sensor_value(id);
  }
}

// ------------------------------------------------------------------------------------------------
// Checkpoints

void Create2Simulator::save_state(std::span<std::uint8_t> out) const {
  INSTEP_CHECK(out.size() == state_bytes());
  std::memcpy(out.data(), &state_, sizeof state_);
}

bool Create2Simulator::load_state(std::span<const std::uint8_t> in) {
  if (in.size() != state_bytes()) return false;
  State state;
  std::memcpy(&state, in.data(), sizeof state);
  const auto is_share = [](double share) { return share >= -2.0 && share <= 2.0; };
  const auto is_speed = [](double speed) { return std::abs(speed) <= 40000.0; };
  const auto is_bit = [](std::int64_t bit) { return bit == 0 || bit == 1; };
  constexpr std::int64_t kTimeMax = kNever / 4;
  bool valid =
      state.now_ns >= 0 && state.now_ns < kTimeMax && state.tick_ns > 0 &&
      state.tick_ns < kTimeMax && state.tick >= 0 && state.tick < kTimeMax &&
      state.noise_stream >= 0 && state.noise_stream < 64 && is_valid(state.arena) &&
      is_share(state.changes.left_wheel) && is_share(state.changes.right_wheel) &&
      (state.changes.are_sensors_swapped == 0.0 || state.changes.are_sensors_swapped == 1.0) &&
      state.changes.delay_s >= 0.0 && state.changes.delay_s <= Create2Changes::kDelayMaxS &&
      state.mode >= 0 && state.mode <= 3 && is_bit(state.is_asleep) && is_bit(state.is_deaf) &&
      is_bit(state.is_plugged) && state.wake_low_ns >= -1 && state.docked_ns >= -1 &&
      state.seek_phase >= 0 && state.seek_phase <= 4 && state.charge_mah >= 0.0 &&
      state.charge_mah <= state.capacity_mah && state.capacity_mah <= kCapacityMah &&
      is_speed(state.target_left) && is_speed(state.target_right) &&
      is_speed(state.requested_left) && is_speed(state.requested_right) &&
      is_speed(state.requested_velocity) && is_speed(state.requested_radius) &&
      std::abs(state.distance_left_mm) < 1e12 && std::abs(state.distance_right_mm) < 1e12 &&
      state.delayed_count >= 0 &&
      state.delayed_count <= static_cast<std::int64_t>(state.delayed.size()) &&
      is_bit(state.is_streaming) && state.stream_count >= 0 &&
      state.stream_count <= static_cast<std::int64_t>(state.stream_ids.size()) &&
      state.input.is_valid() && state.output.is_valid() && state.heard.is_valid() &&
      state.as_sent.is_valid();
  std::size_t frame_bytes = 3;
  for (std::size_t i = 0; valid && i < static_cast<std::size_t>(state.stream_count); ++i) {
    const std::uint8_t id = state.stream_ids[i];
    frame_bytes += 1 + create2_packet_bytes(id);
    valid = id >= 7 && id <= 58 && frame_bytes <= kCreate2FrameBytesMax;
  }
  for (const DelayedSpeeds& speeds : state.delayed) {
    valid = valid && is_speed(speeds.left) && is_speed(speeds.right);
  }
  if (!valid) return false;
  state_ = state;
  map_way_to_dock(state_.arena, &way_home_);
  return true;
}

}  // namespace instep

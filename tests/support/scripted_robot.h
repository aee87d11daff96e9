// A robot and its link that do as a test says: one packet every millisecond, a position that
// follows the commanded velocity, and whatever faults the script asks for.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "runtime/robot.h"

namespace instep {

// Simulated time. The device integrates the last kMove's first value, or goes there where values
// are positions, and reports its position (a double) in each packet.
class ScriptedLink final : public RobotLink {
 public:
  std::int64_t now_ns() const override { return now; }
  void post(const Command& command) override {
    commands.push_back(command);
    const bool is_move = command.kind == Command::kMove;
    if (takes_positions && is_move && !is_jammed) position = command.values[0];
    velocity = is_move && !takes_positions ? command.values[0] : 0.0;
  }
  void wait_until(std::int64_t deadline_ns) override {
    waits.push_back(deadline_ns);
    while (next_packet_ns <= deadline_ns + late_ns) {
      position += velocity * static_cast<double>(packet_interval_ns) * 1e-9;
      position -= sag_per_packet;
      if (!is_silent) queue_packet(next_packet_ns);
      next_packet_ns += packet_interval_ns;
    }
    if (deadline_ns + late_ns > now) now = deadline_ns + late_ns;
  }
  bool next_packet(Packet* out) override {
    if (first == queue.size()) return false;
    *out = queue[first++];
    return true;
  }
  LinkState state() const override { return link_state; }

  void queue_packet(std::int64_t time_ns) {
    Packet packet;
    packet.time_ns = time_ns;
    packet.sequence = sequence++;
    packet.size = sizeof position;
    std::memcpy(packet.bytes.data(), &position, sizeof position);
    queue.push_back(packet);
  }

  std::int64_t now = 1'000'000'000;
  std::int64_t late_ns = 0;  // how long after its deadline a wait ends
  std::int64_t packet_interval_ns = 1'000'000;
  std::int64_t next_packet_ns = 1'000'000'000;
  double position = 0.0;
  double velocity = 0.0;
  bool takes_positions = false;
  bool is_jammed = false;       // goes to no position
  double sag_per_packet = 0.0;  // under a load
  bool is_silent = false;
  LinkState link_state = LinkState::kReady;
  std::uint32_t sequence = 0;
  std::vector<Packet> queue;
  std::size_t first = 0;
  std::vector<Command> commands;
  std::vector<std::int64_t> waits;
};

inline constexpr PacketField kScriptedFields[] = {{"position", ""}};
inline constexpr PacketFormat kScriptedPackets = {
    .fields = kScriptedFields, .decode = [](const Packet& packet, std::span<double> values) {
      std::memcpy(values.data(), packet.bytes.data(), sizeof values[0]);
      return packet.size == sizeof values[0];
    }};

// Drives to position 0 while homing; the reward is the position.
class ScriptedRobotTask final : public RobotTask {
 public:
  static constexpr int kObservationDim = 3;

  ScriptedRobotTask() {
    command_limits.count = 2;
    command_limits.lower = {-1.0, -1.0};
    command_limits.upper = {1.0, 1.0};
    command_limits.rate_max.fill(std::numeric_limits<double>::infinity());
    command_limits.packet_age_max_ns = 15'000'000;
  }

  const CommandLimits& limits() const override { return command_limits; }
  void standing_values(std::span<double> values) const override {
    RobotTask::standing_values(values);
    if (command_limits.are_positions) values[0] = taken > 0 ? position : std::nan("");
  }
  const PacketFormat& packets() const override { return kScriptedPackets; }
  void take(const PacketValues& packet) override {
    ++taken;
    position = packet[0];
  }
  void begin_homing(const Random& random, std::uint64_t step, std::int64_t) override {
    ++homings;
    homing_seed = random.seed;
    homing_step = step;
    homing_ticks_left = homing_ticks;
  }
  Homing home(std::int64_t, Command* command) override {
    if (homing_fails) return Homing::kFailed;
    if (homing_ticks_left == 0) return Homing::kDone;
    --homing_ticks_left;
    *command = {.kind = Command::kMove, .count = 2, .values = {homing_value, 0.0}};
    return Homing::kContinues;
  }
  void first_observation(double* observation) override { write(observation); }
  void to_command(const float* action, Command* command) override {
    *command = {
        .kind = Command::kMove,
        .count = 2,
        .values = {gain * static_cast<double>(action[0]), gain * static_cast<double>(action[1])}};
  }
  Sensed sense(double* observation) override {
    ++senses;
    write(observation);
    Sensed answer = next;
    answer.reward = position;
    next = {};
    return answer;
  }
  std::size_t state_bytes() const override { return sizeof position; }
  void save_state(std::span<std::uint8_t> out) const override {
    std::memcpy(out.data(), &position, sizeof position);
  }
  bool load_state(std::span<const std::uint8_t> in) override {
    std::memcpy(&position, in.data(), sizeof position);
    return position == position;
  }

  CommandLimits command_limits;
  double gain = 1.0;
  double homing_value = -0.5;
  double position = 0.0;
  Sensed next;
  int taken = 0;  // packets
  int homings = 0;
  int senses = 0;
  int homing_ticks = 2;
  int homing_ticks_left = 0;
  bool homing_fails = false;
  std::uint64_t homing_seed = 0;
  std::uint64_t homing_step = 0;

 private:
  void write(double* observation) const {
    observation[0] = position;
    observation[1] = 1.0;
    observation[2] = -position;
  }
};

}  // namespace instep

// When the next tick is due: absolute deadlines that follow the device's clock.
#pragma once

#include <cstdint>

namespace instep {

// One deadline every period, by the sum and not by the last wake-up, so that lateness never adds
// up. With the phase lock the deadlines drift slowly to where the newest packet is an eighth of the
// packets' interval old, so that its age does not sweep as two clocks pass each other. Arithmetic
// only; plain data that may be copied and saved.
class Pacer {
 public:
  static constexpr double kGain = 0.01;     // of the phase error, per tick
  static constexpr double kSlewMax = 0.02;  // of the period, per tick
  static constexpr double kAgeTarget = 0.125;

  Pacer(std::int64_t period_ns, bool is_phase_locked)
      : period_ns_(period_ns), is_phase_locked_(is_phase_locked) {}

  // The first deadline is a period from now.
  void start(std::int64_t now_ns);
  bool is_started() const { return state_.is_started != 0; }

  std::int64_t deadline_ns() const { return state_.deadline_ns; }

  // A packet that was read at time_ns, in order; `sequence` counts packets, lost ones included.
  void add_packet(std::int64_t time_ns, std::uint32_t sequence);

  // Goes from the deadline that has just passed to the next one after now_ns. Answers how many
  // whole periods were missed.
  std::int64_t advance(std::int64_t now_ns);

  // The packets' mean interval, 0 before two have come.
  double packet_interval_ns() const { return state_.packet_interval_ns; }

  // Everything that decides the next deadline.
  struct State {
    std::int64_t deadline_ns = 0;
    std::int64_t packet_ns = 0;
    double packet_interval_ns = 0.0;
    std::uint32_t packet_sequence = 0;
    std::uint32_t packet_count = 0;  // up to the estimate's memory
    std::uint32_t has_new_packet = 0;
    std::uint32_t is_started = 0;
  };
  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  double correction_ns() const;

  std::int64_t period_ns_;
  bool is_phase_locked_;
  State state_;
};

}  // namespace instep

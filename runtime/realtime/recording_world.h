// A robot's world whose ticks are recorded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/agent.h"
#include "runtime/realtime/tick_record.h"
#include "runtime/robot_world.h"

namespace instep {

// A robot's world that notes every tick on its way to the loop. Loop thread; allocates nothing
// after its constructor.
class RecordingWorld final : public Environment {
 public:
  RecordingWorld(RobotWorld& world, const TickShape& shape, TickRing& ring);

  // Whose lateness belongs to the ticks; to be set before the first one.
  void set_agent(const Agent& agent) { agent_ = &agent; }

  void reset(const Random& random, std::uint64_t step, double* observation) override;
  Outcome step(const float* action, double* observation) override;
  void send(const float* action) override;
  std::size_t state_bytes() const override { return world_.state_bytes(); }
  void save_state(std::span<std::uint8_t> out) const override { world_.save_state(out); }
  bool load_state(std::span<const std::uint8_t> in) override { return world_.load_state(in); }

  // A snapshot has been asked for after the tick that was noted last.
  void mark_snapshot();
  // The last tick is over, and no other follows.
  void finish();
  std::uint64_t frames_lost() const { return frames_lost_; }

 private:
  void begin(std::uint32_t flags, double reward, const double* observation);

  RobotWorld& world_;
  TickShape shape_;
  TickRing& ring_;
  const Agent* agent_ = nullptr;
  std::vector<std::uint8_t> frame_;
  TickHead head_;
  bool has_frame_ = false;
  std::uint64_t frames_lost_ = 0;
};

}  // namespace instep

// A world made of a record's ticks.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/agent.h"
#include "runtime/environment.h"
#include "runtime/realtime/tick_record.h"

namespace instep {

// Gives a loop the ticks of a record instead of a robot's, and compares the actions.
class ReplayWorld final : public Environment {
 public:
  explicit ReplayWorld(const TickRecord& record) : record_(record) {}

  // The agent under replay, which learns apart: its tasks are done before each tick that was in
  // time, as they were.
  void set_agent(Agent& agent) { agent_ = &agent; }

  void reset(const Random& random, std::uint64_t step, double* observation) override;
  Outcome step(const float* action, double* observation) override;
  void send(const float* action) override;
  std::size_t state_bytes() const override { return 0; }
  void save_state(std::span<std::uint8_t>) const override {}
  bool load_state(std::span<const std::uint8_t>) override { return true; }

  bool is_over() const { return next_ == record_.count(); }
  std::size_t frames_given() const { return next_; }
  // Of the tick that was given out last.
  TickHead head() const { return tick_head(record_.frame(next_ - 1)); }
  std::uint64_t actions_compared() const { return actions_compared_; }
  // The step of the first action that differs, or -1. A tick of another kind than the loop expects
  // differs too.
  std::int64_t first_difference() const { return first_difference_; }

 private:
  bool give(bool opens_episode, double* observation);

  const TickRecord& record_;
  Agent* agent_ = nullptr;
  std::size_t next_ = 0;
  std::uint64_t actions_compared_ = 0;
  std::int64_t first_difference_ = -1;
};

}  // namespace instep

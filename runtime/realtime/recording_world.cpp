#include "runtime/realtime/recording_world.h"

#include <algorithm>
#include <cstring>

#include "kernels/check.h"

namespace instep {

RecordingWorld::RecordingWorld(RobotWorld& world, const TickShape& shape, TickRing& ring)
    : world_(world), shape_(shape), ring_(ring), frame_(shape.frame_bytes()) {}

void RecordingWorld::begin(std::uint32_t flags, double reward, const double* observation) {
  std::fill(frame_.begin(), frame_.end(), std::uint8_t{0});
  head_ = {.time_ns = world_.tick_ns(),
           .packet_ns = world_.packet_ns(),
           .reward = reward,
           .flags = flags};
  std::memcpy(frame_.data() + shape_.observation_offset(), observation,
              sizeof(double) * static_cast<std::size_t>(shape_.observation_dim));
  has_frame_ = true;
}

// The agent is asked here and not in begin(): only now it has seen the tick.
void RecordingWorld::finish() {
  if (!has_frame_) return;
  has_frame_ = false;
  INSTEP_CHECK(agent_ != nullptr);
  if (agent_->was_late()) head_.flags |= kTickLate;
  head_.step = agent_->step();
  std::memcpy(frame_.data(), &head_, sizeof head_);
  head_.checksum = tick_checksum(frame_);
  std::memcpy(frame_.data(), &head_, sizeof head_);
  if (!ring_.push(frame_)) ++frames_lost_;
}

void RecordingWorld::mark_snapshot() {
  head_.flags |= kTickSnapshot;
}

void RecordingWorld::reset(const Random& random, std::uint64_t step, double* observation) {
  finish();
  world_.reset(random, step, observation);
  begin(kTickOpensEpisode, 0.0, observation);
}

Outcome RecordingWorld::step(const float* action, double* observation) {
  finish();
  const Outcome outcome = world_.step(action, observation);
  std::uint32_t flags = 0;
  if (outcome.terminated) flags |= kTickTerminated;
  if (outcome.truncated) flags |= kTickTruncated;
  if (outcome.carries_no_step) flags |= kTickCarriesNoStep;
  begin(flags, outcome.reward, observation);
  return outcome;
}

void RecordingWorld::send(const float* action) {
  world_.send(action);
  const Command& command = world_.last_command();
  head_.flags |= kTickActed;
  head_.limit_flags = world_.last_limit_flags();
  head_.command_kind = command.kind;
  head_.command_count = std::min(command.count, shape_.command_count);
  std::memcpy(frame_.data() + shape_.command_offset(), command.values.data(),
              sizeof(double) * static_cast<std::size_t>(head_.command_count));
  std::memcpy(frame_.data() + shape_.action_offset(), action,
              sizeof(float) * static_cast<std::size_t>(shape_.action_dim));
}

}  // namespace instep

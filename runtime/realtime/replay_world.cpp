#include "runtime/realtime/replay_world.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace instep {

bool ReplayWorld::give(bool opens_episode, double* observation) {
  const auto dim = static_cast<std::size_t>(record_.shape.observation_dim);
  const bool fits = !is_over() && ((tick_head(record_.frame(next_)).flags & kTickOpensEpisode) !=
                                   0) == opens_episode;
  if (!fits) {
    if (!is_over() && first_difference_ < 0) {
      first_difference_ = static_cast<std::int64_t>(agent_->step());
    }
    std::fill_n(observation, dim, std::numeric_limits<double>::quiet_NaN());
    return false;
  }
  const auto frame = record_.frame(next_++);
  std::memcpy(observation, frame.data() + record_.shape.observation_offset(), dim * sizeof(double));
  if ((tick_head(frame).flags & kTickLate) == 0) {
    while (agent_->run_next_task()) continue;
  }
  return true;
}

void ReplayWorld::reset(const Random&, std::uint64_t, double* observation) {
  give(true, observation);
}

Outcome ReplayWorld::step(const float*, double* observation) {
  if (!give(false, observation)) return {.carries_no_step = true};
  const TickHead tick = head();
  return {.reward = tick.reward,
          .terminated = (tick.flags & kTickTerminated) != 0,
          .truncated = (tick.flags & kTickTruncated) != 0,
          .carries_no_step = (tick.flags & kTickCarriesNoStep) != 0};
}

void ReplayWorld::send(const float* action) {
  const auto frame = record_.frame(next_ - 1);
  const bool is_same =
      (tick_head(frame).flags & kTickActed) != 0 &&
      std::memcmp(frame.data() + record_.shape.action_offset(), action,
                  sizeof(float) * static_cast<std::size_t>(record_.shape.action_dim)) == 0;
  ++actions_compared_;
  if (!is_same && first_difference_ < 0) {
    first_difference_ = static_cast<std::int64_t>(agent_->step());
  }
}

}  // namespace instep

#include "runtime/control_loop.h"

#include <algorithm>

#include "kernels/check.h"
#include "runtime/plain_state.h"

namespace instep {
ControlLoop::ControlLoop(Agent& agent, Environment& world, const Clock& clock,
                         const Random& reset_random)
    : agent_(agent),
      world_(world),
      clock_(clock),
      reset_random_(reset_random),
      observation_(static_cast<std::size_t>(agent.observation_dim())) {}

bool ControlLoop::start() {
  return begin_episode();
}

bool ControlLoop::begin_episode() {
  state_.episode_return = 0.0;
  state_.episode_length = 0;
  world_.reset(reset_random_, agent_.step(), observation_.data());
  action_ = agent_.begin_episode(observation_.data());
  send();
  agent_.update();
  return action_ != nullptr;
}

// A NaN is not.
bool ControlLoop::is_within_bounds(const float* action) const {
  return std::all_of(action, action + agent_.action_dim(),
                     [](float value) { return value >= -1.0F && value <= 1.0F; });
}

// Every agent bounds its actions; this is the second check on another path, before anything moves.
void ControlLoop::send() {
  if (action_ == nullptr) return;
  INSTEP_CHECK(is_within_bounds(action_));
  world_.send(action_);
}

ControlLoop::Status ControlLoop::tick() {
  INSTEP_CHECK(action_ != nullptr);
  const std::int64_t began_ns = clock_.now_ns();
  const Outcome outcome = world_.step(action_, observation_.data());

  const std::int64_t sensed_ns = clock_.now_ns();
  if (outcome.carries_no_step) {
    agent_.interrupt();
    action_ = nullptr;
  } else {
    action_ =
        agent_.sense(observation_.data(), outcome.reward, outcome.terminated, outcome.truncated);
  }
  send();
  const bool was_dropped = agent_.was_dropped();
  const std::int64_t acted_ns = clock_.now_ns();
  agent_.update();
  const std::int64_t learned_ns = clock_.now_ns();
  latency_.world.record(sensed_ns - began_ns);
  latency_.observation_to_action.record(acted_ns - sensed_ns);
  latency_.update.record(learned_ns - sensed_ns);

  // A dropped transition carries no step: its reward, which may be the culprit, is not counted.
  if (!was_dropped) state_.episode_return += outcome.reward;
  if (!outcome.carries_no_step) ++state_.episode_length;
  if (!outcome.terminated && !outcome.truncated && !was_dropped) return Status::kRunning;

  finish_episode(outcome.terminated && !was_dropped);
  return begin_episode() ? Status::kEpisodeFinished : Status::kFaulted;
}

void ControlLoop::finish_episode(bool terminated) {
  ++state_.episodes;
  last_episode_ = {state_.episodes, steps(), state_.episode_return, state_.episode_length,
                   terminated};
}

// ---------------------------------------------------------------------------------------------------
// Snapshots

SnapshotLayout ControlLoop::snapshot_layout() const {
  return {world_.state_bytes(), agent_.state_bytes()};
}

std::int64_t ControlLoop::episodes_in(std::span<const std::uint8_t> snapshot) {
  return read_plain<LoopState>(snapshot).episodes;
}

void ControlLoop::save_outer_state(std::span<std::uint8_t> out) const {
  INSTEP_CHECK(out.size() == snapshot_bytes());
  save_plain(state_, out.first(sizeof state_));
  world_.save_state(snapshot_layout().world(out));
}

void ControlLoop::save_snapshot(std::span<std::uint8_t> out) {
  save_outer_state(out);
  agent_.save_state(snapshot_layout().learner(out));
}

bool ControlLoop::request_snapshot(std::span<std::uint8_t> out) {
  save_outer_state(out);
  return agent_.request_state(snapshot_layout().learner(out));
}

bool ControlLoop::load_state_and_learner(std::span<const std::uint8_t> in, std::int64_t steps) {
  if (in.size() < bytes_without_world() || steps < 0) return false;
  const auto state = read_plain<LoopState>(in);
  if (state.episodes < 0 || state.episodes > steps || state.episode_length < 0 ||
      state.episode_length > steps ||
      !agent_.load_state(in.last(agent_.state_bytes()), static_cast<std::uint64_t>(steps))) {
    return false;
  }
  state_ = state;
  return true;
}

bool ControlLoop::load_snapshot(std::span<const std::uint8_t> in, std::int64_t steps) {
  if (in.size() != snapshot_bytes() || !world_.load_state(snapshot_layout().world(in)) ||
      !load_state_and_learner(in, steps)) {
    return false;
  }
  action_ = agent_.open_action();
  return action_ != nullptr && is_within_bounds(action_);
}

bool ControlLoop::load_learner(std::span<const std::uint8_t> in, std::int64_t steps) {
  if (!load_state_and_learner(in, steps)) return false;
  agent_.drop_open();
  if (state_.episode_length > 0) finish_episode(false);
  state_.episode_return = 0.0;
  state_.episode_length = 0;
  return true;
}

}  // namespace instep

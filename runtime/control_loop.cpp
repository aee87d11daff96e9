#include "runtime/control_loop.h"

#include <cstring>

#include "kernels/check.h"

namespace instep {
namespace {

// A snapshot is taken between ticks. Some of these words name one of two buffers: any other number
// there would lead out of the block.
bool is_between_ticks(const LearnerState& state) {
  return state.actor_acted <= 1 && state.actor_newest <= 1 && state.open_tape <= 1 &&
         state.is_open <= 1 && state.has_action == 0 && state.has_old_forward == 0 &&
         state.has_critic_forward == 0 && state.has_pending_actor_update == 0;
}

}  // namespace

ControlLoop::ControlLoop(Agent& agent, Environment& world, const Clock& clock,
                         const Random& reset_random)
    : agent_(agent),
      world_(world),
      clock_(clock),
      reset_random_(reset_random),
      observation_(static_cast<std::size_t>(agent.config().shape.observation_dim)) {}

bool ControlLoop::start() {
  return begin_episode();
}

bool ControlLoop::begin_episode() {
  state_.episode_return = 0.0;
  state_.episode_length = 0;
  world_.reset(reset_random_, agent_.step(), observation_.data());
  action_ = agent_.begin_episode(observation_.data());
  if (action_ != nullptr) world_.send(action_);
  agent_.update();
  return action_ != nullptr;
}

ControlLoop::Status ControlLoop::tick() {
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
  if (action_ != nullptr) world_.send(action_);
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

// A snapshot is the loop's state, the world's, and the learner's block.
std::size_t ControlLoop::snapshot_bytes() const {
  return sizeof state_ + world_.state_bytes() + agent_.learner().layout.bytes;
}

std::size_t ControlLoop::bytes_without_world() const {
  return sizeof state_ + agent_.learner().layout.bytes;
}

void ControlLoop::save_outer_state(std::span<std::uint8_t> out) const {
  std::memcpy(out.data(), &state_, sizeof state_);
  world_.save_state(out.subspan(sizeof state_, world_.state_bytes()));
}

std::int64_t ControlLoop::episodes_in(std::span<const std::uint8_t> snapshot) {
  LoopState state;
  INSTEP_CHECK(snapshot.size() >= sizeof state);
  std::memcpy(&state, snapshot.data(), sizeof state);
  return state.episodes;
}

void ControlLoop::save_snapshot(std::span<std::uint8_t> out) {
  agent_.flush();
  save_outer_state(out);
  const Learner& learner = agent_.learner();
  std::memcpy(out.data() + sizeof state_ + world_.state_bytes(), learner.block,
              learner.layout.bytes);
}

bool ControlLoop::request_snapshot(std::span<std::uint8_t> out) {
  save_outer_state(out);
  return agent_.request_snapshot(out.data() + sizeof state_ + world_.state_bytes());
}

bool ControlLoop::load_state_and_block(std::span<const std::uint8_t> in, std::int64_t steps) {
  const Learner& learner = agent_.learner();
  if (in.size() < bytes_without_world() || steps < 0) return false;
  const auto block = in.last(learner.layout.bytes);
  LoopState loop_state;
  LearnerState learner_state;
  std::memcpy(&loop_state, in.data(), sizeof loop_state);
  std::memcpy(&learner_state, block.data(), sizeof learner_state);
  if (loop_state.episodes < 0 || loop_state.episodes > steps || loop_state.episode_length < 0 ||
      loop_state.episode_length > steps || !is_between_ticks(learner_state)) {
    return false;
  }
  state_ = loop_state;
  std::memcpy(learner.block, block.data(), learner.layout.bytes);
  agent_.set_step(static_cast<std::uint64_t>(steps));
  return true;
}

bool ControlLoop::load_snapshot(std::span<const std::uint8_t> in, std::int64_t steps) {
  if (in.size() != snapshot_bytes()) return false;
  const std::size_t world_bytes = world_.state_bytes();
  LearnerState learner_state;
  std::memcpy(&learner_state, in.data() + sizeof state_ + world_bytes, sizeof learner_state);
  if (learner_state.is_open != 1 || !world_.load_state(in.subspan(sizeof state_, world_bytes)) ||
      !load_state_and_block(in, steps)) {
    return false;
  }
  const Learner& learner = agent_.learner();
  action_ = learner.open_actor_tape() + learner.layout.actor_tape.action;
  return true;
}

bool ControlLoop::load_learner(std::span<const std::uint8_t> in, std::int64_t steps) {
  if (!load_state_and_block(in, steps)) return false;
  agent_.config().executor->drop(agent_.learner());
  agent_.set_step(static_cast<std::uint64_t>(steps));
  if (state_.episode_length > 0) finish_episode(false);
  state_.episode_return = 0.0;
  state_.episode_length = 0;
  return true;
}

}  // namespace instep

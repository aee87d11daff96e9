#include "runtime/algorithms/actor_critic/update_work.h"

namespace instep {
namespace {

std::size_t whole_steps(std::size_t count) {
  return (count + kBoundStep - 1) / kBoundStep * kBoundStep;
}

std::size_t square_floats(const Layout& layout) {
  return static_cast<std::size_t>(layout.actor.width * layout.shape.hidden_dim);
}

}  // namespace

Traffic traffic(const Layout& layout, Schedule schedule) {
  const auto bytes = [](std::size_t floats) { return floats * sizeof(float); };
  const std::size_t actor = bytes(layout.actor.floats);
  const std::size_t critic = bytes(layout.critic.floats);
  const std::size_t square = bytes(square_floats(layout));
  // An update reads and writes each weight and each number of its step's arrays.
  const auto update = [](std::size_t network, int arrays) {
    return static_cast<std::size_t>(2 + 2 * arrays) * network;
  };
  const std::size_t learn = critic + update(critic, layout.critic_arrays);
  const std::size_t actor_update = update(actor, layout.actor_arrays);
  if (schedule == Schedule::kThroughput) {
    return {.act = actor_update, .learn = learn, .prepare = 2 * square};
  }
  const std::size_t old_actor = layout.algorithm == Algorithm::kRac ? 0 : actor;
  return {.act = actor, .learn = old_actor + learn, .prepare = 2 * square + actor_update};
}

std::optional<LeastWork> update_work(const Learner& learner, const Executor& executor) {
  const Layout& layout = learner.layout;
  if (executor.bound == nullptr || layout.algorithm != Algorithm::kAvg ||
      layout.actor_arrays != 1) {
    return std::nullopt;
  }
  const std::size_t actor = whole_steps(layout.actor.floats);
  const std::size_t critic = whole_steps(layout.critic.floats);
  const std::size_t square = whole_steps(square_floats(layout));
  return LeastWork{.loops = executor.bound,
                   .floats = actor + critic,
                   .passes = {{true, 0, actor},
                              {false, actor, critic},
                              {true, actor, critic},
                              {false, actor, square},
                              {false, 0, square}}};
}

}  // namespace instep

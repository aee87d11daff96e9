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
  // An update reads and writes each weight and each second moment.
  if (schedule == Schedule::kThroughput) {
    return {.act = 4 * actor, .learn = critic + 4 * critic, .prepare = 2 * square};
  }
  return {.act = actor, .learn = actor + critic + 4 * critic, .prepare = 2 * square + 4 * actor};
}

std::optional<LeastWork> update_work(const Learner& learner, const Executor& executor) {
  const Layout& layout = learner.layout;
  if (executor.bound == nullptr || layout.algorithm != Algorithm::kAvg ||
      layout.optimizer_arrays != 1) {
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

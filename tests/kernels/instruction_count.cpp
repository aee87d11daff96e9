// instruction_count act_first|throughput UPDATES
// Runs that many updates at half_cheetah's sizes on the avx2 path, for an instruction counter to
// watch. Ends with 77 where the processor has no such path.
#include <cstdlib>
#include <string>
#include <vector>

#include "test_learner.h"

namespace instep {
namespace {

int run(const std::string& schedule_name, int updates) {
  const Executor* const executor = find_executor("avx2", Arithmetic::kFast);
  if (executor == nullptr) return 77;
  constexpr Shape kShape = {17, 6, 256};
  LearnerSettings settings;
  settings.actor_lr = 1.1e-5;
  settings.critic_lr = 7.7e-5;
  const Schedule schedule =
      schedule_name == "throughput" ? Schedule::kThroughput : Schedule::kActFirst;
  Draws draws(1);
  const TestLearner test(kShape, settings, *executor, schedule);
  const Learner& learner = test.learner();
  for (const std::size_t weights : learner.layout.actor_weights) {
    Draws same_draws(2);
    draw_weights(same_draws, learner.layout.actor, kShape.hidden_dim, learner.floats(weights));
  }
  draw_weights(draws, learner.layout.critic, kShape.hidden_dim,
               learner.floats(learner.layout.critic_weights));

  const std::vector<double> observation(17, 0.5);
  const std::vector<float> noise(6, 0.25F);
  test.observe(observation);
  test.act(noise);
  test.prepare();
  for (int i = 0; i < updates; ++i) {
    test.observe(observation);
    test.act(noise);
    test.learn(1.0, false, false, noise);
    test.prepare();
  }
  return test.state().critic_updates == updates ? 0 : 1;
}

}  // namespace
}  // namespace instep

int main(int argc, char** argv) {
  return argc == 3 ? instep::run(argv[1], std::atoi(argv[2])) : 2;
}

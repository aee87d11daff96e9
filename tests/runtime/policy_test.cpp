#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/algorithms/actor_critic/actor_policy.h"
#include "runtime/algorithms/actor_critic/agent.h"

namespace instep {
namespace {

constexpr Shape kShape{4, 2, 16};

ActorCriticConfig agent_config(Schedule schedule, bool observation_norm) {
  ActorCriticConfig config;
  config.shape = kShape;
  config.settings.hidden = kShape.hidden_dim;
  config.settings.observation_norm = observation_norm;
  config.schedule = schedule;
  config.executor = executors(Arithmetic::kFast).front();
  config.seed = 9;
  return config;
}

std::vector<double> observation_at(std::uint64_t step) {
  std::vector<double> observation(static_cast<std::size_t>(kShape.observation_dim));
  Random{3, 0}.normal(step, observation.data(), kShape.observation_dim);
  for (double& value : observation) value = 5.0 + 3.0 * value;
  return observation;
}

// An agent that has learnt for a while; throughput leaves an update undone.
void train(ActorCriticAgent& agent) {
  agent.begin_episode(observation_at(0).data());
  agent.update();
  for (std::uint64_t step = 1; step < 200; ++step) {
    agent.sense(observation_at(step).data(), std::sin(static_cast<double>(step)), false, false);
    agent.update();
  }
}

class PolicyTest : public testing::TestWithParam<std::tuple<Schedule, bool>> {
 protected:
  PolicyTest() : agent_(agent_config(std::get<0>(GetParam()), std::get<1>(GetParam()))) {
    train(agent_);
  }

  std::vector<float> action(Policy& policy, const std::vector<double>& observation,
                            const std::vector<float>& noise) {
    const float* action = policy.act(observation.data(), noise.data());
    return {action, action + kShape.action_dim};
  }

  ActorCriticAgent agent_;
};

TEST_P(PolicyTest, ChangesNeitherWeightsNorStatistics) {
  const Learner& learner = agent_.learner();
  const Layout& layout = learner.layout;
  ActorPolicy policy(learner, *agent_.config().executor);  // completes what was put off
  const std::vector<std::uint8_t> before(learner.block, learner.block + layout.bytes);
  for (std::uint64_t i = 0; i < 50; ++i) action(policy, observation_at(1000 + i), {0.3F, -1.0F});
  const std::vector<std::uint8_t> after(learner.block, learner.block + layout.bytes);
  const auto same = [&](std::size_t begin, std::size_t end) {
    return std::equal(before.begin() + static_cast<std::ptrdiff_t>(begin),
                      before.begin() + static_cast<std::ptrdiff_t>(end),
                      after.begin() + static_cast<std::ptrdiff_t>(begin));
  };
  EXPECT_TRUE(same(layout.actor_weights[0], layout.actor_tapes[0])) << "weights and moments";
  EXPECT_TRUE(same(layout.normalizer_mean, layout.scratch)) << "observation statistics";
  LearnerState state_before;
  std::copy_n(before.begin(), sizeof state_before, reinterpret_cast<std::uint8_t*>(&state_before));
  EXPECT_EQ(learner.state().normalizer_count, state_before.normalizer_count);
  EXPECT_EQ(learner.state().actor_updates, state_before.actor_updates);
  EXPECT_EQ(learner.state().critic_updates, state_before.critic_updates);
}

TEST_P(PolicyTest, IsAFunctionOfObservationAndNoise) {
  ActorPolicy policy(agent_.learner(), *agent_.config().executor);
  const std::vector<float> mean = action(policy, observation_at(1), {0.0F, 0.0F});
  const std::vector<float> drawn = action(policy, observation_at(1), {1.0F, -1.0F});
  const std::vector<float> elsewhere = action(policy, observation_at(2), {0.0F, 0.0F});
  EXPECT_NE(mean, drawn);
  EXPECT_NE(mean, elsewhere);
  EXPECT_EQ(action(policy, observation_at(1), {0.0F, 0.0F}), mean);
  EXPECT_EQ(action(policy, observation_at(1), {1.0F, -1.0F}), drawn);
  for (const float value : drawn) EXPECT_LE(std::fabs(value), 1.0F);
}

// What the agent itself would do next, were the statistics to stand still.
TEST_P(PolicyTest, ActsAsTheAgentDoes) {
  if (std::get<1>(GetParam()))
    return;  // with normalisation the agent's next step moves the statistics
  std::vector<float> noise(static_cast<std::size_t>(kShape.action_dim));
  Random{9, static_cast<std::uint32_t>(Stream::kExploration)}.normal(
      agent_.step() + 1, noise.data(), kShape.action_dim);
  ActorCriticAgent twin(agent_config(std::get<0>(GetParam()), false));
  train(twin);
  ActorPolicy policy(agent_.learner(), *agent_.config().executor);
  const std::vector<float> shown = action(policy, observation_at(500), noise);
  const float* chosen = twin.sense(observation_at(500).data(), 0.0, false, false);
  ASSERT_NE(chosen, nullptr);
  EXPECT_EQ(std::vector<float>(chosen, chosen + kShape.action_dim), shown);
}

// The statistics are used: far from their mean, an observation normalised is not the raw one.
TEST(Policy, NormalisesWithTheLearnersStatistics) {
  ActorCriticAgent agent(agent_config(Schedule::kActFirst, true));
  train(agent);
  const Learner& learner = agent.learner();
  const Layout& layout = learner.layout;
  ActorPolicy policy(learner, *agent.config().executor);
  const std::vector<float> noise(2, 0.0F);
  const std::vector<double> mean(learner.doubles(layout.normalizer_mean),
                                 learner.doubles(layout.normalizer_mean) + kShape.observation_dim);
  policy.act(mean.data(), noise.data());
  const float* input = learner.newest_actor_tape() + layout.actor_tape.input;
  for (int i = 0; i < kShape.observation_dim; ++i) EXPECT_EQ(input[i], 0.0F);
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, PolicyTest,
    testing::Combine(testing::Values(Schedule::kActFirst, Schedule::kThroughput), testing::Bool()));

}  // namespace
}  // namespace instep

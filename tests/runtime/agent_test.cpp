// The learner as the loop sees it: the order of calls, where its noise comes from, and what becomes
// of numbers that are not finite.
#include "runtime/algorithms/actor_critic/agent.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

namespace instep {
namespace {

constexpr Shape kShape{4, 2, 12};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

ActorCriticConfig make_config(Algorithm algorithm = Algorithm::kAvg,
                              Schedule schedule = Schedule::kActFirst) {
  ActorCriticConfig config;
  config.shape = kShape;
  config.settings.algorithm = algorithm;
  config.settings.hidden = kShape.hidden_dim;
  config.settings.actor_lr = 1e-3;
  config.settings.critic_lr = 1e-3;
  config.schedule = schedule;
  config.executor = executors(Arithmetic::kFast).front();
  config.seed = 11;
  return config;
}

std::vector<double> draw_observation(std::uint64_t step) {
  std::vector<double> observation(4);
  Random{1, static_cast<std::uint32_t>(Stream::kTaskEvents)}.normal(step, observation.data(), 4);
  return observation;
}

std::vector<std::uint8_t> block_of(const ActorCriticAgent& agent) {
  const Learner& learner = agent.learner();
  return {learner.block, learner.block + learner.layout.bytes};
}

// Everything that statistics are made of.
struct Statistics {
  double normalizer_count, running_return;
  Moments reward, discount, returns, return_squares;
  double mean[4], variance[4];
};

bool are_equal(const Statistics& a, const Statistics& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

Statistics statistics_of(const ActorCriticAgent& agent) {
  const Learner& learner = agent.learner();
  const LearnerState& state = learner.state();
  Statistics statistics{state.normalizer_count,
                        state.running_return,
                        state.reward_moments,
                        state.discount_moments,
                        state.return_moments,
                        state.return_square_moments,
                        {},
                        {}};
  std::memcpy(statistics.mean, learner.doubles(learner.layout.normalizer_mean),
              sizeof statistics.mean);
  std::memcpy(statistics.variance, learner.doubles(learner.layout.normalizer_variance),
              sizeof statistics.variance);
  return statistics;
}

void run_steps(ActorCriticAgent& agent, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t step = first; step < last; ++step) {
    ASSERT_NE(agent.sense(draw_observation(step).data(), 0.1, false, false), nullptr);
    agent.update();
  }
}

void start(ActorCriticAgent& agent) {
  ASSERT_NE(agent.begin_episode(draw_observation(1000).data()), nullptr);
  agent.update();
}

TEST(Agent, AnswersActionsWithinBoundsUntilTheEpisodeEnds) {
  ActorCriticAgent agent(make_config());
  const float* action = agent.begin_episode(draw_observation(0).data());
  agent.update();
  for (std::uint64_t step = 1; step <= 50; ++step) {
    ASSERT_NE(action, nullptr);
    for (int i = 0; i < kShape.action_dim; ++i) ASSERT_LE(std::abs(action[i]), 1.0F);
    const bool terminated = step % 7 == 0;
    const bool truncated = step % 5 == 0;
    action = agent.sense(draw_observation(step).data(), 1.0, terminated, truncated);
    agent.update();
    ASSERT_FALSE(agent.was_dropped());
    ASSERT_EQ(agent.step(), step);
    ASSERT_EQ(action == nullptr, terminated || truncated);
    if (action == nullptr) {
      action = agent.begin_episode(draw_observation(100 + step).data());
      agent.update();
    }
  }
  EXPECT_EQ(agent.learner().state().critic_updates, 50);
}

TEST(Agent, ActsBeforeItLearns) {
  // AVG's next action must not wait for the update; IAC's comes from the actor that has learnt.
  for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
    ActorCriticAgent agent(make_config(algorithm));
    start(agent);
    agent.sense(draw_observation(1).data(), 0.5, false, false);
    EXPECT_EQ(agent.learner().state().critic_updates, algorithm == Algorithm::kAvg ? 0 : 1);
    agent.update();
    EXPECT_EQ(agent.learner().state().critic_updates, 1);
  }
}

TEST(Agent, ActionStaysValidUntilTheNextCall) {
  ActorCriticAgent agent(make_config());
  start(agent);
  const float* action = agent.sense(draw_observation(1).data(), 0.5, false, false);
  const std::vector<float> before(action, action + 2);
  agent.update();
  EXPECT_EQ(std::vector<float>(action, action + 2), before);
}

TEST(Agent, IsItsExecutorFedWithPhilox) {
  const ActorCriticConfig config = make_config();
  ActorCriticAgent agent(config);
  ActorCriticAgent other(config);  // its learner is driven by hand
  const Executor& executor = *config.executor;
  const Learner& learner = other.learner();
  const auto noise = [&](Stream stream, std::uint64_t step) {
    std::vector<float> draws(2);
    Random{config.seed, static_cast<std::uint32_t>(stream)}.normal(step, draws.data(), 2);
    return draws;
  };
  start(agent);
  executor.observe(learner, draw_observation(1000).data());
  executor.act(learner, noise(Stream::kExploration, 0).data());
  executor.prepare(learner);
  for (std::uint64_t step = 0; step < 30; ++step) {
    const bool terminated = step % 6 == 5;
    agent.sense(draw_observation(step).data(), 0.3, terminated, false);
    agent.update();
    executor.observe(learner, draw_observation(step).data());
    if (!terminated) executor.act(learner, noise(Stream::kExploration, step + 1).data());
    executor.learn(learner, 0.3, terminated, false, noise(Stream::kNextAction, step).data());
    if (terminated) {
      start(agent);
      executor.observe(learner, draw_observation(1000).data());
      executor.act(learner, noise(Stream::kExploration, step + 1).data());
    }
    executor.prepare(learner);
    ASSERT_EQ(block_of(agent), block_of(other)) << step;
  }
}

TEST(Agent, AsksItsNoiseSourceForEachDrawOnce) {
  struct Call {
    Stream stream;
    std::uint64_t step;
    int count;
    bool operator==(const Call&) const = default;
  };
  std::vector<Call> calls;
  ActorCriticAgent agent(make_config());
  agent.set_noise_source(
      {&calls, [](void* self, Stream stream, std::uint64_t step, float* out, int count) {
         static_cast<std::vector<Call>*>(self)->push_back({stream, step, count});
         for (int i = 0; i < count; ++i) out[i] = 0.5F;
       }});
  start(agent);
  agent.sense(draw_observation(1).data(), 0.0, false, false);
  agent.update();
  agent.sense(draw_observation(2).data(), 0.0, true, false);
  agent.update();
  start(agent);
  const std::vector<Call> expected = {{Stream::kExploration, 0, 2},
                                      {Stream::kExploration, 1, 2},
                                      {Stream::kNextAction, 0, 2},
                                      {Stream::kNextAction, 1, 2},
                                      {Stream::kExploration, 2, 2}};
  EXPECT_EQ(calls, expected);
  const Learner& learner = agent.learner();
  EXPECT_EQ(learner.open_actor_tape()[learner.layout.actor_tape.noise], 0.5F);
}

TEST(Agent, CloseLearnsAndDrawsNoAction) {
  ActorCriticAgent closed(make_config());
  ActorCriticAgent open(make_config());
  for (ActorCriticAgent* agent : {&closed, &open}) {
    start(*agent);
    run_steps(*agent, 0, 5);
  }
  closed.close(draw_observation(50).data(), 0.5, false, false);
  open.sense(draw_observation(50).data(), 0.5, false, false);
  open.update();
  const Layout& layout = closed.learner().layout;
  EXPECT_EQ(closed.learner().state().critic_updates, 6);
  EXPECT_EQ(closed.learner().state().actor_updates, 6);
  EXPECT_EQ(open.learner().state().actor_updates, 7);
  EXPECT_EQ(closed.learner().state().td_error, open.learner().state().td_error);
  EXPECT_EQ(std::memcmp(closed.learner().floats(layout.critic_weights),
                        open.learner().floats(layout.critic_weights),
                        layout.critic.floats * sizeof(float)),
            0);
  EXPECT_EQ(closed.learner().state().is_open, 0U);
}

// Runs an episode life with ends and faults, and answers the block after a flush.
std::vector<std::uint8_t> run_life(Algorithm algorithm, Schedule schedule, bool flush_often) {
  ActorCriticAgent agent(make_config(algorithm, schedule));
  const float* action = agent.begin_episode(draw_observation(0).data());
  agent.update();
  for (std::uint64_t step = 1; step <= 200; ++step) {
    std::vector<double> observation = draw_observation(step);
    if (step % 13 == 0) observation[step % 4] = step % 2 == 0 ? kNan : kInfinity;
    const double reward = step % 17 == 0 ? kNan : 0.1 * static_cast<double>(step % 3);
    action = agent.sense(observation.data(), reward, step % 7 == 0, step % 11 == 0);
    agent.update();
    if (action == nullptr) {
      if (step % 13 == 1) {
        EXPECT_EQ(agent.begin_episode(std::vector<double>(4, kNan).data()), nullptr);
        agent.update();
      }
      EXPECT_NE(agent.begin_episode(draw_observation(500 + step).data()), nullptr);
      agent.update();
    }
    if (flush_often && step % 3 == 0) agent.flush();
  }
  agent.flush();
  return block_of(agent);
}

TEST(Agent, SchedulesGiveTheSameBitsAlsoAroundFaults) {
  for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
    const auto expected = run_life(algorithm, Schedule::kActFirst, false);
    EXPECT_EQ(run_life(algorithm, Schedule::kThroughput, false), expected);
    EXPECT_EQ(run_life(algorithm, Schedule::kThroughput, true), expected);
  }
}

// --- Numbers that are not finite
// -------------------------------------------------------------------

// A transition that may not be used: which observation or reward is spoilt, and by what.
struct Fault {
  int index;  // of the observation, or -1 for the reward
  double value;
};

class AgentFault : public testing::TestWithParam<Fault> {};

TEST_P(AgentFault, TouchesNoStatisticAndDropsTheTransition) {
  for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
    for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
      ActorCriticAgent agent(make_config(algorithm, schedule));
      start(agent);
      run_steps(agent, 0, 5);
      const Statistics before = statistics_of(agent);
      const std::int64_t critic_updates = agent.learner().state().critic_updates;

      std::vector<double> observation = draw_observation(70);
      double reward = 0.5;
      (GetParam().index < 0 ? reward : observation[static_cast<std::size_t>(GetParam().index)]) =
          GetParam().value;
      EXPECT_EQ(agent.sense(observation.data(), reward, false, false), nullptr);
      EXPECT_TRUE(agent.was_dropped());
      agent.update();
      EXPECT_TRUE(are_equal(statistics_of(agent), before));
      EXPECT_EQ(agent.learner().state().critic_updates, critic_updates);
      EXPECT_EQ(agent.learner().state().transitions_dropped, 1);
      EXPECT_EQ(agent.step(), 6U) << "a dropped transition counts as a step";

      start(agent);
      EXPECT_FALSE(agent.was_dropped());
      run_steps(agent, 6, 12);
      EXPECT_EQ(agent.learner().state().critic_updates, critic_updates + 6);
      EXPECT_EQ(agent.learner().state().critic_updates_dropped, 0);
      EXPECT_EQ(agent.learner().state().actor_updates_dropped, 0);
      EXPECT_TRUE(std::isfinite(agent.learner().state().td_error_scale));
    }
  }
}

TEST_P(AgentFault, AtAnEpisodesBeginningChangesNothing) {
  if (GetParam().index < 0) return;  // no reward belongs to a beginning
  ActorCriticAgent agent(make_config());
  start(agent);
  agent.close(draw_observation(3).data(), 0.5, true, false);
  const auto before = block_of(agent);
  std::vector<double> observation = draw_observation(70);
  observation[static_cast<std::size_t>(GetParam().index)] = GetParam().value;
  EXPECT_EQ(agent.begin_episode(observation.data()), nullptr);
  EXPECT_TRUE(agent.was_dropped());
  agent.update();
  EXPECT_EQ(block_of(agent), before);
}

// 1e300 is finite, but neither as a float nor when squared: one such sample would spoil a variance
// for good.
INSTANTIATE_TEST_SUITE_P(Faults, AgentFault,
                         testing::Values(Fault{0, kNan}, Fault{3, kNan}, Fault{1, kInfinity},
                                         Fault{2, -kInfinity}, Fault{0, 1e300}, Fault{-1, kNan},
                                         Fault{-1, kInfinity}, Fault{-1, -kInfinity},
                                         Fault{-1, -1e300}));

void set_actor(const ActorCriticAgent& agent, float mean_bias, bool zero_weights) {
  const Learner& learner = agent.learner();
  for (const std::size_t weights : learner.layout.actor_weights) {
    float* actor = learner.floats(weights);
    if (zero_weights) std::memset(actor, 0, learner.layout.actor.floats * sizeof(float));
    actor[learner.layout.actor.b_head] = mean_bias;
  }
}

TEST(Agent, SendsNoActionThatIsNotFinite) {
  ActorCriticAgent agent(make_config());
  set_actor(agent, 0.0F, true);  // its feature has length 0
  EXPECT_EQ(agent.begin_episode(draw_observation(0).data()), nullptr);
  EXPECT_TRUE(agent.was_dropped());
  agent.update();
  EXPECT_EQ(agent.learner().state().is_open, 0U);
}

TEST(Agent, OpensNoTransitionWhoseLogProbabilityIsNotFinite) {
  // The action is a perfect 1, but its log probability would enter the reward statistics for good.
  ActorCriticAgent agent(make_config());
  set_actor(agent, 3e38F, false);
  EXPECT_EQ(agent.begin_episode(draw_observation(0).data()), nullptr);
  EXPECT_TRUE(agent.was_dropped());
  agent.update();
  set_actor(agent, 0.0F, false);
  start(agent);
  run_steps(agent, 0, 3);
  EXPECT_TRUE(std::isfinite(agent.learner().state().running_return));
}

TEST(Agent, LearnsFromATransitionWhoseNextActionIsNotFinite) {
  for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
    ActorCriticAgent agent(make_config(Algorithm::kAvg, schedule));
    start(agent);
    agent.flush();
    const std::uint32_t newest = agent.learner().state().actor_newest;
    float* actor = agent.learner().floats(agent.learner().layout.actor_weights[newest]);
    std::memset(actor, 0, agent.learner().layout.actor.floats * sizeof(float));
    EXPECT_EQ(agent.sense(draw_observation(1).data(), 0.5, false, false), nullptr);
    EXPECT_TRUE(agent.was_dropped());
    agent.update();
    EXPECT_EQ(agent.learner().state().critic_updates, 1);
    EXPECT_EQ(agent.learner().state().is_open, 0U);
  }
}

TEST(Agent, SchedulesGiveTheSameBitsWhereNoActionCouldBeSent) {
  std::vector<std::uint8_t> blocks[2];
  for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
    ActorCriticConfig config = make_config(Algorithm::kAvg, schedule);
    config.settings.observation_norm = false;
    config.settings.feature_norm = false;
    ActorCriticAgent agent(config);
    start(agent);
    run_steps(agent, 0, 3);
    // Within a float's range, but not what the actor makes of it.
    EXPECT_EQ(agent.sense(std::vector<double>(4, 3e38).data(), 0.5, false, false), nullptr);
    EXPECT_TRUE(agent.was_dropped());
    agent.update();
    agent.flush();
    blocks[static_cast<int>(schedule)] = block_of(agent);
  }
  // NaN has many patterns, so what the last tick computed may differ; what goes on may not.
  EXPECT_EQ(std::memcmp(blocks[0].data(), blocks[1].data(), offsetof(LearnerState, reward_stat)),
            0);
}

// --- Misuse
// ----------------------------------------------------------------------------------------

TEST(Agent, RefusesToSkipAnUpdate) {
  ActorCriticAgent agent(make_config());
  agent.begin_episode(draw_observation(0).data());
  EXPECT_THROW(agent.sense(draw_observation(1).data(), 0.0, false, false), std::logic_error);
  EXPECT_THROW(agent.begin_episode(draw_observation(1).data()), std::logic_error);
}

TEST(Agent, RefusesAConfigThatContradictsItself) {
  ActorCriticConfig config = make_config();
  config.settings.hidden = 16;
  EXPECT_THROW(ActorCriticAgent{config}, std::logic_error);
  config = make_config();
  config.executor = nullptr;
  EXPECT_THROW(ActorCriticAgent{config}, std::logic_error);
}

}  // namespace
}  // namespace instep

// An agent whose learning is done apart from the loop: the same bits where it is in time, and known
// losses where it is not. Here both sides are called by one thread, in the order a test wants.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/algorithms/actor_critic/apart_agent.h"

namespace instep {
namespace {

constexpr Shape kShape{4, 2, 12};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ActorCriticConfig make_config(Algorithm algorithm = Algorithm::kAvg) {
  ActorCriticConfig config;
  config.settings.algorithm = algorithm;
  config.shape = kShape;
  config.settings.hidden = kShape.hidden_dim;
  config.settings.actor_lr = 1e-3;
  config.settings.critic_lr = 1e-3;
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

void finish(Agent& agent) {
  while (agent.run_next_task()) continue;
}

// One tick of a life with episodes' ends and numbers that are none. Answers the action, or null.
const float* live(Agent& agent, std::uint64_t step, bool must_begin) {
  const float* action = nullptr;
  if (must_begin) {
    action = agent.begin_episode(draw_observation(500 + step).data());
  } else if (step % 23 == 0) {
    agent.interrupt();
  } else {
    std::vector<double> observation = draw_observation(step);
    if (step % 13 == 0) observation[step % 4] = kNan;
    const double reward = step % 17 == 0 ? kNan : 0.1 * static_cast<double>(step % 3);
    action = agent.sense(observation.data(), reward, step % 7 == 0, step % 11 == 0);
  }
  return action;
}

class AgentApartOf : public testing::TestWithParam<Algorithm> {};

INSTANTIATE_TEST_SUITE_P(Algorithms, AgentApartOf,
                         testing::Values(Algorithm::kAvg, Algorithm::kRac));

TEST_P(AgentApartOf, HasTheBitsOfOneThreadWhenItIsInTime) {
  ActorCriticAgent together(make_config(GetParam()));
  ApartAgent apart(make_config(GetParam()));
  bool must_begin = true;
  for (std::uint64_t step = 1; step <= 500; ++step) {
    const float* expected = live(together, step, must_begin);
    const float* action = live(apart, step, must_begin);
    ASSERT_EQ(action == nullptr, expected == nullptr) << step;
    ASSERT_TRUE(action == nullptr || std::memcmp(action, expected, 2 * sizeof(float)) == 0) << step;
    together.update();
    apart.update();
    EXPECT_TRUE(action == nullptr || !apart.is_learner_idle());
    finish(apart);
    ASSERT_EQ(block_of(apart), block_of(together)) << step;
    must_begin = action == nullptr;
  }
  EXPECT_EQ(apart.late_learning().ticks, 0U);
  EXPECT_EQ(apart.step(), together.step());
}

// Which ticks were late decides everything; when in between the learner worked, nothing.
TEST_P(AgentApartOf, IsDecidedByWhichTicksWereLate) {
  const Random random{4, 0};
  std::vector<std::uint8_t> blocks[3];
  std::vector<float> actions[3];
  for (int life = 0; life < 3; ++life) {
    ApartAgent agent(make_config(GetParam()));
    bool must_begin = true;
    for (std::uint64_t step = 1; step <= 2000; ++step) {
      double draw[8];
      random.uniform(step, draw, 4);
      Random{static_cast<std::uint64_t>(life), 1}.uniform(step, draw + 4, 4);
      if (draw[0] < 0.5) {
        finish(agent);
      } else {
        // None of the tasks in the first life, all but one in the second, some in the third.
        while (agent.tasks_left() > 1 && (life == 1 || (life == 2 && draw[4] < 0.6))) {
          agent.run_next_task();
        }
      }
      const float* action = live(agent, step, must_begin);
      agent.update();
      must_begin = action == nullptr;
      if (action != nullptr) actions[life].insert(actions[life].end(), action, action + 2);
    }
    finish(agent);
    EXPECT_GT(agent.late_learning().ticks, 500U);
    EXPECT_EQ(agent.late_learning().tasks_lost, 0U);
    EXPECT_TRUE(std::isfinite(agent.learner().state().td_error));
    blocks[life] = block_of(agent);
  }
  EXPECT_EQ(blocks[1], blocks[0]);
  EXPECT_EQ(blocks[2], blocks[0]);
  EXPECT_EQ(actions[1], actions[0]);
  EXPECT_EQ(actions[2], actions[0]);
}

// One late stretch, against the same executor driven by hand.
TEST(AgentApart, DropsWhatWasNotBegunButForItsReward) {
  const ActorCriticConfig config = make_config();
  ApartAgent agent(config);
  ApartAgent other(config);
  const Executor& executor = *config.executor;
  const Learner& learner = other.learner();
  const TapeLayout& tape = learner.layout.actor_tape;
  const auto noise = [&](Stream stream, std::uint64_t step) {
    std::vector<float> draws(2);
    Random{config.seed, static_cast<std::uint32_t>(stream)}.normal(step, draws.data(), 2);
    return draws;
  };
  // In time: s0 opened; at s1 learnt and opened.
  agent.begin_episode(draw_observation(0).data());
  agent.update();
  finish(agent);
  agent.sense(draw_observation(1).data(), 0.1, false, false);
  agent.update();
  // Late at s2 and s3: two actions by the weights that acted at s1.
  std::vector<float> late_actions[2];
  for (std::uint64_t step = 2; step <= 3; ++step) {
    const float* action =
        agent.sense(draw_observation(step).data(), 0.1 * static_cast<double>(step), false, false);
    ASSERT_NE(action, nullptr);
    EXPECT_TRUE(agent.was_late());
    late_actions[step - 2].assign(action, action + 2);
    agent.update();
  }
  // In time again at s4.
  finish(agent);
  ASSERT_NE(agent.sense(draw_observation(4).data(), 0.4, false, false), nullptr);
  EXPECT_FALSE(agent.was_late());
  agent.update();
  finish(agent);
  EXPECT_EQ(agent.late_learning().ticks, 2U);
  EXPECT_EQ(agent.late_learning().transitions_dropped, 2U);

  executor.observe(learner, draw_observation(0).data());
  executor.act(learner, noise(Stream::kExploration, 0).data());
  executor.prepare(learner);
  executor.observe(learner, draw_observation(1).data());
  executor.act(learner, noise(Stream::kExploration, 1).data());
  const std::uint32_t acted = learner.state().actor_newest;
  executor.learn(learner, 0.1, false, false, noise(Stream::kNextAction, 0).data());
  // The weights that are still being learnt at s2 and s3, as they were at s1.
  std::vector<float> weights(learner.layout.actor.floats);
  std::memcpy(weights.data(), learner.floats(learner.layout.actor_weights[acted]),
              weights.size() * sizeof(float));
  executor.prepare(learner);
  EXPECT_EQ(std::memcmp(weights.data(), learner.floats(learner.layout.actor_weights[acted]),
                        weights.size() * sizeof(float)),
            0)
      << "an update must leave the weights alone that the loop may be reading";

  // At s2 the open transition is closed as if nothing had been drawn there.
  executor.observe(learner, draw_observation(2).data());
  executor.learn(learner, 0.2, false, false, noise(Stream::kNextAction, 1).data());
  struct alignas(64) Tape {
    float floats[4096] = {};
  };
  ASSERT_LE(learner.layout.actor_tape.floats, 4096U);
  Tape late;
  std::copy_n(learner.newest_actor_tape() + tape.input, 4, late.floats + tape.input);
  executor.act_apart(learner, acted, late.floats, noise(Stream::kExploration, 2).data());
  EXPECT_EQ(std::vector<float>(late.floats + tape.action, late.floats + tape.action + 2),
            late_actions[0]);
  // At s3 and s4 the transitions from s2 and s3 end, which were never begun.
  executor.account(learner, 0.1 * 3.0, late.floats[tape.scalars + kLogProb], false, false);
  executor.normalize(learner, draw_observation(3).data(), late.floats + tape.input);
  executor.act_apart(learner, acted, late.floats, noise(Stream::kExploration, 3).data());
  EXPECT_EQ(std::vector<float>(late.floats + tape.action, late.floats + tape.action + 2),
            late_actions[1]);
  executor.account(learner, 0.4, late.floats[tape.scalars + kLogProb], false, false);
  executor.observe(learner, draw_observation(4).data());
  executor.act(learner, noise(Stream::kExploration, 4).data());
  executor.prepare(learner);
  EXPECT_EQ(block_of(agent), block_of(other));
}

// Counts that hold whatever was late: every finite observation is normalised, every finite reward
// counted, and what was learnt and what was dropped are all there were.
TEST(AgentApart, LosesNoFactAboutTheWorld) {
  ApartAgent agent(make_config());
  ASSERT_NE(agent.begin_episode(draw_observation(0).data()), nullptr);
  agent.update();
  const int steps = 3000;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    // The learner needs three periods.
    if (step % 3 == 0) finish(agent);
    ASSERT_NE(agent.sense(draw_observation(step).data(), 0.5, false, false), nullptr);
    agent.update();
  }
  finish(agent);
  const LearnerState& state = agent.learner().state();
  EXPECT_EQ(agent.late_learning().tasks_lost, 0U);
  EXPECT_NEAR(state.normalizer_count, steps + 1 + 1e-4, 1e-6);
  EXPECT_EQ(state.reward_moments.count, steps);
  EXPECT_EQ(
      static_cast<std::uint64_t>(state.critic_updates) + agent.late_learning().transitions_dropped,
      steps);
  EXPECT_GT(state.critic_updates, 0);
}

TEST(AgentApart, TakesASnapshotOfWhatItWillBe) {
  ApartAgent agent(make_config());
  int taken = 0;
  agent.set_hooks({.self = &taken,
                   .state_taken = [](void* self, std::uint64_t) { ++*static_cast<int*>(self); }});
  agent.begin_episode(draw_observation(0).data());
  agent.update();
  for (std::uint64_t step = 1; step <= 20; ++step) {
    if (step != 10) finish(agent);
    agent.sense(draw_observation(step).data(), 0.5, false, false);
    agent.update();
  }
  std::vector<std::uint8_t> snapshot(agent.learner().layout.bytes, 0xEE);
  ASSERT_TRUE(agent.request_state(snapshot));
  EXPECT_EQ(taken, 0);
  finish(agent);
  EXPECT_EQ(taken, 1);
  EXPECT_EQ(snapshot, block_of(agent));
}

TEST(AgentApart, CountsWhatTheLearnerCouldNotBeTold) {
  ApartAgent agent(make_config());
  agent.begin_episode(draw_observation(0).data());
  agent.update();
  for (std::uint64_t step = 1; step <= 1100; ++step) {
    ASSERT_NE(agent.sense(draw_observation(step).data(), 0.5, false, false), nullptr);
    agent.update();
  }
  EXPECT_EQ(agent.late_learning().ticks, 1100U);
  EXPECT_EQ(agent.late_learning().tasks_lost, 1101U - 1024U);
  finish(agent);
  EXPECT_NE(agent.sense(draw_observation(2000).data(), 0.5, false, false), nullptr);
  EXPECT_FALSE(agent.was_late());
  agent.update();
}

// Two real threads; ThreadSanitizer watches. The learner is slowed so that many ticks are late.
TEST(AgentApart, SharesTheLearnerBetweenTwoThreads) {
  ApartAgent agent(make_config());
  std::atomic<bool> is_over{false};
  std::vector<std::uint8_t> snapshot(agent.learner().layout.bytes);
  std::atomic<int> snapshots{0};
  agent.set_hooks({&snapshots, nullptr, nullptr,
                   [](void* self, std::uint64_t) { ++*static_cast<std::atomic<int>*>(self); }});
  std::thread learner([&] {
    std::uint32_t i = 0;
    while (!is_over || !agent.is_learner_idle()) {
      if (agent.run_next_task() && ++i % 7 == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    }
  });
  bool must_begin = true;
  int asked = 0;
  for (std::uint64_t step = 1; step <= 20'000; ++step) {
    const float* action = live(agent, step, must_begin);
    agent.update();
    must_begin = action == nullptr;
    if (asked == snapshots && step % 100 == 0 && agent.request_state(snapshot)) ++asked;
    if (step % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  is_over = true;
  learner.join();
  EXPECT_GT(asked, 1);
  EXPECT_EQ(asked, snapshots);
  EXPECT_GT(agent.learner().state().critic_updates, 0);
}

TEST(AgentApart, RefusesWhatItCannotBe) {
  ActorCriticConfig config = make_config();
  config.schedule = Schedule::kThroughput;
  EXPECT_THROW(ApartAgent{config}, std::logic_error);
  config = make_config();
  config.settings.algorithm = Algorithm::kIac;
  EXPECT_THROW(ApartAgent{config}, std::logic_error);
}

}  // namespace
}  // namespace instep

// What must have the same bits: both schedules, repeats, and all portable executors. The whole
// block is compared, byte by byte.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "kernels/learner.h"
#include "test_learner.h"

namespace instep {
namespace {

constexpr int kSteps = 300;

struct RunCase {
  Shape shape;
  LearnerSettings settings;
};

std::vector<RunCase> all_cases() {
  const Shape shapes[] = {{3, 1, 4},    {17, 6, 32}, {8, 2, 64},  {5, 3, 100},
                          {11, 3, 128}, {4, 2, 256}, {6, 11, 200}};
  std::vector<RunCase> cases;
  for (const Shape& shape : shapes) {
    for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
      LearnerSettings settings;
      settings.algorithm = algorithm;
      settings.actor_lr = 1e-3;
      settings.critic_lr = 2e-3;
      settings.beta1 = cases.size() % 3 == 1 ? 0.9 : 0.0;
      settings.feature_norm = cases.size() % 4 != 3;
      settings.observation_norm_horizon = cases.size() % 5 == 2 ? 50 : 0;
      settings.truncation_return =
          cases.size() % 2 == 0 ? TruncationReturn::kCarry : TruncationReturn::kPush;
      cases.push_back({shape, settings});
    }
  }
  for (const Shape& shape : shapes) {
    LearnerSettings settings;
    settings.algorithm = Algorithm::kRac;
    settings.entropy_coef = 0.005;
    settings.actor_lr = 1e-3;
    settings.critic_lr = 2e-3;
    settings.trace_decay = cases.size() % 3 == 1 ? 0.0 : 0.8;
    settings.maximum_decay = cases.size() % 2 == 0 ? 0.99995 : 0.9;
    settings.observation_norm_horizon = cases.size() % 5 == 2 ? 50 : 0;
    cases.push_back({shape, settings});
  }
  return cases;
}

TestLearner start(const RunCase& c, const Executor& executor, Schedule schedule, Draws& draws) {
  TestLearner test(c.shape, c.settings, executor, schedule);
  draw_weights(draws, test);
  const auto observation = draws.normals<double>(c.shape.observation_dim);
  begin_episode(test, observation, draws.normals<float>(c.shape.action_dim));
  return test;
}

// How often each kind of end was met, so that a test knows that it has seen them.
struct Ends {
  int terminated = 0, truncated = 0, both = 0, consecutive = 0;
  bool was_end = false;
  void count(const Transition& t) {
    const bool is_end = t.terminated || t.truncated;
    terminated += t.terminated && !t.truncated;
    truncated += t.truncated && !t.terminated;
    both += t.terminated && t.truncated;
    consecutive += is_end && was_end;
    was_end = is_end;
  }
};

class LearnerIdentity : public testing::TestWithParam<const Executor*> {};

TEST_P(LearnerIdentity, SchedulesGiveTheSameBits) {
  Ends ends;
  for (const RunCase& c : all_cases()) {
    Draws draws(5);
    Draws same_draws(5);
    const TestLearner act_first = start(c, *GetParam(), Schedule::kActFirst, draws);
    const TestLearner throughput = start(c, *GetParam(), Schedule::kThroughput, same_draws);
    // A third one flushes whenever the draws say so, as checkpoints do, and goes on.
    const TestLearner flushing(throughput);
    TestLearner flushed(throughput);
    for (int step = 0; step < kSteps; ++step) {
      const Transition t = draw_transition(draws, c.shape);
      ends.count(t);
      take_step(act_first, t);
      take_step(throughput, t);
      take_step(flushing, t);
      flushed.copy_block(throughput);
      flushed.flush();
      ASSERT_TRUE(flushed.has_block_of(act_first)) << "step " << step;
      if (draws.uniform(0.0, 1.0) < 0.3) flushing.flush();
    }
    flushing.flush();
    EXPECT_TRUE(flushing.has_block_of(act_first));
    EXPECT_EQ(act_first.state().actor_updates,
              kSteps + (has_q_critic(c.settings.algorithm) ? 1 : 0));
    EXPECT_EQ(act_first.state().critic_updates, kSteps);
  }
  EXPECT_GT(ends.terminated, 20);
  EXPECT_GT(ends.truncated, 20);
  EXPECT_GT(ends.both, 20);
  EXPECT_GT(ends.consecutive, 20);
}

TEST_P(LearnerIdentity, FlushOfActFirstDoesNothing) {
  const RunCase c = all_cases()[2];
  Draws draws(8);
  const TestLearner test = start(c, *GetParam(), Schedule::kActFirst, draws);
  for (int step = 0; step < 20; ++step) take_step(test, draw_transition(draws, c.shape));
  const TestLearner before(test);
  test.flush();
  EXPECT_TRUE(test.has_block_of(before));
}

TEST_P(LearnerIdentity, RepeatsGiveTheSameBits) {
  for (const RunCase& c : all_cases()) {
    Draws draws(6);
    Draws same_draws(6);
    const TestLearner one = start(c, *GetParam(), Schedule::kThroughput, draws);
    const TestLearner two = start(c, *GetParam(), Schedule::kThroughput, same_draws);
    for (int step = 0; step < 100; ++step) {
      take_step(one, draw_transition(draws, c.shape));
      take_step(two, draw_transition(same_draws, c.shape));
    }
    ASSERT_TRUE(one.has_block_of(two));
  }
}

TEST_P(LearnerIdentity, PaddingStaysZero) {
  for (const RunCase& c : all_cases()) {
    Draws draws(7);
    const TestLearner test = start(c, *GetParam(), Schedule::kActFirst, draws);
    for (int step = 0; step < 50; ++step) take_step(test, draw_transition(draws, c.shape));
    const Layout& layout = test.layout();
    const auto expect_zero_padding = [&](const NetworkLayout& network, std::size_t array) {
      std::vector<bool> is_parameter(network.floats);
      for_each_parameter(network, c.shape.hidden_dim,
                         [&](std::size_t, std::size_t at) { is_parameter[at] = true; });
      for (std::size_t i = 0; i < network.floats; ++i) {
        ASSERT_TRUE(is_parameter[i] || test.learner().floats(array)[i] == 0.0F) << i;
      }
    };
    for (const std::size_t weights : layout.actor_weights) {
      expect_zero_padding(layout.actor, weights);
    }
    expect_zero_padding(layout.actor, layout.actor_optimizer[0]);
    expect_zero_padding(layout.critic, layout.critic_weights);
    expect_zero_padding(layout.critic, layout.critic_optimizer[0]);
    if (layout.actor_arrays > 1) expect_zero_padding(layout.actor, layout.actor_optimizer[1]);
    if (layout.critic_arrays > 1) expect_zero_padding(layout.critic, layout.critic_optimizer[1]);
  }
}

INSTANTIATE_TEST_SUITE_P(Executors, LearnerIdentity, testing::ValuesIn(all_executors()),
                         [](const auto& suite) { return name_of(*suite.param); });

TEST(PortableExecutors, GiveTheSameBits) {
  const auto portable = executors(Arithmetic::kPortable);
  if (portable.size() < 2) GTEST_SKIP() << "this machine has one path only";
  for (const RunCase& c : all_cases()) {
    for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
      std::vector<TestLearner> learners;
      for (const Executor* executor : portable) {
        Draws draws(9);
        learners.push_back(start(c, *executor, schedule, draws));
      }
      Draws draws(10);
      for (int step = 0; step < kSteps; ++step) {
        const Transition t = draw_transition(draws, c.shape);
        for (const TestLearner& learner : learners) take_step(learner, t);
        for (const TestLearner& learner : learners) {
          ASSERT_TRUE(learner.has_block_of(learners.front())) << "step " << step;
        }
      }
    }
  }
}

// Pins the bits of the portable arithmetic: other machines and compilers must give the same.
TEST(PortableExecutors, HaveTheSameBitsEverywhere) {
  const auto portable = executors(Arithmetic::kPortable);
  const std::array<std::uint64_t, 3> expected = {0x6fb0f8e18ef1a1f3U, 0x4e3c288f0c38b2a7U,
                                                 0xd0164d223496a2daU};
  for (const std::size_t algorithm : {0U, 1U, 2U}) {
    const RunCase c = all_cases()[algorithm < 2 ? 2 + algorithm : 15];
    ASSERT_EQ(static_cast<std::size_t>(c.settings.algorithm), algorithm);
    Draws draws(11);
    const TestLearner test = start(c, *portable.front(), Schedule::kActFirst, draws);
    for (int step = 0; step < kSteps; ++step) take_step(test, draw_transition(draws, c.shape));
    std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a over bytes
    for (std::size_t i = 0; i < test.layout().bytes; ++i) {
      hash = (hash ^ test.learner().block[i]) * 0x100000001b3U;
    }
    EXPECT_EQ(hash, expected[algorithm]) << "algorithm " << algorithm;
  }
}

TEST(Executors, AreFoundByTheirNames) {
  for (const Executor* executor : all_executors()) {
    EXPECT_EQ(find_executor(executor->path, executor->arithmetic), executor);
  }
  EXPECT_NE(find_executor("scalar", Arithmetic::kFast), nullptr);
  EXPECT_NE(find_executor("scalar", Arithmetic::kPortable), nullptr);
  EXPECT_EQ(find_executor("abacus", Arithmetic::kFast), nullptr);
}

}  // namespace
}  // namespace instep

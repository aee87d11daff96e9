// The statistics of a learner against sums over all that was seen, and what it does with numbers
// that are not finite.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "kernels/adam.h"
#include "kernels/learner.h"
#include "test_learner.h"

namespace instep {
namespace {

constexpr Shape kShape{5, 2, 20};

const Executor& any_executor() {
  return *executors(Arithmetic::kFast).front();
}

TestLearner make_learner(const LearnerSettings& settings, const Executor& executor = any_executor(),
                         Schedule schedule = Schedule::kActFirst) {
  TestLearner test(kShape, settings, executor, schedule);
  Draws draws(3);
  draw_weights(draws, test);
  return test;
}

double variance_of(const std::vector<double>& values) {
  double mean = 0.0;
  double sum = 0.0;
  for (const double x : values) mean += x / static_cast<double>(values.size());
  for (const double x : values) sum += (x - mean) * (x - mean);
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

// The scale of the TD error as the reference defines it, from all samples at once.
struct ReferenceScale {
  std::vector<double> rewards, discounts, squared_returns;
  double value() const {
    double mean_square = 0.0;
    for (const double x : squared_returns) {
      mean_square += x / static_cast<double>(squared_returns.size());
    }
    const double variance =
        std::max(variance_of(rewards) + variance_of(discounts) * mean_square, 1e-4);
    return variance <= 0.01 && squared_returns.empty() ? 1.0 : std::sqrt(variance);
  }
};

void expect_statistics_of(Algorithm algorithm, TruncationReturn truncation_return,
                          double reward_scale) {
  LearnerSettings settings;
  settings.algorithm = algorithm;
  settings.truncation_return = truncation_return;
  settings.entropy_coef = 0.1 * reward_scale;
  const TestLearner test = make_learner(settings);
  Draws draws(4);
  begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
  ReferenceScale scale;
  double running_return = 0.0;
  for (int step = 0; step < 300; ++step) {
    Transition t = draw_transition(draws, kShape);
    t.reward *= reward_scale;
    if (step < 20) t.terminated = t.truncated = false;
    const float log_prob =
        test.learner().open_actor_tape()[test.layout().actor_tape.scalars + kLogProb];
    take_step(test, t);

    double sample = t.reward;
    if (algorithm == Algorithm::kAvg) {
      sample -= settings.entropy_coef * static_cast<double>(log_prob);
      running_return += sample;
    } else {
      running_return = settings.discount * running_return + sample;
    }
    const LearnerState& state = test.state();
    ASSERT_NEAR(state.reward_stat, sample, 1e-12 * reward_scale);
    ASSERT_NEAR(state.return_before_clear, running_return, 1e-10 * reward_scale);
    const bool ends_return =
        t.terminated || (t.truncated && truncation_return == TruncationReturn::kPush);
    scale.rewards.push_back(sample);
    scale.discounts.push_back(ends_return ? 0.0 : settings.discount);
    if (ends_return) {
      scale.squared_returns.push_back(running_return * running_return);
      running_return = 0.0;
    }
    ASSERT_NEAR(state.running_return, running_return, 1e-10 * reward_scale);
    ASSERT_NEAR(state.td_error_scale, scale.value(), 1e-10 * (1.0 + reward_scale)) << step;
    ASSERT_EQ(state.return_moments.count, static_cast<double>(scale.squared_returns.size()));
  }
  EXPECT_GT(scale.squared_returns.size(), 10U);
}

TEST(TdErrorScale, IsTheReferencesOverTheWholeLife) {
  for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
    for (const auto rule : {TruncationReturn::kCarry, TruncationReturn::kPush}) {
      // Small rewards meet the floor and the rule of the start.
      for (const double reward_scale : {1e-3, 1.0, 1e3}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(algorithm) << static_cast<int>(rule)
                                        << " " << reward_scale);
        expect_statistics_of(algorithm, rule, reward_scale);
      }
    }
  }
}

TEST(TruncationReturn, ChangesOnlyTheStatistics) {
  // The target still bootstraps: with the scaling off both rules learn the same.
  LearnerSettings settings;
  settings.td_error_scaling = false;
  const TestLearner carry = make_learner(settings);
  settings.truncation_return = TruncationReturn::kPush;
  const TestLearner push = make_learner(settings);
  Draws draws(5);
  for (const TestLearner* test : {&carry, &push}) {
    begin_episode(*test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
  }
  for (int step = 0; step < 50; ++step) {
    const Transition t = draw_transition(draws, kShape);
    take_step(carry, t);
    take_step(push, t);
  }
  EXPECT_NE(carry.state().running_return, push.state().running_return);
  EXPECT_NE(carry.state().return_moments.count, push.state().return_moments.count);
  const auto equal = [&](std::size_t array, std::size_t floats) {
    return std::memcmp(carry.learner().floats(array), push.learner().floats(array),
                       floats * sizeof(float)) == 0;
  };
  EXPECT_TRUE(equal(carry.layout().critic_weights, carry.layout().critic.floats));
  EXPECT_TRUE(equal(carry.layout().actor_weights[0], carry.layout().actor.floats));
}

TEST(Termination, StopsBootstrappingAndTruncationDoesNot) {
  LearnerSettings settings;
  settings.td_error_scaling = false;
  for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
    settings.algorithm = algorithm;
    for (const bool terminated : {false, true}) {
      const TestLearner test = make_learner(settings);
      begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
      const double value =
          static_cast<double>(test.learner().open_critic_tape()[test.layout().critic_tape.head]);
      test.observe({2, 1, 3, 5, 4});
      test.learn(0.5, terminated, true, {0.3F, 0.4F});
      double next = static_cast<double>(test.state().q_next);
      if (algorithm == Algorithm::kAvg) {
        next -= settings.entropy_coef * static_cast<double>(test.state().next_log_prob);
      }
      const double target = 0.5 + (terminated ? 0.0 : settings.discount * next);
      EXPECT_NEAR(static_cast<double>(test.state().td_error), target - value, 1e-5);
    }
  }
}

// --- Normaliser
// ------------------------------------------------------------------------------------

TEST(Normalizer, IsGymnasiumsOverTheWholeLife) {
  const TestLearner test = make_learner({});
  Draws draws(6);
  std::vector<std::vector<double>> seen(5);
  for (int k = 1; k <= 200; ++k) {
    const std::vector<double> observation = draws.normals<double>(5, 3.0);
    test.observe(observation);
    // Gymnasium starts from a count of 1e-4 with mean 0 and variance 1: as if a 1e-4th sample of
    // that variance had been seen.
    const double count = k + 1e-4;
    EXPECT_NEAR(test.state().normalizer_count, count, 1e-9);
    for (std::size_t i = 0; i < 5; ++i) {
      seen[i].push_back(observation[i]);
      double mean = 0.0;
      for (const double x : seen[i]) mean += x / count;
      double squares = 1e-4 * (1.0 + mean * mean);
      for (const double x : seen[i]) squares += (x - mean) * (x - mean);
      const double variance = squares / count;
      EXPECT_NEAR(test.learner().doubles(test.layout().normalizer_mean)[i], mean, 1e-12);
      EXPECT_NEAR(test.learner().doubles(test.layout().normalizer_variance)[i], variance,
                  1e-12 * (1.0 + variance));
      EXPECT_EQ(
          test.learner().newest_actor_tape()[test.layout().actor_tape.input + i],
          static_cast<float>(
              (observation[i] - test.learner().doubles(test.layout().normalizer_mean)[i]) /
              std::sqrt(test.learner().doubles(test.layout().normalizer_variance)[i] + 1e-8)));
    }
  }
}

TEST(Normalizer, WithAHorizonForgetsGeometrically) {
  LearnerSettings settings;
  settings.observation_norm_horizon = 40;
  const TestLearner test = make_learner(settings);
  const std::vector<double> low(5, 0.0);
  const std::vector<double> high(5, 10.0);
  for (int k = 0; k < 100; ++k) test.observe(low);
  EXPECT_EQ(test.state().normalizer_count, 40.0);
  // From here each sample has weight 1 / 41.
  double keep = 1.0;
  for (int k = 0; k < 100; ++k) {
    test.observe(high);
    keep *= 40.0 / 41.0;
    ASSERT_NEAR(test.learner().doubles(test.layout().normalizer_mean)[0], 10.0 * (1.0 - keep),
                1e-12);
  }
  EXPECT_EQ(test.state().normalizer_count, 40.0);
}

TEST(Normalizer, BeforeItsHorizonIsTheOneWithout) {
  LearnerSettings settings;
  const TestLearner whole = make_learner(settings);
  settings.observation_norm_horizon = 40;
  const TestLearner horizon = make_learner(settings);
  Draws draws(7);
  for (int k = 0; k < 39; ++k) {
    const std::vector<double> observation = draws.normals<double>(5);
    whole.observe(observation);
    horizon.observe(observation);
    ASSERT_TRUE(whole.has_block_of(horizon));
  }
}

TEST(Normalizer, OffPassesTheObservationOn) {
  LearnerSettings settings;
  settings.observation_norm = false;
  const TestLearner test = make_learner(settings);
  const LearnerState before = test.state();
  test.observe({1.0, -2.0, 3.25, 1e-7, 1e5});
  const float* input = test.learner().newest_actor_tape() + test.layout().actor_tape.input;
  EXPECT_EQ(std::vector<float>(input, input + 5),
            (std::vector<float>{1.0F, -2.0F, 3.25F, 1e-7F, 1e5F}));
  EXPECT_EQ(test.state().normalizer_count, before.normalizer_count);
}

// --- Numbers that are not finite
// -------------------------------------------------------------------

// The bytes of one network and everything that belongs to its updates.
struct UpdateState {
  std::vector<std::uint8_t> arrays;
  std::int64_t updates = 0;
  std::int64_t dropped = 0;
  double beta1_power = 0.0;
  double beta2_power = 0.0;

  bool is_same_as(const UpdateState& other) const {
    return arrays == other.arrays && updates == other.updates && beta1_power == other.beta1_power &&
           beta2_power == other.beta2_power;
  }
};

void append(const TestLearner& test, std::size_t array, std::size_t floats, UpdateState* state) {
  const std::uint8_t* bytes = test.learner().block + array;
  state->arrays.insert(state->arrays.end(), bytes, bytes + floats * sizeof(float));
}

UpdateState actor_state(const TestLearner& test) {
  const LearnerState& s = test.state();
  const Layout& layout = test.layout();
  UpdateState state{
      {}, s.actor_updates, s.actor_updates_dropped, s.actor_beta1_power, s.actor_beta2_power};
  append(test, layout.actor_weights[s.actor_newest], layout.actor.floats, &state);
  append(test, layout.actor_optimizer[kSecondMoment], layout.actor.floats, &state);
  if (layout.actor_arrays > kFirstMoment)
    append(test, layout.actor_optimizer[kFirstMoment], layout.actor.floats, &state);
  return state;
}

UpdateState critic_state(const TestLearner& test) {
  const LearnerState& s = test.state();
  const Layout& layout = test.layout();
  UpdateState state{
      {}, s.critic_updates, s.critic_updates_dropped, s.critic_beta1_power, s.critic_beta2_power};
  append(test, layout.critic_weights, layout.critic.floats, &state);
  append(test, layout.critic_optimizer[kSecondMoment], layout.critic.floats, &state);
  if (layout.actor_arrays > kFirstMoment)
    append(test, layout.critic_optimizer[kFirstMoment], layout.critic.floats, &state);
  return state;
}

bool all_weights_finite(const TestLearner& test) {
  const UpdateState states[2] = {actor_state(test), critic_state(test)};
  for (const UpdateState& state : states) {
    for (std::size_t at = 0; at < state.arrays.size(); at += sizeof(float)) {
      float x = 0.0F;
      std::memcpy(&x, &state.arrays[at], sizeof x);
      if (!std::isfinite(x)) return false;
    }
  }
  return true;
}

struct FaultCase {
  const Executor* executor;
  Schedule schedule;
  double beta1;
};

class NonFinite : public testing::TestWithParam<FaultCase> {
 protected:
  LearnerSettings settings() const {
    LearnerSettings s;
    s.beta1 = GetParam().beta1;
    s.td_error_scaling = false;
    return s;
  }
  TestLearner started(const LearnerSettings& s) const {
    TestLearner test = make_learner(s, *GetParam().executor, GetParam().schedule);
    begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
    Draws draws(8);
    for (int step = 0; step < 5; ++step) {
      Transition t = draw_transition(draws, kShape);
      t.terminated = t.truncated = false;
      take_step(test, t);
    }
    test.flush();
    return test;
  }
  void zero(const TestLearner& test, std::size_t array, std::size_t floats) const {
    std::memset(test.learner().block + array, 0, floats * sizeof(float));
  }
};

Transition ordinary_transition() {
  return {.observation = {5, 4, 3, 2, 1},
          .reset_observation = {1, 1, 2, 2, 3},
          .reward = 0.5,
          .terminated = false,
          .truncated = false,
          .next_noise = {0.3F, 0.7F},
          .noise = {-0.4F, 0.2F}};
}

TEST_P(NonFinite, CriticIsDroppedAloneAndTheNextStepGoesOn) {
  const TestLearner test = started(settings());
  const UpdateState critic = critic_state(test);
  const UpdateState actor = actor_state(test);
  Transition t = ordinary_transition();
  t.reward = 1e30;
  take_step(test, t);
  test.flush();
  EXPECT_TRUE(critic_state(test).is_same_as(critic));
  EXPECT_EQ(critic_state(test).dropped, critic.dropped + 1);
  EXPECT_EQ(actor_state(test).updates, actor.updates + 1);
  EXPECT_EQ(actor_state(test).dropped, 0);
  EXPECT_NE(actor_state(test).arrays, actor.arrays);

  take_step(test, ordinary_transition());
  EXPECT_EQ(critic_state(test).updates, critic.updates + 1);
  EXPECT_TRUE(all_weights_finite(test));
}

TEST_P(NonFinite, ActorIsDroppedAloneAndTheNextStepGoesOn) {
  LearnerSettings s = settings();
  const TestLearner ordinary = started(s);
  s.entropy_coef = 1e25;
  TestLearner test = make_learner(s, *GetParam().executor, GetParam().schedule);
  test.copy_block(ordinary);
  // The entropy term spoils the actor's gradient of the action chosen now; the critic's target has
  // none of it, because the step terminates.
  const UpdateState actor = actor_state(test);
  Transition t = ordinary_transition();
  t.terminated = true;
  const UpdateState critic = critic_state(test);
  take_step(test, t);
  test.flush();
  EXPECT_TRUE(actor_state(test).is_same_as(actor));
  EXPECT_EQ(actor_state(test).dropped, actor.dropped + 1);
  EXPECT_EQ(critic_state(test).updates, critic.updates + 1);
  EXPECT_EQ(critic_state(test).dropped, 0);
  EXPECT_NE(critic_state(test).arrays, critic.arrays);
  TestLearner next(ordinary);
  next.copy_block(test);
  take_step(next, ordinary_transition());
  next.flush();
  EXPECT_EQ(actor_state(next).updates, actor.updates + 1);
  EXPECT_TRUE(all_weights_finite(test));
}

TEST_P(NonFinite, ActorsFeatureOfLengthZeroCounts) {
  const TestLearner test = started(settings());
  for (const std::size_t weights : test.layout().actor_weights) {
    zero(test, weights, test.layout().actor.floats);
  }
  const UpdateState actor = actor_state(test);
  const UpdateState critic = critic_state(test);
  // The open transition's own numbers are still good, but no target can be drawn.
  take_step(test, ordinary_transition());
  test.flush();
  EXPECT_TRUE(std::isnan(test.learner().open_actor_tape()[test.layout().actor_tape.action]));
  EXPECT_TRUE(actor_state(test).is_same_as(actor));
  EXPECT_EQ(actor_state(test).dropped, actor.dropped + 1);
  EXPECT_TRUE(critic_state(test).is_same_as(critic));
  EXPECT_EQ(critic_state(test).dropped, critic.dropped + 1);
}

TEST_P(NonFinite, CriticsFeatureOfLengthZeroCounts) {
  const TestLearner test = started(settings());
  zero(test, test.layout().critic_weights, test.layout().critic.floats);
  const UpdateState actor = actor_state(test);
  const UpdateState critic = critic_state(test);
  // The target is spoilt, and so is the gradient of the action chosen now.
  take_step(test, ordinary_transition());
  test.flush();
  EXPECT_TRUE(actor_state(test).is_same_as(actor));
  EXPECT_EQ(actor_state(test).dropped, actor.dropped + 1);
  EXPECT_TRUE(critic_state(test).is_same_as(critic));
  EXPECT_EQ(critic_state(test).dropped, critic.dropped + 1);
}

// The largest product of factors of the open transition's critic gradient, biases having input 1.
double largest_product(const TestLearner& test) {
  const TapeLayout& tape = test.layout().critic_tape;
  const NetworkLayout& network = test.layout().critic;
  const float* data = test.learner().open_critic_tape();
  const auto largest = [&](std::size_t at, int count) {
    double result = 0.0;
    for (int i = 0; i < count; ++i) {
      result =
          std::max(result, std::abs(static_cast<double>(data[at + static_cast<std::size_t>(i)])));
    }
    return result;
  };
  const double layers[3] = {
      largest(tape.d_hidden1, network.width) * std::max(1.0, largest(tape.input, network.inputs)),
      largest(tape.d_hidden2, network.width) * std::max(1.0, largest(tape.hidden1, network.width)),
      largest(tape.d_head, 1) * std::max(1.0, largest(tape.feature, network.width))};
  return *std::max_element(layers, layers + 3);
}

TEST_P(NonFinite, FactorsAreTakenUpTo1e18) {
  for (const double share : {0.9, 1.1}) {
    const TestLearner test = started(settings());
    const UpdateState critic = critic_state(test);
    Transition t = ordinary_transition();
    t.reward = share * 1e18 / (2.0 * largest_product(test));
    take_step(test, t);
    EXPECT_EQ(critic_state(test).updates, critic.updates + (share < 1.0 ? 1 : 0));
    EXPECT_EQ(critic_state(test).dropped, share < 1.0 ? 0 : 1);
    EXPECT_TRUE(all_weights_finite(test));
  }
}

TEST_P(NonFinite, DropForgetsTheOpenTransition) {
  const TestLearner test = started(settings());
  TestLearner expected(test);
  test.drop();
  expected.state().is_open = 0;
  ++expected.state().transitions_dropped;
  EXPECT_TRUE(test.has_block_of(expected));
  test.drop();  // nothing is open
  EXPECT_TRUE(test.has_block_of(expected));
  begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
  take_step(test, ordinary_transition());
  EXPECT_EQ(test.state().transitions_dropped, 1);
}

TEST_P(NonFinite, DropCompletesThePendingActorUpdate) {
  const TestLearner test = started(settings());
  const std::int64_t updates = test.state().actor_updates;
  take_step(test, ordinary_transition());
  test.drop();
  EXPECT_EQ(test.state().actor_updates, updates + 1);
  EXPECT_EQ(test.state().has_pending_actor_update, 0U);
}

std::vector<FaultCase> fault_cases() {
  std::vector<FaultCase> cases;
  for (const Executor* executor : all_executors()) {
    for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
      cases.push_back({executor, schedule, cases.size() % 3 == 0 ? 0.9 : 0.0});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Executors, NonFinite, testing::ValuesIn(fault_cases()),
                         [](const auto& suite) {
                           return name_of(*suite.param.executor) +
                                  (suite.param.schedule == Schedule::kActFirst ? "_act_first"
                                                                               : "_throughput");
                         });

TEST(Learner, RefusesToLearnWithoutAnOpenTransition) {
  const TestLearner test = make_learner({});
  test.observe({1, 2, 3, 4, 5});
  EXPECT_THROW(test.learn(0.0, false, false, {0.0F, 0.0F}), std::logic_error);
  EXPECT_THROW(test.prepare(), std::logic_error);
}

}  // namespace
}  // namespace instep

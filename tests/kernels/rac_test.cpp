// RAC's rules: every executor against the definition in double, tick by tick from equal states, and
// what the definition of a single tick does not tell (kernels/learner.h).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/decayed_maximum.h"
#include "kernels/definition.h"
#include "kernels/learner.h"
#include "kernels/reward_scale.h"
#include "test_learner.h"

namespace instep {
namespace {

using definition::NetworkShape;
using definition::Policy;
using definition::Trace;

LearnerSettings rac_settings(double trace_decay = 0.8) {
  LearnerSettings settings;
  settings.algorithm = Algorithm::kRac;
  settings.entropy_coef = 0.005;
  settings.actor_lr = 3e-4;
  settings.critic_lr = 6e-4;
  settings.trace_decay = trace_decay;
  return settings;
}

TestLearner make_rac(const Shape& shape, const LearnerSettings& settings, const Executor& executor,
                     Schedule schedule = Schedule::kActFirst) {
  TestLearner test(shape, settings, executor, schedule);
  Draws draws(21);
  draw_weights(draws, test);
  return test;
}

constexpr Shape kShape = {5, 2, 32};
const Executor& first_executor() {
  return *executors(Arithmetic::kPortable).front();
}

// ---------------------------------------------------------------------------------------------------
// A tick by the definition

// One network in double, in the definition's order.
struct Network {
  NetworkShape shape;
  std::vector<double> weights, maximum, trace;
};

Network read_network(const TestLearner& test, const NetworkLayout& network, std::size_t weights,
                     const std::size_t (&arrays)[kOptimizerArraysMax], int count) {
  const int h = test.layout().shape.hidden_dim;
  const Learner& learner = test.learner();
  Network read{definition_shape(network, h),
               unpack(network, h, learner.floats(weights)),
               unpack(network, h, learner.floats(arrays[kMaximum])),
               {}};
  if (count > kTrace) read.trace = unpack(network, h, learner.floats(arrays[kTrace]));
  return read;
}
Network read_actor(const TestLearner& test) {
  const Layout& layout = test.layout();
  return read_network(test, layout.actor, layout.actor_weights[test.state().actor_newest],
                      layout.actor_optimizer, layout.actor_arrays);
}
Network read_critic(const TestLearner& test) {
  const Layout& layout = test.layout();
  return read_network(test, layout.critic, layout.critic_weights, layout.critic_optimizer,
                      layout.critic_arrays);
}

// The policy and the critic at one observation.
struct Evaluated {
  Trace<double> actor_trace, critic_trace;
  Policy<double> policy;
  std::vector<double> critic_gradient, d_input;
};

Evaluated evaluate(const Shape& shape, const LearnerSettings& settings, const Network& actor,
                   const Network& critic, std::vector<double> observation,
                   const std::vector<float>& noise) {
  Evaluated at;
  definition::forward(actor.shape, settings, actor.weights.data(), observation.data(),
                      &at.actor_trace);
  const std::vector<double> draw(noise.begin(), noise.end());
  definition::sample_action(shape.action_dim, settings, at.actor_trace.output, draw.data(),
                            &at.policy);
  observation.insert(observation.end(), at.policy.action, at.policy.action + shape.action_dim);
  definition::forward(critic.shape, settings, critic.weights.data(), observation.data(),
                      &at.critic_trace);
  at.critic_gradient.resize(critic.weights.size());
  at.d_input.resize(observation.size());
  const double one = 1.0;
  definition::backward(critic.shape, settings, critic.weights.data(), at.critic_trace, &one,
                       at.critic_gradient.data(), at.d_input.data());
  return at;
}

void step_actor(const Shape& shape, const LearnerSettings& settings, const Evaluated& at,
                Network& actor) {
  std::vector<double> d_output(static_cast<std::size_t>(actor.shape.outputs));
  definition::d_actor_output_avg(shape.action_dim, settings, at.policy,
                                 at.d_input.data() + shape.observation_dim, d_output.data());
  std::vector<double> gradient(actor.weights.size());
  definition::backward<double>(actor.shape, settings, actor.weights.data(), at.actor_trace,
                               d_output.data(), gradient.data(), nullptr);
  definition::maximum_step<double>(gradient.size(), settings, settings.actor_lr, 1.0,
                                   gradient.data(), actor.weights.data(), nullptr,
                                   actor.maximum.data());
}

// Within a part of the largest step, and of what is stepped.
void expect_stepped(const std::vector<double>& actual, const std::vector<double>& expected,
                    double step, const char* what) {
  ASSERT_EQ(actual.size(), expected.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    worst = std::max(worst, std::abs(actual[i] - expected[i]) - 2e-7 * std::abs(expected[i]));
  }
  EXPECT_LE(worst, step) << what;
}

double largest(const std::vector<double>& values) {
  double result = 0.0;
  for (const double x : values) result = std::max(result, std::abs(x));
  return result;
}

// Runs beside an executor: before each tick everything is read from the executor's block, so that
// errors do not add up.
class Beside {
 public:
  Beside(const Shape& shape, const LearnerSettings& settings, const Executor& executor)
      : shape_(shape), settings_(settings), test_(make_rac(shape, settings, executor)) {}

  void begin(const std::vector<double>& observation, const std::vector<float>& noise) {
    begin_episode(test_, observation, noise);
    is_first_ = true;
  }

  // A tick whose steps are compared once the maxima have been met: before, the sign of a gradient
  // that is nearly zero decides a whole step.
  void tick(const Transition& t, bool is_compared);

 private:
  Shape shape_;
  LearnerSettings settings_;
  TestLearner test_;
  bool is_first_ = true;
};

void Beside::tick(const Transition& t, bool is_compared) {
  const Layout& layout = test_.layout();
  const bool ended = t.terminated || t.truncated;
  const TestLearner before(test_);
  Network actor = read_actor(before);
  Network critic = read_critic(before);
  std::vector<double> open(
      before.learner().open_critic_tape() + layout.critic_tape.input,
      before.learner().open_critic_tape() + layout.critic_tape.input + layout.critic.inputs);
  test_.observe(t.observation);
  const float* input = test_.learner().newest_actor_tape() + layout.actor_tape.input;
  const std::vector<double> observation(input, input + shape_.observation_dim);
  if (!ended) test_.act(t.noise);
  test_.learn(t.reward, t.terminated, t.truncated, t.next_noise);

  LearnerState statistics = before.state();
  const double factor =
      update_reward_scale(settings_, statistics, t.reward, t.terminated, t.truncated);
  EXPECT_EQ(test_.state().td_error_scale, statistics.td_error_scale);
  definition::scale_head(critic.shape, factor, critic.weights.data());
  // Q(s, a) and its gradient by the head as it is now.
  Trace<double> opened;
  definition::forward(critic.shape, settings_, critic.weights.data(), open.data(), &opened);
  std::vector<double> gradient(critic.weights.size());
  const double one = 1.0;
  definition::backward<double>(critic.shape, settings_, critic.weights.data(), opened, &one,
                               gradient.data(), nullptr);
  const Evaluated next =
      evaluate(shape_, settings_, actor, critic, observation, ended ? t.next_noise : t.noise);
  const double soft = next.critic_trace.output[0] - settings_.entropy_coef * next.policy.log_prob;
  const double delta = td_error(t.reward / statistics.td_error_scale, t.terminated,
                                settings_.discount, soft, opened.output[0], 1.0);
  const auto value = [](float x) { return static_cast<double>(x); };
  const double scatter = 1.0 + std::abs(soft) + std::abs(opened.output[0]) + std::abs(delta);
  EXPECT_NEAR(value(test_.state().q_next), next.critic_trace.output[0], 1e-5 * scatter);
  EXPECT_NEAR(value(test_.state().td_error), delta, 1e-5 * scatter);

  if (is_first_) std::fill(critic.trace.begin(), critic.trace.end(), 0.0);
  is_first_ = ended;
  definition::maximum_step<double>(gradient.size(), settings_, settings_.critic_lr, -delta,
                                   gradient.data(), critic.weights.data(),
                                   critic.trace.empty() ? nullptr : critic.trace.data(),
                                   critic.maximum.data());
  if (is_compared) {
    const Network after = read_critic(test_);
    expect_stepped(after.weights, critic.weights, 0.02 * settings_.critic_lr, "critic");
    expect_stepped(after.maximum, critic.maximum, 1e-4 * largest(critic.maximum), "maxima");
    if (!critic.trace.empty()) {
      expect_stepped(after.trace, critic.trace, 1e-4 * largest(critic.trace), "trace");
    }
  }
  if (ended) {
    begin_episode(test_, t.reset_observation, t.noise);
    return;
  }
  const Network stepped_critic = read_critic(test_);
  test_.prepare();
  const Evaluated acted = evaluate(shape_, settings_, actor, stepped_critic, observation, t.noise);
  step_actor(shape_, settings_, acted, actor);
  if (!is_compared) return;
  const Network after = read_actor(test_);
  expect_stepped(after.weights, actor.weights, 0.02 * settings_.actor_lr, "actor");
  expect_stepped(after.maximum, actor.maximum, 1e-4 * largest(actor.maximum), "actor's maxima");
}

class RacAgainstDefinition : public testing::TestWithParam<const Executor*> {};

TEST_P(RacAgainstDefinition, TicksFromEqualStates) {
  const Shape shapes[] = {{3, 1, 4}, {5, 2, 32}, {17, 6, 68}, {11, 3, 128}};
  for (const Shape& shape : shapes) {
    for (const double trace_decay : {0.8, 0.0}) {
      SCOPED_TRACE(testing::Message() << shape.hidden_dim << ", trace_decay " << trace_decay);
      Draws draws(31);
      LearnerSettings settings = rac_settings(trace_decay);
      settings.maximum_decay = 0.99;  // fast enough to be seen in a tick
      Beside beside(shape, settings, *GetParam());
      beside.begin(draws.normals<double>(shape.observation_dim),
                   draws.normals<float>(shape.action_dim));
      for (int step = 0; step < 40; ++step) {
        beside.tick(draw_transition(draws, shape), step >= 20);
        if (HasFailure()) FAIL() << "step " << step;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Executors, RacAgainstDefinition, testing::ValuesIn(all_executors()),
                         [](const auto& suite) { return name_of(*suite.param); });

// ---------------------------------------------------------------------------------------------------
// Rules of more than one tick

TEST(RacScale, IsTheDeviationOfTheDiscountedSumOverTheWholeLife) {
  for (const double size : {1e-5, 1.0, 1e3}) {  // the first meets the floor
    const TestLearner test = make_rac(kShape, rac_settings(), first_executor());
    Draws draws(4);
    begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
    std::vector<double> sums;
    double sum = 0.0;
    int ends = 0;
    for (int step = 0; step < 300; ++step) {
      Transition t = draw_transition(draws, kShape);
      t.reward *= size;
      take_step(test, t);
      sum = 0.99 * sum + t.reward;
      sums.push_back(sum);
      if (t.terminated || t.truncated) sum = 0.0, ++ends;
      double mean = 0.0;
      double squares = 0.0;
      for (const double u : sums) mean += u / static_cast<double>(sums.size());
      for (const double u : sums) squares += (u - mean) * (u - mean);
      const double variance = squares / static_cast<double>(sums.size());
      const double expected = sums.size() < 2 ? 1.0 : std::max(std::sqrt(variance + 1e-8), 0.01);
      ASSERT_NEAR(test.state().td_error_scale, expected, 1e-9 * expected) << step;
      ASSERT_NEAR(test.state().running_return, sum, 1e-9 * size);
    }
    EXPECT_GT(ends, 30);
  }
}

TEST(RacScale, ChangesNoValueInTheRewardsOwnUnits) {
  for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
    const TestLearner test = make_rac(kShape, rac_settings(), first_executor(), schedule);
    begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
    Draws draws(5);
    for (int step = 0; step < 30; ++step) {
      Transition t = draw_transition(draws, kShape);
      t.reward = step == 20 ? 1e3 : t.reward;
      const std::size_t head = test.layout().critic_tape.head;
      const double scale = test.state().td_error_scale;
      const float* const open = test.learner().open_critic_tape();
      const double value = scale * static_cast<double>(open[head]);
      take_step(test, t);
      const double now = test.state().td_error_scale;
      EXPECT_NEAR(now * static_cast<double>(open[head]), value, 1e-5 * (scale + std::abs(value)));
      if (step == 20) {
        EXPECT_GT(now, 10.0 * scale);
      }
    }
  }
}

// The same rewards in other units teach the same, but for rounding.
TEST(RacScale, ForgetsTheUnitOfRewards) {
  constexpr double kUnits[] = {1.0, 1024.0};
  std::vector<TestLearner> learners;
  for (const double unit : kUnits) {
    learners.push_back(make_rac(kShape, rac_settings(), first_executor()));
    learners.back().state().return_moments = {10.0, 0.0, 10.0 * unit * unit};
    learners.back().state().td_error_scale = std::sqrt(unit * unit + 1e-8);
    begin_episode(learners.back(), {1, 2, 3, 4, 5}, {0.1F, -0.2F});
  }
  Draws draws(6);
  for (int step = 0; step < 40; ++step) {
    const Transition t = draw_transition(draws, kShape);
    for (std::size_t i = 0; i < learners.size(); ++i) {
      Transition same = t;
      same.reward *= kUnits[i];
      take_step(learners[i], same);
    }
    ASSERT_NEAR(learners[1].state().td_error_scale, 1024.0 * learners[0].state().td_error_scale,
                1e-3);
    ASSERT_NEAR(static_cast<double>(learners[1].state().td_error),
                static_cast<double>(learners[0].state().td_error), 1e-3);
  }
}

std::vector<float> trace_of(const TestLearner& test) {
  const Layout& layout = test.layout();
  const float* trace = test.learner().floats(layout.critic_optimizer[kTrace]);
  return {trace, trace + layout.critic.floats};
}

TEST(RacTrace, EndsWithItsEpisodeHoweverThatEnds) {
  for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
    for (const int end : {0, 1, 2}) {  // terminated, truncated, dropped
      const TestLearner test = make_rac(kShape, rac_settings(), first_executor(), schedule);
      begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
      Draws draws(7);
      Transition t = draw_transition(draws, kShape);
      t.terminated = t.truncated = false;
      take_step(test, t);
      const std::vector<float> during = trace_of(test);
      EXPECT_TRUE(std::any_of(during.begin(), during.end(), [](float e) { return e != 0.0F; }));
      if (end == 2) {
        test.drop();
        begin_episode(test, {2, 2, 2, 3, 3}, {0.0F, 0.0F});
      } else {
        t.terminated = end == 0;
        t.truncated = end == 1;
        take_step(test, t);
      }
      const std::vector<float> after = trace_of(test);
      EXPECT_TRUE(std::all_of(after.begin(), after.end(), [](float e) { return e == 0.0F; }));
      const float* maximum = test.learner().floats(test.layout().critic_optimizer[kMaximum]);
      EXPECT_GT(*std::max_element(maximum, maximum + test.layout().critic.floats), 0.0F);
    }
  }
}

TEST(RacTarget, TakesTheExecutedActionAndAtAnEndOneOfItsOwn) {
  for (const bool ended : {false, true}) {
    for (const bool terminated : {false, true}) {
      if (terminated && !ended) continue;
      const TestLearner test = make_rac(kShape, rac_settings(), first_executor());
      const TestLearner other = make_rac(kShape, rac_settings(), first_executor());
      for (const TestLearner* each : {&test, &other}) {
        begin_episode(*each, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
        each->observe({2, 1, 3, 5, 4});
        if (!ended) each->act({0.5F, 0.6F});
      }
      test.learn(0.5, terminated, ended, {0.3F, 0.4F});
      other.learn(0.5, terminated, ended, {-0.9F, 1.4F});  // another draw for the target
      EXPECT_EQ(test.state().next_log_prob != other.state().next_log_prob, ended);
      EXPECT_EQ(test.state().td_error != other.state().td_error, ended && !terminated);
    }
  }
}

TEST(RacStep, MovesNoWeightFurtherThanTheRate) {
  const LearnerSettings settings = rac_settings();
  const TestLearner test = make_rac(kShape, settings, first_executor());
  begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
  Draws draws(9);
  for (int step = 0; step < 200; ++step) {
    const Network actor = read_actor(test);
    Transition t = draw_transition(draws, kShape);
    if (step % 50 == 7) t.reward = 1e6;
    take_step(test, t);
    const Network after = read_actor(test);
    double most = 0.0;
    for (std::size_t i = 0; i < actor.weights.size(); ++i) {
      most = std::max(most, std::abs(after.weights[i] - actor.weights[i]));
    }
    EXPECT_LE(most, 1.001 * settings.actor_lr);
    EXPECT_GT(most, 0.0);
  }
}

// ---------------------------------------------------------------------------------------------------
// Numbers that are not finite

TEST(RacNonFinite, UpdatesAreDroppedAndTheNextOneGoesOn) {
  for (const Executor* executor : all_executors()) {
    for (const double trace_decay : {0.8, 0.0}) {
      const TestLearner test = make_rac(kShape, rac_settings(trace_decay), *executor);
      begin_episode(test, {1, 2, 3, 4, 5}, {0.1F, -0.2F});
      Draws draws(10);
      Transition t = draw_transition(draws, kShape);
      t.terminated = t.truncated = false;
      take_step(test, t);
      const Network before = read_critic(test);
      // A value that no float has a square of, by the critic's own bias.
      test.learner().floats(test.layout().critic_weights)[test.layout().critic.b_head] = 1e30F;
      take_step(test, t);
      EXPECT_EQ(test.state().critic_updates_dropped, 1);
      const Network after = read_critic(test);
      EXPECT_TRUE(std::equal(before.maximum.begin(), before.maximum.end(), after.maximum.begin()));
      EXPECT_EQ(before.trace, after.trace);
      test.learner().floats(test.layout().critic_weights)[test.layout().critic.b_head] = 0.0F;
      take_step(test, t);
      take_step(test, t);
      for (const double w : read_critic(test).weights) ASSERT_TRUE(std::isfinite(w));
      for (const double w : read_actor(test).weights) ASSERT_TRUE(std::isfinite(w));
      EXPECT_EQ(test.state().critic_updates + test.state().critic_updates_dropped, 4);
      EXPECT_GE(test.state().critic_updates, 2);
    }
  }
}

}  // namespace
}  // namespace instep

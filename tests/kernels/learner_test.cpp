// Every executor against the definition in double, from equal states: one whole tick with its two
// updates.
//
// Tolerances. Rounding errors of a chain of `length` float operations behave like a random walk:
// they stay below lambda sqrt(length) u of the operands' magnitude with u = 2^-24 (Higham and Mary
// 2019, "A new approach to probabilistic rounding error analysis"); with lambda = 2 the worst
// measured error is a fifth of what is allowed. `length` is taken over both networks, forward and
// backward. Where a quantity is a difference, its error is measured against what was subtracted;
// the gradient's error is carried through Adam by stepping from both ends of its interval.
#include "kernels/learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/adam.h"
#include "kernels/definition.h"
#include "test_learner.h"

namespace instep {
namespace {

using definition::NetworkShape;
using definition::Policy;
using definition::Trace;

constexpr double kUnit = 0x1p-24;
constexpr double kLambda = 2.0;
constexpr double kKinkDistance = 2e-5;  // a hundred times the error of a pre-activation

struct Case {
  Shape shape;
  LearnerSettings settings;
  bool terminated = false;
  bool truncated = false;
  std::uint64_t seed = 0;
};

double largest(const std::vector<double>& values) {
  double result = 0.0;
  for (const double x : values) result = std::max(result, std::abs(x));
  return result;
}

// One network's weights and moments in double, before or after an update.
struct NetworkState {
  std::vector<double> weights, first, second;
};

NetworkState read_network(const TestLearner& test, const NetworkLayout& network,
                          std::size_t weights, std::size_t first, std::size_t second) {
  const int h = test.layout().shape.hidden_dim;
  const Learner& learner = test.learner();
  NetworkState state;
  state.weights = unpack(network, h, learner.floats(weights));
  state.second = unpack(network, h, learner.floats(second));
  state.first = test.layout().actor_arrays > kFirstMoment
                    ? unpack(network, h, learner.floats(first))
                    : std::vector<double>(state.weights.size());
  return state;
}

NetworkState read_actor(const TestLearner& test) {
  const Layout& layout = test.layout();
  return read_network(test, layout.actor, layout.actor_weights[test.state().actor_newest],
                      layout.actor_optimizer[kFirstMoment], layout.actor_optimizer[kSecondMoment]);
}

NetworkState read_critic(const TestLearner& test) {
  const Layout& layout = test.layout();
  return read_network(test, layout.critic, layout.critic_weights,
                      layout.critic_optimizer[kFirstMoment],
                      layout.critic_optimizer[kSecondMoment]);
}

std::vector<double> read_floats(const float* values, int count) {
  return {values, values + count};
}

// The factors in a tape, multiplied out: the gradient in the definition's order.
std::vector<double> read_gradient(const TestLearner& test, const NetworkLayout& network,
                                  const TapeLayout& tape, const float* data) {
  const int h = test.layout().shape.hidden_dim;
  const NetworkShape shape = definition_shape(network, h);
  std::vector<double> flat(definition::parameter_count(shape));
  const auto parts = definition::split(shape, flat.data());
  const auto product = [](const float* d, const float* x, int rows, int columns, double* w,
                          double* b) {
    for (int i = 0; i < rows; ++i) {
      b[i] = static_cast<double>(d[i]);
      for (int j = 0; j < columns; ++j) {
        w[i * columns + j] = static_cast<double>(d[i]) * static_cast<double>(x[j]);
      }
    }
  };
  product(data + tape.d_hidden1, data + tape.input, h, shape.inputs, parts.w1, parts.b1);
  product(data + tape.d_hidden2, data + tape.hidden1, h, h, parts.w2, parts.b2);
  product(data + tape.d_head, data + tape.feature, shape.outputs, h, parts.w3, parts.b3);
  return flat;
}

// A gradient with the error that rounding may put on each of its entries.
struct Gradient {
  std::vector<double> values;
  std::vector<double> tolerances;
};

// An entry is d x, an output's gradient times an input. The error of d is `d_error` times the
// largest d of its layer, the error of x is `x_error` times the largest input.
Gradient with_tolerances(const NetworkShape& shape, const Trace<double>& trace,
                         const std::vector<double>& values, double d_error, double x_error) {
  Gradient gradient{values, std::vector<double>(values.size())};
  const auto parts = definition::split(shape, gradient.values.data());
  const auto tolerances = definition::split(shape, gradient.tolerances.data());
  const auto fill = [&](const double* d, const double* x, int rows, int columns, double* w,
                        double* b) {
    const double d_scatter = d_error * largest({d, d + rows});
    const double x_scatter = x_error * (largest({x, x + columns}) + 1e-3);
    for (int i = 0; i < rows; ++i) {
      b[i] = d_scatter;
      for (int j = 0; j < columns; ++j) {
        w[i * columns + j] = d_scatter * std::abs(x[j]) + (std::abs(d[i]) + d_scatter) * x_scatter;
      }
    }
  };
  const int h = shape.hidden;
  fill(parts.b1, trace.input, h, shape.inputs, tolerances.w1, tolerances.b1);
  fill(parts.b2, trace.hidden1, h, h, tolerances.w2, tolerances.b2);
  fill(parts.b3, trace.feature, shape.outputs, h, tolerances.w3, tolerances.b3);
  return gradient;
}

// What the definition says of one state, one observation and one draw.
struct Expected {
  Trace<double> actor;
  Policy<double> policy;
  Trace<double> critic;
  std::vector<double> d_actor_output;
  std::vector<double> actor_gradient;
  std::vector<double> critic_gradient;  // of the critic's output itself
  std::vector<double> d_action;
};

class OneTick {
 public:
  OneTick(const Case& c, const Executor& executor)
      : case_(c), settings_(c.settings), test_(c.shape, c.settings, executor), draws_(c.seed) {
    const auto length = static_cast<double>(2 * (c.shape.observation_dim + 2 * c.shape.action_dim) +
                                            12 * c.shape.hidden_dim);
    relative_ = kLambda * std::sqrt(length) * kUnit;
    actor_shape_ = definition_shape(test_.layout().actor, c.shape.hidden_dim);
    critic_shape_ = definition_shape(test_.layout().critic, c.shape.hidden_dim);
  }

  void run();

 private:
  void draw_state();
  void draw_inputs();
  void draw_moments(const NetworkLayout& network, std::size_t first, std::size_t second,
                    double scale);
  bool is_clear_of_kinks();
  std::vector<double> newest_observation() const;
  Expected evaluate(const NetworkState& actor, const NetworkState& critic,
                    const std::vector<double>& observation, const std::vector<float>& noise) const;
  void expect_forward(const Expected& expected, const float* actor_tape, const float* critic_tape);
  void expect_unit_gradient(const Expected& expected);
  void expect_actor_update(const NetworkState& before, Expected expected, double td_error,
                           double td_error_scatter);
  void expect_critic_update(const NetworkState& before, const Expected& opened,
                            const Expected& successor, double reward);
  void expect_adam(const NetworkState& before, const NetworkState& after, const Gradient& gradient,
                   double lr, std::int64_t step);
  void expect_near(const std::vector<double>& actual, const std::vector<double>& expected,
                   double tolerance, const char* what);

  double tape(const float* data, std::size_t offset) const {
    return static_cast<double>(data[offset]);
  }

  Case case_;
  LearnerSettings settings_;
  TestLearner test_;
  Draws draws_;
  double relative_ = 0.0;
  NetworkShape actor_shape_, critic_shape_;
  std::vector<double> raw_observation_[2];
  std::vector<float> noise_[3];  // acting at s, at s', and the target's own at s'
};

void OneTick::expect_near(const std::vector<double>& actual, const std::vector<double>& expected,
                          double tolerance, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_TRUE(std::isfinite(actual[i])) << what << " " << i;
    worst = std::max(worst, std::abs(actual[i] - expected[i]));
  }
  EXPECT_LE(worst, tolerance) << what;
}

// Moments such as some dozens of earlier updates would have left.
void OneTick::draw_moments(const NetworkLayout& network, std::size_t first, std::size_t second,
                           double scale) {
  for_each_parameter(network, case_.shape.hidden_dim, [&](std::size_t, std::size_t at) {
    test_.learner().floats(second)[at] =
        static_cast<float>(scale * scale * std::exp(draws_.normal()));
    if (test_.layout().actor_arrays > kFirstMoment) {
      test_.learner().floats(first)[at] = static_cast<float>(scale * draws_.normal());
    }
  });
}

void OneTick::draw_state() {
  const Layout& layout = test_.layout();
  clear(test_.learner());
  draw_weights(draws_, test_);
  LearnerState& state = test_.state();
  // The buffer that is not the newest holds what nobody may read.
  state.actor_acted = state.actor_newest = draws_.coin() ? 1 : 0;
  draw_weights(draws_, layout.actor, case_.shape.hidden_dim,
               test_.learner().floats(layout.actor_weights[1 - state.actor_newest]));
  // Every fourth case starts fresh: the first update of all, whose moments are empty.
  if (case_.seed % 4 != 0) {
    draw_moments(layout.actor, layout.actor_optimizer[kFirstMoment],
                 layout.actor_optimizer[kSecondMoment], 0.01);
    draw_moments(layout.critic, layout.critic_optimizer[kFirstMoment],
                 layout.critic_optimizer[kSecondMoment], 0.01);
    state.actor_updates = draws_.integer(1, 50);
    state.critic_updates = draws_.integer(1, 50);
    const auto power = [](double beta, std::int64_t updates) {
      return std::pow(beta, static_cast<double>(updates));
    };
    state.actor_beta1_power = power(settings_.beta1, state.actor_updates);
    state.actor_beta2_power = power(settings_.beta2, state.actor_updates);
    state.critic_beta1_power = power(settings_.beta1, state.critic_updates);
    state.critic_beta2_power = power(settings_.beta2, state.critic_updates);
    state.reward_moments = {20.0, 0.3, 20.0 * draws_.uniform(0.5, 4.0)};
    state.discount_moments = {20.0, 0.9, 20.0 * draws_.uniform(0.01, 0.1)};
    state.return_square_moments = {3.0, 30.0, 1.0};
  }
}

void OneTick::draw_inputs() {
  for (auto& observation : raw_observation_) {
    observation = draws_.normals<double>(case_.shape.observation_dim);
  }
  for (auto& noise : noise_) noise = draws_.normals<float>(case_.shape.action_dim);
}

std::vector<double> OneTick::newest_observation() const {
  return read_floats(test_.learner().newest_actor_tape() + test_.layout().actor_tape.input,
                     case_.shape.observation_dim);
}

Expected OneTick::evaluate(const NetworkState& actor, const NetworkState& critic,
                           const std::vector<double>& observation,
                           const std::vector<float>& noise) const {
  const int m = case_.shape.action_dim;
  Expected expected;
  definition::forward(actor_shape_, settings_, actor.weights.data(), observation.data(),
                      &expected.actor);
  const std::vector<double> draw(noise.begin(), noise.end());
  definition::sample_action(m, settings_, expected.actor.output, draw.data(), &expected.policy);
  std::vector<double> input = observation;
  if (settings_.algorithm == Algorithm::kAvg) {
    input.insert(input.end(), expected.policy.action, expected.policy.action + m);
  }
  definition::forward(critic_shape_, settings_, critic.weights.data(), input.data(),
                      &expected.critic);
  std::vector<double> d_input(input.size());
  expected.critic_gradient.resize(critic.weights.size());
  const double one = 1.0;
  definition::backward(critic_shape_, settings_, critic.weights.data(), expected.critic, &one,
                       expected.critic_gradient.data(), d_input.data());
  expected.d_action.assign(d_input.begin() + case_.shape.observation_dim, d_input.end());
  return expected;
}

// Whether no unit and no log variance stands where rounding could put it on the other side of a
// kink.
bool OneTick::is_clear_of_kinks() {
  const TestLearner copy(test_);
  copy.observe(raw_observation_[0]);
  const std::vector<double> x =
      read_floats(copy.learner().newest_actor_tape() + test_.layout().actor_tape.input,
                  case_.shape.observation_dim);
  const Expected expected = evaluate(read_actor(copy), read_critic(copy), x, noise_[0]);
  double distance = 1.0;
  for (const Trace<double>* trace : {&expected.actor, &expected.critic}) {
    for (int i = 0; i < case_.shape.hidden_dim; ++i) {
      distance = std::min({distance, std::abs(trace->z1[i]), std::abs(trace->z2[i])});
    }
  }
  for (int i = 0; i < case_.shape.action_dim; ++i) {
    for (const float bound : {settings_.log_variance_min, settings_.log_variance_max}) {
      distance = std::min(
          distance, std::abs(expected.policy.log_variance_raw[i] - static_cast<double>(bound)));
    }
  }
  return distance > kKinkDistance;
}

void OneTick::expect_forward(const Expected& expected, const float* actor_tape,
                             const float* critic_tape) {
  const TapeLayout& layout = test_.layout().actor_tape;
  const int m = case_.shape.action_dim;
  const Policy<double>& policy = expected.policy;
  const std::vector<double> head(expected.actor.output, expected.actor.output + 2 * m);
  const double head_error = relative_ * (1.0 + largest(head));
  expect_near(read_floats(actor_tape + layout.head, 2 * m), head, head_error, "actor's outputs");
  double magnitude = 1.0;  // of what log pi is summed from
  double pre_error = 0.0;
  for (int i = 0; i < m; ++i) {
    const double spread = std::abs(policy.std_dev[i] * policy.noise[i]);
    pre_error = std::max(pre_error, head_error * (1.0 + spread));
    magnitude += 1.0 + policy.noise[i] * policy.noise[i] + std::abs(policy.log_variance[i]) +
                 2.0 * (1.0 + spread + std::abs(policy.action_pre[i]));
  }
  const auto first = [m](const double* values) { return std::vector<double>(values, values + m); };
  expect_near(read_floats(actor_tape + layout.log_variance, m), first(policy.log_variance),
              head_error, "log variance");
  expect_near(read_floats(actor_tape + layout.action_pre, m), first(policy.action_pre), pre_error,
              "action before tanh");
  expect_near(read_floats(actor_tape + layout.action, m), first(policy.action), pre_error,
              "action");
  EXPECT_NEAR(tape(actor_tape, layout.scalars + kLogProb), policy.log_prob,
              relative_ * magnitude * (1.0 + largest(head)));
  EXPECT_NEAR(tape(actor_tape, layout.scalars + kEntropy), policy.entropy,
              relative_ * magnitude * (1.0 + largest(head)));
  const double value = expected.critic.output[0];
  EXPECT_NEAR(tape(critic_tape, test_.layout().critic_tape.head), value,
              relative_ * (1.0 + std::abs(value)));
}

void OneTick::expect_unit_gradient(const Expected& expected) {
  const TapeLayout& layout = test_.layout().critic_tape;
  const float* data = test_.learner().open_critic_tape();
  expect_near(read_gradient(test_, test_.layout().critic, layout, data), expected.critic_gradient,
              relative_ * (1.0 + largest(expected.critic_gradient)), "critic's gradient");
  if (settings_.algorithm != Algorithm::kAvg) return;
  expect_near(read_floats(data + layout.d_action, case_.shape.action_dim), expected.d_action,
              relative_ * (1.0 + largest(expected.critic_gradient)), "dQ/da");
}

// How far a number may be away when the gradient may be at either end of its interval.
double reach(double low, double middle, double high) {
  return std::max(std::abs(low - middle), std::abs(high - middle));
}

void OneTick::expect_adam(const NetworkState& before, const NetworkState& after,
                          const Gradient& gradient, double lr, std::int64_t step) {
  const std::size_t count = gradient.values.size();
  const auto stepped = [&](double side) {
    std::vector<double> g = gradient.values;
    for (std::size_t i = 0; i < count; ++i) g[i] += side * gradient.tolerances[i];
    NetworkState state = before;
    definition::adam_step(count, settings_, lr, step, g.data(), state.weights.data(),
                          state.first.data(), state.second.data());
    return state;
  };
  const NetworkState expected = stepped(0.0);
  const NetworkState low = stepped(-1.0);
  const NetworkState high = stepped(1.0);
  double sum_squares = 0.0;
  std::vector<double> reaches(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double moved = std::abs(expected.weights[i] - before.weights[i]);
    sum_squares += moved * moved;
    reaches[i] = reach(low.weights[i], expected.weights[i], high.weights[i]);
    ASSERT_NEAR(after.weights[i], expected.weights[i],
                2.0 * reaches[i] + 4.0 * kUnit * (2.0 * moved + std::abs(before.weights[i])))
        << "weight " << i;
    // 1e-37: squares below the smallest normal float lose bits.
    ASSERT_NEAR(after.second[i], expected.second[i],
                2.0 * reach(low.second[i], expected.second[i], high.second[i]) +
                    4.0 * kUnit * expected.second[i] + 1e-37)
        << "second moment " << i;
    if (settings_.beta1 == 0.0) continue;
    ASSERT_NEAR(after.first[i], expected.first[i],
                reach(low.first[i], expected.first[i], high.first[i]) +
                    4.0 * kUnit * (std::abs(before.first[i]) + std::abs(gradient.values[i])))
        << "first moment " << i;
  }
  // A step whose gradient is nearly zero and whose moments are empty has a sign made of rounding.
  // Only few may be held less tightly than to a hundredth of a typical step, or little is tested.
  const double typical_move = std::sqrt(sum_squares / static_cast<double>(count));
  const auto loose = std::count_if(reaches.begin(), reaches.end(),
                                   [&](double r) { return r > 0.01 * typical_move; });
  EXPECT_LE(static_cast<double>(loose), 0.25 * static_cast<double>(count));
}

void OneTick::expect_actor_update(const NetworkState& before, Expected expected, double td_error,
                                  double td_error_scatter) {
  const int m = case_.shape.action_dim;
  const Policy<double>& policy = expected.policy;
  std::vector<double> d_output(static_cast<std::size_t>(2 * m));
  double subtracted = 0.0;
  double loss = 0.0;
  if (settings_.algorithm == Algorithm::kAvg) {
    definition::d_actor_output_avg(m, settings_, policy, expected.d_action.data(), d_output.data());
    loss = settings_.entropy_coef * policy.log_prob - expected.critic.output[0];
    subtracted = 2.0 * settings_.entropy_coef + largest(expected.critic_gradient) + 1.0;
  } else {
    definition::d_actor_output_iac(m, settings_, policy, td_error, d_output.data());
    loss = -(policy.log_prob * td_error + settings_.entropy_coef * policy.entropy);
    for (int i = 0; i < m; ++i) {
      subtracted =
          std::max(subtracted, td_error_scatter * (1.0 + policy.noise[i] * policy.noise[i]) *
                                   (1.0 + 1.0 / policy.std_dev[i]));
    }
  }
  double spread = 1.0;
  for (int i = 0; i < m; ++i) {
    spread = std::max(spread, 1.0 + std::abs(policy.std_dev[i] * policy.noise[i]));
  }
  std::vector<double> gradient(before.weights.size());
  definition::backward<double>(actor_shape_, settings_, before.weights.data(), expected.actor,
                               d_output.data(), gradient.data(), nullptr);
  // The gradient is linear in d_output, whose error is that of what was subtracted.
  const double d_error = relative_ * spread * (1.0 + subtracted / largest(d_output));
  const double tolerance = largest(gradient) * d_error;
  const TapeLayout& layout = test_.layout().actor_tape;
  const float* data = test_.learner().open_actor_tape();
  expect_near(read_gradient(test_, test_.layout().actor, layout, data), gradient, tolerance,
              "actor's gradient");
  EXPECT_NEAR(tape(data, layout.scalars + kActorLoss), loss,
              relative_ * (20.0 + std::abs(loss)) * subtracted * spread);
  expect_adam(before, read_actor(test_),
              with_tolerances(actor_shape_, expected.actor, gradient, d_error, relative_),
              settings_.actor_lr, test_.state().actor_updates);
}

void OneTick::expect_critic_update(const NetworkState& before, const Expected& opened,
                                   const Expected& successor, double reward) {
  const LearnerState& state = test_.state();
  const bool is_avg = settings_.algorithm == Algorithm::kAvg;
  const double scale = settings_.td_error_scaling ? state.td_error_scale : 1.0;
  const double value = opened.critic.output[0];
  double next_value = successor.critic.output[0];
  EXPECT_NEAR(static_cast<double>(state.q_next), next_value,
              relative_ * (1.0 + std::abs(next_value)));
  double scatter = 20.0 + std::abs(reward) + std::abs(value) + std::abs(next_value);
  if (is_avg) {
    next_value -= settings_.entropy_coef * successor.policy.log_prob;
    const double log_prob = successor.policy.log_prob;
    scatter += settings_.entropy_coef * 10.0 * (std::abs(log_prob) + case_.shape.action_dim);
    EXPECT_NEAR(static_cast<double>(state.next_log_prob), log_prob,
                relative_ * 20.0 * (case_.shape.action_dim + std::abs(log_prob)));
  }
  const double td_error =
      instep::td_error(reward, case_.terminated, settings_.discount, next_value, value, scale);
  EXPECT_NEAR(static_cast<double>(state.td_error), td_error, relative_ * scatter / scale);
  EXPECT_EQ(state.critic_loss, state.td_error * state.td_error);

  std::vector<double> gradient = opened.critic_gradient;
  const double d_output = d_critic_output(td_error, scale);
  for (double& g : gradient) g *= d_output;
  const double d_error = relative_ * (1.0 + scatter / (scale * std::abs(td_error)));
  expect_adam(before, read_critic(test_),
              with_tolerances(critic_shape_, opened.critic, gradient, d_error, relative_),
              settings_.critic_lr, state.critic_updates);
}

void OneTick::run() {
  const bool is_avg = settings_.algorithm == Algorithm::kAvg;
  int attempts = 0;
  draw_state();
  do {
    ASSERT_LT(attempts++, 1000);
    draw_inputs();
  } while (!is_clear_of_kinks());
  const LearnerState start = test_.state();

  // ACT at s: the transition opens.
  const NetworkState actor = read_actor(test_);
  const NetworkState critic = read_critic(test_);
  test_.observe(raw_observation_[0]);
  const Expected opened = evaluate(actor, critic, newest_observation(), noise_[0]);
  test_.act(noise_[0]);
  test_.prepare();
  expect_forward(opened, test_.learner().open_actor_tape(), test_.learner().open_critic_tape());
  expect_unit_gradient(opened);
  EXPECT_EQ(test_.state().actor_updates, start.actor_updates + (is_avg ? 1 : 0));
  if (is_avg) expect_actor_update(actor, opened, 0.0, 0.0);

  // LEARN at s': the target's action comes from the actor that acted.
  const double reward = draws_.normal();
  test_.observe(raw_observation_[1]);
  const Expected successor = evaluate(actor, critic, newest_observation(), noise_[2]);
  const bool ended = case_.terminated || case_.truncated;
  if (is_avg && !ended) test_.act(noise_[1]);
  test_.learn(reward, case_.terminated, case_.truncated, noise_[2]);
  EXPECT_EQ(test_.state().critic_updates, start.critic_updates + 1);
  EXPECT_EQ(test_.state().actor_updates, start.actor_updates + 1);
  EXPECT_EQ(test_.state().actor_updates_dropped + test_.state().critic_updates_dropped, 0);
  expect_critic_update(critic, opened, successor, reward);
  if (!is_avg) {
    const double td_error = static_cast<double>(test_.state().td_error);
    const double scale = settings_.td_error_scaling ? test_.state().td_error_scale : 1.0;
    expect_actor_update(actor, opened, td_error,
                        settings_.entropy_coef + std::abs(td_error) + 1.0 / scale);
  }
  if (ended) return;

  // The next transition opens with both new networks.
  if (!is_avg) test_.act(noise_[1]);
  test_.prepare();
  const NetworkState new_critic = read_critic(test_);
  // AVG's actor has been stepped once more since: what acted is in the other buffer.
  NetworkState acted = read_actor(test_);
  acted.weights =
      unpack(test_.layout().actor, case_.shape.hidden_dim,
             test_.learner().floats(test_.layout().actor_weights[test_.state().actor_acted]));
  const Expected next =
      evaluate(acted, new_critic,
               read_floats(test_.learner().open_actor_tape() + test_.layout().actor_tape.input,
                           case_.shape.observation_dim),
               noise_[1]);
  expect_forward(next, test_.learner().open_actor_tape(), test_.learner().open_critic_tape());
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  Draws draws(77);
  const int hidden_sizes[] = {4, 12, 20, 64, 68, 128, 256, 320, 512};
  for (std::uint64_t seed = 0; seed < 45; ++seed) {
    Case c;
    c.seed = seed;
    c.shape.hidden_dim = hidden_sizes[seed % 9];
    c.shape.observation_dim = draws.integer(1, seed % 9 < 6 ? 40 : 17);
    c.shape.action_dim = draws.integer(1, 8);
    if (seed == 8) c.shape = {512, 32, 512};
    if (seed == 27) c.shape = {512, 32, 4};
    c.settings.algorithm = draws.uniform(0.0, 1.0) < 0.65 ? Algorithm::kAvg : Algorithm::kIac;
    c.settings.discount = draws.uniform(0.9, 1.0);
    c.settings.entropy_coef = draws.uniform(0.01, 0.5);
    c.settings.actor_lr = draws.uniform(1e-4, 1e-2);
    c.settings.critic_lr = draws.uniform(1e-4, 1e-2);
    c.settings.beta1 = draws.coin() ? 0.0 : 0.9;
    c.settings.observation_norm = draws.coin();
    c.settings.feature_norm = draws.uniform(0.0, 1.0) < 0.7;
    c.settings.td_error_scaling = draws.uniform(0.0, 1.0) < 0.7;
    // Narrow bounds, so that both clamps are met.
    if (draws.coin()) c.settings.log_variance_min = -0.5F, c.settings.log_variance_max = 0.5F;
    const int end = draws.integer(0, 4);
    c.terminated = end == 0;
    c.truncated = end == 1;
    cases.push_back(c);
  }
  return cases;
}

class LearnerAgainstDefinition : public testing::TestWithParam<const Executor*> {};

TEST_P(LearnerAgainstDefinition, OneTickFromEqualStates) {
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(testing::Message()
                 << "seed " << c.seed << ": n " << c.shape.observation_dim << ", m "
                 << c.shape.action_dim << ", h " << c.shape.hidden_dim
                 << (c.settings.algorithm == Algorithm::kAvg ? ", avg" : ", iac") << ", beta1 "
                 << c.settings.beta1 << (c.settings.feature_norm ? ", feature_norm" : ""));
    OneTick(c, *GetParam()).run();
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Executors, LearnerAgainstDefinition, testing::ValuesIn(all_executors()),
                         [](const auto& suite) { return name_of(*suite.param); });

}  // namespace
}  // namespace instep

// The definition's gradients against central finite differences of the losses, in double.
//
// Error budget of (L(w + d) - L(w - d)) / 2d with d = 1e-5 and losses of order 1 .. 30: truncation
// d^2 / 6 * L''' = 2e-11 L''', rounding 2^-53 * 30 / d = 3e-10. The bound of 1e-6 of the largest
// gradient leaves room for third derivatives of a few thousand; a wrong term is wrong by parts in
// ten. A difference must not step over a kink, so points closer than 1e-3 to one are drawn again.
#include "kernels/definition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "draws.h"

namespace instep {
namespace {

using definition::NetworkShape;
using definition::Policy;
using definition::Trace;

constexpr double kDifference = 1e-5;
constexpr double kKinkDistance = 1e-3;
constexpr double kBound = 1e-6;

struct GradientCase {
  int hidden = 4;
  bool feature_norm = true;
  Algorithm algorithm = Algorithm::kAvg;
  bool clamps = false;  // log variances below, above and within the clamp
};

// One randomly drawn learner and transition with everything evaluated.
struct Point {
  LearnerSettings settings;
  int n = 0;
  int m = 0;
  NetworkShape actor;
  NetworkShape critic;
  std::vector<double> actor_weights, critic_weights, observation, noise, critic_input;
  double target = 0.0;
  double scale = 1.0;
  Trace<double> actor_trace, critic_trace;
  Policy<double> policy;
  double td_error = 0.0;
};

std::vector<double> draw_weights(Draws& draws, const NetworkShape& shape) {
  std::vector<double> flat(definition::parameter_count(shape));
  const auto parts = definition::split(shape, flat.data());
  const auto fill = [&](double* out, int count, double scale) {
    for (int i = 0; i < count; ++i) out[i] = scale * draws.normal();
  };
  fill(parts.w1, shape.hidden * shape.inputs, 1.0 / std::sqrt(shape.inputs));
  fill(parts.b1, shape.hidden, 0.3);
  fill(parts.w2, shape.hidden * shape.hidden, 1.0 / std::sqrt(shape.hidden));
  fill(parts.b2, shape.hidden, 0.3);
  fill(parts.w3, shape.outputs * shape.hidden, 1.0);
  fill(parts.b3, shape.outputs, 0.3);
  return flat;
}

void evaluate(const GradientCase& which, Point& point) {
  definition::forward(point.actor, point.settings, point.actor_weights.data(),
                      point.observation.data(), &point.actor_trace);
  definition::sample_action(point.m, point.settings, point.actor_trace.output, point.noise.data(),
                            &point.policy);
  point.critic_input = point.observation;
  if (has_q_critic(which.algorithm)) {
    point.critic_input.insert(point.critic_input.end(), point.policy.action,
                              point.policy.action + point.m);
  }
  definition::forward(point.critic, point.settings, point.critic_weights.data(),
                      point.critic_input.data(), &point.critic_trace);
  point.td_error = (point.target - point.critic_trace.output[0]) / point.scale;
}

double distance_to_kink(const Point& point) {
  double distance = 1.0;
  for (const Trace<double>* trace : {&point.actor_trace, &point.critic_trace}) {
    for (int i = 0; i < point.actor.hidden; ++i) {
      distance = std::min(distance, std::abs(trace->z1[i]));
      distance = std::min(distance, std::abs(trace->z2[i]));
    }
  }
  for (int i = 0; i < point.m; ++i) {
    const double raw = point.policy.log_variance_raw[i];
    for (const float bound : {point.settings.log_variance_min, point.settings.log_variance_max}) {
      distance = std::min(distance, std::abs(raw - static_cast<double>(bound)));
    }
  }
  return distance;
}

Point draw_point(Draws& draws, const GradientCase& which) {
  Point point;
  point.settings.algorithm = which.algorithm;
  point.settings.feature_norm = which.feature_norm;
  point.settings.entropy_coef = draws.uniform(0.05, 0.5);
  point.n = draws.integer(1, 20);
  point.m = which.clamps ? draws.integer(3, 6) : draws.integer(1, 6);
  point.actor = {point.n, which.hidden, 2 * point.m};
  point.critic = {critic_input_dim({point.n, point.m, which.hidden}, which.algorithm), which.hidden,
                  1};
  if (which.clamps) point.settings.log_variance_min = -4.0F;
  do {
    point.actor_weights = draw_weights(draws, point.actor);
    point.critic_weights = draw_weights(draws, point.critic);
    if (which.clamps) {
      double* bias = definition::split(point.actor, point.actor_weights.data()).b3 + point.m;
      constexpr double kBelowInsideAbove[3] = {-12.0, 0.0, 10.0};
      for (int i = 0; i < point.m; ++i) bias[i] += kBelowInsideAbove[i % 3];
    }
    point.observation = draws.normals<double>(point.n);
    point.noise = draws.normals<double>(point.m);
    point.target = 2.0 * draws.normal();
    point.scale = draws.uniform(0.5, 3.0);
    evaluate(which, point);
  } while (distance_to_kink(point) < kKinkDistance);
  return point;
}

// The losses as functions of one network's weights, everything else held as it stands in the point.
// AVG's and RAC's.
double actor_loss_of_q(const Point& base, const std::vector<double>& weights) {
  Point point = base;
  point.actor_weights = weights;
  evaluate({.algorithm = point.settings.algorithm}, point);
  return point.settings.entropy_coef * point.policy.log_prob - point.critic_trace.output[0];
}

double actor_loss_iac(const Point& base, const std::vector<double>& weights) {
  Trace<double> trace;
  definition::forward(base.actor, base.settings, weights.data(), base.observation.data(), &trace);
  Policy<double> policy;
  definition::sample_action(base.m, base.settings, trace.output, base.noise.data(), &policy);
  // The action that was drawn is a constant, and so is its squash correction.
  const double log_prob = definition::gaussian_log_prob(base.m, policy.mean, policy.log_variance,
                                                        base.policy.action_pre);
  return -(log_prob * base.td_error + base.settings.entropy_coef * policy.entropy);
}

double critic_loss(const Point& base, const std::vector<double>& weights) {
  Trace<double> trace;
  definition::forward(base.critic, base.settings, weights.data(), base.critic_input.data(), &trace);
  const double td_error = (base.target - trace.output[0]) / base.scale;
  return td_error * td_error;
}

std::vector<double> critic_gradient(const Point& point) {
  std::vector<double> gradient(point.critic_weights.size());
  const double d_output = d_critic_output(point.td_error, point.scale);
  definition::backward<double>(point.critic, point.settings, point.critic_weights.data(),
                               point.critic_trace, &d_output, gradient.data(), nullptr);
  return gradient;
}

// dQ/d(input) [inputs of the critic].
std::vector<double> critic_input_gradient(const Point& point) {
  std::vector<double> gradient(point.critic_weights.size());
  std::vector<double> d_input(point.critic_input.size());
  const double one = 1.0;
  definition::backward(point.critic, point.settings, point.critic_weights.data(),
                       point.critic_trace, &one, gradient.data(), d_input.data());
  return d_input;
}

std::vector<double> actor_gradient(const Point& point) {
  std::vector<double> d_output(static_cast<std::size_t>(point.actor.outputs));
  if (has_q_critic(point.settings.algorithm)) {
    const std::vector<double> d_input = critic_input_gradient(point);
    definition::d_actor_output_avg(point.m, point.settings, point.policy, d_input.data() + point.n,
                                   d_output.data());
  } else {
    definition::d_actor_output_iac(point.m, point.settings, point.policy, point.td_error,
                                   d_output.data());
  }
  std::vector<double> gradient(point.actor_weights.size());
  definition::backward<double>(point.actor, point.settings, point.actor_weights.data(),
                               point.actor_trace, d_output.data(), gradient.data(), nullptr);
  return gradient;
}

using Loss = std::function<double(const std::vector<double>&)>;

double difference_along(const Loss& loss, const std::vector<double>& weights,
                        const std::vector<double>& direction) {
  std::vector<double> ahead = weights;
  std::vector<double> behind = weights;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    ahead[i] += kDifference * direction[i];
    behind[i] -= kDifference * direction[i];
  }
  return (loss(ahead) - loss(behind)) / (2.0 * kDifference);
}

// Every coordinate of a small network, some hundred of a large one, and one direction through all.
void expect_gradient(Draws& draws, const Loss& loss, const std::vector<double>& weights,
                     const std::vector<double>& gradient) {
  double largest = 0.0;
  for (const double g : gradient) largest = std::max(largest, std::abs(g));
  ASSERT_GT(largest, 0.0);
  const std::size_t stride = weights.size() / 300 + 1;
  for (std::size_t i = static_cast<std::size_t>(draws.integer(0, static_cast<int>(stride) - 1));
       i < weights.size(); i += stride) {
    std::vector<double> axis(weights.size());
    axis[i] = 1.0;
    ASSERT_NEAR(difference_along(loss, weights, axis), gradient[i], kBound * largest)
        << "parameter " << i;
  }
  std::vector<double> direction = draws.normals<double>(static_cast<int>(weights.size()));
  double length = 0.0;
  for (const double x : direction) length += x * x;
  double expected = 0.0;
  for (std::size_t i = 0; i < direction.size(); ++i) {
    direction[i] /= std::sqrt(length);
    expected += direction[i] * gradient[i];
  }
  EXPECT_NEAR(difference_along(loss, weights, direction), expected, kBound * largest);
}

std::vector<GradientCase> all_cases() {
  std::vector<GradientCase> cases;
  for (const int hidden : {4, 12, 20, 64}) {
    for (const bool feature_norm : {false, true}) {
      for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac, Algorithm::kRac}) {
        if (algorithm == Algorithm::kRac && feature_norm) continue;  // it has none
        for (const bool clamps : {false, true}) {
          cases.push_back({hidden, feature_norm, algorithm, clamps});
        }
      }
    }
  }
  return cases;
}

constexpr const char* kAlgorithmNames[] = {"_avg", "_iac", "_rac"};

class DefinitionGradient : public testing::TestWithParam<GradientCase> {};

TEST_P(DefinitionGradient, OfTheActorLossIsItsDifferenceQuotient) {
  Draws draws(1);
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Point point = draw_point(draws, GetParam());
    const auto loss = has_q_critic(GetParam().algorithm) ? actor_loss_of_q : actor_loss_iac;
    expect_gradient(
        draws, [&](const std::vector<double>& weights) { return loss(point, weights); },
        point.actor_weights, actor_gradient(point));
  }
}

TEST_P(DefinitionGradient, OfTheCriticLossIsItsDifferenceQuotient) {
  Draws draws(2);
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Point point = draw_point(draws, GetParam());
    expect_gradient(
        draws, [&](const std::vector<double>& weights) { return critic_loss(point, weights); },
        point.critic_weights, critic_gradient(point));
  }
}

TEST_P(DefinitionGradient, OfTheCriticsInputIsItsDifferenceQuotient) {
  Draws draws(3);
  const Point point = draw_point(draws, GetParam());
  const Loss value = [&](const std::vector<double>& input) {
    Trace<double> trace;
    definition::forward(point.critic, point.settings, point.critic_weights.data(), input.data(),
                        &trace);
    return trace.output[0];
  };
  expect_gradient(draws, value, point.critic_input, critic_input_gradient(point));
}

INSTANTIATE_TEST_SUITE_P(Cases, DefinitionGradient, testing::ValuesIn(all_cases()),
                         [](const testing::TestParamInfo<GradientCase>& suite) {
                           const GradientCase& which = suite.param;
                           return "h" + std::to_string(which.hidden) +
                                  (which.feature_norm ? "_norm" : "_plain") +
                                  kAlgorithmNames[static_cast<std::size_t>(which.algorithm)] +
                                  (which.clamps ? "_clamps" : "");
                         });

TEST(Definition, GradientIsZeroExactlyWhereTheClampIsActive) {
  Draws draws(4);
  int count[3] = {0, 0, 0};  // log variances below, within and above the clamp
  for (const GradientCase& which : all_cases()) {
    if (!which.clamps) continue;
    const Point point = draw_point(draws, which);
    const std::vector<double> gradient = actor_gradient(point);
    const double* bias = definition::split(point.actor, gradient.data()).b3 + point.m;
    for (int i = 0; i < point.m; ++i) {
      const double raw = point.policy.log_variance_raw[i];
      const int where = raw < -4.0 ? 0 : (raw > 2.0 ? 2 : 1);
      ++count[where];
      if (where == 1) {
        EXPECT_NE(bias[i], 0.0);
        EXPECT_EQ(point.policy.log_variance[i], raw);
      } else {
        EXPECT_EQ(bias[i], 0.0);
        EXPECT_EQ(point.policy.log_variance[i], where == 0 ? -4.0 : 2.0);
      }
    }
  }
  for (const int times : count) EXPECT_GE(times, 10);
}

TEST(Definition, InFloatIsNearDouble) {
  Draws draws(5);
  const Point point = draw_point(draws, {.hidden = 20});
  const std::vector<float> weights(point.critic_weights.begin(), point.critic_weights.end());
  const std::vector<float> input(point.critic_input.begin(), point.critic_input.end());
  Trace<float> trace;
  definition::forward(point.critic, point.settings, weights.data(), input.data(), &trace);
  std::vector<float> gradient(weights.size());
  const float d_output =
      d_critic_output(static_cast<float>(point.td_error), static_cast<float>(point.scale));
  definition::backward<float>(point.critic, point.settings, weights.data(), trace, &d_output,
                              gradient.data(), nullptr);
  const std::vector<double> expected = critic_gradient(point);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(gradient[i]), expected[i], 1e-5);
  }
}

// By the C library and from the action itself, which the definition's own formula is not.
TEST(Definition, LogProbIsThatOfTheSquashedNormalDistribution) {
  LearnerSettings settings;
  Draws draws(6);
  for (int repeat = 0; repeat < 100; ++repeat) {
    const std::vector<double> output = draws.normals<double>(6);
    const std::vector<double> noise = draws.normals<double>(3);
    Policy<double> policy;
    definition::sample_action(3, settings, output.data(), noise.data(), &policy);
    double expected =
        definition::gaussian_log_prob(3, policy.mean, policy.log_variance, policy.action_pre);
    double entropy = 0.0;
    for (std::size_t i = 0; i < 3; ++i) {
      const double std_dev = std::exp(std::clamp(output[3 + i], -20.0, 2.0) / 2.0);
      EXPECT_NEAR(policy.std_dev[i], std_dev, 1e-14 * std_dev);
      EXPECT_NEAR(policy.action[i], std::tanh(output[i] + std_dev * noise[i]), 1e-10);
      expected -= std::log1p(-policy.action[i] * policy.action[i]);
      entropy += 0.5 * std::log(2.0 * std::acos(-1.0) * std::exp(1.0) * std_dev * std_dev);
    }
    EXPECT_NEAR(policy.log_prob, expected, 1e-8);
    EXPECT_NEAR(policy.entropy, entropy, 1e-12);
  }
}

// The steps as Kingma and Ba print them, with changing gradients.
TEST(Definition, AdamIsAsPublished) {
  LearnerSettings settings;
  Draws draws(7);
  for (const double beta1 : {0.0, 0.5, 0.9}) {
    settings.beta1 = beta1;
    double weight = 0.5, first = 0.0, second = 0.0;
    double expected = weight, m = 0.0, v = 0.0;
    for (int step = 1; step <= 50; ++step) {
      const double g = draws.normal();
      definition::adam_step<double>(1, settings, 0.01, step, &g, &weight, &first, &second);
      m = beta1 * m + (1.0 - beta1) * g;
      v = 0.999 * v + 0.001 * g * g;
      const double m_hat = m / (1.0 - std::pow(beta1, step));
      const double v_hat = v / (1.0 - std::pow(0.999, step));
      expected -= 0.01 * m_hat / (std::sqrt(v_hat) + 1e-8);
      ASSERT_NEAR(weight, expected, 1e-13);
    }
  }
}

TEST(Definition, LayersOfRacAreNormalised) {
  Draws draws(8);
  const Point point =
      draw_point(draws, {.hidden = 20, .feature_norm = false, .algorithm = Algorithm::kRac});
  const auto parts = definition::split(point.actor, point.actor_weights.data());
  std::vector<double> sums(20);
  double mean = 0.0;
  double squares = 0.0;
  for (int i = 0; i < 20; ++i) {
    double& sum = sums[static_cast<std::size_t>(i)];
    sum = parts.b1[i];
    for (int j = 0; j < point.n; ++j) {
      sum += parts.w1[i * point.n + j] * point.observation[static_cast<std::size_t>(j)];
    }
    mean += sum / 20.0;
    squares += sum * sum / 20.0;
  }
  const double std_dev = std::sqrt(squares - mean * mean + 1e-5);
  EXPECT_NEAR(point.actor_trace.std_dev[0], std_dev, 1e-12);
  for (int i = 0; i < 20; ++i) {
    const double z = (sums[static_cast<std::size_t>(i)] - mean) / std_dev;
    EXPECT_NEAR(point.actor_trace.z1[i], z, 1e-12);
    EXPECT_NEAR(point.actor_trace.hidden1[i], z > 0.0 ? z : 0.01 * z, 1e-9);
  }
}

// Longer sums change nothing but through eps: what a layer answers does not know its weights' size.
TEST(Definition, ALayersScaleIsForgotten) {
  Draws draws(9);
  Point point =
      draw_point(draws, {.hidden = 64, .feature_norm = false, .algorithm = Algorithm::kRac});
  Trace<double> before = point.critic_trace;
  const auto parts = definition::split(point.critic, point.critic_weights.data());
  for (double* weight = parts.w1; weight != parts.w2; ++weight) *weight *= 1e3;
  definition::forward(point.critic, point.settings, point.critic_weights.data(),
                      point.critic_input.data(), &point.critic_trace);
  EXPECT_NEAR(point.critic_trace.output[0], before.output[0], 1e-3);
  EXPECT_NE(point.critic_trace.output[0], before.output[0]);
}

// With a trace and without one, by formulas of their own.
TEST(Definition, MaximumStepDividesByTheLargestGradientThatIsRemembered) {
  LearnerSettings settings;
  settings.discount = 0.9;
  settings.maximum_decay = 0.8;
  Draws draws(10);
  for (const double trace_decay : {0.0, 0.5}) {
    settings.trace_decay = trace_decay;
    double weight = 0.5, trace = 0.0, maximum = 0.0;
    double before = weight;
    std::vector<double> gradients, steps;
    for (int step = 0; step < 60; ++step) {
      // Some steps have no gradient at all.
      gradients.push_back(step % 7 == 3 ? 0.0 : draws.normal());
      const double factor = draws.normal();
      definition::maximum_step<double>(1, settings, 0.01, factor, &gradients.back(), &weight,
                                       trace_decay > 0.0 ? &trace : nullptr, &maximum);
      double traced = 0.0;
      for (std::size_t k = 0; k < gradients.size(); ++k) {
        const auto age = static_cast<double>(gradients.size() - 1 - k);
        traced += std::pow(0.9 * trace_decay, age) * gradients[k];
      }
      steps.push_back(factor * traced);
      double largest = 0.0;
      for (std::size_t k = 0; k < steps.size(); ++k) {
        const auto age = static_cast<double>(steps.size() - 1 - k);
        largest = std::max(largest, std::pow(0.8, age) * std::abs(steps[k]));
      }
      ASSERT_NEAR(maximum, largest, 1e-12);
      ASSERT_NEAR(weight, before - 0.01 * steps.back() / (largest + 1e-8), 1e-13);
      ASSERT_LE(std::abs(weight - before), 0.01);
      before = weight;
    }
  }
}

TEST(Definition, AHeadThatIsScaledScalesTheValueAndItsGradients) {
  Draws draws(11);
  Point point =
      draw_point(draws, {.hidden = 20, .feature_norm = false, .algorithm = Algorithm::kRac});
  const double value = point.critic_trace.output[0];
  const std::vector<double> d_input = critic_input_gradient(point);
  definition::scale_head(point.critic, 0.25, point.critic_weights.data());
  definition::forward(point.critic, point.settings, point.critic_weights.data(),
                      point.critic_input.data(), &point.critic_trace);
  EXPECT_NEAR(point.critic_trace.output[0], 0.25 * value, 1e-14);
  const std::vector<double> scaled = critic_input_gradient(point);
  for (std::size_t i = 0; i < d_input.size(); ++i) EXPECT_NEAR(scaled[i], 0.25 * d_input[i], 1e-14);
}

TEST(Definition, PolicyDensityIntegratesToOne) {
  // One action dimension: the density over a in (-1, 1), by the midpoint rule over u.
  LearnerSettings settings;
  const double output[2] = {0.4, -0.7};
  const double step = 1e-3;
  double total = 0.0;
  for (double e = -9.0; e < 9.0; e += step) {
    const double noise = e + step / 2.0;
    Policy<double> policy;
    definition::sample_action(1, settings, output, &noise, &policy);
    const double d_action = (1.0 - policy.action[0] * policy.action[0]) * policy.std_dev[0] * step;
    total += std::exp(policy.log_prob) * d_action;
  }
  EXPECT_NEAR(total, 1.0, 1e-9);
}

TEST(Definition, AdamStepsByTheRateUnderAConstantGradient) {
  // Both bias-corrected moments then equal g and g^2 at every step, whatever the betas.
  LearnerSettings settings;
  for (const double beta1 : {0.0, 0.9}) {
    settings.beta1 = beta1;
    std::vector<double> weights = {1.0, -2.0};
    std::vector<double> first(2), second(2);
    const std::vector<double> gradient = {3.0, -1e-7};
    for (int step = 1; step <= 20; ++step) {
      definition::adam_step<double>(2, settings, 0.01, step, gradient.data(), weights.data(),
                                    first.data(), second.data());
      EXPECT_NEAR(weights[0], 1.0 - 0.01 * step * 3.0 / (3.0 + 1e-8), 1e-14);
      EXPECT_NEAR(weights[1], -2.0 + 0.01 * step * 1e-7 / (1e-7 + 1e-8), 1e-14);
    }
    EXPECT_NEAR(second[0], 9.0 * (1.0 - std::pow(0.999, 20)), 1e-13);
  }
}

}  // namespace
}  // namespace instep

// PPO against its loss, written apart in double precision, and finite differences of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "batch_agents.h"
#include "runtime/algorithm.h"

namespace instep {
namespace {

constexpr int kObservations = 3;
constexpr int kActions = 2;
constexpr int kHidden = 8;
constexpr int kRollout = 24;
constexpr double kDiscount = 0.9;
constexpr double kLambda = 0.8;
constexpr double kClip = 0.1;

std::unique_ptr<Agent> make_agent(int epochs, double lr = 0.05, int minibatches = 1) {
  const AlgorithmInfo& info = *find_algorithm("ppo");
  AgentConfig config;
  config.observation_dim = kObservations;
  config.action_dim = kActions;
  config.settings = SettingValues(info.settings);
  config.settings.set("hidden", kHidden);
  config.settings.set("rollout", kRollout);
  config.settings.set("minibatches", minibatches);
  config.settings.set("epochs", epochs);
  config.settings.set("discount", kDiscount);
  config.settings.set("gae_lambda", kLambda);
  config.settings.set("clip", kClip);
  config.settings.set("lr", lr);
  config.settings.set("lr_steps", 0);
  config.seed = 5;
  return info.make(config);
}

double reward_at(std::uint64_t step) {
  return 3.0 * std::sin(static_cast<double>(step));
}
bool is_terminated(std::uint64_t step) {
  return step % 7 == 0;
}
bool is_truncated(std::uint64_t step) {
  return step % 10 == 0;
}

void run(Agent& agent, std::uint64_t first, std::uint64_t last) {
  run_steps(agent, first, last, [](std::uint64_t step) {
    return MadeUpStep{reward_at(step), is_terminated(step), is_truncated(step)};
  });
}

std::vector<double> run_tanh(const double* w, int outputs, std::vector<double> x) {
  return run_layers(w, kObservations, kHidden, outputs, std::move(x),
                    [](double sum) { return std::tanh(sum); });
}

constexpr std::size_t weights_of(std::size_t outputs) {
  return (kObservations + 1) * kHidden + (kHidden + 1) * kHidden + (kHidden + 1) * outputs;
}
constexpr std::size_t kSpread = weights_of(kActions);
constexpr std::size_t kCritic = kSpread + kActions;

// A rollout as the state holds it once it has been learnt from.
struct Rollout {
  explicit Rollout(const StateArrays& state)
      : observations(state.numbers("rollout observations")),
        actions(state.numbers("rollout actions")),
        log_probs(state.numbers("rollout log probabilities")),
        rewards(state.numbers("rollout rewards")),
        values(state.numbers("rollout values")),
        ends(state.numbers("rollout ends")),
        advantages(kRollout),
        goals(kRollout) {
    constexpr std::size_t kOpenValue = 5;  // after gathered, rounds and Adam's three
    const double open_value = state.numbers<double>("counters")[kOpenValue];
    for (std::size_t t = 0; t < kRollout; ++t) {
      // The definition, from each step on by itself: a sum of errors, each weighted less.
      double weight = 1.0;
      for (std::size_t k = t; k < kRollout; ++k) {
        const double next = k + 1 < kRollout ? values[k + 1] : open_value;
        advantages[t] +=
            weight * (rewards[k] + (ends[k] != 0.0 ? 0.0 : kDiscount * next) - values[k]);
        if (ends[k] != 0.0) break;
        weight *= kDiscount * kLambda;
      }
      goals[t] = advantages[t] + values[t];
    }
  }

  // Means over all steps: the policy's clipped loss, and half of half the clipped value loss.
  double loss(const std::vector<double>& w) const {
    double mean = 0.0;
    for (const double a : advantages) mean += a / kRollout;
    double variance = 0.0;
    for (const double a : advantages) variance += (a - mean) * (a - mean) / (kRollout - 1);
    double sum = 0.0;
    for (std::size_t t = 0; t < kRollout; ++t) {
      const auto first = observations.begin() + static_cast<std::ptrdiff_t>(t * kObservations);
      const std::vector<double> x(first, first + kObservations);
      const auto mean_action = run_tanh(w.data(), kActions, x);
      double log_prob = 0.0;
      for (std::size_t j = 0; j < kActions; ++j) {
        const double log_std = w[kSpread + j];
        const double e = (actions[t * kActions + j] - mean_action[j]) / std::exp(log_std);
        log_prob += -0.5 * e * e - log_std - 0.5 * std::log(2.0 * M_PI);
      }
      const double ratio = std::exp(log_prob - log_probs[t]);
      const double advantage = (advantages[t] - mean) / (std::sqrt(variance) + 1e-8);
      sum += std::max(-advantage * ratio, -advantage * std::clamp(ratio, 1.0 - kClip, 1.0 + kClip));
      const double value = run_tanh(w.data() + kCritic, 1, x)[0];
      const double near = values[t] + std::clamp(value - values[t], -kClip, kClip);
      sum += 0.25 * std::max((value - goals[t]) * (value - goals[t]),
                             (near - goals[t]) * (near - goals[t]));
    }
    return sum / kRollout;
  }

  std::vector<double> observations, actions, log_probs, rewards, values, ends;
  std::vector<double> advantages, goals;
};

std::vector<double> gradient_of(const Rollout& rollout, const std::vector<double>& weights) {
  constexpr double kStep = 1e-6;
  std::vector<double> gradient;
  double squares = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    auto moved = weights;
    moved[i] = weights[i] + kStep;
    const double above = rollout.loss(moved);
    moved[i] = weights[i] - kStep;
    gradient.push_back((above - rollout.loss(moved)) / (2.0 * kStep));
    squares += gradient.back() * gradient.back();
  }
  const double shorter = std::min(1.0, 0.5 / std::sqrt(squares));
  for (double& each : gradient) each *= shorter;
  return gradient;
}

// The gradient of epoch number `epochs` of the first round, found from two agents of which one
// made an epoch more; it must be that of the loss where the other one stood.
void expect_gradient_of_epoch(int epochs) {
  std::vector<double> weights;
  std::vector<double> moments(2 * (kCritic + weights_of(1)));
  if (epochs > 1) {
    const auto before = make_agent(epochs - 1);
    run(*before, 0, kRollout);
    weights = StateArrays(*before).numbers("weights");
    moments = StateArrays(*before).numbers("moments");
  } else {
    weights = StateArrays(*make_agent(1)).numbers("weights");
  }
  const auto agent = make_agent(epochs);
  run(*agent, 0, kRollout);
  const StateArrays after(*agent);
  const auto moments_after = after.numbers("moments");
  const auto expected = gradient_of(Rollout(after), weights);
  double largest = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double found = (moments_after[i] - 0.9 * moments[i]) / 0.1;
    ASSERT_NEAR(found, expected[i], 2e-4 + 2e-3 * std::abs(expected[i])) << "weight " << i;
    largest = std::max(largest, std::abs(expected[i]));
  }
  EXPECT_GT(largest, 1e-2);
}

TEST(Ppo, FollowsTheGradientOfItsLoss) {
  expect_gradient_of_epoch(1);
}

TEST(Ppo, LetsNoEpochMoveWhatIsClippedAlready) {
  // With these steps some probabilities and values have moved beyond the clip after one epoch.
  expect_gradient_of_epoch(2);
  expect_gradient_of_epoch(3);
}

TEST(Ppo, ScalesRewardsByTheSpreadOfTheirDiscountedReturn) {
  const auto agent = make_agent(1);
  run(*agent, 0, kRollout);
  const Rollout rollout{StateArrays(*agent)};
  double discounted = 0.0;
  std::vector<double> returns;
  for (std::uint64_t step = 1; step <= kRollout; ++step) {
    discounted = discounted * kDiscount * (is_terminated(step) ? 0.0 : 1.0) + reward_at(step);
    returns.push_back(discounted);
    double mean = 0.0;
    for (const double r : returns) mean += r / static_cast<double>(step);
    double variance = 0.0;
    for (const double r : returns) variance += (r - mean) * (r - mean) / static_cast<double>(step);
    const double expected = std::clamp(reward_at(step) / std::sqrt(variance + 1e-8), -10.0, 10.0);
    if (is_truncated(step)) continue;  // the value of what would have followed comes on top
    ASSERT_NEAR(rollout.rewards[step - 1], expected, 1e-4) << step;
  }
}

TEST(Ppo, AnEpisodeWhoseStepIsLostEndsWithWhatWasExpected) {
  const auto agent = make_agent(1);
  run(*agent, 0, 4);
  ASSERT_NE(agent->open_action(), nullptr);
  const double before = StateArrays(*agent).numbers("rollout rewards")[3];
  const double value = StateArrays(*agent).numbers<double>("counters")[5];
  agent->interrupt();
  const StateArrays after(*agent);
  EXPECT_EQ(after.numbers("rollout ends")[3], 1.0);
  EXPECT_NEAR(after.numbers("rollout rewards")[3], before + kDiscount * value, 1e-6);
  EXPECT_EQ(agent->drop_counts().transitions, 1);
}

TEST(Ppo, GoesOnFromASavedStateBitForBit) {
  const auto whole = make_agent(3, 1e-3, 4);
  run(*whole, 0, 100);
  const auto first = make_agent(3, 1e-3, 4);
  run(*first, 0, 53);
  std::vector<std::uint8_t> state(first->state_bytes());
  first->save_state(state);
  const auto second = make_agent(3, 1e-3, 4);
  ASSERT_TRUE(second->load_state(state, first->step()));
  run(*second, 53, 100);
  EXPECT_EQ(StateArrays(*whole).bytes(), StateArrays(*second).bytes());
}

}  // namespace
}  // namespace instep

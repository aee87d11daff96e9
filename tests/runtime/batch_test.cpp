// SAC and TD3 against their losses, written apart in double precision: every gradient is compared
// with finite differences of the loss, found again from the moments that an update leaves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "batch_agents.h"
#include "kernels/matrix.h"
#include "kernels/philox.h"
#include "runtime/algorithm.h"

namespace instep {
namespace {

constexpr int kObservations = 3;
constexpr int kActions = 2;
constexpr int kHidden = 8;
constexpr int kBatch = 5;
constexpr int kBuffer = 16;
constexpr double kDiscount = 0.9;
constexpr double kShare = 0.05;
constexpr std::uint64_t kSeed = 7;

AgentConfig make_config(const AlgorithmInfo& info, std::string_view path = "") {
  AgentConfig config;
  config.observation_dim = kObservations;
  config.action_dim = kActions;
  config.settings = SettingValues(info.settings);
  config.settings.set("hidden", kHidden);
  config.settings.set("batch", kBatch);
  config.settings.set("buffer", kBuffer);
  config.settings.set("learning_starts", 0);
  config.settings.set("actor_every", 1);
  config.settings.set("discount", kDiscount);
  config.settings.set("target_share", kShare);
  config.path = path;
  config.seed = kSeed;
  return config;
}

// An episode ends every fifth step.
void run(Agent& agent, std::uint64_t first, std::uint64_t last) {
  run_steps(agent, first, last, [](std::uint64_t step) {
    return MadeUpStep{.reward = std::sin(static_cast<double>(step)), .terminated = step % 5 == 0};
  });
}

std::vector<double> run_relu(const double* w, int inputs, int outputs, std::vector<double> x) {
  return run_layers(w, inputs, kHidden, outputs, std::move(x),
                    [](double sum) { return std::max(sum, 0.0); });
}

double q_value(const double* w, const std::vector<double>& observation,
               const std::vector<double>& action) {
  std::vector<double> input = observation;
  input.insert(input.end(), action.begin(), action.end());
  return run_relu(w, kObservations + kActions, 1, std::move(input))[0];
}

struct Drawn {
  std::vector<double> action;
  double log_prob = 0.0;
};

// SAC's policy: the head's second half gives the log standard deviation, stretched to [-5, 2].
Drawn draw_sac(const double* w, const std::vector<double>& observation, const double* noise) {
  const auto output = run_relu(w, kObservations, 2 * kActions, observation);
  Drawn drawn;
  for (std::size_t j = 0; j < kActions; ++j) {
    const double log_std = -5.0 + 3.5 * (std::tanh(output[kActions + j]) + 1.0);
    const double action = std::tanh(output[j] + std::exp(log_std) * noise[j]);
    drawn.action.push_back(action);
    drawn.log_prob += -0.5 * noise[j] * noise[j] - log_std - 0.5 * std::log(2.0 * M_PI) -
                      std::log(1.0 - action * action + 1e-6);
  }
  return drawn;
}

std::vector<double> act_td3(const double* w, const std::vector<double>& observation) {
  auto action = run_relu(w, kObservations, kActions, observation);
  for (double& value : action) value = std::tanh(value);
  return action;
}

// What an update draws, found again from the seed.
struct Draws {
  explicit Draws(std::uint64_t step) : slots(kBatch) {
    Random{kSeed, static_cast<std::uint32_t>(Stream::kBatch)}.uniform(step, slots.data(), kBatch);
    next = normal(Stream::kNextAction, step, 0);
    actor = normal(Stream::kActorUpdate, step, 0);
    entropy = normal(Stream::kActorUpdate, step, 1);
  }
  static std::vector<double> normal(Stream stream, std::uint64_t step, int block) {
    constexpr int kCount = kBatch * kActions;
    std::vector<float> draws(kCount);
    Random{kSeed, static_cast<std::uint32_t>(stream)}.normal(step, draws.data(), kCount,
                                                             block * ((kCount + 3) / 4 * 4));
    return {draws.begin(), draws.end()};
  }
  std::vector<double> slots, next, actor, entropy;
};

struct Transition {
  std::vector<double> observation, next_observation, action;
  double reward, continues;
};

std::vector<Transition> drawn_batch(const StateArrays& state, const Draws& draws,
                                    std::size_t stored) {
  const auto observations = state.numbers("replay observations");
  const auto next_observations = state.numbers("replay next observations");
  const auto actions = state.numbers("replay actions");
  const auto rewards = state.numbers("replay rewards");
  const auto terminations = state.numbers("replay terminations");
  const auto rows = [](const std::vector<double>& all, std::size_t slot, std::size_t size) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(slot * size);
    return std::vector<double>(first, first + static_cast<std::ptrdiff_t>(size));
  };
  std::vector<Transition> batch;
  for (const double draw : draws.slots) {
    const auto slot = static_cast<std::size_t>(draw * static_cast<double>(stored));
    batch.push_back({rows(observations, slot, kObservations),
                     rows(next_observations, slot, kObservations), rows(actions, slot, kActions),
                     rewards[slot], 1.0 - terminations[slot]});
  }
  return batch;
}

// Compares (new moment - 0.9 * old moment) / 0.1 with the loss's gradient, every weight.
void expect_gradient(const std::function<double(const std::vector<double>&)>& loss,
                     const std::vector<double>& weights, const double* moment_before,
                     const double* moment_after) {
  constexpr double kStep = 1e-6;
  double largest = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    auto moved = weights;
    moved[i] = weights[i] + kStep;
    const double above = loss(moved);
    moved[i] = weights[i] - kStep;
    const double gradient = (above - loss(moved)) / (2.0 * kStep);
    const double found = (moment_after[i] - 0.9 * moment_before[i]) / 0.1;
    ASSERT_NEAR(found, gradient, 1e-4 + 1e-3 * std::abs(gradient)) << "weight " << i;
    largest = std::max(largest, std::abs(gradient));
  }
  EXPECT_GT(largest, 1e-2);
}

// Adam as torch writes it, from the moments that the update has left.
void expect_adam(const std::vector<double>& before, const std::vector<double>& after,
                 const double* first_moment, const double* second_moment, double lr, int updates) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double m = first_moment[i] / (1.0 - std::pow(0.9, updates));
    const double v = second_moment[i] / (1.0 - std::pow(0.999, updates));
    ASSERT_NEAR(after[i], before[i] - lr * m / (std::sqrt(v) + 1e-8), 1e-6) << "weight " << i;
  }
}

class Batch : public testing::TestWithParam<std::string> {
 protected:
  const AlgorithmInfo& info() const { return *find_algorithm(std::string_view(GetParam())); }
  bool is_sac() const { return GetParam() == "sac"; }
};

std::vector<double> half(const std::vector<double>& both, std::size_t k) {
  const auto size = static_cast<std::ptrdiff_t>(both.size() / 2);
  const auto first = both.begin() + static_cast<std::ptrdiff_t>(k) * size;
  return {first, first + size};
}

constexpr int kUpdates = 40;  // the one that is looked at; moments, targets and weights differ then

double coef_of(const Agent& agent) {
  for (const NamedNumber& number : agent.numbers()) {
    if (number.name == "entropy_coef") return std::get<double>(number.value);
  }
  return 0.0;
}

TEST_P(Batch, CriticsFollowTheGradientOfTheirLoss) {
  const auto agent = info().make(make_config(info()));
  run(*agent, 0, kUpdates - 1);
  const double coef = coef_of(*agent);
  const StateArrays before(*agent);
  run(*agent, kUpdates - 1, kUpdates);
  const StateArrays after(*agent);
  const Draws draws(kUpdates);
  const auto batch = drawn_batch(after, draws, kBuffer);
  const auto targets = before.numbers("target critics");
  const auto actor = before.numbers(is_sac() ? "actor weights" : "target actor");
  std::vector<double> goals;
  for (std::size_t i = 0; i < kBatch; ++i) {
    Drawn next;
    if (is_sac()) {
      next = draw_sac(actor.data(), batch[i].next_observation, &draws.next[i * kActions]);
    } else {
      next.action = act_td3(actor.data(), batch[i].next_observation);
      for (std::size_t j = 0; j < kActions; ++j) {
        const double noise = std::clamp(0.2 * draws.next[i * kActions + j], -0.5, 0.5);
        next.action[j] = std::clamp(next.action[j] + noise, -1.0, 1.0);
      }
    }
    const double worth =
        std::min(q_value(half(targets, 0).data(), batch[i].next_observation, next.action),
                 q_value(half(targets, 1).data(), batch[i].next_observation, next.action));
    goals.push_back(batch[i].reward +
                    batch[i].continues * kDiscount * (worth - coef * next.log_prob));
  }
  const auto critics = before.numbers("critic weights");
  const auto critics_after = after.numbers("critic weights");
  const auto moments = before.numbers("critic moments");
  const auto moments_after = after.numbers("critic moments");
  for (std::size_t k = 0; k < 2; ++k) {
    const auto weights = half(critics, k);
    const auto loss = [&](const std::vector<double>& w) {
      double sum = 0.0;
      for (std::size_t i = 0; i < kBatch; ++i) {
        const double error = q_value(w.data(), batch[i].observation, batch[i].action) - goals[i];
        sum += error * error / kBatch;
      }
      return sum;
    };
    const std::size_t first = 2 * k * weights.size();
    expect_gradient(loss, weights, &moments[first], &moments_after[first]);
    expect_adam(weights, half(critics_after, k), &moments_after[first],
                &moments_after[first + weights.size()], is_sac() ? 1e-3 : 3e-4, kUpdates);
  }
  const auto targets_after = after.numbers("target critics");
  for (std::size_t i = 0; i < targets.size(); ++i) {
    ASSERT_NEAR(targets_after[i], targets[i] + kShare * (critics_after[i] - targets[i]), 1e-6);
  }
}

TEST_P(Batch, TheActorFollowsTheGradientOfItsLoss) {
  const auto agent = info().make(make_config(info()));
  run(*agent, 0, kUpdates - 1);
  const double coef = coef_of(*agent);
  const StateArrays before(*agent);
  run(*agent, kUpdates - 1, kUpdates);
  const StateArrays after(*agent);
  const Draws draws(kUpdates);
  const auto batch = drawn_batch(after, draws, kBuffer);
  const auto critics = after.numbers("critic weights");  // they have learnt first
  const auto loss = [&](const std::vector<double>& w) {
    double sum = 0.0;
    for (std::size_t i = 0; i < kBatch; ++i) {
      const auto& observation = batch[i].observation;
      if (is_sac()) {
        const Drawn drawn = draw_sac(w.data(), observation, &draws.actor[i * kActions]);
        sum += coef * drawn.log_prob -
               std::min(q_value(half(critics, 0).data(), observation, drawn.action),
                        q_value(half(critics, 1).data(), observation, drawn.action));
      } else {
        sum -= q_value(half(critics, 0).data(), observation, act_td3(w.data(), observation));
      }
    }
    return sum / kBatch;
  };
  const auto weights = before.numbers("actor weights");
  const auto moments = before.numbers("actor moments");
  const auto moments_after = after.numbers("actor moments");
  expect_gradient(loss, weights, moments.data(), moments_after.data());
  expect_adam(weights, after.numbers("actor weights"), moments_after.data(),
              &moments_after[weights.size()], 3e-4, kUpdates);
}

TEST(Sac, TheEntropyWeightFallsWhileThePolicyHasMoreThanItsTarget) {
  const AlgorithmInfo& info = *find_algorithm("sac");
  const auto agent = info.make(make_config(info));
  run(*agent, 0, kUpdates - 1);
  const double coef = coef_of(*agent);
  run(*agent, kUpdates - 1, kUpdates);
  const StateArrays after(*agent);
  const Draws draws(kUpdates);
  const auto batch = drawn_batch(after, draws, kBuffer);
  const auto actor = after.numbers("actor weights");
  double log_prob = 0.0;
  for (std::size_t i = 0; i < kBatch; ++i) {
    log_prob += draw_sac(actor.data(), batch[i].observation, &draws.entropy[i * kActions]).log_prob;
  }
  // A fresh policy has more entropy than -2: the weight has fallen in each update so far.
  ASSERT_LT(log_prob / kBatch, kActions);
  EXPECT_LT(coef_of(*agent), coef);
  EXPECT_NEAR(std::log(coef), -1e-3 * (kUpdates - 1), 2e-3);  // Adam's first steps are lr each
}

TEST_P(Batch, GoesOnFromASavedStateBitForBit) {
  const auto whole = info().make(make_config(info()));
  run(*whole, 0, 60);
  const auto first = info().make(make_config(info()));
  run(*first, 0, 33);
  std::vector<std::uint8_t> state(first->state_bytes());
  first->save_state(state);
  const auto second = info().make(make_config(info()));
  ASSERT_TRUE(second->load_state(state, first->step()));
  run(*second, 33, 60);
  EXPECT_EQ(StateArrays(*whole).bytes(), StateArrays(*second).bytes());
}

TEST_P(Batch, EveryPathFindsTheSameWithinRounding) {
  ASSERT_FALSE(matrix_paths().empty());
  std::vector<double> reference;
  for (const MatrixPath* path : matrix_paths()) {
    const auto agent = info().make(make_config(info(), path->name));
    run(*agent, 0, 30);
    const auto weights = StateArrays(*agent).numbers("critic weights");
    if (reference.empty()) reference = weights;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      ASSERT_NEAR(weights[i], reference[i], 1e-4) << path->name;
    }
  }
}

TEST_P(Batch, RefusesAStateThatWouldLeadOutOfItsBuffer) {
  const auto agent = info().make(make_config(info()));
  run(*agent, 0, 10);
  std::vector<std::uint8_t> state(agent->state_bytes());
  agent->save_state(state);
  const auto damage = [&](std::string_view name, std::size_t word) {
    auto damaged = state;
    for (const MemoryPart& part : agent->memory_parts()) {
      if (part.name != name) continue;
      const std::int64_t far = 1'000'000;
      std::memcpy(damaged.data() + part.offset + 8 * word, &far, sizeof far);
    }
    return damaged;
  };
  EXPECT_FALSE(agent->load_state(damage("tick", 0), 10));      // is_open
  EXPECT_FALSE(agent->load_state(damage("counters", 0), 10));  // stored
  EXPECT_FALSE(agent->load_state(damage("counters", 1), 10));  // next
  EXPECT_TRUE(agent->load_state(state, 10));
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Batch, testing::Values("sac", "td3"),
                         [](const auto& algorithm) { return algorithm.param; });

}  // namespace
}  // namespace instep

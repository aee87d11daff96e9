// What every task must keep, for all of them: a new entry in the registry is covered on arrival.
#include "tasks/registry.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include "available_tasks.h"
#include "kernels/shape.h"

namespace instep {
namespace {

// Everything a world says in `steps` ticks, as bits; episodes restart as the loop restarts them.
class Recording {
 public:
  Recording(const TaskInfo& task, Environment* world, std::uint64_t seed)
      : world_(world),
        seed_(seed),
        observation_(static_cast<std::size_t>(task.observation_dim)),
        action_(static_cast<std::size_t>(task.action_dim)) {}

  void reset(std::uint64_t step) {
    world_->reset(reset_random(seed_), step, observation_.data());
    keep(observation_);
  }

  void run(std::uint64_t first, std::uint64_t steps) {
    for (std::uint64_t step = first; step < first + steps; ++step) {
      random_action(seed_, step, &action_);
      const Outcome outcome = world_->step(action_.data(), observation_.data());
      keep(observation_);
      keep({outcome.reward, outcome.terminated ? 1.0 : 0.0, outcome.truncated ? 1.0 : 0.0});
      if (outcome.terminated || outcome.truncated) {
        reset(step);
      }
    }
  }

  const std::vector<std::uint64_t>& bits() const { return bits_; }

  bool all_finite() const {
    for (const std::uint64_t bits : bits_) {
      if (!std::isfinite(std::bit_cast<double>(bits))) {
        return false;
      }
    }
    return true;
  }

 private:
  void keep(const std::vector<double>& values) {
    for (const double value : values) {
      bits_.push_back(std::bit_cast<std::uint64_t>(value));
    }
  }

  Environment* world_;
  std::uint64_t seed_;
  std::vector<double> observation_;
  std::vector<float> action_;
  std::vector<std::uint64_t> bits_;
};

std::vector<std::uint8_t> saved_state(const Environment& world) {
  std::vector<std::uint8_t> state(world.state_bytes());
  world.save_state(state);
  return state;
}

TEST(Registry, ListsEveryTaskOnceAndComplete) {
  std::set<std::string_view> names;
  for (const TaskInfo& task : all_tasks()) {
    SCOPED_TRACE(task.name);
    EXPECT_TRUE(names.insert(task.name).second);
    EXPECT_EQ(find_task(task.name), &task);
    EXPECT_FALSE(task.summary.empty());
    EXPECT_TRUE(is_valid({task.observation_dim, task.action_dim, 256}));
    EXPECT_GT(task.period_s, 0.0);
    EXPECT_GT(task.action_limit, 0.0);
    EXPECT_LE(task.action_limit, 1.0);
    EXPECT_GT(task.episode_steps_max, 0);
    EXPECT_GT(task.default_steps, 0);
    EXPECT_EQ(task.make == nullptr, !task.missing.empty());
  }
  for (const char* name :
       {"dot_reacher", "hopper", "half_cheetah", "walker2d", "ant", "humanoid"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_EQ(find_task("no_such_task"), nullptr);
}

TEST(Registry, CarriesThePublishedSettings) {
  struct Published {
    const char* name;
    double actor_lr;
    double critic_lr;
    double entropy_coef;
  };
  const Published published[] = {
      {"dot_reacher", 3e-4, 4e-3, 0.07},      {"hopper", 1.1e-5, 7.7e-5, 0.3},
      {"half_cheetah", 6.3e-3, 8.7e-3, 0.07}, {"walker2d", 1.1e-5, 7.7e-5, 0.3},
      {"ant", 6.3e-3, 8.7e-3, 0.07},          {"humanoid", 6.3e-3, 8.7e-3, 0.07},
  };
  for (const Published& expected : published) {
    SCOPED_TRACE(expected.name);
    const TaskInfo* task = find_task(expected.name);
    ASSERT_NE(task, nullptr);
    RunSettings settings;
    apply_task_defaults(settings, *task);
    EXPECT_EQ(settings.algorithm->name, "avg");
    EXPECT_EQ(value_of(settings, "actor_lr"), expected.actor_lr);
    EXPECT_EQ(value_of(settings, "critic_lr"), expected.critic_lr);
    EXPECT_EQ(value_of(settings, "entropy_coef"), expected.entropy_coef);
    EXPECT_EQ(value_of(settings, "beta1"), 0.0);
    EXPECT_EQ(value_of(settings, "discount"), 0.99);
    EXPECT_EQ(value_of(settings, "hidden"), 256);
  }
}

// The reference's one published example of IAC (hyper-parameter seed 294), not AVG's values.
TEST(Registry, GivesIacItsOwnPublishedSettings) {
  for (const TaskInfo& task : all_tasks()) {
    RunSettings settings;
    settings.choose(*find_algorithm("iac"));
    apply_task_defaults(settings, task);
    EXPECT_EQ(value_of(settings, "actor_lr"), 2.2e-5) << task.name;
    EXPECT_EQ(value_of(settings, "critic_lr"), 3.9e-4) << task.name;
    EXPECT_EQ(value_of(settings, "beta1"), 0.9) << task.name;
    EXPECT_EQ(value_of(settings, "entropy_coef"), 0.8) << task.name;
    EXPECT_EQ(value_of(settings, "discount"), 0.97) << task.name;
  }
}

TEST(Registry, NamesKeysThatTheirAlgorithmsHaveAndAllow) {
  for (const TaskInfo& task : all_tasks()) {
    for (const SettingDefault& each : task.defaults) {
      SCOPED_TRACE(std::string(task.name) + ' ' + std::string(each.key));
      const AlgorithmInfo* const algorithm = find_algorithm(each.algorithm);
      ASSERT_NE(algorithm, nullptr);
      const Setting* const setting = find_setting(algorithm->settings, each.key);
      ASSERT_NE(setting, nullptr);
      EXPECT_TRUE(is_allowed(*setting, each.value));
    }
  }
}

class EveryTask : public testing::TestWithParam<const TaskInfo*> {};

TEST_P(EveryTask, StaysFiniteAndRepeatsBitForBit) {
  const TaskInfo& task = *GetParam();
  const auto run = [&task](std::uint64_t seed) {
    const auto world = task.make();
    Recording recording(task, world.get(), seed);
    recording.reset(0);
    recording.run(0, 1000);
    EXPECT_TRUE(recording.all_finite());
    return recording.bits();
  };
  const auto first = run(7);
  EXPECT_EQ(first, run(7));
  EXPECT_NE(first, run(8));
}

TEST_P(EveryTask, StartsAnEpisodeFromSeedStreamAndStepAlone) {
  const TaskInfo& task = *GetParam();
  const auto used = task.make();
  Recording before(task, used.get(), 5);
  before.reset(0);
  before.run(0, 37);
  Recording again(task, used.get(), 5);
  again.reset(99);
  again.run(100, 40);

  const auto fresh = task.make();
  Recording expected(task, fresh.get(), 5);
  expected.reset(99);
  expected.run(100, 40);
  EXPECT_EQ(again.bits(), expected.bits());

  Recording other_step(task, fresh.get(), 5);
  other_step.reset(98);
  other_step.run(100, 40);
  EXPECT_NE(other_step.bits(), expected.bits());
}

TEST_P(EveryTask, WritesItsObservationAndNothingBehindIt) {
  const TaskInfo& task = *GetParam();
  constexpr double kUntouched = 12345.0;
  const auto size = static_cast<std::size_t>(task.observation_dim);
  const auto world = task.make();
  std::vector<double> observation(size + 8, kUntouched);
  const auto check = [&] {
    for (std::size_t i = 0; i < observation.size(); ++i) {
      EXPECT_EQ(observation[i] == kUntouched, i >= size) << i;
    }
    observation.assign(observation.size(), kUntouched);
  };
  world->reset(reset_random(1), 0, observation.data());
  check();
  const std::vector<float> action(static_cast<std::size_t>(task.action_dim), 0.5F);
  world->step(action.data(), observation.data());
  check();
}

TEST_P(EveryTask, GoesOnBitForBitFromASavedState) {
  const TaskInfo& task = *GetParam();
  const auto world = task.make();
  Recording recording(task, world.get(), 3);
  recording.reset(0);
  std::uint64_t step = 0;
  for (const std::uint64_t pause : {0U, 1U, 2U, 5U, 17U, 60U, 211U}) {
    recording.run(step, pause);
    step += pause;
    const auto state = saved_state(*world);
    const auto fresh = task.make();
    ASSERT_TRUE(fresh->load_state(state));
    EXPECT_EQ(saved_state(*fresh), state);
    Recording expected(task, world.get(), 3);
    Recording resumed(task, fresh.get(), 3);
    expected.run(step, 50);
    resumed.run(step, 50);
    step += 50;
    EXPECT_EQ(resumed.bits(), expected.bits()) << "saved before step " << step - 50;
  }
}

TEST_P(EveryTask, RefusesBytesThatAreNoStateAndKeepsItsOwn) {
  const TaskInfo& task = *GetParam();
  const auto world = task.make();
  Recording recording(task, world.get(), 4);
  recording.reset(0);
  recording.run(0, 10);
  const auto state = saved_state(*world);

  auto wrong = state;
  wrong.pop_back();
  EXPECT_FALSE(world->load_state(wrong));
  wrong = state;
  wrong.push_back(0);
  EXPECT_FALSE(world->load_state(wrong));
  EXPECT_FALSE(world->load_state({}));
  EXPECT_FALSE(world->load_state(std::vector<std::uint8_t>(state.size(), 0xFF)));
  EXPECT_EQ(saved_state(*world), state);
}

TEST_P(EveryTask, RecoversFromANanActionAtTheNextReset) {
  const TaskInfo& task = *GetParam();
  const auto world = task.make();
  std::vector<double> observation(static_cast<std::size_t>(task.observation_dim));
  std::vector<float> action(static_cast<std::size_t>(task.action_dim), 0.0F);
  world->reset(reset_random(6), 0, observation.data());
  action[0] = std::numeric_limits<float>::quiet_NaN();
  const Outcome outcome = world->step(action.data(), observation.data());
  bool reported = !std::isfinite(outcome.reward);
  for (const double value : observation) {
    reported = reported || !std::isfinite(value);
  }
  EXPECT_TRUE(reported);
  EXPECT_FALSE(outcome.terminated);

  const auto fresh = task.make();
  Recording expected(task, fresh.get(), 6);
  expected.reset(1);
  expected.run(0, 50);
  Recording recovered(task, world.get(), 6);
  recovered.reset(1);
  recovered.run(0, 50);
  EXPECT_EQ(recovered.bits(), expected.bits());
  EXPECT_TRUE(recovered.all_finite());
}

INSTANTIATE_TEST_SUITE_P(Tasks, EveryTask, testing::ValuesIn(available_tasks()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace instep

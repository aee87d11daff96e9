#include "runtime/health.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/algorithms/actor_critic/health_sampler.h"

namespace instep {
namespace {

// A learner whose tapes and weights are written by hand: one tick after the other, without
// learning.
class HandBuilt {
 public:
  HandBuilt() {
    learner_.settings.hidden = 8;
    learner_.layout = make_layout({3, 2, 8}, Algorithm::kAvg, 1);
    memory_.resize(learner_.layout.bytes + 64);
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    learner_.block = memory_.data() + (64 - address % 64) % 64;
    clear(learner_);
    set_policy({0.0F, 0.0F}, {0.0F, 0.0F}, 0.0F);
    set_feature_norms(1.0F, 1.0F);
    fill_actor(1.0F, 1.0F);
  }
  HandBuilt(const HandBuilt&) = delete;
  HandBuilt& operator=(const HandBuilt&) = delete;

  const Learner& learner() const { return learner_; }

  void set_policy(const std::vector<float>& log_variances, const std::vector<float>& actions,
                  float log_prob) {
    const TapeLayout& tape = learner_.layout.actor_tape;
    float* actor = learner_.open_actor_tape();
    std::copy(log_variances.begin(), log_variances.end(), actor + tape.log_variance);
    std::copy(actions.begin(), actions.end(), actor + tape.action);
    actor[tape.scalars + kLogProb] = log_prob;
  }
  void set_critic(float q, float td_error, double td_error_scale) {
    learner_.open_critic_tape()[learner_.layout.critic_tape.head] = q;
    learner_.state().td_error = td_error;
    learner_.state().td_error_scale = td_error_scale;
  }
  // The tape keeps one over the length; 0 stands for no length at all.
  void set_feature_norms(float actor, float critic) {
    const auto inverse = [](float norm) { return norm > 0.0F ? 1.0F / norm : 0.0F; };
    learner_.open_actor_tape()[learner_.layout.actor_tape.scalars + kInverseNorm] = inverse(actor);
    learner_.open_critic_tape()[learner_.layout.critic_tape.scalars + kInverseNorm] =
        inverse(critic);
  }
  // Every weight of the actor before and after its last step, which was made by so many updates.
  void fill_actor(float before, float after, int updates = 1) {
    learner_.state().actor_updates += updates;
    const std::uint32_t newest = learner_.state().actor_newest;
    const std::size_t floats = learner_.layout.actor.floats;
    std::fill_n(learner_.floats(learner_.layout.actor_weights[1 - newest]), floats, before);
    std::fill_n(learner_.floats(learner_.layout.actor_weights[newest]), floats, after);
  }

 private:
  Learner learner_;
  std::vector<std::uint8_t> memory_;
};

std::uint32_t warnings_after_tick(Health& health, const HandBuilt& hand_built) {
  HealthSampler sampler;
  sampler.add_tick(hand_built.learner());
  health.add_sample(sampler.sample(hand_built.learner()), 0);
  return health.warnings();
}

// As many as must agree.
std::uint32_t warnings_after_samples(Health& health, const HandBuilt& hand_built) {
  for (int i = 0; i < Health::kSamples - 1; ++i) warnings_after_tick(health, hand_built);
  return warnings_after_tick(health, hand_built);
}

void add_episodes(Health& health, int count, double episode_return) {
  for (int i = 0; i < count; ++i) health.add_episode(episode_return, 10, 0);
}

TEST(HealthSampler, SampleIsTheMeanOverTheTicksSinceTheLastOne) {
  HandBuilt hand_built;
  HealthSampler sampler;
  hand_built.set_policy({-20.0F, 0.0F}, {0.995F, -0.5F}, -1.0F);
  hand_built.set_critic(10.0F, 3.0F, 2.0);
  hand_built.set_feature_norms(4.0F, 8.0F);
  sampler.add_tick(hand_built.learner());
  hand_built.set_policy({0.0F, 0.0F}, {0.0F, 0.98F}, -3.0F);
  hand_built.set_critic(20.0F, -4.0F, 5.0);
  hand_built.set_feature_norms(2.0F, 2.0F);
  sampler.add_tick(hand_built.learner());

  const HealthSample sample = sampler.sample(hand_built.learner());
  EXPECT_DOUBLE_EQ(sample.entropy, 2.0);
  EXPECT_DOUBLE_EQ(sample.td_error_rms, std::sqrt(12.5));
  EXPECT_DOUBLE_EQ(sample.td_error_scale, 5.0);
  EXPECT_DOUBLE_EQ(sample.q_value, 15.0);
  EXPECT_DOUBLE_EQ(sample.clamped_share, 0.25);
  EXPECT_DOUBLE_EQ(sample.saturated_share, 0.25);
  EXPECT_DOUBLE_EQ(sample.actor_feature_norm, 3.0);
  EXPECT_DOUBLE_EQ(sample.critic_feature_norm, 5.0);

  // Nothing of the ticks before is left.
  hand_built.set_policy({0.0F, 0.0F}, {0.0F, 0.0F}, 7.0F);
  hand_built.set_critic(-1.0F, 0.5F, 3.0);
  sampler.add_tick(hand_built.learner());
  const HealthSample next = sampler.sample(hand_built.learner());
  EXPECT_DOUBLE_EQ(next.entropy, -7.0);
  EXPECT_DOUBLE_EQ(next.td_error_rms, 0.5);
  EXPECT_DOUBLE_EQ(next.td_error_scale, 3.0);
  EXPECT_DOUBLE_EQ(next.q_value, -1.0);
  EXPECT_DOUBLE_EQ(next.clamped_share, 0.0);
  EXPECT_DOUBLE_EQ(next.saturated_share, 0.0);
  EXPECT_DOUBLE_EQ(next.actor_feature_norm, 2.0);
}

TEST(HealthSampler, WeightNormAndUpdateRatioAreEuclidean) {
  HandBuilt hand_built;
  HealthSampler sampler;
  hand_built.fill_actor(1.75F, 2.0F);
  sampler.add_tick(hand_built.learner());
  const HealthSample sample = sampler.sample(hand_built.learner());
  const auto floats = static_cast<double>(hand_built.learner().layout.actor.floats);
  EXPECT_DOUBLE_EQ(sample.actor_weight_norm, 2.0 * std::sqrt(floats));
  EXPECT_DOUBLE_EQ(sample.actor_update_ratio, 0.125);
}

// Where the actor is updated in place, the step is seen as soon as a tick makes a single one.
TEST(HealthSampler, SeesTheStepOfAnActorThatIsUpdatedInPlace) {
  HandBuilt hand_built;
  HealthSampler sampler(hand_built.learner().layout.actor.floats);
  const auto tick = [&](float weights, int updates) {
    hand_built.fill_actor(99.0F, weights, updates);
    sampler.add_tick(hand_built.learner());
    return sampler.peek(hand_built.learner()).actor_update_ratio;
  };
  EXPECT_TRUE(std::isnan(tick(1.0F, 0)));
  EXPECT_TRUE(std::isnan(tick(1.0F, 0)));
  EXPECT_TRUE(std::isnan(tick(1.5F, 2))) << "two at once";
  EXPECT_DOUBLE_EQ(tick(2.0F, 1), 0.25);
  EXPECT_DOUBLE_EQ(tick(4.0F, 1), 0.25) << "one of them is enough";
  sampler.sample(hand_built.learner());
  EXPECT_TRUE(std::isnan(tick(4.0F, 0)));
  EXPECT_DOUBLE_EQ(tick(8.0F, 1), 0.5);
}

TEST(Health, ASampleWithoutTicksIsFiniteAndWarnsOfNothing) {
  const HandBuilt hand_built;
  Health health;
  const HealthSample sample = HealthSampler().sample(hand_built.learner());
  health.add_sample(sample, 0);
  EXPECT_EQ(sample.ticks, 0);
  EXPECT_EQ(sample.entropy, 0.0);
  EXPECT_EQ(sample.actor_feature_norm, 0.0);
  EXPECT_EQ(health.warnings(), 0U);
}

TEST(Health, WarnsOfMoreThanHalfOfTheLogVariancesAtEitherClamp) {
  HandBuilt hand_built;
  Health health;
  add_episodes(health, 20, 1.0);  // that show nothing of learning
  hand_built.set_policy({-20.0F, 0.0F}, {0.0F, 0.0F}, 0.0F);
  EXPECT_EQ(warnings_after_samples(health, hand_built), 0U);
  hand_built.set_policy({-20.0F, 2.0F}, {0.0F, 0.0F}, 0.0F);
  EXPECT_EQ(warnings_after_samples(health, hand_built), kEntropyAtClamp);
  hand_built.set_policy({-19.0F, 1.9F}, {0.0F, 0.0F}, 0.0F);
  EXPECT_EQ(warnings_after_samples(health, hand_built), 0U);
}

// A moment is none: most of the newest samples must agree.
TEST(Health, ASingleSampleWarnsOfNothing) {
  HandBuilt hand_built;
  Health health;
  add_episodes(health, 20, 1.0);
  warnings_after_samples(health, hand_built);
  hand_built.set_policy({-20.0F, 2.0F}, {0.0F, 0.0F}, 0.0F);
  hand_built.fill_actor(1.0F, 2.0F);
  for (int i = 0; i < Health::kSamples / 2; ++i) {
    EXPECT_EQ(warnings_after_tick(health, hand_built), 0U);
  }
  EXPECT_EQ(warnings_after_tick(health, hand_built), kEntropyAtClamp | kUpdatesTooLarge);
}

TEST(Health, WhatLearnsIsNotWarnedOfItsStepsOrItsVariance) {
  HandBuilt hand_built;
  hand_built.set_policy({-20.0F, 2.0F}, {0.0F, 0.0F}, 0.0F);
  hand_built.fill_actor(1.0F, 2.0F);
  Health health;
  add_episodes(health, 10, 1.0);
  EXPECT_EQ(warnings_after_samples(health, hand_built), 0U) << "too few episodes to know";
  add_episodes(health, 100, 200.0);
  EXPECT_EQ(warnings_after_samples(health, hand_built), 0U);
  // What it has lost again it may have lost by them.
  add_episodes(health, 100, 1.0);
  EXPECT_EQ(warnings_after_samples(health, hand_built),
            kEntropyAtClamp | kUpdatesTooLarge | kReturnFalls);
}

TEST(Health, CountsHowOftenItWarnedAndWhen) {
  HandBuilt hand_built;
  hand_built.set_feature_norms(1.0F, 0.0F);
  Health health;
  HealthSampler sampler;
  sampler.add_tick(hand_built.learner());
  const HealthSample vanishing = sampler.sample(hand_built.learner());
  health.add_sample({}, 1000);
  health.add_sample(vanishing, 2000);
  health.add_sample({}, 3000);
  health.add_sample(vanishing, 4000);
  const WarningCount& count = health.memory().counts[1];
  EXPECT_EQ(health.memory().samples, 4);
  EXPECT_EQ(count.samples, 2);
  EXPECT_EQ(count.first_step, 2000);
  EXPECT_EQ(count.last_step, 4000);
}

TEST(Health, WarnsOfVanishingFeaturesOfEitherNetwork) {
  HandBuilt hand_built;
  Health health;
  hand_built.set_feature_norms(1e-3F, 1e-3F);
  EXPECT_EQ(warnings_after_tick(health, hand_built), 0U);
  hand_built.set_feature_norms(1.0F, 0.0F);
  EXPECT_EQ(warnings_after_tick(health, hand_built), kFeaturesVanish);
  hand_built.set_feature_norms(1e6F, 10.0F);
  EXPECT_EQ(warnings_after_tick(health, hand_built), 0U);
  // Small is what is small beside what has been.
  hand_built.set_feature_norms(0.5F, 10.0F);
  EXPECT_EQ(warnings_after_tick(health, hand_built), kFeaturesVanish);
  EXPECT_EQ(health.memory().counts[1].samples, 2);
}

TEST(Health, WarnsOfAStepBeyondATenthOfTheWeights) {
  HandBuilt hand_built;
  Health health;
  add_episodes(health, 20, 1.0);  // that show nothing of learning
  hand_built.fill_actor(0.91F, 1.0F);
  EXPECT_EQ(warnings_after_samples(health, hand_built), 0U);
  hand_built.fill_actor(0.89F, 1.0F);
  EXPECT_EQ(warnings_after_samples(health, hand_built), kUpdatesTooLarge);
  hand_built.fill_actor(1.0F, 1.0F);
  EXPECT_EQ(warnings_after_samples(health, hand_built), 0U);
}

TEST(Health, WarnsOfAReturnThatStaysFarBelowItsBest) {
  const HandBuilt hand_built;
  Health health;
  add_episodes(health, Health::kWindow, 100.0);
  // Sixty of a hundred: the mean is 40, a loss of 0.6. From the next one on it is below.
  add_episodes(health, 60 + 19, 0.0);
  EXPECT_EQ(warnings_after_tick(health, hand_built), 0U);
  add_episodes(health, 1, 0.0);
  EXPECT_EQ(warnings_after_tick(health, hand_built), kReturnFalls);
  add_episodes(health, Health::kWindow, 90.0);
  EXPECT_EQ(warnings_after_tick(health, hand_built), 0U);
  EXPECT_EQ(health.memory().counts[3].samples, 1);
}

TEST(Health, AFallOfNegativeReturnsIsAFall) {
  const HandBuilt hand_built;
  Health health;
  add_episodes(health, 10, -300.0);
  add_episodes(health, 3 * Health::kWindow, -100.0);
  add_episodes(health, 200, -200.0);
  EXPECT_EQ(warnings_after_tick(health, hand_built), 0U);
  add_episodes(health, 200, -230.0);
  EXPECT_EQ(warnings_after_tick(health, hand_built), kReturnFalls);
}

// Episodes on a run's way, and what is warned of there when nothing else is wrong.
class HealthOnItsWay {
 public:
  HealthOnItsWay() {
    HealthSampler sampler;
    sampler.add_tick(hand_built_.learner());
    sample_ = sampler.sample(hand_built_.learner());
  }
  void add(double episode_return, std::int64_t length) {
    step_ += length;
    health_.add_episode(episode_return, length, step_);
  }
  std::uint32_t warnings() {
    health_.add_sample(sample_, step_);
    return health_.warnings();
  }
  const Health& health() const { return health_; }

 private:
  const HandBuilt hand_built_;
  Health health_;
  HealthSample sample_;
  std::int64_t step_ = 0;
};

// A robot that no longer finds its goal: two episodes out of hundreds, and all of the newest steps.
TEST(Health, WarnsOfAFallThatIsOfFewButLongEpisodes) {
  HealthOnItsWay way;
  const auto add = [&](int count, std::int64_t length) {
    for (int i = 0; i < count; ++i) way.add(-static_cast<double>(length), length);
  };
  add(20, 2000);
  add(1000, 20);
  EXPECT_EQ(way.warnings(), 0U);
  add(1, 5000);
  EXPECT_EQ(way.warnings(), 0U) << "a single bad one";
  add(1, 20'000);
  EXPECT_EQ(way.warnings(), kReturnFalls);
  add(1000, 20);
  EXPECT_EQ(way.warnings(), 0U) << "found again";
  EXPECT_EQ(way.health().memory().counts[3].samples, 1);
}

// Half of what was gained is lost and got back: that is usual.
TEST(Health, AHalfThatIsLostForAWhileIsNoFall) {
  HealthOnItsWay way;
  for (const double episode_return : {100.0, 2000.0, 1000.0, 2000.0}) {
    for (int i = 0; i < 30; ++i) {
      way.add(episode_return, 1000);
      EXPECT_EQ(way.warnings(), 0U) << "episode " << i << " of " << episode_return;
    }
  }
}

// A robot that begins to stand up pays for more steps than one that fell at once.
TEST(Health, CostsThatRiseBeforeAnythingIsLearntAreNoFall) {
  const HandBuilt hand_built;
  Health health;
  add_episodes(health, Health::kWindow, -50.0);
  add_episodes(health, 300, -150.0);
  EXPECT_EQ(warnings_after_tick(health, hand_built), 0U);
}

TEST(Health, TheBestIsTheHighestMeanOfAWindow) {
  Health health;
  health.add_episode(15.0, 10, 0);
  add_episodes(health, 8, 5.0);
  EXPECT_FALSE(health.has_best());
  EXPECT_FALSE(health.take_new_best());
  health.add_episode(5.0, 10, 0);
  EXPECT_TRUE(health.has_best());
  EXPECT_DOUBLE_EQ(health.best_mean_return(), 6.0);
  EXPECT_TRUE(health.take_new_best());
  EXPECT_FALSE(health.take_new_best()) << "it is told once";
  health.add_episode(6.0, 10, 0);
  EXPECT_FALSE(health.take_new_best()) << "an equal mean is no better";
  add_episodes(health, Health::kWindow, 7.0);
  EXPECT_TRUE(health.take_new_best());
  EXPECT_DOUBLE_EQ(health.best_mean_return(), 7.0) << "the first episodes have left the window";
  add_episodes(health, Health::kWindow, 1.0);
  EXPECT_FALSE(health.take_new_best());
  EXPECT_DOUBLE_EQ(health.best_mean_return(), 7.0);
}

TEST(Health, EveryWarningHasANameAndALine) {
  for (int i = 0; i < kHealthWarnings; ++i) {
    const auto warning = static_cast<HealthWarning>(1U << i);
    EXPECT_FALSE(health_warning_name(warning).empty()) << i;
    EXPECT_GT(health_warning_text(warning).size(), 30U) << i;
    EXPECT_EQ(health_warning_text(warning).find('\n'), std::string::npos) << i;
  }
}

}  // namespace
}  // namespace instep

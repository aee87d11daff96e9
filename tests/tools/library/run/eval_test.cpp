// Episodes without learning: which of them count, and that none allocates.
#include "tools/library/run/eval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "allocation_count.h"
#include "kernels/seal.h"
#include "scripted_world.h"
#include "tools/library/run/session.h"

namespace instep {
namespace {

constexpr Outcome kCut{.reward = 100.0, .carries_no_step = true};
constexpr float kAction[] = {0.5F};

const float* act(const double* /*observation*/, std::uint64_t /*step*/) {
  return kAction;
}

TEST(Evaluation, CountsNoEpisodeThatWasCut) {
  ScriptedWorld world(
      1, {{.reward = 3.0}, kCut, kCut, {.reward = 1.0}, {.reward = 2.0, .truncated = true}});
  std::uint64_t number = 4;
  const auto result = run_whole_episode(world, 7, number, act);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->episode_return, 3.0);
  EXPECT_EQ(result->length, 2);
  EXPECT_FALSE(result->is_cut);
  EXPECT_EQ(world.reset_steps, (std::vector<std::uint64_t>{4, 5, 6}));
  EXPECT_EQ(number, 7U);
}

TEST(Evaluation, GivesUpWhereEveryEpisodeIsCut) {
  ScriptedWorld world(1, {kCut});
  std::uint64_t number = 0;
  EXPECT_FALSE(run_whole_episode(world, 7, number, act));
  EXPECT_EQ(world.reset_steps.size(), static_cast<std::size_t>(kCutEpisodesMax));
  const EpisodeResult result = run_episode(world, 7, number, act);
  EXPECT_TRUE(result.is_cut);
  EXPECT_EQ(result.length, 0) << "held periods are no steps";
  EXPECT_EQ(result.episode_return, 0.0);
}

TEST(Evaluation, GivesUpWhereNoEpisodeBegins) {
  ScriptedWorld world(1, {{.reward = 1.0, .truncated = true}});
  world.bad_reset_from = 1;
  world.bad_value = std::nan("");
  std::uint64_t number = 0;
  EXPECT_TRUE(run_whole_episode(world, 7, number, act));
  EXPECT_FALSE(run_whole_episode(world, 7, number, act));
  EXPECT_EQ(world.first_actions.size(), 1U);
}

// As a function of a program: values come back, nothing is printed, and two know nothing of each
// other.
TEST(Evaluation, IsAFunctionThatReturnsWhatItFound) {
  const std::string run = INSTEP_GOLDEN_DIR "/checkpoints/version_1";
  const Evaluation alone = evaluate({.run = run, .episodes = 2, .seed = 5});
  testing::internal::CaptureStdout();
  std::vector<EpisodeResult> told;
  std::optional<Evaluation> inner;
  const Evaluation result = evaluate({.run = run, .episodes = 2, .seed = 5},
                                     [&](std::size_t number, const EpisodeResult& episode) {
                                       EXPECT_EQ(number, told.size());
                                       told.push_back(episode);
                                       if (!inner)
                                         inner = evaluate({.run = run, .episodes = 2, .seed = 5});
                                     });
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  ASSERT_EQ(told.size(), 2U);
  ASSERT_EQ(result.episodes.size(), 2U);
  EXPECT_EQ(result.task, "dot_reacher");
  EXPECT_EQ(result.step, 3700);
  EXPECT_EQ(result.seed, 5U);
  for (const Evaluation& other : {alone, *inner}) {
    EXPECT_EQ(other.mean_return(), result.mean_return());
    EXPECT_EQ(other.standard_deviation(), result.standard_deviation());
  }
  EXPECT_EQ(*result.mean_return(), (told[0].episode_return + told[1].episode_return) / 2.0);
  EXPECT_THROW(evaluate({.run = "/nowhere"}), std::runtime_error);
  EXPECT_EQ(Evaluation().mean_return(), std::nullopt);
}

// A robot's loop evaluates as well as it trains.
TEST(Evaluation, AllocatesNothing) {
  if (INSTEP_COUNTS_ALLOCATIONS == 0) {
    GTEST_SKIP() << "malloc belongs to the sanitizer, or this C library cannot be counted";
  }
  RunConfig config;
  config.task = "create_mover";
  apply_task_defaults(config.settings, require_task(config.task));
  config.settings.values.set("hidden", 16);
  RunSession session(config);
  const auto policy = session.agent().make_policy(false);
  const auto actor = [&](const double* observation, std::uint64_t step) {
    return draw_action(*policy, session.task().action_dim, 3, step, observation);
  };
  std::uint64_t number = 0;
  allocation_count = 0;
  counting_condition = is_sealed;
  std::optional<Seal> seal(std::in_place);
  const auto result = run_whole_episode(session.world(), 3, number, actor);
  seal.reset();
  counting_condition = nullptr;
  ASSERT_TRUE(result);
  EXPECT_GT(result->length, 10);
  EXPECT_EQ(allocation_count, 0);
}

}  // namespace
}  // namespace instep

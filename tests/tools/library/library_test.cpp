// The functions under the commands, through what others include: several in one process, one after
// the other and at one time.
#include <gtest/gtest.h>
#include <instep/library.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "run_files.h"
#include "temporary_folder.h"

namespace instep {
namespace {

constexpr std::int64_t kSteps = 3000;

TrainOptions options_of(const std::string& out, std::uint64_t seed = 1) {
  return {.task = "dot_reacher",
          .steps = kSteps,
          .seed = seed,
          .set = {"hidden=16", "checkpoint_every=1000"},
          .out = out};
}

TEST(Library, TrainsEvaluatesComparesAndReportsTwiceInOneProcess) {
  const TemporaryFolder folder;
  std::vector<double> returns;
  for (const char* const name : {"one", "two"}) {
    const Trained trained = train(options_of(folder / name));
    EXPECT_EQ(trained.summary.ended, "done");
    EXPECT_EQ(trained.summary.steps, kSteps);
    const Evaluation evaluation = evaluate({.run = folder / name, .episodes = 3});
    ASSERT_EQ(evaluation.episodes.size(), 3U);
    returns.push_back(*evaluation.mean_return());
    EXPECT_EQ(inspect(folder / name).checkpoint->step, kSteps);
    const std::string report = write_report({folder / name}, "");
    EXPECT_TRUE(std::filesystem::exists(report)) << report;
  }
  EXPECT_EQ(returns[0], returns[1]);
  EXPECT_TRUE(compare_runs(folder / "one", folder / "two").are_equal());
  EXPECT_TRUE(train({.resume = folder / "one"}).was_finished);
  const Trained more = train({.steps = kSteps + 500, .resume = folder / "one"});
  EXPECT_EQ(more.summary.steps, kSteps + 500);
  const RunDifferences differences = compare_runs(folder / "one", folder / "two");
  ASSERT_TRUE(differences.checkpoints);
  EXPECT_EQ(differences.checkpoints->kind, CheckpointDifference::Kind::kStep);
}

TEST(Library, LooksAtThisMachineTwiceInOneProcess) {
  for (int i = 0; i < 2; ++i) {
    const auto measured = profile({.task = "dot_reacher", .updates = 200, .set = {"hidden=16"}});
    ASSERT_TRUE(measured);
    EXPECT_EQ(measured->updates, 200);
    EXPECT_TRUE(measured->update_us);
    EXPECT_FALSE(measured->findings.empty());
    EXPECT_FALSE(examine().empty());
    EXPECT_FALSE(inspect("", "dot_reacher").memory.empty());
    const auto results =
        verify({.files = {INSTEP_GOLDEN_DIR "/avg/edge_h4_consecutive_ends.safetensors"}});
    EXPECT_EQ(results.size(), 2U);
    for (const VerifyResult& result : results) EXPECT_TRUE(result.pass) << result.problem;
  }
}

// Each is sealed while it learns, at which the other one may be taking its memory.
TEST(Library, TwoThreadsGiveTheBitsThatEachGivesAlone) {
  const TemporaryFolder folder;
  for (const std::uint64_t seed : {1, 2}) {
    train(options_of(folder / ("alone" + std::to_string(seed)), seed));
  }
  std::vector<std::thread> threads;
  for (const std::uint64_t seed : {1, 2}) {
    threads.emplace_back([&folder, seed] {
      for (const char* const name : {"first", "second"}) {
        const std::string run = folder / (name + std::to_string(seed));
        EXPECT_EQ(train(options_of(run, seed)).summary.ended, "done");
        EXPECT_EQ(evaluate({.run = run, .episodes = 1}).episodes.size(), 1U);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::uint64_t seed : {1, 2}) {
    const std::string number = std::to_string(seed);
    EXPECT_TRUE(compare_runs(folder / ("alone" + number), folder / ("first" + number)).are_equal());
    EXPECT_TRUE(
        compare_runs(folder / ("alone" + number), folder / ("second" + number)).are_equal());
  }
}

TEST(Library, StopsWhatItIsAskedToAndNothingElse) {
  const TemporaryFolder folder;
  StopRequest stop;
  stop.ask();
  TrainOptions options = options_of(folder / "stopped");
  options.stop = &stop;
  const Trained stopped = train(options);
  EXPECT_EQ(stopped.summary.ended, "interrupted");
  EXPECT_EQ(stopped.summary.steps, 0);
  EXPECT_TRUE(evaluate({.run = folder / "stopped", .stop = &stop}).episodes.empty());
  EXPECT_FALSE(profile({.task = "dot_reacher", .stop = &stop}));
  EXPECT_EQ(train(options_of(folder / "other")).summary.ended, "done");
}

TEST(Library, SaysWhatCannotBe) {
  const TemporaryFolder folder;
  EXPECT_THROW(train({.task = "hoper"}), UsageError);
  EXPECT_THROW(train({}), UsageError);
  EXPECT_THROW(train({.task = "dot_reacher", .set = {"actor_lr=2"}}), UsageError);
  EXPECT_THROW(train({.task = "dot_reacher", .steps = 0, .out = folder / "none"}), UsageError);
  EXPECT_THROW(train({.task = "dot_reacher", .seeds = SeedRange{0, 1}}), UsageError);
  EXPECT_THROW(train_seeds({.task = "dot_reacher", .seeds = SeedRange{1, 0}}), UsageError);
  EXPECT_THROW(train({.task = "dot_reacher", .algorithm = "dqn"}), UsageError);
  EXPECT_THROW(train({.task = "dot_reacher", .backend = "tpu"}), UsageError);
  EXPECT_THROW(train({.task = "dot_reacher", .path = "mmx"}), UsageError);
  EXPECT_THROW(evaluate({.run = folder / "none"}), CommandError);
  EXPECT_THROW(evaluate({.run = folder / "none", .episodes = 0}), UsageError);
  EXPECT_THROW(profile({.task = "dot_reacher", .updates = 0}), UsageError);
  EXPECT_THROW(profile_agents({.task = "dot_reacher"}), UsageError);
  EXPECT_THROW(profile_in_real_time({.task = "dot_reacher"}), UsageError);
  EXPECT_THROW(verify({.files = {folder / "none"}}), UsageError);
  EXPECT_THROW(replay(folder / "none"), UsageError);
  EXPECT_THROW(compare_runs(folder / "none", folder / "none"), CommandError);
  EXPECT_THROW(write_report({}, folder / "report.html"), UsageError);
  EXPECT_THROW(write_report({folder / "none"}, folder / "report.html"), CommandError);
  EXPECT_THROW(inspect(folder / "none"), CommandError);
  EXPECT_THROW(inspect("", "hoper"), UsageError);
  EXPECT_THROW(examine("", "hoper"), UsageError);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace instep

// Studies: the plan is kept, interrupted ones are gone on with, and results follow from the runs.
#include "tools/instep/study.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "command.h"
#include "temporary_folder.h"
#include "tools/library/error.h"

namespace instep {
namespace {

RandomSearchOptions small_study(const std::string& out) {
  // Two whole episodes.
  return {.task = "create_mover", .out = out, .cells = 3, .seeds = 2, .steps = 1200, .seed = 5};
}

TEST(RandomSearch, RunsEveryCellAndRanksThem) {
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  EXPECT_EQ(run_random_search(small_study(out)), kDone);
  const auto manifest = nlohmann::json::parse(read_bytes(out + "/manifest.json"));
  ASSERT_EQ(manifest.at("cells").size(), 3U);
  EXPECT_TRUE(manifest.at("cells").at(0).at("set").empty());  // the task's own settings
  EXPECT_NE(manifest.at("cells").at(1).at("set"), manifest.at("cells").at(2).at("set"));
  for (const char* run : {"/cell-0/s1000", "/cell-1/s1001", "/cell-2/s1000"}) {
    EXPECT_TRUE(std::filesystem::exists(out + run + "/summary.json")) << run;
  }
  // The best cell stands first, and best.toml has its settings.
  std::istringstream results(read_bytes(out + "/results.csv"));
  std::string line;
  std::getline(results, line);
  std::vector<double> means;
  int best = -1;
  while (std::getline(results, line)) {
    int cell = 0;
    double mean = 0.0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%d,%lf,", &cell, &mean), 2) << line;
    if (means.empty()) best = cell;
    means.push_back(mean);
  }
  ASSERT_EQ(means.size(), 3U);
  EXPECT_TRUE(std::is_sorted(means.rbegin(), means.rend()));
  std::string wanted = "[learner]\n";
  for (const auto& [key, value] : manifest.at("cells").at(best).at("set").items()) {
    wanted += key + " = " + value.get<std::string>() + '\n';
  }
  EXPECT_EQ(read_bytes(out + "/best.toml"), wanted);
}

TEST(RandomSearch, RanksNothingWithoutEpisodes) {
  const TemporaryFolder folder;
  RandomSearchOptions options = small_study(folder / "study");
  options.steps = 20;
  EXPECT_THROW(run_random_search(options), DataError);
  EXPECT_FALSE(std::filesystem::exists(folder / "study/best.toml"));
}

TEST(RandomSearch, TouchesNoFolderThatIsNoStudy) {
  const TemporaryFolder folder;
  write_bytes(folder / "mine", "kept");
  EXPECT_THROW(run_random_search(small_study(folder.path())), UsageError);
  // A run whose config.toml is gone is not started anew over what is left of it.
  const std::string out = folder / "study";
  EXPECT_EQ(run_random_search(small_study(out)), kDone);
  std::filesystem::remove(out + "/cell-1/s1000/config.toml");
  std::filesystem::remove(out + "/cell-1/s1000/summary.json");
  EXPECT_EQ(run_random_search(small_study(out)), kWrongUse);
  EXPECT_TRUE(std::filesystem::exists(out + "/cell-1/s1000/checkpoint"));
}

TEST(RandomSearch, GoesOnWhereItWasInterrupted) {
  const TemporaryFolder folder;
  const std::string whole = folder / "whole";
  const std::string parts = folder / "parts";
  EXPECT_EQ(run_random_search(small_study(whole)), kDone);
  EXPECT_EQ(run_random_search(small_study(parts)), kDone);
  // One run lost its end, one is not there at all.
  std::filesystem::remove(parts + "/cell-1/s1000/summary.json");
  std::filesystem::remove_all(parts + "/cell-2/s1001");
  std::filesystem::remove(parts + "/results.csv");
  const auto untouched = std::filesystem::last_write_time(parts + "/cell-0/s1000/summary.json");
  EXPECT_EQ(run_random_search(small_study(parts)), kDone);
  EXPECT_EQ(read_bytes(parts + "/results.csv"), read_bytes(whole + "/results.csv"));
  EXPECT_EQ(std::filesystem::last_write_time(parts + "/cell-0/s1000/summary.json"), untouched);
}

// With these options the grid alone would take hours.
TEST(Yardsticks, ChecksItsRunsBeforeItComputes) {
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  RandomSearchOptions options = small_study(out);
  options.cells = options.seeds = 1;
  ASSERT_EQ(run_random_search(options), kDone);
  const std::string run = out + "/cell-0/s1000";
  const YardstickOptions yardsticks = {.episodes = 10'000, .seeds = 1000, .runs = {run}};
  const std::string episodes = read_bytes(run + "/episodes.csv");
  write_bytes(run + "/episodes.csv", episodes + "3,x\n");
  EXPECT_THROW(create_mover_yardsticks(yardsticks), DataError);
  write_bytes(run + "/episodes.csv", episodes);
  std::filesystem::remove(run + "/checkpoint");
  EXPECT_THROW(create_mover_yardsticks(yardsticks), DataError);
  EXPECT_THROW(
      create_mover_yardsticks({.episodes = 10'000, .seeds = 1000, .runs = {folder / "none"}}),
      UsageError);
}

TEST(Yardsticks, OfTheArmSayWhereARunLies) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  ASSERT_EQ(run_command({"train", "ur_reacher2", "--steps", "300", "--out", run}).exit_code, 0);
  const CommandResult result = run_command(
      {"study", "yardsticks", "--task", "ur_reacher2", "--episodes", "5", "--seeds", "1", run});
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(result.out.find("seed 0: P controller "), 0U) << result;
  const std::size_t at = result.out.find(run + ": policy ");
  ASSERT_NE(at, std::string::npos) << result;
  double policy = 0.0;
  double p_controller = 0.0;
  double standing = 0.0;
  double share = 0.0;
  ASSERT_EQ(std::sscanf(result.out.c_str() + at + run.size(),
                        ": policy %lf; P controller %lf, standing %lf; share of the way %lf",
                        &policy, &p_controller, &standing, &share),
            4)
      << result;
  EXPECT_GT(p_controller, 200.0);
  EXPECT_LT(standing, 0.0);
  EXPECT_NEAR(share, (policy - standing) / (p_controller - standing), 1e-3);
  // The episodes are those of `eval`.
  const CommandResult eval = run_command({"eval", run, "--episodes", "5", "--json"});
  EXPECT_NEAR(nlohmann::json::parse(eval.last_line()).at("mean_return").get<double>(), policy,
              0.06);
  const CommandResult other = run_command({"study", "yardsticks", run});
  EXPECT_EQ(other.exit_code, 2) << other;
  EXPECT_NE(other.error.find("is not a run of create_mover"), std::string::npos) << other;
}

TEST(RandomSearch, RefusesAnotherPlanInTheSameFolder) {
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  RandomSearchOptions options = small_study(out);
  options.cells = 1;
  EXPECT_EQ(run_random_search(options), kDone);
  options.steps = 1201;
  EXPECT_THROW(run_random_search(options), UsageError);
}

}  // namespace
}  // namespace instep

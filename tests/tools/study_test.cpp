// Studies: the plan is kept, interrupted ones are gone on with, and results follow from the runs.
#include "tools/instep/study.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "temporary_folder.h"
#include "tools/instep/error.h"

namespace instep {
namespace {

RandomSearchOptions small_study(const std::string& out) {
  return {.task = "dot_reacher", .out = out, .cells = 3, .seeds = 2, .steps = 600, .seed = 5};
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
  EXPECT_EQ(read_bytes(out + "/best.toml").rfind("[learner]", 0), 0U);
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

TEST(RandomSearch, RefusesAnotherPlanInTheSameFolder) {
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  RandomSearchOptions options = small_study(out);
  options.cells = 1;
  options.steps = 10;
  EXPECT_EQ(run_random_search(options), kDone);
  options.steps = 11;
  EXPECT_THROW(run_random_search(options), UsageError);
}

}  // namespace
}  // namespace instep

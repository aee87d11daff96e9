// In a sealed thread a run allocates nothing: not in the loop, the learner or MuJoCo, and
// not where it writes episodes, checkpoints, progress and events.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "allocation_count.h"
#include "kernels/seal.h"
#include "small_settings.h"
#include "tasks/registry.h"
#include "temporary_folder.h"
#include "tools/library/error.h"
#include "tools/library/names.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/session.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

struct Case {
  const TaskInfo* task;
  const AlgorithmInfo* algorithm;
  Schedule schedule;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const TaskInfo& task : all_tasks()) {
    if (task.make == nullptr) continue;
    for (const AlgorithmInfo* algorithm : all_algorithms()) {
      if (task.observation_dim > 100 && algorithm != all_algorithms().front()) continue;  // slow
      if (algorithm->has_schedules) cases.push_back({&task, algorithm, Schedule::kThroughput});
      if (task.observation_dim > 100) continue;
      cases.push_back({&task, algorithm, Schedule::kActFirst});
    }
  }
  return cases;
}

RunConfig config_of(const Case& each) {
  RunConfig config;
  config.task = each.task->name;
  config.settings.choose(*each.algorithm);
  apply_task_defaults(config.settings, *each.task);
  make_small(config.settings);
  config.settings.checkpoint_every = 1000;
  config.schedule = each.schedule;
  config.steps = 10'000;
  config.path = choose_backend("cpu", "", config.settings).path;
  return config;
}

class Allocation : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (INSTEP_COUNTS_ALLOCATIONS == 0) {
      GTEST_SKIP() << "malloc belongs to the sanitizer, or this C library cannot be counted";
    }
  }
  void TearDown() override { counting_condition = nullptr; }
};

bool always() {
  return true;
}

TEST_P(Allocation, CounterCounts) {
  allocation_count = 0;
  counting_condition = always;
  std::free(std::malloc(1));
  std::free(std::calloc(1, 1));
  const auto number = std::make_unique<std::vector<int>>(3);
  EXPECT_EQ(allocation_count, 4) << number->size();
  counting_condition = is_sealed;
  std::free(std::malloc(1));
  {
    const Seal seal;
    std::free(std::malloc(1));
  }
  EXPECT_EQ(allocation_count, 5);
}

TEST_P(Allocation, IsNoneInTenThousandSealedTicks) {
  const TemporaryFolder folder;
  TrainingRun run(config_of(GetParam()), folder.path(), {});
  allocation_count = 0;
  counting_condition = is_sealed;
  const RunSummary summary = run.run();
  counting_condition = nullptr;
  EXPECT_EQ(allocation_count, 0);
  EXPECT_EQ(summary.steps, 10'000);
  EXPECT_EQ(summary.ended, "done");
}

// The loop alone, sealed for every one of its ticks.
TEST_P(Allocation, IsNoneInTheLoopItself) {
  RunSession session(config_of(GetParam()));
  std::vector<std::uint8_t> snapshot(session.loop().snapshot_bytes());
  ASSERT_TRUE(session.loop().start());
  allocation_count = 0;
  counting_condition = always;
  for (int i = 0; i < 2000; ++i) {
    session.loop().tick();
    if (i % 100 == 0) session.loop().save_snapshot(snapshot);
  }
  const bool is_loaded = session.loop().load_snapshot(snapshot, 1901);
  counting_condition = nullptr;
  EXPECT_TRUE(is_loaded);
  EXPECT_EQ(allocation_count, 0);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return std::string(info.param.task->name) + '_' + std::string(info.param.algorithm->name) + '_' +
         std::string(schedule_name(info.param.schedule));
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Allocation, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace instep

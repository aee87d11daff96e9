// summary.json: one writer, one reader, and what it says was lost.
#include "tools/library/report/run_summary.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "learner_of.h"
#include "temporary_folder.h"
#include "tools/library/error.h"
#include "tools/library/listen/episode_log.h"
#include "tools/library/listen/summary.h"
#include "tools/library/report/run_summary_json.h"
#include "tools/library/run/session.h"

namespace instep {
namespace {

RunSummary summary_of_everything() {
  RunSummary summary;
  summary.ended = "interrupted";
  summary.task = "create_mover";
  summary.algo = "avg";
  summary.seed = 18446744073709551615U;
  summary.steps = 7;
  summary.mean_return = -1.25;
  summary.warnings = {"features vanish"};
  summary.warnings_seen = {{"features vanish", 12, 100, 34'000, 90'000}};
  summary.gpu = GpuSummary{"a GPU", 1, 20, 0.5, "an error"};
  summary.update_us = Percentiles{1.0, 2.0, 3.0, 4.0};
  summary.update_histogram = {{36.0, 900}};
  summary.memory = {{"actor", 8, 2}};
  summary.speed = {{100, 2400.0}};
  summary.real_time.emplace();
  summary.real_time->trouble = "no cable";
  summary.real_time->holds = {{"key", 3}};
  summary.real_time->overruns.overrun_ticks = 5;
  summary.real_time->overruns.overruns_listed = {{3, 1.0, 2.0, 3.0, {"woke_late"}}};
  return summary;
}

TEST(RunSummary, IsReadAsItWasWritten) {
  const nlohmann::json written = to_json(summary_of_everything());
  EXPECT_EQ(to_json(summary_from_json(written)), written);
  EXPECT_EQ(written.at("real_time").at("overrun_ticks"), 5);
  const nlohmann::json nothing = to_json(RunSummary());
  EXPECT_FALSE(nothing.contains("real_time")) << "on simulated time";
  EXPECT_EQ(to_json(summary_from_json(nothing)), nothing);
}

TEST(RunSummary, SaysHowOftenItWarnedAndSinceWhen) {
  RunSummary summary = summary_of_everything();
  const std::string text = warning_texts(summary).at(0);
  EXPECT_NE(text.find("(in 12 of 100 samples, from step 34000 to 90000)"), std::string::npos)
      << text;
  summary.warnings_seen.clear();  // of an earlier version
  EXPECT_EQ(warning_texts(summary).at(0).find("samples"), std::string::npos);
  summary.warnings.clear();
  EXPECT_TRUE(warning_texts(summary).empty());
}

// As an earlier version of the program wrote it.
TEST(RunSummary, MayLackKeys) {
  const RunSummary summary = summary_from_json(nlohmann::json::parse(
      R"({"ended": "done", "steps": 60, "update_us": null, "key_of_another_version": [1]})"));
  EXPECT_EQ(summary.ended, "done");
  EXPECT_EQ(summary.steps, 60);
  EXPECT_FALSE(summary.update_us);
}

TEST(RunSummary, NamesWhatIsNotAsItMustBe) {
  const auto problem = [](const std::string& text) {
    try {
      summary_from_json(nlohmann::json::parse(text));
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(problem("[]"), "not a JSON object");
  EXPECT_EQ(problem(R"({"steps": "60"})"), "steps is not a whole number that fits");
  EXPECT_EQ(problem(R"({"seed": -1})"), "seed is not a whole number that fits");
  EXPECT_EQ(problem(R"({"exact": 1})"), "exact is not true or false");
  EXPECT_EQ(problem(R"({"update_us": {"p50": "x"}})"), "update_us.p50 is not a number");
  EXPECT_EQ(problem(R"({"memory": [{}, 3]})"), "memory[1] is not an object");
  EXPECT_EQ(problem(R"({"real_time": {"holds": {"key": []}}})"),
            "real_time.holds.key is not a whole number that fits");
  EXPECT_EQ(problem("{}"), "ended is missing");
  EXPECT_EQ(problem(R"({"ended": "done"})"), "steps is missing");
  const auto edited = [&](const std::string& field) {
    return problem(R"({"ended": "done", "steps": 60, )" + field + "}");
  };
  EXPECT_EQ(edited(R"("seconds": 1.5)"), "accepted");
  EXPECT_EQ(edited(R"("seconds": -1.5)"), "seconds cannot be -1.5");
  EXPECT_EQ(edited(R"("steps_per_second": 1e300)"), "steps_per_second cannot be 1e+300");
  EXPECT_EQ(edited(R"("steps_planned": 59)"), "steps is more than steps_planned");
  EXPECT_EQ(edited(R"("episodes": -1)"), "episodes cannot be -1");
  EXPECT_EQ(edited(R"("measured_since_step": -7)"), "measured_since_step cannot be -7");
  EXPECT_EQ(edited(R"("update_us": {"p99": -2})"), "update_us cannot be -2");
  EXPECT_EQ(edited(R"("speed": [{"step": 10, "steps_per_second": -9}])"), "speed cannot be -9");
  EXPECT_EQ(problem(R"({"ended": "perhaps", "steps": 60})"),
            "ended is none of done, interrupted, faulted");
  EXPECT_EQ(problem(R"({"ended": "done", "steps": 100000000000000000})"), "steps cannot be 1e+17");
}

// "exact" is said only where every transition was learnt from: each way to lose one is told.
TEST(RunSummary, TellsEveryLossOfLearning) {
  RunSummary summary;
  summary.real_time.emplace();
  summary.gpu.emplace();
  EXPECT_TRUE(losses_of(summary).empty());
  const std::vector<std::function<void(RunSummary&)>> losses = {
      [](RunSummary& s) { s.dropped_transitions = 1; },
      [](RunSummary& s) { s.dropped_updates = 1; },
      [](RunSummary& s) { s.gpu->fallbacks = 1; },
      [](RunSummary& s) { s.gpu->updates_lost = 1; },
      [](RunSummary& s) { s.real_time->late_ticks = 1; },
      [](RunSummary& s) { s.real_time->transitions_dropped_late = 1; },
      [](RunSummary& s) { s.real_time->learner_tasks_lost = 1; },
      [](RunSummary& s) { s.real_time->packets_lost = 1; },
  };
  for (std::size_t i = 0; i < losses.size(); ++i) {
    RunSummary lossy = summary;
    losses[i](lossy);
    EXPECT_EQ(losses_of(lossy).size(), 1U) << i;
  }
}

// A run that is gone on with a hundred times has some points of all its parts.
TEST(SpeedRecord, ReachesOverAllPartsOfARun) {
  constexpr std::int64_t kNsPerStep = 1000;
  SpeedRecord speed;
  std::int64_t steps = 100;
  std::int64_t step = 0;
  std::int64_t now_ns = 5;
  speed.start(steps, 0, now_ns);
  for (int part = 0; part < 100; ++part) {
    while (step < steps - 30) speed.add(++step, now_ns += kNsPerStep);
    speed = speed.paused(now_ns);
    steps += 100;
    now_ns += 1'000'000'000;  // nobody trains
    speed.go_on(steps, now_ns);
  }
  const std::vector<SpeedRow> rows = speed.rows();
  EXPECT_GT(rows.size(), 20U);
  EXPECT_LE(rows.size(), 64U);
  EXPECT_LT(rows.front().step, 1000);
  EXPECT_GT(rows.back().step, step - 1000);
  for (const SpeedRow& row : rows) EXPECT_EQ(row.steps_per_second, 1e6);
}

TEST(RunSummary, IsNotExactWhereTheLearnerDroppedSomething) {
  const TemporaryFolder folder;
  EpisodeLog log;
  ASSERT_EQ(log.create(folder / "episodes.csv"), 0);
  RunConfig config;
  config.task = "dot_reacher";
  apply_task_defaults(config.settings, require_task(config.task));
  RunSession session(config);
  const LoopLatency latency;
  const SpeedRecord speed;
  RunFacts facts;
  facts.config = config;
  facts.agent = &session.agent();
  facts.latency = &latency;
  facts.speed = &speed;
  facts.folder = folder.path();
  EXPECT_TRUE(summarize(facts).exact);
  LearnerState& state = learner_of(session.agent()).state();
  for (std::int64_t* count :
       {&state.transitions_dropped, &state.actor_updates_dropped, &state.critic_updates_dropped}) {
    *count = 1;
    EXPECT_FALSE(summarize(facts).exact);
    *count = 0;
  }
  facts.real_time.emplace();
  EXPECT_TRUE(summarize(facts).exact);
  facts.real_time->late_ticks = 1;
  const nlohmann::json json = to_json(summarize(facts));
  EXPECT_EQ(json.at("exact"), false);
  EXPECT_EQ(json.at("losses"), nlohmann::json({"1 tick found the learner at work"}));
}

}  // namespace
}  // namespace instep

// Worlds that change on the way: what may be typed, and that a run goes on with it after a stop.
#include "tools/library/run/adaptation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "temporary_folder.h"
#include "tools/library/error.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/adaptation_json.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

TEST(WorldChange, IsReadFromText) {
  const WorldChange change = parse_change("at=100000 left_wheel=0.6 sensor_swap delay=1");
  EXPECT_EQ(change.step, 100'000);
  ASSERT_EQ(change.values.size(), 3U);
  EXPECT_EQ(change.values[0], (std::pair<std::string, double>("left_wheel", 0.6)));
  EXPECT_EQ(change.values[1], (std::pair<std::string, double>("sensor_swap", 1.0)));
  EXPECT_EQ(change.values[2], (std::pair<std::string, double>("delay", 1.0)));
  for (const char* wrong : {"", "at=5", "left_wheel=0.6", "at=-1 delay=1", "at=x delay=1",
                            "at=5 delay=", "at=5 delay=1x", "at=1.5 delay=1", "at=5 delay=1,",
                            "at=5 delay=,1", "at=5 delay=1,,2"}) {
    EXPECT_THROW(parse_change(wrong), UsageError) << wrong;
  }
}

TEST(WorldChange, MayHoldSeveralNumbersOfOneName) {
  const WorldChange change = parse_change("at=5 joint_gain=0.5,1.0 joint_sign=-1,1");
  const std::vector<std::pair<std::string, double>> values = {
      {"joint_gain_1", 0.5}, {"joint_gain_2", 1.0}, {"joint_sign_1", -1.0}, {"joint_sign_2", 1.0}};
  EXPECT_EQ(change.values, values);
}

TEST(WorldChange, OfTheArm) {
  const TaskInfo& reacher = require_task("ur_reacher2");
  for (const char* right : {"joint_gain=0.5,1.0", "joint_sign=-1,1", "sensor_swap", "delay=1",
                            "joint_gain=0.5", "joint_sign_2=-1", "delay=6 joint_gain_1=0"}) {
    EXPECT_NO_THROW(check_change(parse_change(std::string("at=0 ") + right), reacher)) << right;
  }
  for (const char* wrong : {"joint_gain=1.1", "joint_gain=1,1,1", "joint_gain_3=1", "joint_gain_=1",
                            "joint_sign=0,1", "sensor_swap=2", "sensor_swap=0.5", "delay=7",
                            "delay=-1", "delay=0.5", "joint=1", "joint_gain=nan", "delay=1e300"}) {
    EXPECT_THROW(check_change(parse_change(std::string("at=0 ") + wrong), reacher), UsageError)
        << wrong;
  }
}

TEST(WorldChange, NamesEachThingOnce) {
  for (const char* wrong :
       {"joint_gain=0.5 joint_gain=0.7", "delay=1 delay=1", "sensor_swap joint_gain=1 sensor_swap",
        "joint_gain=0.5,1 joint_gain_2=0.7", "joint_gain_1=0.7 joint_gain=0.5", "delay=1 at=5"}) {
    EXPECT_THROW(parse_change(std::string("at=0 ") + wrong), UsageError) << wrong;
  }
}

TEST(WorldChange, MustBeOneThatTheTaskKnows) {
  const TaskInfo& mover = require_task("create_mover");
  EXPECT_NO_THROW(check_change(parse_change("at=0 left_wheel=0.6 delay=6"), mover));
  EXPECT_THROW(check_change(parse_change("at=0 gravity=1"), mover), UsageError);
  EXPECT_THROW(check_change(parse_change("at=0 left_wheel=2"), mover), UsageError);
  const auto said = [](const char* text, const char* task) -> std::string {
    try {
      check_change(parse_change(text), require_task(task));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(said("at=0 gravity=1", "create_mover").find("it has left_wheel"), std::string::npos);
  EXPECT_NE(said("at=0 delay=1", "dot_reacher").find("nothing of it can"), std::string::npos);
}

class ChangedRun : public testing::Test {
 protected:
  RunConfig config(std::int64_t steps) const {
    RunConfig config;
    config.task = task_;
    apply_task_defaults(config.settings, require_task(config.task));
    config.settings.values.set("hidden", 8);
    config.settings.checkpoint_every = 50;
    config.schedule = Schedule::kThroughput;
    config.path = choose_backend("cpu", "", config.settings).path;
    config.steps = steps;
    return config;
  }

  std::string start(const std::string& name, std::int64_t steps, const std::string& change) {
    const std::string folder = folder_ / name;
    make_run_folder(folder, config(steps));
    TrainingRun(config(steps), folder, {.change = change}).run();
    return folder;
  }

  void go_on(const std::string& folder, std::int64_t steps) {
    TrainingRun(config(steps), folder, {.is_resumed = true}).run();
  }

  static std::string actions_and_weights(const std::string& folder) {
    return read_bytes(folder + "/checkpoint");
  }

  std::string task_ = "create_mover";
  TemporaryFolder folder_;
};

TEST_F(ChangedRun, IsTheSameWhereverItWasInterrupted) {
  const std::string change = "at=1000 left_wheel=0.5 delay=1";
  const std::string whole = start("whole", 2000, change);
  for (const std::int64_t stop : {700, 1000, 1300}) {
    const std::string parts = start("parts" + std::to_string(stop), stop, change);
    go_on(parts, 2000);
    EXPECT_EQ(actions_and_weights(parts), actions_and_weights(whole)) << stop;
    EXPECT_EQ(read_bytes(parts + "/adaptation.json"), read_bytes(whole + "/adaptation.json"));
  }
  const std::string unchanged = start("unchanged", 2000, "");
  EXPECT_NE(actions_and_weights(unchanged), actions_and_weights(whole));
  EXPECT_FALSE(std::filesystem::exists(unchanged + "/adaptation.json"));
}

// The arm's episode is repeated when its run is resumed: with the change at its moment.
TEST_F(ChangedRun, OfTheArmIsTheSameWhereverItWasInterrupted) {
  task_ = "ur_reacher2";
  for (const std::string change :
       {"at=350 joint_gain=0.5,1.0 joint_sign=-1,1", "at=350 delay=2", "at=300 sensor_swap"}) {
    const std::string name = change.substr(7, 6);
    const std::string whole = start(name, 700, change);
    for (const std::int64_t stop : {280, 350, 375, 430}) {
      const std::string parts = start(name + std::to_string(stop), stop, change);
      go_on(parts, 700);
      EXPECT_EQ(actions_and_weights(parts), actions_and_weights(whole)) << change << ", " << stop;
      EXPECT_EQ(read_bytes(parts + "/adaptation.json"), read_bytes(whole + "/adaptation.json"));
    }
  }
  const std::string unchanged = start("unchanged", 700, "");
  EXPECT_NE(actions_and_weights(unchanged), actions_and_weights(folder_ / "delay="));
}

TEST_F(ChangedRun, TellsFourFiguresOfEach) {
  task_ = "ur_reacher2";
  const std::string folder = start("run", 4000, "at=1000 joint_sign=-1,1");
  const RunRecord record = read_run_record(folder);
  ASSERT_TRUE(record.adaptation);
  const Adaptation& told = *record.adaptation;
  const auto check = [&](std::optional<double> AdaptationPoint::*value, std::optional<double> peak,
                         std::optional<double> mean, std::optional<double> old_world) {
    ASSERT_TRUE(peak && mean && old_world);
    double best = -1e9;
    for (const AdaptationPoint& point : told.points) {
      if (point.*value) best = std::max(best, *(point.*value));
    }
    EXPECT_EQ(*peak, best);
    EXPECT_LE(*mean, best);
    EXPECT_LT(std::fabs(*old_world), 500.0);
  };
  check(&AdaptationPoint::learning, told.learning_peak, told.learning_mean,
        told.learning_old_world);
  check(&AdaptationPoint::frozen_weights, told.frozen_weights_peak, told.frozen_weights_mean,
        told.frozen_weights_old_world);
  check(&AdaptationPoint::frozen, told.frozen_peak, told.frozen_mean, told.frozen_old_world);
  // The old world is not the changed one: the same policy earns something else there.
  EXPECT_NE(told.frozen_old_world, told.frozen_end);
  EXPECT_NE(read_bytes(folder + "/report.html").find("in the old world again"), std::string::npos);
}

TEST_F(ChangedRun, TellsWhatFrozenCopiesDo) {
  const std::string folder = start("run", 2000, "at=1000 left_wheel=0.5");
  const RunRecord record = read_run_record(folder);
  ASSERT_TRUE(record.adaptation);
  const Adaptation& told = *record.adaptation;
  EXPECT_EQ(told.at, 1000);
  ASSERT_EQ(told.points.size(), 40U);
  EXPECT_EQ(told.points.back().step, 2000);
  int differences = 0;
  for (const AdaptationPoint& point : told.points) {
    if (point.frozen != point.frozen_weights) ++differences;
  }
  EXPECT_GT(differences, 0);
  EXPECT_EQ(to_json(adaptation_from_json(to_json(told))), to_json(told));
  EXPECT_NE(read_bytes(folder + "/report.html").find("After the world changed"), std::string::npos);
  // The agent as it was can be evaluated and built upon.
  EXPECT_TRUE(std::filesystem::exists(folder + "/before_change/config.toml"));
  CheckpointFile before(0);
  open_checkpoint(before, folder + "/before_change", false);
  EXPECT_EQ(before.step(), 1000);
}

TEST_F(ChangedRun, MayBeginInTheChangedWorld) {
  const std::string changed = start("changed", 300, "at=0 left_wheel=0.5");
  const std::string unchanged = start("unchanged", 300, "");
  EXPECT_NE(actions_and_weights(changed), actions_and_weights(unchanged));
  EXPECT_FALSE(std::filesystem::exists(changed + "/before_change"));
}

}  // namespace
}  // namespace instep

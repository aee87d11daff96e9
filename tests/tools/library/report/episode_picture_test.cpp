// The recorded episode of a run and its picture in the report.
#include "tools/library/report/episode_picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "runtime/checkpoint.h"
#include "tasks/mujoco/mujoco_task.h"
#include "tasks/registry.h"
#include "temporary_folder.h"
#include "tools/library/error.h"
#include "tools/library/report/report.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

constexpr const char* kRobots[] = {"hopper", "half_cheetah", "walker2d", "ant", "humanoid"};
constexpr std::size_t kPictureBytesMax = 300'000;

bool is_available(const char* task) {
  return find_task(task)->make != nullptr;
}

RunConfig config_of(const std::string& task) {
  RunConfig config;
  config.task = task;
  apply_task_defaults(config.settings, *find_task(task));
  config.settings.values.set("hidden", 32);
  config.steps = 500;
  config.seed = 4;
  config.schedule = Schedule::kThroughput;
  config.path = choose_backend("cpu", "", config.settings).path;
  return config;
}

// Every opened element is closed in its turn; attributes are quoted.
bool is_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  for (std::size_t at = xml.find('<'); at != std::string::npos; at = xml.find('<', at)) {
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    at = end;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return false;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  return open.empty();
}

// A rod that moves and a ball on the far side.
RecordedEpisode small_episode() {
  RecordedEpisode episode;
  episode.episode_return = 12.5;
  episode.length = 30;
  episode.terminated = true;
  episode.is_whole = true;
  episode.frame_period_s = 0.1;
  episode.limbs = {{50, false}, {80, true}};
  episode.frames = {{0, {-100, 500, 100, 500, 0, 900, 0, 900}},
                    {2600, {-100, 510, 100, 490, 5, 905, 5, 905}},
                    {5200, {-100, 520, 100, 480, 9, 910, 9, 910}}};
  return episode;
}

TEST(RecordedEpisode, SurvivesItsFile) {
  const RecordedEpisode written = small_episode();
  const RecordedEpisode read = parse_recorded_episode(to_text(written), "episode.json");
  EXPECT_EQ(read.episode_return, written.episode_return);
  EXPECT_EQ(read.length, written.length);
  EXPECT_EQ(read.terminated, written.terminated);
  EXPECT_EQ(read.is_whole, written.is_whole);
  EXPECT_EQ(read.frame_period_s, written.frame_period_s);
  ASSERT_EQ(read.limbs.size(), 2U);
  EXPECT_EQ(read.limbs[1].radius_mm, 80);
  EXPECT_TRUE(read.limbs[1].is_far);
  ASSERT_EQ(read.frames.size(), 3U);
  EXPECT_EQ(read.frames[2].trunk_x_mm, 5200);
  EXPECT_EQ(read.frames[2].ends_mm, written.frames[2].ends_mm);
}

TEST(RecordedEpisode, RefusesWhatTrainWouldNotWrite) {
  const auto refuses = [](const nlohmann::json& value) {
    try {
      parse_recorded_episode(value.dump(), "run/episode.json");
    } catch (const DataError& error) {
      return std::string(error.what()).starts_with("run/episode.json: is damaged");
    }
    return false;
  };
  const auto whole = nlohmann::json::parse(to_text(small_episode()));
  EXPECT_FALSE(refuses(whole));
  EXPECT_THROW(parse_recorded_episode("{\"frames\"", "x"), DataError);
  for (const auto& [key, value] : whole.items()) {
    auto without = whole;
    without.erase(key);
    EXPECT_TRUE(refuses(without)) << key;
  }
  auto changed = whole;
  changed["frames"] = nlohmann::json::array();
  EXPECT_TRUE(refuses(changed));
  changed = whole;
  changed["frames"][1]["ends_mm"].erase(0);
  EXPECT_TRUE(refuses(changed));
  changed = whole;
  changed["frames"][1]["x_mm"] = std::int64_t{1} << 40;
  EXPECT_TRUE(refuses(changed));
  changed = whole;
  changed["limbs"][0]["radius_mm"] = "50\"/><script>";
  EXPECT_TRUE(refuses(changed));
}

TEST(EpisodePicture, MovesStandsStillAndIsWellFormed) {
  const std::string svg = draw_episode(small_episode());
  EXPECT_TRUE(is_well_formed(svg)) << svg;
  EXPECT_NE(svg.find("<animate attributeName=\"d\""), std::string::npos);
  EXPECT_NE(svg.find("M-100 -500L100 -500;M-100 -510L100 -490;M-100 -520L100 -480"),
            std::string::npos)
      << "the rod's frames one after the other, z upwards";
  EXPECT_NE(svg.find("values=\"0;-2600;-5200"), std::string::npos) << "the ground moves back";
  EXPECT_NE(svg.find("class=\"still\""), std::string::npos);
  EXPECT_EQ(svg.find("script"), std::string::npos);
  EXPECT_EQ(svg.find("http"), std::string::npos);
}

TEST(EpisodePicture, StandsInTheReportOfARun) {
  RunRecord record;
  record.path = "a";
  const std::string without = render_report({&record, 1});
  EXPECT_EQ(without.find("<svg class=\"robot\""), std::string::npos);
  record.recorded_episode = small_episode();
  const std::string with = render_report({&record, 1});
  EXPECT_NE(with.find("<svg class=\"robot\""), std::string::npos);
  EXPECT_NE(with.find("return <b>12.50</b> in 30 steps, then it fell"), std::string::npos);
  EXPECT_NE(with.find("prefers-reduced-motion"), std::string::npos);
}

// A trunk above its legs at first, and below them from then on.
TEST(EpisodePicture, ARobotOnItsBackIsSaidToBe) {
  RunRecord record;
  record.path = "a";
  RecordedEpisode& episode = record.recorded_episode.emplace();
  episode.frame_period_s = 0.1;
  episode.limbs = {{50, false}, {40, false}};
  const std::vector<int> upright = {-500, 600, 500, 600, 0, 600, 0, 50};
  const std::vector<int> over = {-500, 100, 500, 100, 0, 100, 0, 600};
  for (int i = 0; i < 6; ++i) episode.frames.push_back({100 * i, i < 2 ? upright : over});
  constexpr const char* kSaid = "It moves on its back";
  EXPECT_NE(render_report({&record, 1}).find(kSaid), std::string::npos);
  for (auto& frame : episode.frames) frame.ends_mm = upright;
  EXPECT_EQ(render_report({&record, 1}).find(kSaid), std::string::npos);
  for (auto& frame : episode.frames) frame.ends_mm = over;  // an arm that hangs, say
  EXPECT_EQ(render_report({&record, 1}).find(kSaid), std::string::npos);
}

TEST(EpisodePicture, EveryRobotIsSeenWholeAndSmall) {
  for (const char* task : kRobots) {
    SCOPED_TRACE(task);
    if (!is_available(task)) GTEST_SKIP() << find_task(task)->missing;
    RunSession session(config_of(task));
    const auto episode = record_episode(session, 4);
    ASSERT_TRUE(episode.has_value());
    EXPECT_GE(episode->frames.size(), 2U);
    EXPECT_LE(episode->frames.size(), RecordedEpisode::kFramesMax);
    const std::string text = to_text(*episode);
    EXPECT_NO_THROW(parse_recorded_episode(text, task));
    const std::string svg = draw_episode(*episode);
    EXPECT_TRUE(is_well_formed(svg));
    EXPECT_LT(std::max(text.size(), svg.size()), kPictureBytesMax);
    // The body is near the ground and near its trunk.
    for (std::size_t i = 0; i < episode->frames[0].ends_mm.size(); i += 2) {
      EXPECT_LT(std::abs(episode->frames[0].ends_mm[i]), 2000);
      EXPECT_GE(episode->frames[0].ends_mm[i + 1], 0);
      EXPECT_LT(episode->frames[0].ends_mm[i + 1], 2000);
    }
  }
}

TEST(EpisodePicture, HopperStandsOnItsFootBelowItsTrunk) {
  const auto world = make_mujoco_task("Hopper");
  if (world == nullptr) GTEST_SKIP() << "this build has no MuJoCo";
  std::vector<double> observation(11);
  const double qpos[6] = {3.0, 1.25, 0.0, 0.0, 0.0, 0.0};
  const double qvel[6] = {};
  world->reset_to(qpos, qvel, observation.data());
  std::vector<Limb> limbs;
  world->get_limbs(limbs);
  ASSERT_EQ(limbs.size(), 4U);  // torso, thigh, leg, foot
  EXPECT_NEAR(std::max(limbs[0].from[2], limbs[0].to[2]), 1.45, 1e-9);
  EXPECT_NEAR(std::min(limbs[0].from[2], limbs[0].to[2]), 1.05, 1e-9);
  EXPECT_NEAR(limbs[0].from[0], 3.0, 1e-9);
  EXPECT_NEAR(limbs[3].from[2], 0.1, 1e-9);
  EXPECT_NEAR(std::abs(limbs[3].from[0] - limbs[3].to[0]), 0.39, 1e-9);
  EXPECT_EQ(limbs[3].radius, 0.06);
}

TEST(RecordedEpisode, OfTheArmShowsItAndItsTarget) {
  const TemporaryFolder folder;
  ASSERT_EQ(
      run_command({"train", "ur_reacher2", "--steps", "300", "--out", folder / "run"}).exit_code,
      0);
  const RunRecord record = read_run_record(folder / "run");
  ASSERT_TRUE(record.recorded_episode.has_value());
  EXPECT_EQ(record.recorded_episode->length, 100);
  EXPECT_TRUE(record.recorded_episode->is_whole);
  ASSERT_EQ(record.recorded_episode->limbs.size(), 7U);
  EXPECT_TRUE(record.recorded_episode->limbs[6].is_far);
  for (const RecordedEpisode::Frame& frame : record.recorded_episode->frames) {
    EXPECT_EQ(frame.trunk_x_mm, 0);
  }
  EXPECT_NE(read_bytes(folder / "run/report.html").find("<svg class=\"robot\""), std::string::npos);
}

// The whole episode on a map of its arena: all of its way, and frames from its start to its end.
TEST(RecordedEpisode, OfTheCreateShowsItsWayThroughTheArena) {
  constexpr int kHalfWidthMm = 1000;
  constexpr int kHeightMm = 1500;
  RunSession session(config_of("create_mover"));
  const auto episode = record_episode(session, 4);
  ASSERT_TRUE(episode.has_value());
  EXPECT_TRUE(episode->is_map());
  EXPECT_TRUE(episode->is_whole);
  ASSERT_EQ(episode->way_mm.size(), 2U * static_cast<std::size_t>(episode->length + 1));
  double longest = 0.0;
  for (std::size_t i = 0; i + 1 < episode->way_mm.size(); i += 2) {
    EXPECT_LT(std::abs(episode->way_mm[i]), kHalfWidthMm - 100);
    EXPECT_GT(episode->way_mm[i + 1], 100);
    EXPECT_LT(episode->way_mm[i + 1], kHeightMm - 100);
    if (i == 0) continue;
    longest = std::max(longest, std::hypot(episode->way_mm[i] - episode->way_mm[i - 2],
                                           episode->way_mm[i + 1] - episode->way_mm[i - 1]));
  }
  EXPECT_LT(longest, 30.0) << "150 mm/s for 150 ms, and a rounded millimetre";
  const auto& last = episode->frames.back().ends_mm;
  EXPECT_EQ(last[0], episode->way_mm[episode->way_mm.size() - 2]) << "the robot at its end";
  EXPECT_EQ(last[1], episode->way_mm.back());
  const std::string text = to_text(*episode);
  EXPECT_EQ(parse_recorded_episode(text, "x").way_mm, episode->way_mm);
  const std::string svg = draw_episode(*episode);
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_LT(std::max(text.size(), svg.size()), kPictureBytesMax);
  EXPECT_NE(svg.find("<path class=\"way\" d=\"M"), std::string::npos);
  RunRecord record;
  record.path = "a";
  record.recorded_episode = *episode;
  EXPECT_NE(render_report({&record, 1}).find("From above: the line is its way"), std::string::npos);
}

TEST(RecordedEpisode, AWayIsReadAsItIsWritten) {
  RecordedEpisode map = small_episode();
  map.way_mm = {0, 500, 10, 510, 20, 520};
  EXPECT_EQ(parse_recorded_episode(to_text(map), "x").way_mm, map.way_mm);
  auto value = nlohmann::json::parse(to_text(map));
  value["way_mm"].erase(0);
  EXPECT_THROW(parse_recorded_episode(value.dump(), "x"), DataError);
  value["way_mm"] = std::vector<int>(2 * RecordedEpisode::kWayMax + 2, 1);
  EXPECT_THROW(parse_recorded_episode(value.dump(), "x"), DataError);
}

TEST(RecordedEpisode, IsTheFirstOneOfEval) {
  if (!is_available("hopper")) GTEST_SKIP() << find_task("hopper")->missing;
  const TemporaryFolder folder;
  ASSERT_EQ(run_command({"train", "hopper", "--steps", "1000", "--out", folder / "run"}).exit_code,
            0);
  const RunRecord record = read_run_record(folder / "run");
  ASSERT_TRUE(record.recorded_episode.has_value());
  const CommandResult result = run_command({"eval", folder / "run", "--episodes", "1", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(nlohmann::json::parse(result.last_line()).at("mean_return"),
            record.recorded_episode->episode_return);
  // `report` draws it again.
  const std::string of_train = read_bytes(folder / "run/report.html");
  std::filesystem::remove(folder / "run/report.html");
  ASSERT_EQ(run_command({"report", folder / "run"}).exit_code, 0);
  EXPECT_EQ(read_bytes(folder / "run/report.html"), of_train);
  EXPECT_NE(of_train.find("<svg class=\"robot\""), std::string::npos);
}

TEST(RecordedEpisode, ATaskWithoutABodyHasNone) {
  RunSession session(config_of("dot_reacher"));
  EXPECT_FALSE(record_episode(session, 0).has_value());
}

// The same loop by hand, without a picture, leaves the same checkpoint.
TEST(RecordedEpisode, LeavesTheCheckpointAsItIs) {
  if (!is_available("hopper")) GTEST_SKIP() << find_task("hopper")->missing;
  const TemporaryFolder folder;
  const RunConfig config = config_of("hopper");
  std::filesystem::create_directory(folder / "run");
  TrainingRun(config, folder / "run", {}).run();
  ASSERT_TRUE(std::filesystem::exists(folder / "run/episode.json"));

  RunSession session(config);
  std::vector<std::uint8_t> snapshot(session.loop().snapshot_bytes());
  CheckpointFile plain(config.settings.checkpoint_every);
  ASSERT_EQ(plain.create(folder / "plain", session.identity(), snapshot.size()), 0);
  ASSERT_TRUE(session.loop().start());
  for (std::int64_t step = 0; step <= config.steps; ++step) {
    if (step > 0) session.loop().tick();
    if (step != 0 && step != config.steps) continue;
    session.loop().save_snapshot(snapshot);
    ASSERT_EQ(plain.write(step, snapshot), 0);
  }
  EXPECT_TRUE(read_bytes(folder / "run/checkpoint") == read_bytes(folder / "plain"));
}

}  // namespace
}  // namespace instep

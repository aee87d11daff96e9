// What was measured belongs to the checkpoint: a run that was interrupted, killed or extended tells
// of all its parts.
#include "tools/library/run/measured.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "command.h"
#include "kernels/philox.h"
#include "run_files.h"
#include "temporary_folder.h"
#include "tools/library/run/session.h"

namespace instep {
namespace {

using Words = std::vector<std::string>;
using testing::HasSubstr;
using testing::Not;

// ---------------------------------------------------------------------------------------------------
// The file

std::unique_ptr<Measured> measured_of(std::int64_t step) {
  auto measured = std::make_unique<Measured>();
  measured->seconds = 0.5 * static_cast<double>(step);
  for (std::int64_t i = 0; i < step; ++i) measured->counts.loop.latency.update.record(i);
  return measured;
}

CheckpointKey key_of(std::size_t slot, std::int64_t step) {
  return {slot, step, 77 * static_cast<std::uint64_t>(step)};
}

// Opened anew: what belongs to that checkpoint; -1: nothing.
std::int64_t found(const std::string& path, const CheckpointKey& key) {
  MeasuredFile file;
  Measured measured;
  EXPECT_EQ(file.open(path), 0);
  if (!file.read(key, measured)) return -1;
  EXPECT_EQ(measured.seconds, 0.5 * static_cast<double>(key.step));
  return static_cast<std::int64_t>(measured.counts.loop.latency.update.total());
}

TEST(MeasuredFile, BelongsToOneCheckpointAlone) {
  const TemporaryFolder folder;
  const std::string path = folder / MeasuredFile::kName;
  MeasuredFile file;
  ASSERT_EQ(file.make(path), 0);
  ASSERT_EQ(file.write(key_of(1, 10), *measured_of(10)), 0);
  EXPECT_EQ(found(path, key_of(1, 10)), 10);
  EXPECT_EQ(found(path, key_of(0, 10)), -1);
  EXPECT_EQ(found(path, key_of(1, 11)), -1);
  EXPECT_EQ(found(path, {1, 10, 1}), -1);
}

TEST(MeasuredFile, TheNewerOfTwoForOneCheckpointCounts) {
  const TemporaryFolder folder;
  const std::string path = folder / MeasuredFile::kName;
  MeasuredFile file;
  ASSERT_EQ(file.make(path), 0);
  const auto measured = measured_of(10);
  ASSERT_EQ(file.write(key_of(0, 10), *measured), 0);
  file.keep();
  measured->counts.loop.latency.update.record(5);
  ASSERT_EQ(file.write(key_of(0, 10), *measured), 0);
  file.keep();
  EXPECT_EQ(found(path, key_of(0, 10)), 11);
}

TEST(MeasuredFile, IsNotBelievedWhereItIsDamaged) {
  const TemporaryFolder folder;
  const std::string path = folder / MeasuredFile::kName;
  {
    MeasuredFile file;
    ASSERT_EQ(file.make(path), 0);
    ASSERT_EQ(file.write(key_of(0, 10), *measured_of(10)), 0);
  }
  const std::string whole = read_bytes(path);
  const std::size_t copy_bytes = whole.size() / 4;
  for (std::size_t at = 0; at < copy_bytes; at += at < 48 || at >= 4090 ? 1 : 4042) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    write_bytes(path, bytes);
    const bool is_part = at < 48 || (at >= 4096 && at < 4096 + sizeof(Measured));
    EXPECT_EQ(found(path, key_of(0, 10)), is_part ? -1 : 10) << at;
    if (at > 5000) at += 997;
  }
  for (const std::string& bytes :
       {whole.substr(0, 100), std::string(), std::string(300'000, 'x')}) {
    write_bytes(path, bytes);
    EXPECT_EQ(found(path, key_of(0, 10)), -1);
  }
}

// The process may be killed before and after each write. Whatever stands then has its copy.
TEST(MeasuredFile, HasACopyForWhateverCheckpointStandsWhenTheProcessIsKilled) {
  const TemporaryFolder folder;
  const std::string path = folder / MeasuredFile::kName;
  std::uint32_t rolls = 0;
  const auto roll = [&](std::uint32_t sides) {
    return philox4x32({rolls++, 0, 0, 0}, {3, 9})[0] % sides;
  };
  constexpr std::int64_t kEvery = 5;
  // As CheckpointFile has it: one in between goes where the next regular one will go.
  const auto slot_of = [](std::int64_t step) {
    return static_cast<std::size_t>((step + kEvery - 1) / kEvery % 2);
  };
  std::int64_t stands[2] = {-1, -1};  // by slot: the step of a whole checkpoint
  auto file = std::make_unique<MeasuredFile>();
  ASSERT_EQ(file->make(path), 0);
  std::int64_t step = 0;  // of the next one
  int kills = 0;
  for (int i = 0; i < 500; ++i) {
    const std::size_t slot = slot_of(step);
    const std::uint32_t killed_at = roll(6);  // a part below, or later: not
    ASSERT_EQ(file->write(key_of(slot, step), *measured_of(step)), 0);
    if (killed_at > 0) stands[slot] = -1;  // being written over
    if (killed_at > 1) {
      stands[slot] = step;
      file->keep();
    }
    if (killed_at <= 2) {
      if (stands[0] < 0 && stands[1] < 0) stands[slot] = step;  // a run's first one
      const std::size_t newest = stands[1] > stands[0] ? 1 : 0;
      ++kills;
      file = std::make_unique<MeasuredFile>();
      Measured measured;
      ASSERT_EQ(file->open(path), 0);
      ASSERT_TRUE(file->read(key_of(newest, stands[newest]), measured)) << i;
      EXPECT_EQ(measured.seconds, 0.5 * static_cast<double>(stands[newest]));
      step = stands[newest];
    }
    const std::int64_t regular = (step / kEvery + 1) * kEvery;
    step = roll(3) == 0 ? step + 1 : regular;
  }
  EXPECT_GT(kills, 100);
}

// ---------------------------------------------------------------------------------------------------
// Runs

Words train_words(const std::string& folder, int steps) {
  return {"train",   "dot_reacher",          "--set",  "hidden=12",
          "--set",   "checkpoint_every=400", "--seed", "1",
          "--steps", std::to_string(steps),  "--out",  folder};
}

CommandResult resume(const std::string& folder, int steps) {
  return run_command({"train", "--resume", folder, "--steps", std::to_string(steps)});
}

nlohmann::json summary_of(const std::string& run) {
  return nlohmann::json::parse(read_bytes(run + "/summary.json"));
}

std::int64_t updates_measured(const nlohmann::json& summary) {
  std::int64_t count = 0;
  for (const auto& row : summary.at("update_histogram")) count += row.at("count").get<int>();
  return count;
}

// All values of a scalar in the event file, in order.
std::vector<float> values_of(const std::string& run, const std::string& tag) {
  const std::string events = read_bytes(run + "/events.out.tfevents.instep");
  std::vector<float> values;
  for (std::size_t at = events.find(tag); at != std::string::npos; at = events.find(tag, at + 1)) {
    float value = 0.0F;
    std::memcpy(&value, events.data() + at + tag.size() + 1, sizeof value);
    values.push_back(value);
  }
  return values;
}

// Left in the middle of a window of the event file, twice.
TEST(MeasuredRun, OpenMeansAreThoseOfARunThatWasNeverLeft) {
  const TemporaryFolder folder;
  const auto train = [&](const char* name, int steps) {
    Words words = train_words(folder / name, steps);
    words.insert(words.end(), {"--schedule", "act_first"});
    ASSERT_EQ(run_command(words).exit_code, 0);
  };
  train("whole", 30'000);
  train("parts", 12'400);
  ASSERT_EQ(resume(folder / "parts", 20'750).exit_code, 0);
  ASSERT_EQ(resume(folder / "parts", 30'000).exit_code, 0);
  for (const char* tag :
       {"episode/return", "episode/length", "policy/entropy", "policy/clamped_share",
        "policy/saturated_share", "critic/q", "critic/td_error_rms", "critic/td_error_scale",
        "critic/feature_norm", "actor/feature_norm", "actor/update_ratio", "actor/weight_norm"}) {
    const std::vector<float> whole = values_of(folder / "whole", tag);
    const std::vector<float> parts = values_of(folder / "parts", tag);
    ASSERT_EQ(parts.size(), whole.size()) << tag;
    EXPECT_GT(whole.size(), 2U) << tag;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      EXPECT_NEAR(parts[i], whole[i], 1e-5F * std::abs(whole[i])) << tag << " of point " << i;
    }
  }
  expect_equal_runs(folder / "whole", folder / "parts");
}

TEST(MeasuredRun, OpenMeansOfAlgorithmsWithBatchesAreKept) {
  for (const std::string algo : {"sac", "td3", "ppo"}) {
    const TemporaryFolder folder;
    const auto train = [&](const char* name, int steps) {
      Words words = {"train",   "dot_reacher",
                     "--algo",  algo,
                     "--set",   "hidden=8",
                     "--set",   "checkpoint_every=400",
                     "--steps", std::to_string(steps),
                     "--out",   folder / name};
      const Words own = algo == "ppo" ? Words{"--set", "rollout=500", "--set", "epochs=1"}
                                      : Words{"--set", "batch=8", "--set", "learning_starts=300"};
      words.insert(words.end(), own.begin(), own.end());
      const CommandResult result = run_command(words);
      ASSERT_EQ(result.exit_code, 0) << result;
    };
    train("whole", 5'000);
    train("parts", 2'400);
    ASSERT_EQ(resume(folder / "parts", 5'000).exit_code, 0);
    for (const char* tag : {"critic/q", "critic/td_error_rms", "actor/weight_norm"}) {
      const std::vector<float> whole = values_of(folder / "whole", tag);
      const std::vector<float> parts = values_of(folder / "parts", tag);
      ASSERT_EQ(parts.size(), whole.size()) << algo << ' ' << tag;
      EXPECT_GT(whole.size(), 2U) << algo << ' ' << tag;
      for (std::size_t i = 0; i < whole.size(); ++i) {
        EXPECT_NEAR(parts[i], whole[i], 1e-4F * std::abs(whole[i]))
            << algo << ' ' << tag << " of point " << i;
      }
    }
    expect_equal_runs(folder / "whole", folder / "parts");
  }
}

// The throughput schedule updates the actor in place, and checkpoints move it about.
TEST(MeasuredRun, TheSizeOfAnUpdateDoesNotDependOnCheckpoints) {
  const TemporaryFolder folder;
  std::vector<std::vector<float>> ratios;
  for (const std::string every : {"17", "400", "1000", "100000"}) {
    Words words = {
        "train",   "dot_reacher", "--set", "hidden=12",   "--set", "checkpoint_every=" + every,
        "--steps", "9000",        "--out", folder / every};
    ASSERT_EQ(run_command(words).exit_code, 0);
    ratios.push_back(values_of(folder / every, "actor/update_ratio"));
    EXPECT_EQ(ratios.back(), ratios.front()) << every;
  }
  EXPECT_EQ(ratios[0].size(), 9U);
  // Some thousandths, as the other schedule has them; the steps of a thousand ticks are a hundred
  // times as much.
  for (const float ratio : ratios[0]) {
    EXPECT_GT(ratio, 0.0F);
    EXPECT_LT(ratio, 0.02F);
  }
}

TEST(MeasuredRun, SecondsAndLatenciesAreSums) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  ASSERT_EQ(run_command(train_words(run, 9000)).exit_code, 0);
  const nlohmann::json first = summary_of(run);
  const CommandResult result = resume(run, 10'000);
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.error, Not(HasSubstr("start anew")));
  const nlohmann::json whole = summary_of(run);
  const double seconds = whole.at("seconds");
  EXPECT_GT(seconds, first.at("seconds").get<double>());
  EXPECT_NEAR(whole.at("steps_per_second").get<double>(), 10'000.0 / seconds, 1.0);
  EXPECT_EQ(updates_measured(first), 9000);
  EXPECT_EQ(updates_measured(whole), 10'000);
  EXPECT_EQ(whole.at("measured_since_step"), 0);
  // The curve of the speed reaches over both parts.
  const auto& speed = whole.at("speed");
  ASSERT_GT(speed.size(), 30U);
  EXPECT_LT(speed.front().at("step").get<int>(), 1000);
  EXPECT_GT(speed.back().at("step").get<int>(), 9000);
}

TEST(MeasuredRun, IsKilledAtAnyTimeAndCountsEveryUpdateOnce) {
  constexpr int kSteps = 60'000;
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  std::uint32_t kills = 0;
  for (std::uint32_t i = 0; i < 12; ++i) {
    const bool has_begun = checkpoint_step(run + "/checkpoint").has_value();
    if (!has_begun) std::filesystem::remove_all(run);
    RunningCommand command(has_begun ? Words{"train", "--resume", run} : train_words(run, kSteps));
    const auto ms = philox4x32({i, 0, 0, 0}, {1, 2})[0] % 150;
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + ms));
    command.send(SIGKILL);
    const CommandResult result = command.wait();
    if (result.signal == SIGKILL) ++kills;
    EXPECT_THAT(result.error, Not(HasSubstr("start anew")));
  }
  EXPECT_GT(kills, 0U);
  const CommandResult result = resume(run, kSteps + 100);
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.error, Not(HasSubstr("start anew")));
  EXPECT_EQ(updates_measured(summary_of(run)), kSteps + 100);
}

TEST(MeasuredRun, GoesOnWithoutWhatWasLostAndSaysSoOnce) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  for (const bool is_missing : {true, false}) {
    std::filesystem::remove_all(run);
    ASSERT_EQ(run_command(train_words(run, 3000)).exit_code, 0);
    const std::string path = run + "/measured";
    const std::string whole = read_bytes(path);
    if (is_missing) std::filesystem::remove(path);
    if (!is_missing) write_bytes(path, std::string(whole.size(), '\x55'));
    CommandResult result = resume(run, 4000);
    ASSERT_EQ(result.exit_code, 0) << result;
    EXPECT_THAT(result.error, HasSubstr(path + ": holds nothing that belongs to the checkpoint of "
                                               "step 3000; measured times and counters start anew "
                                               "there"));
    nlohmann::json summary = summary_of(run);
    EXPECT_EQ(summary.at("measured_since_step"), 3000);
    EXPECT_EQ(updates_measured(summary), 1000);
    result = resume(run, 5000);
    EXPECT_THAT(result.error, Not(HasSubstr("start anew")));
    summary = summary_of(run);
    EXPECT_EQ(summary.at("measured_since_step"), 3000);
    EXPECT_EQ(updates_measured(summary), 2000);
  }
}

}  // namespace
}  // namespace instep

// A run that was killed, interrupted or extended ends as one that was never disturbed: the same
// episodes and the same bytes of checkpoint.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "command.h"
#include "kernels/philox.h"
#include "run_files.h"
#include "small_settings.h"
#include "tasks/registry.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/session.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

using Words = std::vector<std::string>;

// What is trained: small networks and frequent checkpoints, so that a second holds many of them.
struct Case {
  const char* task;
  const AlgorithmInfo* algorithm;
  const char* schedule;
  int steps;
  int every;
};

void PrintTo(const Case& each, std::ostream* out) {
  *out << each.task << '_' << each.algorithm->name << '_' << each.schedule;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const AlgorithmInfo* algorithm : all_algorithms()) {
    for (const char* schedule : {"act_first", "throughput"}) {
      // Neither number of steps is whole periods, so the last checkpoint is one in between.
      cases.push_back({"dot_reacher", algorithm, schedule, 16'130, 800});
      if (find_task("half_cheetah")->make == nullptr) continue;
      cases.push_back({"half_cheetah", algorithm, schedule, 4'130, 200});
    }
  }
  return cases;
}

Words train_words(const Case& each, const std::string& folder, int steps) {
  Words words = {"train",      each.task,
                 "--algo",     std::string(each.algorithm->name),
                 "--schedule", each.schedule,
                 "--steps",    std::to_string(steps),
                 "--set",      "checkpoint_every=" + std::to_string(each.every),
                 "--seed",     "3",
                 "--out",      folder};
  const Words small = small_setting_words(*each.algorithm);
  words.insert(words.end(), small.begin(), small.end());
  return words;
}

CommandResult train(const Case& each, const std::string& folder, int steps) {
  return run_command(train_words(each, folder, steps));
}

CommandResult resume(const std::string& folder, const Words& more = {}) {
  Words words = {"train", "--resume", folder};
  words.insert(words.end(), more.begin(), more.end());
  return run_command(words);
}

std::string how_it_ended(const std::string& folder) {
  return nlohmann::json::parse(read_bytes(folder + "/summary.json")).at("ended");
}

void sleep_ms(double milliseconds) {
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
}

// Waits until the loop is under way: the second slot of the checkpoint has been written.
void wait_for_the_loop(const std::string& folder) {
  const std::string path = folder + "/checkpoint";
  for (int i = 0; i < 10'000; ++i, sleep_ms(1)) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    if (error || bytes == 0) continue;
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(bytes / 2));
    if (file.get() == 'I') return;
  }
  ADD_FAILURE() << folder << ": no checkpoint in ten seconds";
}

class Resume : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult result = train(GetParam(), whole(), GetParam().steps);
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - begin;
    whole_ms_ = spent.count();
    ASSERT_EQ(result.exit_code, 0) << result;
  }

  std::string whole() const { return folder_ / "whole"; }
  std::string run() const { return folder_ / "run"; }

  TemporaryFolder folder_;
  double whole_ms_ = 0.0;
};

// Goes on with the run, or begins it where it was killed before it left anything to go on with.
Words next_words(const Case& each, const std::string& folder) {
  if (std::filesystem::exists(folder + "/config.toml")) return {"train", "--resume", folder};
  std::filesystem::remove_all(folder);
  return train_words(each, folder, each.steps);
}

TEST_P(Resume, AfterKillsAtRandomTimesLosesNothing) {
  constexpr int kKills = 3;  // all but the first while the run goes on
  double scale_ms = 0.6 * whole_ms_;
  int kills = 0;
  for (std::uint64_t attempt = 0; kills < kKills; ++attempt) {
    ASSERT_LT(attempt, 40U) << "too few kills met a running process";
    double time = 0.0;
    Random{1, 0}.uniform(attempt, &time, 1);
    RunningCommand command(next_words(GetParam(), run()));
    sleep_ms(time * scale_ms);
    command.send(SIGKILL);
    if (command.wait().signal == SIGKILL) {
      ++kills;
    } else {  // It had ended by itself: once more from the start, with less time.
      std::filesystem::remove_all(run());
      scale_ms *= 0.7;
      kills = 0;
    }
  }
  const CommandResult last = RunningCommand(next_words(GetParam(), run())).wait();
  ASSERT_EQ(last.exit_code, 0) << last;
  EXPECT_EQ(last.error.find("damaged"), std::string::npos) << last;
  expect_equal_runs(run(), whole());
  EXPECT_EQ(how_it_ended(run()), "done");
}

TEST_P(Resume, AfterControlCLosesNothing) {
  // On a busy machine a run may end before the signal reaches it; then once more.
  for (int attempt = 0; attempt == 0 || how_it_ended(run()) == "done"; ++attempt) {
    ASSERT_LT(attempt, 20) << "no signal met a running process";
    std::filesystem::remove_all(run());
    RunningCommand command(train_words(GetParam(), run(), GetParam().steps));
    wait_for_the_loop(run());
    command.send(SIGINT);
    const CommandResult result = command.wait();
    ASSERT_EQ(result.exit_code, 0) << result;
    EXPECT_NE(result.out.find(how_it_ended(run()) + " after"), std::string::npos) << result;
  }
  ASSERT_EQ(how_it_ended(run()), "interrupted");
  {
    RunningCommand command({"train", "--resume", run()});
    sleep_ms(0.3 * whole_ms_);
    command.send(SIGTERM);  // too early it kills, later it interrupts: no difference in the end
    command.wait();
  }
  const CommandResult result = resume(run());
  ASSERT_EQ(result.exit_code, 0) << result;
  expect_equal_runs(run(), whole());
  EXPECT_EQ(how_it_ended(run()), "done");
}

TEST_P(Resume, WithMoreStepsIsAsIfTheyHadBeenAskedForAtOnce) {
  const Case& each = GetParam();
  for (const int first : {each.every - 1, 3 * each.every, 3 * each.every + 1}) {
    std::filesystem::remove_all(run());
    ASSERT_EQ(train(each, run(), first).exit_code, 0);
    const CommandResult result = resume(run(), {"--steps", std::to_string(each.steps)});
    ASSERT_EQ(result.exit_code, 0) << result;
    expect_equal_runs(run(), whole());
    EXPECT_EQ(read_bytes(run() + "/config.toml"), read_bytes(whole() + "/config.toml"));
  }
}

// ---------------------------------------------------------------------------------------------------
// Kills inside a write

// Counts what a run writes; with a limit, kills the process in the middle of the byte behind it.
struct Killer {
  std::vector<std::int64_t> ends;  // of each write, in bytes since the beginning
  std::int64_t bytes = 0;
  std::int64_t bytes_max = -1;

  static int write_at(void* self, int descriptor, std::span<const std::uint8_t> data,
                      std::int64_t offset) {
    auto& killer = *static_cast<Killer*>(self);
    const FileOperations& system = system_file_operations();
    const auto size = static_cast<std::int64_t>(data.size());
    if (killer.bytes_max >= 0 && killer.bytes + size > killer.bytes_max) {
      const auto part = static_cast<std::size_t>(killer.bytes_max - killer.bytes);
      static_cast<void>(system.write_at(nullptr, descriptor, data.first(part), offset));
      raise(SIGKILL);
    }
    killer.bytes += size;
    killer.ends.push_back(killer.bytes);
    return system.write_at(nullptr, descriptor, data, offset);
  }
  // What a killed process has written is not lost; only a power cut would do that.
  static int sync(void*, int) { return 0; }

  FileOperations operations() {
    FileOperations operations = system_file_operations();
    operations.self = this;
    operations.write_at = write_at;
    operations.sync = sync;
    return operations;
  }
};

RunConfig config_of(const Case& each, int steps) {
  RunConfig config;
  config.task = each.task;
  config.settings.choose(*each.algorithm);
  apply_task_defaults(config.settings, require_task(config.task));
  make_small(config.settings);
  config.settings.checkpoint_every = each.every;
  config.seed = 3;
  config.steps = steps;
  if (std::string(each.schedule) == "throughput") config.schedule = Schedule::kThroughput;
  config.path = choose_backend("cpu", "", config.settings).path;
  return config;
}

// Trains in a process of its own until the killer strikes; answers the signal that ended it.
int train_and_die(const RunConfig& config, const std::string& folder, std::int64_t bytes_max) {
  std::filesystem::create_directories(folder);
  const pid_t child = fork();
  if (child == 0) {
    Killer killer;
    killer.bytes_max = bytes_max;
    RunStart start;
    start.operations = killer.operations();
    TrainingRun(config, folder, start).run();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

// Where each write of the run ends.
std::vector<std::int64_t> count_writes(const RunConfig& config, const std::string& folder) {
  std::filesystem::create_directories(folder);
  Killer killer;
  RunStart start;
  start.operations = killer.operations();
  TrainingRun(config, folder, start).run();
  return killer.ends;
}

class ResumeInsideWrite : public testing::TestWithParam<Case> {};

TEST_P(ResumeInsideWrite, LosesNothing) {
  constexpr std::int64_t kHeaderBytes = 64;
  const Case& each = GetParam();
  const int steps = 7 * each.every + 30;
  const TemporaryFolder folder;
  const RunConfig config = config_of(each, steps);
  const std::vector<std::int64_t> ends = count_writes(config, folder / "counted");
  ASSERT_EQ(train(each, folder / "whole", steps).exit_code, 0);
  expect_equal_runs(folder / "counted", folder / "whole");

  // Everything behind the first checkpoint, by kind of write: snapshots, headers, episodes.
  std::vector<std::int64_t> kill_points;
  std::vector<bool> tears_header;
  std::uint64_t seed = 0;
  for (std::size_t i = 5; i < ends.size(); ++i) {
    const std::int64_t size = ends[i] - ends[i - 1];
    if (size < 2) continue;
    double draw = 0.0;
    Random{++seed, 0}.uniform(0, &draw, 1);
    const bool is_header = size == kHeaderBytes;
    // Up to its checksum a header is like the one it replaces.
    const std::int64_t least = is_header ? 29 : 1;
    kill_points.push_back(ends[i - 1] + least +
                          static_cast<std::int64_t>(draw * static_cast<double>(size - least)));
    tears_header.push_back(is_header);
  }
  ASSERT_GE(kill_points.size(), 14U);
  for (std::size_t i = 0; i < kill_points.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "killed after " << kill_points[i] << " bytes");
    const std::string run = folder / "run";
    std::filesystem::remove_all(run);
    ASSERT_EQ(train_and_die(config, run, kill_points[i]), SIGKILL);
    const CommandResult result = resume(run);
    ASSERT_EQ(result.exit_code, 0) << result;
    // A process cannot tear a sector; where a medium did, it is said.
    EXPECT_EQ(result.error.find("damaged") != std::string::npos, tears_header[i]) << result;
    expect_equal_runs(run, folder / "whole");
  }
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return testing::PrintToString(info.param);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, Resume, testing::ValuesIn(all_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Everywhere, ResumeInsideWrite, testing::ValuesIn(all_cases()), case_name);

// ---------------------------------------------------------------------------------------------------
// Files that are not as they should be

class ResumeOf : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(train(kCase, run(), kCase.steps).exit_code, 0); }

  std::string run() const { return folder_ / "run"; }
  std::string checkpoint() const { return run() + "/checkpoint"; }
  std::size_t slot_bytes() const { return std::filesystem::file_size(checkpoint()) / 2; }

  void flip(std::size_t offset) const {
    std::string bytes = read_bytes(checkpoint());
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x20);
    write_bytes(checkpoint(), bytes);
  }

  // Train, eval, info and compare all refuse, with the same words.
  void expect_refused(int exit_code, const std::string& words) const {
    const auto before = folder_contents(run());
    for (const Words& command : {Words{"train", "--resume", run()}, Words{"eval", run()},
                                 Words{"info", run()}, Words{"compare", run(), run()}}) {
      const CommandResult result = run_command(command);
      EXPECT_EQ(result.exit_code, exit_code) << command.front() << '\n' << result;
      EXPECT_NE(result.error.find(words), std::string::npos) << command.front() << '\n' << result;
      EXPECT_EQ(result.error.rfind("instep: ", 0), 0U) << result;
    }
    EXPECT_EQ(folder_contents(run()), before) << "a refusal changed the run";
  }

  static inline const Case kCase{"dot_reacher", find_algorithm("avg"), "throughput", 2'100, 1'000};

  TemporaryFolder folder_;
};

// Steps 0, 1,000, 2,000 and 2,100 went to the slots 0, 1, 0 and 1.
TEST_F(ResumeOf, ADamagedNewestCheckpointGoesOnFromTheOneBefore) {
  const auto whole = folder_contents(run());
  flip(slot_bytes() + 4096 + 100);
  const CommandResult evaluated = run_command({"eval", run(), "--episodes", "1", "--json"});
  EXPECT_EQ(evaluated.exit_code, 0) << evaluated;
  EXPECT_EQ(nlohmann::json::parse(evaluated.last_line()).at("step"), 2000);
  const CommandResult result = resume(run());
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.error.find("warning: " + checkpoint() + ": a damaged checkpoint was found"),
            std::string::npos)
      << result;
  EXPECT_NE(result.error.find("of step 2000"), std::string::npos) << result;
  EXPECT_EQ(read_bytes(checkpoint()), whole.at(checkpoint()));
}

TEST_F(ResumeOf, TwoDamagedCheckpointsIsRefused) {
  flip(4096 + 7);
  flip(slot_bytes() + 4096 + 7);
  expect_refused(1, "both checkpoints in it are damaged");
}

// As a copy onto a full disk leaves it: what is there goes on, to the same end.
TEST_F(ResumeOf, ACheckpointCutShortInItsSecondSlotGoesOnFromTheFirst) {
  const std::string whole = read_bytes(checkpoint());
  for (const std::size_t bytes : {slot_bytes(), slot_bytes() + 40, slot_bytes() + 5000}) {
    write_bytes(checkpoint(), whole.substr(0, bytes));
    const CommandResult evaluated = run_command({"eval", run(), "--episodes", "1", "--json"});
    EXPECT_EQ(evaluated.exit_code, 0) << evaluated;
    EXPECT_EQ(nlohmann::json::parse(evaluated.last_line()).at("step"), 2000);
    EXPECT_EQ(read_bytes(checkpoint()).size(), bytes) << "eval changed the run";
    const CommandResult result = resume(run());
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_NE(result.error.find("of step 2000"), std::string::npos) << result;
    EXPECT_EQ(read_bytes(checkpoint()), whole) << bytes;
  }
}

TEST_F(ResumeOf, AnotherFormatVersionIsRefused) {
  std::string bytes = read_bytes(checkpoint());
  bytes[8] = bytes[slot_bytes() + 8] = 9;
  write_bytes(checkpoint(), bytes);
  expect_refused(1, "has format version 9, this program reads versions 1 to 2");
}

TEST_F(ResumeOf, ACheckpointCutShortInItsFirstSlotIsRefused) {
  std::filesystem::resize_file(checkpoint(), slot_bytes() - 5000);
  expect_refused(1, "is not a checkpoint of instep, or has been cut short");
}

TEST_F(ResumeOf, GarbageIsRefused) {
  write_bytes(checkpoint(), std::string(2 * slot_bytes(), 'x'));
  expect_refused(1, "is not a checkpoint of instep");
}

TEST_F(ResumeOf, AMissingCheckpointIsRefused) {
  std::filesystem::remove(checkpoint());
  write_bytes(run() + "/episodes.csv",
              "episode,step,return,length,terminated,seconds\n1,500,-1,500,1,0.1\n");
  expect_refused(1, "is missing, though episodes or a summary are recorded beside it");
}

TEST_F(ResumeOf, AMissingCheckpointBesideASummaryIsRefused) {
  std::filesystem::remove(checkpoint());
  write_bytes(run() + "/episodes.csv", "episode,step,return,length,terminated,seconds\n");
  write_bytes(run() + "/summary.json", "{}");
  expect_refused(1, "is missing, though episodes or a summary are recorded beside it");
}

TEST_F(ResumeOf, WhatARunHasKeptIsNoRun) {
  std::filesystem::create_directories(run() + "/best");
  std::filesystem::copy(run() + "/config.toml", run() + "/best/config.toml");
  const CommandResult result = resume(run() + "/best/.");
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.error.find("--init"), std::string::npos) << result;
}

TEST_F(ResumeOf, AnEmptyCheckpointBesideEpisodesIsRefused) {
  write_bytes(checkpoint(), "");
  write_bytes(run() + "/episodes.csv",
              "episode,step,return,length,terminated,seconds\n1,500,-1,500,1,0.1\n");
  expect_refused(1, "is empty, though episodes or a summary are recorded beside it");
}

TEST_F(ResumeOf, LostEpisodesAreRefused) {
  std::filesystem::remove(run() + "/episodes.csv");
  const CommandResult result = resume(run());
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_NE(result.error.find("/episodes.csv: is missing"), std::string::npos) << result;
}

TEST_F(ResumeOf, ChangedSettingsIsRefused) {
  const std::string path = run() + "/config.toml";
  const std::string config = read_bytes(path);
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"seed = 3", "seed = 4"},
                                                        {"discount = 0.99", "discount = 0.98"},
                                                        {"hidden = 16", "hidden = 8"},
                                                        {"avg", "iac"}}) {
    std::string edited = config;
    ASSERT_NE(edited.find(from), std::string::npos) << from;
    for (std::size_t at = 0; (at = edited.find(from, at)) != std::string::npos;) {
      edited.replace(at, from.size(), to);
    }
    write_bytes(path, edited);
    const CommandResult result = resume(run());
    EXPECT_EQ(result.exit_code, 1) << result;
    EXPECT_NE(result.error.find("belongs to a run with another task, seed or settings"),
              std::string::npos)
        << result;
  }
  write_bytes(path, config);
  EXPECT_EQ(resume(run()).exit_code, 0);
}

TEST_F(ResumeOf, ADamagedConfigurationIsRefused) {
  write_bytes(run() + "/config.toml", "[run]\ntask = dot\n");
  expect_refused(1, "config.toml:2: ");
}

TEST_F(ResumeOf, MissingEpisodesIsRefused) {
  ASSERT_EQ(resume(run(), {"--steps", "30000"}).exit_code, 0);
  std::string episodes = read_bytes(run() + "/episodes.csv");
  ASSERT_GT(std::count(episodes.begin(), episodes.end(), '\n'), 2);
  episodes.resize(episodes.find('\n') + 5);
  write_bytes(run() + "/episodes.csv", episodes);
  const CommandResult result = resume(run());
  EXPECT_EQ(result.exit_code, 1) << result;
  EXPECT_NE(result.error.find("is damaged or lacks episodes that the checkpoint counts"),
            std::string::npos)
      << result;
}

TEST_F(ResumeOf, FewerStepsThanMadeIsRefused) {
  const CommandResult result = resume(run(), {"--steps", "2000"});
  EXPECT_EQ(result.exit_code, 2) << result;
  EXPECT_NE(result.error.find("the run has already made 2100; --steps is the total"),
            std::string::npos)
      << result;
}

TEST_F(ResumeOf, AnotherScheduleOrPathNeedsToBeAllowed) {
  int steps = kCase.steps;
  for (Words other : {Words{"--schedule", "act_first"}, Words{"--path", "scalar"}}) {
    other.insert(other.end(), {"--steps", std::to_string(steps += 100)});
    CommandResult result = resume(run(), other);
    if (other[1] == "scalar" && result.exit_code == 0) continue;  // the machine has no other path
    EXPECT_EQ(result.exit_code, 2) << result;
    EXPECT_NE(result.error.find("add --allow-different-arithmetic"), std::string::npos) << result;
    Words words = other;
    words.emplace_back("--allow-different-arithmetic");
    result = resume(run(), words);
    EXPECT_EQ(result.exit_code, 0) << result;
    const std::string config = read_bytes(run() + "/config.toml");
    EXPECT_NE(config.find("= \"" + other[1] + "\""), std::string::npos) << config;
  }
}

// In portable arithmetic all of the processor's paths are one.
TEST(ResumeOfAPortableRun, TakesAnyPathAndChangesNoBit) {
  const TemporaryFolder folder;
  const auto train = [](const std::string& out, const std::string& steps) {
    return run_command({"train", "dot_reacher", "--set", "arithmetic=portable", "--path", "scalar",
                        "--steps", steps, "--out", out});
  };
  ASSERT_EQ(train(folder / "whole", "2000").exit_code, 0);
  ASSERT_EQ(train(folder / "half", "1000").exit_code, 0);
  std::string ignored;
  for (const std::string_view path :
       find_algorithm("avg")->paths("cpu", Arithmetic::kPortable, ignored)) {
    const std::string moved = folder / std::string(path);
    std::filesystem::copy(folder / "half", moved, std::filesystem::copy_options::recursive);
    const CommandResult result =
        run_command({"train", "--resume", moved, "--steps", "2000", "--path", std::string(path)});
    EXPECT_EQ(result.exit_code, 0) << result;
    expect_equal_runs(folder / "whole", moved);
  }
}

// Its speed and latencies, which only summary and report know, stand as they are.
TEST_F(ResumeOf, AFinishedRunChangesNoByteOfIt) {
  const auto before = folder_contents(run());
  const CommandResult result = resume(run());
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("already finished (2100 steps); pass a larger --steps"),
            std::string::npos)
      << result;
  EXPECT_EQ(folder_contents(run()), before);
  // A run that was killed before it could tell of its end does so now.
  std::filesystem::remove(run() + "/summary.json");
  std::filesystem::remove(run() + "/report.html");
  EXPECT_EQ(resume(run()).exit_code, 0);
  EXPECT_EQ(how_it_ended(run()), "done");
  EXPECT_EQ(read_bytes(checkpoint()), before.at(checkpoint()));
  EXPECT_TRUE(std::filesystem::exists(run() + "/report.html"));
}

TEST_F(ResumeOf, ARunKilledBeforeItsFirstCheckpointBeginsIt) {
  const std::string begun = folder_ / "begun";
  for (const bool has_files : {false, true}) {
    std::filesystem::remove_all(begun);
    std::filesystem::create_directory(begun);
    write_bytes(begun + "/config.toml", read_bytes(run() + "/config.toml"));
    if (has_files) {
      write_bytes(begun + "/checkpoint", std::string(2 * slot_bytes(), '\0'));
      write_bytes(begun + "/episodes.csv", "episode,st");
    }
    const CommandResult result = resume(begun);
    ASSERT_EQ(result.exit_code, 0) << result;
    expect_equal_runs(begun, run());
  }
}

TEST_F(ResumeOf, TwoAtOnceIsRefused) {
  RunningCommand first({"train", "--resume", run(), "--steps", "100000000"});
  sleep_ms(50);
  CommandResult second = resume(run());
  for (int i = 0; i < 100 && second.exit_code == 0; ++i) second = resume(run());
  EXPECT_EQ(second.exit_code, 3) << second;
  EXPECT_NE(second.error.find("is training in this folder"), std::string::npos) << second;
  // Looking on is allowed.
  EXPECT_EQ(run_command({"eval", run(), "--episodes", "1"}).exit_code, 0);
  first.send(SIGKILL);
  EXPECT_EQ(first.wait().signal, SIGKILL);
}

TEST_F(ResumeOf, ARunWithoutRoomGoesOnWhenThereIsRoom) {
  // The largest file may have 16 KiB: too little for a checkpoint.
  const std::string limited = folder_ / "limited";
  std::string command = "ulimit -f 16; trap '' XFSZ; exec " + std::string(INSTEP_COMMAND);
  for (const std::string& word : train_words(kCase, limited, kCase.steps)) command += ' ' + word;
  const CommandResult result = RunningCommand({"-c", command}, "/bin/bash").wait();
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_NE(result.error.find(limited + "/checkpoint: cannot be written: "), std::string::npos)
      << result;
  EXPECT_EQ(result.error.find("step -1"), std::string::npos) << result;
  ASSERT_EQ(resume(limited).exit_code, 0);
  expect_equal_runs(limited, run());
}

TEST_F(ResumeOf, LookingOnChangesNoByte) {
  const auto before = folder_contents(run());
  for (const Words& command :
       {Words{"eval", run(), "--episodes", "2"},
        Words{"eval", run(), "--episodes", "1", "--deterministic", "--seed", "8"},
        Words{"info", run()}, Words{"compare", run(), run()}}) {
    const CommandResult result = run_command(command);
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(folder_contents(run()), before) << command.front();
  }
}

}  // namespace
}  // namespace instep

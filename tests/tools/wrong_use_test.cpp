// The command where the machine is against it: folders that cannot be written, disks without room,
// files that are something else, and a locale that writes numbers with commas.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <locale.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "command.h"
#include "create2_on_pty.h"
#include "run_files.h"
#include "runtime/checkpoint.h"

namespace instep {
namespace {

using Words = std::vector<std::string>;
using testing::HasSubstr;
using testing::StartsWith;

// Learns quickly: some 200 episodes, and best/ after three of the checkpoints.
constexpr int kSteps = 63'000;

Words train_words(const std::string& folder, std::int64_t steps = kSteps) {
  return {"train",   "dot_reacher",
          "--set",   "hidden=12",
          "--set",   "checkpoint_every=10000",
          "--set",   "arithmetic=portable",
          "--seed",  "1",
          "--steps", std::to_string(steps),
          "--out",   folder};
}

void expect_done(const Words& words) {
  const CommandResult result = run_command(words);
  EXPECT_EQ(result.exit_code, 0) << result;
}

// Ends with that code and one line on stderr that holds each of these.
void expect_refused(const CommandResult& result, int exit_code, const Words& said) {
  EXPECT_EQ(result.exit_code, exit_code) << result;
  EXPECT_THAT(result.error, StartsWith("instep: "));
  EXPECT_EQ(std::count(result.error.begin(), result.error.end(), '\n'), 1) << result;
  for (const std::string& part : said) EXPECT_THAT(result.error, HasSubstr(part));
}

// Shell words are run where the command itself cannot be told enough: another working folder, or
// stdout on a device.
CommandResult run_shell(const std::string& text) {
  return RunningCommand({"-c", text}, "/bin/bash").wait();
}

std::string shell_text(const Words& words) {
  std::string text = INSTEP_COMMAND;
  for (const std::string& word : words) text += " '" + word + "'";
  return text;
}

// The weights kept as the best, and when; nothing where none are.
struct Best {
  std::int64_t step = -1;
  std::vector<std::uint8_t> snapshot;
  friend bool operator==(const Best&, const Best&) = default;
};

Best best_of(const std::string& run) {
  CheckpointFile checkpoint(0);
  if (checkpoint.open(run + "/best/checkpoint", false) != CheckpointStatus::kOk) return {};
  return {checkpoint.step(), {checkpoint.snapshot().begin(), checkpoint.snapshot().end()}};
}

void expect_ended_alike(const std::string& run, const std::string& undisturbed) {
  expect_equal_runs(run, undisturbed);
  EXPECT_TRUE(best_of(run) == best_of(undisturbed)) << "best/ differs";
  for (const char* file : {"/config.toml", "/summary.json", "/report.html"}) {
    EXPECT_TRUE(std::filesystem::exists(run + file)) << file;
  }
  for (const auto& [path, bytes] : folder_contents(run)) {
    EXPECT_FALSE(path.ends_with(".new")) << path;
  }
}

// ---------------------------------------------------------------------------------------------------
// Mounts of our own, which end with the process

bool write_text(const char* path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// Root may mount; others may in a user namespace, where the system lets them have one. Answers why
// not.
std::string enter_own_mounts() {
  static const std::string refusal = []() -> std::string {
    const std::string user = std::to_string(geteuid());
    const std::string group = std::to_string(getegid());
    if (unshare(CLONE_NEWNS) != 0) {
      if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return std::strerror(errno);
      if (!write_text("/proc/self/setgroups", "deny") ||
          !write_text("/proc/self/uid_map", user + " " + user + " 1") ||
          !write_text("/proc/self/gid_map", group + " " + group + " 1")) {
        return "no user namespace";
      }
    }
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return std::strerror(errno);
    }
    return "";
  }();
  return refusal;
}

// A file system in memory, in a folder of its own.
class SmallDisk : public testing::Test {
 protected:
  void SetUp() override {
    std::string refusal = enter_own_mounts();
    if (refusal.empty() && mount("none", disk().c_str(), "tmpfs", 0, "size=64m") != 0) {
      refusal = std::strerror(errno);
    }
    if (!refusal.empty()) GTEST_SKIP() << "mounting is refused here: " << refusal;
    is_mounted_ = true;
    std::filesystem::create_directory(disk() + "/empty");
  }
  void TearDown() override {
    if (is_mounted_) umount2(disk().c_str(), MNT_DETACH);
  }

  const std::string& disk() const { return folder_.path(); }
  std::string run() const { return disk() + "/run"; }

  void resize(std::int64_t bytes) const {
    const std::string size = "size=" + std::to_string(bytes);
    ASSERT_EQ(mount(nullptr, disk().c_str(), nullptr, MS_REMOUNT, size.c_str()), 0)
        << std::strerror(errno);
  }
  void make_room() const { resize(64 << 20); }

  // Leaves not a byte.
  void fill() const {
    struct statvfs status {};
    ASSERT_EQ(statvfs(disk().c_str(), &status), 0);
    resize(static_cast<std::int64_t>(status.f_frsize * (status.f_blocks - status.f_bfree)));
  }

  TemporaryFolder elsewhere_;

 private:
  TemporaryFolder folder_;
  bool is_mounted_ = false;
};

// ---------------------------------------------------------------------------------------------------
// A folder that can only be read

class ReadOnly : public SmallDisk {
 protected:
  void lock() const {
    const char* path = disk().c_str();
    ASSERT_EQ(mount(path, path, nullptr, MS_BIND, nullptr), 0) << std::strerror(errno);
    ASSERT_EQ(mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), 0)
        << std::strerror(errno);
  }
  void unlock() const { ASSERT_EQ(umount2(disk().c_str(), MNT_DETACH), 0); }
};

TEST_F(ReadOnly, NoRunIsStarted) {
  lock();
  expect_refused(run_command(train_words(disk() + "/new")), 3,
                 {disk() + "/new: cannot be made: Read-only file system; its file system can only "
                           "be read: copy what is needed to another one"});
  expect_refused(run_command(train_words(disk() + "/empty")), 3,
                 {disk() + "/empty/config.toml: cannot be written: Read-only file system"});
  expect_refused(run_shell("cd " + disk() + " && " + INSTEP_COMMAND + " train dot_reacher"), 3,
                 {"runs/dot_reacher: cannot be made: Read-only file system"});
  expect_refused(
      run_shell("cd " + disk() + " && " + INSTEP_COMMAND + " train dot_reacher --seeds 0..1"), 3,
      {"runs/dot_reacher: cannot be made: Read-only file system"});
}

TEST_F(ReadOnly, ARunIsNotGoneOnWithButLosesNothing) {
  expect_done(train_words(elsewhere_ / "undisturbed"));
  expect_done(train_words(run(), 40'000));
  const auto before = folder_contents(disk());
  lock();
  const Words resume = {"train", "--resume", run(), "--steps", std::to_string(kSteps)};
  expect_refused(run_command(resume), 3,
                 {run() + "/checkpoint: cannot be opened for writing: Read-only file system; its "
                          "file system can only be read: copy what is needed to another one"});
  EXPECT_EQ(folder_contents(disk()), before);
  unlock();
  expect_done(resume);
  expect_ended_alike(run(), elsewhere_ / "undisturbed");
}

TEST_F(ReadOnly, ARunCanBeLookedAtAndStartedFrom) {
  expect_done(train_words(run()));
  const auto before = folder_contents(disk());
  lock();
  expect_done({"eval", run(), "--episodes", "1"});
  expect_done({"eval", run() + "/best", "--episodes", "1"});
  expect_done({"info", run()});
  expect_done({"compare", run(), run()});
  expect_done({"report", run(), "--out", elsewhere_ / "report.html"});
  Words init = train_words(elsewhere_ / "from", 3'000);
  init.insert(init.end(), {"--init", run()});
  expect_done(init);
  expect_refused(run_command({"report", run()}), 3,
                 {run() + "/report.html: cannot be written: Read-only file system",
                  "--out FILE writes the report elsewhere"});
  EXPECT_EQ(folder_contents(disk()), before);
}

// ---------------------------------------------------------------------------------------------------
// A disk without room

// The disk has one page more each time, so that every file, and every further piece of those that
// grow, is once the first that finds no room: at the start, in the middle and at the end of a run.
TEST_F(SmallDisk, WhateverFindsNoRoomNothingIsLost) {
  expect_done(train_words(elsewhere_ / "undisturbed"));
  const std::int64_t page = sysconf(_SC_PAGESIZE);
  std::map<std::string, int> refused;  // by the file that found no room
  for (std::int64_t pages = 1;; ++pages) {
    SCOPED_TRACE("a disk of " + std::to_string(pages) + " pages");
    std::filesystem::remove_all(run());
    resize(pages * page);
    const CommandResult result = run_command(train_words(run()));
    ASSERT_LT(pages, 400);
    // What is optional is left out with a warning.
    const std::string optional = ": cannot be written, and the run goes on without it: ";
    for (std::size_t at = result.error.find(optional); at != std::string::npos;
         at = result.error.find(optional, at + 1)) {
      const std::size_t name = result.error.rfind(run() + '/', at) + run().size() + 1;
      ++refused[result.error.substr(name, at - name)];
    }
    const bool has_no_report =
        result.error.find("; the run is complete without it") != std::string::npos;
    if (has_no_report) ++refused["report.html"];
    if (result.exit_code == 0) {
      expect_equal_runs(run(), elsewhere_ / "undisturbed");
      if (result.error.find("No space left on device") == std::string::npos) break;
      continue;
    }
    EXPECT_EQ(result.exit_code, 3) << result;
    const std::size_t at = result.error.find(
        ": cannot be written: No space left on device; make room there (`df -h` shows what is "
        "left)");
    ASSERT_NE(at, std::string::npos) << result;
    const std::size_t name = result.error.rfind(run() + '/', at);
    ASSERT_NE(name, std::string::npos) << result;
    ++refused[result.error.substr(name + run().size() + 1, at - name - run().size() - 1)];

    // What it says that it still has, it has.
    const std::string said = "the last checkpoint, of step ";
    const std::size_t step_at = result.error.find(said);
    const CommandResult info = run_command({"info", run(), "--json"});
    if (step_at != std::string::npos) {
      EXPECT_EQ(info.exit_code, 0) << info;
      const std::int64_t step = std::stoll(result.error.substr(step_at + said.size()));
      EXPECT_EQ(nlohmann::json::parse(info.last_line()).at("checkpoint").at("step"), step);
      EXPECT_THAT(result.error, HasSubstr("go on with --resume " + run()));
    }
    make_room();
    if (std::filesystem::exists(run() + "/config.toml")) {
      expect_done({"train", "--resume", run()});
    } else {
      expect_done(train_words(run()));
    }
    expect_ended_alike(run(), elsewhere_ / "undisturbed");
    if (HasFailure()) return;
  }
  expect_ended_alike(run(), elsewhere_ / "undisturbed");
  for (const auto& [file, times] : refused) std::printf("%s: %d times\n", file.c_str(), times);
  for (const char* file : {"checkpoint", "best/checkpoint", "episodes.csv", "measured",
                           "events.out.tfevents.instep"}) {
    EXPECT_GT(refused[file], 0) << file << " never was the first without room";
  }
}

// Another program takes the room away while a run is under way.
TEST_F(SmallDisk, ARunThatLosesItsRoomStopsAndGoesOn) {
  RunningCommand running(train_words(run(), std::int64_t{1} << 40));
  const auto step_now = [this] {
    CheckpointFile checkpoint(10'000);
    const CheckpointStatus status = checkpoint.open(run() + "/checkpoint", false);
    return status == CheckpointStatus::kOk ? checkpoint.step() : -1;
  };
  for (int i = 0; i < 3'000 && step_now() < kSteps; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const std::int64_t step_before = step_now();
  ASSERT_GE(step_before, kSteps);
  fill();
  const CommandResult result = running.wait();
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_THAT(result.error,
              HasSubstr("/episodes.csv: cannot be written: No space left on device; make room "
                        "there (`df -h` shows what is left); the last checkpoint, of step "));
  const std::int64_t step = step_now();
  ASSERT_GT(step, step_before) << "no last checkpoint";
  EXPECT_THAT(result.error, HasSubstr("of step " + std::to_string(step) + ", still stands"));

  // Still no room: refused again, and nothing changes but the lines after the checkpoint.
  const std::string checkpoint = read_bytes(run() + "/checkpoint");
  const Words resume = {"train", "--resume", run(), "--steps", std::to_string(step + 20'000)};
  const CommandResult again = run_command(resume);
  EXPECT_EQ(again.exit_code, 3) << again;
  EXPECT_THAT(again.error, HasSubstr("No space left on device"));
  EXPECT_TRUE(read_bytes(run() + "/checkpoint") == checkpoint);

  make_room();
  expect_done(resume);
  expect_done(train_words(elsewhere_ / "undisturbed", step + 20'000));
  expect_ended_alike(run(), elsewhere_ / "undisturbed");
}

// It has room for everything but the record, which is given up before the robot has moved.
TEST_F(SmallDisk, ARobotLearnsWithoutARecordThatFindsNoRoom) {
  Create2OnPty robot;
  const auto train = [&](bool has_record) {
    std::filesystem::remove_all(run());
    Words words = {"train", "create_mover", "--time",  "real", "--device", robot.path(),
                   "--out", run(),          "--steps", "10",   "--set",    "checkpoint_every=5"};
    if (has_record) words.emplace_back("--record");
    return run_command(words);
  };
  const CommandResult without = train(false);
  ASSERT_EQ(without.exit_code, 0) << without;
  struct statvfs status {};
  ASSERT_EQ(statvfs(disk().c_str(), &status), 0);
  // best/ is as large as the checkpoint, and goes where nothing was kept there, as the room does
  // that is reserved for episodes.
  const auto best_bytes = std::filesystem::file_size(run() + "/checkpoint") + 262'144;
  resize(
      static_cast<std::int64_t>(status.f_frsize * (status.f_blocks - status.f_bfree) + best_bytes));
  const CommandResult result = train(true);
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.error, HasSubstr(run() + "/record: cannot be written, and the run goes on "
                                              "without it: No space left on device; make room"));
  EXPECT_THAT(result.out, HasSubstr("done after 10 steps"));
  EXPECT_FALSE(std::filesystem::exists(run() + "/record"));
  EXPECT_EQ(nlohmann::json::parse(read_bytes(run() + "/summary.json")).at("left_out").at(0),
            "record");
}

TEST_F(SmallDisk, WithoutAnyRoomNoFileIsMadeOrReplaced) {
  expect_done(train_words(run()));
  const auto before = folder_contents(disk());
  fill();
  expect_refused(run_command(train_words(disk() + "/empty")), 3,
                 {disk() + "/empty/config.toml: cannot be written: No space left on device"});
  expect_refused(run_command({"train", "--resume", run(), "--steps", "90000"}), 3,
                 {run() + "/episodes.csv: cannot be written: No space left on device"});
  expect_refused(run_command({"report", run()}), 3,
                 {run() + "/report.html: cannot be written: No space left on device",
                  "--out FILE writes the report elsewhere"});
  EXPECT_EQ(folder_contents(disk()), before);
}

TEST(FullStdout, IsTold) {
  const TemporaryFolder folder;
  expect_done(train_words(folder / "run", 3'000));
  const TemporaryFolder unfit;  // the doctor finds much to mend on a machine without /proc
  for (const Words& words : {Words{"info", folder / "run", "--json"}, Words{"--version"},
                             Words{"--help"}, Words{"doctor", "--sysroot", unfit.path()},
                             Words{"train", "--resume", folder / "run", "--steps", "4000"}}) {
    const CommandResult result = run_shell(shell_text(words) + " >/dev/full");
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_THAT(result.error,
                HasSubstr("standard output: cannot be written: No space left on device"));
  }
}

// ---------------------------------------------------------------------------------------------------
// Files that are something else

// What may stand in a file's place, and what is said of it.
struct Odd {
  const char* said;
  void (*make)(const std::string& path);
};

constexpr Odd kOddities[] = {
    {"is a folder where a file must be; move it away",
     [](const std::string& path) { std::filesystem::create_directories(path); }},
    {"is a folder where a file must be; move it away",
     [](const std::string& path) { std::filesystem::create_directories(path + "/in/it"); }},
    {"is a pipe where a file must be; move it away",
     [](const std::string& path) { ASSERT_EQ(mkfifo(path.c_str(), 0600), 0); }},
    {"is a link to nowhere, which is not there; mend the link or remove it",
     [](const std::string& path) { std::filesystem::create_symlink("nowhere", path); }},
    {"Too many levels of symbolic links; the link leads back to itself: remove it",
     [](const std::string& path) { std::filesystem::create_symlink(path, path); }},
    {"is a device where a file must be; move it away",
     [](const std::string& path) { std::filesystem::create_symlink("/dev/zero", path); }},
};

constexpr const char* kFilesOfARun[] = {"config.toml",     "checkpoint",
                                        "episodes.csv",    "summary.json",
                                        "report.html",     "measured",
                                        "episode.json",    "best/config.toml",
                                        "best/checkpoint", "events.out.tfevents.instep"};

// A run, and copies of it to be damaged.
class OddFilesOfARun : public testing::Test {
 protected:
  void SetUp() override {
    expect_done(train_words(whole()));
    ASSERT_TRUE(std::filesystem::exists(whole() + "/best/checkpoint"));
  }
  std::string whole() const { return folder_ / "whole"; }
  std::string run() const { return folder_ / "run"; }
  void copy_run() const {
    std::filesystem::remove_all(run());
    std::filesystem::copy(whole(), run(), std::filesystem::copy_options::recursive);
  }
  Words resume_words() const { return {"train", "--resume", run(), "--steps", "70000"}; }
  void expect_untouched_but(const std::string& file) const {
    std::filesystem::remove_all(run() + '/' + file);
    std::filesystem::copy(whole() + '/' + file, run() + '/' + file,
                          std::filesystem::copy_options::recursive);
    std::map<std::string, std::string> expected;
    for (const auto& [path, bytes] : folder_contents(whole())) {
      expected[run() + path.substr(whole().size())] = bytes;
    }
    EXPECT_EQ(folder_contents(run()), expected);
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(OddFilesOfARun, AreNamedBeforeAnythingIsLost) {
  for (const char* file : kFilesOfARun) {
    if (!std::filesystem::exists(whole() + '/' + file)) continue;  // only a robot has one
    for (const Odd& odd : kOddities) {
      SCOPED_TRACE(std::string(file) + ' ' + odd.said);
      copy_run();
      const std::string path = run() + '/' + file;
      std::filesystem::remove(path);
      odd.make(path);
      expect_refused(run_command(resume_words()), 3, {path + ": ", odd.said});
      const std::string name = file;
      if (name == "config.toml" || name == "checkpoint") {
        expect_refused(run_command({"eval", run(), "--episodes", "1"}), 3, {path + ": ", odd.said});
      }
      if (name == "config.toml" || name == "episodes.csv" || name == "summary.json" ||
          name == "report.html") {
        expect_refused(run_command({"report", run()}), 3, {path + ": ", odd.said});
      }
      expect_untouched_but(file);
    }
  }
}

// Root reads everything, unless it gives that right away.
TEST_F(OddFilesOfARun, AreNamedWhereTheyBelongToAnother) {
  const std::string drop =
      geteuid() == 0 ? "exec setpriv --inh-caps=-all --bounding-set=-dac_override,-dac_read_search "
                     : "exec ";
  for (const char* file : kFilesOfARun) {
    if (!std::filesystem::exists(whole() + '/' + file)) continue;
    SCOPED_TRACE(file);
    copy_run();
    const std::string path = run() + '/' + file;
    std::filesystem::permissions(path, std::filesystem::perms::none);
    expect_refused(run_shell(drop + shell_text(resume_words())), 3,
                   {path + ": ", "Permission denied; this user has no right to it"});
    expect_untouched_but(file);
  }
  for (const char* folder : {"", "/best"}) {
    copy_run();
    std::filesystem::permissions(
        run() + folder, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    expect_refused(run_shell(drop + shell_text(resume_words())), 3,
                   {run() + folder + ": no file can be written there: Permission denied"});
    std::filesystem::permissions(run() + folder, std::filesystem::perms::owner_all);
    expect_untouched_but("config.toml");
  }
}

TEST_F(OddFilesOfARun, AreSaidWithWhatCanBeDone) {
  const auto cut = [&](const char* file) {  // within the first of a checkpoint's two slots
    const std::string path = run() + '/' + file;
    std::filesystem::resize_file(path, std::filesystem::file_size(path) / 3 / 2 * 2 - 1);
  };
  const std::string from_best =
      "restore it from a copy, or start a new run from the best weights "
      "with --init " +
      run() + "/best";
  copy_run();
  cut("checkpoint");
  expect_refused(run_command(resume_words()), 1,
                 {run() + "/checkpoint: is not a checkpoint", from_best});
  expect_refused(run_command({"eval", run()}), 1, {from_best});
  write_bytes(run() + "/checkpoint", "");
  expect_refused(run_command(resume_words()), 1, {run() + "/checkpoint: is empty", from_best});
  write_bytes(run() + "/best/checkpoint", "garbage");  // no advice that does not help
  expect_refused(run_command(resume_words()), 1, {"or start a new run\n"});

  copy_run();
  cut("best/checkpoint");
  const CommandResult without_best = run_command(resume_words());
  EXPECT_EQ(without_best.exit_code, 0) << without_best;
  EXPECT_THAT(without_best.error, HasSubstr(run() + "/best/checkpoint: is damaged, or of another "
                                                    "run, and is replaced"));

  copy_run();
  cut("episodes.csv");
  expect_refused(
      run_command(resume_words()), 1,
      {run() + "/episodes.csv: is damaged or lacks episodes",
       "restore it from a copy, or start a new run from these weights with --init " + run()});
  expect_refused(run_command({"report", run()}), 1,
                 {run() + "/episodes.csv: line ", "restore it from a copy"});
  copy_run();
  cut("config.toml");
  expect_refused(
      run_command(resume_words()), 1,
      {run() + "/config.toml: ", "restore it from a copy, as " + run() + "/best/config.toml"});
}

// A file of another run, and one that somebody edited.
TEST_F(OddFilesOfARun, MustBeOfOneRun) {
  copy_run();
  auto summary = nlohmann::json::parse(read_bytes(whole() + "/summary.json"));
  summary["seed"] = 2;
  write_bytes(run() + "/summary.json", summary.dump());
  const std::string report = read_bytes(run() + "/report.html");
  expect_refused(run_command({"report", run()}), 1,
                 {run() + ": its files are of different runs: seed is 2 in summary.json and 1 in "
                          "config.toml"});
  EXPECT_EQ(read_bytes(run() + "/report.html"), report);
  summary["seed"] = 1;
  summary["seconds"] = -3;
  write_bytes(run() + "/summary.json", summary.dump());
  const CommandResult result = run_command({"report", run()});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.error,
              HasSubstr("summary.json: is damaged and left out (seconds cannot be -3); "
                        "`instep train --resume " +
                        run() + "` writes it anew"));
}

// It is told where it is now, and a page is not written over what is none.
TEST_F(OddFilesOfARun, AFinishedRunIsWhereItLies) {
  copy_run();
  const CommandResult result = run_command({"train", "--resume", run()});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_THAT(result.out, HasSubstr("already finished"));
  EXPECT_THAT(nlohmann::json::parse(read_bytes(run() + "/summary.json")).at("command").dump(),
              HasSubstr(" train dot_reacher --set hidden=12"));
  EXPECT_THAT(result.out, HasSubstr("report: " + run() + "/report.html"));
  const std::string checkpoint = run() + "/checkpoint";
  expect_refused(run_command({"report", run(), "--out", checkpoint}), 2,
                 {checkpoint + ": is there already", "a name that ends in .html"});
  EXPECT_EQ(read_bytes(checkpoint), read_bytes(whole() + "/checkpoint"));
}

TEST(OddFiles, HaveTheNameOfARunsFolder) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("nowhere", folder / "link");
  expect_refused(run_command(train_words(folder / "link")), 3,
                 {folder / "link: cannot be made: File exists; something else has that name"});
}

TEST(OddFiles, OfSeveralSeedsAreNamed) {
  const TemporaryFolder folder;
  const std::string all = folder / "all";
  Words words = train_words(all, 3'000);
  words[8] = "--seeds";
  words[9] = "0..1";
  expect_done(words);
  const std::string plan = read_bytes(all + "/seeds.json");
  for (const char* damaged : {"{}", R"({"first": 0})", "", "[", R"({"first": 5, "last": 2})"}) {
    write_bytes(all + "/seeds.json", damaged);
    expect_refused(run_command({"train", "--resume", all}), 1,
                   {all + "/seeds.json: is damaged", "go on with each run in the folder"});
  }
  write_bytes(all + "/seeds.json", plan);
  write_bytes(all + "/s1/checkpoint", "");
  const CommandResult refused = run_command({"train", "--resume", all, "--steps", "4000"});
  EXPECT_EQ(refused.exit_code, 1) << refused;
  EXPECT_THAT(refused.out,
              HasSubstr("a seed that was refused starts anew when its folder has been moved away"));
  std::filesystem::rename(all + "/s1", folder / "away");
  expect_done({"train", "--resume", all});
  std::filesystem::remove_all(all + "/s1");
  write_bytes(all + "/s1", "a file");
  const CommandResult file = run_command({"train", "--resume", all, "--steps", "5000"});
  EXPECT_EQ(file.exit_code, 3) << file;
  EXPECT_THAT(file.error, HasSubstr(all + "/s1: cannot be made: Not a directory; a file has the "
                                          "name of a folder: move it away"));
}

// A pipe stands for every device: replaced by a file, it would be gone.
TEST(OddFiles, AreNotReplacedByAReport) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  expect_done(train_words(run, 3'000));
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink("pipe", folder / "to_pipe");
  write_text((folder / "page.html").c_str(), "old");
  std::filesystem::create_symlink("page.html", folder / "to_page");
  for (const std::string& out : {pipe, folder / "to_pipe"}) {
    expect_refused(run_command({"report", run, "--out", out}), 2,
                   {out + ": is not a regular file"});
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "to_pipe"));
  expect_done({"report", run, "--out", folder / "to_page"});
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "to_page"));
  EXPECT_EQ(read_bytes(folder / "page.html"), read_bytes(run + "/report.html"));
}

// ---------------------------------------------------------------------------------------------------
// A locale in which one and a half is 1,5

constexpr const char* kGerman = "de_DE.UTF-8";

class German : public testing::Test {
 protected:
  void SetUp() override {
    expect_done(train_words(folder_ / "plain", 30'000));
    if (!has_locale()) {
      const std::string command = "localedef -i de_DE -f UTF-8 " + (folder_ / kGerman) + " 2>&1";
      const CommandResult made = run_shell(command);
      setenv("LOCPATH", folder_.path().c_str(), 1);
      if (!has_locale()) GTEST_SKIP() << "no German locale can be made here: " << made.out;
    }
    setenv("LC_ALL", kGerman, 1);
    setenv("LC_NUMERIC", kGerman, 1);
  }
  void TearDown() override {
    for (const char* name : {"LOCPATH", "LC_ALL", "LC_NUMERIC"}) unsetenv(name);
  }

  // Whether a program that asks for it would get it.
  static bool has_locale() {
    const locale_t locale = newlocale(LC_NUMERIC_MASK, kGerman, nullptr);
    if (locale == nullptr) return false;
    const locale_t before = uselocale(locale);
    char text[16];
    std::snprintf(text, sizeof text, "%.1f", 1.5);
    uselocale(before);
    freelocale(locale);
    return std::string(text) == "1,5";
  }

  TemporaryFolder folder_;
};

TEST_F(German, RunsAreTheSameAndAreReadTheSame) {
  const std::string plain = folder_ / "plain";
  const std::string german = folder_ / "german";
  Words words = train_words(german, 15'000);
  words.emplace_back("--json");
  const CommandResult result = run_command(words);
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_GT(nlohmann::json::parse(result.last_line()).at("steps_per_second"), 1.5);
  expect_done({"train", "--resume", german, "--steps", "30000"});
  expect_equal_runs(german, plain);
  EXPECT_EQ(read_bytes(german + "/config.toml"), read_bytes(plain + "/config.toml"));
  EXPECT_THAT(read_bytes(german + "/config.toml"), HasSubstr("discount = 0.99\n"));
  EXPECT_TRUE(nlohmann::json::parse(read_bytes(german + "/summary.json")).is_object());
  EXPECT_EQ(run_command({"compare", german, plain}).exit_code, 0);
}

TEST_F(German, NothingIsSaidOtherwise) {
  const std::string plain = folder_ / "plain";
  const auto say_all = [&] {
    std::vector<std::string> said;
    for (const Words& words :
         {Words{"eval", plain, "--episodes", "2", "--json"}, Words{"info", plain, "--json"},
          Words{"info", plain}, Words{"tasks", "--json"}, Words{"tasks"},
          Words{"verify", INSTEP_GOLDEN_DIR "/avg/edge_h4_consecutive_ends.safetensors", "--json"},
          Words{"report", plain, "--out", folder_ / "report.html"}}) {
      const CommandResult result = run_command(words);
      EXPECT_EQ(result.exit_code, 0) << result;
      said.push_back(result.out);
    }
    said.push_back(read_bytes(folder_ / "report.html"));
    return said;
  };
  const std::vector<std::string> german = say_all();
  unsetenv("LC_ALL");
  unsetenv("LC_NUMERIC");
  EXPECT_EQ(german, say_all());
}

TEST_F(German, NumbersAreReadWithPoints) {
  Words words = train_words(folder_ / "set", 3'000);
  words.insert(words.end(), {"--set", "actor_lr=0.0015"});
  expect_done(words);
  EXPECT_THAT(read_bytes(folder_ / "set/config.toml"), HasSubstr("actor_lr = 0.0015\n"));
  expect_done({"train", "dot_reacher", "--config", folder_ / "set/config.toml", "--steps", "3000",
               "--seed", "1", "--out", folder_ / "config"});
  expect_equal_runs(folder_ / "config", folder_ / "set");
  words.back() = "actor_lr=0,0015";
  words[words.size() - 3] = folder_ / "comma";
  expect_refused(run_command(words), 2, {"actor_lr = 0,0015 is not a number"});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "comma"));
}

}  // namespace
}  // namespace instep

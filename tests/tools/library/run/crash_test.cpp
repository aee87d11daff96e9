// A crash at any moment of a run leaves files that the run goes on from.
//
// A real run's writes and syncs are recorded through FileOperations. For every prefix of them, what
// a file's last sync covers is on the medium; each later write may be there, missing, or torn:
// every sector of 512 bytes old or new by itself. Files laid out so are resumed.
//
// Not modelled: the making, renaming and removing of files, which pass no FileOperations. (Names
// are made durable by sync_folder(), and config.toml is replaced by renaming a synced file.)
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "temporary_folder.h"
#include "tools/library/error.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

constexpr int kSectorBytes = 512;

enum class CallKind { kWrite, kSync, kReserve, kTruncate };

struct Call {
  std::string file;
  CallKind kind = CallKind::kWrite;
  std::string bytes;
  std::int64_t offset = 0;  // of a write, or the size to reserve or to cut to
};

// The checkpoint of the best weights has a folder of its own.
constexpr const char* kBest = "best/checkpoint";

std::string file_name(int descriptor) {
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const std::filesystem::path path = std::filesystem::read_symlink(link);
  const std::string name = path.filename().string();
  return path.parent_path().filename() == "best" ? "best/" + name : name;
}

// Passes every call on and keeps it. With a limit, the medium is full after that many writes and
// reservations: a write leaves the sectors of its first half, and everything later fails.
class Recorder {
 public:
  explicit Recorder(std::int64_t writes_max = -1) : writes_max_(writes_max) {}

  FileOperations operations() { return {this, write_at, sync, reserve, truncate}; }
  const std::vector<Call>& calls() const { return calls_; }
  std::int64_t writes() const { return writes_; }

 private:
  bool is_full() { return writes_++ >= writes_max_ && writes_max_ >= 0; }

  static int write_at(void* self, int descriptor, std::span<const std::uint8_t> bytes,
                      std::int64_t offset) {
    auto& recorder = *static_cast<Recorder*>(self);
    const FileOperations& system = system_file_operations();
    if (recorder.is_full()) {
      const std::size_t half = bytes.size() / 2 / std::size_t{kSectorBytes} * kSectorBytes;
      static_cast<void>(system.write_at(nullptr, descriptor, bytes.first(half), offset));
      return ENOSPC;
    }
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    recorder.calls_.push_back(
        {file_name(descriptor), CallKind::kWrite, {text, bytes.size()}, offset});
    return system.write_at(nullptr, descriptor, bytes, offset);
  }
  // The medium's own cache is not under test, so a real sync would only take time.
  static int sync(void* self, int descriptor) {
    static_cast<Recorder*>(self)->calls_.push_back({file_name(descriptor), CallKind::kSync, {}, 0});
    return 0;
  }
  static int reserve(void* self, int descriptor, std::int64_t bytes) {
    auto& recorder = *static_cast<Recorder*>(self);
    if (recorder.is_full()) return ENOSPC;
    recorder.calls_.push_back({file_name(descriptor), CallKind::kReserve, {}, bytes});
    return system_file_operations().reserve(nullptr, descriptor, bytes);
  }
  static int truncate(void* self, int descriptor, std::int64_t bytes) {
    auto& recorder = *static_cast<Recorder*>(self);
    recorder.calls_.push_back({file_name(descriptor), CallKind::kTruncate, {}, bytes});
    return system_file_operations().truncate(nullptr, descriptor, bytes);
  }

  std::vector<Call> calls_;
  std::int64_t writes_ = 0;
  std::int64_t writes_max_;
};

// xorshift64*: which sectors of a torn write arrive.
class Dice {
 public:
  std::uint64_t roll(std::uint64_t sides) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return ((state_ * 0x2545F4914F6CDD1D) >> 33) % sides;
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

using Files = std::map<std::string, std::string>;  // contents by name

enum class Fate { kDropped, kKept, kTorn };

void apply_write(std::string& file, const Call& call, bool is_torn, Dice& dice) {
  const auto begin = call.offset;
  const auto end = begin + static_cast<std::int64_t>(call.bytes.size());
  const auto old_size = static_cast<std::int64_t>(file.size());
  std::int64_t new_end = end;
  std::vector<bool> arrives;
  for (std::int64_t sector = begin / kSectorBytes; sector * kSectorBytes < end; ++sector) {
    arrives.push_back(!is_torn || dice.roll(2) == 0);
  }
  // A torn append has grown the file to its full size, or only to the last sector that arrived.
  if (is_torn && dice.roll(2) == 0) {
    new_end = begin;
    for (std::size_t i = 0; i < arrives.size(); ++i) {
      const std::int64_t sector = begin / kSectorBytes + static_cast<std::int64_t>(i);
      if (arrives[i]) new_end = std::min(end, (sector + 1) * kSectorBytes);
    }
  }
  if (new_end > old_size) file.resize(static_cast<std::size_t>(new_end));
  for (std::int64_t at = begin; at < std::min(end, new_end); ++at) {
    const auto sector = static_cast<std::size_t>(at / kSectorBytes - begin / kSectorBytes);
    if (!arrives[sector]) continue;
    file[static_cast<std::size_t>(at)] = call.bytes[static_cast<std::size_t>(at - begin)];
  }
}

void apply(Files& files, const Call& call, Fate fate, Dice& dice) {
  std::string& file = files[call.file];  // it has been made by now, whatever becomes of its bytes
  if (fate == Fate::kDropped || call.kind == CallKind::kSync) return;
  const auto size = static_cast<std::size_t>(call.offset);
  if (call.kind == CallKind::kWrite) apply_write(file, call, fate == Fate::kTorn, dice);
  if (call.kind == CallKind::kReserve && file.size() < size) file.resize(size);
  if (call.kind == CallKind::kTruncate) file.resize(size);
}

void lay_out(const Files& files, const std::string& folder) {
  std::filesystem::create_directory(folder + "/best");
  for (const auto& [name, bytes] : files) write_bytes(folder + '/' + name, bytes);
}

// Calls visit(files) for each way in which the calls that no sync covers can have ended.
void for_each_crash(const Files& durable, const std::vector<const Call*>& pending, Dice& dice,
                    const std::function<void(const Files&)>& visit) {
  constexpr std::size_t kExhaustiveCalls = 3;
  constexpr int kTornSamples = 24;
  constexpr int kRandomSamples = 100;
  std::vector<Fate> fates(pending.size(), Fate::kDropped);
  const auto visit_fates = [&] {
    Files files = durable;
    for (std::size_t i = 0; i < pending.size(); ++i) apply(files, *pending[i], fates[i], dice);
    visit(files);
  };
  if (pending.size() > kExhaustiveCalls) {
    for (int sample = 0; sample < kRandomSamples; ++sample) {
      for (Fate& fate : fates) fate = static_cast<Fate>(dice.roll(3));
      visit_fates();
    }
    return;
  }
  std::uint64_t combinations = 1;
  for (std::size_t i = 0; i < pending.size(); ++i) combinations *= 3;
  for (std::uint64_t combination = 0; combination < combinations; ++combination) {
    std::uint64_t rest = combination;
    for (Fate& fate : fates) {
      fate = static_cast<Fate>(rest % 3);
      rest /= 3;
    }
    const bool is_torn = std::find(fates.begin(), fates.end(), Fate::kTorn) != fates.end();
    for (int sample = 0; sample < (is_torn ? kTornSamples : 1); ++sample) visit_fates();
  }
}

RunConfig small_config(std::int64_t steps, std::int64_t every) {
  RunConfig config;
  config.task = "dot_reacher";
  apply_task_defaults(config.settings, require_task(config.task));
  config.settings.values.set("hidden", 12);
  config.settings.arithmetic = Arithmetic::kPortable;  // the same episodes on every machine
  config.settings.checkpoint_every = every;
  config.seed = 1;  // learns quickly: many episodes
  config.steps = steps;
  config.path = choose_backend("cpu", "", config.settings).path;
  return config;
}

void run(const RunConfig& config, const std::string& folder, bool is_resumed,
         const FileOperations& operations = system_file_operations()) {
  RunStart start;
  start.is_resumed = is_resumed;
  start.operations = operations;
  TrainingRun(config, folder, start).run();
}

// What one completed checkpoint held, and after how many calls it was durable.
struct Generation {
  std::int64_t step = 0;
  std::vector<std::uint8_t> snapshot;
  std::size_t calls = 0;
};

void expect_holds(const CheckpointFile& checkpoint, const Generation& generation) {
  ASSERT_EQ(checkpoint.step(), generation.step);
  EXPECT_TRUE(std::equal(generation.snapshot.begin(), generation.snapshot.end(),
                         checkpoint.snapshot().begin(), checkpoint.snapshot().end()));
}

// A recorded run and the judgement of every crash in it.
class CrashScenario {
 public:
  // Runs in a fresh folder, or on from `files`.
  CrashScenario(const RunConfig& config, const Files& files) : config_(config), session_(config) {
    TemporaryFolder folder;
    lay_out(files, folder.path());
    if (!files.empty()) write_file(folder / "config.toml", write_config_toml(config));
    begin_ = files;
    run(config, folder.path(), !files.empty(), recorder_.operations());
    generations_ = find_generations("checkpoint", config.settings.checkpoint_every);
    best_generations_ = find_generations(kBest, 0);
    episodes_ = files_after_sync("", 0)["episodes.csv"];
  }

  const std::vector<Generation>& generations() const { return generations_; }
  const std::vector<Generation>& best_generations() const { return best_generations_; }
  std::int64_t states() const { return states_; }
  std::int64_t resumed() const { return resumed_; }
  std::size_t pending_max() const { return pending_max_; }
  std::int64_t episodes() const { return std::count(episodes_.begin(), episodes_.end(), '\n') - 1; }

  // The files when everything up to the `nth` sync of a file has arrived; of none, everything.
  Files files_after_sync(const std::string& file, int nth) const {
    Files files = begin_;
    Dice dice;
    for (const Call& call : recorder_.calls()) {
      apply(files, call, Fate::kKept, dice);
      if (call.file == file && call.kind == CallKind::kSync && nth-- == 0) break;
    }
    return files;
  }

  // Every crash; each `resume_every`-th is also resumed and run to its end, and of those right
  // after the checkpoint that best/ is to have, or in the middle of that copy, each
  // `best_every`-th.
  void judge_all(std::int64_t resume_every, std::int64_t best_every) {
    Dice dice;
    const std::vector<Call>& calls = recorder_.calls();
    for (const char* name : {"checkpoint", "episodes.csv", kBest}) {
      std::filesystem::remove(folder_ / name);
    }
    for (std::size_t prefix = 0; prefix <= calls.size(); ++prefix) {
      Files durable = begin_;
      std::vector<const Call*> pending;
      split(prefix, durable, pending);
      pending_max_ = std::max(pending_max_, pending.size());
      for_each_crash(durable, pending, dice, [&](const Files& files) {
        if (testing::Test::HasFailure()) return;
        SCOPED_TRACE("crash " + std::to_string(states_) + " after " + std::to_string(prefix) +
                     " calls");
        lay_out(files, folder_.path());
        judge(prefix);
        judge_best(prefix);
        const bool is_at_best = prefix < calls.size() && calls[prefix].file == kBest;
        const std::int64_t every = is_at_best ? best_every : resume_every;
        if (++states_ % every == 0 && !testing::Test::HasFailure()) resume(files);
      });
    }
  }

 private:
  // What the first `prefix` calls have surely left behind, and which of them may be lost.
  void split(std::size_t prefix, Files& durable, std::vector<const Call*>& pending) {
    Dice dice;
    std::map<std::string, std::size_t> synced;  // calls before this one are durable
    const std::vector<Call>& calls = recorder_.calls();
    for (std::size_t i = 0; i < prefix; ++i) {
      if (calls[i].kind == CallKind::kSync) synced[calls[i].file] = i;
    }
    for (std::size_t i = 0; i < prefix; ++i) {
      const bool is_durable = i <= synced[calls[i].file] && synced[calls[i].file] > 0;
      apply(durable, calls[i], is_durable ? Fate::kKept : Fate::kDropped, dice);
      if (!is_durable && (calls[i].kind != CallKind::kWrite || !calls[i].bytes.empty())) {
        pending.push_back(&calls[i]);
      }
    }
  }

  // The completed checkpoints of one of the two files.
  std::vector<Generation> find_generations(const std::string& name, std::int64_t every) {
    std::vector<Generation> generations;
    Files files = begin_;
    Dice dice;
    for (std::size_t i = 0; i <= recorder_.calls().size(); ++i) {
      if (files.count(name) != 0) {
        write_bytes(folder_ / "checkpoint", files[name]);
        CheckpointFile checkpoint(every);
        const CheckpointStatus status = checkpoint.open(folder_ / "checkpoint", false);
        const bool is_durable = i == 0 || recorder_.calls()[i - 1].kind == CallKind::kSync;
        const std::int64_t newest = generations.empty() ? -1 : generations.back().step;
        if (status == CheckpointStatus::kOk && is_durable && checkpoint.step() > newest) {
          const auto snapshot = checkpoint.snapshot();
          generations.push_back({checkpoint.step(), {snapshot.begin(), snapshot.end()}, i});
        }
      }
      if (i < recorder_.calls().size()) apply(files, recorder_.calls()[i], Fate::kKept, dice);
    }
    return generations;
  }

  // Opens a laid-out checkpoint: it must be the newest durable one of its kind or the next, or
  // missing where none was durable yet. Answers whether there is one.
  bool open_one_of_two(CheckpointFile& checkpoint, const std::string& name,
                       const std::vector<Generation>& generations, std::size_t prefix) {
    const auto next = std::find_if(generations.begin(), generations.end(),
                                   [&](const Generation& each) { return each.calls > prefix; });
    const CheckpointStatus status = checkpoint.open(folder_ / name, true);
    const bool is_missing =
        status == CheckpointStatus::kSystemError && checkpoint.error() == ENOENT;
    if (status == CheckpointStatus::kNothingYet || is_missing) {
      EXPECT_EQ(next, generations.begin()) << "a durable checkpoint is gone: " << name;
      return false;
    }
    // No warning either: nothing was lost that had been promised.
    EXPECT_EQ(status, CheckpointStatus::kOk) << name;
    const bool is_next = next != generations.end() && checkpoint.step() == next->step;
    EXPECT_TRUE(is_next || next != generations.begin()) << name;
    if (testing::Test::HasFailure()) return false;
    expect_holds(checkpoint, is_next ? *next : *(next - 1));
    return true;
  }

  void judge_best(std::size_t prefix) {
    CheckpointFile best(0);
    open_one_of_two(best, kBest, best_generations_, prefix);
  }

  // Opens the laid-out files as --resume does.
  void judge(std::size_t prefix) {
    CheckpointFile checkpoint(config_.settings.checkpoint_every);
    if (!open_one_of_two(checkpoint, "checkpoint", generations_, prefix)) return;
    session_.load(checkpoint, folder_ / "checkpoint");
    EpisodeLog log;
    const std::int64_t episodes = session_.loop().state().episodes;
    ASSERT_EQ(log.open_at(folder_ / "episodes.csv", checkpoint.step(), episodes), 0);
    const std::string kept = read_bytes(folder_ / "episodes.csv");
    EXPECT_EQ(kept, episodes_.substr(0, kept.size()));
    EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 1 + episodes);
  }

  // The whole way: the run goes on to its end and ends as if nothing had happened.
  void resume(const Files& files) {
    ++resumed_;
    TemporaryFolder folder;
    lay_out(files, folder.path());
    write_file(folder / "config.toml", write_config_toml(config_));
    run(config_, folder.path(), true);
    CheckpointFile checkpoint(config_.settings.checkpoint_every);
    ASSERT_EQ(checkpoint.open(folder / "checkpoint", false), CheckpointStatus::kOk);
    expect_holds(checkpoint, generations_.back());
    if (best_generations_.empty()) return;
    CheckpointFile best(0);
    ASSERT_EQ(best.open(folder / kBest, false), CheckpointStatus::kOk);
    expect_holds(best, best_generations_.back());
  }

  RunConfig config_;
  RunSession session_;
  Recorder recorder_;
  TemporaryFolder folder_;
  Files begin_;
  std::vector<Generation> generations_;
  std::vector<Generation> best_generations_;
  std::string episodes_;  // of the run that was not disturbed
  std::int64_t states_ = 0;
  std::int64_t resumed_ = 0;
  std::size_t pending_max_ = 0;
};

void report(const char* what, const CrashScenario& scenario) {
  std::printf(
      "%s: %lld crash states, %lld of them run to the end, up to %zu calls unsynced;"
      " %lld episodes, %zu checkpoints, %zu of best/\n",
      what, static_cast<long long>(scenario.states()), static_cast<long long>(scenario.resumed()),
      scenario.pending_max(), static_cast<long long>(scenario.episodes()),
      scenario.generations().size(), scenario.best_generations().size());
  testing::Test::RecordProperty("crash_states", std::to_string(scenario.states()));
}

std::vector<std::int64_t> steps_of(const CrashScenario& scenario) {
  std::vector<std::int64_t> steps;
  for (const Generation& generation : scenario.generations()) steps.push_back(generation.step);
  return steps;
}

TEST(Crash, LeavesOneOfTheTwoLastCheckpoints) {
  CrashScenario scenario(small_config(73'000, 10'000), {});
  ASSERT_EQ(steps_of(scenario), (std::vector<std::int64_t>{0, 10'000, 20'000, 30'000, 40'000,
                                                           50'000, 60'000, 70'000, 73'000}));
  ASSERT_GT(scenario.episodes(), 5);
  EXPECT_GT(scenario.best_generations().size(), 1U);
  scenario.judge_all(20, 4);
  report("a new run", scenario);
}

TEST(Crash, WhileGoingOnAfterACrashDoesSo) {
  // The log already holds episodes that the checkpoint of step 20,000 does not count.
  const CrashScenario first(small_config(30'000, 10'000), {});
  const Files crashed = first.files_after_sync("episodes.csv", 3);
  CrashScenario scenario(small_config(45'000, 10'000), crashed);
  ASSERT_EQ(steps_of(scenario), (std::vector<std::int64_t>{20'000, 30'000, 40'000, 45'000}));
  scenario.judge_all(20, 20);
  EXPECT_GT(scenario.pending_max(), 1U) << "the log was to be cut and written between two syncs";
  report("a resumed run", scenario);
}

TEST(Crash, WithManyUnsyncedEpisodesDoesSo) {
  CrashScenario scenario(small_config(600'000, 600'000), {});
  ASSERT_EQ(steps_of(scenario), (std::vector<std::int64_t>{0, 600'000}));
  scenario.judge_all(100'000, 100'000);
  EXPECT_GT(scenario.pending_max(), 3U) << "the run was to write more often than it syncs";
  report("a run with a long log", scenario);
}

TEST(FullDisk, KeepsTheLastCheckpoint) {
  const RunConfig config = small_config(3'300, 1'000);
  Recorder counting;
  {
    TemporaryFolder folder;
    run(config, folder.path(), false, counting.operations());
  }
  ASSERT_GT(counting.writes(), 12);
  // Writes and reservations: the file's space, the log's header, then the first checkpoint's log,
  // snapshot and header; the space of best/; then log, snapshot and header of the others.
  for (std::int64_t full_at = 0; full_at < counting.writes(); ++full_at) {
    SCOPED_TRACE("full after " + std::to_string(full_at) + " writes");
    TemporaryFolder folder;
    Recorder recorder(full_at);
    try {
      run(config, folder.path(), false, recorder.operations());
      FAIL() << "a full disk went unnoticed";
    } catch (const CommandError& error) {
      EXPECT_EQ(error.code(), kDeviceError) << error.what();
    }
    CheckpointFile checkpoint(config.settings.checkpoint_every);
    const CheckpointStatus status = checkpoint.open(folder / "checkpoint", false);
    // Those whose three writes all went.
    const std::int64_t completed = full_at < 6 ? 1 : (full_at - 3) / 3;
    if (full_at < 5) {
      EXPECT_EQ(status, CheckpointStatus::kNothingYet);
    } else {
      EXPECT_EQ(status, CheckpointStatus::kOk);
      EXPECT_EQ(checkpoint.step(), std::min<std::int64_t>(3'300, (completed - 1) * 1'000));
    }
    // With room again it goes on to the end.
    write_file(folder / "config.toml", write_config_toml(config));
    run(config, folder.path(), true);
    CheckpointFile last(config.settings.checkpoint_every);
    ASSERT_EQ(last.open(folder / "checkpoint", false), CheckpointStatus::kOk);
    EXPECT_EQ(last.step(), 3'300);
  }
}

}  // namespace
}  // namespace instep

#include "tools/library/check/replay.h"

#include <filesystem>
#include <vector>

#include "runtime/realtime/replay_world.h"
#include "tools/library/error.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

TickRecord read_record_file(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw UsageError(path + ": is a folder; give " +
                     (std::filesystem::path(path) / "record").string());
  }
  if (!std::filesystem::exists(path, ignored)) throw UsageError(path + ": there is no such file");
  if (!std::filesystem::is_regular_file(path, ignored)) {
    throw UsageError(path + ": is no file; give a run's `record` or `fault.rec`");
  }
  const std::string text = read_file(path);
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  TickRecord record;
  const std::string trouble = read_record(bytes, &record);
  if (!trouble.empty()) throw DataError(path + ": " + trouble);
  if (record.count() == 0) throw DataError(path + ": holds no tick");
  return record;
}

// The checkpoint beside the record, against what the replay had when it was taken.
class CheckpointComparison {
 public:
  CheckpointComparison(const std::string& folder, const RunConfig& config, const TickRecord& record)
      : checkpoint_(config.settings.checkpoint_every) {
    open_checkpoint(checkpoint_, folder, false);
    moment_ = find_moment(record);
  }

  std::int64_t step() const { return checkpoint_.step(); }

  // Before anything is loaded. A resumed run's checkpoint may be of inside an episode; its record
  // never is.
  void note_start(ControlLoop& loop, const TickRecord& record) {
    if (moment_ != kStart) return;
    const bool is_same = std::ranges::equal(checkpoint_.snapshot(), record.snapshot);
    std::vector<std::uint8_t> loaded(record.snapshot.size());
    if (!is_same && loop.load_learner(checkpoint_.snapshot(), step())) loop.save_snapshot(loaded);
    snapshot_ = record.snapshot;
    is_start_same_ = is_same || loaded == record.snapshot;
  }

  // After frame `frame`: asks for the learner as it will be when it has learnt from it.
  void note(ControlLoop& loop, std::int64_t frame) {
    if (frame != moment_) return;
    snapshot_.resize(loop.snapshot_bytes());
    if (!loop.request_snapshot(snapshot_)) snapshot_.clear();
  }

  // None where the checkpoint is of another step.
  std::optional<bool> is_same() const {
    if (snapshot_.empty()) return std::nullopt;
    return moment_ == kStart ? is_start_same_
                             : std::ranges::equal(checkpoint_.snapshot(), snapshot_);
  }

 private:
  static constexpr std::int64_t kStart = -1;
  static constexpr std::int64_t kNever = -2;

  // Several ticks may be of one step, as those that were held carry none. It was taken after the
  // marked one; without any, before the first tick or after the last.
  std::int64_t find_moment(const TickRecord& record) const {
    const auto count = static_cast<std::int64_t>(record.count());
    for (std::int64_t tick = count - 1; tick >= 0; --tick) {
      const TickHead head = tick_head(record.frame(static_cast<std::size_t>(tick)));
      const bool is_marked = (head.flags & kTickSnapshot) != 0;
      if (is_marked && static_cast<std::int64_t>(head.step) == step()) return tick;
    }
    if (step() == record.step) return kStart;
    const TickHead last = tick_head(record.frame(record.count() - 1));
    return static_cast<std::int64_t>(last.step) == step() ? count - 1 : kNever;
  }

  CheckpointFile checkpoint_;
  std::int64_t moment_ = kNever;
  bool is_start_same_ = false;
  std::vector<std::uint8_t> snapshot_;
};

// Up to the first tick, which is the opening of an episode or, after a checkpoint, any other.
void begin(RunSession& session, const TickRecord& record, const std::string& file,
           CheckpointComparison& checkpoint) {
  ControlLoop& loop = session.loop();
  checkpoint.note_start(loop, record);
  const bool opens = (tick_head(record.frame(0)).flags & kTickOpensEpisode) != 0;
  const bool is_loaded = opens ? loop.load_learner(record.snapshot, record.step)
                               : loop.load_snapshot(record.snapshot, record.step);
  if (!is_loaded) throw DataError(file + ": does not begin with a learner of this run");
  if (!opens) return;
  // A run that ended before its robot was there has no action; no tick follows then.
  const bool is_acting = loop.start();
  if (!is_acting && record.count() > 1) {
    throw DataError(file + ": does not begin with a learner of this run");
  }
  checkpoint.note(loop, 0);
}

}  // namespace

ReplayResult replay(const std::string& file) {
  const TickRecord record = read_record_file(file);
  const std::string parent = std::filesystem::path(file).parent_path().string();
  const std::string folder = parent.empty() ? "." : parent;
  const RunConfig config = read_config_toml(folder + "/config.toml");
  ReplayWorld world(record);
  RunSession session(config, world);
  if (session.identity().settings_hash != record.identity) {
    throw DataError(file + ": was made with another task, seed or settings than " + folder +
                    "/config.toml says");
  }
  if (record.shape.observation_dim != session.agent().observation_dim() ||
      record.shape.action_dim != session.agent().action_dim()) {
    throw DataError(file + ": has other sizes than task " + config.task);
  }
  world.set_agent(session.agent());
  CheckpointComparison checkpoint(folder, config, record);
  begin(session, record, file, checkpoint);
  ReplayResult result;
  while (!world.is_over()) {
    session.loop().tick();
    checkpoint.note(session.loop(), static_cast<std::int64_t>(world.frames_given()) - 1);
    ++result.ticks;
  }
  while (session.agent().run_next_task()) continue;

  result.actions = world.actions_compared();
  if (world.first_difference() >= 0) result.first_difference = world.first_difference();
  result.checkpoint_step = checkpoint.step();
  result.is_checkpoint_same = checkpoint.is_same();
  return result;
}

}  // namespace instep

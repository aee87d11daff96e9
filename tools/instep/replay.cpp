#include "tools/instep/replay.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/realtime/tick_record.h"
#include "tools/instep/error.h"
#include "tools/instep/session.h"
#include "tools/instep/settings_io.h"

namespace instep {
namespace {

TickRecord read_record_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw IoError(path + ": cannot be read");
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  TickRecord record;
  const std::string trouble = read_record(bytes, &record);
  if (!trouble.empty()) throw DataError(path + ": " + trouble);
  if (record.count() == 0) throw DataError(path + ": holds no tick");
  return record;
}

enum class Comparison { kNone, kSame, kDifferent };

const char* comparison_text(Comparison comparison) {
  switch (comparison) {
    case Comparison::kNone:
      return "is of another step";
    case Comparison::kSame:
      return "is the same";
    case Comparison::kDifferent:
      return "DIFFERS";
  }
  return "";
}

// The checkpoint beside the record, against what the replay had at its step.
class CheckpointComparison {
 public:
  CheckpointComparison(const std::string& folder, const RunConfig& config)
      : checkpoint_(config.settings.checkpoint_every) {
    open_checkpoint(checkpoint_, folder, false);
  }

  std::int64_t step() const { return checkpoint_.step(); }

  // After a tick: asks for the learner as it will be when it has learnt from it.
  void note(ControlLoop& loop) {
    if (loop.steps() != checkpoint_.step() || !snapshot_.empty()) return;
    snapshot_.resize(loop.snapshot_bytes());
    if (!loop.request_snapshot(snapshot_)) snapshot_.clear();
  }

  Comparison result() const {
    if (snapshot_.empty()) return Comparison::kNone;
    const auto expected = checkpoint_.snapshot();
    return std::equal(expected.begin(), expected.end(), snapshot_.begin(), snapshot_.end())
               ? Comparison::kSame
               : Comparison::kDifferent;
  }

 private:
  CheckpointFile checkpoint_;
  std::vector<std::uint8_t> snapshot_;
};

void begin(RunSession& session, const TickRecord& record, const std::string& file) {
  ControlLoop& loop = session.loop();
  const bool opens = (tick_head(record.frame(0)).flags & kTickOpensEpisode) != 0;
  const bool is_loaded = opens ? loop.load_learner(record.snapshot, record.step) && loop.start()
                               : loop.load_snapshot(record.snapshot, record.step);
  if (!is_loaded) throw DataError(file + ": does not begin with a learner of this run");
}

}  // namespace

int run_replay(const std::string& file, bool json) {
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
  const Shape& shape = session.agent().config().shape;
  if (record.shape.observation_dim != shape.observation_dim ||
      record.shape.action_dim != shape.action_dim) {
    throw DataError(file + ": has other sizes than task " + config.task);
  }
  world.set_agent(session.agent());
  CheckpointComparison checkpoint(folder, config);
  begin(session, record, file);
  checkpoint.note(session.loop());
  std::uint64_t ticks = 0;
  while (!world.is_over()) {
    session.loop().tick();
    checkpoint.note(session.loop());
    ++ticks;
  }
  while (session.agent().run_next_task()) continue;

  const Comparison same = checkpoint.result();
  const bool passes = world.first_difference() < 0 && same != Comparison::kDifferent;
  std::printf("%llu ticks, %llu actions: ", static_cast<unsigned long long>(ticks),
              static_cast<unsigned long long>(world.actions_compared()));
  if (world.first_difference() < 0) {
    std::printf("all the same\n");
  } else {
    std::printf("they DIFFER from step %lld on\n",
                static_cast<long long>(world.first_difference()));
  }
  std::printf("the checkpoint, of step %lld, %s\n", static_cast<long long>(checkpoint.step()),
              comparison_text(same));
  if (json) {
    const nlohmann::json result = {
        {"ticks", ticks},
        {"actions", world.actions_compared()},
        {"first_difference", world.first_difference() < 0
                                 ? nlohmann::json(nullptr)
                                 : nlohmann::json(world.first_difference())},
        {"checkpoint_step", checkpoint.step()},
        {"checkpoint_same", same == Comparison::kNone ? nlohmann::json(nullptr)
                                                      : nlohmann::json(same == Comparison::kSame)},
        {"pass", passes}};
    std::printf("%s\n", result.dump().c_str());
  }
  return passes ? kDone : kCheckFailed;
}

}  // namespace instep

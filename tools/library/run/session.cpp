#include "tools/library/run/session.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "runtime/hash.h"
#include "tools/library/error.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

// Of what, beside the settings, decides a run's bits.
std::uint64_t identity_hash(const RunConfig& config) {
  return hash_text(config.task + '\n' + std::to_string(config.seed),
                   settings_hash(config.settings));
}

CheckpointIdentity identity_of(const RunConfig& config) {
  const TaskInfo& task = require_task(config.task);
  return identity_of(config, task.observation_dim, task.action_dim);
}

// What can be done where a checkpoint is lost.
std::string after_loss(const std::string& folder) {
  const bool has_best = checkpoint_step(folder + "/best/checkpoint").has_value();
  return "the run cannot be continued: restore it from a copy, or start a new run" +
         (has_best ? " from the best weights with --init " + folder + "/best" : "");
}

// Episodes and summaries come with checkpoints: one that is not there beside them was there once.
std::string lost_text(const std::string& folder, const char* state) {
  return std::string(": is ") + state +
         ", though episodes or a summary are recorded beside it; what it held is lost and " +
         after_loss(folder);
}

}  // namespace

const TaskInfo& require_task(std::string_view name) {
  const TaskInfo* task = find_task(name);
  if (task == nullptr) {
    if (const TaskInfo* const meant = task_called(name)) {
      throw UsageError("unknown task '" + printable(name) + "'; did you mean '" +
                       std::string(meant->name) + "'?");
    }
    std::vector<std::string_view> names;
    for (const TaskInfo& known : all_tasks()) names.push_back(known.name);
    throw UsageError("unknown task '" + printable(name) + "'" + did_you_mean(name, names, ";") +
                     " `instep tasks` lists them");
  }
  if (task->make == nullptr) {
    throw UsageError("task '" + std::string(name) +
                     "' is not available: " + std::string(task->missing));
  }
  return *task;
}

RunSession::RunSession(const RunConfig& config, std::vector<Phase>* phases)
    : config_(config), task_(require_task(config.task)), own_world_(task_.make()) {
  world_ = own_world_.get();
  make_agent_and_loop(phases);
}

RunSession::RunSession(const RunConfig& config, Environment& robot)
    : config_(config), task_(require_task(config.task)), world_(&robot) {
  make_agent_and_loop(nullptr);
}

void RunSession::make_agent_and_loop(std::vector<Phase>* phases) {
  const AlgorithmInfo& algorithm = *config_.settings.algorithm;
  const BackendChoice choice = choose_backend("auto", config_.path, config_.settings);
  AgentConfig agent;
  agent.observation_dim = task_.observation_dim;
  agent.action_dim = task_.action_dim;
  agent.settings = config_.settings.values;
  agent.arithmetic = config_.settings.arithmetic;
  agent.schedule = config_.schedule;
  agent.path = choice.path;
  agent.seed = config_.seed;
  agent.learns_apart = is_on_robot() && algorithm.can_learn_apart;
  agent.phases = phases;
  if (agent.learns_apart && choice.backend != "cpu") {
    throw UsageError("path " + std::string(choice.path) +
                     ": on a robot the CPU learns beside the loop; use --backend cpu");
  }
  agent_ = algorithm.make(agent);
  loop_ = std::make_unique<ControlLoop>(
      *agent_, *world_, clock_,
      Random{config_.seed, static_cast<std::uint32_t>(Stream::kTaskReset)});
}

CheckpointIdentity RunSession::identity() const {
  return identity_of(config_);
}

void RunSession::load(const CheckpointFile& checkpoint, const std::string& path) {
  require_same_run(checkpoint, path, config_);
  const bool must_begin_anew =
      is_on_robot() || checkpoint.snapshot().size() != loop_->snapshot_bytes();
  const bool is_loaded = must_begin_anew
                             ? loop_->load_learner(checkpoint.snapshot(), checkpoint.step())
                             : loop_->load_snapshot(checkpoint.snapshot(), checkpoint.step());
  if (!is_loaded) {
    throw DataError(path + ": its contents do not fit task " + config_.task);
  }
}

CheckpointIdentity identity_of(const RunConfig& config, int observation_dim, int action_dim) {
  const RunSettings& settings = config.settings;
  const bool has_hidden = find_setting(settings.algorithm->settings, "hidden") != nullptr;
  return {observation_dim, action_dim,
          has_hidden ? static_cast<int>(value_of(settings, "hidden")) : 0,
          settings.algorithm->number, identity_hash(config)};
}

void require_same_run(const CheckpointFile& checkpoint, const std::string& path,
                      const RunConfig& config) {
  require_same_run(checkpoint, path, identity_of(config));
}

void require_same_run(const CheckpointFile& checkpoint, const std::string& path,
                      const CheckpointIdentity& identity) {
  if (checkpoint.identity() == identity) return;
  throw DataError(path +
                  ": belongs to a run with another task, seed or settings than config.toml " +
                  "beside it says; restore the config.toml it was made with");
}

std::optional<std::int64_t> checkpoint_step(const std::string& path) {
  CheckpointFile checkpoint(0);  // only read
  const CheckpointStatus status = checkpoint.open(path, false);
  const bool is_whole =
      status == CheckpointStatus::kOk || status == CheckpointStatus::kOkButNewestDamaged;
  return is_whole ? std::optional(checkpoint.step()) : std::nullopt;
}

bool has_results(const std::string& folder) {
  const std::string path = folder + "/episodes.csv";
  std::error_code error;
  return std::filesystem::exists(folder + "/summary.json", error) ||
         (std::filesystem::exists(path, error) && !read_episodes(path).empty());
}

void open_checkpoint(CheckpointFile& checkpoint, const std::string& folder, bool writable) {
  const std::string path = folder + "/checkpoint";
  require_plain_file(path, writable);
  switch (checkpoint.open(path, writable)) {
    case CheckpointStatus::kOk:
      return;
    case CheckpointStatus::kOkButNewestDamaged:
      std::fprintf(
          stderr,
          "instep: warning: %s: a damaged checkpoint was found, probably the newest; going on from "
          "the other one, of step %lld\n",
          path.c_str(), static_cast<long long>(checkpoint.step()));
      return;
    case CheckpointStatus::kSystemError:
      if (checkpoint.error() == ENOENT && has_results(folder)) {
        throw DataError(path + lost_text(folder, "missing"));
      }
      if (checkpoint.error() == ENOENT) {
        throw UsageError(folder + ": holds no checkpoint; is it a run folder?");
      }
      throw IoError(system_trouble(
          path + ": cannot be " + (writable ? "opened for writing" : "read"), checkpoint.error()));
    case CheckpointStatus::kNothingYet:
      if (is_kept_copy(folder)) throw DataError(path + ": the run has kept nothing here yet");
      if (has_results(folder)) throw DataError(path + lost_text(folder, "empty"));
      throw DataError(path +
                      ": the run ended before its first checkpoint was complete; start it "
                      "again with train --resume " +
                      folder);
    case CheckpointStatus::kNotACheckpoint:
      throw DataError(path + ": is not a checkpoint of instep, or has been cut short; " +
                      after_loss(folder));
    case CheckpointStatus::kOtherVersion:
      throw DataError(path + ": has format version " + std::to_string(checkpoint.found_version()) +
                      ", this program reads versions 1 to " + std::to_string(kCheckpointVersion) +
                      "; use the program that wrote it");
    case CheckpointStatus::kBothDamaged:
      throw DataError(path + ": both checkpoints in it are damaged; " + after_loss(folder));
  }
}

std::unique_ptr<RunSession> open_session(const std::string& folder, const RunConfig& config) {
  CheckpointFile checkpoint(config.settings.checkpoint_every);
  open_checkpoint(checkpoint, folder, false);
  auto session = std::make_unique<RunSession>(config);
  session->load(checkpoint, folder + "/checkpoint");
  return session;
}

}  // namespace instep

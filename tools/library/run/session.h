// Everything one run is made of, put together from its configuration.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/checkpoint.h"
#include "runtime/control_loop.h"
#include "runtime/settings.h"
#include "tasks/registry.h"

namespace instep {

// The task of that name, ready to be made. Throws UsageError: unknown (with the nearest name), or
// not available in this build (with what to install).
const TaskInfo& require_task(std::string_view name);

// A world, an agent and the loop that joins them. The same construction serves training, evaluation
// and profiling.
class RunSession {
 public:
  // Throws UsageError when the task or the path does not exist here. Where `phases` is not null the
  // agent names and times the phases of its ticks there.
  explicit RunSession(const RunConfig& config, std::vector<Phase>* phases = nullptr);
  // The same with a robot's world, which is borrowed; who can then learns apart from the loop.
  RunSession(const RunConfig& config, Environment& robot);

  const TaskInfo& task() const { return task_; }
  Agent& agent() { return *agent_; }
  Environment& world() { return *world_; }
  bool is_on_robot() const { return own_world_ == nullptr; }
  ControlLoop& loop() { return *loop_; }
  CheckpointIdentity identity() const;

  // Goes on from the newest checkpoint of a run folder, which `checkpoint` has opened. Throws
  // DataError when it belongs to another run or does not fit. A run on a robot goes on with a new
  // episode, which is still to be started.
  void load(const CheckpointFile& checkpoint, const std::string& path);

 private:
  void make_agent_and_loop(std::vector<Phase>* phases);

  RunConfig config_;
  const TaskInfo& task_;
  MonotonicClock clock_;
  std::unique_ptr<Environment> own_world_;  // null on a robot
  Environment* world_ = nullptr;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<ControlLoop> loop_;
};

// Whether a run's folder tells of steps made: of an episode, or of an end.
bool has_results(const std::string& folder);

// The step of the newest whole checkpoint in that file; none where there is none.
std::optional<std::int64_t> checkpoint_step(const std::string& path);

// What a run of that configuration has in common with its checkpoints.
CheckpointIdentity identity_of(const RunConfig& config, int observation_dim, int action_dim);

// Throws DataError unless the checkpoint at `path` belongs to a run of that configuration.
void require_same_run(const CheckpointFile& checkpoint, const std::string& path,
                      const RunConfig& config);
void require_same_run(const CheckpointFile& checkpoint, const std::string& path,
                      const CheckpointIdentity& identity);

// Opens the checkpoint of a run folder. Prints a warning when the newer slot is damaged and the
// older one is taken; throws DataError or IoError saying what is wrong and what to do.
void open_checkpoint(CheckpointFile& checkpoint, const std::string& folder, bool writable);

// The session of a run folder, with that configuration, as its newest checkpoint left it. Throws as
// open_checkpoint(), the constructor and load() do.
std::unique_ptr<RunSession> open_session(const std::string& folder, const RunConfig& config);

}  // namespace instep

#include "tools/library/instep.h"

#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "runtime/algorithm.h"
#include "runtime/checkpoint.h"
#include "runtime/control_loop.h"
#include "runtime/settings.h"
#include "tasks/registry.h"
#include "tools/library/error.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

// In config.toml, for a world that this program does not know.
constexpr const char* kOwnWorld = "own";

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("instep: " + what);
}

void check_sizes(const EmbeddedAgentOptions& options) {
  const auto check = [](const char* name, int value, int max) {
    if (value >= 1 && value <= max) return;
    refuse(std::string(name) + " is " + std::to_string(value) + "; it must be 1 to " +
           std::to_string(max));
  };
  check("observation_dim", options.observation_dim, kObservationDimMax);
  check("action_dim", options.action_dim, kActionDimMax);
}

// Gives the task's settings, where it is one of this program's.
void apply_task(const EmbeddedAgentOptions& options, RunConfig& config) {
  config.task = options.task.empty() ? kOwnWorld : options.task;
  if (options.task.empty()) return;
  const TaskInfo* const task = find_task(options.task);
  if (task == nullptr) {
    refuse("there is no task '" + printable(options.task) +
           "'; `instep tasks` lists them, and empty is a world of your own");
  }
  if (task->observation_dim != options.observation_dim || task->action_dim != options.action_dim) {
    refuse("task " + options.task + " has " + std::to_string(task->observation_dim) +
           " observations and " + std::to_string(task->action_dim) + " actions, not " +
           std::to_string(options.observation_dim) + " and " + std::to_string(options.action_dim));
  }
  apply_task_defaults(config.settings, *task);
}

RunConfig make_config(const EmbeddedAgentOptions& options) {
  check_sizes(options);
  const AlgorithmInfo* const algorithm = find_algorithm(options.algorithm);
  if (algorithm == nullptr) {
    refuse("there is no algorithm '" + printable(options.algorithm) + "', but " +
           algorithm_names());
  }
  RunConfig config;
  config.seed = options.seed;
  config.settings.choose(*algorithm);
  apply_task(options, config);
  try {
    apply_set_options(config.settings, options.settings);
  } catch (const UsageError& error) {
    refuse(error.what());
  }
  return config;
}

}  // namespace

struct EmbeddedAgent::State {
  enum class Next { kBegin, kSense, kUpdate };

  State(const RunConfig& run_config, int observation_dim, int action_dim) : config(run_config) {
    const BackendChoice choice = choose_backend("cpu", "", config.settings);
    config.backend = choice.backend;
    config.path = choice.path;
    AgentConfig agent_config;
    agent_config.observation_dim = observation_dim;
    agent_config.action_dim = action_dim;
    agent_config.settings = config.settings.values;
    agent_config.arithmetic = config.settings.arithmetic;
    agent_config.path = choice.path;
    agent_config.seed = config.seed;
    agent = config.settings.algorithm->make(agent_config);
    layout.learner_bytes = agent->state_bytes();
    observation.resize(static_cast<std::size_t>(observation_dim));
  }

  CheckpointIdentity identity() const {
    return identity_of(config, agent->observation_dim(), agent->action_dim());
  }

  void expect(Next wanted, const char* call) const {
    if (next == wanted) return;
    static constexpr const char* kNames[] = {"begin()", "sense() or step()", "update()"};
    throw std::logic_error("instep: " + std::string(call) + " was called, but " +
                           kNames[static_cast<int>(next)] + " is next");
  }
  void expect_size(std::size_t size, int wanted, const char* what) const {
    if (size == static_cast<std::size_t>(wanted)) return;
    throw std::logic_error("instep: " + std::string(what) + " has " + std::to_string(size) +
                           " values; this agent has " + std::to_string(wanted));
  }
  std::span<const float> answer(const float* action) const {
    if (action == nullptr) return {};
    return {action, static_cast<std::size_t>(agent->action_dim())};
  }

  RunConfig config;
  std::unique_ptr<Agent> agent;
  SnapshotLayout layout;
  LoopState loop;
  std::vector<double> observation;
  Next next = Next::kBegin;
  bool goes_on = false;                        // after update()
  std::unique_ptr<CheckpointFile> checkpoint;  // null before the first save()
  std::string folder;                          // of the checkpoint
};

EmbeddedAgent::EmbeddedAgent(const EmbeddedAgentOptions& options)
    : state_(std::make_unique<State>(make_config(options), options.observation_dim,
                                     options.action_dim)) {}
EmbeddedAgent::EmbeddedAgent(std::unique_ptr<State> state) : state_(std::move(state)) {}
EmbeddedAgent::EmbeddedAgent(EmbeddedAgent&&) noexcept = default;
EmbeddedAgent& EmbeddedAgent::operator=(EmbeddedAgent&&) noexcept = default;
EmbeddedAgent::~EmbeddedAgent() = default;

EmbeddedAgent::State& EmbeddedAgent::state() const {
  if (!state_) throw std::logic_error("instep: this agent was moved to another one");
  return *state_;
}

int EmbeddedAgent::observation_dim() const {
  return state().agent->observation_dim();
}
int EmbeddedAgent::action_dim() const {
  return state().agent->action_dim();
}
std::uint64_t EmbeddedAgent::steps() const {
  return state().agent->step();
}
std::uint64_t EmbeddedAgent::dropped_steps() const {
  return static_cast<std::uint64_t>(state().agent->drop_counts().transitions);
}

std::span<const float> EmbeddedAgent::begin(std::span<const double> observation) {
  State& now = state();
  now.expect(State::Next::kBegin, "begin()");
  now.expect_size(observation.size(), observation_dim(), "the observation");
  const float* const action = now.agent->begin_episode(observation.data());
  now.agent->update();
  if (action != nullptr) now.next = State::Next::kSense;
  return now.answer(action);
}

std::span<const float> EmbeddedAgent::sense(std::span<const double> observation, double reward,
                                            bool terminated, bool truncated) {
  State& now = state();
  now.expect(State::Next::kSense, "sense()");
  now.expect_size(observation.size(), observation_dim(), "the observation");
  const float* const action = now.agent->sense(observation.data(), reward, terminated, truncated);
  now.next = State::Next::kUpdate;
  now.goes_on = action != nullptr;
  now.loop.episode_return += reward;
  ++now.loop.episode_length;
  if (!now.goes_on) now.loop = {now.loop.episodes + 1, 0.0, 0};
  return now.answer(action);
}

void EmbeddedAgent::update() {
  State& now = state();
  now.expect(State::Next::kUpdate, "update()");
  now.agent->update();
  now.next = now.goes_on ? State::Next::kSense : State::Next::kBegin;
}

std::span<const float> EmbeddedAgent::step(std::span<const double> observation, double reward,
                                           bool terminated, bool truncated) {
  const std::span<const float> action = sense(observation, reward, terminated, truncated);
  update();
  return action;
}

void EmbeddedAgent::end_episode() {
  State& now = *state_;
  if (now.next == State::Next::kBegin) return;
  now.expect(State::Next::kSense, "end_episode()");
  now.agent->drop_open();
  now.loop = {now.loop.episodes + (now.loop.episode_length > 0 ? 1 : 0), 0.0, 0};
  now.next = State::Next::kBegin;
}

void EmbeddedAgent::save(const std::string& folder) {
  State& now = state();
  if (now.next == State::Next::kUpdate) now.expect(State::Next::kBegin, "save()");
  now.config.steps = static_cast<std::int64_t>(steps());
  const std::string path = folder + "/checkpoint";
  if (!now.checkpoint || now.folder != folder) {
    auto file = std::make_unique<CheckpointFile>(0);
    if (std::filesystem::exists(path)) {
      open_checkpoint(*file, folder, true);
      require_same_run(*file, path, now.identity());
    } else {
      make_folders(folder);
      if (!std::filesystem::is_empty(folder)) refuse(folder + " is not empty");
      if (const int error = file->create(path, now.identity(), now.layout.bytes()); error != 0) {
        throw IoError(system_trouble(path + ": cannot be made", error));
      }
    }
    now.checkpoint = std::move(file);
    now.folder = folder;
  }
  std::vector<std::uint8_t> snapshot(now.layout.bytes());
  std::memcpy(snapshot.data(), &now.loop, sizeof now.loop);
  now.agent->save_state(now.layout.learner(std::span(snapshot)));
  write_file(folder + "/config.toml", write_config_toml(now.config));
  if (const int error = now.checkpoint->write(now.config.steps, snapshot); error != 0) {
    throw IoError(system_trouble(path + ": cannot be written", error));
  }
}

EmbeddedAgent EmbeddedAgent::load(const std::string& folder) {
  require_run_folder(folder);
  const RunConfig config = read_config_toml(folder + "/config.toml");
  const std::string path = folder + "/checkpoint";
  CheckpointFile file(0);
  open_checkpoint(file, folder, false);
  auto state =
      std::make_unique<State>(config, file.identity().observation_dim, file.identity().action_dim);
  require_same_run(file, path, state->identity());
  const std::span<const std::uint8_t> snapshot = file.snapshot();
  const auto step = static_cast<std::uint64_t>(file.step());
  if (snapshot.size() != state->layout.bytes() ||
      !state->agent->load_state(state->layout.learner(snapshot), step)) {
    throw DataError(path + ": its contents do not fit an agent of these sizes");
  }
  std::memcpy(&state->loop, snapshot.data(), sizeof state->loop);
  state->agent->drop_open();
  return EmbeddedAgent(std::move(state));
}

}  // namespace instep

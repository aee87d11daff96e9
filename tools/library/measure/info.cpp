#include "tools/library/measure/info.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/cuda/cuda_learner.h"
#include "runtime/memory.h"
#include "tools/library/error.h"
#include "tools/library/listen/summary.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;  // says "Clang" itself
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

nlohmann::json path_names() {
  nlohmann::json names = nlohmann::json::array();
  for (const Executor* executor : executors(Arithmetic::kFast)) names.push_back(executor->path);
  return names;
}

nlohmann::json checkpoint_json(const std::string& run, const RunConfig& config,
                               RunSession& session) {
  CheckpointFile checkpoint(config.settings.checkpoint_every);
  open_checkpoint(checkpoint, run, false);
  session.load(checkpoint, run + "/checkpoint");
  const LearnerState& state = session.agent().learner().state();
  return {{"step", checkpoint.step()},
          {"episodes", session.loop().state().episodes},
          {"format_version", kCheckpointVersion},
          {"snapshot_bytes", checkpoint.snapshot().size()},
          {"actor_updates", state.actor_updates},
          {"critic_updates", state.critic_updates},
          {"dropped_updates", state.actor_updates_dropped + state.critic_updates_dropped},
          {"dropped_transitions", state.transitions_dropped},
          {"td_error_scale", state.td_error_scale},
          {"running_return", state.running_return}};
}

void print_memory(const nlohmann::json& rows) {
  std::size_t total = 0;
  std::printf("%-36s %12s %12s\n", "memory", "bytes", "padding");
  for (const auto& row : rows) {
    std::printf("%-36s %12zu %12zu\n", row.at("name").get<std::string>().c_str(),
                row.at("bytes").get<std::size_t>(), row.at("padding_bytes").get<std::size_t>());
    total += row.at("bytes").get<std::size_t>();
  }
  std::printf("%-36s %12zu\n", "total", total);
}

}  // namespace

int run_info(const std::string& run, const std::string& task, bool json) {
  RunConfig config;
  if (!run.empty()) {
    require_run_folder(run);
    config = read_config_toml(run + "/config.toml");
    if (find_any_executor(config.path, config.settings.learner.arithmetic) == nullptr)
      config.path.clear();
  } else {
    config.task = task.empty() ? "dot_reacher" : task;
    config.settings.learner = require_task(config.task).settings;
  }
  RunSession session(config);
  const Layout& layout = session.agent().learner().layout;
  nlohmann::json backends = {"cpu", "cuda-emulated"};
  std::string cuda_paths;
  std::string cuda_problem;
  const auto cuda = cuda_executors(Arithmetic::kFast, cuda_problem);
  for (const Executor* executor : cuda) cuda_paths += std::string(executor->path) + " ";
  if (!cuda.empty()) backends.push_back("cuda");
  nlohmann::json result = {
      {"version", INSTEP_VERSION},
      {"compiler", kCompiler},
      {"machine", machine_text()},
      {"backends", backends},
      {"paths", path_names()},
      {"mujoco", find_task("half_cheetah")->make != nullptr},
      {"static_block_bytes", kStaticBlockBytes},
      {"task", config.task},
      {"shape", {layout.shape.observation_dim, layout.shape.action_dim, layout.shape.hidden_dim}},
      {"memory", to_json(memory_rows(layout, session.loop().snapshot_bytes()))},
      {"checkpoint", nullptr}};
  if (!run.empty()) result["checkpoint"] = checkpoint_json(run, config, session);

  std::printf("instep %s, compiled by %s\n%s\npaths of backend cpu, best first: %s\n",
              INSTEP_VERSION, kCompiler, machine_text().c_str(), path_names().dump().c_str());
  std::printf("backend cuda: %s%s\n", cuda.empty() ? "not here: " : "paths, best first: ",
              cuda.empty() ? cuda_problem.c_str() : cuda_paths.c_str());
  std::printf("task %s: %d observations, %d actions, hidden layers of %d\n", config.task.c_str(),
              layout.shape.observation_dim, layout.shape.action_dim, layout.shape.hidden_dim);
  print_memory(result.at("memory"));
  if (!run.empty()) {
    std::printf("checkpoint\n");
    for (const auto& [key, value] : result.at("checkpoint").items()) {
      std::printf("  %-24s %s\n", key.c_str(), value.dump().c_str());
    }
  }
  if (json) std::printf("%s\n", result.dump().c_str());
  return kDone;
}

int run_tasks(bool json) {
  nlohmann::json tasks = nlohmann::json::array();
  std::printf("%-14s %5s %5s %9s %7s %12s  %s\n", "task", "obs", "act", "period s", "limit",
              "steps", "");
  for (const TaskInfo& task : all_tasks()) {
    const bool is_available = task.make != nullptr;
    std::printf("%-14s %5d %5d %9.3f %7.2f %12lld  %s\n", std::string(task.name).c_str(),
                task.observation_dim, task.action_dim, task.period_s, task.action_limit,
                static_cast<long long>(task.default_steps),
                std::string(is_available ? task.summary : task.missing).c_str());
    RunSettings settings;
    settings.learner = task.settings;
    nlohmann::json values;
    for (const Setting& setting : all_settings()) {
      values[std::string(setting.name)] = format_value(settings, setting.name);
    }
    tasks.push_back({{"name", task.name},
                     {"summary", task.summary},
                     {"observation_dim", task.observation_dim},
                     {"action_dim", task.action_dim},
                     {"period_s", task.period_s},
                     {"action_limit", task.action_limit},
                     {"episode_steps_max", task.episode_steps_max},
                     {"steps", task.default_steps},
                     {"settings", values},
                     {"available", is_available}});
  }
  if (json) std::printf("%s\n", nlohmann::json{{"tasks", tasks}}.dump().c_str());
  return kDone;
}

}  // namespace instep

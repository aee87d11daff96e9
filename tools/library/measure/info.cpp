#include "tools/library/measure/info.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/memory.h"
#include "tools/library/error.h"
#include "tools/library/listen/summary.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
#include "tools/library/output.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/find_run.h"
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

nlohmann::json checkpoint_json(const std::string& run, const RunConfig& config,
                               RunSession& session) {
  CheckpointFile checkpoint(config.settings.checkpoint_every);
  open_checkpoint(checkpoint, run, false);
  session.load(checkpoint, run + "/checkpoint");
  const DropCounts drops = session.agent().drop_counts();
  nlohmann::json result = {{"step", checkpoint.step()},
                           {"episodes", session.loop().state().episodes},
                           {"format_version", checkpoint.found_version()},
                           {"snapshot_bytes", checkpoint.snapshot().size()},
                           {"dropped_updates", drops.updates},
                           {"dropped_transitions", drops.transitions}};
  for (const NamedNumber& number : session.agent().numbers()) {
    std::visit([&](auto value) { result[std::string(number.name)] = value; }, number.value);
  }
  return result;
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

int run_info(const std::string& run_or_task, const std::string& given_task, bool json) {
  const bool is_task = find_task(run_or_task) != nullptr;
  const std::string run = is_task || run_or_task.empty() ? "" : find_run(run_or_task);
  const std::string& task = is_task ? run_or_task : given_task;
  RunConfig config;
  if (!run.empty()) {
    require_run_folder(run);
    config = read_config_toml(run + "/config.toml");
    if (!has_path(config.path, config.settings)) config.path.clear();
  } else {
    config.task = task.empty() ? "dot_reacher" : task;
    apply_task_defaults(config.settings, require_task(config.task));
  }
  RunSession session(config);
  const Agent& agent = session.agent();
  const AlgorithmInfo& algorithm = *config.settings.algorithm;
  std::string cuda_problem;
  const auto paths_of = [&](std::string_view backend) {
    const auto paths = algorithm.paths(backend, Arithmetic::kFast, cuda_problem);
    return nlohmann::json(std::vector<std::string>(paths.begin(), paths.end()));
  };
  nlohmann::json backends = nlohmann::json::array();
  for (const char* backend : {"cpu", "cuda-emulated", "cuda"}) {
    if (!paths_of(backend).empty()) backends.push_back(backend);
  }
  const nlohmann::json cpu = paths_of("cpu");
  const nlohmann::json cuda = paths_of("cuda");
  std::string cuda_paths;
  for (const auto& path : cuda) cuda_paths += path.get<std::string>() + " ";
  nlohmann::json result = {
      {"version", INSTEP_VERSION},
      {"compiler", kCompiler},
      {"machine", machine_text()},
      {"backends", backends},
      {"paths", cpu},
      {"mujoco", find_task("half_cheetah")->make != nullptr},
      {"static_block_bytes", kStaticBlockBytes},
      {"task", config.task},
      {"algo", algorithm.name},
      {"shape", {agent.observation_dim(), agent.action_dim(), session.identity().hidden_dim}},
      {"memory", to_json(memory_rows(agent, session.loop().snapshot_bytes()))},
      {"checkpoint", nullptr}};
  if (!run.empty()) result["checkpoint"] = checkpoint_json(run, config, session);

  std::printf("instep %s, compiled by %s\n%s\npaths of backend cpu, best first: %s\n",
              INSTEP_VERSION, kCompiler, machine_text().c_str(), cpu.dump().c_str());
  std::printf("backend cuda: %s%s\n", cuda.empty() ? "not here: " : "paths, best first: ",
              cuda.empty() ? cuda_problem.c_str() : cuda_paths.c_str());
  std::printf("task %s: %d observations, %d actions, %s\n", config.task.c_str(),
              agent.observation_dim(), agent.action_dim(), sizes_text(config.settings).c_str());
  print_memory(result.at("memory"));
  if (!run.empty()) {
    std::printf("checkpoint\n");
    for (const auto& [key, value] : result.at("checkpoint").items()) {
      std::printf("  %-24s %s\n", key.c_str(), value.dump().c_str());
    }
  }
  if (json) print_json(result);
  return kDone;
}

int run_tasks(bool json) {
  nlohmann::json tasks = nlohmann::json::array();
  std::printf("%-14s %5s %5s %9s %7s %12s  %s\n", "task", "obs", "act", "period s", "limit",
              "steps", "");
  for (const TaskInfo& task : all_tasks()) {
    const bool is_available = task.make != nullptr;
    char numbers[96];
    std::snprintf(numbers, sizeof numbers, "%-14s %5d %5d %9.3f %7.2f %12lld  ",
                  std::string(task.name).c_str(), task.observation_dim, task.action_dim,
                  task.period_s, task.action_limit, static_cast<long long>(task.default_steps));
    print_wrapped(numbers + std::string(is_available ? task.summary : task.missing), 15);
    RunSettings settings;
    apply_task_defaults(settings, task);
    nlohmann::json values;
    for (const Setting* setting : all_settings(*settings.algorithm)) {
      values[std::string(setting->name)] = format_value(settings, setting->name);
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
  if (json) print_json({{"tasks", tasks}});
  return kDone;
}

int run_settings(const std::string& task, const std::string& algorithm, bool json) {
  RunSettings settings;
  if (!algorithm.empty()) settings.choose(*find_algorithm(algorithm));
  if (!task.empty()) apply_task_defaults(settings, require_task(task));
  const AlgorithmInfo& info = *settings.algorithm;
  print_wrapped(std::string(info.name) + ": " + std::string(info.summary) +
                    (task.empty() ? "" : "; defaults of " + task),
                0);
  char heading[96];
  std::snprintf(heading, sizeof heading, "%-25s %-9s %s", "key", "default",
                "meaning (what is allowed)");
  print_wrapped(heading, 36);
  nlohmann::json rows = nlohmann::json::array();
  for (const Setting* setting : all_settings(info)) {
    const std::string name(setting->name);
    const std::string value = format_value(settings, name);
    const std::string unit = setting->unit.empty() ? "" : "; " + std::string(setting->unit);
    char key[64];
    std::snprintf(key, sizeof key, "%-25s %-9s ", name.c_str(), value.c_str());
    print_wrapped(key + std::string(setting->help) + " (" + allowed_values(*setting) + unit + ")",
                  36);
    rows.push_back({{"key", name},
                    {"default", value},
                    {"allowed", allowed_values(*setting)},
                    {"unit", setting->unit},
                    {"meaning", setting->help}});
  }
  if (json) {
    const nlohmann::json result = {{"algo", info.name},
                                   {"task", task.empty() ? nlohmann::json() : nlohmann::json(task)},
                                   {"settings", rows}};
    print_json(result);
  }
  return kDone;
}

}  // namespace instep

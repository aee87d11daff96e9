#include "tools/library/measure/info.h"

#include "runtime/memory.h"
#include "tools/library/listen/summary.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
#include "tools/library/run/backend.h"
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

CheckpointInfo checkpoint_info(const std::string& run, const RunConfig& config,
                               RunSession& session) {
  CheckpointFile checkpoint(config.settings.checkpoint_every);
  open_checkpoint(checkpoint, run, false);
  session.load(checkpoint, run + "/checkpoint");
  return {.step = checkpoint.step(),
          .episodes = session.loop().state().episodes,
          .format_version = checkpoint.found_version(),
          .snapshot_bytes = checkpoint.snapshot().size(),
          .drops = session.agent().drop_counts(),
          .numbers = session.agent().numbers()};
}

RunConfig config_of(const std::string& run, const std::string& task) {
  RunConfig config;
  if (run.empty()) {
    config.task = task;
    apply_task_defaults(config.settings, require_task(config.task));
    return config;
  }
  require_run_folder(run);
  config = read_config_toml(run + "/config.toml");
  if (!has_path(config.path, config.settings)) config.path.clear();
  return config;
}

}  // namespace

Info inspect(const std::string& run, const std::string& task) {
  const RunConfig config = config_of(run, task);
  RunSession session(config);
  const Agent& agent = session.agent();
  const AlgorithmInfo& algorithm = *config.settings.algorithm;
  Info info;
  const auto paths_of = [&](std::string_view backend) {
    const auto paths = algorithm.paths(backend, Arithmetic::kFast, info.cuda_problem);
    return std::vector<std::string>(paths.begin(), paths.end());
  };
  for (const char* backend : {"cpu", "cuda-emulated", "cuda"}) {
    if (!paths_of(backend).empty()) info.backends.emplace_back(backend);
  }
  info.version = INSTEP_VERSION;
  info.compiler = kCompiler;
  info.machine = machine_text();
  info.cpu_paths = paths_of("cpu");
  info.cuda_paths = paths_of("cuda");
  info.has_mujoco = find_task("half_cheetah")->make != nullptr;
  info.static_block_bytes = kStaticBlockBytes;
  info.task = config.task;
  info.algorithm = algorithm.name;
  info.observation_dim = agent.observation_dim();
  info.action_dim = agent.action_dim();
  info.hidden_dim = session.identity().hidden_dim;
  info.sizes = sizes_text(config.settings);
  info.memory = memory_rows(agent, session.loop().snapshot_bytes());
  if (!run.empty()) info.checkpoint = checkpoint_info(run, config, session);
  return info;
}

}  // namespace instep

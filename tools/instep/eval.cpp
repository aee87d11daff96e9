#include "tools/instep/eval.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/policy.h"
#include "tools/instep/error.h"
#include "tools/instep/names.h"
#include "tools/instep/run_folder.h"
#include "tools/instep/session.h"
#include "tools/instep/settings_io.h"

namespace instep {
namespace {

Random evaluation_random(std::uint64_t seed, Stream stream) {
  return {seed, static_cast<std::uint32_t>(stream) + kEvaluationStreams};
}

}  // namespace

EpisodeResult run_evaluation_episode(Policy& policy, RunSession& session, std::uint64_t seed,
                                     std::uint64_t episode, bool deterministic,
                                     const std::function<void()>& on_state) {
  const TaskInfo& task = session.task();
  std::vector<double> observation(static_cast<std::size_t>(task.observation_dim));
  float noise[kActionDimMax] = {};
  session.world().reset(evaluation_random(seed, Stream::kTaskReset), episode, observation.data());
  EpisodeResult result;
  if (on_state) on_state();
  for (bool has_ended = false; !has_ended; ++result.length) {
    if (!deterministic) {
      const std::uint64_t step = (episode << 32) + static_cast<std::uint64_t>(result.length);
      evaluation_random(seed, Stream::kExploration).normal(step, noise, task.action_dim);
    }
    const Outcome outcome =
        session.world().step(policy.act(observation.data(), noise), observation.data());
    result.episode_return += outcome.reward;
    result.terminated = outcome.terminated;
    if (on_state) on_state();
    has_ended = outcome.terminated || outcome.truncated;
  }
  return result;
}

int run_eval(const EvalOptions& options) {
  if (options.episodes < 1) throw UsageError("--episodes must be at least 1");
  require_run_folder(options.run);
  RunConfig config = read_config_toml(options.run + "/config.toml");
  // Another machine may lack the path the run was made with; evaluation claims no bits.
  const Arithmetic arithmetic = config.settings.learner.arithmetic;
  if (find_any_executor(config.path, arithmetic) == nullptr)
    config.path = choose_executor("", arithmetic).path;
  CheckpointFile checkpoint(config.settings.checkpoint_every);
  open_checkpoint(checkpoint, options.run, false);
  RunSession session(config);
  session.load(checkpoint, options.run + "/checkpoint");
  Policy policy(session.agent().learner(), *session.agent().config().executor);

  const std::uint64_t seed = options.seed.value_or(config.seed);
  double sum = 0.0;
  double sum_squares = 0.0;
  for (std::int64_t i = 0; i < options.episodes; ++i) {
    const EpisodeResult result = run_evaluation_episode(
        policy, session, seed, static_cast<std::uint64_t>(i), options.deterministic);
    std::printf("episode %lld: return %.3f, %lld steps\n", static_cast<long long>(i),
                result.episode_return, static_cast<long long>(result.length));
    sum += result.episode_return;
    sum_squares += result.episode_return * result.episode_return;
  }
  const auto count = static_cast<double>(options.episodes);
  const double mean = sum / count;
  const double deviation = options.episodes > 1
                               ? std::sqrt(std::fmax(0.0, sum_squares - sum * mean) / (count - 1.0))
                               : 0.0;
  std::printf("step %lld of %s: mean return %.3f, standard deviation %.3f over %lld episodes\n",
              static_cast<long long>(checkpoint.step()), config.task.c_str(), mean, deviation,
              static_cast<long long>(options.episodes));
  if (options.json) {
    const nlohmann::json result = {
        {"task", config.task},
        {"step", checkpoint.step()},
        {"episodes", options.episodes},
        {"mean_return", mean},
        {"std_return", options.episodes > 1 ? nlohmann::json(deviation) : nullptr},
        {"seed", seed},
        {"deterministic", options.deterministic}};
    std::printf("%s\n", result.dump().c_str());
  }
  return kDone;
}

}  // namespace instep

#include "tools/instep/eval.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "runtime/clock.h"
#include "tools/instep/error.h"
#include "tools/instep/names.h"
#include "tools/instep/real_time.h"
#include "tools/instep/run_folder.h"
#include "tools/instep/session.h"
#include "tools/instep/settings_io.h"
#include "tools/instep/training_run.h"

namespace instep {
namespace {

Random evaluation_random(std::uint64_t seed, Stream stream) {
  return {seed, static_cast<std::uint32_t>(stream) + kEvaluationStreams};
}

void print_episode(std::size_t number, const EpisodeResult& result) {
  std::printf("episode %zu: return %.3f, %lld steps\n", number, result.episode_return,
              static_cast<long long>(result.length));
  std::fflush(stdout);
}

std::vector<EpisodeResult> evaluate(Policy& policy, const TaskInfo& task, Environment& world,
                                    std::uint64_t seed, const EvalOptions& options) {
  std::vector<EpisodeResult> results;
  for (std::int64_t i = 0; i < options.episodes; ++i) {
    results.push_back(run_evaluation_episode(
        policy, task, world, {seed, static_cast<std::uint64_t>(i), options.deterministic}));
    print_episode(results.size() - 1, results.back());
  }
  return results;
}

// The loop has a thread of its own; the caller's looks at keys and Ctrl-C, and tells.
std::vector<EpisodeResult> evaluate_on(RealTimeDevice& device, Policy& policy, const TaskInfo& task,
                                       std::uint64_t seed, const EvalOptions& options) {
  std::vector<EpisodeResult> results(static_cast<std::size_t>(options.episodes));
  std::atomic<std::size_t> done{0};
  std::atomic<bool> is_over{false};
  take_real_time_rights();
  device.link().start();
  std::thread loop([&] {
    const int ignored = become_realtime("instep-loop", kLoopPriority);
    static_cast<void>(ignored);
    std::uint64_t number = 0;
    while (done < results.size() && device.world().end() == RobotEnd::kNone) {
      const EpisodeResult result = run_evaluation_episode(policy, task, device.world(),
                                                          {seed, number++, options.deterministic});
      if (!result.is_cut) results[done++] = result;
    }
    device.world().stop();
    is_over = true;
  });
  const KeyWatch keys;
  const MonotonicClock clock;
  std::size_t told = 0;
  for (bool is_last = false; !is_last;) {
    sleep_until(clock.now_ns() + 50'000'000);
    is_last = is_over;  // asked before the last episodes are told
    keys.poll(device.signals());
    if (is_stop_requested()) device.signals().stop = true;
    for (; told < done; ++told) print_episode(told, results[told]);
  }
  loop.join();
  device.link().stop();
  const std::string trouble = trouble_text(device, device.world().end(), device.session());
  if (!trouble.empty()) throw IoError(trouble);
  results.resize(told);
  return results;
}

void print_results(const std::vector<EpisodeResult>& results, const RunConfig& config,
                   std::int64_t step, std::uint64_t seed, const EvalOptions& options) {
  const auto count = static_cast<double>(results.size());
  double sum = 0.0;
  for (const EpisodeResult& result : results) sum += result.episode_return;
  const double mean = sum / count;
  double sum_squares = 0.0;
  for (const EpisodeResult& result : results) {
    sum_squares += (result.episode_return - mean) * (result.episode_return - mean);
  }
  const double deviation = results.size() > 1 ? std::sqrt(sum_squares / (count - 1.0)) : 0.0;
  std::printf("step %lld of %s: ", static_cast<long long>(step), config.task.c_str());
  if (results.empty()) {
    std::printf("no whole episode\n");
  } else {
    std::printf("mean return %.3f, standard deviation %.3f over %zu episodes\n", mean, deviation,
                results.size());
  }
  if (!options.json) return;
  const nlohmann::json result = {
      {"task", config.task},
      {"step", step},
      {"episodes", results.size()},
      {"mean_return", results.empty() ? nlohmann::json(nullptr) : nlohmann::json(mean)},
      {"std_return", results.size() > 1 ? nlohmann::json(deviation) : nlohmann::json(nullptr)},
      {"seed", seed},
      {"deterministic", options.deterministic}};
  std::printf("%s\n", result.dump().c_str());
}

}  // namespace

EpisodeResult run_evaluation_episode(Policy& policy, const TaskInfo& task, Environment& world,
                                     const EvaluationEpisode& episode,
                                     const std::function<void()>& on_state) {
  std::vector<double> observation(static_cast<std::size_t>(task.observation_dim));
  float noise[kActionDimMax] = {};
  world.reset(evaluation_random(episode.seed, Stream::kTaskReset), episode.number,
              observation.data());
  EpisodeResult result;
  // Where no episode can begin any more there is nothing to be seen.
  result.is_cut = std::isnan(observation[0]);
  if (on_state) on_state();
  for (bool has_ended = result.is_cut; !has_ended; ++result.length) {
    if (!episode.deterministic) {
      const std::uint64_t step = (episode.number << 32) + static_cast<std::uint64_t>(result.length);
      evaluation_random(episode.seed, Stream::kExploration).normal(step, noise, task.action_dim);
    }
    const Outcome outcome = world.step(policy.act(observation.data(), noise), observation.data());
    result.episode_return += outcome.reward;
    result.terminated = outcome.terminated;
    result.is_cut = outcome.carries_no_step;
    if (on_state) on_state();
    has_ended = outcome.terminated || outcome.truncated || result.is_cut;
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
  const TaskInfo& task = session.task();
  const std::uint64_t seed = options.seed.value_or(config.seed);
  Policy policy(session.agent().learner(), *session.agent().config().executor);
  std::vector<EpisodeResult> results;
  if (options.device.empty()) {
    results = evaluate(policy, task, session.world(), seed, options);
  } else {
    // Whoever stops the robot finds this process by the port, so before it is open.
    install_stop_handler();
    const auto device = open_device(task, {.device = options.device});
    results = evaluate_on(*device, policy, task, seed, options);
  }
  print_results(results, config, checkpoint.step(), seed, options);
  return kDone;
}

}  // namespace instep

#include "tools/library/run/eval.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

#include "kernels/seal.h"
#include "runtime/clock.h"
#include "tools/library/error.h"
#include "tools/library/listen/service_notice.h"
#include "tools/library/listen/voice.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/hands.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

// The policy as an actor of run_episode().
auto actor_of(Policy& policy, const TaskInfo& task, std::uint64_t seed,
              const EvalOptions& options) {
  return [&policy, &options, seed, action_dim = task.action_dim](const double* observation,
                                                                 std::uint64_t step) {
    constexpr float kNoNoise[kActionDimMax] = {};
    return options.deterministic ? policy.act(observation, kNoNoise)
                                 : draw_action(policy, action_dim, seed, step, observation);
  };
}

std::vector<EpisodeResult> evaluate_in(Environment& world, Policy& policy, const TaskInfo& task,
                                       std::uint64_t seed, const EvalOptions& options,
                                       const EpisodeTold& told) {
  const auto actor = actor_of(policy, task, seed, options);
  std::vector<EpisodeResult> results;
  for (std::uint64_t number = 0;
       results.size() < static_cast<std::size_t>(options.episodes) && !is_asked(options.stop);) {
    const auto result = run_whole_episode(world, seed, number, actor);
    if (!result) throw IoError(cut_episodes_text());
    results.push_back(*result);
    if (told) told(results.size() - 1, results.back());
  }
  return results;
}

// The loop has a thread of its own; the caller's tells.
std::vector<EpisodeResult> evaluate_on(RealTimeDevice& device, Policy& policy, const TaskInfo& task,
                                       std::uint64_t seed, const EvalOptions& options,
                                       const EpisodeTold& told) {
  const auto actor = actor_of(policy, task, seed, options);
  std::vector<EpisodeResult> results(static_cast<std::size_t>(options.episodes));
  std::atomic<std::size_t> done{0};
  std::atomic<bool> is_over{false};
  bool has_given_up = false;
  std::atomic<int> loop_priority_error{kNotTriedYet};
  Voice voice(STDERR_FILENO);
  RightsTeller rights(voice);
  TroubleTeller trouble_teller(voice, device);
  ServiceNotice notice;
  Hands hands({device.signals(), device.link(), device.world(), voice, notice, options.device,
               options.stop});
  device.link().start();
  std::thread loop = start_thread("the control loop's thread", [&] {
    loop_priority_error = become_realtime("instep-loop", kLoopPriority);
    if (options.core >= 0) static_cast<void>(pin_to_core(options.core) == 0);
    const Seal seal;
    for (std::uint64_t number = 0; done < results.size() && !has_given_up;) {
      const auto result = run_whole_episode(device.world(), seed, number, actor);
      if (result) results[done++] = *result;
      has_given_up = !result;
    }
    device.world().stop();
    is_over = true;
    hands.loop_is_over();
  });
  const MonotonicClock clock;
  std::size_t told_count = 0;
  for (bool is_last = false; !is_last;) {
    sleep_until(clock.now_ns() + 50'000'000);
    is_last = is_over;  // asked before the last episodes are told
    rights.tell({device.link().priority_error(), hands.priority_error(), loop_priority_error});
    trouble_teller.tell();
    for (; told_count < done; ++told_count) {
      if (told) told(told_count, results[told_count]);
    }
  }
  loop.join();
  device.link().stop();
  const RobotEnd end = device.world().end();
  const std::string trouble = trouble_text(device, end, device.session());
  if (!trouble.empty()) throw IoError(trouble);
  if (has_given_up && end == RobotEnd::kNone) throw IoError(cut_episodes_text());
  results.resize(told_count);
  return results;
}

}  // namespace

Random evaluation_random(std::uint64_t seed, Stream stream) {
  return {seed, static_cast<std::uint32_t>(stream) + kEvaluationStreams};
}

const float* draw_action(Policy& policy, int action_dim, std::uint64_t seed, std::uint64_t step,
                         const double* observation) {
  float noise[kActionDimMax] = {};
  evaluation_random(seed, Stream::kExploration).normal(step, noise, action_dim);
  return policy.act(observation, noise);
}

std::string cut_episodes_text() {
  return std::to_string(kCutEpisodesMax) +
         " episodes in a row were cut, because the robot was held or lost: see that nothing holds "
         "it and that its cable sits (instep watch DEVICE shows what it says)";
}

std::optional<double> Evaluation::mean_return() const {
  if (episodes.empty()) return std::nullopt;
  double sum = 0.0;
  for (const EpisodeResult& result : episodes) sum += result.episode_return;
  return sum / static_cast<double>(episodes.size());
}

std::optional<double> Evaluation::standard_deviation() const {
  if (episodes.size() < 2) return std::nullopt;
  const double mean = *mean_return();
  double sum_squares = 0.0;
  for (const EpisodeResult& result : episodes) {
    sum_squares += (result.episode_return - mean) * (result.episode_return - mean);
  }
  return std::sqrt(sum_squares / (static_cast<double>(episodes.size()) - 1.0));
}

Evaluation evaluate(const EvalOptions& options, const EpisodeTold& told) {
  if (options.episodes < 1) throw UsageError("--episodes must be at least 1");
  if (options.core >= 0 && options.device.empty()) {
    throw UsageError("--core needs --device: it is for the loop that drives a robot");
  }
  require_core(options.core);
  require_run_folder(options.run);
  RunConfig config = read_config_toml(options.run + "/config.toml");
  // Another machine may lack the path the run was made with; evaluation claims no bits.
  if (!has_path(config.path, config.settings)) config.path.clear();
  const auto session = open_session(options.run, config);
  const TaskInfo& task = session->task();
  Evaluation result = {.task = config.task,
                       .step = session->loop().steps(),
                       .seed = options.seed.value_or(config.seed)};
  const auto policy = session->agent().make_policy(false);
  if (options.device.empty()) {
    result.episodes = evaluate_in(session->world(), *policy, task, result.seed, options, told);
    return result;
  }
  const auto device = open_device(task, {.device = options.device});
  result.episodes = evaluate_on(*device, *policy, task, result.seed, options, told);
  result.standing_trouble = device->standing_trouble();
  return result;
}

}  // namespace instep

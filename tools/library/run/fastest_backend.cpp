#include "tools/library/run/fastest_backend.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "runtime/clock.h"
#include "runtime/cuda/cuda_learner.h"
#include "runtime/cuda/libcuda.h"
#include "tools/library/measure/machine.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/child_runs.h"

namespace instep {
namespace {

constexpr std::size_t kWarmUp = 20;
constexpr std::size_t kUpdates = 200;
constexpr std::int64_t kMostNs = 2'000'000'000;  // a path that needs longer is not the fastest

// The median of a whole tick; nothing when the learner went on on the CPU, or was too slow.
std::optional<std::int64_t> measure_ns(const AlgorithmInfo& algorithm, const AgentConfig& config) {
  const std::uint64_t fallbacks = cuda_health().fallbacks;
  const MonotonicClock clock;
  const std::unique_ptr<Agent> agent = algorithm.make(config);
  const Random random{config.seed, static_cast<std::uint32_t>(Stream::kTaskEvents)};
  std::vector<double> observation(static_cast<std::size_t>(config.observation_dim));
  std::array<std::int64_t, kUpdates> times{};
  random.normal(0, observation.data(), config.observation_dim);
  agent->begin_episode(observation.data());
  agent->update();
  const std::int64_t start_ns = clock.now_ns();
  for (std::size_t i = 0; i < kWarmUp + kUpdates; ++i) {
    random.normal(i + 1, observation.data(), config.observation_dim);
    const std::int64_t begin_ns = clock.now_ns();
    agent->sense(observation.data(), 0.1, false, false);
    agent->update();
    const std::int64_t end_ns = clock.now_ns();
    if (i >= kWarmUp) times[i - kWarmUp] = end_ns - begin_ns;
    if (end_ns - start_ns > kMostNs || cuda_health().fallbacks != fallbacks) return std::nullopt;
  }
  std::nth_element(times.begin(), times.begin() + kUpdates / 2, times.end());
  return times[kUpdates / 2];
}

// " 12.3 us"
std::string time_text(std::int64_t time_ns) {
  char text[32];
  std::snprintf(text, sizeof text, " %.1f us", static_cast<double>(time_ns) * 1e-3);
  return text;
}

// For a process that ends with its answer. Says what it measured in `words`.
BackendChoice fastest_backend(const TaskInfo& task, const RunSettings& settings, Schedule schedule,
                              std::string& words) {
  const AlgorithmInfo& algorithm = *settings.algorithm;
  BackendChoice best = choose_backend("cpu", "", settings);
  std::string problem;
  const auto gpu = algorithm.paths("cuda", settings.arithmetic, problem);
  if (gpu.empty()) {
    if (!is_libcuda_absent() || !gpu_files("").empty()) {
      words = "backend auto: " + std::string(best.path) + "; the GPU cannot be used: " + problem;
    }
    return best;
  }
  // A learner that falls back says so, and what goes on on the CPU is the measurement only.
  static_cast<void>(std::freopen("/dev/null", "w", stderr));
  AgentConfig config;
  config.observation_dim = task.observation_dim;
  config.action_dim = task.action_dim;
  config.settings = settings.values;
  config.arithmetic = settings.arithmetic;
  config.schedule = schedule;
  config.path = best.path;
  std::optional<std::int64_t> best_ns = measure_ns(algorithm, config);
  words = "backend auto: " + std::string(best.path) + time_text(best_ns.value_or(kMostNs)) +
          " an update";
  for (const std::string_view path : gpu) {
    config.path = path;
    const std::optional<std::int64_t> time_ns = measure_ns(algorithm, config);
    if (!time_ns) {
      words += ", " + std::string(path) + " too slow or failing";
      continue;
    }
    words += ", " + std::string(path) + time_text(*time_ns);
    if (!best_ns || *time_ns < *best_ns) {
      best = {"cuda", path};
      best_ns = time_ns;
    }
  }
  words += "; taking " + std::string(best.path);
  return best;
}

}  // namespace

BackendNames find_backend(const BackendRequest& request, const TaskInfo& task,
                          const RunSettings& settings, Schedule schedule) {
  const std::string answer = answer_of_child([&] {
    BackendChoice choice = choose_backend(request.backend, request.path, settings);
    std::string words;
    if (request.measures && request.backend == "auto" && request.path.empty()) {
      choice = fastest_backend(task, settings, schedule, words);
    }
    return std::string(choice.backend) + ' ' + std::string(choice.path) + ' ' + words;
  });
  const std::size_t path = answer.find(' ') + 1;
  const std::size_t words = answer.find(' ', path) + 1;
  return {answer.substr(0, path - 1), answer.substr(path, words - 1 - path), answer.substr(words)};
}

}  // namespace instep

#include "tools/instep/eval.h"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "tools/instep/output.h"
#include "tools/instep/stop_signals.h"
#include "tools/library/error.h"
#include "tools/library/listen/voice.h"

namespace instep {
namespace {

std::string episode_text(std::size_t number, const EpisodeResult& result) {
  char text[128];
  std::snprintf(text, sizeof text, "episode %zu: return %.3f, %lld steps", number,
                result.episode_return, static_cast<long long>(result.length));
  return text;
}

nlohmann::json number_or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

void print(const Evaluation& result, const EvalOptions& options, bool json) {
  const auto wanted = static_cast<std::size_t>(options.episodes);
  const bool is_partial = result.episodes.size() < wanted;
  if (is_partial) std::printf("stopped: of %zu episodes these are the first\n", wanted);
  std::printf("step %lld of %s: ", static_cast<long long>(result.step), result.task.c_str());
  if (result.episodes.empty()) {
    std::printf("no whole episode\n");
  } else {
    std::printf("mean return %.3f, standard deviation %.3f over %zu episodes, %s\n",
                *result.mean_return(), result.standard_deviation().value_or(0.0),
                result.episodes.size(),
                options.deterministic ? "always the mean action" : "actions drawn as in training");
  }
  if (!json) return;
  print_json({{"task", result.task},
              {"step", result.step},
              {"episodes", result.episodes.size()},
              {"is_partial", is_partial},
              {"mean_return", number_or_null(result.mean_return())},
              {"std_return", number_or_null(result.standard_deviation())},
              {"seed", result.seed},
              {"deterministic", options.deterministic}});
}

// While a robot moves nobody waits for a terminal or a pipe.
Evaluation evaluate_robot(const EvalOptions& options) {
  std::optional<Voice> output;  // a thread, which comes after the guardian process
  const Evaluation result =
      evaluate(options, [&](std::size_t number, const EpisodeResult& episode) {
        if (!output) output.emplace(STDOUT_FILENO);
        output->say(episode_text(number, episode));
      });
  let_signals_end(result.standing_trouble.empty() ? kDone : kDeviceError);
  if (output) output->finish(is_asked(options.stop) ? Voice::kLastWordsNs : INT64_MAX);
  return result;
}

}  // namespace

int run_eval(const EvalOptions& given, bool json) {
  EvalOptions options = given;
  // Whoever stops a robot finds this process by the port, so before it is open.
  options.stop = &install_stop_handler();
  const Evaluation result =
      !options.device.empty()
          ? evaluate_robot(options)
          : evaluate(options, [](std::size_t number, const EpisodeResult& episode) {
              std::printf("%s\n", episode_text(number, episode).c_str());
              std::fflush(stdout);
            });
  print(result, options, json);
  if (!result.standing_trouble.empty()) throw IoError(result.standing_trouble);
  return kDone;
}

}  // namespace instep

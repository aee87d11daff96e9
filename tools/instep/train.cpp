#include "tools/instep/train.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tasks/registry.h"
#include "tools/instep/output.h"
#include "tools/instep/stop_signals.h"
#include "tools/instep/train_seeds.h"
#include "tools/instep/typed.h"
#include "tools/library/error.h"
#include "tools/library/listen/service_notice.h"
#include "tools/library/listen/summary.h"
#include "tools/library/listen/voice.h"
#include "tools/library/run/seeds.h"
#include "tools/library/run/session.h"

namespace instep {
std::string number_text(const std::optional<double>& value) {
  if (!value) return "none yet";
  char text[64];
  std::snprintf(text, sizeof text, "%.1f", *value);
  return text;
}

std::string shell_text(const std::vector<std::string>& words) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      text += word;
      continue;
    }
    text += '\'';
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += '\'';
  }
  return text;
}

namespace {

// Empty unless a robot was not learning when its run ended.
std::string ended_while_text(const RunSummary& summary) {
  if (!summary.real_time || !summary.real_time->ended_while) return "";
  return ", robot at the end: " + *summary.real_time->ended_while;
}

// What to type next.
void print_next(const RunSummary& summary, const TrainCommand& options) {
  const std::string program = options.words.empty() ? "instep" : options.words.front();
  if (summary.ended == "interrupted") {
    std::vector<std::string> words = {program, "train", "--resume", summary.out};
    if (options.is_real) {
      words.insert(words.end(), {"--time", "real", "--device", options.device});
    }
    std::printf("go on with: %s\n", shell_text(words).c_str());
  } else if (summary.ended == "done") {
    std::printf("next: %s\n", shell_text({program, "eval", summary.out}).c_str());
  }
}

void print_summary(const RunSummary& summary, const TrainCommand& options) {
  char speed[64] = "";
  if (summary.steps_per_second > 0.0) {
    std::snprintf(speed, sizeof speed, "%.0f steps/s, ", summary.steps_per_second);
  }
  std::printf("%s after %lld steps, %lld episodes, %smean return of the last eighth: %s%s\n",
              summary.ended.c_str(), static_cast<long long>(summary.steps),
              static_cast<long long>(summary.episodes), speed,
              number_text(summary.mean_return_last_eighth).c_str(),
              ended_while_text(summary).c_str());
  for (const std::string& warning : warning_texts(summary)) {
    std::printf("warning: %s; docs/reading_the_plots.md and the report say more\n",
                warning.c_str());
  }
  for (const std::string& loss : summary.losses) {
    std::printf("not exactly the algorithm: %s\n", loss.c_str());
  }
  bool has_report = true;
  for (const std::string& file : summary.left_out) {
    has_report = has_report && file != "report.html";
    std::printf("left out, as it could not be written to its end: %s\n", file.c_str());
  }
  if (has_report) std::printf("report: %s/report.html\n", summary.out.c_str());
  print_next(summary, options);
  if (options.json) print_json(short_summary(summary));
}

// A robot's run takes as long as its world does.
void print_duration(const RunConfig& config, const TrainCommand& options) {
  const std::int64_t made =
      options.resume.empty() ? 0 : checkpoint_step(options.resume + "/checkpoint").value_or(0);
  const TaskInfo& task = require_task(config.task);
  const auto steps = static_cast<double>(std::max<std::int64_t>(0, config.steps - made));
  const double seconds = steps * task.period_s;
  const bool is_long = seconds >= 120.0;
  char text[256];
  std::snprintf(text, sizeof text,
                "%.0f steps of %.0f ms take %.0f %s; homing before each episode comes on top, and "
                "the time left that is shown from then on has it in",
                steps, task.period_s * 1e3, is_long ? seconds / 60.0 : seconds,
                is_long ? "min" : "s");
  Voice(STDOUT_FILENO).say(text);  // for a second at most: output that nobody takes stops no run
}

TrainTold told_of(const TrainCommand& options) {
  return {.warning =
              [](const std::string& text) {
                std::fprintf(stderr, "instep: warning: %s\n", text.c_str());
              },
          .word = [](const std::string& text) { std::printf("%s\n", text.c_str()); },
          .begins =
              [&options](const RunConfig& config) {
                if (options.is_real) print_duration(config, options);
              }};
}

}  // namespace

int run_train(const TrainCommand& given) {
  TrainCommand options = given;
  options.command = shell_text(options.words);
  options.is_real = options.time == "real";
  options.is_phase_locked = options.phase == "locked";
  if (!options.seed_words.empty()) options.seeds = parse_seeds(options.seed_words);
  require_possible(options);
  // Whoever stops the robot finds this process by the port, so before it is open.
  options.stop = &install_stop_handler();
  // A driver may compile the kernels for minutes before the first step.
  ServiceNotice().extend_start(600'000'000'000);
  const bool is_seeds = !options.resume.empty() && is_seeds_folder(options.resume);
  if (options.seeds || is_seeds) return run_train_seeds(options, told_of(options));
  const Trained trained = train(options, told_of(options));
  const int code = trained.was_finished ? kDone : exit_code(trained.summary);
  let_signals_end(code);
  if (trained.was_finished) {
    std::printf("already finished (%lld steps); pass a larger --steps to go on\n",
                static_cast<long long>(trained.summary.steps));
  }
  print_summary(trained.summary, options);
  return code;
}

}  // namespace instep

#include "tools/instep/train.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "drivers/registry.h"
#include "tasks/registry.h"
#include "tools/instep/train_seeds.h"
#include "tools/library/error.h"
#include "tools/library/listen/service_notice.h"
#include "tools/library/listen/summary.h"
#include "tools/library/listen/voice.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
#include "tools/library/output.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/adaptation.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/fastest_backend.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/seeds.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

// ---------------------------------------------------------------------------------------------------
// From options to a configuration

// Ten seconds, and a minute on a card that they wear out.
std::int64_t steps_between_robot_checkpoints(const TrainOptions& options, const TaskInfo& task) {
  const double apart_s = is_on_flash_card(options.out.empty() ? "runs" : options.out) ? 60.0 : 10.0;
  return std::max<std::int64_t>(1, std::llround(apart_s / task.period_s));
}

}  // namespace

// Later ones override earlier ones.
RunConfig new_config(const TrainOptions& options) {
  RunConfig config;
  config.steps = -1;                     // not said yet
  config.settings.checkpoint_every = 0;  // the same
  config.schedule = Schedule::kThroughput;
  if (!options.config_file.empty()) apply_run_table(config, options.config_file);
  if (!options.task.empty() && !config.task.empty() && options.task != config.task) {
    if (!options.allow_other_task) {
      throw UsageError("--config " + options.config_file + ": was written for task " + config.task +
                       ", not " + options.task +
                       "; add --allow-other-task to take its settings all the same");
    }
    std::fprintf(stderr, "instep: warning: %s was written for task %s\n",
                 options.config_file.c_str(), config.task.c_str());
  }
  if (!options.task.empty()) config.task = options.task;
  if (config.task.empty()) {
    throw UsageError("train needs a task (`instep tasks` lists them) or --resume RUN");
  }
  const TaskInfo& task = require_task(config.task);
  if (!options.algorithm.empty()) config.settings.choose(*find_algorithm(options.algorithm));
  apply_task_defaults(config.settings, task);
  if (!options.config_file.empty()) apply_learner_table(config.settings, options.config_file);
  apply_set_options(config.settings, options.set);
  if (config.steps < 0) config.steps = task.default_steps;
  config.steps = options.steps.value_or(config.steps);
  if (config.settings.checkpoint_every == 0) {
    config.settings.checkpoint_every = options.time == "real"
                                           ? steps_between_robot_checkpoints(options, task)
                                           : RunSettings().checkpoint_every;
  }
  if (!options.change.empty()) {
    if (options.time == "real") throw UsageError("--change: only simulated worlds can be changed");
    const WorldChange change = parse_change(options.change);
    check_change(change, task);
    if (change.step >= config.steps) {
      throw UsageError("--change: at=" + std::to_string(change.step) + " is not within the run's " +
                       std::to_string(config.steps) + " steps");
    }
  }
  config.seed = options.seed.value_or(config.seed);
  config.schedule = options.schedule.value_or(config.schedule);
  const BackendNames names = find_backend(
      {.backend = options.backend, .path = options.path, .measures = options.time != "real"}, task,
      config.settings, config.schedule);
  config.backend = names.backend;
  config.path = names.path;
  return config;
}

void refuse_new_settings(const TrainOptions& options) {
  if (!options.set.empty() || !options.config_file.empty() || !options.algorithm.empty() ||
      options.seed || !options.out.empty() || !options.init.empty() || !options.change.empty()) {
    throw UsageError(
        "--resume goes on with what the run was started with: leave out --set, --config, --algo, "
        "--seed, --change, --init and --out");
  }
}

RunConfig resumed_config(const TrainOptions& options) {
  refuse_new_settings(options);
  require_run_folder(options.resume);
  if (is_kept_copy(options.resume)) {
    throw UsageError("--resume " + options.resume +
                     ": is what a run has kept, and no run; go on with that run, or start a new "
                     "one with --init " +
                     options.resume);
  }
  RunConfig config = read_config_toml(options.resume + "/config.toml");
  if (!options.task.empty() && options.task != config.task) {
    throw UsageError("--resume " + options.resume + ": is a run of task " + config.task + ", not " +
                     options.task);
  }
  if (options.steps) config.steps = *options.steps;
  const RunSettings& settings = config.settings;
  const Schedule schedule = options.schedule.value_or(config.schedule);
  const bool is_chosen = options.backend != "auto" || !options.path.empty();
  const bool is_here = has_path(config.path, settings);
  BackendChoice choice = choose_backend("auto", is_here ? config.path : "", settings);
  if (is_chosen) choice = choose_backend(options.backend, options.path, settings);
  const bool has_same_bits =
      choice.path == config.path || (settings.arithmetic == Arithmetic::kPortable &&
                                     config.backend == "cpu" && choice.backend == "cpu");
  const bool is_same = schedule == config.schedule && has_same_bits;
  if (!is_same && !options.allow_different_arithmetic) {
    throw UsageError("--resume " + options.resume + ": the run was made with path " + config.path +
                     " and schedule " + std::string(schedule_name(config.schedule)) +
                     (is_here ? "" : ", which this machine lacks") +
                     "; add --allow-different-arithmetic to go on with another one");
  }
  config.schedule = schedule;
  config.backend = choice.backend;
  config.path = choice.path;
  return config;
}

namespace {

// On a robot something moves meanwhile: the action comes first.
void prepare_for_robot(const TrainOptions& options, RunConfig& config) {
  if (config.schedule == Schedule::kThroughput && (options.schedule || !options.resume.empty())) {
    throw UsageError("--schedule throughput is for simulated time; a robot acts first");
  }
  const AlgorithmInfo& algorithm = *config.settings.algorithm;
  if (!algorithm.can_learn_apart) {
    throw UsageError("--time real: " + std::string(algorithm.name) +
                     " cannot learn apart from the loop" + std::string(algorithm.why_not_apart) +
                     "; leave out --algo, or learn on simulated time");
  }
  config.schedule = Schedule::kActFirst;
}

// ---------------------------------------------------------------------------------------------------
// What is printed

}  // namespace

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
void print_next(const RunSummary& summary, const TrainOptions& options) {
  const std::string program = options.words.empty() ? "instep" : options.words.front();
  if (summary.ended == "interrupted") {
    std::vector<std::string> words = {program, "train", "--resume", summary.out};
    if (options.time == "real") {
      words.insert(words.end(), {"--time", "real", "--device", options.device});
    }
    std::printf("go on with: %s\n", shell_text(words).c_str());
  } else if (summary.ended == "done") {
    std::printf("next: %s\n", shell_text({program, "eval", summary.out}).c_str());
  }
}

void print_summary(const RunSummary& summary, const TrainOptions& options) {
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
    std::printf("warning: %s; docs/reading_the_plots.md says more\n", warning.c_str());
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

}  // namespace

int exit_code(const RunSummary& summary) {
  if (summary.real_time && !summary.real_time->stood.value_or(true)) return kDeviceError;
  if (summary.ended != "faulted") return kDone;
  return summary.real_time && summary.real_time->trouble ? kDeviceError : kCheckFailed;
}

namespace {

// A robot's run takes as long as its world does.
void print_duration(const RunConfig& config, const TrainOptions& options) {
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

// Whether nothing is left to do, and the run's own summary and report tell of its end. Then they
// stand as they are: to write them anew would leave out how fast the run was.
bool is_finished(const RunConfig& config, const TrainOptions& options) {
  RunRecord record;
  try {
    record = read_run_record(options.resume);
  } catch (const CommandError&) {
    return false;  // what is wrong with the run, resuming it says
  }
  const bool is_told =
      record.summary && record.summary->ended == "done" && record.summary->steps == config.steps &&
      record.episodes.size() == static_cast<std::uint64_t>(record.summary->episodes) &&
      std::filesystem::exists(options.resume + "/report.html");
  const std::string path = options.resume + "/checkpoint";
  if (!is_told || checkpoint_step(path) != config.steps) return false;
  CheckpointFile checkpoint(config.settings.checkpoint_every);
  open_checkpoint(checkpoint, options.resume, false);
  require_same_run(checkpoint, path, config);
  std::printf("already finished (%lld steps); pass a larger --steps to go on\n",
              static_cast<long long>(config.steps));
  record.summary->out = options.resume;  // where it is now
  print_summary(*record.summary, options);
  return true;
}

// What names the robot of that task; empty where it comes from a run's folder.
std::string device_wanted(const std::string& task_name) {
  const TaskInfo* const task = find_task(task_name);
  if (task == nullptr || task->make_robot == nullptr) {
    return "the port or address of the robot (as /dev/ttyUSB0 or 192.168.1.10)";
  }
  return std::string(find_driver(task->driver)->channels[0].transport->what);
}

}  // namespace

int run_train(const TrainOptions& options) {
  const bool is_real = options.time == "real";
  if (is_real && options.device.empty()) {
    throw UsageError("--time real needs --device, " + device_wanted(options.task));
  }
  if (!is_real && !options.device.empty()) {
    throw UsageError("--device " + options.device +
                     " needs --time real; simulated time has no device");
  }
  if (!is_real && (options.is_dry_run || options.has_record || options.phase != "locked" ||
                   options.core >= 0)) {
    throw UsageError("--dry-run, --record, --phase and --core need --time real and --device PATH");
  }
  require_core(options.core);
  if (is_real && !options.seeds.empty()) {
    throw UsageError("--seeds runs several at once, and there is one robot: use --seed");
  }
  const bool is_resumed = !options.resume.empty();
  const bool is_seeds = is_resumed && is_seeds_folder(options.resume);
  if (options.jobs && options.seeds.empty() && !is_seeds) {
    throw UsageError("--jobs requires --seeds, or --resume of a folder of several seeds");
  }
  if (is_seeds && is_real) throw UsageError("--resume of several seeds is for simulated time");
  // Whoever stops the robot finds this process by the port, so before it is open.
  install_stop_handler();
  // A driver may compile the kernels for minutes before the first step.
  ServiceNotice().extend_start(600'000'000'000);
  if (!options.seeds.empty()) return train_seeds(options);
  if (is_seeds) return resume_seeds(options);
  std::optional<RunFolder> folder;
  if (is_resumed) folder = take_run_folder(options.resume);  // before it is judged by what it holds
  RunConfig config = is_resumed ? resumed_config(options) : new_config(options);
  if (is_real) prepare_for_robot(options, config);
  if (is_resumed && is_finished(config, options)) return kDone;
  if (is_resumed) require_own_files(options.resume);
  std::unique_ptr<RealTimeDevice> device;
  if (is_real) {
    device = open_device(require_task(config.task), {.device = options.device,
                                                     .is_dry_run = options.is_dry_run,
                                                     .has_record = options.has_record,
                                                     .is_phase_locked = options.phase == "locked",
                                                     .core = options.core});
  }
  if (is_real) print_duration(config, options);
  if (!options.init.empty()) open_init(options.init, config);
  if (!folder) folder = make_run_folder(options.out, config);
  const RunSummary summary = TrainingRun(config, folder->path,
                                         {.is_resumed = is_resumed,
                                          .change = options.change,
                                          .init = options.init,
                                          .device = device.get(),
                                          .command = shell_text(options.words)})
                                 .run();
  device.reset();
  let_signals_end(exit_code(summary));
  print_summary(summary, options);
  return exit_code(summary);
}

}  // namespace instep

#include "tools/library/run/train.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "drivers/registry.h"
#include "tasks/registry.h"
#include "tools/library/error.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
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

// Ten seconds, and a minute on a card that they wear out.
std::int64_t steps_between_robot_checkpoints(const TrainOptions& options, const TaskInfo& task) {
  const double apart_s = is_on_flash_card(options.out.empty() ? "runs" : options.out) ? 60.0 : 10.0;
  return std::max<std::int64_t>(1, std::llround(apart_s / task.period_s));
}

}  // namespace

// Later ones override earlier ones.
RunConfig new_config(const TrainOptions& options, const TrainTold& told) {
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
    if (told.warning) {
      told.warning(options.config_file + " was written for task " + config.task);
    }
  }
  if (!options.task.empty()) config.task = options.task;
  if (config.task.empty()) {
    throw UsageError("train needs a task (`instep tasks` lists them) or --resume RUN");
  }
  const TaskInfo& task = require_task(config.task);
  if (!options.algorithm.empty()) {
    const AlgorithmInfo* const algorithm = find_algorithm(options.algorithm);
    if (algorithm == nullptr) {
      throw UsageError("there is no algorithm '" + printable(options.algorithm) + "', but " +
                       algorithm_names());
    }
    config.settings.choose(*algorithm);
  }
  apply_task_defaults(config.settings, task);
  if (!options.config_file.empty()) apply_learner_table(config.settings, options.config_file);
  apply_set_options(config.settings, options.set);
  if (config.steps < 0) config.steps = task.default_steps;
  config.steps = options.steps.value_or(config.steps);
  if (config.settings.checkpoint_every == 0) {
    config.settings.checkpoint_every = options.is_real
                                           ? steps_between_robot_checkpoints(options, task)
                                           : RunSettings().checkpoint_every;
  }
  if (!options.change.empty()) {
    if (options.is_real) throw UsageError("--change: only simulated worlds can be changed");
    const WorldChange change = parse_change(options.change);
    check_change(change, task);
    if (change.step >= config.steps) {
      throw UsageError("--change: at=" + std::to_string(change.step) + " is not within the run's " +
                       std::to_string(config.steps) + " steps");
    }
  }
  config.seed = options.seed.value_or(config.seed);
  config.schedule = options.schedule.value_or(config.schedule);
  const BackendNames names =
      find_backend({.backend = options.backend, .path = options.path, .measures = !options.is_real},
                   task, config.settings, config.schedule);
  if (told.word && !names.measured.empty()) told.word(names.measured);
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

// Whether nothing is left to do, and the run's own summary and report tell of its end. Then they
// stand as they are: to write them anew would leave out how fast the run was.
std::optional<RunSummary> finished_run(const RunConfig& config, const TrainOptions& options) {
  RunRecord record;
  try {
    record = read_run_record(options.resume);
  } catch (const CommandError&) {
    return std::nullopt;  // what is wrong with the run, resuming it says
  }
  const bool is_told =
      record.summary && record.summary->ended == "done" && record.summary->steps == config.steps &&
      record.episodes.size() == static_cast<std::uint64_t>(record.summary->episodes) &&
      std::filesystem::exists(options.resume + "/report.html");
  const std::string path = options.resume + "/checkpoint";
  if (!is_told || checkpoint_step(path) != config.steps) return std::nullopt;
  CheckpointFile checkpoint(config.settings.checkpoint_every);
  open_checkpoint(checkpoint, options.resume, false);
  require_same_run(checkpoint, path, config);
  record.summary->out = options.resume;  // where it is now
  return record.summary;
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

int exit_code(const RunSummary& summary) {
  if (summary.real_time && !summary.real_time->stood.value_or(true)) return kDeviceError;
  if (summary.ended != "faulted") return kDone;
  return summary.real_time && summary.real_time->trouble ? kDeviceError : kCheckFailed;
}

void require_possible(const TrainOptions& options) {
  if (options.is_real && options.device.empty()) {
    throw UsageError("--time real needs --device, " + device_wanted(options.task));
  }
  if (!options.is_real && !options.device.empty()) {
    throw UsageError("--device " + options.device +
                     " needs --time real; simulated time has no device");
  }
  if (!options.is_real &&
      (options.is_dry_run || options.has_record || !options.is_phase_locked || options.core >= 0)) {
    throw UsageError("--dry-run, --record, --phase and --core need --time real and --device PATH");
  }
  require_core(options.core);
  if (options.is_real && options.seeds) {
    throw UsageError("--seeds runs several at once, and there is one robot: use --seed");
  }
  if (options.steps.value_or(1) < 1) throw UsageError("--steps must be at least 1");
  if (options.jobs.value_or(1) < 1) throw UsageError("--jobs must be at least 1");
  const bool is_seeds = !options.resume.empty() && is_seeds_folder(options.resume);
  if (options.jobs && !options.seeds && !is_seeds) {
    throw UsageError("--jobs requires --seeds, or --resume of a folder of several seeds");
  }
  if (is_seeds && options.is_real) {
    throw UsageError("--resume of several seeds is for simulated time");
  }
}

Trained train(const TrainOptions& options, const TrainTold& told) {
  require_possible(options);
  const bool is_resumed = !options.resume.empty();
  if (options.seeds || (is_resumed && is_seeds_folder(options.resume))) {
    throw UsageError("several seeds are runs of their own: train_seeds(), or resume_seeds()");
  }
  std::optional<RunFolder> folder;
  if (is_resumed) folder = take_run_folder(options.resume);  // before it is judged by what it holds
  RunConfig config = is_resumed ? resumed_config(options) : new_config(options, told);
  if (options.is_real) prepare_for_robot(options, config);
  if (is_resumed) {
    if (auto summary = finished_run(config, options)) return {*std::move(summary), true};
    require_own_files(options.resume);
  }
  std::unique_ptr<RealTimeDevice> device;
  if (options.is_real) {
    device = open_device(require_task(config.task), {.device = options.device,
                                                     .is_dry_run = options.is_dry_run,
                                                     .has_record = options.has_record,
                                                     .is_phase_locked = options.is_phase_locked,
                                                     .core = options.core});
  }
  if (told.begins) told.begins(config);
  if (!options.init.empty()) open_init(options.init, config);
  if (!folder) folder = make_run_folder(options.out, config);
  TrainingRun run(config, folder->path,
                  {.is_resumed = is_resumed,
                   .change = options.change,
                   .init = options.init,
                   .device = device.get(),
                   .command = options.command,
                   .stop = options.stop});
  return {run.run(), false};
}

}  // namespace instep

#include "tools/instep/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "drivers/registry.h"
#include "runtime/setting.h"
#include "tasks/registry.h"
#include "tools/instep/check_commands.h"
#include "tools/instep/eval.h"
#include "tools/instep/find_run.h"
#include "tools/instep/help.h"
#include "tools/instep/measure_commands.h"
#include "tools/instep/output.h"
#include "tools/instep/robot_commands.h"
#include "tools/instep/sim.h"
#include "tools/instep/study.h"
#include "tools/instep/train.h"
#include "tools/instep/typed.h"
#include "tools/library/error.h"
#include "tools/library/listen/voice.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

const std::map<std::string, Schedule> kSchedules = {{"act_first", Schedule::kActFirst},
                                                    {"throughput", Schedule::kThroughput}};

constexpr std::int64_t kStepsMax = std::int64_t{1} << 52;

// ------------------------------------------------------------------------------------------------
// Kinds of options. Each says what it accepts and what it is when it is not given.

// A whole number of `least` to `most`, as people write one.
CLI::Option* is_count(CLI::Option* option, std::int64_t least, std::int64_t most,
                      const std::string& standard) {
  const auto digits = [](std::string text) {
    const auto number = whole_number(text);
    return number ? std::to_string(*number) : text;
  };
  const auto check = [=](const std::string& text) -> std::string {
    const auto number = whole_number(text);
    if (number && *number >= least && *number <= most) return "";
    return "must be a whole number of " + std::to_string(least) + " to " + std::to_string(most) +
           ", not " + printable(text);
  };
  return option->check(check)->transform(digits)->type_name("N")->default_str(standard);
}

// CLI11 itself takes -1 for the largest of all seeds.
CLI::Option* is_seed(CLI::Option* option, const std::string& standard) {
  const auto digits = [](std::string text) {
    const auto number = whole_number(text);
    return number && *number >= 0 ? std::to_string(*number) : text;
  };
  const auto check = [](const std::string& text) -> std::string {
    std::uint64_t seed = 0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, seed);
    if (error == std::errc() && at == end) return "";
    return "must be a whole number of 0 to 18446744073709551615, not " + printable(text) +
           (text.find_first_of(".,-") > 0 && text.find_first_of(".,-") != std::string::npos
                ? "; several seeds are --seeds"
                : "");
  };
  return option->check(check)->transform(digits)->type_name("N")->default_str(standard);
}

// A number with a decimal point, of `least` to `most`.
CLI::Option* is_real(CLI::Option* option, double least, double most, const std::string& standard) {
  const auto check = [=](const std::string& text) -> std::string {
    double number = 0.0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc() && at == end && number >= least && number <= most) return "";
    char bounds[64];
    std::snprintf(bounds, sizeof bounds, "must be a number of %g to %g, not ", least, most);
    return bounds + printable(text);
  };
  return option->check(check)->type_name("X")->default_str(standard);
}

// One of some words.
CLI::Option* is_one_of(CLI::Option* option, const std::vector<std::string>& words,
                       const std::string& standard) {
  const auto check = [words](const std::string& text) -> std::string {
    if (std::find(words.begin(), words.end(), text) != words.end()) return "";
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
    return "must be one of " + all + ", not " + printable(text);
  };
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : "|") + word;
  return option->check(check)->type_name(all)->default_str(standard);
}

CLI::Option* is_text(CLI::Option* option, const char* kind, const std::string& standard) {
  return option->type_name(kind)->default_str(standard);
}

// An empty word, as an unset shell variable leaves it, would be taken for an option not given.
void refuse_empty_values(CLI::App& app) {
  const auto is_given = [](const std::string& text) {
    return std::string(text.empty() ? "must not be empty" : "");
  };
  for (CLI::Option* option : app.get_options()) {
    if (option->get_items_expected_max() > 0) option->check(is_given);
  }
  for (CLI::App* command : app.get_subcommands(nullptr)) refuse_empty_values(*command);
}

// ------------------------------------------------------------------------------------------------
// Options that several commands share

void add_schedule(CLI::App* command, std::optional<Schedule>& schedule,
                  const std::string& standard) {
  is_one_of(
      command->add_option_function<std::string>(
          "--schedule", [&schedule](const std::string& name) { schedule = kSchedules.at(name); },
          "the same bits in another order of work"),
      {"act_first", "throughput"}, standard);
}

CLI::Option* add_core(CLI::App* command, int& core, const std::string& when) {
  return is_count(
      command->add_option("--core", core,
                          when + ": the processor core that the control loop stays on, as "
                                 "one that isolcpus= keeps free, 0 to 1023"),
      0, 1023, "any");
}

void add_backend(CLI::App* command, std::string& backend, std::string& path) {
  is_one_of(command->add_option("--backend", backend, "what computes"),
            {"auto", "cpu", "cuda", "cuda-emulated"}, "auto");
  is_text(command->add_option("--path", path,
                              "instruction set of the CPU, or team of a GPU's blocks; `instep "
                              "info` lists them"),
          "NAME", "the fastest here");
}

void add_algorithm(CLI::App* command, std::string& algorithm) {
  std::vector<std::string> names;
  for (const AlgorithmInfo* info : all_algorithms()) names.emplace_back(info->name);
  is_one_of(command->add_option("--algo", algorithm, "the learner"), names, names.front());
}

void add_set(CLI::App* command, std::vector<std::string>& set) {
  is_text(command
              ->add_option("--set", set,
                           "settings, as in --set hidden=64 actor_lr=1e-3; `instep settings` "
                           "lists them")
              ->allow_extra_args(false),
          "KEY=VALUE", "the task's");
}

CLI::Option* add_json(CLI::App* command, bool& json) {
  return command->add_flag("--json", json,
                           "print one JSON object, alone, on standard output; words go to stderr "
                           "(default: off)");
}

void add_examples(CLI::App* command, const std::string& first, const std::string& second) {
  command->footer("Examples:\n  instep " + first + "\n  instep " + second);
}

// Names of runs become their folders before anything is done.
void name_runs(std::vector<std::string>& runs, bool may_be_seeds) {
  for (std::string& run : runs) run = may_be_seeds ? find_run_or_seeds(run) : find_run(run);
}

constexpr const char* kRunHelp =
    "the run's folder, a file in it, or a folder above it (the newest run inside)";

// ------------------------------------------------------------------------------------------------
// The commands

void add_train_on_robot(CLI::App* command, TrainCommand& options) {
  is_one_of(command->add_option("--time", options.time, "sim: simulated time; real: a robot"),
            {"sim", "real"}, "sim");
  is_text(command->add_option("--device", options.device,
                              "a robot's port or address (with --time real)"),
          "DEVICE", "none");
  command->add_flag("--dry-run", options.is_dry_run,
                    "with --time real: run the policy, but send the robot no motion command "
                    "(default: off)");
  command->add_flag("--record", options.has_record,
                    "with --time real: keep every tick, for `instep replay` (default: off)");
  is_one_of(command->add_option("--phase", options.phase,
                                "with --time real: locked to the device's packets, or free"),
            {"locked", "free"}, "locked");
  add_core(command, options.core, "with --time real");
}

void add_train(CLI::App& app, TrainCommand& options, Action& action) {
  CLI::App* command = app.add_subcommand("train", "Learn a task, or go on learning");
  is_text(command->add_option("TASK", options.task, "what to learn (`instep tasks` lists them)"),
          "TASK", "that of --config or --resume");
  is_count(command->add_option("--steps", options.steps,
                               "control steps in all, 1 or more, as 100000, 1e5 or 100k"),
           1, kStepsMax, "the task's, see `instep tasks`");
  is_seed(command->add_option("--seed", options.seed, "seed of every random draw, from 0 on"), "0");
  is_text(command->add_option("--seeds", options.seed_words,
                              "several runs: 0..4, 0-4, or 0,1,2; 5 is 0..4"),
          "SEEDS", "one run, of --seed");
  is_count(
      command->add_option("--jobs", options.jobs, "runs at a time, of several seeds, 1 to 1024"), 1,
      1024, "1");
  add_algorithm(command, options.algorithm);
  add_backend(command, options.backend, options.path);
  add_schedule(command, options.schedule, "throughput; with --time real act_first");
  add_train_on_robot(command, options);
  is_text(command->add_option(
              "--config", options.config_file,
              "TOML file like the config.toml of a run: tables [run], [learner] and [avg], or "
              "whichever learner it is"),
          "FILE", "none");
  command->add_flag("--allow-other-task", options.allow_other_task,
                    "take --config though it was written for another task (default: off)");
  add_set(command, options.set);
  is_text(command->add_option("--out", options.out, "folder of the run"), "DIR",
          "runs/TASK/TIME-sSEED");
  is_text(command->add_option("--resume", options.resume,
                              "go on with the run, or the several seeds, in this folder"),
          "RUN", "a new run");
  is_text(command->add_option("--change", options.change,
                              "what happens to the world on the way, as in 'at=100000 "
                              "left_wheel=0.6'; `instep settings TASK` lists what can"),
          "CHANGE", "none");
  is_text(command->add_option("--init", options.init,
                              "start from the weights and normaliser of this run"),
          "RUN", "weights drawn from the seed");
  command->add_flag("--allow-different-arithmetic", options.allow_different_arithmetic,
                    "resume with another path or schedule than the run's own (default: off)");
  add_json(command, options.json);
  add_examples(command, "train half_cheetah --steps 200k --seed 1",
               "train hopper --steps 100k --set actor_lr=1e-4 hidden=128 --seeds 0..4 --jobs 2");
  command->callback([&] {
    action = [&] {
      if (!options.resume.empty()) options.resume = find_run_or_seeds(options.resume);
      if (!options.init.empty()) options.init = find_run(options.init);
      return run_train(options);
    };
  });
}

void add_eval(CLI::App& app, EvalOptions& options, bool& json, Action& action) {
  CLI::App* command = app.add_subcommand("eval", "Run a trained policy without learning");
  is_text(command->add_option("RUN", options.run, kRunHelp)->required(), "RUN", "");
  is_count(command->add_option("--episodes", options.episodes, "how many, 1 to 1000000"), 1,
           1'000'000, "10");
  is_seed(command->add_option("--seed", options.seed, "seed of the episodes, from 0 on"),
          "the run's");
  command->add_flag("--deterministic", options.deterministic,
                    "the mean action instead of a draw (default: off)");
  is_text(command->add_option("--device", options.device, "a robot's port: episodes on that robot"),
          "DEVICE", "simulated time");
  add_core(command, options.core, "with --device");
  add_json(command, json);
  add_examples(command, "eval runs/half_cheetah --episodes 20", "eval RUN/best --deterministic");
  command->callback([&] {
    action = [&] {
      options.run = find_run(options.run);
      return run_eval(options, json);
    };
  });
}

void add_verify(CLI::App& app, VerifyOptions& options, std::string& arithmetic, bool& json,
                Action& action) {
  CLI::App* command = app.add_subcommand("verify", "Compare learner and tasks with golden files");
  is_text(
      command->add_option("FILE", options.files, "safetensors files of either kind")->required(),
      "FILE", "");
  add_backend(command, options.backend, options.path);
  is_one_of(command->add_option("--arithmetic", arithmetic, "of the CPU"), {"fast", "portable"},
            "fast");
  add_schedule(command, options.schedule, "both");
  add_json(command, json);
  add_examples(command, "verify tests/golden/*/*.safetensors",
               "verify tests/golden/avg/*.safetensors --arithmetic portable");
  command->callback([&] {
    action = [&] {
      if (arithmetic == "portable") options.arithmetic = Arithmetic::kPortable;
      return run_verify(options, json);
    };
  });
}

void add_profile(CLI::App& app, ProfileOptions& options, bool& json, Action& action) {
  CLI::App* command =
      app.add_subcommand("profile", "Measure the latency of every phase of an update");
  is_text(command
              ->add_option("TASK", options.task,
                           "a task, or a run whose task and settings are measured")
              ->required(),
          "TASK", "");
  is_count(command->add_option("--updates", options.updates, "how many, 1 to 1000000000"), 1,
           1'000'000'000, "20000");
  is_seed(command->add_option("--seed", options.seed, "seed of every random draw, from 0 on"), "0");
  add_backend(command, options.backend, options.path);
  add_schedule(command, options.schedule, "act_first");
  add_set(command, options.set);
  add_json(command, json);
  CLI::Option* agents = is_count(
      command->add_option("--agents", options.agents,
                          "agents that share a GPU, 1 to 1024: one step of all beside one of one"),
      1, 1024, "none: one agent's ticks");
  CLI::Option* rate =
      is_real(command->add_option("--rate", options.rate_hz,
                                  "ticks a second, 1 to 10000: also measure the whole path on real "
                                  "time, with a device behind a pseudo-terminal"),
              1.0, 10'000.0, "as fast as it goes")
          ->excludes(agents);
  is_real(command->add_option("--seconds", options.seconds, "how long, with --rate, 1 to 1000000"),
          1.0, 1e6, "10")
      ->needs(rate);
  add_core(command, options.core, "with --rate")->needs(rate);
  add_examples(command, "profile humanoid", "profile create_mover --rate 67 --seconds 60");
  command->callback([&] { action = [&] { return run_profile(options, json); }; });
}

void add_device(CLI::App* command, RobotOptions& options) {
  std::string help = "its port or address";
  for (const DriverInfo* driver : all_drivers()) {
    help +=
        "; " + std::string(driver->name) + ": " + std::string(driver->channels[0].transport->what);
  }
  is_text(command->add_option("DEVICE", options.device, help)->required(), "DEVICE", "");
  CLI::Option* robot = is_text(
      command->add_option("--robot", options.robot,
                          "which robot it is, where DEVICE does not tell: " + simulated_devices()),
      "NAME", "what DEVICE tells");
  is_text(command->add_option("--task", options.task, "the same by one of its tasks"), "TASK",
          "what DEVICE tells")
      ->excludes(robot);
}

void add_robot(CLI::App& app, RobotOptions& options, std::string& record, bool& json,
               Action& action) {
  CLI::App* watch = app.add_subcommand("watch", "Show a robot's sensors without moving it");
  add_device(watch, options);
  is_real(watch->add_option("--seconds", options.seconds, "how long, 0.1 to 1000000"), 0.1, 1e6,
          "until Ctrl-C");
  add_examples(watch, "watch /dev/ttyUSB0", "watch 192.168.1.10 --seconds 5");
  watch->callback([&] { action = [&] { return run_watch(options); }; });

  CLI::App* stop = app.add_subcommand("stop", "Stop a robot, and the run that moves it");
  add_device(stop, options);
  add_examples(stop, "stop /dev/ttyUSB0", "stop 192.168.1.10 --robot ur");
  stop->callback([&] { action = [&] { return run_stop(options); }; });

  CLI::App* replay = app.add_subcommand("replay", "Repeat a recorded run on a robot without it");
  is_text(
      replay
          ->add_option("FILE", record, "`record` or `fault.rec` in the run's folder, or the folder")
          ->required(),
      "FILE", "");
  add_json(replay, json);
  add_examples(replay, "replay RUN/record", "replay RUN/fault.rec --json");
  replay->callback([&] {
    action = [&] {
      std::error_code error;
      if (std::filesystem::is_directory(record, error)) record = find_run(record) + "/record";
      return run_replay(record, json);
    };
  });
}

void add_sim(CLI::App& app, SimOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("sim", "Simulate a robot behind a port or sockets");
  is_text(
      command->add_option("DEVICE", options.device, "which: " + simulated_devices())->required(),
      "DEVICE", "");
  is_text(command->add_option("--link", options.link,
                              "of a device with a port: where that is to appear"),
          "PATH", "none; create2 needs it");
  is_text(command->add_option("--address", options.address,
                              "of a device with sockets: their IPv4 address"),
          "IP", "none; ur needs it");
  is_text(command->add_option("--model", options.model,
                              "which of several, as cb3 (UR5) or e-series (UR5e)"),
          "NAME", "the first");
  command->add_flag("--strict", options.is_strict,
                    "a port as a USB adapter's: 9600 baud at first, another name after a re-plug "
                    "(default: off)");
  is_seed(command->add_option("--seed", options.seed,
                              "of its arena, its place and its noise, from 0 on"),
          "0");
  is_seed(command->add_option("--faults", options.fault_seed,
                              "seed of a schedule of faults, from 0 on"),
          "no faults");
  add_examples(command, "sim create2 --link /tmp/robot", "sim ur --address 127.0.0.1");
  command->callback([&] { action = [&] { return run_sim(options); }; });
}

void add_study(CLI::App& app, RandomSearchOptions& search, YardstickCommand& yardsticks,
               Action& action) {
  CLI::App* study = app.add_subcommand("study", "Many runs by one plan");
  study->require_subcommand(1);
  add_examples(study, "study random-search hopper --out studies/hopper", "study yardsticks");
  CLI::App* random = study->add_subcommand("random-search", "Look for settings of a task");
  is_text(random->add_option("TASK", search.task, "what to learn")->required(), "TASK", "");
  is_text(
      random->add_option("--out", search.out, "folder; an existing study continues")->required(),
      "DIR", "");
  is_count(random->add_option("--cells", search.cells, "settings to try, 1 to 10000"), 1, 10'000,
           "16");
  is_count(random->add_option("--seeds", search.seeds, "runs of each, 1 to 100"), 1, 100, "2");
  is_count(random->add_option("--steps", search.steps, "control steps of each run, 1 or more"), 1,
           kStepsMax, "the task's");
  is_seed(random->add_option("--seed", search.seed, "of the settings drawn, from 0 on"), "0");
  is_count(random->add_option("--jobs", search.jobs, "runs at a time, 1 to 1024"), 1, 1024, "1");
  add_examples(
      random, "study random-search hopper --out studies/hopper",
      "study random-search create_mover --cells 8 --steps 50k --jobs 2 --out studies/mover");
  random->callback([&] { action = [&] { return run_random_search(search); }; });

  CLI::App* measure = study->add_subcommand(
      "yardsticks", "What a robot's task is measured against: what needs no learning");
  is_text(
      measure->add_option("RUN", yardsticks.runs, "runs of the task, to be looked at beside them"),
      "RUN", "none");
  is_one_of(measure->add_option("--task", yardsticks.task, "whose runs they are"),
            {"create_mover", "ur_reacher2"}, "create_mover");
  is_count(measure->add_option("--episodes", yardsticks.episodes, "of each seed, 1 to 10000"), 1,
           10'000, "10");
  is_count(measure->add_option("--seeds", yardsticks.seeds, "how many, from 0 on, 1 to 1000"), 1,
           1'000, "5");
  add_examples(measure, "study yardsticks", "study yardsticks runs/create_mover --episodes 2");
  measure->callback([&] {
    action = [&] {
      name_runs(yardsticks.runs, false);
      return run_yardsticks(yardsticks);
    };
  });
}

struct TellOptions {
  std::string run;
  std::string other;
  std::string task;
  std::string algorithm;
  std::vector<std::string> runs;
  std::string out;
  std::string sysroot;
  bool json = false;
};

void add_telling(CLI::App& app, TellOptions& options, Action& action) {
  CLI::App* tasks = app.add_subcommand("tasks", "List the tasks with sizes, periods and settings");
  add_json(tasks, options.json);
  add_examples(tasks, "tasks", "tasks --json");
  tasks->callback([&] { action = [&] { return run_tasks(options.json); }; });

  CLI::App* settings =
      app.add_subcommand("settings", "List what can be set, with defaults, bounds and meaning");
  is_text(settings->add_option("TASK", options.task, "with this task's defaults"), "TASK",
          "the learner's own defaults");
  add_algorithm(settings, options.algorithm);
  add_json(settings, options.json);
  add_examples(settings, "settings hopper", "settings create_mover --algo sac");
  settings->callback([&] {
    action = [&] { return run_settings(options.task, options.algorithm, options.json); };
  });

  CLI::App* info = app.add_subcommand("info", "Show this build, a learner's memory, a run");
  CLI::Option* run =
      is_text(info->add_option("RUN", options.run, "a run, or a task: memory table of its learner"),
              "RUN", "the task dot_reacher");
  is_text(info->add_option("--task", options.task, "memory table of this task's learner"), "TASK",
          "dot_reacher")
      ->excludes(run);
  add_json(info, options.json);
  add_examples(info, "info humanoid", "info runs/hopper");
  info->callback(
      [&] { action = [&] { return run_info(options.run, options.task, options.json); }; });

  CLI::App* report = app.add_subcommand("report", "Write an HTML report of one or more runs");
  is_text(report
              ->add_option("RUN", options.runs,
                           "folders of runs, or of several seeds; a folder above runs: the newest "
                           "inside")
              ->required(),
          "RUN", "");
  is_text(report->add_option("--out", options.out, "where the report goes"), "FILE",
          "report.html in the run, or here for several");
  add_examples(report, "report runs/hopper", "report runs/hopper/* --out comparison.html");
  report->callback([&] {
    action = [&] {
      name_runs(options.runs, true);
      return run_report(options.runs, options.out);
    };
  });

  CLI::App* compare =
      app.add_subcommand("compare", "Find the first step and field in which two runs differ");
  is_text(compare->add_option("RUN", options.run, "a run")->required(), "RUN", "");
  is_text(compare->add_option("OTHER", options.other, "the run to compare it with")->required(),
          "RUN", "");
  add_examples(compare, "compare runs/first runs/second", "compare RUN RUN/before_change");
  compare->callback([&] {
    action = [&] { return run_compare(find_run(options.run), find_run(options.other)); };
  });

  CLI::App* doctor = app.add_subcommand(
      "doctor", "Tell whether this machine can keep a period, and what mends it");
  is_text(doctor->add_option("TASK", options.task, "judge by this task's period"), "TASK",
          "the shortest period, 2 ms");
  // For tests: a folder that looks like another machine. The empty group hides it.
  doctor->add_option("--sysroot", options.sysroot)->group("");
  add_json(doctor, options.json);
  add_examples(doctor, "doctor", "doctor create_mover");
  doctor->callback(
      [&] { action = [&] { return run_doctor(options.sysroot, options.task, options.json); }; });
}

// ------------------------------------------------------------------------------------------------
// What the parser does not take

// CLI11 itself would only say that a command is missing.
void require_known_command(const CLI::App& app, const std::string& word) {
  if (word.starts_with('-')) {
    if (word == "-h" || word == "--help" || word == "--version") return;
    throw UsageError(printable(word) +
                     ": options stand behind a command, as in `instep train hopper --steps 100k`; "
                     "`instep --help` lists the commands");
  }
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), word) != names.end()) return;
  const std::string unknown = "unknown command '" + printable(word) + "'";
  const std::string_view called = command_called(word);
  if (!called.empty()) throw UsageError(unknown + "; did you mean '" + std::string(called) + "'?");
  for (const TaskInfo& task : all_tasks()) {
    if (task.name == word) throw UsageError(unknown + "; did you mean 'train " + word + "'?");
  }
  const std::vector<std::string_view> words(names.begin(), names.end());
  throw UsageError(unknown + did_you_mean(word, words, ";") + " `instep --help` lists them");
}

// The command that was given, as far as it was.
const CLI::App& given_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : given_command(*chosen.front());
}

// An option at the end of its command, or before another one: CLI11 would take that for its value.
void require_values(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* command = &app;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!words[i].starts_with('-')) {
      for (const CLI::App* child : command->get_subcommands(nullptr)) {
        if (child->get_name() == words[i]) command = child;
      }
      continue;
    }
    const bool ends_with_equals = words[i].ends_with('=');
    const std::string name = words[i].substr(0, words[i].size() - (ends_with_equals ? 1 : 0));
    const CLI::Option* const option = command->get_option_no_throw(name);
    if (option == nullptr || option->get_items_expected_max() == 0) continue;
    const bool has_value =
        !ends_with_equals && i + 1 < words.size() &&
        (!words[i + 1].starts_with("--") || command->get_option_no_throw(words[i + 1]) == nullptr);
    if (has_value) {
      ++i;
      continue;
    }
    throw UsageError(name + ": its value is missing, as in " + name + ' ' +
                     option->get_type_name() + "; `instep " + command_words(*command) +
                     " --help` says what it takes");
  }
}

// The first word behind a command that is several, and is none of them.
std::string unknown_part(const CLI::App& command, const std::vector<std::string>& extra) {
  std::vector<std::string> names;
  std::string all;
  for (const CLI::App* child : command.get_subcommands(nullptr)) {
    names.push_back(child->get_name());
    all += (all.empty() ? "" : ", ") + child->get_name();
  }
  const std::vector<std::string_view> words(names.begin(), names.end());
  const std::string which = "say which: " + all;
  return extra.empty() ? which
                       : "unknown " + command_words(command) + " '" + printable(extra.front()) +
                             "'" + did_you_mean(extra.front(), words, "; " + which);
}

// What was wrong with the words, and what may have been meant.
std::string problem_of(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = given_command(app);
  const std::vector<std::string> extra = command.remaining();
  if (&command != &app && !command.get_subcommands(nullptr).empty())
    return unknown_part(command, extra);
  if (extra.empty()) return error.what();
  const auto option = std::find_if(extra.begin(), extra.end(),
                                   [](const std::string& word) { return word.starts_with('-'); });
  const std::string& word = option == extra.end() ? extra.front() : *option;
  std::vector<std::string> names;
  for (const CLI::Option* each : command.get_options()) {
    if (each->get_positional() || each->get_group().empty()) continue;
    for (const std::string& name : each->get_lnames()) names.push_back("--" + name);
  }
  std::string words;
  for (const std::string& each : extra) words += (words.empty() ? "" : " ") + printable(each);
  return words + ": was not expected" + meant_by(word, command_words(command), names);
}

// Everything that options write to. The action reads it after the parser is gone.
struct Options {
  TrainCommand train;
  EvalOptions eval;
  VerifyOptions verify;
  std::string arithmetic;
  ProfileOptions profile;
  SimOptions sim;
  RandomSearchOptions search;
  YardstickCommand yardsticks;
  TellOptions tell;
  RobotOptions robot;
  std::string record;
  bool json = false;
};

void add_commands(CLI::App& app, Options& options, Action& action) {
  add_train(app, options.train, action);
  add_eval(app, options.eval, options.json, action);
  add_verify(app, options.verify, options.arithmetic, options.json, action);
  add_profile(app, options.profile, options.json, action);
  add_sim(app, options.sim, action);
  add_study(app, options.search, options.yardsticks, action);
  add_telling(app, options.tell, action);
  add_robot(app, options.robot, options.record, options.json, action);
  refuse_empty_values(app);
}

bool asks_for_json(const CLI::App& command) {
  const CLI::Option* const json = command.get_option_no_throw("--json");
  return json != nullptr && json->count() > 0;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"instep: learning on the robot, in step with its control loop"};
  app.name("instep");
  app.set_version_flag("--version,-v", "instep " INSTEP_VERSION);
  app.require_subcommand(1);
  add_examples(&app, "tasks", "train half_cheetah --steps 200k");
  Action action;
  const auto options = std::make_shared<Options>();
  options->train.words.assign(argv, argv + argc);
  add_commands(app, *options, action);
  const std::vector<std::string> words = understood_words(options->train.words);
  if (words.size() < 2) {
    std::fprintf(stderr, "%s\ninstep: say what to do: one of the commands above\n",
                 help_text(app, terminal_columns(2)).c_str());
    return {nullptr, kWrongUse};
  }
  require_known_command(app, words[1]);
  if (words[1] != "stop") require_values(app, words);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend() - 1));
  } catch (const CLI::CallForHelp&) {  // printed as everything else is: a full disk is noticed
    std::fputs(help_text(given_command(app), terminal_columns(1)).c_str(), stdout);
    return {nullptr, kDone};
  } catch (const CLI::Success& request) {
    std::printf("%s\n", request.what());
    return {nullptr, kDone};
  } catch (const CLI::ParseError& error) {
    if (words[1] == "stop") stop_robots_among({words.begin() + 2, words.end()});
    std::fprintf(stderr, "instep: %s\n`instep %s%s--help` says what there is.\n",
                 problem_of(app, error).c_str(), command_words(given_command(app)).c_str(),
                 &given_command(app) == &app ? "" : " ");
    return {nullptr, kWrongUse};
  }
  return {[options, action] { return action(); }, kDone, asks_for_json(given_command(app))};
}

}  // namespace instep

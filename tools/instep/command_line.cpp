#include "tools/instep/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "drivers/registry.h"
#include "tools/instep/robot_commands.h"
#include "tools/instep/sim.h"
#include "tools/instep/study.h"
#include "tools/instep/train.h"
#include "tools/library/check/replay.h"
#include "tools/library/check/verify.h"
#include "tools/library/error.h"
#include "tools/library/measure/doctor.h"
#include "tools/library/measure/info.h"
#include "tools/library/measure/profile.h"
#include "tools/library/report/report.h"
#include "tools/library/run/eval.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

const std::map<std::string, Schedule> kSchedules = {{"act_first", Schedule::kActFirst},
                                                    {"throughput", Schedule::kThroughput}};

// CLI11 itself takes -1 for the largest of all seeds.
std::string is_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, seed);
  if (error == std::errc() && at == end) return "";
  return "must be a whole number of 0 to 18446744073709551615, not " + printable(text);
}

// CLI::Range speaks of a range, too, where there is no number.
std::string is_step_count(const std::string& text) {
  constexpr std::int64_t kStepsMax = std::int64_t{1} << 52;
  std::int64_t steps = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, steps);
  if (error == std::errc() && at == end && steps >= 1 && steps <= kStepsMax) return "";
  return "must be a whole number of 1 to " + std::to_string(kStepsMax) + ", not " + printable(text);
}

// CLI::Range lets through what is neither below nor above.
std::string is_number(const std::string& text) {
  return std::isnan(std::strtod(text.c_str(), nullptr)) ? "must be a number, not nan" : "";
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

// Options that several commands share.
void add_schedule(CLI::App* command, std::optional<Schedule>& schedule) {
  command
      ->add_option_function<std::string>(
          "--schedule", [&schedule](const std::string& name) { schedule = kSchedules.at(name); },
          "act_first or throughput: the same bits, another order of work")
      ->check(CLI::IsMember({"act_first", "throughput"}));
}

CLI::Option* add_core(CLI::App* command, int& core, const std::string& when) {
  return command
      ->add_option("--core", core,
                   when +
                       ": the processor core that the control loop stays on, as one that "
                       "isolcpus= keeps free")
      ->check(CLI::Range(0, 1023));
}

void add_backend(CLI::App* command, std::string& backend, std::string& path) {
  command->add_option("--backend", backend, "auto, cpu, cuda or cuda-emulated")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "cuda-emulated"}));
  command->add_option("--path", path, "instruction set of the CPU, or team of a GPU's blocks");
}

void add_algorithm(CLI::App* command, std::string& algorithm) {
  std::vector<std::string> names;
  for (const AlgorithmInfo* info : all_algorithms()) names.emplace_back(info->name);
  command->add_option("--algo", algorithm, names.front() + " (default), or another learner")
      ->check(CLI::IsMember(names));
}

void add_train(CLI::App& app, TrainOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("train", "Learn a task, or go on learning");
  command->add_option("TASK", options.task, "what to learn (`instep tasks` lists them)");
  command->add_option("--steps", options.steps, "control steps in all")->check(is_step_count);
  command->add_option("--seed", options.seed, "seed of every random draw (default 0)")
      ->check(is_seed);
  command->add_option("--seeds", options.seeds, "several runs, as in 0..4");
  command->add_option("--jobs", options.jobs, "runs at a time, of several seeds (default 1)")
      ->check(CLI::Range(1, 1024));
  add_algorithm(command, options.algorithm);
  add_backend(command, options.backend, options.path);
  add_schedule(command, options.schedule);
  command->add_option("--time", options.time, "sim: simulated time (default); real: a robot")
      ->check(CLI::IsMember({"sim", "real"}));
  command->add_option("--device", options.device, "a robot's port or address (with --time real)");
  command->add_flag("--dry-run", options.is_dry_run,
                    "with --time real: run the policy, but send the robot no motion command");
  command->add_flag("--record", options.has_record,
                    "with --time real: keep every tick, for `instep replay`");
  command
      ->add_option("--phase", options.phase,
                   "with --time real: locked to the device's packets (default), or free")
      ->check(CLI::IsMember({"locked", "free"}));
  add_core(command, options.core, "with --time real");
  command->add_option(
      "--config", options.config_file,
      "TOML file like the config.toml of a run: tables [run], [learner] and [avg], or whichever "
      "learner it is");
  command->add_option("--set", options.set, "one setting, key=value; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--out", options.out, "folder of the run (default runs/TASK/TIME-sSEED)");
  command->add_option("--resume", options.resume,
                      "go on with the run, or the several seeds, in this folder");
  command->add_option("--change", options.change,
                      "what happens to the world on the way, as in 'at=100000 left_wheel=0.6'");
  command->add_option("--init", options.init, "start from the weights and normaliser of this run");
  command->add_flag("--allow-different-arithmetic", options.allow_different_arithmetic,
                    "resume with another path or schedule than the run's own");
  command->add_flag("--json", options.json, "end with one line of JSON");
  command->callback([&] { action = [&] { return run_train(options); }; });
}

void add_eval(CLI::App& app, EvalOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("eval", "Run a trained policy without learning");
  command->add_option("RUN", options.run, "run folder")->required();
  command->add_option("--episodes", options.episodes, "how many (default 10)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--seed", options.seed, "seed of the episodes (default: the run's)")
      ->check(is_seed);
  command->add_flag("--deterministic", options.deterministic, "the mean action instead of a draw");
  command->add_option("--device", options.device, "a robot's port: episodes on that robot");
  add_core(command, options.core, "with --device");
  command->add_flag("--json", options.json, "end with one line of JSON");
  command->callback([&] { action = [&] { return run_eval(options); }; });
}

void add_verify(CLI::App& app, VerifyOptions& options, std::string& arithmetic, Action& action) {
  CLI::App* command = app.add_subcommand("verify", "Compare learner and tasks with golden files");
  command->add_option("FILE", options.files, "safetensors files of either kind")->required();
  command->add_option("--backend", options.backend, "auto, cpu, cuda or cuda-emulated")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "cuda-emulated"}));
  command->add_option("--path", options.path,
                      "instruction set of the CPU, or team of a GPU's blocks");
  command->add_option("--arithmetic", arithmetic, "fast (default) or portable")
      ->check(CLI::IsMember({"fast", "portable"}));
  add_schedule(command, options.schedule);
  command->add_flag("--json", options.json, "end with one line of JSON");
  command->callback([&] {
    action = [&] {
      if (arithmetic == "portable") options.arithmetic = Arithmetic::kPortable;
      return run_verify(options);
    };
  });
}

void add_profile(CLI::App& app, ProfileOptions& options, Action& action) {
  CLI::App* command =
      app.add_subcommand("profile", "Measure the latency of every phase of an update");
  command->add_option("TASK", options.task, "task to measure on")->required();
  command->add_option("--updates", options.updates, "how many (default 20000)")
      ->check(CLI::Range(1, 1'000'000'000));
  command->add_option("--seed", options.seed, "seed of every random draw")->check(is_seed);
  add_backend(command, options.backend, options.path);
  add_schedule(command, options.schedule);
  command->add_option("--set", options.set, "one setting, key=value; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--json", options.json, "end with one line of JSON");
  CLI::Option* agents =
      command
          ->add_option("--agents", options.agents,
                       "agents that share a GPU: one step of all beside one step of one")
          ->check(CLI::Range(1, 1024));
  CLI::Option* rate =
      command
          ->add_option("--rate", options.rate_hz,
                       "ticks a second: also measure the whole path on real time, with a device "
                       "behind a pseudo-terminal")
          ->check(is_number)
          ->check(CLI::Range(1.0, 10'000.0))
          ->excludes(agents);
  command->add_option("--seconds", options.seconds, "how long, with --rate (default 10)")
      ->check(is_number)
      ->check(CLI::Range(1.0, 1e6))
      ->needs(rate);
  add_core(command, options.core, "with --rate")->needs(rate);
  command->callback([&] { action = [&] { return run_profile(options); }; });
}

void add_device(CLI::App* command, RobotOptions& options) {
  std::string help = "its port or address";
  for (const DriverInfo* driver : all_drivers()) {
    help +=
        "; " + std::string(driver->name) + ": " + std::string(driver->channels[0].transport->what);
  }
  command->add_option("DEVICE", options.device, help)->required();
  CLI::Option* robot = command->add_option("--robot", options.robot,
                                           "which robot it is, where DEVICE does not tell");
  command->add_option("--task", options.task, "the same by one of its tasks")->excludes(robot);
}

void add_robot(CLI::App& app, RobotOptions& options, std::string& record, bool& json,
               Action& action) {
  CLI::App* watch = app.add_subcommand("watch", "Show a robot's sensors without moving it");
  add_device(watch, options);
  watch->add_option("--seconds", options.seconds, "how long (default: until Ctrl-C)")
      ->check(is_number)
      ->check(CLI::Range(0.1, 1e6));
  watch->callback([&] { action = [&] { return run_watch(options); }; });

  CLI::App* stop = app.add_subcommand("stop", "Stop a robot, and the run that moves it");
  add_device(stop, options);
  stop->callback([&] { action = [&] { return run_stop(options); }; });

  CLI::App* replay = app.add_subcommand("replay", "Repeat a recorded run on a robot without it");
  replay->add_option("FILE", record, "`record` or `fault.rec` in the run's folder")->required();
  replay->add_flag("--json", json, "end with one line of JSON");
  replay->callback([&] { action = [&] { return run_replay(record, json); }; });
}

void add_sim(CLI::App& app, SimOptions& options, Action& action) {
  CLI::App* command = app.add_subcommand("sim", "Simulate a robot behind a port or sockets");
  command->add_option("DEVICE", options.device, "which: " + simulated_devices())->required();
  command->add_option("--link", options.link, "of a device with a port: where that is to appear");
  command->add_option("--address", options.address, "of a device with sockets: their IPv4 address");
  command->add_option("--model", options.model,
                      "which of several, as cb3 (UR5) or e-series (UR5e); default: the first");
  command->add_flag("--strict", options.is_strict,
                    "a port as a USB adapter's: 9600 baud at first, another name after a re-plug");
  command->add_option("--seed", options.seed, "of its arena, its place and its noise")
      ->check(is_seed);
  command->add_option("--faults", options.fault_seed, "seed of a schedule of faults")
      ->check(is_seed);
  command->callback([&] { action = [&] { return run_sim(options); }; });
}

void add_study(CLI::App& app, RandomSearchOptions& search, YardstickOptions& yardsticks,
               Action& action) {
  CLI::App* study = app.add_subcommand("study", "Many runs by one plan");
  study->require_subcommand(1);
  CLI::App* random = study->add_subcommand("random-search", "Look for settings of a task");
  random->add_option("TASK", search.task, "what to learn")->required();
  random->add_option("--out", search.out, "folder; one that exists is gone on with")->required();
  random->add_option("--cells", search.cells, "settings to try (default 16)")
      ->check(CLI::Range(1, 10'000));
  random->add_option("--seeds", search.seeds, "runs of each (default 2)")
      ->check(CLI::Range(1, 100));
  random->add_option("--steps", search.steps, "control steps of each run (default: the task's)")
      ->check(is_step_count);
  random->add_option("--seed", search.seed, "of the settings drawn (default 0)")->check(is_seed);
  random->add_option("--jobs", search.jobs, "runs at a time")->check(CLI::Range(1, 1024));
  random->callback([&] { action = [&] { return run_random_search(search); }; });

  CLI::App* measure = study->add_subcommand(
      "yardsticks", "What create_mover is measured against: constant actions, a wall avoider");
  measure->add_option("RUN", yardsticks.runs, "runs to be looked at, also with shuffled sensors");
  measure->add_option("--episodes", yardsticks.episodes, "of each seed (default 10)")
      ->check(CLI::Range(1, 10'000));
  measure->add_option("--seeds", yardsticks.seeds, "from 0 on (default 5)")
      ->check(CLI::Range(1, 1'000));
  measure->callback([&] { action = [&] { return run_yardsticks(yardsticks); }; });
}

struct TellOptions {
  std::string run;
  std::string task;
  std::string algorithm;
  std::vector<std::string> runs;
  std::string out;
  std::string sysroot;
  bool json = false;
};

void add_telling(CLI::App& app, TellOptions& options, Action& action) {
  CLI::App* tasks = app.add_subcommand("tasks", "List the tasks with sizes, periods and settings");
  tasks->add_flag("--json", options.json, "end with one line of JSON");
  tasks->callback([&] { action = [&] { return run_tasks(options.json); }; });

  CLI::App* settings =
      app.add_subcommand("settings", "List what can be set, with defaults, bounds and meaning");
  settings->add_option("TASK", options.task, "with this task's defaults");
  add_algorithm(settings, options.algorithm);
  settings->add_flag("--json", options.json, "end with one line of JSON");
  settings->callback([&] {
    action = [&] { return run_settings(options.task, options.algorithm, options.json); };
  });

  CLI::App* info = app.add_subcommand("info", "Tell about this build, a learner's memory, a run");
  CLI::Option* run = info->add_option("RUN", options.run, "run folder");
  info->add_option("--task", options.task, "memory table of this task's learner")->excludes(run);
  info->add_flag("--json", options.json, "end with one line of JSON");
  info->callback(
      [&] { action = [&] { return run_info(options.run, options.task, options.json); }; });

  CLI::App* report = app.add_subcommand("report", "Write an HTML report of one or more runs");
  report->add_option("RUN", options.runs, "folders of runs, or of several seeds")->required();
  report->add_option("--out", options.out,
                     "file (default: report.html in the run, or here for several)");
  report->callback([&] { action = [&] { return run_report(options.runs, options.out); }; });

  CLI::App* compare =
      app.add_subcommand("compare", "Find the first step and field in which two runs differ");
  compare->add_option("RUN", options.runs, "two run folders")->required()->expected(2);
  compare->callback(
      [&] { action = [&] { return run_compare(options.runs[0], options.runs[1]); }; });

  CLI::App* doctor = app.add_subcommand(
      "doctor", "Tell whether this machine can keep a period, and what mends it");
  // For tests: a folder that looks like another machine. The empty group hides it.
  doctor->add_option("--sysroot", options.sysroot)->group("");
  doctor->add_flag("--json", options.json, "end with one line of JSON");
  doctor->callback([&] { action = [&] { return run_doctor(options.sysroot, options.json); }; });
}

// CLI11 itself would only say that a command is missing.
void require_known_command(const CLI::App& app, const std::string& word) {
  if (word.empty() || word.front() == '-') return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), word) != names.end()) return;
  const std::vector<std::string_view> words(names.begin(), names.end());
  throw UsageError("unknown command '" + printable(word) + "'" + did_you_mean(word, words, ";") +
                   " `instep --help` lists them");
}

// Everything that options write to. The action reads it after the parser is gone.
struct Options {
  TrainOptions train;
  EvalOptions eval;
  VerifyOptions verify;
  std::string arithmetic;
  ProfileOptions profile;
  SimOptions sim;
  RandomSearchOptions search;
  YardstickOptions yardsticks;
  TellOptions tell;
  RobotOptions robot;
  std::string record;
  bool json = false;
};

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"instep: learning on the robot, in step with its control loop"};
  app.name("instep");
  app.set_version_flag("--version", "instep " INSTEP_VERSION);
  app.require_subcommand(1);
  Action action;
  const auto options = std::make_shared<Options>();
  options->train.words.assign(argv, argv + argc);
  add_train(app, options->train, action);
  add_eval(app, options->eval, action);
  add_verify(app, options->verify, options->arithmetic, action);
  add_profile(app, options->profile, action);
  add_sim(app, options->sim, action);
  add_study(app, options->search, options->yardsticks, action);
  add_telling(app, options->tell, action);
  add_robot(app, options->robot, options->record, options->json, action);
  refuse_empty_values(app);
  require_known_command(app, argc > 1 ? argv[1] : "");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    std::ostringstream text;  // printed as everything else is, so that a full disk is noticed
    const int code = app.exit(request, text, text);
    std::fputs(text.str().c_str(), stdout);
    return {nullptr, code};
  } catch (const CLI::ParseError& error) {
    if (argc > 1 && std::string_view(argv[1]) == "stop") stop_robots_among({argv + 2, argv + argc});
    std::fprintf(
        stderr, "instep: %s\nRun `instep --help`, or `instep COMMAND --help`, for what there is.\n",
        error.what());
    return {nullptr, kWrongUse};
  }
  return {[options, action] { return action(); }, kDone};
}

}  // namespace instep

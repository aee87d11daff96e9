#include "tools/instep/train_seeds.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "tools/instep/typed.h"
#include "tools/library/error.h"
#include "tools/library/listen/summary.h"
#include "tools/library/output.h"
#include "tools/library/report/report.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/child_runs.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/seeds.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

using SeedProgress = SeedState::Progress;

std::string seed_folder(const std::string& parent, std::uint64_t seed) {
  return parent.empty() ? "" : parent + "/s" + std::to_string(seed);
}

std::string program(const TrainOptions& options) {
  return options.words.empty() ? "instep" : options.words.front();
}

// The command that starts one of the seeds alone: as it was typed, but for the seeds.
std::string command_for_seed(const TrainOptions& options, std::uint64_t seed) {
  std::vector<std::string> words = {program(options)};
  for (std::size_t i = 1; i < options.words.size(); ++i) {
    const std::string& word = options.words[i];
    if (word == "--seeds" || word == "--jobs") ++i;
    const bool is_of_all = word.starts_with("--seeds") || word.starts_with("--jobs");
    if (!is_of_all) words.push_back(word);
  }
  words.insert(words.end(), {"--seed", std::to_string(seed)});
  return shell_text(words);
}

void print_seed(const SeedState& seed, std::int64_t steps) {
  const auto number = static_cast<unsigned long long>(seed.seed);
  switch (seed.progress) {
    case SeedProgress::kDone:
      std::printf("seed %-4llu mean return of the last eighth %10s  %s\n", number,
                  number_text(seed.summary->mean_return_last_eighth).c_str(), seed.folder.c_str());
      return;
    case SeedProgress::kHalfDone:
      std::printf("seed %-4llu half-done: %lld of %lld steps, %s  %s\n", number,
                  static_cast<long long>(seed.steps), static_cast<long long>(steps),
                  seed.ended.empty() ? "no summary" : seed.ended.c_str(), seed.folder.c_str());
      return;
    case SeedProgress::kNotStarted:
      std::printf("seed %-4llu not started\n", number);
  }
}

// "mean 76.5, 95 % interval +- 2.5", of the seeds that are done and have one.
std::string mean_text(const SeedsResult& result) {
  if (result.with_mean == 0) return "no mean yet";
  std::string text = "mean " + number_text(result.mean);
  if (result.with_mean == 1) return text + " of one run: no interval";
  if (result.with_mean < result.done) {
    text += " of the " + std::to_string(result.with_mean) + " that ended an episode in time";
  }
  return text + ", 95 % interval +- " + number_text(result.half_width);
}

// The exact commands that finish what is not finished.
void print_advice(const TrainOptions& options, const SeedsResult& result, const std::string& parent,
                  bool was_refused) {
  std::vector<std::string> commands;
  for (const SeedState& seed : result.seeds) {
    if (seed.progress == SeedProgress::kDone) continue;
    commands.push_back(seed.progress == SeedProgress::kNotStarted
                           ? command_for_seed(options, seed.seed)
                           : shell_text({program(options), "train", "--resume", seed.folder}));
  }
  if (commands.empty()) return;
  if (!parent.empty()) commands = {shell_text({program(options), "train", "--resume", parent})};
  if (!parent.empty() && was_refused) {
    std::printf("a seed that was refused starts anew when its folder has been moved away\n");
  }
  std::printf("go on with:\n");
  for (const std::string& command : commands) std::printf("  %s\n", command.c_str());
}

// How to see runs side by side that share no folder.
void print_report_command(const TrainOptions& options, const SeedsResult& result) {
  std::vector<std::string> words = {program(options), "report"};
  for (const SeedState& seed : result.seeds) {
    if (seed.progress != SeedProgress::kNotStarted) words.push_back(seed.folder);
  }
  if (words.size() > 3) std::printf("one report of all: %s\n", shell_text(words).c_str());
}

// One report of all that can be read. Answers the worst exit code of what could not.
int write_seeds_report(const SeedsResult& result, const std::string& parent) {
  int worst = kDone;
  std::vector<RunRecord> records;
  for (const SeedState& seed : result.seeds) {
    if (seed.progress == SeedProgress::kNotStarted) continue;
    try {
      records.push_back(read_run_record(seed.folder));
    } catch (const CommandError& error) {
      std::fprintf(stderr, "instep: %s\n", error.what());
      worst = std::max<int>(worst, error.code());
    }
  }
  if (parent.empty() || records.empty()) return worst;
  try {
    write_file(parent + "/report.html", render_report(records));
    std::printf("report: %s/report.html\n", parent.c_str());
  } catch (const IoError& error) {  // it can be made again: the runs are what counts
    std::fprintf(stderr, "instep: warning: %s\n", error.what());
  }
  return worst;
}

// What the runs came to; answers the worst exit code.
int finish_seeds(const TrainOptions& options, const SeedPlan& plan, const std::string& parent,
                 const std::vector<std::string>& folders, int worst_of_runs) {
  std::vector<SeedState> states;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    states.push_back(look_at_seed(plan.first + i, folders[i], plan.config.steps));
  }
  const SeedsResult result = result_of(std::move(states));
  for (const SeedState& seed : result.seeds) print_seed(seed, plan.config.steps);
  std::printf("%s, %lld of %zu seeds done: %s\n", plan.config.task.c_str(),
              static_cast<long long>(result.done), result.seeds.size(), mean_text(result).c_str());
  const int worst = std::max(worst_of_runs, write_seeds_report(result, parent));
  if (parent.empty()) print_report_command(options, result);
  print_advice(options, result, parent,
               worst_of_runs == kCheckFailed || worst_of_runs == kWrongUse);
  if (options.json) {
    print_json(to_json(result, plan.config, parent));
  }
  return worst;
}

}  // namespace

int train_seeds(const TrainOptions& options) {
  if (!options.resume.empty() || options.seed) {
    throw UsageError("--seeds cannot be combined with --resume or --seed");
  }
  const SeedRange seeds = parse_seeds(options.seeds);
  SeedPlan plan{
      .first = seeds.first,
      .last = seeds.last,
      .change = options.change,
      .init = options.init.empty() ? "" : std::filesystem::absolute(options.init).string(),
      .config = new_config(options)};
  plan.config.seed = seeds.first;
  if (!plan.init.empty()) open_init(plan.init, plan.config);
  std::optional<RunFolder> all;
  if (!options.out.empty()) all = make_run_folder(options.out, plan.config);
  const std::string parent = all ? all->path : "";
  if (all) write_seed_plan(parent, plan);
  std::vector<std::string> folders(seeds.last - seeds.first + 1);
  ChildRuns children(options.jobs.value_or(1));
  for (std::uint64_t seed = seeds.first;; ++seed) {
    RunConfig config = plan.config;
    config.seed = seed;
    // The child has it from here on; this process lets go of it when the child has begun.
    const RunFolder own = make_run_folder(seed_folder(parent, seed), config);
    const bool is_started = children.start("seed " + std::to_string(seed), [&] {
      return exit_code(
          TrainingRun(
              config, own.path,
              {.change = plan.change, .init = plan.init, .command = shell_text(options.words)})
              .run());
    });
    if (!is_started) {
      std::filesystem::remove(own.path);
      break;
    }
    folders[seed - seeds.first] = own.path;
    if (seed == seeds.last) break;
  }
  return finish_seeds(options, plan, parent, folders, children.wait());
}

namespace {

// In a process of its own. A folder without config.toml is one that was killed before its run
// began.
int resume_seed(const TrainOptions& options, const SeedPlan& plan, std::uint64_t seed,
                const std::string& folder) {
  make_folders(folder);
  const FolderLock lock(folder);
  require_own_files(folder);
  const std::string command = shell_text(options.words);
  if (std::filesystem::exists(folder + "/config.toml")) {
    TrainOptions of_one = options;
    of_one.resume = folder;
    of_one.steps = plan.config.steps;
    return exit_code(
        TrainingRun(resumed_config(of_one), folder, {.is_resumed = true, .command = command})
            .run());
  }
  if (has_results(folder)) {
    throw UsageError(folder + ": holds results but no config.toml; move the folder away");
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::filesystem::remove_all(entry.path());
  }
  RunConfig config = plan.config;
  config.seed = seed;
  return exit_code(
      TrainingRun(config, folder, {.change = plan.change, .init = plan.init, .command = command})
          .run());
}

// Before anything is begun or written: a seed that has made more than `steps` could not go on.
void require_more_steps(const std::string& parent, const SeedPlan& plan, std::int64_t steps) {
  for (std::uint64_t seed = plan.first;; ++seed) {
    const auto made = checkpoint_step(seed_folder(parent, seed) + "/checkpoint");
    if (made && *made > steps) {
      throw UsageError("--steps " + std::to_string(steps) + ": seed " + std::to_string(seed) +
                       " has already made " + std::to_string(*made) + "; --steps is the total");
    }
    if (seed == plan.last) return;
  }
}

}  // namespace

int resume_seeds(const TrainOptions& options) {
  const std::string& parent = options.resume;
  const FolderLock lock(parent);
  SeedPlan plan = read_seed_plan(parent);
  refuse_new_settings(options);
  if (!options.task.empty() && options.task != plan.config.task) {
    throw UsageError("--resume " + parent + ": holds runs of task " + plan.config.task + ", not " +
                     options.task);
  }
  if (options.steps && *options.steps != plan.config.steps) {
    require_more_steps(parent, plan, *options.steps);
    plan.config.steps = *options.steps;
    write_seed_plan(parent, plan);
  }
  std::vector<std::string> folders;
  ChildRuns children(options.jobs.value_or(1));
  bool is_stopped = false;
  for (std::uint64_t seed = plan.first;; ++seed) {
    const std::string folder = seed_folder(parent, seed);
    folders.push_back(folder);
    const bool is_done =
        look_at_seed(seed, folder, plan.config.steps).progress == SeedProgress::kDone;
    if (!is_done && !is_stopped) {
      is_stopped = !children.start("seed " + std::to_string(seed),
                                   [&] { return resume_seed(options, plan, seed, folder); });
    }
    if (seed == plan.last) break;
  }
  return finish_seeds(options, plan, parent, folders, children.wait());
}

}  // namespace instep

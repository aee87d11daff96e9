#include "tools/library/run/train_seeds.h"

#include <filesystem>
#include <utility>

#include "tools/library/error.h"
#include "tools/library/run/child_runs.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

std::string seed_folder(const std::string& parent, std::uint64_t seed) {
  return parent.empty() ? "" : parent + "/s" + std::to_string(seed);
}

}  // namespace

SeedRuns train_seeds(const TrainOptions& options, const TrainTold& told) {
  require_possible(options);
  if (!options.resume.empty() || options.seed) {
    throw UsageError("--seeds cannot be combined with --resume or --seed");
  }
  const SeedRange seeds = options.seeds.value_or(SeedRange{});
  constexpr std::uint64_t kSeedsMax = 1000;
  if (!options.seeds || seeds.last < seeds.first || seeds.last - seeds.first >= kSeedsMax) {
    throw UsageError("--seeds must be 1 to " + std::to_string(kSeedsMax) + " seeds");
  }
  SeedPlan plan{
      .first = seeds.first,
      .last = seeds.last,
      .change = options.change,
      .init = options.init.empty() ? "" : std::filesystem::absolute(options.init).string(),
      .config = new_config(options, told)};
  plan.config.seed = seeds.first;
  if (!plan.init.empty()) open_init(plan.init, plan.config);
  std::optional<RunFolder> all;
  if (!options.out.empty()) all = make_run_folder(options.out, plan.config);
  const std::string parent = all ? all->path : "";
  if (all) write_seed_plan(parent, plan);
  std::vector<std::string> folders(seeds.last - seeds.first + 1);
  ChildRuns children(options.jobs.value_or(1), options.stop);
  for (std::uint64_t seed = seeds.first;; ++seed) {
    RunConfig config = plan.config;
    config.seed = seed;
    // The child has it from here on; this process lets go of it when the child has begun.
    const RunFolder own = make_run_folder(seed_folder(parent, seed), config);
    const bool is_started = children.start("seed " + std::to_string(seed), [&] {
      return exit_code(TrainingRun(config, own.path,
                                   {.change = plan.change,
                                    .init = plan.init,
                                    .command = options.command,
                                    .stop = options.stop})
                           .run());
    });
    if (!is_started) {
      std::filesystem::remove(own.path);
      break;
    }
    folders[seed - seeds.first] = own.path;
    if (seed == seeds.last) break;
  }
  const int worst = children.wait();
  return {std::move(plan), parent, std::move(folders), worst};
}

namespace {

// In a process of its own. A folder without config.toml is one that was killed before its run
// began.
int resume_seed(const TrainOptions& options, const SeedPlan& plan, std::uint64_t seed,
                const std::string& folder) {
  make_folders(folder);
  const FolderLock lock(folder);
  require_own_files(folder);
  if (std::filesystem::exists(folder + "/config.toml")) {
    TrainOptions of_one = options;
    of_one.resume = folder;
    of_one.steps = plan.config.steps;
    return exit_code(
        TrainingRun(resumed_config(of_one), folder,
                    {.is_resumed = true, .command = options.command, .stop = options.stop})
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
  return exit_code(TrainingRun(config, folder,
                               {.change = plan.change,
                                .init = plan.init,
                                .command = options.command,
                                .stop = options.stop})
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

SeedRuns resume_seeds(const TrainOptions& options) {
  require_possible(options);
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
  ChildRuns children(options.jobs.value_or(1), options.stop);
  bool is_stopped = false;
  for (std::uint64_t seed = plan.first;; ++seed) {
    const std::string folder = seed_folder(parent, seed);
    folders.push_back(folder);
    const bool is_done =
        look_at_seed(seed, folder, plan.config.steps).progress == SeedState::Progress::kDone;
    if (!is_done && !is_stopped) {
      is_stopped = !children.start("seed " + std::to_string(seed),
                                   [&] { return resume_seed(options, plan, seed, folder); });
    }
    if (seed == plan.last) break;
  }
  const int worst = children.wait();
  return {std::move(plan), parent, std::move(folders), worst};
}

}  // namespace instep

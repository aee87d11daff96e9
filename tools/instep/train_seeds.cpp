#include "tools/instep/train_seeds.h"

#include <algorithm>
#include <cstdio>

#include "tools/instep/output.h"
#include "tools/library/error.h"
#include "tools/library/json_fields.h"
#include "tools/library/listen/summary.h"
#include "tools/library/report/report.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/train_seeds.h"

namespace instep {
namespace {

using SeedProgress = SeedState::Progress;

std::string program(const TrainCommand& options) {
  return options.words.empty() ? "instep" : options.words.front();
}

// The command that starts one of the seeds alone: as it was typed, but for the seeds.
std::string command_for_seed(const TrainCommand& options, std::uint64_t seed) {
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
void print_advice(const TrainCommand& options, const SeedsResult& result, const std::string& parent,
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
void print_report_command(const TrainCommand& options, const SeedsResult& result) {
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

// The last line of --json.
nlohmann::json to_json(const SeedsResult& result, const RunConfig& config,
                       const std::string& folder) {
  nlohmann::json runs = nlohmann::json::array();
  nlohmann::json half_done = nlohmann::json::array();
  nlohmann::json not_started = nlohmann::json::array();
  std::int64_t episodes = 0;
  std::uint64_t dropped_updates = 0;
  std::uint64_t missed_deadlines = 0;
  for (const SeedState& seed : result.seeds) {
    if (seed.progress == SeedState::Progress::kHalfDone) half_done.push_back(seed.seed);
    if (seed.progress == SeedState::Progress::kNotStarted) not_started.push_back(seed.seed);
    if (!seed.summary) continue;
    runs.push_back(short_summary(*seed.summary));
    episodes += seed.summary->episodes;
    dropped_updates += seed.summary->dropped_updates;
    missed_deadlines += seed.summary->missed_deadlines;
  }
  return {{"task", config.task},
          {"algo", config.settings.algorithm->name},
          {"seed", nullptr},
          {"steps", config.steps},
          {"episodes", episodes},
          {"done", result.done},
          {"half_done", half_done},
          {"not_started", not_started},
          {"mean_return_last_eighth", encode_fields(result.mean)},
          {"steps_per_second", nullptr},
          {"dropped_updates", dropped_updates},
          {"missed_deadlines", missed_deadlines},
          {"out", folder.empty() ? nlohmann::json() : nlohmann::json(folder)},
          {"interval95", encode_fields(result.half_width)},
          {"runs", runs}};
}

// What the runs came to; answers the worst exit code.
int finish_seeds(const TrainCommand& options, const SeedRuns& runs) {
  const auto& [plan, parent, folders, worst_of_runs] = runs;
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

int run_train_seeds(const TrainCommand& options, const TrainTold& told) {
  return finish_seeds(options, options.seeds ? train_seeds(options, told) : resume_seeds(options));
}

}  // namespace instep

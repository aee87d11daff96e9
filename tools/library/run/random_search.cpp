#include "tools/library/run/random_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "kernels/philox.h"
#include "tools/library/error.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/child_runs.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

using nlohmann::json;

constexpr std::uint64_t kFirstSeed = 1000;

double between(double low, double high, double draw) {
  return low * std::pow(high / low, draw);
}

// Three significant digits: what is reported is what was run.
std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

json plan_cells(const RandomSearchOptions& options, const TaskInfo& task) {
  json cells = json::array();
  for (int i = 0; i < options.cells; ++i) {
    json settings = json::object();
    if (i > 0) {
      double draws[4];
      const Random random{options.seed, static_cast<std::uint32_t>(Stream::kTaskEvents)};
      random.uniform(static_cast<std::uint64_t>(i), draws, 4);
      constexpr std::array kDiscounts = {"0.97", "0.99", "0.995"};
      const auto discount = static_cast<std::size_t>(3.0 * draws[3]);
      settings["actor_lr"] = short_number(between(3e-4, 1e-2, draws[0]));
      settings["critic_lr"] = short_number(between(5e-4, 2e-2, draws[1]));
      settings["entropy_coef"] = short_number(between(3e-3, 0.15, draws[2]));
      settings["discount"] = kDiscounts[std::min<std::size_t>(discount, 2)];
    }
    cells.push_back({{"cell", i}, {"set", settings}});
  }
  const std::int64_t steps = options.steps > 0 ? options.steps : task.default_steps;
  return {{"task", options.task},
          {"steps", steps},
          {"seeds", options.seeds},
          {"seed", options.seed},
          {"cells", cells}};
}

// The manifest of a study that is gone on with, or a new one.
json open_manifest(const RandomSearchOptions& options, const TaskInfo& task) {
  const std::string path = options.out + "/manifest.json";
  const json planned = plan_cells(options, task);
  if (!std::filesystem::exists(path)) {
    if (!std::filesystem::is_empty(options.out)) {
      throw UsageError("--out " + options.out + ": holds something else than a study");
    }
    write_file(path, planned.dump(2) + '\n');
    return planned;
  }
  const json found = json::parse(read_file(path), nullptr, false);
  if (found.is_discarded()) throw DataError(path + ": is damaged; choose another --out");
  if (found != planned) {
    throw UsageError(path +
                     ": plans another study; give the options it was started with, or "
                     "choose another --out");
  }
  return found;
}

struct StudyRun {
  RunConfig config;
  std::string folder;
};

std::vector<StudyRun> runs_of(const json& manifest, const std::string& out, const TaskInfo& task) {
  std::vector<StudyRun> runs;
  for (const json& cell : manifest.at("cells")) {
    std::vector<std::string> set;
    for (const auto& [key, value] : cell.at("set").items()) {
      set.push_back(key + '=' + value.get<std::string>());
    }
    for (int i = 0; i < manifest.at("seeds").get<int>(); ++i) {
      StudyRun run;
      run.config.task = std::string(task.name);
      apply_task_defaults(run.config.settings, task);
      apply_set_options(run.config.settings, set);
      run.config.steps = manifest.at("steps").get<std::int64_t>();
      run.config.seed = kFirstSeed + static_cast<std::uint64_t>(i);
      run.config.schedule = Schedule::kThroughput;
      run.config.path = choose_backend("cpu", "", run.config.settings).path;
      run.folder = out + "/cell-" + std::to_string(cell.at("cell").get<int>()) + "/s" +
                   std::to_string(run.config.seed);
      runs.push_back(run);
    }
  }
  return runs;
}

bool is_done(const StudyRun& run) {
  if (!std::filesystem::exists(run.folder + "/config.toml")) return false;
  const RunRecord record = read_run_record(run.folder);
  return record.summary && record.summary->ended == "done";
}

// In the process of its own that it is given.
int run_one(const StudyRun& run, const StopRequest* stop) {
  const bool is_resumed = std::filesystem::exists(run.folder + "/config.toml");
  RunConfig config = run.config;
  if (!is_resumed)
    std::filesystem::remove(run.folder + "/config.toml.new");  // killed as it wrote it
  const RunFolder own =
      is_resumed ? take_run_folder(run.folder) : make_run_folder(run.folder, config);
  if (is_resumed) config = read_config_toml(run.folder + "/config.toml");
  const RunSummary summary =
      TrainingRun(config, run.folder, {.is_resumed = is_resumed, .stop = stop}).run();
  return summary.ended == "faulted" ? kCheckFailed : kDone;
}

// Answers the worst exit code.
int run_all(const std::vector<StudyRun>& runs, int jobs, const StopRequest* stop) {
  ChildRuns children(jobs, stop);
  for (const StudyRun& run : runs) {
    if (!is_done(run) && !children.start(run.folder, [&] { return run_one(run, stop); })) break;
  }
  return children.wait();
}

// Ranks cells by the mean over seeds of the return in the last tenth. Those in which a seed has
// ended no episode there come last.
std::vector<CellResult> results_of(const json& manifest, const std::vector<StudyRun>& runs) {
  const auto seeds = static_cast<std::size_t>(manifest.at("seeds").get<int>());
  std::vector<CellResult> results;
  for (std::size_t at = 0; at + seeds <= runs.size(); at += seeds) {
    CellResult result{.cell = static_cast<int>(at / seeds), .worst = HUGE_VAL};
    for (const auto& [key, value] : manifest.at("cells").at(at / seeds).at("set").items()) {
      result.settings.emplace_back(key, value.get<std::string>());
    }
    for (std::size_t i = at; i < at + seeds; ++i) {
      if (!is_done(runs[i])) return {};
      const auto steps = static_cast<std::uint64_t>(runs[i].config.steps);
      const auto episodes = read_episodes(runs[i].folder + "/episodes.csv");
      const double value =
          mean_return_between(episodes, steps - steps / 10, steps).value_or(-HUGE_VAL);
      result.mean += value / static_cast<double>(seeds);
      result.worst = std::min(result.worst, value);
    }
    results.push_back(result);
  }
  std::sort(results.begin(), results.end(),
            [](const CellResult& a, const CellResult& b) { return a.mean > b.mean; });
  return results;
}

}  // namespace

RandomSearchResult random_search(const RandomSearchOptions& options) {
  const TaskInfo& task = require_task(options.task);
  if (options.out.empty()) throw UsageError("study random-search needs --out DIR");
  if (options.cells < 1 || options.seeds < 1 || options.jobs < 1 || options.steps < 0) {
    throw UsageError("--cells, --seeds and --jobs must be at least 1, and --steps not below 0");
  }
  make_folders(options.out);
  const FolderLock lock(options.out);
  const json manifest = open_manifest(options, task);
  const std::vector<StudyRun> runs = runs_of(manifest, options.out, task);
  RandomSearchResult result;
  result.worst_exit_code = run_all(runs, options.jobs, options.stop);
  result.cells = results_of(manifest, runs);
  if (result.cells.empty()) return result;
  if (std::isinf(result.cells.front().mean)) {
    throw DataError(options.out +
                    ": in no cell has every seed ended an episode in its last tenth, so there is "
                    "nothing to rank; give more --steps and another --out");
  }
  write_file(options.out + "/results.csv", csv_text(result.cells));
  std::string toml = "[learner]\n";
  for (const auto& [key, value] : result.cells.front().settings) {
    toml += key + " = " + value + '\n';
  }
  write_file(options.out + "/best.toml", toml);
  return result;
}

std::string csv_text(const std::vector<CellResult>& cells) {
  std::string csv = "cell,mean_return_last_tenth,worst_seed,settings\n";
  for (const CellResult& cell : cells) {
    std::string settings;
    for (const auto& [key, value] : cell.settings) {
      settings += (settings.empty() ? "" : " ") + key + '=' + value;
    }
    char line[64];
    std::snprintf(line, sizeof line, "%d,%.1f,%.1f,", cell.cell, cell.mean, cell.worst);
    csv += line + settings + '\n';
  }
  return csv;
}

}  // namespace instep

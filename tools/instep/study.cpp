#include "tools/instep/study.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "kernels/philox.h"
#include "runtime/policy.h"
#include "tasks/create_mover/create_mover.h"
#include "tasks/create_mover/wall_avoider.h"
#include "tasks/ur_reacher2/ur_reacher2.h"
#include "tools/library/error.h"
#include "tools/library/listen/summary.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/child_runs.h"
#include "tools/library/run/eval.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

using nlohmann::json;

constexpr std::uint64_t kFirstSeed = 1000;

// ------------------------------------------------------------------------------------------------
// Random search

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
int run_one(const StudyRun& run) {
  const bool is_resumed = std::filesystem::exists(run.folder + "/config.toml");
  RunConfig config = run.config;
  if (!is_resumed)
    std::filesystem::remove(run.folder + "/config.toml.new");  // killed as it wrote it
  const RunFolder own =
      is_resumed ? take_run_folder(run.folder) : make_run_folder(run.folder, config);
  if (is_resumed) config = read_config_toml(run.folder + "/config.toml");
  const RunSummary summary = TrainingRun(config, run.folder, {.is_resumed = is_resumed}).run();
  return summary.ended == "faulted" ? kCheckFailed : kDone;
}

// Answers the worst exit code.
int run_all(const std::vector<StudyRun>& runs, int jobs) {
  ChildRuns children(jobs);
  for (const StudyRun& run : runs) {
    if (!is_done(run) && !children.start(run.folder, [&] { return run_one(run); })) break;
  }
  return children.wait();
}

struct CellResult {
  int cell = 0;
  double mean = 0.0;
  double worst = 0.0;
};

// Ranks cells by the mean over seeds of the return in the last tenth. Those in which a seed has
// ended no episode there come last.
std::vector<CellResult> results_of(const json& manifest, const std::vector<StudyRun>& runs) {
  const auto seeds = static_cast<std::size_t>(manifest.at("seeds").get<int>());
  std::vector<CellResult> results;
  for (std::size_t at = 0; at + seeds <= runs.size(); at += seeds) {
    CellResult result{.cell = static_cast<int>(at / seeds), .worst = HUGE_VAL};
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

int run_random_search(const RandomSearchOptions& options) {
  const TaskInfo& task = require_task(options.task);
  if (options.out.empty()) throw UsageError("study random-search needs --out DIR");
  make_folders(options.out);
  const FolderLock lock(options.out);
  const json manifest = open_manifest(options, task);
  const std::vector<StudyRun> runs = runs_of(manifest, options.out, task);
  install_stop_handler();
  const int worst = run_all(runs, options.jobs);
  const std::vector<CellResult> results = results_of(manifest, runs);
  if (results.empty()) {
    std::printf("not all runs are done; the same command goes on with them\n");
    return worst;
  }
  if (std::isinf(results.front().mean)) {
    throw DataError(options.out +
                    ": in no cell has every seed ended an episode in its last tenth, so there is "
                    "nothing to rank; give more --steps and another --out");
  }
  std::string csv = "cell,mean_return_last_tenth,worst_seed,settings\n";
  for (const CellResult& result : results) {
    std::string settings;
    const json& cell = manifest.at("cells").at(static_cast<std::size_t>(result.cell));
    for (const auto& [key, value] : cell.at("set").items()) {
      settings += (settings.empty() ? "" : " ") + key + '=' + value.get<std::string>();
    }
    char line[64];
    std::snprintf(line, sizeof line, "%d,%.1f,%.1f,", result.cell, result.mean, result.worst);
    csv += line + settings + '\n';
  }
  std::printf("%s", csv.c_str());
  write_file(options.out + "/results.csv", csv);
  const json& best = manifest.at("cells").at(static_cast<std::size_t>(results.front().cell));
  std::string toml = "[learner]\n";
  for (const auto& [key, value] : best.at("set").items()) {
    toml += key + " = " + value.get<std::string>() + '\n';
  }
  write_file(options.out + "/best.toml", toml);
  std::printf("next: instep train %s --config %s/best.toml\n", options.task.c_str(),
              options.out.c_str());
  return worst;
}

// ------------------------------------------------------------------------------------------------
// Yardsticks

namespace {

// An action [2] for an observation [8] at a step of an episode.
using Actor = std::function<void(const double*, std::uint64_t, float*)>;

double mean_return(Environment& world, std::uint64_t seed, int episodes, const Actor& actor) {
  std::array<float, kCreateMoverActionDim> action{};
  const auto act = [&](const double* observation, std::uint64_t step) {
    actor(observation, step, action.data());
    return action.data();
  };
  double sum = 0.0;
  std::uint64_t number = 0;
  for (int i = 0; i < episodes; ++i) {
    const auto result = run_whole_episode(world, seed, number, act);
    if (!result) throw IoError(cut_episodes_text());
    sum += result->episode_return;
  }
  return sum / episodes;
}

double over_seeds(const YardstickOptions& options, Environment& world, const Actor& actor) {
  double sum = 0.0;
  for (int seed = 0; seed < options.seeds; ++seed) {
    sum += mean_return(world, static_cast<std::uint64_t>(seed), options.episodes, actor);
  }
  return sum / options.seeds;
}

double print_grid(const YardstickOptions& options, Environment& world) {
  constexpr int kSteps = 21;
  double best = -HUGE_VAL;
  std::array<float, 2> best_action{};
  std::printf(
      "mean return of constant actions: a row for each left, a column for each right wheel, "
      "-1 to 1 by 0.1\n");
  for (int row = 0; row < kSteps; ++row) {
    for (int column = 0; column < kSteps; ++column) {
      const float left = -1.0F + 0.1F * static_cast<float>(row);
      const float right = -1.0F + 0.1F * static_cast<float>(column);
      const double value =
          over_seeds(options, world, [=](const double*, std::uint64_t, float* action) {
            action[0] = left;
            action[1] = right;
          });
      std::printf("%s%.0f", column > 0 ? " " : "", value);
      if (value > best) {
        best = value;
        best_action = {left, right};
      }
    }
    std::printf("\n");
  }
  std::printf("best constant action: %.1f %.1f, mean return %.1f\n",
              static_cast<double>(best_action[0]), static_cast<double>(best_action[1]), best);
  return best;
}

// What a run's policy is shown of the light bumpers: their own signals, those of another moment, or
// each one another's.
enum class Sight { kOwn, kOtherMoments, kOtherSensors };

constexpr std::size_t kLightBumps = 6;
using LightBumps = std::array<double, kLightBumps>;

// The run's policy, which draws its actions as in training. `moments` takes what it saw with its
// own eyes, and is what other moments are drawn from.
double run_return(const std::string& folder, int episodes, Sight sight,
                  std::vector<LightBumps>& moments) {
  const RunConfig config = read_config_toml(folder + "/config.toml");
  const auto session = open_session(folder, config);
  const auto policy = session->agent().make_policy(false);
  const auto shown = [&](std::uint64_t step, LightBumps& bumps) {
    std::array<double, kLightBumps> draws{};
    evaluation_random(config.seed, Stream::kTaskEvents).uniform(step, draws.data(), kLightBumps);
    const auto below = [](double draw, std::size_t count) {
      return std::min(count - 1, static_cast<std::size_t>(draw * static_cast<double>(count)));
    };
    if (sight == Sight::kOwn) moments.push_back(bumps);
    if (sight == Sight::kOtherMoments) bumps = moments[below(draws[0], moments.size())];
    if (sight != Sight::kOtherSensors) return;
    for (std::size_t i = kLightBumps - 1; i > 0; --i) {
      std::swap(bumps[i], bumps[below(draws[i], i + 1)]);
    }
  };
  const Actor actor = [&](const double* observation, std::uint64_t step, float* action) {
    LightBumps bumps{};
    std::copy_n(observation, kLightBumps, bumps.begin());
    shown(step, bumps);
    std::array<double, kCreateMoverObservationDim> seen{};
    std::copy_n(observation, seen.size(), seen.begin());
    std::copy(bumps.begin(), bumps.end(), seen.begin());
    std::copy_n(draw_action(*policy, kCreateMoverActionDim, config.seed, step, seen.data()),
                kCreateMoverActionDim, action);
  };
  return mean_return(session->world(), config.seed, episodes, actor);
}

// Everything that print_run() needs of a run: what is wrong with it is said before hours are spent.
void check_run(const std::string& run, const std::string& task) {
  require_run_folder(run);
  const RunConfig config = read_config_toml(run + "/config.toml");
  if (config.task != task) throw UsageError(run + ": is not a run of " + task);
  open_session(run, config);
  read_episodes(run + "/episodes.csv");
}

void print_run(const std::string& run, int episodes) {
  const auto steps = static_cast<std::uint64_t>(read_config_toml(run + "/config.toml").steps);
  const auto trained =
      mean_return_between(read_episodes(run + "/episodes.csv"), steps - steps / 10, steps);
  std::vector<LightBumps> moments;
  const double own = run_return(run, episodes, Sight::kOwn, moments);
  const double other_moments = run_return(run, episodes, Sight::kOtherMoments, moments);
  const double other_sensors = run_return(run, episodes, Sight::kOtherSensors, moments);
  std::printf(
      "%s: last tenth of training %.1f; policy %.1f; shown light bumpers of another moment %.1f, "
      "in another order %.1f\n",
      run.c_str(), trained.value_or(std::nan("")), own, other_moments, other_sensors);
}

// ur_reacher2's P controller, and an arm that stands, in the evaluation episodes of a seed.
struct ReacherYardsticks {
  double p_controller = 0.0;
  double standing = 0.0;
};

ReacherYardsticks reacher_yardsticks(Environment& world, std::uint64_t seed, int episodes) {
  return {mean_return(world, seed, episodes,
                      [](const double* observation, std::uint64_t, float* action) {
                        ur_reacher2_p_controller(observation, action);
                      }),
          mean_return(world, seed, episodes, [](const double*, std::uint64_t, float* action) {
            action[0] = action[1] = 0.0F;
          })};
}

void print_reacher_run(const std::string& run, Environment& world, int episodes) {
  const RunConfig config = read_config_toml(run + "/config.toml");
  const auto session = open_session(run, config);
  const auto policy = session->agent().make_policy(false);
  const double value = mean_return(
      world, config.seed, episodes, [&](const double* seen, std::uint64_t step, float* action) {
        std::copy_n(draw_action(*policy, kUrReacher2ActionDim, config.seed, step, seen),
                    kUrReacher2ActionDim, action);
      });
  const ReacherYardsticks between = reacher_yardsticks(world, config.seed, episodes);
  const double share = (value - between.standing) / (between.p_controller - between.standing);
  std::printf("%s: policy %.1f; P controller %.1f, standing %.1f; share of the way %.3f\n",
              run.c_str(), value, between.p_controller, between.standing, share);
}

int run_reacher_yardsticks(const YardstickOptions& options) {
  const auto world = make_ur_reacher2();
  for (int seed = 0; seed < options.seeds; ++seed) {
    const ReacherYardsticks one =
        reacher_yardsticks(*world, static_cast<std::uint64_t>(seed), options.episodes);
    std::printf("seed %d: P controller %.1f, standing %.1f\n", seed, one.p_controller,
                one.standing);
  }
  for (const std::string& run : options.runs) print_reacher_run(run, *world, options.episodes);
  return kDone;
}

}  // namespace

int run_yardsticks(const YardstickOptions& options) {
  for (const std::string& run : options.runs) check_run(run, options.task);
  if (options.task == "ur_reacher2") return run_reacher_yardsticks(options);
  const auto world = make_create_mover();
  const double constant = print_grid(options, *world);
  double avoider = 0.0;
  for (int seed = 0; seed < options.seeds; ++seed) {
    const double value = mean_return(*world, static_cast<std::uint64_t>(seed), options.episodes,
                                     [](const double* observation, std::uint64_t, float* action) {
                                       wall_avoider(observation, action);
                                     });
    std::printf("wall avoider, seed %d: %.1f\n", seed, value);
    avoider += value / options.seeds;
  }
  std::printf(
      "wall avoider: %.1f\na quarter of the way from the best constant action to it: %.1f\n",
      avoider, constant + 0.25 * (avoider - constant));
  std::printf("the best constant action and ten per cent: %.1f\n", 1.1 * constant);
  for (const std::string& run : options.runs) print_run(run, 5 * options.episodes);
  return kDone;
}

}  // namespace instep

#include "tools/library/measure/yardsticks.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/philox.h"
#include "runtime/policy.h"
#include "tasks/create_mover/create_mover.h"
#include "tasks/create_mover/wall_avoider.h"
#include "tasks/ur_reacher2/ur_reacher2.h"
#include "tools/library/error.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/eval.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
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

// Of each right wheel.
std::vector<double> grid_row(const YardstickOptions& options, Environment& world, float left) {
  std::vector<double> row;
  for (int column = 0; column < kConstantActions; ++column) {
    const float right = constant_action(column);
    row.push_back(over_seeds(options, world, [=](const double*, std::uint64_t, float* action) {
      action[0] = left;
      action[1] = right;
    }));
  }
  return row;
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

// Everything that is needed of a run: what is wrong with it is said before hours are spent.
void check_run(const std::string& run, const std::string& task) {
  require_run_folder(run);
  const RunConfig config = read_config_toml(run + "/config.toml");
  if (config.task != task) throw UsageError(run + ": is not a run of " + task);
  open_session(run, config);
  read_episodes(run + "/episodes.csv");
}

MoverRun mover_run(const std::string& run, int episodes) {
  const auto steps = static_cast<std::uint64_t>(read_config_toml(run + "/config.toml").steps);
  MoverRun result{.run = run};
  result.trained =
      mean_return_between(read_episodes(run + "/episodes.csv"), steps - steps / 10, steps);
  std::vector<LightBumps> moments;
  result.policy = run_return(run, episodes, Sight::kOwn, moments);
  result.other_moments = run_return(run, episodes, Sight::kOtherMoments, moments);
  result.other_sensors = run_return(run, episodes, Sight::kOtherSensors, moments);
  return result;
}

ReacherBounds reacher_bounds(Environment& world, std::uint64_t seed, int episodes) {
  return {mean_return(world, seed, episodes,
                      [](const double* observation, std::uint64_t, float* action) {
                        ur_reacher2_p_controller(observation, action);
                      }),
          mean_return(world, seed, episodes, [](const double*, std::uint64_t, float* action) {
            action[0] = action[1] = 0.0F;
          })};
}

ReacherRun reacher_run(const std::string& run, Environment& world, int episodes) {
  const RunConfig config = read_config_toml(run + "/config.toml");
  const auto session = open_session(run, config);
  const auto policy = session->agent().make_policy(false);
  const double value = mean_return(
      world, config.seed, episodes, [&](const double* seen, std::uint64_t step, float* action) {
        std::copy_n(draw_action(*policy, kUrReacher2ActionDim, config.seed, step, seen),
                    kUrReacher2ActionDim, action);
      });
  return {run, value, reacher_bounds(world, config.seed, episodes)};
}

void check(const YardstickOptions& options, const std::string& task) {
  if (options.episodes < 1 || options.seeds < 1) {
    throw UsageError("--episodes and --seeds must be at least 1");
  }
  for (const std::string& run : options.runs) check_run(run, task);
}

}  // namespace

MoverYardsticks create_mover_yardsticks(const YardstickOptions& options, const RowTold& told) {
  check(options, "create_mover");
  const auto world = make_create_mover();
  MoverYardsticks result{.best = -HUGE_VAL};
  for (int i = 0; i < kConstantActions; ++i) {
    result.constant.push_back(grid_row(options, *world, constant_action(i)));
    const std::vector<double>& row = result.constant.back();
    if (told) told(row);
    const auto best = std::max_element(row.begin(), row.end());
    if (*best <= result.best) continue;
    result.best = *best;
    result.best_action = {constant_action(i),
                          constant_action(static_cast<int>(best - row.begin()))};
  }
  for (int seed = 0; seed < options.seeds; ++seed) {
    result.wall_avoider.push_back(
        mean_return(*world, static_cast<std::uint64_t>(seed), options.episodes,
                    [](const double* observation, std::uint64_t, float* action) {
                      wall_avoider(observation, action);
                    }));
    result.wall_avoider_mean += result.wall_avoider.back() / options.seeds;
  }
  for (const std::string& run : options.runs) {
    result.runs.push_back(mover_run(run, 5 * options.episodes));
  }
  return result;
}

ReacherYardsticks ur_reacher2_yardsticks(const YardstickOptions& options) {
  check(options, "ur_reacher2");
  const auto world = make_ur_reacher2();
  ReacherYardsticks result;
  for (int seed = 0; seed < options.seeds; ++seed) {
    result.seeds.push_back(
        reacher_bounds(*world, static_cast<std::uint64_t>(seed), options.episodes));
  }
  for (const std::string& run : options.runs) {
    result.runs.push_back(reacher_run(run, *world, options.episodes));
  }
  return result;
}

}  // namespace instep

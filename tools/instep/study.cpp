#include "tools/instep/study.h"

#include <cmath>
#include <cstdio>

#include "tools/instep/stop_signals.h"
#include "tools/library/error.h"

namespace instep {

int run_random_search(const RandomSearchOptions& given) {
  RandomSearchOptions options = given;
  options.stop = &install_stop_handler();
  const RandomSearchResult result = random_search(options);
  if (result.cells.empty()) {
    std::printf("not all runs are done; the same command goes on with them\n");
    return result.worst_exit_code;
  }
  std::printf("%s", csv_text(result.cells).c_str());
  std::printf("next: instep train %s --config %s/best.toml\n", options.task.c_str(),
              options.out.c_str());
  return result.worst_exit_code;
}

namespace {

void print_row(std::span<const double> row) {
  for (std::size_t i = 0; i < row.size(); ++i) std::printf("%s%.0f", i > 0 ? " " : "", row[i]);
  std::printf("\n");
}

int run_mover_yardsticks(const YardstickOptions& options) {
  bool has_heading = false;
  const MoverYardsticks result =
      create_mover_yardsticks(options, [&has_heading](std::span<const double> row) {
        if (!has_heading) {
          std::printf(
              "mean return of constant actions: a row for each left, a column for each right "
              "wheel, -1 to 1 by 0.1\n");
        }
        has_heading = true;
        print_row(row);
      });
  std::printf("best constant action: %.1f %.1f, mean return %.1f\n",
              static_cast<double>(result.best_action[0]),
              static_cast<double>(result.best_action[1]), result.best);
  for (std::size_t seed = 0; seed < result.wall_avoider.size(); ++seed) {
    std::printf("wall avoider, seed %zu: %.1f\n", seed, result.wall_avoider[seed]);
  }
  const double avoider = result.wall_avoider_mean;
  std::printf(
      "wall avoider: %.1f\na quarter of the way from the best constant action to it: %.1f\n",
      avoider, result.best + 0.25 * (avoider - result.best));
  std::printf("the best constant action and ten per cent: %.1f\n", 1.1 * result.best);
  for (const MoverRun& run : result.runs) {
    std::printf(
        "%s: last tenth of training %.1f; policy %.1f; shown light bumpers of another moment %.1f, "
        "in another order %.1f\n",
        run.run.c_str(), run.trained.value_or(std::nan("")), run.policy, run.other_moments,
        run.other_sensors);
  }
  return kDone;
}

int run_reacher_yardsticks(const YardstickOptions& options) {
  const ReacherYardsticks result = ur_reacher2_yardsticks(options);
  for (std::size_t seed = 0; seed < result.seeds.size(); ++seed) {
    std::printf("seed %zu: P controller %.1f, standing %.1f\n", seed,
                result.seeds[seed].p_controller, result.seeds[seed].standing);
  }
  for (const ReacherRun& run : result.runs) {
    std::printf("%s: policy %.1f; P controller %.1f, standing %.1f; share of the way %.3f\n",
                run.run.c_str(), run.policy, run.bounds.p_controller, run.bounds.standing,
                run.share());
  }
  return kDone;
}

}  // namespace

int run_yardsticks(const YardstickCommand& options) {
  return options.task == "ur_reacher2" ? run_reacher_yardsticks(options)
                                       : run_mover_yardsticks(options);
}

}  // namespace instep

// What a robot's task is measured against: what needs no learning.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace instep {

struct YardstickOptions {
  int episodes = 10;                // of each seed
  int seeds = 5;                    // from 0 on
  std::vector<std::string> runs{};  // of the task
};

// -1 to 1 by 0.1.
inline constexpr int kConstantActions = 21;
constexpr float constant_action(int i) {
  return -1.0F + 0.1F * static_cast<float>(i);
}

// Mean returns of a run's policy.
struct MoverRun {
  std::string run;
  std::optional<double> trained{};  // of the last tenth of its training
  double policy = 0.0;              // as it is,
  double other_moments = 0.0;       // shown the light bumpers of another moment at every step,
  double other_sensors = 0.0;       // and its six light bumpers in another order
};

struct MoverYardsticks {
  // [kConstantActions][kConstantActions]: mean returns of constant actions, a row for each left
  // wheel, a column for each right one.
  std::vector<std::vector<double>> constant{};
  std::array<float, 2> best_action{};
  double best = 0.0;
  std::vector<double> wall_avoider{};  // hand-written: of each seed
  double wall_avoider_mean = 0.0;
  std::vector<MoverRun> runs{};
};

// Told of each row of the grid as soon as it is there.
using RowTold = std::function<void(std::span<const double> row)>;

// Throws CommandError.
MoverYardsticks create_mover_yardsticks(const YardstickOptions& options, const RowTold& told = {});

// A Cartesian P controller and an arm that stands, in the episodes that evaluate() of a seed has.
struct ReacherBounds {
  double p_controller = 0.0;
  double standing = 0.0;
};

struct ReacherRun {
  std::string run;
  double policy = 0.0;
  ReacherBounds bounds{};  // in its own seed's episodes

  // How far its policy lies on the way from the arm that stands to the controller.
  double share() const {
    return (policy - bounds.standing) / (bounds.p_controller - bounds.standing);
  }
};

struct ReacherYardsticks {
  std::vector<ReacherBounds> seeds{};
  std::vector<ReacherRun> runs{};
};

// Throws CommandError.
ReacherYardsticks ur_reacher2_yardsticks(const YardstickOptions& options);

}  // namespace instep

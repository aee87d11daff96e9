#include "tasks/registry.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "drivers/registry.h"
#include "runtime/table.h"
#include "tasks/create_mover/create_mover.h"
#include "tasks/dot_reacher/dot_reacher.h"
#include "tasks/mujoco/mujoco_task.h"
#include "tasks/ur_reacher2/ur_reacher2.h"

namespace instep {
namespace {

// Step sizes published for AVG (the reference's README): hyper-parameter seed 122 for hopper and
// walker2d, 129 for the others. IAC's one published example is its table's (actor_critic.cpp).
constexpr SettingDefault kCautious[] = {
    {"avg", "entropy_coef", 0.3}, {"avg", "actor_lr", 1.1e-5}, {"avg", "critic_lr", 7.7e-5}};
constexpr SettingDefault kBold[] = {
    {"avg", "entropy_coef", 0.07}, {"avg", "actor_lr", 6.3e-3}, {"avg", "critic_lr", 8.7e-3}};
// The best of a random search (docs/results.md).
constexpr SettingDefault kCreateMover[] = {{"avg", "discount", 0.995},
                                           {"avg", "entropy_coef", 0.0153},
                                           {"avg", "actor_lr", 8.46e-3},
                                           {"avg", "critic_lr", 1.53e-2}};
// The best of eight that were tried (docs/ur.md).
constexpr SettingDefault kUrReacher2[] = {{"avg", "discount", 0.97},
                                          {"avg", "entropy_coef", 0.02},
                                          {"avg", "actor_lr", 2e-3},
                                          {"avg", "critic_lr", 8.7e-3}};
// The best of four that were tried (docs/results.md); none are published.
constexpr SettingDefault kDotReacher[] = {
    {"avg", "entropy_coef", 0.07}, {"avg", "actor_lr", 3e-4}, {"avg", "critic_lr", 4e-3}};

enum class Robot { kHopper, kHalfCheetah, kWalker2d, kAnt, kHumanoid };
constexpr std::array<std::string_view, 5> kGymnasiumNames = {"Hopper", "HalfCheetah", "Walker2d",
                                                             "Ant", "Humanoid"};

template <Robot robot>
std::unique_ptr<Environment> make_robot() {
  return make_mujoco_task(kGymnasiumNames[static_cast<std::size_t>(robot)]);
}

constexpr bool kHaveMujoco = INSTEP_HAVE_MUJOCO != 0;
constexpr std::string_view kMissing =
    kHaveMujoco
        ? ""
        : "this build has no MuJoCo: install libmujoco-dev (2.2 or 2.3), then configure and "
          "build again";

template <Robot robot>
constexpr TaskInfo robot_task(TaskInfo info) {
  info.episode_steps_max = kMujocoStepsMax;
  info.default_steps = 1'000'000;
  info.make = kHaveMujoco ? make_robot<robot> : nullptr;
  info.missing = kMissing;
  return info;
}

constexpr std::array kTasks = {
    TaskInfo{.name = "dot_reacher",
             .summary = "a point in a box comes to rest in its middle",
             .observation_dim = kDotReacherObservationDim,
             .action_dim = kDotReacherActionDim,
             .period_s = kDotReacherPeriodS,
             .episode_steps_max = kDotReacherStepsMax,
             .default_steps = 100'000,
             .defaults = kDotReacher,
             .make = make_dot_reacher},
    TaskInfo{.name = "create_mover",
             .summary = "an iRobot Create 2 drives forward and keeps clear of walls",
             .observation_dim = kCreateMoverObservationDim,
             .action_dim = kCreateMoverActionDim,
             .period_s = kCreateMoverPeriodS,
             .episode_steps_max = kCreateMoverStepsMax,
             .default_steps = 100'000,
             .defaults = kCreateMover,
             .make = make_create_mover,
             .changes =
                 "left_wheel, right_wheel (0 to 1.5), sensor_swap (0, 1) and delay (0 to 6 steps)",
             .make_robot = []() -> std::unique_ptr<RobotTask> {
               return std::make_unique<CreateMover>();
             },
             .driver = "create2"},
    TaskInfo{
        .name = "ur_reacher2",
        .summary = "two joints of a UR5 bring its tip to a target in a plane",
        .observation_dim = kUrReacher2ObservationDim,
        .action_dim = kUrReacher2ActionDim,
        .period_s = kUrReacher2PeriodS,
        .episode_steps_max = kUrReacher2StepsMax,
        .default_steps = 400'000,
        .defaults = kUrReacher2,
        .make = make_ur_reacher2,
        .changes = "joint_gain (of shoulder and elbow, 0 to 1), joint_sign (-1, 1), sensor_swap "
                   "(0, 1) and delay (0 to 6 steps)",
        .make_robot = []() -> std::unique_ptr<RobotTask> { return std::make_unique<UrReacher2>(); },
        .driver = "ur"},
    robot_task<Robot::kHopper>({.name = "hopper",
                                .summary = "one leg hops forward (Gymnasium's Hopper-v4)",
                                .observation_dim = 11,
                                .action_dim = 3,
                                .period_s = 0.008,
                                .defaults = kCautious}),
    robot_task<Robot::kHalfCheetah>(
        {.name = "half_cheetah",
         .summary = "a two-legged body runs forward (Gymnasium's HalfCheetah-v4)",
         .observation_dim = 17,
         .action_dim = 6,
         .period_s = 0.05,
         .defaults = kBold}),
    robot_task<Robot::kWalker2d>({.name = "walker2d",
                                  .summary = "two legs walk forward (Gymnasium's Walker2d-v4)",
                                  .observation_dim = 17,
                                  .action_dim = 6,
                                  .period_s = 0.008,
                                  .defaults = kCautious}),
    robot_task<Robot::kAnt>({.name = "ant",
                             .summary = "a four-legged body runs forward (Gymnasium's Ant-v4)",
                             .observation_dim = 27,
                             .action_dim = 8,
                             .period_s = 0.05,
                             .defaults = kBold}),
    robot_task<Robot::kHumanoid>({.name = "humanoid",
                                  .summary = "a figure walks forward (Gymnasium's Humanoid-v4)",
                                  .observation_dim = 376,
                                  .action_dim = 17,
                                  .period_s = 0.015,
                                  .action_limit = 0.4,
                                  .defaults = kBold}),
};

Table<TaskInfo>& table() {
  static Table<TaskInfo> tasks("task", kTasks, [](const TaskInfo& info) { return info.name; });
  return tasks;
}

}  // namespace

void apply_task_defaults(RunSettings& settings, const TaskInfo& task) {
  settings.choose(*settings.algorithm);
  for (const SettingDefault& each : task.defaults) {
    if (each.algorithm == settings.algorithm->name) settings.values.set(each.key, each.value);
  }
}

void add_task(const TaskInfo& info) {
  if (info.make_robot != nullptr && find_driver(info.driver) == nullptr) {
    throw std::invalid_argument("task '" + std::string(info.name) + "': there is no driver '" +
                                std::string(info.driver) + '\'');
  }
  table().add(info);
}

std::span<const TaskInfo> all_tasks() {
  return table().lines();
}

namespace {

// Lower-case letters and digits alone, without a version at the end ("-v4").
std::string plain(std::string_view name) {
  const std::size_t version = name.rfind("-v");
  if (version != std::string_view::npos && version + 2 < name.size() &&
      name.find_first_not_of("0123456789", version + 2) == std::string_view::npos) {
    name = name.substr(0, version);
  }
  std::string result;
  for (const char letter : name) {
    const char c = ascii_lower(letter);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) result += c;
  }
  return result;
}

}  // namespace

const TaskInfo* task_called(std::string_view name) {
  std::string called = plain(name);
  if (called == "roomba") called = plain("create2");
  if (called.empty()) return nullptr;
  // A robot's model, as ur5 or ur10e, is its driver's name and a number.
  const std::string robot = called.substr(0, called.find_last_not_of("0123456789e") + 1);
  for (const TaskInfo& task : all_tasks()) {
    const std::string driver = plain(task.driver);
    if (plain(task.name) == called || driver == called || (!robot.empty() && driver == robot)) {
      return &task;
    }
  }
  return nullptr;
}

const TaskInfo* find_task(std::string_view name) {
  const auto all = all_tasks();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [name](const TaskInfo& task) { return task.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace instep

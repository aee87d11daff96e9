// The tasks by name. Adding one is a folder or file that implements Environment and one entry in
// registry.cpp; the tests that walk all_tasks() then cover it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "runtime/environment.h"
#include "runtime/robot.h"
#include "runtime/settings.h"

namespace instep {

// What learning a task begins with where its algorithm's own initial value is not it.
struct SettingDefault {
  std::string_view algorithm;
  std::string_view key;
  double value = 0.0;
};

// What is known of a task before it is made. Plain data with static lifetime.
struct TaskInfo {
  std::string_view name;
  std::string_view summary;  // one line for `instep tasks`
  int observation_dim = 0;
  int action_dim = 0;
  double period_s = 0.0;      // one control step, in seconds of the task's world
  double action_limit = 1.0;  // actions are clipped to [-limit, limit], never rescaled
  int episode_steps_max = 0;  // the time limit, in control steps
  std::int64_t default_steps = 0;
  std::span<const SettingDefault> defaults{};  // of all algorithms that have any here
  // Makes the world; null when this build cannot (then `missing` says what to install).
  std::unique_ptr<Environment> (*make)() = nullptr;
  std::string_view missing{};
  // What Environment::change() takes, with the values, as text for users; empty when nothing.
  std::string_view changes{};
  // For real time: the task on a robot, and the name of the robot's driver; null and empty for
  // tasks that have no robot.
  std::unique_ptr<RobotTask> (*make_robot)() = nullptr;
  std::string_view driver{};
};

// Gives the settings' algorithm its initial values, and the task's own over them.
void apply_task_defaults(RunSettings& settings, const TaskInfo& task);

// One more, of a program outside this tree (runtime/table.h says when). Throws
// std::invalid_argument where its name is another's, or its driver is none.
void add_task(const TaskInfo& info);

// Every task this program knows, available or not, in the order they are listed to users.
std::span<const TaskInfo> all_tasks();

// The task of that name, or null.
const TaskInfo* find_task(std::string_view name);

// The task that is called so elsewhere, or null: "HalfCheetah-v4", "half-cheetah", "Hopper", and a
// robot by its driver ("create2").
const TaskInfo* task_called(std::string_view name);

}  // namespace instep

// The tasks by name. Adding one is a folder or file that implements Environment and one entry in
// registry.cpp; the tests that walk all_tasks() then cover it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "kernels/settings.h"
#include "runtime/environment.h"
#include "runtime/realtime/robot_kit.h"

namespace instep {

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
  LearnerSettings settings;  // published settings of this task
  // Makes the world; null when this build cannot (then `missing` says what to install).
  std::unique_ptr<Environment> (*make)() = nullptr;
  std::string_view missing{};
  // For real time: the robot's driver and the task on it; null for tasks that have no robot.
  RobotKit (*make_robot)() = nullptr;
};

// Every task this program knows, available or not, in the order they are listed to users.
std::span<const TaskInfo> all_tasks();

// The task of that name, or null.
const TaskInfo* find_task(std::string_view name);

}  // namespace instep

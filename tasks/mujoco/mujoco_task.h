// The five locomotion tasks of Gymnasium (version 4) on MuJoCo's C library. This header needs no
// MuJoCo: a build without the library has the same interface and makes no task.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "runtime/environment.h"

namespace instep {

// The time limit of all five, in control steps.
inline constexpr int kMujocoStepsMax = 1000;

// One simulated robot. Beside what the loop needs it lets a check enter a recorded start and apply
// recorded controls. When MuJoCo finds a number it cannot go on from (a NaN in the action
// included), the step answers NaN as reward and in every component of the observation, with
// terminated false and truncated true; so does every step after it, until the next reset.
class MujocoTask : public Environment {
 public:
  // Begins an episode at qpos [qpos().size()] and qvel [qvel().size()], in MuJoCo's units (metres,
  // radians, seconds). Overwrites observation [observation_dim()].
  virtual void reset_to(const double* qpos, const double* qvel, double* observation) = 0;

  // One control period with control [control_dim()] as it is: not clipped before it enters the
  // cost, as in Gymnasium (the simulator itself clips what its motors get). Overwrites observation.
  virtual Outcome apply(const double* control, double* observation) = 0;

  virtual int observation_dim() const = 0;
  virtual int control_dim() const = 0;
  // Controls are in [-control_limit(), control_limit()]; step() clips to it.
  virtual double control_limit() const = 0;
  // Length of apply()'s control period, in simulated seconds.
  virtual double period_s() const = 0;

  // The simulator's generalised positions and velocities as they are now. Valid until the next
  // call.
  virtual std::span<const double> qpos() const = 0;
  virtual std::span<const double> qvel() const = 0;
};

// The task of Gymnasium's name without its version ("Hopper", "HalfCheetah", "Walker2d", "Ant",
// "Humanoid"), not yet reset; null when there is no such task or this build has no MuJoCo. Throws
// std::runtime_error when the library refuses the model.
std::unique_ptr<MujocoTask> make_mujoco_task(std::string_view gymnasium_name);

// The model of that task as MJCF text; empty when there is no such task or this build has no
// MuJoCo.
std::string_view mujoco_model_xml(std::string_view gymnasium_name);

}  // namespace instep

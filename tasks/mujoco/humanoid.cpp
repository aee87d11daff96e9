// Gymnasium's Humanoid-v4: a figure of 17 motors walks along x.
#include <mujoco/mujoco.h>

#include <algorithm>

#include "tasks/mujoco/mujoco_spec.h"

namespace instep {
namespace {

enum Qpos { kX = 0, kY = 1, kHeight = 2 };

// x of the centre of mass of all bodies, one integration stage older than qpos.
double position(const mjModel& model, const mjData& data) {
  double moment = 0.0;
  double mass = 0.0;
  for (int body = 0; body < model.nbody; ++body) {
    moment += model.body_mass[body] * data.xipos[3 * body];
    mass += model.body_mass[body];
  }
  return moment / mass;
}

// The pose without x and y, the velocities, then per body (the world's zeros included) inertia in
// the frame of the centre of mass [10] and velocity there [6], the motors' forces on the joints,
// and per body the contact force [6]. Contact forces of a reset are zero: nothing computes them
// then.
void observe(const mjModel& model, const mjData& data, double* observation) {
  double* next = std::copy(data.qpos + kHeight, data.qpos + model.nq, observation);
  next = std::copy(data.qvel, data.qvel + model.nv, next);
  next = std::copy(data.cinert, data.cinert + 10 * model.nbody, next);
  next = std::copy(data.cvel, data.cvel + 6 * model.nbody, next);
  next = std::copy(data.qfrc_actuator, data.qfrc_actuator + model.nv, next);
  std::copy(data.cfrc_ext, data.cfrc_ext + 6 * model.nbody, next);
}

bool terminated(const mjModel& /*model*/, const mjData& data) {
  const bool healthy = data.qpos[kHeight] > 1.0 && data.qpos[kHeight] < 2.0;
  return !healthy;
}

}  // namespace

const MujocoSpec kHumanoidSpec = {
    .gymnasium_name = "Humanoid",
    .model_xml = kHumanoidXml,
    .observation_dim = 376,
    .frame_skip = 5,
    .control_limit = 0.4,
    .reset_noise = 0.01,
    .velocity_noise = VelocityNoise::kUniform,
    .forward_weight = 1.25,
    .alive_bonus = 5.0,
    .control_cost = 0.1,
    .position = position,
    .observe = observe,
    .terminated = terminated,
};

}  // namespace instep

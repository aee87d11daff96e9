// Gymnasium's HalfCheetah-v4: a two-legged body runs along x; nothing ends an episode but its time.
#include <mujoco/mujoco.h>

#include <algorithm>

#include "tasks/mujoco/mujoco_spec.h"

namespace instep {
namespace {

enum Qpos { kX = 0, kHeight = 1 };

double position(const mjModel& /*model*/, const mjData& data) {
  return data.qpos[kX];
}

// The pose without x, then the velocities.
void observe(const mjModel& model, const mjData& data, double* observation) {
  double* next = std::copy(data.qpos + kHeight, data.qpos + model.nq, observation);
  std::copy(data.qvel, data.qvel + model.nv, next);
}

bool terminated(const mjModel& /*model*/, const mjData& /*data*/) {
  return false;
}

}  // namespace

const MujocoSpec kHalfCheetahSpec = {
    .gymnasium_name = "HalfCheetah",
    .model_xml = kHalfCheetahXml,
    .observation_dim = 17,
    .frame_skip = 5,
    .control_limit = 1.0,
    .reset_noise = 0.1,
    .velocity_noise = VelocityNoise::kNormal,
    .forward_weight = 1.0,
    .alive_bonus = 0.0,
    .control_cost = 0.1,
    .position = position,
    .observe = observe,
    .terminated = terminated,
};

}  // namespace instep

// Gymnasium's Ant-v4, without contact forces: a four-legged body runs along x.
#include <mujoco/mujoco.h>

#include <algorithm>

#include "tasks/mujoco/mujoco_spec.h"

namespace instep {
namespace {

enum Qpos { kX = 0, kY = 1, kHeight = 2 };

constexpr int kTorso = 1;  // the first body after the world

// The body's frame, not qpos: it is one integration stage older, and the reward is defined by it.
double position(const mjModel& /*model*/, const mjData& data) {
  return data.xpos[3 * kTorso];
}

// The pose without x and y, then the velocities.
void observe(const mjModel& model, const mjData& data, double* observation) {
  double* next = std::copy(data.qpos + kHeight, data.qpos + model.nq, observation);
  std::copy(data.qvel, data.qvel + model.nv, next);
}

bool terminated(const mjModel& /*model*/, const mjData& data) {
  const bool healthy = data.qpos[kHeight] >= 0.2 && data.qpos[kHeight] <= 1.0;
  return !healthy;
}

}  // namespace

const MujocoSpec kAntSpec = {
    .gymnasium_name = "Ant",
    .model_xml = kAntXml,
    .observation_dim = 27,
    .frame_skip = 5,
    .control_limit = 1.0,
    .reset_noise = 0.1,
    .velocity_noise = VelocityNoise::kNormal,
    .forward_weight = 1.0,
    .alive_bonus = 1.0,
    .control_cost = 0.5,
    .position = position,
    .observe = observe,
    .terminated = terminated,
};

}  // namespace instep

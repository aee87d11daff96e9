// Gymnasium's Walker2d-v4: two legs walk along x.
#include <mujoco/mujoco.h>

#include <algorithm>

#include "tasks/mujoco/mujoco_spec.h"

namespace instep {
namespace {

enum Qpos { kX = 0, kHeight = 1, kPitch = 2 };

double position(const mjModel& /*model*/, const mjData& data) {
  return data.qpos[kX];
}

// The pose without x, then the velocities clipped to +-10.
void observe(const mjModel& model, const mjData& data, double* observation) {
  double* next = std::copy(data.qpos + kHeight, data.qpos + model.nq, observation);
  std::transform(data.qvel, data.qvel + model.nv, next,
                 [](double v) { return std::clamp(v, -10.0, 10.0); });
}

bool terminated(const mjModel& /*model*/, const mjData& data) {
  const bool healthy = data.qpos[kHeight] > 0.8 && data.qpos[kHeight] < 2.0 &&
                       data.qpos[kPitch] > -1.0 && data.qpos[kPitch] < 1.0;
  return !healthy;
}

}  // namespace

const MujocoSpec kWalker2dSpec = {
    .gymnasium_name = "Walker2d",
    .model_xml = kWalker2dXml,
    .observation_dim = 17,
    .frame_skip = 4,
    .control_limit = 1.0,
    .reset_noise = 0.005,
    .velocity_noise = VelocityNoise::kUniform,
    .forward_weight = 1.0,
    .alive_bonus = 1.0,
    .control_cost = 0.001,
    .position = position,
    .observe = observe,
    .terminated = terminated,
};

}  // namespace instep

// Gymnasium's Hopper-v4: one leg hops along x.
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

bool terminated(const mjModel& model, const mjData& data) {
  const auto moderate = [](double value) { return -100.0 < value && value < 100.0; };
  const bool healthy = data.qpos[kHeight] > 0.7 && data.qpos[kPitch] > -0.2 &&
                       data.qpos[kPitch] < 0.2 &&
                       std::all_of(data.qpos + kPitch, data.qpos + model.nq, moderate) &&
                       std::all_of(data.qvel, data.qvel + model.nv, moderate);
  return !healthy;
}

}  // namespace

const MujocoSpec kHopperSpec = {
    .gymnasium_name = "Hopper",
    .model_xml = kHopperXml,
    .observation_dim = 11,
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

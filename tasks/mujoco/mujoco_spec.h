// What tells one MuJoCo task from another. Private to tasks/mujoco.
#pragma once

#include <string_view>

struct mjModel_;  // MuJoCo's own names, so that this header compiles without it
struct mjData_;

namespace instep {

enum class VelocityNoise { kUniform, kNormal };

// Reward of a step: forward_weight * (position after - position before) / period + alive_bonus
// - control_cost * (sum of squared controls). The bonus is paid on the step that terminates, too.
struct MujocoSpec {
  std::string_view gymnasium_name;
  const char* model_xml;
  int observation_dim;
  int frame_skip;  // simulator steps in one control period
  double control_limit;

  // At a reset each qpos gets a uniform draw from +-reset_noise, then each qvel either the same or
  // reset_noise times a normal draw.
  double reset_noise;
  VelocityNoise velocity_noise;

  double forward_weight;
  double alive_bonus;
  double control_cost;

  // The coordinate whose velocity is rewarded, in metres.
  double (*position)(const mjModel_& model, const mjData_& data);
  // Overwrites observation [observation_dim].
  void (*observe)(const mjModel_& model, const mjData_& data, double* observation);
  // Whether the robot fell. Asked only about finite states.
  bool (*terminated)(const mjModel_& model, const mjData_& data);
};

extern const MujocoSpec kHopperSpec;
extern const MujocoSpec kHalfCheetahSpec;
extern const MujocoSpec kWalker2dSpec;
extern const MujocoSpec kAntSpec;
extern const MujocoSpec kHumanoidSpec;

// The models as text, from tasks/mujoco/models.
extern const char kHopperXml[];
extern const char kHalfCheetahXml[];
extern const char kWalker2dXml[];
extern const char kAntXml[];
extern const char kHumanoidXml[];

}  // namespace instep

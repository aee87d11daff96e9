// The compiled models against the numbers of Gymnasium's models, and what the simulator does when
// MuJoCo itself gives up.
#include <gtest/gtest.h>
#include <mujoco/mujoco.h>

#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>
#include <ostream>
#include <string_view>
#include <vector>

#include "tasks/mujoco/mujoco_task.h"

namespace instep {
namespace {

struct Body {
  std::string_view name;
  int parent;
  double mass;
};
struct Joint {
  std::string_view name;
  double low, high;  // both zero: not limited; in degrees where the model says so
  double damping, armature, stiffness;
};
struct Geom {
  std::string_view name;
  double friction;
  int condim, conaffinity;
};
struct Motor {
  std::string_view joint;
  double gear, limit;
};
struct ModelFacts {
  const char* gymnasium_name;
  int nq, nv, nu;
  double total_mass, timestep;
  int integrator, solver, iterations;
  bool degrees;
  std::vector<Body> bodies;  // without the world
  std::vector<Joint> joints;
  std::vector<Geom> geoms;
  std::vector<Motor> motors;
};

void PrintTo(const ModelFacts& facts, std::ostream* out) {
  *out << facts.gymnasium_name;
}

const std::vector<ModelFacts> kModelFacts = {
    {.gymnasium_name = "Hopper",
     .nq = 6,
     .nv = 6,
     .nu = 3,
     .total_mass = 15.8200134,
     .timestep = 0.002,
     .integrator = mjINT_RK4,
     .solver = mjSOL_NEWTON,
     .iterations = 100,
     .degrees = true,
     .bodies = {{"torso", 0, 3.66519143},
                {"thigh", 1, 4.05789051},
                {"leg", 2, 2.7813567},
                {"foot", 3, 5.31557477}},
     .joints = {{"rootx", 0, 0, 0, 0, 0},
                {"rootz", 0, 0, 0, 0, 0},
                {"rooty", 0, 0, 0, 0, 0},
                {"thigh_joint", -150, 0, 1, 1, 0},
                {"leg_joint", -150, 0, 1, 1, 0},
                {"foot_joint", -45, 45, 1, 1, 0}},
     .geoms = {{"floor", 1, 3, 1},
               {"torso_geom", 0.9, 1, 1},
               {"thigh_geom", 0.9, 1, 1},
               {"leg_geom", 0.9, 1, 1},
               {"foot_geom", 2, 1, 1}},
     .motors = {{"thigh_joint", 200, 1}, {"leg_joint", 200, 1}, {"foot_joint", 200, 1}}},
    {.gymnasium_name = "HalfCheetah",
     .nq = 9,
     .nv = 9,
     .nu = 6,
     .total_mass = 14.0,
     .timestep = 0.01,
     .integrator = mjINT_EULER,
     .solver = mjSOL_NEWTON,
     .iterations = 100,
     .degrees = false,
     .bodies = {{"torso", 0, 6.25020921},
                {"bthigh", 1, 1.54351464},
                {"bshin", 2, 1.5874477},
                {"bfoot", 3, 1.09539749},
                {"fthigh", 1, 1.43807531},
                {"fshin", 5, 1.20083682},
                {"ffoot", 6, 0.884518828}},
     .joints = {{"rootx", 0, 0, 0, 0, 0},
                {"rootz", 0, 0, 0, 0, 0},
                {"rooty", 0, 0, 0, 0, 0},
                {"bthigh", -.52, 1.05, 6, 0.1, 240},
                {"bshin", -.785, .785, 4.5, 0.1, 180},
                {"bfoot", -.4, .785, 3, 0.1, 120},
                {"fthigh", -1, .7, 4.5, 0.1, 180},
                {"fshin", -1.2, .87, 3, 0.1, 120},
                {"ffoot", -.5, .5, 1.5, 0.1, 60}},
     .geoms = {{"floor", 0.4, 3, 1},
               {"torso", 0.4, 3, 0},
               {"head", 0.4, 3, 0},
               {"bthigh", 0.4, 3, 0},
               {"bshin", 0.4, 3, 0},
               {"bfoot", 0.4, 3, 0},
               {"fthigh", 0.4, 3, 0},
               {"fshin", 0.4, 3, 0},
               {"ffoot", 0.4, 3, 0}},
     .motors = {{"bthigh", 120, 1},
                {"bshin", 90, 1},
                {"bfoot", 60, 1},
                {"fthigh", 120, 1},
                {"fshin", 60, 1},
                {"ffoot", 30, 1}}},
    {.gymnasium_name = "Walker2d",
     .nq = 9,
     .nv = 9,
     .nu = 6,
     .total_mass = 23.6771366,
     .timestep = 0.002,
     .integrator = mjINT_RK4,
     .solver = mjSOL_NEWTON,
     .iterations = 100,
     .degrees = true,
     .bodies = {{"torso", 0, 3.66519143},
                {"thigh", 1, 4.05789051},
                {"leg", 2, 2.7813567},
                {"foot", 3, 3.16672539},
                {"thigh_left", 1, 4.05789051},
                {"leg_left", 5, 2.7813567},
                {"foot_left", 6, 3.16672539}},
     .joints = {{"rootx", 0, 0, 0, 0, 0},
                {"rootz", 0, 0, 0, 0, 0},
                {"rooty", 0, 0, 0, 0, 0},
                {"thigh_joint", -150, 0, 0.1, 0.01, 0},
                {"leg_joint", -150, 0, 0.1, 0.01, 0},
                {"foot_joint", -45, 45, 0.1, 0.01, 0},
                {"thigh_left_joint", -150, 0, 0.1, 0.01, 0},
                {"leg_left_joint", -150, 0, 0.1, 0.01, 0},
                {"foot_left_joint", -45, 45, 0.1, 0.01, 0}},
     .geoms = {{"floor", 0.7, 3, 1},
               {"torso_geom", 0.9, 3, 0},
               {"thigh_geom", 0.9, 3, 0},
               {"leg_geom", 0.9, 3, 0},
               {"foot_geom", 0.9, 3, 0},
               {"thigh_left_geom", 0.9, 3, 0},
               {"leg_left_geom", 0.9, 3, 0},
               {"foot_left_geom", 1.9, 3, 0}},
     .motors = {{"thigh_joint", 100, 1},
                {"leg_joint", 100, 1},
                {"foot_joint", 100, 1},
                {"thigh_left_joint", 100, 1},
                {"leg_left_joint", 100, 1},
                {"foot_left_joint", 100, 1}}},
    {.gymnasium_name = "Ant",
     .nq = 15,
     .nv = 14,
     .nu = 8,
     .total_mass = 0.910880083,
     .timestep = 0.01,
     .integrator = mjINT_RK4,
     .solver = mjSOL_NEWTON,
     .iterations = 100,
     .degrees = true,
     .bodies = {{"torso", 0, 0.327249235},
                {"front_left_leg", 1, 0.0391577537},
                {"aux_1", 2, 0.0391577537},
                {"", 3, 0.0675922045},
                {"front_right_leg", 1, 0.0391577537},
                {"aux_2", 5, 0.0391577537},
                {"", 6, 0.0675922045},
                {"back_leg", 1, 0.0391577537},
                {"aux_3", 8, 0.0391577537},
                {"", 9, 0.0675922045},
                {"right_back_leg", 1, 0.0391577537},
                {"aux_4", 11, 0.0391577537},
                {"", 12, 0.0675922045}},
     .joints = {{"root", 0, 0, 0, 0, 0},
                {"hip_1", -30, 30, 1, 1, 0},
                {"ankle_1", 30, 70, 1, 1, 0},
                {"hip_2", -30, 30, 1, 1, 0},
                {"ankle_2", -70, -30, 1, 1, 0},
                {"hip_3", -30, 30, 1, 1, 0},
                {"ankle_3", -70, -30, 1, 1, 0},
                {"hip_4", -30, 30, 1, 1, 0},
                {"ankle_4", 30, 70, 1, 1, 0}},
     .geoms = {{"floor", 1, 3, 1},
               {"torso_geom", 1, 3, 0},
               {"aux_1_geom", 1, 3, 0},
               {"left_leg_geom", 1, 3, 0},
               {"left_ankle_geom", 1, 3, 0},
               {"aux_2_geom", 1, 3, 0},
               {"right_leg_geom", 1, 3, 0},
               {"right_ankle_geom", 1, 3, 0},
               {"aux_3_geom", 1, 3, 0},
               {"back_leg_geom", 1, 3, 0},
               {"third_ankle_geom", 1, 3, 0},
               {"aux_4_geom", 1, 3, 0},
               {"rightback_leg_geom", 1, 3, 0},
               {"fourth_ankle_geom", 1, 3, 0}},
     .motors = {{"hip_4", 150, 1},
                {"ankle_4", 150, 1},
                {"hip_1", 150, 1},
                {"ankle_1", 150, 1},
                {"hip_2", 150, 1},
                {"ankle_2", 150, 1},
                {"hip_3", 150, 1},
                {"ankle_3", 150, 1}}},
    {.gymnasium_name = "Humanoid",
     .nq = 24,
     .nv = 23,
     .nu = 17,
     .total_mass = 42.1160305,
     .timestep = 0.003,
     .integrator = mjINT_RK4,
     .solver = mjSOL_PGS,
     .iterations = 50,
     .degrees = true,
     .bodies = {{"torso", 0, 8.90746237},
                {"lwaist", 1, 2.26194671},
                {"pelvis", 2, 6.61619413},
                {"right_thigh", 3, 4.75175093},
                {"right_shin", 4, 2.75569617},
                {"right_foot", 5, 1.76714587},
                {"left_thigh", 3, 4.75175093},
                {"left_shin", 7, 2.75569617},
                {"left_foot", 8, 1.76714587},
                {"right_upper_arm", 1, 1.66108048},
                {"right_lower_arm", 10, 1.22954019},
                {"left_upper_arm", 1, 1.66108048},
                {"left_lower_arm", 12, 1.22954019}},
     .joints = {{"root", 0, 0, 0, 0, 0},
                {"abdomen_z", -45, 45, 5, 0.02, 20},
                {"abdomen_y", -75, 30, 5, 0.02, 10},
                {"abdomen_x", -35, 35, 5, 0.02, 10},
                {"right_hip_x", -25, 5, 5, 0.01, 10},
                {"right_hip_z", -60, 35, 5, 0.01, 10},
                {"right_hip_y", -110, 20, 5, 0.008, 20},
                {"right_knee", -160, -2, 1, 0.006, 0},
                {"left_hip_x", -25, 5, 5, 0.01, 10},
                {"left_hip_z", -60, 35, 5, 0.01, 10},
                {"left_hip_y", -110, 20, 5, 0.01, 20},
                {"left_knee", -160, -2, 1, 0.006, 1},
                {"right_shoulder1", -85, 60, 1, 0.0068, 1},
                {"right_shoulder2", -85, 60, 1, 0.0051, 1},
                {"right_elbow", -90, 50, 1, 0.0028, 0},
                {"left_shoulder1", -60, 85, 1, 0.0068, 1},
                {"left_shoulder2", -60, 85, 1, 0.0051, 1},
                {"left_elbow", -90, 50, 1, 0.0028, 0}},
     .geoms = {{"floor", 1, 3, 1},
               {"torso1", 1, 1, 1},
               {"head", 1, 1, 1},
               {"uwaist", 1, 1, 1},
               {"lwaist", 1, 1, 1},
               {"butt", 1, 1, 1},
               {"right_thigh1", 1, 1, 1},
               {"right_shin1", 1, 1, 1},
               {"right_foot", 1, 1, 1},
               {"left_thigh1", 1, 1, 1},
               {"left_shin1", 1, 1, 1},
               {"left_foot", 1, 1, 1},
               {"right_uarm1", 1, 1, 1},
               {"right_larm", 1, 1, 1},
               {"right_hand", 1, 1, 1},
               {"left_uarm1", 1, 1, 1},
               {"left_larm", 1, 1, 1},
               {"left_hand", 1, 1, 1}},
     .motors = {{"abdomen_y", 100, 0.4},
                {"abdomen_z", 100, 0.4},
                {"abdomen_x", 100, 0.4},
                {"right_hip_x", 100, 0.4},
                {"right_hip_z", 100, 0.4},
                {"right_hip_y", 300, 0.4},
                {"right_knee", 200, 0.4},
                {"left_hip_x", 100, 0.4},
                {"left_hip_z", 100, 0.4},
                {"left_hip_y", 300, 0.4},
                {"left_knee", 200, 0.4},
                {"right_shoulder1", 25, 0.4},
                {"right_shoulder2", 25, 0.4},
                {"right_elbow", 25, 0.4},
                {"left_shoulder1", 25, 0.4},
                {"left_shoulder2", 25, 0.4},
                {"left_elbow", 25, 0.4}}},
};

struct ModelDelete {
  void operator()(mjModel* model) const { mj_deleteModel(model); }
};
using ModelPtr = std::unique_ptr<mjModel, ModelDelete>;

ModelPtr compile(const char* gymnasium_name) {
  const std::string_view text = mujoco_model_xml(gymnasium_name);
  const auto files = std::make_unique<mjVFS>();
  mj_defaultVFS(files.get());
  EXPECT_EQ(mj_makeEmptyFileVFS(files.get(), "model.xml", static_cast<int>(text.size())), 0);
  std::memcpy(files->filedata[0], text.data(), text.size());
  std::array<char, 1000> message{};
  ModelPtr model(mj_loadXML("model.xml", files.get(), message.data(), 1000));
  mj_deleteVFS(files.get());
  EXPECT_NE(model, nullptr) << message.data();
  EXPECT_STREQ(message.data(), "");
  return model;
}

// Masses are known to nine digits.
void expect_close(double value, double expected) {
  EXPECT_NEAR(value, expected, 1e-8 * std::abs(expected));
}

class EveryModel : public testing::TestWithParam<ModelFacts> {
 protected:
  EveryModel() : model_(compile(GetParam().gymnasium_name)) {}

  std::string_view name_of(const int* addresses, int index) const {
    return model_->names + addresses[index];
  }

  const ModelPtr model_;
};

TEST_P(EveryModel, HasTheSizesAndOptions) {
  const ModelFacts& facts = GetParam();
  EXPECT_EQ(model_->nq, facts.nq);
  EXPECT_EQ(model_->nv, facts.nv);
  EXPECT_EQ(model_->nu, facts.nu);
  EXPECT_EQ(model_->na, 0);
  EXPECT_EQ(model_->opt.timestep, facts.timestep);
  EXPECT_EQ(model_->opt.integrator, facts.integrator);
  EXPECT_EQ(model_->opt.solver, facts.solver);
  EXPECT_EQ(model_->opt.iterations, facts.iterations);
  EXPECT_EQ(model_->opt.tolerance, 1e-8);
  EXPECT_EQ(model_->opt.gravity[2], -9.81);
  EXPECT_EQ(model_->opt.cone, mjCONE_PYRAMIDAL);
  EXPECT_EQ(model_->nlight + model_->ncam + model_->ntendon + model_->nmesh, 0);
}

TEST_P(EveryModel, HasTheBodies) {
  const ModelFacts& facts = GetParam();
  ASSERT_EQ(model_->nbody, static_cast<int>(facts.bodies.size()) + 1);
  double total = 0.0;
  for (int i = 1; i < model_->nbody; ++i) {
    const Body& body = facts.bodies[static_cast<std::size_t>(i - 1)];
    SCOPED_TRACE(body.name);
    EXPECT_EQ(name_of(model_->name_bodyadr, i), body.name);
    EXPECT_EQ(model_->body_parentid[i], body.parent);
    expect_close(model_->body_mass[i], body.mass);
    total += model_->body_mass[i];
  }
  expect_close(total, facts.total_mass);
}

TEST_P(EveryModel, HasTheJoints) {
  const ModelFacts& facts = GetParam();
  ASSERT_EQ(model_->njnt, static_cast<int>(facts.joints.size()));
  const double unit = facts.degrees ? std::numbers::pi / 180.0 : 1.0;
  for (int i = 0; i < model_->njnt; ++i) {
    const Joint& joint = facts.joints[static_cast<std::size_t>(i)];
    SCOPED_TRACE(joint.name);
    EXPECT_EQ(name_of(model_->name_jntadr, i), joint.name);
    EXPECT_EQ(model_->jnt_limited[i] != 0, joint.low != joint.high);
    expect_close(model_->jnt_range[2 * i], unit * joint.low);
    expect_close(model_->jnt_range[2 * i + 1], unit * joint.high);
    EXPECT_EQ(model_->jnt_stiffness[i], joint.stiffness);
    EXPECT_EQ(model_->dof_damping[model_->jnt_dofadr[i]], joint.damping);
    EXPECT_EQ(model_->dof_armature[model_->jnt_dofadr[i]], joint.armature);
  }
}

TEST_P(EveryModel, HasTheGeoms) {
  const ModelFacts& facts = GetParam();
  ASSERT_EQ(model_->ngeom, static_cast<int>(facts.geoms.size()));
  EXPECT_EQ(model_->geom_type[0], mjGEOM_PLANE);
  for (int i = 0; i < model_->ngeom; ++i) {
    const Geom& geom = facts.geoms[static_cast<std::size_t>(i)];
    SCOPED_TRACE(geom.name);
    EXPECT_EQ(name_of(model_->name_geomadr, i), geom.name);
    EXPECT_EQ(model_->geom_friction[3 * i], geom.friction);
    EXPECT_EQ(model_->geom_condim[i], geom.condim);
    EXPECT_EQ(model_->geom_contype[i], 1);
    EXPECT_EQ(model_->geom_conaffinity[i], geom.conaffinity);
  }
}

TEST_P(EveryModel, HasTheMotors) {
  const ModelFacts& facts = GetParam();
  ASSERT_EQ(model_->nu, static_cast<int>(facts.motors.size()));
  for (int i = 0; i < model_->nu; ++i) {
    const Motor& motor = facts.motors[static_cast<std::size_t>(i)];
    SCOPED_TRACE(motor.joint);
    EXPECT_EQ(name_of(model_->name_jntadr, model_->actuator_trnid[2 * i]), motor.joint);
    EXPECT_EQ(model_->actuator_gear[6 * i], motor.gear);
    EXPECT_NE(model_->actuator_ctrllimited[i], 0);
    EXPECT_EQ(model_->actuator_ctrlrange[2 * i], -motor.limit);
    EXPECT_EQ(model_->actuator_ctrlrange[2 * i + 1], motor.limit);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EveryModel, testing::ValuesIn(kModelFacts),
                         testing::PrintToStringParamName());

TEST(MujocoError, FailsTheEpisodeAndLeavesTheProcessAlive) {
  const auto hopper = make_mujoco_task("Hopper");
  std::vector<double> observation(static_cast<std::size_t>(hopper->observation_dim()));
  const std::vector<double> qpos = {0.0, 1.25, 0.0, 0.0, 0.0, 0.0};
  const std::vector<double> qvel(6, 0.0);
  const std::vector<double> control(3, 0.0);
  hopper->reset_to(qpos.data(), qvel.data(), observation.data());

  mjcb_control = [](const mjModel*, mjData*) { mju_error("provoked by a test"); };
  const Outcome failed = hopper->apply(control.data(), observation.data());
  mjcb_control = nullptr;
  EXPECT_TRUE(std::isnan(failed.reward));
  EXPECT_TRUE(std::isnan(observation[0]));
  EXPECT_FALSE(failed.terminated);
  EXPECT_TRUE(failed.truncated);

  hopper->reset_to(qpos.data(), qvel.data(), observation.data());
  const Outcome recovered = hopper->apply(control.data(), observation.data());
  EXPECT_TRUE(std::isfinite(recovered.reward));
  EXPECT_FALSE(recovered.truncated);
}

}  // namespace
}  // namespace instep

#include <array>
#include <cmath>
#include <vector>

#include "drivers/ur/session.h"
#include "drivers/ur/simulated_device.h"
#include "tasks/robot_simulation.h"
#include "tasks/ur_reacher2/ur_reacher2.h"

namespace instep {
namespace {

// An arm at its start, whose controller has just been switched on.
struct Arm {
  using Changes = UrReacher2Changes;
  static constexpr int kObservationDim = kUrReacher2ObservationDim;
  static constexpr int kActionDim = kUrReacher2ActionDim;
  static constexpr int kStepsMax = kUrReacher2StepsMax;
  static constexpr auto kPeriodNs = static_cast<std::int64_t>(kUrReacher2PeriodS * 1e9);

  explicit Arm(std::uint64_t seed)
      : device({.seed = seed, .speed_limit_rad_s = kUrReacher2SpeedRadS + 1e-9}) {
    device.simulator().controller().place(ur_reacher2_start());
  }

  UrSimulatedDevice device;
  UrSession session{{.dead_man_ns = 2 * kPeriodNs}};
  UrReacher2 task;
};

class UrReacher2Simulation final : public RobotSimulation<Arm> {
 public:
  // joint_gain: the share of its speed that a joint reaches, 0 .. 1; joint_sign: -1 turns it round;
  // both of shoulder (_1), elbow (_2), or, without a number, of both; sensor_swap: 1 has shoulder
  // and elbow taken for each other; delay: steps from an action to the arm, 0 .. 6.
  bool change(std::string_view what, double value) override {
    UrReacher2Changes changed = changes();
    const bool is_count = value >= 0.0 && value <= 100.0 && value == std::floor(value);
    if (what == "sensor_swap" && is_count) {
      changed.are_sensors_swapped = std::lround(value);
    } else if (what == "delay" && is_count) {
      changed.delay = std::lround(value);
    } else if (!set_joints(what, "joint_gain", value, changed.gain) &&
               !set_joints(what, "joint_sign", value, changed.sign)) {
      return false;
    }
    return set_changes(changed);
  }

  // The arm from its side, in SenseAct's frame, and the target behind it.
  void get_limbs(std::vector<Limb>& limbs) const override {
    constexpr std::array<double, kUrJoints> kRadii = {0.06, 0.055, 0.05, 0.04, 0.035, 0.03};
    constexpr double kTargetRadius = 0.03;
    limbs.assign(kRadii.size() + 1, {});
    const auto frames =
        ur_link_frames(UrModel::kCb3, robot().device.simulator().controller().arm().q);
    std::array<double, 3> from{};
    for (std::size_t i = 0; i < kRadii.size(); ++i) {
      const auto& to = frames[i].position;
      limbs[i] = {{-from[1], from[0], from[2]}, {-to[1], to[0], to[2]}, kRadii[i]};
      from = to;
    }
    const UrPlace target = robot().task.target();
    limbs.back() = {{target[0], 1.0, target[1]}, {target[0], 1.0, target[1]}, kTargetRadius};
  }

 private:
  // The value of the joint that `what` names behind `name`, or of both. False: it is another name.
  static bool set_joints(std::string_view what, std::string_view name, double value,
                         std::array<double, 2>& values) {
    if (!what.starts_with(name)) return false;
    const std::string_view joint = what.substr(name.size());
    if (joint.empty() || joint == "_1") values[0] = value;
    if (joint.empty() || joint == "_2") values[1] = value;
    return joint.empty() || joint == "_1" || joint == "_2";
  }
};

}  // namespace

std::unique_ptr<Environment> make_ur_reacher2() {
  return std::make_unique<UrReacher2Simulation>();
}

}  // namespace instep

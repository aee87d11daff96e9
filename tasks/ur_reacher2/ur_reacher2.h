// UR-Reacher-2, as SenseAct defines it: two joints of a UR5, shoulder and elbow, bring the tip of
// its arm to a target in the plane of y and z and hold it there.
//
// SenseAct's frame has x and y of the opposite sign of the controller's frame `base`; its box, and
// with it all of the task, is in SenseAct's.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>

#include "drivers/ur/fields.h"
#include "drivers/ur/kinematics.h"
#include "runtime/environment.h"
#include "runtime/robot.h"

namespace instep {

inline constexpr int kUrReacher2ObservationDim = 8;
inline constexpr int kUrReacher2ActionDim = 2;  // shoulder and elbow, shares of 0.3 rad/s
inline constexpr double kUrReacher2PeriodS = 0.04;
inline constexpr int kUrReacher2StepsMax = 100;
inline constexpr double kUrReacher2SpeedRadS = 0.3;

// What can change between the learner and the arm, so that one can see how a learner adapts. Homing
// and limits always know the arm as it is. Members of eight bytes, so that no padding makes equal
// states differ.
struct UrReacher2Changes {
  static constexpr std::int64_t kDelayMax = 6;

  std::array<double, 2> gain{1.0, 1.0};  // the share of its speed that a joint reaches, 0 .. 1
  std::array<double, 2> sign{1.0, 1.0};  // -1: it turns the other way
  std::int64_t are_sensors_swapped = 0;  // 1: shoulder and elbow are taken for each other
  std::int64_t delay = 0;                // steps from an action to the arm, 0 .. kDelayMax

  // Written so that a NaN fails.
  bool is_valid() const;
};

// y and z of a place, SenseAct's frame, m.
using UrPlace = std::array<double, 2>;

// The joints that the task moves are 1 and 2; the others stay where an episode begins.
const UrVector& ur_reacher2_start();
// Where the tip of a UR5 is, for angles of shoulder and elbow.
UrPlace ur_reacher2_tip(double shoulder, double elbow);
// Whether the tip is within the task's box, less a buffer, m.
bool ur_reacher2_is_inside(double shoulder, double elbow, double buffer);
// A target: the tip for angles drawn evenly within the joints' limits, if it is inside the box.
UrPlace ur_reacher2_target(const Random& random, std::uint64_t step);
// For one step, at a distance in m.
double ur_reacher2_reward(double distance);

// Observation: angles of shoulder and elbow (rad); their speeds, shares of 0.3 rad/s; y and z from
// the target to the tip (m); the previous action. An episode ends after 100 steps and never before.
//
// Homing: stand, then all joints to their start at no more than 0.3 rad/s, one command a tick,
// until packets say that the arm stands there; the first observation is of such a packet.
//
// Whatever the action: when the tip is beyond the box, the arm goes back at 0.1 rad/s; a joint
// beyond its limits goes inwards. Both are checked once a step, on what the last packet says.
class UrReacher2 final : public RobotTask {
 public:
  UrReacher2();

  // From the next action and observation on.
  void set_changes(const UrReacher2Changes& changes) { state_.changes = changes; }

  const PacketFormat& packets() const override { return kUrPackets; }
  const CommandLimits& limits() const override { return limits_; }
  void take(const PacketValues& packet) override;
  void begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) override;
  Homing home(std::int64_t now_ns, Command* command) override;
  void first_observation(double* observation) override;
  void to_command(const float* action, Command* command) override;
  Sensed sense(double* observation) override;
  // That the speed slider stands below 100 %: nothing goes on before it is up.
  const char* notice() const override;

  std::size_t state_bytes() const override { return sizeof state_; }
  void save_state(std::span<std::uint8_t> out) const override;
  [[nodiscard]] bool load_state(std::span<const std::uint8_t> in) override;

  // y and z, SenseAct's frame.
  UrPlace target() const { return state_.target; }
  UrPlace tip() const { return ur_reacher2_tip(state_.q[1], state_.q[2]); }

 private:
  // Members of eight bytes, so that no padding makes equal states differ.
  struct State {
    UrVector q{};  // as said by the last packet
    UrVector qd{};
    std::int64_t has_packet = 0;
    std::int64_t is_normal = 0;  // the arm runs, at full speed
    UrPlace target{};
    std::array<double, 2> previous_action{};
    std::int64_t steps = 0;  // of the episode
    std::int64_t homing_ns = 0;
    std::int64_t standing_ticks = 0;  // at the start, by packets of different ticks
    std::int64_t packets = 0;         // since the last tick of homing
    UrReacher2Changes changes;
    // The last actions, where the delay finds them: that of step i is at i modulo their number.
    std::array<std::array<double, 2>, UrReacher2Changes::kDelayMax + 1> actions{};
  };

  void observe(double* observation) const;

  CommandLimits limits_;
  State state_;
  bool is_slowed_ = false;  // by the slider, as said by the last packet; for people alone
};

// The task on a simulated UR5, through the bytes of its controller.
std::unique_ptr<Environment> make_ur_reacher2();

// The controller that a person would write: the tip goes straight to the target, at 8 times its
// distance a second and at most 0.3 rad/s. Takes an observation of ur_reacher2; overwrites action
// [2].
void ur_reacher2_p_controller(const double* observation, float* action);

}  // namespace instep

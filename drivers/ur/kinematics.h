// Where the links of a UR5 or UR5e are, from its joint angles. Pure arithmetic in metres and
// radians, in the frame that the controller calls `base`.
#pragma once

#include <array>
#include <cstdint>

namespace instep {

inline constexpr int kUrJoints = 6;  // base, shoulder, elbow, wrist 1, wrist 2, wrist 3
using UrVector = std::array<double, kUrJoints>;

// CB3: a UR5 on PolyScope 3, 125 Hz. e-Series: a UR5e on PolyScope 5, 500 Hz.
enum class UrModel : std::uint8_t { kCb3 = 0, kESeries = 1 };

// Denavit-Hartenberg parameters in the standard (distal) form; the angles are the joints'.
struct UrLink {
  double a = 0.0;
  double d = 0.0;
  double alpha = 0.0;
};
const std::array<UrLink, kUrJoints>& ur_links(UrModel model);

// A rotation [3, 3], row-major, and a position.
struct UrFrame {
  std::array<double, 9> rotation{1, 0, 0, 0, 1, 0, 0, 0, 1};
  std::array<double, 3> position{};
};
UrFrame ur_product(const UrFrame& left, const UrFrame& right);
UrFrame ur_inverse(const UrFrame& frame);

// The frame behind each joint; the last one is the tool flange.
std::array<UrFrame, kUrJoints> ur_link_frames(UrModel model, const UrVector& q);
UrFrame ur_flange(UrModel model, const UrVector& q);

// Joint angles within +-2 pi that bring the flange there: of all that do, those that differ least
// from `near` (sum of squares). False, and *q as it was: it is out of reach.
bool ur_joints_at(UrModel model, const UrFrame& flange, const UrVector& near, UrVector* q);

// x, y, z and the rotation vector (axis times angle, 0 .. pi), as the controller writes poses.
UrVector ur_pose_of(const UrFrame& frame);
UrFrame ur_frame_of(const UrVector& pose);

// Velocity and angular velocity of the flange at joint velocities qd.
UrVector ur_flange_speed(UrModel model, const UrVector& q, const UrVector& qd);

}  // namespace instep

#include "drivers/ur/kinematics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace instep {
namespace {

constexpr double kHalfPi = std::numbers::pi / 2;

constexpr std::array<UrLink, kUrJoints> kUr5 = {{{0.0, 0.089159, kHalfPi},
                                                 {-0.425, 0.0, 0.0},
                                                 {-0.39225, 0.0, 0.0},
                                                 {0.0, 0.10915, kHalfPi},
                                                 {0.0, 0.09465, -kHalfPi},
                                                 {0.0, 0.0823, 0.0}}};
constexpr std::array<UrLink, kUrJoints> kUr5e = {{{0.0, 0.1625, kHalfPi},
                                                  {-0.425, 0.0, 0.0},
                                                  {-0.3922, 0.0, 0.0},
                                                  {0.0, 0.1333, kHalfPi},
                                                  {0.0, 0.0997, -kHalfPi},
                                                  {0.0, 0.0996, 0.0}}};

UrFrame frame_of_link(const UrLink& link, double angle) {
  const double c = std::cos(angle);
  const double s = std::sin(angle);
  // Right angles exactly, so that no rounding tilts the arm.
  const double ca = link.alpha == 0.0 ? 1.0 : 0.0;
  const double sa = link.alpha == 0.0 ? 0.0 : link.alpha > 0.0 ? 1.0 : -1.0;
  UrFrame frame;
  frame.rotation = {c, -s * ca, s * sa, s, c * ca, -c * sa, 0.0, sa, ca};
  frame.position = {link.a * c, link.a * s, link.d};
  return frame;
}

std::array<double, 3> cross(const std::array<double, 3>& a, const std::array<double, 3>& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

}  // namespace

const std::array<UrLink, kUrJoints>& ur_links(UrModel model) {
  return model == UrModel::kCb3 ? kUr5 : kUr5e;
}

UrFrame ur_product(const UrFrame& left, const UrFrame& right) {
  UrFrame result;
  for (std::size_t row = 0; row < 3; ++row) {
    const double* l = left.rotation.data() + 3 * row;
    for (std::size_t column = 0; column < 3; ++column) {
      result.rotation[3 * row + column] = l[0] * right.rotation[column] +
                                          l[1] * right.rotation[3 + column] +
                                          l[2] * right.rotation[6 + column];
    }
    const auto& p = right.position;
    result.position[row] = left.position[row] + l[0] * p[0] + l[1] * p[1] + l[2] * p[2];
  }
  return result;
}

UrFrame ur_inverse(const UrFrame& frame) {
  UrFrame result;
  const auto& r = frame.rotation;
  result.rotation = {r[0], r[3], r[6], r[1], r[4], r[7], r[2], r[5], r[8]};
  for (std::size_t row = 0; row < 3; ++row) {
    const double* l = result.rotation.data() + 3 * row;
    result.position[row] =
        -(l[0] * frame.position[0] + l[1] * frame.position[1] + l[2] * frame.position[2]);
  }
  return result;
}

std::array<UrFrame, kUrJoints> ur_link_frames(UrModel model, const UrVector& q) {
  const auto& links = ur_links(model);
  std::array<UrFrame, kUrJoints> frames;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const UrFrame frame = frame_of_link(links[i], q[i]);
    frames[i] = i == 0 ? frame : ur_product(frames[i - 1], frame);
  }
  return frames;
}

UrFrame ur_flange(UrModel model, const UrVector& q) {
  return ur_link_frames(model, q)[kUrJoints - 1];
}

UrVector ur_pose_of(const UrFrame& frame) {
  const auto& r = frame.rotation;
  const auto& p = frame.position;
  // Axis times twice the sine of the angle.
  const std::array<double, 3> v = {r[7] - r[5], r[2] - r[6], r[3] - r[1]};
  const double sine = 0.5 * std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  const double cosine = 0.5 * (r[0] + r[4] + r[8] - 1.0);
  const double angle = std::atan2(sine, cosine);
  UrVector pose = {p[0], p[1], p[2], 0.0, 0.0, 0.0};
  if (sine > 1e-6) {
    for (std::size_t i = 0; i < 3; ++i) pose[3 + i] = v[i] * (0.5 * angle / sine);
    return pose;
  }
  if (cosine > 0.0) {
    for (std::size_t i = 0; i < 3; ++i) pose[3 + i] = 0.5 * v[i];
    return pose;
  }
  // Half a turn: the axis is in the diagonal, its signs beside it.
  std::array<double, 3> axis{};
  for (std::size_t i = 0; i < 3; ++i) axis[i] = std::sqrt(std::max(0.0, 0.5 * (r[4 * i] + 1.0)));
  if (axis[0] > 0.5) {
    axis[1] = std::copysign(axis[1], r[1] + r[3]);
    axis[2] = std::copysign(axis[2], r[2] + r[6]);
  } else if (axis[1] > 0.5) {
    axis[0] = std::copysign(axis[0], r[1] + r[3]);
    axis[2] = std::copysign(axis[2], r[5] + r[7]);
  } else {
    axis[0] = std::copysign(axis[0], r[2] + r[6]);
    axis[1] = std::copysign(axis[1], r[5] + r[7]);
  }
  for (std::size_t i = 0; i < 3; ++i) pose[3 + i] = axis[i] * angle;
  return pose;
}

UrFrame ur_frame_of(const UrVector& pose) {
  UrFrame frame;
  frame.position = {pose[0], pose[1], pose[2]};
  const double angle = std::sqrt(pose[3] * pose[3] + pose[4] * pose[4] + pose[5] * pose[5]);
  if (angle < 1e-12) {
    frame.rotation = {1.0, -pose[5], pose[4], pose[5], 1.0, -pose[3], -pose[4], pose[3], 1.0};
    return frame;
  }
  const double x = pose[3] / angle;
  const double y = pose[4] / angle;
  const double z = pose[5] / angle;
  const double c = std::cos(angle);
  const double s = std::sin(angle);
  const double t = 1.0 - c;
  frame.rotation = {t * x * x + c,     t * x * y - s * z, t * x * z + s * y,
                    t * x * y + s * z, t * y * y + c,     t * y * z - s * x,
                    t * x * z - s * y, t * y * z + s * x, t * z * z + c};
  return frame;
}

UrVector ur_flange_speed(UrModel model, const UrVector& q, const UrVector& qd) {
  const auto frames = ur_link_frames(model, q);
  const auto& tip = frames[kUrJoints - 1].position;
  UrVector speed{};
  for (std::size_t i = 0; i < frames.size(); ++i) {
    // The axis of joint i is z of the frame before it.
    std::array<double, 3> axis = {0.0, 0.0, 1.0};
    std::array<double, 3> arm = tip;
    if (i > 0) {
      const UrFrame& before = frames[i - 1];
      axis = {before.rotation[2], before.rotation[5], before.rotation[8]};
      for (std::size_t j = 0; j < 3; ++j) arm[j] -= before.position[j];
    }
    const auto linear = cross(axis, arm);
    for (std::size_t j = 0; j < 3; ++j) {
      speed[j] += qd[i] * linear[j];
      speed[3 + j] += qd[i] * axis[j];
    }
  }
  return speed;
}

namespace {

// The same angle, within +-2 pi, next to `near`.
double angle_near(double angle, double near) {
  constexpr double kTurn = 2.0 * std::numbers::pi;
  double next = near + std::remainder(angle - near, kTurn);
  if (next > kTurn) next -= kTurn;
  if (next < -kTurn) next += kTurn;
  return next;
}

// arccos, where rounding may have led beyond 1; false beyond that.
bool angle_of_cosine(double cosine, double* angle) {
  if (!(std::fabs(cosine) <= 1.0 + 1e-9)) return false;
  *angle = std::acos(std::clamp(cosine, -1.0, 1.0));
  return true;
}

// Shoulder, elbow and wrist 1 move in one plane: given the frames before and behind them, for both
// ways in which an elbow can be bent. Answers whether it reaches that far.
bool bend(const std::array<UrLink, kUrJoints>& links, const UrFrame& wrist, double side,
          UrVector* q) {
  const double x = wrist.position[0];
  const double y = wrist.position[1];
  const double upper = links[1].a;
  const double lower = links[2].a;
  double elbow = 0.0;
  if (!angle_of_cosine((x * x + y * y - upper * upper - lower * lower) / (2.0 * upper * lower),
                       &elbow)) {
    return false;
  }
  elbow *= side;
  (*q)[1] = std::atan2(y, x) - std::atan2(lower * std::sin(elbow), upper + lower * std::cos(elbow));
  (*q)[2] = elbow;
  (*q)[3] = std::atan2(wrist.rotation[3], wrist.rotation[0]) - (*q)[1] - elbow;
  return true;
}

}  // namespace

// Eight ways at most: shoulder left or right, wrist up or down, elbow up or down.
bool ur_joints_at(UrModel model, const UrFrame& flange, const UrVector& near, UrVector* q) {
  const auto& links = ur_links(model);
  const auto& r = flange.rotation;
  // Where wrist 3 begins; its distance from the plane of shoulder and elbow is a link's.
  const double x = flange.position[0] - links[5].d * r[2];
  const double y = flange.position[1] - links[5].d * r[5];
  const double distance = std::hypot(x, y);
  if (!(distance >= std::fabs(links[3].d)) || !std::isfinite(flange.position[2])) return false;
  const double aside = std::asin(links[3].d / distance);
  double least = HUGE_VAL;
  for (int way = 0; way < 8; ++way) {
    UrVector found{};
    found[0] = std::atan2(y, x) + ((way & 1) == 0 ? aside : std::numbers::pi - aside);
    const double s = std::sin(found[0]);
    const double c = std::cos(found[0]);
    if (!angle_of_cosine(r[2] * s - r[5] * c, &found[4])) continue;
    if ((way & 2) != 0) found[4] = -found[4];
    // Where the axes of wrist 1 and wrist 3 are parallel any angle of the latter will do.
    const double sine = std::sin(found[4]);
    found[5] = std::fabs(sine) < 1e-9
                   ? near[5]
                   : std::atan2(-(r[1] * s - r[4] * c) / sine, (r[0] * s - r[3] * c) / sine);
    const UrFrame before = frame_of_link(links[0], found[0]);
    const UrFrame behind =
        ur_product(frame_of_link(links[4], found[4]), frame_of_link(links[5], found[5]));
    const UrFrame wrist = ur_product(ur_inverse(before), ur_product(flange, ur_inverse(behind)));
    if (!bend(links, wrist, (way & 4) == 0 ? 1.0 : -1.0, &found)) continue;
    double sum = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      found[i] = angle_near(found[i], near[i]);
      sum += (found[i] - near[i]) * (found[i] - near[i]);
    }
    if (!(sum < least)) continue;
    least = sum;
    *q = found;
  }
  return least < HUGE_VAL;
}

}  // namespace instep

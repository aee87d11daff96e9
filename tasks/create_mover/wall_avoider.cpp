#include "tasks/create_mover/wall_avoider.h"

#include <algorithm>

namespace instep {
namespace {

enum Index {
  kLeft,
  kFrontLeft,
  kCenterLeft,
  kCenterRight,
  kFrontRight,
  kRight,
  kLastLeft,
  kLastRight
};

constexpr double kFree = -0.9;    // a light bumper's value, of -1 .. 1: nothing within 25 cm
constexpr double kTurning = 0.1;  // difference of the wheels that counts as a turn

}  // namespace

void wall_avoider(const double* observation, float* action) {
  const double left = std::max(observation[kFrontLeft], observation[kCenterLeft]);
  const double right = std::max(observation[kFrontRight], observation[kCenterRight]);
  const double ahead = std::max(left, right);
  const double beside = std::max(observation[kLeft], observation[kRight]);
  // How much of a turn: none at 0, on the spot at 2.
  double turn = 0.0;
  if (ahead > kFree) turn = std::min(2.0, 3.0 * (ahead + 1.0));
  if (beside > -0.2) turn = std::max(turn, 0.3);
  if (turn == 0.0) {
    action[0] = action[1] = 1.0F;
    return;
  }
  const double last = observation[kLastLeft] - observation[kLastRight];
  const double sum = left + observation[kLeft] - right - observation[kRight];
  const bool to_right = last > kTurning || (last >= -kTurning && sum > 0.0);
  const auto slow = static_cast<float>(1.0 - turn);
  action[0] = to_right ? 1.0F : slow;
  action[1] = to_right ? slow : 1.0F;
}

}  // namespace instep

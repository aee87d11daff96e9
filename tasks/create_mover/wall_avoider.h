// What a person would write for create_mover: the yardstick for what is learnt.
#pragma once

namespace instep {

// Straight on at full speed while the light bumper sees nothing. The more it sees, the slower the
// wheel on the far side of it; against what is straight ahead the robot turns on the spot. A turn
// that has begun goes on to the same side until the way is free, so that corners do not hold it.
// observation: create_mover's; overwrites action [2].
void wall_avoider(const double* observation, float* action);

}  // namespace instep

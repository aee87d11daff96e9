// What the control loop needs of a task on simulated time. Tasks implement it; the runtime knows
// none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/philox.h"

namespace instep {

// What one control step did to the world.
struct Outcome {
  double reward = 0.0;
  bool terminated = false;       // the episode reached an end of its own: no bootstrapping
  bool truncated = false;        // a time limit cut it: the target still bootstraps
  bool carries_no_step = false;  // held, homing or faulted: the transition is dropped, the episode
                                 // closed as truncated
};

// A part of a body as a rod with round ends, in metres of the world (x forward, z up); a ball has
// equal ends.
struct Limb {
  double from[3] = {0.0, 0.0, 0.0};
  double to[3] = {0.0, 0.0, 0.0};
  double radius = 0.0;
};

// A simulated world. All memory is taken by the constructor: reset() and step() allocate nothing.
// One thread uses it at a time. (Beside Clock and the interfaces of runtime/robot.h, a place where
// a virtual call is worth its price: a task is chosen by name at start-up, and one call in a
// control step costs nanoseconds.)
class Environment {
 public:
  Environment() = default;
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  virtual ~Environment() = default;

  // Begins an episode. All randomness comes from `random` at `step`, so an episode's start is a
  // pure function of (seed, stream, step). Overwrites observation [observation_dim].
  virtual void reset(const Random& random, std::uint64_t step, double* observation) = 0;

  // Applies action [action_dim], each in [-1, 1], for one control period. The action is not const
  // to the task's box: a task that has a narrower one clips. Overwrites observation
  // [observation_dim] with what is sensed afterwards, also when the episode has just ended.
  virtual Outcome step(const float* action, double* observation) = 0;

  // The action that the next step() will take, as soon as it is known: a robot's command leaves
  // here, before the learner goes on. A world in which nothing moves meanwhile has nothing to do.
  virtual void send(const float* /*action*/) {}

  // Changes something about the world for good, so that one can see how a learner adapts. The task
  // decides what can change and what the values mean. False when it knows no such change or value;
  // then nothing has changed.
  [[nodiscard]] virtual bool change(std::string_view /*what*/, double /*value*/) { return false; }

  // For pictures: overwrites limbs with every part of the body as it stands now, the trunk first,
  // in the same order every time. Empty where there is no body.
  virtual void get_limbs(std::vector<Limb>& limbs) const { limbs.clear(); }

  // Where the limbs are a map, x to the right and z to its upper edge, as of a vehicle from above:
  // a picture then shows all of it, standing still, with the way that the trunk has made.
  virtual bool is_map() const { return false; }

  // The state of a running episode, for checkpoints: a fixed number of bytes, from which
  // load_state() goes on bit for bit. save_state overwrites out, load_state reads the same layout;
  // both expect exactly state_bytes(). load_state answers false, and changes nothing that matters,
  // when the bytes cannot be a state of this task.
  virtual std::size_t state_bytes() const = 0;
  virtual void save_state(std::span<std::uint8_t> out) const = 0;
  [[nodiscard]] virtual bool load_state(std::span<const std::uint8_t> in) = 0;
};

}  // namespace instep

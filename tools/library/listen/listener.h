// Who is told how a training run goes.
#pragma once

#include <cstdint>

#include "runtime/control_loop.h"
#include "runtime/health.h"
#include "tools/library/report/run_summary.h"

namespace instep {

struct Measured;

// When something happens in a run.
struct RunMoment {
  std::int64_t step = 0;    // made by now
  std::int64_t now_ns = 0;  // of MonotonicClock
  double seconds = 0.0;     // of the loop, in all parts of the run
};

// How a run is between two ticks.
struct RunStatus {
  std::uint32_t warnings = 0;  // HealthWarning bits
  const char* robot = "";      // what a robot is at while it does not learn; a literal
};

// The methods are called by one thread, the writer's: those between begin() and end() any number of
// times, checkpoint() also before, for step 0, and once after end(). On a robot that thread is
// neither the loop nor the one that sees keys and feeds the watchdog (run/hands.h): a listener that
// waits delays nothing but other listeners and the next checkpoint. On simulated time the writer is
// the loop itself, and a run waits for its listeners; between begin() and end() they must not
// allocate.
class Listener {
 public:
  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  virtual ~Listener() = default;

  // An episode of an earlier part of a run that is gone on with.
  virtual void past_episode(double /*episode_return*/) {}
  // The run begins, or goes on after what earlier parts of it have measured.
  virtual void begin(const RunMoment& /*now*/, const Measured& /*earlier*/) {}
  // An episode has ended.
  virtual void episode(const RunMoment& /*now*/, const EpisodeRecord& /*episode*/) {}
  // The means of some thousand ticks.
  virtual void health(const RunMoment& /*now*/, const HealthSample& /*sample*/) {}
  // After every tick, or many times a second.
  virtual void status(const RunMoment& /*now*/, const RunStatus& /*status*/) {}
  // A checkpoint is about to be written, or stands already, that counts so many episodes. False: it
  // must not be written, for something that it counts was lost.
  virtual bool checkpoint(const RunMoment& /*now*/, std::int64_t /*episodes*/) { return true; }
  // Adds what --resume needs to go on measuring, beside a checkpoint.
  virtual void save(const RunMoment& /*now*/, Measured& /*measured*/) const {}
  // The loop has ended.
  virtual void end(const RunMoment& /*now*/) {}
  // The last checkpoint stands, and this is what the run has come to.
  virtual void complete(const RunSummary& /*summary*/) {}
};

}  // namespace instep

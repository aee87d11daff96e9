#include "tools/library/listen/speed_listener.h"

#include "tools/library/run/measured.h"

namespace instep {

void SpeedListener::begin(const RunMoment& now, const Measured& earlier) {
  record_ = earlier.speed;
  if (now.step > earlier.since_step) {
    record_.go_on(steps_, now.now_ns);
  } else {
    record_.start(steps_, now.step, now.now_ns);
  }
}

void SpeedListener::save(const RunMoment& now, Measured& measured) const {
  measured.speed = record_.paused(now.now_ns);
}

}  // namespace instep

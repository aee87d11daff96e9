// Tells systemd of a run, and feeds its watchdog where no robot's hands do.
#pragma once

#include "tools/library/listen/listeners.h"

namespace instep {

class ServiceListener final : public Listener {
 public:
  explicit ServiceListener(const RunStage& stage)
      : notice_(stage.notice), must_feed_(!stage.is_on_robot) {}

  void begin(const RunMoment& now, const Measured&) override { notice_.ready(now.now_ns); }
  void status(const RunMoment& now, const RunStatus&) override {
    if (must_feed_ && notice_.is_due(now.now_ns)) notice_.feed(now.now_ns);
  }
  void end(const RunMoment&) override { notice_.stopping(); }

 private:
  ServiceNotice& notice_;
  bool must_feed_;
};

}  // namespace instep

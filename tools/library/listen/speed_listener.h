// Records how fast a run goes, for its summary.
#pragma once

#include "tools/library/listen/listeners.h"
#include "tools/library/listen/summary.h"

namespace instep {

class SpeedListener final : public Listener {
 public:
  explicit SpeedListener(const RunStage& stage) : steps_(stage.config.steps) {}

  void begin(const RunMoment& now, const Measured& earlier) override;
  void status(const RunMoment& now, const RunStatus&) override {
    record_.add(now.step, now.now_ns);
  }
  void save(const RunMoment& now, Measured& measured) const override;

 private:
  std::int64_t steps_;
  SpeedRecord record_;
};

}  // namespace instep

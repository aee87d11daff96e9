// Writes the event file as a run goes: what its tags mean stands in docs/reading_the_plots.md.
#pragma once

#include "tools/library/listen/event_file.h"
#include "tools/library/listen/listeners.h"

namespace instep {

// The mean return and length of the episodes since the last point of the event file.
struct EpisodeMeans {
  std::int64_t count = 0;
  double return_sum = 0.0;
  double length_sum = 0.0;
};

// The part of the event file's next point that is gathered already.
struct OpenPoint {
  EpisodeMeans episodes{};
  HealthSample health{};  // of health.ticks ticks
  std::int64_t step = 0;  // of the last point
  double seconds = 0.0;   // since then
};

// A point for each sample of the learner's health. What is optional ends no run.
class EventPoints final : public Listener {
 public:
  explicit EventPoints(const RunStage& stage)
      : path_(stage.folder + '/' + std::string(EventFile::kName)), troubles_(stage.troubles) {}

  void begin(const RunMoment& now, const Measured& earlier) override;
  void episode(const RunMoment& now, const EpisodeRecord& episode) override;
  void health(const RunMoment& now, const HealthSample& sample) override;
  bool checkpoint(const RunMoment& now, std::int64_t episodes) override;
  void save(const RunMoment& now, Measured& measured) const override;
  void end(const RunMoment& now) override;

 private:
  void note(int error);

  std::string path_;
  Troubles& troubles_;
  EventFile file_;
  bool is_written_ = false;
  OpenPoint point_;
  std::int64_t point_ns_ = 0;  // when the last point was
  std::int64_t begin_ns_ = 0;
  double wall_time_at_begin_s_ = 0.0;
};

}  // namespace instep

// Writes episodes.csv as a run goes.
#pragma once

#include "tools/library/listen/listeners.h"

namespace instep {

// Episodes come first: a checkpoint must never count one that the file has not. Where there is no
// room for more of them, the run ends.
class EpisodeLines final : public Listener {
 public:
  explicit EpisodeLines(const RunStage& stage) : log_(stage.episodes), troubles_(stage.troubles) {}

  void episode(const RunMoment& now, const EpisodeRecord& episode) override;
  bool checkpoint(const RunMoment& now, std::int64_t episodes) override;
  void end(const RunMoment&) override { has_ended_ = true; }

 private:
  EpisodeLog& log_;
  Troubles& troubles_;
  bool has_lost_lines_ = false;
  bool has_ended_ = false;
};

}  // namespace instep

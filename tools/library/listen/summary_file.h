// Writes summary.json when a run is complete.
#pragma once

#include "tools/library/listen/listeners.h"

namespace instep {

class SummaryFile final : public Listener {
 public:
  explicit SummaryFile(const RunStage& stage)
      : path_(stage.folder + "/summary.json"), troubles_(stage.troubles) {}

  void complete(const RunSummary& summary) override;

 private:
  std::string path_;
  Troubles& troubles_;
};

}  // namespace instep

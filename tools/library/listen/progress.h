// The line that shows how a run is going.
#pragma once

#include <array>
#include <cstdint>

#include "tools/library/listen/listeners.h"

namespace instep {

// On a terminal one line that is rewritten five times a second, elsewhere a line every ten seconds,
// without allocating.
class Progress final : public Listener {
 public:
  explicit Progress(const RunStage& stage);

  void begin(const RunMoment& now, const Measured& earlier) override;
  // The last ten returns are averaged.
  void past_episode(double episode_return) override { add_return(episode_return); }
  void episode(const RunMoment&, const EpisodeRecord& episode) override {
    add_return(episode.episode_return);
  }
  // What there is to see stands behind the numbers.
  void status(const RunMoment& now, const RunStatus& status) override {
    status_ = status;
    if (now.now_ns >= next_ns_) print(now.step, now.now_ns);
  }
  void end(const RunMoment& now) override;

 private:
  void add_return(double episode_return);
  void print(std::int64_t step, std::int64_t now_ns);

  Voice& voice_;
  std::array<char, 64> name_{};
  std::int64_t steps_;
  std::int64_t first_step_ = 0;
  RunStatus status_;
  std::int64_t period_ns_;
  std::int64_t begin_ns_ = 0;
  std::int64_t next_ns_ = 0;
  std::array<double, 10> returns_{};
  std::uint64_t return_count_ = 0;
};

}  // namespace instep

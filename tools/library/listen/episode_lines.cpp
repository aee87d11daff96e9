#include "tools/library/listen/episode_lines.h"

namespace instep {
namespace {

constexpr const char* kName = "episodes.csv";

}  // namespace

void EpisodeLines::episode(const RunMoment& now, const EpisodeRecord& episode) {
  const int error = log_.add(episode, now.seconds);
  has_lost_lines_ = has_lost_lines_ || error != 0;
  troubles_.end_run(error, kName);
}

bool EpisodeLines::checkpoint(const RunMoment& now, std::int64_t episodes) {
  int error = log_.fill_up(episodes, now.seconds);
  if (error == 0) error = log_.sync();
  troubles_.end_run(error, kName);
  troubles_.end_run(log_.room_error(), kName);
  if (has_ended_) static_cast<void>(log_.finish());
  return error == 0 && !has_lost_lines_;
}

}  // namespace instep

#include "tools/library/listen/event_points.h"

#include <array>
#include <chrono>
#include <cmath>

#include "tools/library/run/measured.h"

namespace instep {

void EventPoints::note(int error) {
  if (error == 0) return;
  is_written_ = false;
  troubles_.leave_out(error, std::string(EventFile::kName));
}

void EventPoints::begin(const RunMoment& now, const Measured& earlier) {
  const auto wall_time = std::chrono::system_clock::now().time_since_epoch();
  wall_time_at_begin_s_ = std::chrono::duration<double>(wall_time).count();
  begin_ns_ = now.now_ns;
  point_ = earlier.point;
  point_ns_ = begin_ns_ - std::llround(point_.seconds * 1e9);
  is_written_ = true;
  note(file_.open_at(path_, now.step, wall_time_at_begin_s_));
}

void EventPoints::episode(const RunMoment&, const EpisodeRecord& episode) {
  ++point_.episodes.count;
  point_.episodes.return_sum += episode.episode_return;
  point_.episodes.length_sum += static_cast<double>(episode.length);
}

void EventPoints::health(const RunMoment& now, const HealthSample& sample) {
  std::array<Scalar, EventFile::kScalarsMax> scalars;
  std::size_t count = 0;
  const auto add = [&](std::string_view tag, double value) {
    if (!std::isnan(value)) scalars[count++] = {tag, static_cast<float>(value)};
  };
  const EpisodeMeans& episodes = point_.episodes;
  if (episodes.count > 0) {
    add("episode/return", episodes.return_sum / static_cast<double>(episodes.count));
    add("episode/length", episodes.length_sum / static_cast<double>(episodes.count));
  }
  add("policy/entropy", sample.entropy);
  add("policy/clamped_share", sample.clamped_share);
  add("policy/saturated_share", sample.saturated_share);
  add("critic/q", sample.q_value);
  add("critic/td_error_rms", sample.td_error_rms);
  add("critic/td_error_scale", sample.td_error_scale);
  add("critic/feature_norm", sample.critic_feature_norm);
  add("actor/feature_norm", sample.actor_feature_norm);
  add("actor/update_ratio", sample.actor_update_ratio);
  add("actor/weight_norm", sample.actor_weight_norm);
  if (now.now_ns > point_ns_) {
    add("run/steps_per_second", static_cast<double>(now.step - point_.step) * 1e9 /
                                    static_cast<double>(now.now_ns - point_ns_));
  }
  const double wall_time =
      wall_time_at_begin_s_ + static_cast<double>(now.now_ns - begin_ns_) * 1e-9;
  if (is_written_) note(file_.add(now.step, wall_time, {scalars.data(), count}));
  point_ = {.step = now.step};
  point_ns_ = now.now_ns;
}

bool EventPoints::checkpoint(const RunMoment&, std::int64_t) {
  if (is_written_) note(file_.flush());
  return true;
}

void EventPoints::save(const RunMoment& now, Measured& measured) const {
  measured.point.episodes = point_.episodes;
  measured.point.step = point_.step;
  const std::int64_t open_ns = point_ns_ == 0 ? 0 : now.now_ns - point_ns_;
  measured.point.seconds = static_cast<double>(open_ns) * 1e-9;
}

void EventPoints::end(const RunMoment&) {
  if (is_written_) note(file_.flush());
}

}  // namespace instep

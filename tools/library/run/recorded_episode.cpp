#include "tools/library/run/recorded_episode.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/policy.h"
#include "tools/library/error.h"
#include "tools/library/run/eval.h"

namespace instep {
namespace {

using nlohmann::json;

constexpr double kShownS = 8.0;
constexpr double kFramesPerSecond = 12.0;
constexpr std::size_t kMapFramesMax = 96;

int millimetres(double metres) {
  const double limit = RecordedEpisode::kMillimetresMax;
  return static_cast<int>(std::lround(std::clamp(metres * 1000.0, -limit, limit)));
}

// Takes a frame every `stride` states, and the last one of an episode that ends within what is
// shown. A map shows all of an episode: whenever there are enough frames, every other one goes.
class Recorder {
 public:
  Recorder(const Environment& world, double period_s, RecordedEpisode& episode)
      : world_(world),
        episode_(episode),
        stride_(std::max<std::int64_t>(1, std::lround(1.0 / kFramesPerSecond / period_s))) {
    episode_.frame_period_s = static_cast<double>(stride_) * period_s;
    frames_max_ = world.is_map() ? kMapFramesMax
                                 : static_cast<std::size_t>(kShownS / episode_.frame_period_s) + 1;
  }

  void take_state() {
    if (world_.is_map()) take_way();
    if (states_++ % stride_ == 0) take_frame();
  }
  void finish() {
    episode_.is_whole = world_.is_map() || episode_.frames.size() < frames_max_;
    if ((states_ - 1) % stride_ != 0) take_frame();
  }
  bool is_finite() const { return is_finite_; }

 private:
  void take_way() {
    if (states_ % way_stride_ != 0) return;
    world_.get_limbs(limbs_);
    for (const std::size_t axis : {std::size_t{0}, std::size_t{2}}) {
      episode_.way_mm.push_back(millimetres((limbs_[0].from[axis] + limbs_[0].to[axis]) / 2.0));
    }
    if (episode_.way_mm.size() < 2 * RecordedEpisode::kWayMax) return;
    for (std::size_t i = 0; i < RecordedEpisode::kWayMax; ++i) {
      episode_.way_mm[i] = episode_.way_mm[i / 2 * 4 + i % 2];
    }
    episode_.way_mm.resize(RecordedEpisode::kWayMax);
    way_stride_ *= 2;
  }
  void leave_every_other_frame() {
    for (std::size_t i = 1; 2 * i < frames_max_; ++i) {
      episode_.frames[i] = std::move(episode_.frames[2 * i]);
    }
    episode_.frames.resize((frames_max_ + 1) / 2);
    stride_ *= 2;
    episode_.frame_period_s *= 2.0;
  }

  void take_frame() {
    if (episode_.frames.size() >= frames_max_) {
      if (!world_.is_map()) return;
      leave_every_other_frame();
    }
    world_.get_limbs(limbs_);
    const double trunk_x = world_.is_map() ? 0.0 : (limbs_[0].from[0] + limbs_[0].to[0]) / 2.0;
    RecordedEpisode::Frame frame{millimetres(trunk_x), {}};
    for (const Limb& limb : limbs_) {
      for (const double* end : {limb.from, limb.to}) {
        is_finite_ = is_finite_ && std::isfinite(end[0] + end[2]);
        frame.ends_mm.push_back(millimetres(end[0] - trunk_x));
        frame.ends_mm.push_back(millimetres(end[2]));
      }
    }
    if (episode_.frames.empty()) {
      const double trunk_y = limbs_[0].from[1] + limbs_[0].to[1];
      for (const Limb& limb : limbs_) {
        // A hair's breadth is not a side: the planar robots stand in one plane.
        const bool is_far = limb.from[1] + limb.to[1] > trunk_y + 0.02;
        episode_.limbs.push_back({std::max(1, millimetres(limb.radius)), is_far});
      }
    }
    if (is_finite_) episode_.frames.push_back(std::move(frame));
  }

  const Environment& world_;
  RecordedEpisode& episode_;
  std::int64_t stride_;
  std::int64_t way_stride_ = 1;
  std::size_t frames_max_ = 0;
  std::int64_t states_ = 0;
  bool is_finite_ = true;
  std::vector<Limb> limbs_;
};

// What a file says is checked like a stranger's: the report is drawn from it.
int checked_millimetres(const json& value, int low) {
  const auto number = value.get<std::int64_t>();
  if (number < low || number > RecordedEpisode::kMillimetresMax) throw DataError("out of range");
  return static_cast<int>(number);
}

RecordedEpisode from_json(const json& value) {
  constexpr int kLow = -RecordedEpisode::kMillimetresMax;
  RecordedEpisode episode;
  episode.episode_return = value.at("return").get<double>();
  episode.length = value.at("length").get<std::int64_t>();
  episode.terminated = value.at("terminated").get<bool>();
  episode.is_whole = value.at("whole").get<bool>();
  episode.frame_period_s = value.at("frame_period_s").get<double>();
  for (const json& limb : value.at("limbs")) {
    episode.limbs.push_back(
        {checked_millimetres(limb.at("radius_mm"), 1), limb.at("far").get<bool>()});
  }
  for (const json& from : value.at("frames")) {
    RecordedEpisode::Frame frame{checked_millimetres(from.at("x_mm"), kLow), {}};
    for (const json& end : from.at("ends_mm")) {
      frame.ends_mm.push_back(checked_millimetres(end, kLow));
    }
    if (frame.ends_mm.size() != 4 * episode.limbs.size()) throw DataError("a frame lacks limbs");
    episode.frames.push_back(std::move(frame));
  }
  if (value.contains("way_mm")) {
    for (const json& number : value.at("way_mm")) {
      episode.way_mm.push_back(checked_millimetres(number, kLow));
    }
  }
  const bool fits = !episode.frames.empty() && episode.way_mm.size() % 2 == 0 &&
                    episode.way_mm.size() <= 2 * RecordedEpisode::kWayMax &&
                    episode.frames.size() <= RecordedEpisode::kFramesMax &&
                    !episode.limbs.empty() && episode.limbs.size() <= RecordedEpisode::kLimbsMax &&
                    std::isfinite(episode.episode_return) && episode.frame_period_s > 0.0 &&
                    episode.frame_period_s < 10.0;
  if (!fits) throw DataError("out of range");
  return episode;
}

}  // namespace

std::optional<RecordedEpisode> record_episode(RunSession& session, std::uint64_t seed) {
  std::vector<Limb> limbs;
  session.world().get_limbs(limbs);
  if (limbs.empty()) return std::nullopt;
  RecordedEpisode episode;
  Recorder recorder(session.world(), session.task().period_s, episode);
  const auto policy = session.agent().make_policy(false);
  const auto actor = [&](const double* observation, std::uint64_t step) {
    recorder.take_state();
    return draw_action(*policy, session.task().action_dim, seed, step, observation);
  };
  const EpisodeResult result = run_episode(session.world(), seed, 0, actor);
  recorder.take_state();
  recorder.finish();
  if (!recorder.is_finite() || !std::isfinite(result.episode_return)) return std::nullopt;
  episode.episode_return = result.episode_return;
  episode.length = result.length;
  episode.terminated = result.terminated;
  return episode;
}

std::string to_text(const RecordedEpisode& episode) {
  json limbs = json::array();
  for (const RecordedEpisode::Limb& limb : episode.limbs) {
    limbs.push_back({{"radius_mm", limb.radius_mm}, {"far", limb.is_far}});
  }
  json frames = json::array();
  for (const RecordedEpisode::Frame& frame : episode.frames) {
    frames.push_back({{"x_mm", frame.trunk_x_mm}, {"ends_mm", frame.ends_mm}});
  }
  json value = {{"return", episode.episode_return},
                {"length", episode.length},
                {"terminated", episode.terminated},
                {"whole", episode.is_whole},
                {"frame_period_s", episode.frame_period_s},
                {"limbs", limbs},
                {"frames", frames}};
  if (episode.is_map()) value["way_mm"] = episode.way_mm;
  return value.dump() + '\n';
}

RecordedEpisode parse_recorded_episode(const std::string& text, const std::string& path) {
  try {
    return from_json(json::parse(text));
  } catch (const json::exception&) {
    throw DataError(path + ": is damaged: not an episode as train writes it");
  } catch (const DataError& error) {
    throw DataError(path + ": is damaged: " + error.what());
  }
}

}  // namespace instep

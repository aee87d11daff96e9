// An episode of a trained robot as a moving skeleton seen from the side: episode.json of a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/library/run/session.h"

namespace instep {

// Lengths are whole millimetres. The robot is drawn around its trunk, and the ground moves; or, on
// a map, it moves and the ground stands.
struct RecordedEpisode {
  static constexpr const char* kName = "episode.json";
  static constexpr std::size_t kFramesMax = 128;
  static constexpr std::size_t kLimbsMax = 64;
  static constexpr std::size_t kWayMax = 1024;
  static constexpr int kMillimetresMax = 10'000'000;  // of every number

  struct Limb {
    int radius_mm = 1;
    bool is_far = false;  // beyond the middle plane, seen from the robot's right side
  };
  struct Frame {
    int trunk_x_mm = 0;        // how far the trunk has come; 0 on a map
    std::vector<int> ends_mm;  // per limb x and z of one end, then of the other; x from the trunk
  };

  double episode_return = 0.0;  // of the whole episode, which may be longer than what is shown
  std::int64_t length = 0;      // steps, of the whole episode
  bool terminated = false;
  bool is_whole = false;  // the frames show it to its end
  double frame_period_s = 0.0;
  std::vector<Limb> limbs;
  std::vector<Frame> frames;  // at least one
  std::vector<int> way_mm;    // of a map: x and z of the trunk, from the start to the end

  bool is_map() const { return !way_mm.empty(); }
};

// Rolls out one episode, the first one of `eval` with that seed, and keeps some eight seconds of
// it, or, of a map, so many frames of all of it. None for a task without a body, or when the
// simulator gave up. Uses the session's world and its learner's tapes: nothing can be learnt or
// saved afterwards.
std::optional<RecordedEpisode> record_episode(RunSession& session, std::uint64_t seed);

// As JSON text, at most some 100 kB.
std::string to_text(const RecordedEpisode& episode);

// The inverse. Throws DataError that begins with `path` when the text is anything else.
RecordedEpisode parse_recorded_episode(const std::string& text, const std::string& path);

}  // namespace instep

// Draws a recorded episode for the report.
#pragma once

#include <string>

#include "tools/library/run/recorded_episode.h"

namespace instep {

// How many frames of a map are shown in a second.
inline constexpr double kMapFramesPerSecond = 12.0;

// An SVG element that moves by itself, without a script, over a ground marked in metres; of a map
// with the way of the trunk. Where the
// reader has asked for less motion, styles of the page (classes moving and still) leave one frame.
// At most 300 kB for what a run records.
std::string draw_episode(const RecordedEpisode& episode);

}  // namespace instep

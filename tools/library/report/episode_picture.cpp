#include "tools/library/report/episode_picture.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace instep {
namespace {

using Frame = RecordedEpisode::Frame;

constexpr double kPauseS = 1.0;  // on the last frame, before it begins again
constexpr int kGroundMm = 250;   // of ground to be seen
constexpr double kWidthOverHeight = 2.4;
constexpr int kMarksMax = 400;  // on the ground

// What is seen: x from -half_width to half_width around the trunk or the map's middle, z from
// bottom to top.
struct View {
  int half_width_mm = 0;
  int top_mm = 0;
  int bottom_mm = -kGroundMm;
};

View view_of(const RecordedEpisode& episode) {
  int reach = 500;
  int top = 500;
  int bottom = 0;
  for (const Frame& frame : episode.frames) {
    for (std::size_t i = 0; i < frame.ends_mm.size(); i += 2) {
      const int radius = episode.limbs[i / 4].radius_mm;
      reach = std::max(reach, std::abs(frame.ends_mm[i]) + radius);
      top = std::max(top, frame.ends_mm[i + 1] + radius);
      bottom = std::min(bottom, frame.ends_mm[i + 1] - radius);
    }
  }
  if (episode.is_map()) return {reach, top, bottom};
  top += top / 8;
  const double width = kWidthOverHeight * (top + kGroundMm) / 2.0;
  return {std::max(reach + reach / 8, static_cast<int>(width)), top};
}

// One limb of one frame as a path; SVG's y points downwards. A ball is a line too short to see,
// whose round ends are seen.
void append_limb(std::string& path, const Frame& frame, std::size_t limb) {
  const int* ends = &frame.ends_mm[4 * limb];
  const bool is_ball = ends[0] == ends[2] && ends[1] == ends[3];
  path += 'M' + std::to_string(ends[0]) + ' ' + std::to_string(-ends[1]);
  path += 'L' + std::to_string(ends[2] + (is_ball ? 1 : 0)) + ' ' + std::to_string(-ends[3]);
}

std::string limb_start(const RecordedEpisode& episode, const Frame& frame, std::size_t limb) {
  const RecordedEpisode::Limb& part = episode.limbs[limb];
  std::string text = part.is_far ? "<path class=\"limb far\" " : "<path class=\"limb\" ";
  text += "stroke-width=\"" + std::to_string(2 * part.radius_mm) + "\" d=\"";
  append_limb(text, frame, limb);
  return text + '"';
}

// Limbs of the far side first, so that the near ones cover them.
std::vector<std::size_t> drawing_order(const RecordedEpisode& episode) {
  std::vector<std::size_t> order;
  for (const bool is_far : {true, false}) {
    for (std::size_t i = 0; i < episode.limbs.size(); ++i) {
      if (episode.limbs[i].is_far == is_far) order.push_back(i);
    }
  }
  return order;
}

// Marks every metre, with numbers every five, wherever the trunk comes.
std::string ground(const RecordedEpisode& episode, const View& view) {
  const auto [low, high] = std::minmax_element(
      episode.frames.begin(), episode.frames.end(),
      [](const Frame& a, const Frame& b) { return a.trunk_x_mm < b.trunk_x_mm; });
  const int first = (low->trunk_x_mm - view.half_width_mm) / 1000 - 1;
  const int last = std::min((high->trunk_x_mm + view.half_width_mm) / 1000 + 1, first + kMarksMax);
  std::string path;
  std::string numbers;
  for (int metre = first; metre <= last; ++metre) {
    const std::string x = std::to_string(metre * 1000);
    path += 'M' + x + " 0v60";
    if (metre % 5 != 0) continue;
    numbers += "<text x=\"" + x + "\" y=\"190\">" + std::to_string(metre) + " m</text>\n";
  }
  return "<path class=\"grid\" d=\"" + path + "\"/>\n" + numbers;
}

std::string animation(std::string_view element, const std::string& values, double seconds) {
  const auto tenths = std::lround(seconds * 10.0);
  return '<' + std::string(element) + " dur=\"" + std::to_string(tenths / 10) + '.' +
         std::to_string(tenths % 10) + "s\" repeatCount=\"indefinite\" values=\"" + values + "\"/>";
}

// The way of the trunk, and where it began.
std::string way(const RecordedEpisode& episode) {
  if (!episode.is_map()) return "";
  std::string path;
  for (std::size_t i = 0; i < episode.way_mm.size(); i += 2) {
    path += (i == 0 ? 'M' : 'L') + std::to_string(episode.way_mm[i]) + ' ' +
            std::to_string(-episode.way_mm[i + 1]);
  }
  const std::string start =
      'M' + std::to_string(episode.way_mm[0]) + ' ' + std::to_string(-episode.way_mm[1]) + "h1";
  return "<path class=\"way\" d=\"" + path + "\"/>\n<path class=\"start\" d=\"" + start + "\"/>\n";
}

std::string still(const RecordedEpisode& episode, const std::string& ground_marks) {
  const std::size_t count = episode.frames.size();
  const Frame& frame = episode.frames[episode.is_map() ? count - 1 : count / 2];
  std::string text = "<g class=\"still\">\n<g transform=\"translate(" +
                     std::to_string(-frame.trunk_x_mm) + " 0)\">\n" + ground_marks + "</g>\n";
  for (const std::size_t limb : drawing_order(episode)) {
    text += limb_start(episode, frame, limb) + "/>\n";
  }
  return text + "</g>\n";
}

std::string moving(const RecordedEpisode& episode, const std::string& ground_marks) {
  const double frame_s = episode.is_map() ? 1.0 / kMapFramesPerSecond : episode.frame_period_s;
  const auto pause = static_cast<std::size_t>(std::ceil(kPauseS / frame_s));
  const std::size_t count = episode.frames.size() + pause;
  const double seconds = static_cast<double>(count - 1) * frame_s;
  const auto frame_at = [&episode](std::size_t i) -> const Frame& {
    return episode.frames[std::min(i, episode.frames.size() - 1)];
  };
  std::string offsets;
  for (std::size_t i = 0; i < count; ++i) {
    offsets += (i == 0 ? "" : ";") + std::to_string(-frame_at(i).trunk_x_mm);
  }
  std::string text = "<g class=\"moving\">\n<g>\n";
  text += animation("animateTransform attributeName=\"transform\" type=\"translate\"", offsets,
                    seconds);
  text += '\n' + ground_marks + "</g>\n";
  for (const std::size_t limb : drawing_order(episode)) {
    std::string values;
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) values += ';';
      append_limb(values, frame_at(i), limb);
    }
    text += limb_start(episode, episode.frames[0], limb) + '>' +
            animation("animate attributeName=\"d\"", values, seconds) + "</path>\n";
  }
  return text + "</g>\n";
}

}  // namespace

std::string draw_episode(const RecordedEpisode& episode) {
  const View view = view_of(episode);
  const std::string left = std::to_string(-view.half_width_mm);
  const std::string width = std::to_string(2 * view.half_width_mm);
  const bool is_map = episode.is_map();
  const std::string marks = is_map ? "" : ground(episode, view);
  return std::string(is_map ? "<svg class=\"robot map\"" : "<svg class=\"robot\"") + " viewBox=\"" +
         left + ' ' + std::to_string(-view.top_mm) + ' ' + width + ' ' +
         std::to_string(view.top_mm - view.bottom_mm) +
         "\" role=\"img\" aria-label=\"The robot from " + (is_map ? "above" : "the side") +
         ", moving\">\n" +
         (is_map ? "" : "<path class=\"floor\" d=\"M" + left + " 0h" + width + "\"/>\n") +
         way(episode) + moving(episode, marks) + still(episode, marks) + "</svg>\n";
}

}  // namespace instep

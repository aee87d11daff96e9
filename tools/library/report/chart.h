// Charts of a report, as HTML and SVG.
// The plot is an SVG stretched to whatever width there is, with lines that keep their width; its
// labels are HTML around it, so that they stay as large as other text on every screen.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace instep {

struct Point {
  double step = 0;
  double value = 0;
};

inline constexpr double kSide = 10000;  // of an SVG's coordinates, both ways

struct Tick {
  double value = 0;
  std::string label;
};

struct Axis {
  double low = 0;
  double high = 1;
  std::vector<Tick> ticks;

  double place(double value) const;  // 0 to kSide
};

// The name of a line, shown where it ends.
struct LineEnd {
  Point at;
  std::string name;    // plain text
  std::string colour;  // a class; may be empty
};

// A vertical line where something happened.
struct EventMark {
  double step = 0;
  std::string name;  // plain text
};

struct Chart {
  std::string title;
  std::string description;  // for those who cannot see it
  std::string caption;      // HTML
  std::string x_label;
  std::string y_label;
  Axis x;
  Axis y;
  std::string marks;   // SVG
  std::string labels;  // HTML over the plot
  std::vector<LineEnd> ends{};
  std::vector<EventMark> events{};
};

// The label of a tick, where ticks are `spacing` apart and the largest is `largest`: all of an axis
// in one unit and with the same number of decimals.
std::string tick_text(double value, double spacing, double largest);

// The axis from one round number to another around [low, high], or around the values of points,
// with about `intervals` spaces between.
Axis round_axis(double low, double high, double intervals);
Axis axis_around(std::span<const Point> points, double intervals);

// The axis of steps: it ends where the run ends, not at the next round number.
Axis step_axis(double steps);

// An axis of logarithms of positive values, ticked at powers of ten or, where that leaves fewer
// than three, at 1, 2 and 5 times them.
Axis log_axis(double low, double high);

// Pieces of an SVG path: a number, and a point of the chart after a command letter.
void append_place(std::string& path, double place);
void append_point(std::string& path, const Chart& chart, char command, double x, double y);

// A place as CSS has it.
std::string percent(double place);

// An SVG path with that class; nothing for an empty one.
std::string path_mark(std::string_view css_class, const std::string& path);
std::string line_path(const Chart& chart, std::span<const Point> points);
std::string dots_path(const Chart& chart, std::span<const Point> points);

std::string render_chart(const Chart& chart);

// At most `count_max` of the points, evenly picked.
std::vector<Point> pick(std::span<const Point> points, std::size_t count_max);

// The known values of a grid of steps.
std::vector<Point> known(std::span<const std::optional<double>> values, double steps);

}  // namespace instep

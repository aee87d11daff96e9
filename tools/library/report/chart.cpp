#include "tools/library/report/chart.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tools/library/report/text.h"

namespace instep {

double Axis::place(double value) const {
  return std::clamp((value - low) / (high - low), 0.0, 1.0) * kSide;
}

std::string tick_text(double value, double spacing, double largest) {
  const double size = std::abs(largest);
  if (size >= 1e13 || spacing < 1e-6)
    return with_minus(chars(value, std::chars_format::general, 3));
  double unit = 1;
  std::string_view suffix;
  if (size >= 1e4) unit = 1e3, suffix = "k";
  if (size >= 1e6) unit = 1e6, suffix = "M";
  if (size >= 1e9) unit = 1e9, suffix = "G";
  if (value == 0) return "0";
  const double decimals = std::clamp(std::ceil(-std::log10(spacing / unit) - 1e-9), 0.0, 6.0);
  return concat({fixed(value / unit, static_cast<int>(decimals)), suffix});
}

Axis round_axis(double low, double high, double intervals) {
  const double size = std::max(std::abs(low), std::abs(high));
  if (high - low <= 1e-9 * size || high <= low) {
    const double room = size > 0 ? size * 0.1 : 1;
    low -= room;
    high += room;
  }
  const double raw = (high - low) / intervals;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double spacing = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= raw * 0.999) spacing = factor * power;
  }
  Axis axis;
  axis.low = std::floor(low / spacing + 1e-9) * spacing;
  axis.high = std::ceil(high / spacing - 1e-9) * spacing;
  const double largest = std::max(std::abs(axis.low), std::abs(axis.high));
  const int count = static_cast<int>(std::round((axis.high - axis.low) / spacing));
  for (int i = 0; i <= count; ++i) {
    double value = axis.low + i * spacing;
    if (std::abs(value) < spacing / 2) value = 0;
    axis.ticks.push_back({value, tick_text(value, spacing, largest)});
  }
  return axis;
}

Axis step_axis(double steps) {
  Axis axis = round_axis(0, std::max(steps, 1.0), 5);
  axis.high = std::max(steps, 1.0);
  std::erase_if(axis.ticks, [&](const Tick& tick) { return tick.value > axis.high * 1.0001; });
  return axis;
}

Axis log_axis(double low, double high) {
  for (const bool fine : {false, true}) {
    std::vector<double> values;
    const int last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
    for (int power = static_cast<int>(std::floor(std::log10(low) + 1e-9)); power <= last; ++power) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor == 1 || (fine && power < last)) values.push_back(factor * std::pow(10.0, power));
      }
    }
    while (values.size() > 2 && values[1] <= low * (1 + 1e-9)) values.erase(values.begin());
    while (values.size() > 2 && values[values.size() - 2] >= high * (1 - 1e-9)) values.pop_back();
    if (values.size() < 4 && !fine) continue;
    Axis axis{std::log10(values.front()), std::log10(values.back()), {}};
    if (values.size() == 1) axis.high += 1;
    for (const double value : values) {
      axis.ticks.push_back({std::log10(value), tick_text(value, value, value)});
    }
    return axis;
  }
  return {};
}

void append_place(std::string& path, double place) {
  path += std::to_string(static_cast<int>(std::lround(place)));
}

std::string percent(double place) {
  return chars(place / kSide * 100, std::chars_format::fixed, 2) + "%";
}

void append_point(std::string& path, const Chart& chart, char command, double x, double y) {
  path += command;
  append_place(path, chart.x.place(x));
  path += ' ';
  append_place(path, kSide - chart.y.place(y));
}

std::string path_mark(std::string_view css_class, const std::string& path) {
  return path.empty() ? "" : concat({"<path class=\"", css_class, "\" d=\"", path, "\"/>\n"});
}

std::string line_path(const Chart& chart, std::span<const Point> points) {
  std::string path;
  for (const Point& point : points) {
    append_point(path, chart, path.empty() ? 'M' : 'L', point.step, point.value);
  }
  return path;
}

// Round line ends make a dot of a line of no length, whatever the plot is stretched to.
std::string dots_path(const Chart& chart, std::span<const Point> points) {
  std::string path;
  for (const Point& point : points) {
    append_point(path, chart, 'M', point.step, point.value);
    path += "h1";
  }
  return path;
}

namespace {

constexpr std::size_t kEndsMax = 12;       // more could not be told apart: the caption names them
constexpr double kEndsApart = kSide / 13;  // a line of text

// Names at the ends of lines, moved apart where lines end close to each other.
std::string end_labels(const Chart& chart) {
  if (chart.ends.size() > kEndsMax) return "";
  std::vector<std::pair<double, const LineEnd*>> places;
  for (const LineEnd& end : chart.ends) places.emplace_back(chart.y.place(end.at.value), &end);
  std::stable_sort(places.begin(), places.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 1; i < places.size(); ++i) {
    places[i].first = std::max(places[i].first, places[i - 1].first + kEndsApart);
  }
  // Those that were pushed beyond the upper edge push the others down.
  double highest = kSide;
  for (std::size_t i = places.size(); i-- > 0; highest = places[i].first - kEndsApart) {
    places[i].first = std::min(places[i].first, highest);
  }
  std::string labels;
  for (const auto& [place, end] : places) {
    const double x = chart.x.place(end->at.step);
    // On a narrow screen one may take half the width: more than is left behind the middle.
    labels += concat({"<span class=\"end ", x > 0.5 * kSide ? "late " : "", end->colour,
                      "\" style=\"left:", percent(x), ";bottom:", percent(place), "\">",
                      escape(end->name), "</span>\n"});
  }
  return labels;
}

// Where something happened: a line through the plot, and a word at its upper end.
std::string event_line(const Chart& chart, const EventMark& event) {
  std::string path = "M";
  append_place(path, chart.x.place(event.step));
  return path + " 0V" + std::to_string(static_cast<int>(kSide));
}

std::string event_label(const Chart& chart, const EventMark& event) {
  const double place = chart.x.place(event.step);
  const bool to_left = place > kSide / 2;
  return concat({"<span class=\"mark\" style=\"top:0;", to_left ? "right:" : "left:",
                 percent(to_left ? kSide - place : place), "\">", escape(event.name), "</span>\n"});
}

}  // namespace

std::string render_chart(const Chart& chart) {
  std::string grid;
  std::string labels;
  std::size_t widest = 0;
  for (const Tick& tick : chart.y.ticks) {
    const double place = chart.y.place(tick.value);
    grid += "M0 ";
    append_place(grid, kSide - place);
    grid += concat({"h", std::to_string(static_cast<int>(kSide))});
    labels += concat(
        {"<span class=\"y\" style=\"bottom:", percent(place), "\">", tick.label, "</span>\n"});
    widest = std::max(widest, tick.label.size());
  }
  for (const Tick& tick : chart.x.ticks) {
    labels += concat({"<span class=\"x\" style=\"left:", percent(chart.x.place(tick.value)), "\">",
                      tick.label, "</span>\n"});
  }
  std::string events;
  for (const EventMark& event : chart.events) {
    events += event_line(chart, event);
    labels += event_label(chart, event);
  }
  labels += end_labels(chart);
  const bool has_ends = !chart.ends.empty() && chart.ends.size() <= kEndsMax;
  const std::string side = std::to_string(static_cast<int>(kSide));
  return concat({"<figure>\n<h2>",
                 chart.title,
                 "</h2>\n<p class=\"unit\">",
                 chart.y_label,
                 has_ends ? "</p>\n<div class=\"plot ends\" style=\"margin-left:"
                          : "</p>\n<div class=\"plot\" style=\"margin-left:",
                 chars(0.6 * static_cast<double>(widest) + 0.6, std::chars_format::fixed, 1),
                 "em\">\n<svg viewBox=\"0 0 ",
                 side,
                 " ",
                 side,
                 "\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"",
                 escape(chart.description),
                 "\">\n",
                 path_mark("grid", grid),
                 path_mark("event", events),
                 chart.marks,
                 "</svg>\n",
                 labels,
                 chart.labels,
                 "</div>\n<p class=\"unit right\">",
                 chart.x_label,
                 "</p>\n<figcaption>",
                 chart.caption,
                 "</figcaption>\n</figure>\n"});
}

Axis axis_around(std::span<const Point> points, double intervals) {
  double low = points.empty() ? 0 : points[0].value;
  double high = low;
  for (const Point& point : points) {
    low = std::min(low, point.value);
    high = std::max(high, point.value);
  }
  return round_axis(low, high, intervals);
}

std::vector<Point> pick(std::span<const Point> points, std::size_t count_max) {
  const std::size_t count = std::min(points.size(), count_max);
  std::vector<Point> picked;
  for (std::size_t i = 0; i < count; ++i) picked.push_back(points[i * points.size() / count]);
  return picked;
}

std::vector<Point> known(std::span<const std::optional<double>> values, double steps) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double step = steps * static_cast<double>(i + 1) / static_cast<double>(values.size());
    if (values[i]) points.push_back({step, *values[i]});
  }
  return points;
}

}  // namespace instep

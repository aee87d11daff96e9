#include "tools/instep/report.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/latency_histogram.h"
#include "tools/instep/episode_picture.h"
#include "tools/instep/error.h"

namespace instep {
namespace {

using nlohmann::json;

// ---- Numbers as text: never through the locale ----

// Beyond this a number is no measurement, and differences of two would overflow.
constexpr double kUsableMax = 1e100;

bool usable(double value) {
  return std::abs(value) < kUsableMax;
}

std::string concat(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

std::string chars(double value, std::chars_format format, int precision) {
  std::array<char, 160> buffer{};
  const auto result =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, precision);
  return {buffer.data(), result.ptr};
}

// A minus sign of the width of a plus, and none before a zero.
std::string with_minus(std::string text) {
  if (text.empty() || text[0] != '-') return text;
  text.erase(0, 1);
  return text.find_first_of("123456789") == std::string::npos ? text : "\u2212" + text;
}

// Puts commas between groups of three digits of the whole part.
std::string grouped(std::string text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::size_t first = text.find_first_of("0123456789");
  for (std::size_t at = point; at > first + 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

std::string fixed(double value, int decimals) {
  if (!usable(value)) return "not finite";
  if (std::abs(value) >= 1e15) return with_minus(chars(value, std::chars_format::scientific, 3));
  return with_minus(grouped(chars(value, std::chars_format::fixed, decimals)));
}

std::string count_text(std::uint64_t count) {
  return grouped(std::to_string(count));
}

// About four significant digits, which is what a measurement here is good for.
std::string number_text(double value) {
  const double size = std::abs(value);
  if (size >= 1000) return fixed(value, 0);
  if (size >= 100) return fixed(value, 1);
  if (size >= 1 || size == 0) return fixed(value, size == std::floor(size) ? 0 : 2);
  return size >= 1e-4 ? fixed(value, size >= 0.01 ? 3 : 6)
                      : with_minus(chars(value, std::chars_format::scientific, 2));
}

std::string optional_text(const std::optional<double>& value) {
  return value ? number_text(*value) : "\u2013";
}

std::string bytes_text(double bytes) {
  constexpr std::array<std::string_view, 4> kUnits{" B", " KiB", " MiB", " GiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return concat({fixed(bytes, unit == 0 || bytes >= 100 ? 0 : 1), kUnits[unit]});
}

std::string duration_text(double seconds) {
  if (seconds < 0.95) return concat({fixed(std::ceil(seconds * 1000), 0), " ms"});
  if (seconds < 59.5) return concat({fixed(seconds, seconds < 9.95 ? 1 : 0), " s"});
  const auto whole = static_cast<std::uint64_t>(std::min(seconds, 1e15) + 0.5);
  const std::uint64_t days = whole / 86400;
  const std::string minutes = std::to_string(whole / 60 % 60);
  if (days > 0) return concat({count_text(days), " d ", std::to_string(whole / 3600 % 24), " h"});
  if (whole >= 3600) return concat({std::to_string(whole / 3600), " h ", minutes, " min"});
  return concat({minutes, " min ", std::to_string(whole % 60), " s"});
}

std::string escape(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

// ---- What the report needs to know of a run ----

struct Point {
  double step = 0;
  double value = 0;
};

struct Run {
  const RunRecord* record = nullptr;
  std::string name;  // the folder's own name
  std::string task;
  std::string algo;
  std::string seed;
  double steps = 0;
  std::vector<Point> returns;      // of the episodes with a usable return, in order of step
  std::size_t left_out_count = 0;  // episodes without
  std::optional<double> first_eighth;
  std::optional<double> last_eighth;
};

const json* find(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::optional<double> number_at(const json& object, const char* key) {
  const json* value = find(object, key);
  if (value == nullptr || !value->is_number() || !usable(value->get<double>())) return std::nullopt;
  return value->get<double>();
}

std::string text_at(const json& object, const char* key) {
  const json* value = find(object, key);
  if (value == nullptr) return "";
  if (value->is_string()) return value->get<std::string>();
  if (value->is_boolean()) return value->get<bool>() ? "yes" : "no";
  if (value->is_number_integer()) return value->dump();
  return value->is_number() ? number_text(value->get<double>()) : "";
}

// Entries of an array of objects, or nothing where it is missing or something else.
std::vector<json> entries_at(const json& object, const char* key) {
  const json* value = find(object, key);
  return value != nullptr && value->is_array() ? value->get<std::vector<json>>()
                                               : std::vector<json>();
}

// A value of config.toml, from the top or the first table that has it: for runs without a summary.
std::string config_value(const std::string& config, const char* key) {
  const auto text = [](const toml::node* node) -> std::string {
    if (node == nullptr) return "";
    if (const auto number = node->value_exact<std::int64_t>()) return std::to_string(*number);
    return node->value_exact<std::string>().value_or("");
  };
  try {
    const toml::table table = toml::parse(config);
    std::string found = text(table.get(key));
    for (const auto& entry : table) {
      const toml::table* inner = entry.second.as_table();
      if (found.empty() && inner != nullptr) found = text(inner->get(key));
    }
    return found;
  } catch (const toml::parse_error&) {
    return "";  // The report shows the text as it is; that it is damaged is no reason to show
                // nothing.
  }
}

std::string fact(const RunRecord& record, const char* key) {
  const std::string text = text_at(record.summary, key);
  return text.empty() ? config_value(record.config_text, key) : text;
}

std::optional<double> mean_of(std::span<const Point> points) {
  if (points.empty()) return std::nullopt;
  double sum = 0;
  for (const Point& point : points) sum += point.value;
  return sum / static_cast<double>(points.size());
}

// The points with step in (first, last].
std::span<const Point> between(const std::vector<Point>& points, double first, double last) {
  const auto before = [](double step, const Point& point) { return step < point.step; };
  const auto begin = std::upper_bound(points.begin(), points.end(), first, before);
  return {begin, std::upper_bound(begin, points.end(), last, before)};
}

Run digest(const RunRecord& record) {
  Run run;
  run.record = &record;
  std::filesystem::path folder(record.path);
  if (!folder.has_filename()) folder = folder.parent_path();
  run.name = folder.filename().string();
  run.task = fact(record, "task");
  run.algo = fact(record, "algo");
  run.seed = fact(record, "seed");
  run.steps = std::max(0.0, number_at(record.summary, "steps").value_or(0));
  for (const Episode& episode : record.episodes) {
    const auto step = static_cast<double>(episode.step);
    run.steps = std::max(run.steps, step);
    if (usable(episode.return_sum)) run.returns.push_back({step, episode.return_sum});
  }
  run.left_out_count = record.episodes.size() - run.returns.size();
  run.first_eighth = mean_of(between(run.returns, 0, run.steps / 8));
  run.last_eighth = mean_of(between(run.returns, run.steps - run.steps / 8, run.steps));
  return run;
}

// ---- Statistics ----

// A running mean at `count` steps, evenly spaced up to `steps`: of the episodes that ended in the
// last twentieth of `steps` before, or the value before where none did. It begins with the first
// episode and does not go beyond the run's own end.
std::vector<std::optional<double>> running_mean(const Run& run, double steps, std::size_t count) {
  std::vector<std::optional<double>> means(count);
  std::optional<double> mean;
  for (std::size_t i = 0; i < count; ++i) {
    const double step = steps * static_cast<double>(i + 1) / static_cast<double>(count);
    if (step > run.steps) break;
    const auto fresh = mean_of(between(run.returns, step - steps / 20, step));
    if (fresh) mean = fresh;
    means[i] = mean;
  }
  return means;
}

// ---- Charts ----
// The plot is an SVG stretched to whatever width there is, with lines that keep their width; its
// labels are HTML around it, so that they stay as large as other text on every screen.

constexpr double kSide = 10000;  // of an SVG's coordinates, both ways

struct Tick {
  double value = 0;
  std::string label;
};

struct Axis {
  double low = 0;
  double high = 1;
  std::vector<Tick> ticks;

  double place(double value) const {
    return std::clamp((value - low) / (high - low), 0.0, 1.0) * kSide;
  }
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
};

// Labels of ticks that are `spacing` apart, all in one unit and with the same number of decimals.
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

// The axis from one round number to another around [low, high], with about `intervals` spaces
// between.
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

// The axis of steps: it ends where the run ends, not at the next round number.
Axis step_axis(double steps) {
  Axis axis = round_axis(0, std::max(steps, 1.0), 5);
  axis.high = std::max(steps, 1.0);
  std::erase_if(axis.ticks, [&](const Tick& tick) { return tick.value > axis.high * 1.0001; });
  return axis;
}

// An axis of logarithms of positive values, ticked at powers of ten or, where that leaves fewer
// than three, at 1, 2 and 5 times them.
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
  const std::string side = std::to_string(static_cast<int>(kSide));
  return concat({"<figure>\n<h2>",
                 chart.title,
                 "</h2>\n<p class=\"unit\">",
                 chart.y_label,
                 "</p>\n<div class=\"plot\" style=\"margin-left:",
                 chars(0.6 * static_cast<double>(widest) + 0.6, std::chars_format::fixed, 1),
                 "em\">\n<svg viewBox=\"0 0 ",
                 side,
                 " ",
                 side,
                 "\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"",
                 escape(chart.description),
                 "\">\n",
                 path_mark("grid", grid),
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

// At most `count_max` of the points, evenly picked.
std::vector<Point> pick(std::span<const Point> points, std::size_t count_max) {
  const std::size_t count = std::min(points.size(), count_max);
  std::vector<Point> picked;
  for (std::size_t i = 0; i < count; ++i) picked.push_back(points[i * points.size() / count]);
  return picked;
}

// The known values of a grid of steps.
std::vector<Point> known(std::span<const std::optional<double>> values, double steps) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double step = steps * static_cast<double>(i + 1) / static_cast<double>(values.size());
    if (values[i]) points.push_back({step, *values[i]});
  }
  return points;
}

constexpr std::size_t kDotsMax = 600;
constexpr std::size_t kCurvePoints = 300;

std::string learning_curve(const Run& run) {
  if (run.returns.empty()) {
    return "<p class=\"note\">No episode has ended yet, so there is no learning curve.</p>\n";
  }
  const std::vector<Point> dots = pick(run.returns, kDotsMax);
  const std::vector<Point> curve = known(running_mean(run, run.steps, kCurvePoints), run.steps);
  Chart chart;
  chart.title = "Learning curve";
  chart.description = "Return of each episode, and their running mean, over the steps of the run";
  chart.x_label = "steps";
  chart.y_label = "return of an episode";
  chart.x = step_axis(run.steps);
  std::vector<Point> shown = dots;
  shown.insert(shown.end(), curve.begin(), curve.end());
  chart.y = axis_around(shown, 5);
  chart.marks =
      path_mark("dots", dots_path(chart, dots)) + path_mark("line", line_path(chart, curve));
  chart.caption = dots.size() == run.returns.size()
                      ? "Each dot is an episode."
                      : concat({"Each dot is an episode; ", count_text(dots.size()), " of ",
                                count_text(run.returns.size()), " are shown, evenly picked."});
  chart.caption += " The line is the mean of the episodes that ended in the last 5 % of the steps.";
  if (run.left_out_count > 0) {
    chart.caption += concat(
        {" Left out: ", count_text(run.left_out_count), " episodes whose return is not finite."});
  }
  return render_chart(chart);
}

std::string speed_chart(const Run& run) {
  std::vector<Point> points;
  for (const json& entry : entries_at(run.record->summary, "speed")) {
    const auto step = number_at(entry, "step");
    const auto speed = number_at(entry, "steps_per_second");
    if (step && speed) points.push_back({*step, *speed});
  }
  points = pick(points, kDotsMax);
  if (points.empty()) return "";
  Chart chart;
  chart.title = "Speed";
  chart.description = "Steps per second over the steps of the run";
  chart.x_label = "steps";
  chart.y_label = "steps per second";
  chart.x = step_axis(run.steps);
  double fastest = 0;
  for (const Point& point : points) fastest = std::max(fastest, point.value);
  chart.y = round_axis(0, fastest, 4);
  chart.marks = points.size() == 1 ? path_mark("dots strong", dots_path(chart, points))
                                   : path_mark("line", line_path(chart, points));
  chart.caption = "How fast the loop went, learning included.";
  return render_chart(chart);
}

// ---- The histogram of update times ----

struct Bar {
  double low_us = 0;
  double high_us = 0;
  double count = 0;
};

constexpr int kBarsMax = 120;

// The bucket a duration falls into.
int bucket_of(double us) {
  const auto ns = static_cast<std::int64_t>(std::min(us * 1000, 1e15) + 0.5);
  int bucket = LatencyHistogram::kBuckets - 1;
  while (bucket > 0 && LatencyHistogram::lower_edge_ns(bucket) > ns) --bucket;
  return bucket;
}

// Puts so many neighbouring buckets together that at most kBarsMax bars remain. Their number is a
// power of two, so that every bar holds whole buckets and none looks higher for holding one more.
std::vector<Bar> read_bars(const json& summary) {
  std::map<int, double> buckets;
  for (const json& entry : entries_at(summary, "update_histogram")) {
    const auto us = number_at(entry, "us");
    const auto count = number_at(entry, "count");
    if (us && count && *us >= 0 && *count >= 1) buckets[bucket_of(*us)] += *count;
  }
  if (buckets.empty()) return {};
  int together = 1;
  while ((buckets.rbegin()->first - buckets.begin()->first) / together >= kBarsMax) together *= 2;
  std::map<int, double> groups;
  for (const auto& [bucket, count] : buckets) groups[bucket / together] += count;
  std::vector<Bar> bars;
  for (const auto& [group, count] : groups) {
    const auto edge_us = [&](int bucket) {
      const std::int64_t ns = LatencyHistogram::lower_edge_ns(bucket);
      return static_cast<double>(std::max<std::int64_t>(ns, 1)) / 1000;
    };
    bars.push_back({edge_us(group * together), edge_us((group + 1) * together), count});
  }
  return bars;
}

struct Percentile {
  std::string_view name;
  const char* key;
};
constexpr std::array<const char*, 3> kMarked{"p50", "p99", "max"};
constexpr std::array<Percentile, 4> kPercentiles{{{"half within", "p50"},
                                                  {"99 % within", "p99"},
                                                  {"99.9 % within", "p999"},
                                                  {"longest", "max"}}};

// A line at each marked percentile, its label beside it in a row of its own above the bars.
void mark_percentiles(Chart& chart, const json& percentiles) {
  std::string lines;
  int row = 0;
  for (const char* mark : kMarked) {
    const auto us = number_at(percentiles, mark);
    if (!us || *us <= 0) continue;
    const double place = chart.x.place(std::log10(*us));
    lines += "M";
    append_place(lines, place);
    lines += concat({" 0V", std::to_string(static_cast<int>(kSide))});
    const bool to_left = place > kSide / 2;
    chart.labels +=
        concat({"<span class=\"mark\" style=\"top:", chars(row * 1.5, std::chars_format::fixed, 1),
                "em;", to_left ? "right:" : "left:", percent(to_left ? kSide - place : place),
                "\">", mark, " ", number_text(*us), " \u00b5s</span>\n"});
    ++row;
  }
  chart.marks += path_mark("marker", lines);
}

std::string update_histogram(const Run& run) {
  const std::vector<Bar> bars = read_bars(run.record->summary);
  if (bars.empty()) return "";
  const json* percentiles = find(run.record->summary, "update_us");
  double highest_us = bars.back().high_us;
  double count_max = 1;
  for (const Bar& bar : bars) count_max = std::max(count_max, bar.count);
  if (percentiles != nullptr) {
    highest_us = std::max(highest_us, number_at(*percentiles, "max").value_or(0));
  }
  Chart chart;
  chart.title = "Time of an update";
  chart.description = "How many updates took how long, both on logarithmic scales";
  chart.x_label = "microseconds, logarithmic";
  chart.y_label = "updates, logarithmic";
  chart.x = log_axis(bars.front().low_us, highest_us);
  const int decades = static_cast<int>(std::ceil(std::log10(count_max) - 1e-9));
  for (int decade = 0, by = decades / 5 + 1; decade <= decades; decade += by) {
    const double count = std::pow(10.0, decade);
    chart.y.ticks.push_back({static_cast<double>(decade), tick_text(count, count, count)});
  }
  // A single update is still a visible bar, and the upper quarter is left to the labels.
  chart.y.low = -0.3;
  chart.y.high = chart.y.low + (std::max(decades, 1) + 0.3) / 0.74;
  std::string path;
  for (const Bar& bar : bars) {
    append_point(path, chart, 'M', std::log10(bar.low_us), chart.y.low);
    append_point(path, chart, 'L', std::log10(bar.low_us), std::log10(bar.count));
    append_point(path, chart, 'L', std::log10(bar.high_us), std::log10(bar.count));
    append_point(path, chart, 'L', std::log10(bar.high_us), chart.y.low);
    path += 'Z';
  }
  chart.marks = path_mark("bars", path);
  if (percentiles != nullptr) mark_percentiles(chart, *percentiles);
  chart.caption =
      "Half of the updates took no longer than p50, all but one in a hundred no longer than p99.";
  return render_chart(chart);
}

// ---- Tables ----

std::string row(std::string_view name, std::string_view value) {
  return value.empty()
             ? ""
             : concat({"<tr><th scope=\"row\">", name, "</th><td>", value, "</td></tr>\n"});
}

std::string latency_text(const json& summary, const char* key) {
  const json* latency = find(summary, key);
  std::string text;
  for (const Percentile& percentile : kPercentiles) {
    const auto us = latency == nullptr ? std::nullopt : number_at(*latency, percentile.key);
    if (!us) continue;
    if (!text.empty()) text += ", ";
    text += concat({percentile.name, " <b>", number_text(*us), "</b>\u00a0\u00b5s"});
  }
  return text;
}

std::string count_at(const json& summary, const char* key) {
  const auto count = number_at(summary, key);
  return count ? fixed(*count, 0) : "";
}

std::string ended_text(const json& summary) {
  const std::string ended = text_at(summary, "ended");
  if (ended.empty()) return "no summary: it still goes on, or was killed";
  if (ended == "done") return "done: all steps were taken";
  if (ended == "interrupted") return "interrupted: stopped before its last step";
  if (ended == "faulted") return "faulted: stopped by a fault";
  return escape(ended);
}

std::string facts_table(const Run& run) {
  const json& summary = run.record->summary;
  std::string rows = row("Ended", ended_text(summary));
  rows += row("Task", escape(run.task));
  rows += row("Algorithm", escape(run.algo));
  rows += row("Seed", escape(run.seed));
  rows += row("Steps", fixed(run.steps, 0));
  rows += row("Episodes", count_text(run.record->episodes.size()));
  rows += row("Mean return, first eighth", optional_text(run.first_eighth));
  rows += row("Mean return, last eighth", optional_text(run.last_eighth));
  const auto speed = number_at(summary, "steps_per_second");
  rows += row("Steps per second", speed ? number_text(*speed) : "");
  rows += row("Update", latency_text(summary, "update_us"));
  rows += row("Observation to action", latency_text(summary, "observation_to_action_us"));
  rows += row("Dropped updates", count_at(summary, "dropped_updates"));
  rows += row("Dropped transitions", count_at(summary, "dropped_transitions"));
  rows += row("Missed deadlines", count_at(summary, "missed_deadlines"));
  rows += row("Exactly the algorithm", text_at(summary, "exact"));
  rows += row("Backend", escape(text_at(summary, "backend")));
  rows += row("Path", escape(text_at(summary, "path")));
  rows += row("Schedule", escape(text_at(summary, "schedule")));
  rows += row("Arithmetic", escape(text_at(summary, "arithmetic")));
  rows += row("Machine", escape(text_at(summary, "machine")));
  rows += row("Folder", escape(run.record->path));
  return concat(
      {"<section>\n<h2>The run</h2>\n<table class=\"facts\">\n", rows, "</table>\n</section>\n"});
}

std::string memory_table(const Run& run) {
  std::string rows;
  double total = 0;
  double padding = 0;
  const auto line = [](const std::string& name, double bytes) {
    return concat({"<th scope=\"row\">", name, "</th><td>", fixed(bytes, 0), "</td><td>",
                   bytes_text(bytes), "</td></tr>\n"});
  };
  for (const json& entry : entries_at(run.record->summary, "memory")) {
    const auto bytes = number_at(entry, "bytes");
    if (!bytes) continue;
    rows += concat({"<tr>", line(escape(text_at(entry, "name")), *bytes)});
    total += *bytes;
    padding += number_at(entry, "padding_bytes").value_or(0);
  }
  if (rows.empty()) return "";
  const std::string note =
      padding > 0
          ? concat({"<p class=\"note\">Of these bytes ", fixed(padding, 0), " are padding.</p>\n"})
          : "";
  constexpr std::string_view kOpening =
      "<section>\n<h2>Memory</h2>\n<table class=\"numbers\">\n<thead><tr><th "
      "scope=\"col\">what</th>"
      "<th scope=\"col\">bytes</th><th scope=\"col\">size</th></tr></thead>\n<tbody>\n";
  return concat({kOpening, rows, "<tr class=\"total\">", line("total", total),
                 "</tbody>\n</table>\n", note, "</section>\n"});
}

std::string settings(const Run& run) {
  if (run.record->config_text.empty()) return "";
  return concat({"<pre>", escape(run.record->config_text), "</pre>\n"});
}

// ---- One run ----

// "by AVG on the CPU (avx2)", as far as it is known.
std::string means_text(const Run& run) {
  std::string algo = run.algo;
  for (char& c : algo) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  const std::string backend = text_at(run.record->summary, "backend");
  const std::string path = text_at(run.record->summary, "path");
  std::string text;
  if (!algo.empty()) text += " by " + algo;
  if (backend == "cpu") text += " on the CPU";
  if (backend == "cuda") text += " on the GPU";
  if (!path.empty()) text += concat({" (", path, ")"});
  return text;
}

std::optional<double> loop_seconds(const Run& run) {
  const auto speed = number_at(run.record->summary, "steps_per_second");
  if (speed && *speed > 0) return run.steps / *speed;
  if (run.record->episodes.empty()) return std::nullopt;
  const double seconds = run.record->episodes.back().seconds;
  return usable(seconds) && seconds > 0 ? std::optional(seconds) : std::nullopt;
}

// One sentence in plain words: what was learnt, from how much, in how long, by what.
std::string headline(const Run& run) {
  const std::string task = run.task.empty() ? "the task" : run.task;
  const auto seconds = loop_seconds(run);
  const std::string tail = escape(
      concat({seconds ? concat({", in ", duration_text(*seconds)}) : "", means_text(run), "."}));
  const std::string start =
      concat({"In ", fixed(run.steps, 0), " steps of <em>", escape(task), "</em> "});
  if (run.returns.empty()) return concat({start, "no episode has ended yet", tail});
  if (run.returns.size() == 1) {
    return concat({start, "one episode has ended, with a return of <b>",
                   number_text(run.returns[0].value), "</b>", tail});
  }
  const std::string from = number_text(run.first_eighth.value_or(run.returns.front().value));
  const std::string to = number_text(run.last_eighth.value_or(run.returns.back().value));
  const std::string_view from_when = run.first_eighth ? "first eighth" : "first episode";
  const std::string_view to_when = run.last_eighth ? "last eighth" : "last episode";
  if (from == to) return concat({start, "the mean return stayed at <b>", to, "</b>", tail});
  return concat({start, run.first_eighth && run.last_eighth ? "the mean return" : "the return",
                 " went from <b>", from, "</b> (", from_when, ") to <b>", to, "</b> (", to_when,
                 ")", tail});
}

// The robot at work, where the task has a body.
std::string episode_figure(const Run& run) {
  if (!run.record->recorded_episode) return "";
  const RecordedEpisode& episode = *run.record->recorded_episode;
  const double shown_s = static_cast<double>(episode.frames.size() - 1) * episode.frame_period_s;
  std::string caption = concat({"One episode with the final weights, without learning: return <b>",
                                number_text(episode.episode_return), "</b> in ",
                                fixed(static_cast<double>(episode.length), 0), " steps"});
  if (episode.terminated) caption += ", then it fell";
  caption += episode.is_whole ? concat({". All ", duration_text(shown_s), " are shown."})
                              : concat({". The first ", duration_text(shown_s), " are shown."});
  return concat(
      {"<figure>\n", draw_episode(episode), "<figcaption>", caption, "</figcaption>\n</figure>\n"});
}

std::string one_run_body(const Run& run) {
  const std::string config = settings(run);
  return concat({"<h1>", headline(run), "</h1>\n", episode_figure(run), learning_curve(run),
                 speed_chart(run), update_histogram(run), facts_table(run), memory_table(run),
                 config.empty() ? "" : "<section>\n<h2>Settings</h2>\n", config,
                 config.empty() ? "" : "</section>\n"});
}

// ---- Several runs ----

bool alike(std::span<const Run> runs) {
  return std::all_of(runs.begin(), runs.end(), [&](const Run& run) {
    return run.task == runs[0].task && run.algo == runs[0].algo;
  });
}

struct Band {
  std::vector<Point> mean;
  std::vector<Point> low;
  std::vector<Point> high;
};

// Over the steps at which every run has a value: where fewer have one, the mean would jump for no
// other reason than that a run begins or ends.
Band band_over(std::span<const std::vector<std::optional<double>>> curves, double steps) {
  Band band;
  const std::size_t count = curves[0].size();
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<double> values;
    for (const auto& curve : curves) {
      if (curve[i]) values.push_back(*curve[i]);
    }
    if (values.size() != curves.size()) continue;
    const auto interval = mean_interval_95(values);
    if (!interval) continue;
    const double step = steps * static_cast<double>(i + 1) / static_cast<double>(count);
    band.mean.push_back({step, interval->mean});
    band.low.push_back({step, interval->mean - interval->half_width});
    band.high.push_back({step, interval->mean + interval->half_width});
  }
  return band;
}

constexpr std::size_t kColours = 6;

std::string colour_class(std::size_t run) {
  return "c" + std::to_string(run % kColours);
}

std::string curves_figure(std::span<const Run> runs) {
  double steps = 0;
  for (const Run& run : runs) steps = std::max(steps, run.steps);
  const std::size_t count = std::clamp<std::size_t>(30000 / runs.size(), 20, 200);
  std::vector<std::vector<std::optional<double>>> curves;
  std::vector<Point> shown;
  for (const Run& run : runs) {
    curves.push_back(running_mean(run, steps, count));
    const std::vector<Point> points = known(curves.back(), steps);
    shown.insert(shown.end(), points.begin(), points.end());
  }
  if (shown.empty()) {
    return "<p class=\"note\">No episode has ended yet, so there is no learning curve.</p>\n";
  }
  const bool with_mean = alike(runs);
  const Band band = with_mean ? band_over(curves, steps) : Band();
  shown.insert(shown.end(), band.low.begin(), band.low.end());
  shown.insert(shown.end(), band.high.begin(), band.high.end());
  Chart chart;
  chart.title = "Learning curves";
  chart.description = "Running mean of the return of each run over its steps";
  chart.x_label = "steps";
  chart.y_label = "return of an episode, running mean";
  chart.x = step_axis(steps);
  chart.y = axis_around(shown, 5);
  std::vector<Point> outline = band.high;
  outline.insert(outline.end(), band.low.rbegin(), band.low.rend());
  chart.marks = path_mark("band", line_path(chart, outline));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    chart.marks += path_mark(with_mean ? "thin" : "thin " + colour_class(i),
                             line_path(chart, known(curves[i], steps)));
  }
  chart.marks += path_mark("line", line_path(chart, band.mean));
  chart.caption =
      "Thin: each run, as the mean of its episodes that ended in the last 5 % of the steps.";
  if (!band.mean.empty()) {
    chart.caption += concat({" Thick: the mean over the ", count_text(runs.size()),
                             " runs. Shaded: its 95 % interval (Student\u2019s t)."});
  }
  return render_chart(chart);
}

std::string cell(std::string_view label, std::string_view value) {
  return concat({"<td data-label=\"", label, "\">", value.empty() ? "\u2013" : value, "</td>"});
}

std::string runs_table(std::span<const Run> runs) {
  const bool same = alike(runs);
  std::string rows;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const json& summary = runs[i].record->summary;
    const json* update = find(summary, "update_us");
    const std::string ended = text_at(summary, "ended");
    const std::string swatch =
        same ? "" : concat({"<i class=\"swatch ", colour_class(i), "\"></i> "});
    rows += concat({"<tr><th scope=\"row\">", swatch, escape(runs[i].name), "</th>"});
    if (!same) {
      const std::string_view comma = runs[i].algo.empty() ? "" : ", ";
      rows += cell("task", escape(concat({runs[i].task, comma, runs[i].algo})));
    }
    rows += cell("seed", escape(runs[i].seed));
    rows += cell("steps", fixed(runs[i].steps, 0));
    rows += cell("last eighth", optional_text(runs[i].last_eighth));
    rows += cell("steps/s", optional_text(number_at(summary, "steps_per_second")));
    rows += cell("p99, \u00b5s", update ? optional_text(number_at(*update, "p99")) : "");
    rows += cell("ended", ended.empty() ? "no summary" : escape(ended));
    rows += "</tr>\n";
  }
  std::string head;
  for (const std::string_view name :
       {"run", "task", "seed", "steps", "last eighth", "steps/s", "p99, \u00b5s", "ended"}) {
    if (same && name == "task") continue;
    head += concat({"<th scope=\"col\">", name, "</th>"});
  }
  constexpr std::string_view kNote =
      "<p class=\"note\">Last eighth: mean return of the episodes that ended in the last eighth of "
      "the "
      "run\u2019s steps. p99: all but one in a hundred updates took no longer.</p>\n";
  return concat({"<section>\n<h2>Runs</h2>\n<table class=\"runs\">\n<thead><tr>", head,
                 "</tr></thead>\n<tbody>\n", rows, "</tbody>\n</table>\n", kNote, "</section>\n"});
}

std::string runs_headline(std::span<const Run> runs) {
  if (!alike(runs)) {
    return concat(
        {count_text(runs.size()), " runs of different tasks or algorithms, side by side."});
  }
  std::vector<double> finals;
  double fewest = runs[0].steps;
  double most = fewest;
  for (const Run& run : runs) {
    if (run.last_eighth) finals.push_back(*run.last_eighth);
    fewest = std::min(fewest, run.steps);
    most = std::max(most, run.steps);
  }
  const std::string task = runs[0].task.empty() ? "one task" : runs[0].task;
  const std::string steps =
      fewest == most ? fixed(most, 0) : concat({fixed(fewest, 0), " to ", fixed(most, 0)});
  const std::string start = concat(
      {count_text(runs.size()), " runs of <em>", escape(task), "</em>, ", steps, " steps each: "});
  const auto interval = mean_interval_95(finals);
  if (!interval) return concat({start, "too few episodes have ended to compare them."});
  return concat({start, "the mean return of the last eighth is <b>", number_text(interval->mean),
                 "</b>, 95 % interval ", number_text(interval->mean - interval->half_width), " to ",
                 number_text(interval->mean + interval->half_width),
                 finals.size() == runs.size()
                     ? "."
                     : concat({", from the ", count_text(finals.size()), " runs that have one."})});
}

// An interval over runs takes them for independent, which two runs of one seed are not.
std::string seeds_note(std::span<const Run> runs) {
  std::set<std::string> seeds;
  bool repeated = false;
  for (const Run& run : runs) {
    if (!run.seed.empty()) repeated |= !seeds.insert(run.seed).second;
  }
  if (!repeated || !alike(runs)) return "";
  return "<p class=\"note\">Some of these runs have the same seed. They are not independent, and "
         "the "
         "interval is narrower than it should be.</p>\n";
}

std::string several_runs_body(std::span<const Run> runs) {
  std::string configs;
  for (const Run& run : runs) {
    const std::string config = settings(run);
    if (config.empty()) continue;
    configs +=
        concat({"<details><summary>", escape(run.name), "</summary>\n", config, "</details>\n"});
  }
  if (!configs.empty())
    configs = concat({"<section>\n<h2>Settings</h2>\n", configs, "</section>\n"});
  return concat({"<h1>", runs_headline(runs), "</h1>\n", curves_figure(runs), seeds_note(runs),
                 runs_table(runs), configs});
}

// ---- The page ----

// The policy makes a browser refuse whatever would have to be fetched.
constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<style>
:root{--paper:#fcfcfa;--ink:#1d2428;--soft:#5b676e;--grid:#e2e5e4;--rule:#c9cfcf;--main:#0e5f8c;--alert:#b3521b;
--k0:#0e5f8c;--k1:#b3521b;--k2:#3d7a3a;--k3:#7a4b9a;--k4:#8a6d0f;--k5:#a03060}
@media (prefers-color-scheme:dark){:root{--paper:#14181b;--ink:#e3e7e8;--soft:#9aa6ad;--grid:#262d31;--rule:#3a4348;
--main:#6db7e4;--alert:#e8a069;--k0:#6db7e4;--k1:#e8a069;--k2:#86c583;--k3:#c39be0;--k4:#d8bd5c;--k5:#ea8fb2}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 3rem}
header{color:var(--soft);display:flex;flex-wrap:wrap;gap:0 1rem;justify-content:space-between}
header{border-bottom:2px solid var(--ink);padding-bottom:.4rem}
header b{color:var(--ink);letter-spacing:.04em}
h1{font-size:1.4rem;font-weight:400;line-height:1.4;margin:1.5rem 0 2rem;overflow-wrap:anywhere}
h1 b{font-weight:650}
h1 em{font-style:normal;color:var(--main)}
h2{font-size:1rem;font-weight:650;margin:0 0 .4rem}
figure,section{margin:2.5rem 0 0}
.plot{position:relative;height:18rem;margin-right:1.4em;border-left:1px solid var(--soft);border-bottom:1px solid var(--soft)}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot span{position:absolute;line-height:1.5;white-space:nowrap;color:var(--soft)}
.y{right:100%;padding-right:.45em;transform:translateY(50%)}
.x{top:100%;padding-top:.2em;transform:translateX(-50%)}
.plot .mark{color:var(--ink);background:var(--paper);padding:0 .35em;margin:0 1px}
.unit{margin:0 0 .7rem;color:var(--soft)}
.right{text-align:right;margin:1.7rem 1.4rem .3rem 0}
.note{margin:.8rem 0 0}
figcaption,.note{color:var(--soft);max-width:38rem}
path{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--grid);stroke-width:1}
.dots{stroke:var(--main);stroke-opacity:.35;stroke-width:4.5;stroke-linecap:round}
.strong{stroke-opacity:1;stroke-width:7}
.line{stroke:var(--main);stroke-width:2.5;stroke-linejoin:round}
.thin{stroke:var(--soft);stroke-opacity:.7;stroke-width:1.2;stroke-linejoin:round}
.band{fill:var(--main);fill-opacity:.18}
.bars{fill:var(--main);fill-opacity:.75}
.marker{stroke:var(--alert);stroke-width:1.5}
.robot{display:block;width:100%;max-height:20rem;overflow:hidden}
.robot path{vector-effect:none;stroke-linecap:round}
.robot .limb{stroke:var(--main);stroke-opacity:.8}
.robot .far{stroke:var(--soft)}
.robot .floor{stroke:var(--soft);stroke-width:12}
.robot .grid{stroke:var(--soft);stroke-width:12}
.robot text{fill:var(--soft);font-size:120px;text-anchor:middle}
.still{display:none}
@media (prefers-reduced-motion:reduce){.moving{display:none}.still{display:inline}}
figcaption b{color:var(--ink)}
.c0{--k:var(--k0)}.c1{--k:var(--k1)}.c2{--k:var(--k2)}.c3{--k:var(--k3)}.c4{--k:var(--k4)}.c5{--k:var(--k5)}
.thin.c0,.thin.c1,.thin.c2,.thin.c3,.thin.c4,.thin.c5{stroke:var(--k);stroke-opacity:1;stroke-width:1.8}
.swatch{display:inline-block;width:1em;height:.25em;vertical-align:middle;background:var(--k)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--grid);font-weight:400;
overflow-wrap:anywhere}
thead th{color:var(--soft);border-bottom-color:var(--rule);overflow-wrap:normal}
tr>:last-child{padding-right:0}
.facts th{color:var(--soft);width:38%}
.facts b{font-weight:400}
.numbers td,.numbers thead th+th{text-align:right}
.numbers td{white-space:nowrap}
.runs th,.runs td{overflow-wrap:break-word}
.runs tbody th{min-width:6.5rem}
.total th,.total td{border-top:1px solid var(--ink);font-weight:650}
pre{margin:0;padding:.8rem;border:1px solid var(--rule);font:1rem/1.45 ui-monospace,"SF Mono",Menlo,Consolas,monospace;
white-space:pre-wrap;overflow-wrap:anywhere}
summary{padding:.5rem 0;cursor:pointer}
@media (max-width:48rem){
.runs thead{position:absolute;clip-path:inset(50%);height:1px;width:1px;overflow:hidden}
.runs tr{display:grid;grid-template-columns:1fr 1fr;gap:.3rem 1rem;padding:.8rem 0;border-bottom:1px solid var(--rule)}
.runs th,.runs td{display:block;border:0;padding:0;overflow-wrap:anywhere}
.runs th{grid-column:1/-1;font-weight:650}
.runs tr>*{min-width:0}
.runs td::before{content:attr(data-label);display:block;color:var(--soft)}
}
</style>
)";

}  // namespace

double student_t_95(std::size_t degrees_of_freedom) {
  constexpr std::array<double, 10> kTable{12.706204736, 4.302652730, 3.182446305, 2.776445105,
                                          2.570581836,  2.446911851, 2.364624252, 2.306004135,
                                          2.262157163,  2.228138852};
  if (degrees_of_freedom <= kTable.size()) {
    return kTable[std::max<std::size_t>(degrees_of_freedom, 1) - 1];
  }
  // The expansion of the quantile around that of the normal distribution: Abramowitz and
  // Stegun 26.7.5.
  const double z = 1.959963984540054;
  const double v = static_cast<double>(degrees_of_freedom);
  const double z2 = z * z;
  return z + z * (z2 + 1) / (4 * v) + z * ((5 * z2 + 16) * z2 + 3) / (96 * v * v) +
         z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * v * v * v);
}

std::optional<MeanInterval> mean_interval_95(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const auto count = static_cast<double>(values.size());
  MeanInterval interval;
  for (const double value : values) interval.mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - interval.mean) * (value - interval.mean);
  interval.half_width = student_t_95(values.size() - 1) * std::sqrt(squares / (count - 1) / count);
  return interval;
}

std::string render_report(std::span<const RunRecord> runs) {
  if (runs.empty()) throw UsageError("a report needs at least one run");
  std::vector<Run> digests;
  for (const RunRecord& record : runs) digests.push_back(digest(record));
  const bool one = runs.size() == 1;
  const std::string subject = one ? digests[0].name : count_text(runs.size()) + " runs";
  const std::string task = alike(digests) ? digests[0].task : "";
  return concat({kHead, "<title>instep: ", escape(task), task.empty() ? "" : ", ", escape(subject),
                 "</title>\n</head>\n<body>\n<main>\n<header><b>instep</b><span>", escape(subject),
                 "</span></header>\n", one ? one_run_body(digests[0]) : several_runs_body(digests),
                 "</main>\n</body>\n</html>\n"});
}

}  // namespace instep

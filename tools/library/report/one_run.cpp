#include "tools/library/report/one_run.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "runtime/latency_histogram.h"
#include "tools/library/report/episode_picture.h"
#include "tools/library/report/text.h"

namespace instep {
namespace {

// ---- Curves ----

constexpr std::size_t kDotsMax = 600;
constexpr std::size_t kFewDots = 10;
constexpr std::size_t kCurvePoints = 300;

// When the world changed, where it did within the run.
std::vector<EventMark> changes_of(const ReportedRun& run) {
  const double step = static_cast<double>(run.record->change_step);
  if (run.record->change.empty() || step <= 0 || step > run.steps) return {};
  return {{step, run.record->change}};
}

std::string learning_curve(const ReportedRun& run) {
  if (run.returns.empty()) {
    return concat({"<p class=\"note\">",
                   run.left_out_count == 0 ? "No episode has ended yet" : "No return is known",
                   ", so there is no learning curve.</p>\n"});
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
  // Few are shown as what they are, above a line that is hardly a mean of any.
  const bool are_few = dots.size() <= kFewDots;
  const std::string line = path_mark("line", line_path(chart, curve));
  chart.marks = are_few ? line : "";
  chart.marks += path_mark(are_few ? "dots strong" : "dots", dots_path(chart, dots));
  if (!are_few) chart.marks += line;
  chart.caption = dots.size() == run.returns.size()
                      ? "Each dot is an episode."
                      : concat({"Each dot is an episode; ", count_text(dots.size()), " of ",
                                count_text(run.returns.size()), " are shown, evenly picked."});
  chart.caption += " The line is the mean of the episodes that ended in the last 5 % of the steps.";
  if (!curve.empty()) chart.ends = {{curve.back(), "running mean", ""}};
  chart.events = changes_of(run);
  if (run.left_out_count > 0) {
    chart.caption += concat(
        {" Left out: ", count_text(run.left_out_count), " episodes whose return is not finite."});
  }
  return render_chart(chart);
}

// What learning on gained when the world changed.
std::string adaptation_chart(const ReportedRun& run) {
  if (!run.record->adaptation) return "";
  const Adaptation& adaptation = *run.record->adaptation;
  struct Line {
    std::optional<double> AdaptationPoint::*value;
    const char* css_class;
    const char* name;
  };
  constexpr std::array<Line, 3> kLines{
      {{&AdaptationPoint::learning, "line c0", "goes on learning"},
       {&AdaptationPoint::frozen_weights, "line c1", "weights frozen"},
       {&AdaptationPoint::frozen, "line c2", "weights and normaliser frozen"}}};
  Chart chart;
  chart.title = "After the world changed";
  chart.description = "Return of the learning agent and of two frozen copies after the change";
  chart.x_label = "steps";
  chart.y_label = "return of an episode";
  chart.x = step_axis(run.steps);
  std::array<std::vector<Point>, kLines.size()> lines;
  std::vector<Point> shown;
  for (std::size_t i = 0; i < kLines.size(); ++i) {
    for (const AdaptationPoint& point : adaptation.points) {
      const auto value = usable(point.*kLines[i].value);
      if (value) lines[i].push_back({static_cast<double>(point.step), *value});
    }
    shown.insert(shown.end(), lines[i].begin(), lines[i].end());
  }
  if (shown.empty()) return "";
  chart.y = axis_around(shown, 5);
  chart.caption = concat({"What happened: <b>", escape(adaptation.change),
                          "</b>. Each line is the mean return of an agent since then:"});
  for (std::size_t i = 0; i < kLines.size(); ++i) {
    chart.marks += path_mark(kLines[i].css_class, line_path(chart, lines[i]));
    if (!lines[i].empty()) {
      chart.ends.push_back(
          {lines[i].back(), kLines[i].name, std::string(kLines[i].css_class).substr(5)});
    }
    chart.caption +=
        concat({" <span class=\"swatch ", std::string_view(kLines[i].css_class).substr(5),
                "\"></span> ", kLines[i].name, i + 1 < kLines.size() ? "," : "."});
  }
  chart.events = changes_of(run);
  return render_chart(chart);
}

std::string speed_chart(const ReportedRun& run) {
  std::vector<Point> points;
  for (const SpeedRow& row : run.summary().speed) {
    if (usable(row.steps_per_second)) {
      points.push_back({static_cast<double>(row.step), row.steps_per_second});
    }
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
  chart.ends = {{points.back(), "speed", ""}};
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
std::vector<Bar> read_bars(const RunSummary& summary) {
  std::map<int, double> buckets;
  for (const HistogramRow& row : summary.update_histogram) {
    const bool counts = usable(row.us) && row.us >= 0 && row.count >= 1;
    if (counts) buckets[bucket_of(row.us)] += static_cast<double>(row.count);
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
  double Percentiles::*value;
};
constexpr std::array<Percentile, 3> kMarked{
    {{"p50", &Percentiles::p50}, {"p99", &Percentiles::p99}, {"max", &Percentiles::max}}};
constexpr std::array<Percentile, 4> kPercentiles{{{"half within", &Percentiles::p50},
                                                  {"99 % within", &Percentiles::p99},
                                                  {"99.9 % within", &Percentiles::p999},
                                                  {"longest", &Percentiles::max}}};

// A line at each marked percentile, its label beside it in a row of its own above the bars.
void mark_percentiles(Chart& chart, const Percentiles& percentiles) {
  std::string lines;
  int row = 0;
  for (const Percentile& mark : kMarked) {
    const double us = percentiles.*mark.value;
    if (!usable(us) || us <= 0) continue;
    const double place = chart.x.place(std::log10(us));
    lines += "M";
    append_place(lines, place);
    lines += concat({" 0V", std::to_string(static_cast<int>(kSide))});
    const bool to_left = place > kSide / 2;
    chart.labels +=
        concat({"<span class=\"mark\" style=\"top:", chars(row * 1.5, std::chars_format::fixed, 1),
                "em;", to_left ? "right:" : "left:", percent(to_left ? kSide - place : place),
                "\">", mark.name, " ", number_text(us), " \u00b5s</span>\n"});
    ++row;
  }
  chart.marks += path_mark("marker", lines);
}

std::string update_histogram(const ReportedRun& run) {
  const std::vector<Bar> bars = read_bars(run.summary());
  if (bars.empty()) return "";
  const std::optional<Percentiles>& percentiles = run.summary().update_us;
  double highest_us = bars.back().high_us;
  double count_max = 1;
  for (const Bar& bar : bars) count_max = std::max(count_max, bar.count);
  if (percentiles && usable(percentiles->max)) {
    highest_us = std::max(highest_us, percentiles->max);
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
  if (percentiles) mark_percentiles(chart, *percentiles);
  chart.caption =
      "Half of the updates took no longer than p50, all but one in a hundred no longer than p99.";
  return render_chart(chart);
}

// ---- Tables ----

// "800", or "400 of 800" of a run that is not done.
std::string steps_text(const ReportedRun& run) {
  if (run.steps_planned <= run.steps) return fixed(run.steps, 0);
  return concat({fixed(run.steps, 0), " of ", fixed(run.steps_planned, 0)});
}

std::string row(std::string_view name, std::string_view value) {
  return value.empty()
             ? ""
             : concat({"<tr><th scope=\"row\">", name, "</th><td>", value, "</td></tr>\n"});
}

std::string latency_text(const std::optional<Percentiles>& latency) {
  std::string text;
  for (const Percentile& percentile : kPercentiles) {
    if (!latency || !usable((*latency).*percentile.value)) continue;
    if (!text.empty()) text += ", ";
    text += concat(
        {percentile.name, " <b>", number_text((*latency).*percentile.value), "</b>\u00a0\u00b5s"});
  }
  return text;
}

// A row of a counter; nothing for 0 where only that it happened is worth a row.
std::string count_row(std::string_view name, std::uint64_t count) {
  return row(name, count_text(count));
}
std::string loss_row(std::string_view name, std::uint64_t count) {
  return count == 0 ? "" : count_row(name, count);
}

std::string ended_text(const std::string& ended) {
  if (ended.empty()) return "no summary: it still goes on, or was killed";
  if (ended == "done") return "done: all steps were taken";
  if (ended == "interrupted") return "interrupted: stopped before its last step";
  if (ended == "faulted") return "faulted: stopped by a fault";
  return escape(ended);
}

// What the health of the learner gave warning of, in words; nothing where it gave none.
std::string warnings_text(const RunSummary& summary) {
  std::string text;
  for (const std::string& each : warning_texts(summary)) text += escape(each) + "<br/>";
  return text.empty() ? "" : text + "<a href=\"#reading\">What each means</a>";
}

// "yes", or "no: 3 ticks found the learner at work, ...".
std::string exact_text(const RunSummary& summary) {
  if (summary.exact) return "yes";
  std::string text = "no";
  for (std::size_t i = 0; i < summary.losses.size(); ++i) {
    text += concat({i == 0 ? ": " : ", ", escape(summary.losses[i])});
  }
  return text;
}

std::string gpu_text(const GpuSummary& gpu) {
  std::string text = escape(gpu.device);
  if (gpu.fallbacks > 0) {
    text += concat({"; it failed, and the CPU went on: ", count_text(gpu.updates_lost),
                    " updates and ", duration_text(gpu.seconds_lost), " of learning were lost (",
                    escape(gpu.problem), ")"});
  }
  return text;
}

// By what, where and when it was made.
std::string origin_rows(const RunSummary& summary) {
  return row("Machine", escape(summary.machine)) +
         row("Program", summary.version.empty() ? "" : "instep " + escape(summary.version)) +
         row("Command", escape(summary.command)) + row("Ended at", escape(summary.ended_at));
}

// The rows that only a summary has.
std::string summary_rows(const RunSummary& summary) {
  std::string rows =
      row("Steps per second", summary.steps_per_second > 0 && usable(summary.steps_per_second)
                                  ? number_text(summary.steps_per_second)
                                  : "");
  rows += row("Update", latency_text(summary.update_us));
  rows += row("Observation to action", latency_text(summary.observation_to_action_us));
  rows += count_row("Dropped updates", summary.dropped_updates);
  rows += count_row("Dropped transitions", summary.dropped_transitions);
  rows += count_row("Missed deadlines", summary.missed_deadlines);
  rows += row("Exactly the algorithm", exact_text(summary));
  rows += row("Backend", escape(summary.backend));
  if (summary.gpu) rows += row("GPU", gpu_text(*summary.gpu));
  rows += row("Path", escape(summary.path));
  rows += row("Schedule", escape(summary.schedule));
  rows += row("Arithmetic", escape(summary.arithmetic));
  return rows + origin_rows(summary);
}

// What best/ holds, and why it may do better or worse than the curve says.
std::string best_text(const ReportedRun& run) {
  if (!run.record->best_step) return "";
  return concat(
      {"the weights of step ", count_text(static_cast<std::uint64_t>(*run.record->best_step)),
       ", when the mean return of the last hundred episodes was the best so far. It is the "
       "policy of that one moment, while the mean is over all the policies of those "
       "episodes: the two may differ much"});
}

// What learning on gained, in four figures; of an earlier version's file what it has of them.
std::string adaptation_table(const ReportedRun& run) {
  if (!run.record->adaptation) return "";
  const Adaptation& a = *run.record->adaptation;
  using Figures = std::array<std::optional<double>, 4>;
  const std::array<std::pair<std::string_view, Figures>, 3> kinds{
      {{"Goes on learning",
        {a.learning_peak, a.learning_mean, a.learning_end, a.learning_old_world}},
       {"Weights frozen",
        {a.frozen_weights_peak, a.frozen_weights_mean, a.frozen_weights_end,
         a.frozen_weights_old_world}},
       {"All frozen", {a.frozen_peak, a.frozen_mean, a.frozen_end, a.frozen_old_world}}}};
  constexpr std::array<std::string_view, 4> kNames{"peak ", "mean ", "last tenth ",
                                                   "in the old world again "};
  std::string rows = row("Before the change", optional_text(a.before));
  for (const auto& [name, figures] : kinds) {
    std::string text;
    for (std::size_t i = 0; i < figures.size(); ++i) {
      const std::string value = optional_text(usable(figures[i]));
      if (value.empty()) continue;
      text += concat({text.empty() ? "" : ", ", kNames[i], value});
    }
    rows += row(name, text);
  }
  return concat({"<section>\n<h2>Adaptation: mean returns</h2>\n<table class=\"facts\">\n", rows,
                 "</table>\n</section>\n"});
}

std::string facts_table(const ReportedRun& run) {
  std::string rows = row("Ended", ended_text(run.summary().ended));
  rows += row("Warnings", warnings_text(run.summary()));
  for (const std::string& file : run.summary().left_out) {
    rows += row("Left out", escape(file) + ": it could not be written to its end");
  }
  if (const std::int64_t since = run.summary().measured_since_step; since > 0) {
    rows += row("Measured", concat({"from step ", count_text(static_cast<std::uint64_t>(since)),
                                    " on: times and counters of what came before were lost"}));
  }
  rows += row("Task", escape(run.task));
  rows += row("Algorithm", escape(run.algo));
  rows += row("Seed", escape(run.seed));
  rows += row("Steps", steps_text(run));
  rows += row("Episodes", count_text(run.record->episodes.size()));
  rows += row("Mean return, first eighth", optional_text(run.first_eighth));
  rows += row("Mean return, last eighth", optional_text(run.last_eighth));
  if (run.record->summary) rows += summary_rows(*run.record->summary);
  rows += row("best/", best_text(run));
  rows += row("Folder", escape(run.record->path));
  return concat(
      {"<section>\n<h2>The run</h2>\n<table class=\"facts\">\n", rows, "</table>\n</section>\n"});
}

// "12: woke late 3, old packet 9"; what never happened is not named.
std::string counts_text(std::uint64_t total, const std::map<std::string, std::uint64_t>& by_name) {
  std::string text = count_text(total);
  std::string_view between = ": ";
  for (const auto& [name, count] : by_name) {
    if (count == 0) continue;
    std::string words = escape(name);
    std::replace(words.begin(), words.end(), '_', ' ');
    text += concat({between, words, " ", count_text(count)});
    between = ", ";
  }
  return text;
}

// How punctual a run on a robot was, and what came between policy and motor. What was lost has a
// row only where it was.
std::string real_time_table(const ReportedRun& run) {
  if (!run.summary().real_time) return "";
  const RealTimeSummary& real = *run.summary().real_time;
  std::string rows = row("Trouble", escape(real.trouble.value_or("")));
  rows += row("Ended while", escape(real.ended_while.value_or("")));
  std::string refused;
  for (const auto& [whom, error] : real.rights_refused) {
    refused += (refused.empty() ? "" : ", ") + whom + " (" + error + ")";
  }
  rows += row("Real-time rights refused", escape(refused));
  rows += row("Wake-up after the deadline", latency_text(real.wakeup_us));
  rows += row("Age of the newest packet", latency_text(real.packet_age_us));
  rows += row("Packet to wire", latency_text(real.packet_to_wire_us));
  rows += row("Command to wire", latency_text(real.command_to_wire_us));
  rows +=
      row("Late or faulty ticks", counts_text(real.overruns.overrun_ticks, real.overruns.overruns));
  rows += loss_row("Of these not listed in summary.json", real.overruns.overruns_unlisted);
  rows += row("Steal time",
              usable(real.overruns.steal_ms) ? duration_text(1e-3 * real.overruns.steal_ms) : "");
  rows += count_row("Ticks that found the learner at work", real.late_ticks);
  rows += count_row("Transitions dropped for it", real.transitions_dropped_late);
  rows += loss_row("Ticks that never reached the learner", real.learner_tasks_lost);
  rows += loss_row("Packets that the loop did not take in time", real.packets_lost);
  rows += loss_row("Ticks missing from the record", real.record_ticks_lost);
  rows += loss_row("Episodes without a known return", real.episodes_lost);
  rows += count_row("Ticks of learning", real.running_ticks);
  rows += row("Ticks held", counts_text(real.held_ticks, real.holds));
  rows += count_row("Ticks of homing", real.homing_ticks);
  rows += loss_row("Ticks after a fault", real.faulted_ticks);
  rows += count_row("Faults", real.faults);
  rows += count_row("Commands sent", real.commands_sent);
  rows += count_row("Commands cut to the range", real.commands_limited_range);
  rows += count_row("Commands cut to the rate", real.commands_limited_rate);
  rows += loss_row("Commands refused: not finite numbers", real.commands_not_finite);
  rows += count_row("Packets", real.packets);
  rows += count_row("Packets with a wrong checksum", real.checksum_errors);
  rows += loss_row("Packets that no device can have sent", real.frames_impossible);
  rows += loss_row("Bytes of no packet", real.bytes_skipped);
  rows += count_row("Reconnections", real.reconnects);
  rows += count_row("Stops by the I/O thread", real.dead_man_stops);
  rows += loss_row("Times somebody else changed the port", real.port_resets);
  rows += loss_row("Stops by the guardian, as the program stood still", real.guardian_stops);
  if (real.stood) rows += row("Seen to stand at the end", *real.stood ? "yes" : "no");
  return concat(
      {"<section>\n<h2>Real time</h2>\n<table class=\"facts\">\n", rows, "</table>\n</section>\n"});
}

std::string memory_table(const ReportedRun& run) {
  std::string rows;
  double total = 0;
  double padding = 0;
  const auto line = [](const std::string& name, double bytes) {
    return concat({"<th scope=\"row\">", name, "</th><td>", fixed(bytes, 0), "</td><td>",
                   bytes_text(bytes), "</td></tr>\n"});
  };
  for (const MemoryRow& each : run.summary().memory) {
    const auto bytes = static_cast<double>(each.bytes);
    rows += concat({"<tr>", line(escape(each.name), bytes)});
    total += bytes;
    padding += static_cast<double>(each.padding_bytes);
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

// ---- The page ----

// "by AVG on the CPU (avx2)", as far as it is known.
std::string means_text(const ReportedRun& run) {
  std::string algo = run.algo;
  for (char& c : algo) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  const std::string& backend = run.summary().backend;
  const std::string& path = run.summary().path;
  std::string text;
  if (!algo.empty()) text += " by " + algo;
  if (backend == "cpu") text += " on the CPU";
  if (backend == "cuda") text += " on the GPU";
  if (!path.empty()) text += concat({" (", path, ")"});
  return text;
}

std::optional<double> loop_seconds(const ReportedRun& run) {
  const RunSummary& summary = run.summary();
  if (summary.seconds > 0 && usable(summary.seconds)) return summary.seconds;
  const double speed = summary.steps_per_second;  // of a summary of an earlier version
  if (speed > 0 && usable(speed)) return run.steps / speed;
  if (run.record->episodes.empty()) return std::nullopt;
  const double seconds = run.record->episodes.back().seconds;
  return usable(seconds) && seconds > 0 ? std::optional(seconds) : std::nullopt;
}

// How far the trunk is above the middle of the other limbs, in millimetres; below it is negative.
double height_of_trunk(const RecordedEpisode::Frame& frame) {
  constexpr std::size_t kEnds = 4;  // numbers of a limb; the trunk is the first
  if (frame.ends_mm.size() <= kEnds) return 0.0;
  double sum = 0.0;
  for (std::size_t i = kEnds; i < frame.ends_mm.size(); i += 2) sum += frame.ends_mm[i + 1];
  const double trunk = 0.5 * (frame.ends_mm[1] + frame.ends_mm[3]);
  return trunk - 2.0 * sum / static_cast<double>(frame.ends_mm.size() - kEnds);
}

// Whether it turned over and moved on like that for most of the time.
bool is_on_its_back(const RecordedEpisode& episode) {
  if (episode.is_map()) return false;
  const auto is_over = [](const RecordedEpisode::Frame& frame) {
    return height_of_trunk(frame) < 0.0;
  };
  const auto over = std::count_if(episode.frames.begin(), episode.frames.end(), is_over);
  return height_of_trunk(episode.frames.front()) > 0.0 &&
         2 * over > static_cast<std::ptrdiff_t>(episode.frames.size());
}

// The robot at work, where the task has a body.
std::string episode_figure(const ReportedRun& run) {
  if (!run.record->recorded_episode) return "";
  const RecordedEpisode& episode = *run.record->recorded_episode;
  const double shown_s = static_cast<double>(episode.frames.size() - 1) * episode.frame_period_s;
  std::string caption = concat({"One episode with the final weights, without learning: return <b>",
                                number_text(episode.episode_return), "</b> in ",
                                fixed(static_cast<double>(episode.length), 0), " steps"});
  if (episode.terminated) caption += episode.is_map() ? ", which it ended" : ", then it fell";
  if (is_on_its_back(episode)) {
    caption +=
        ". It moves on its back: a known gait where the reward asks for speed alone; other seeds "
        "run on their feet";
  }
  if (episode.is_map()) {
    caption += concat({". From above: the line is its way, from the dot; its ",
                       duration_text(shown_s), " are shown ",
                       fixed(episode.frame_period_s * kMapFramesPerSecond, 0), " times as fast."});
  } else {
    caption += concat(
        {episode.is_whole ? ". All " : ". The first ", duration_text(shown_s), " are shown."});
  }
  return concat(
      {"<figure>\n", draw_episode(episode), "<figcaption>", caption, "</figcaption>\n</figure>\n"});
}

}  // namespace

std::string origin_table(const ReportedRun& run) {
  const std::string rows = origin_rows(run.summary());
  return rows.empty() ? "" : concat({"<table class=\"facts\">\n", rows, "</table>\n"});
}

std::string settings_block(const ReportedRun& run) {
  if (run.record->config_text.empty()) return "";
  return concat({"<pre>", escape(run.record->config_text), "</pre>\n"});
}

std::string headline(const ReportedRun& run) {
  const std::string task = run.task.empty() ? "the task" : run.task;
  const auto seconds = loop_seconds(run);
  const std::string tail = escape(
      concat({seconds ? concat({", in ", duration_text(*seconds)}) : "", means_text(run), "."}));
  const std::string steps = steps_text(run);
  const std::string start =
      concat({"In ", steps, steps == "1" ? " step" : " steps", " of <em>", escape(task), "</em> "});
  const bool are_all_known = run.left_out_count == 0;
  if (run.returns.empty()) {
    return concat({start, are_all_known ? "no episode has ended yet" : "no return is known", tail});
  }
  if (run.returns.size() == 1) {
    return concat({start,
                   are_all_known ? "one episode has ended, with a return of <b>"
                                 : "the return of one episode is known: <b>",
                   number_text(run.returns[0].value), "</b>", tail});
  }
  const std::string from = number_text(run.first_eighth.value_or(run.returns.front().value));
  const std::string to = number_text(run.last_eighth.value_or(run.returns.back().value));
  const std::string_view from_when = run.first_eighth ? "first eighth" : "first episode";
  const std::string_view to_when = run.last_eighth ? "last eighth" : "last episode";
  const std::string_view what =
      run.first_eighth && run.last_eighth ? "the mean return" : "the return";
  if (from == to) {
    return concat(
        {start, what, " was <b>", to, "</b> in the ", from_when, " and in the ", to_when, tail});
  }
  return concat({start, what, " went from <b>", from, "</b> (", from_when, ") to <b>", to, "</b> (",
                 to_when, ")", tail});
}

std::string problems_note(const ReportedRun& run) {
  std::string notes;
  for (const std::string& problem : run.record->problems) {
    notes += concat({"<p class=\"note\">", escape(problem), ".</p>\n"});
  }
  return notes;
}

std::string one_run_body(const ReportedRun& run) {
  const std::string config = settings_block(run);
  return concat({"<h1>", headline(run), "</h1>\n", problems_note(run), episode_figure(run),
                 learning_curve(run), adaptation_chart(run), adaptation_table(run),
                 speed_chart(run), update_histogram(run), facts_table(run), real_time_table(run),
                 memory_table(run), config.empty() ? "" : "<section>\n<h2>Settings</h2>\n", config,
                 config.empty() ? "" : "</section>\n"});
}

}  // namespace instep

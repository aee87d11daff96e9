#include "tools/library/report/several_runs.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "tools/library/report/one_run.h"
#include "tools/library/report/run_groups.h"
#include "tools/library/report/statistics.h"
#include "tools/library/report/text.h"

namespace instep {
namespace {

std::string task_text(const ReportedRun& run) {
  return run.task.empty() ? "one task" : concat({"<em>", escape(run.task), "</em>"});
}

// ---- Learning curves of one task ----

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

// Classes of colours, one for each group where there are several.
constexpr std::size_t kColours = 6;

std::string colour_class(std::size_t group, std::size_t group_count) {
  return group_count == 1 ? "" : "c" + std::to_string(group % kColours);
}

// A line of a few episodes would show what nobody measured: they are drawn as they are.
constexpr std::size_t kFewEpisodes = 20;

// The runs of one group, as they are drawn.
struct Curves {
  std::string colour;
  std::string label;
  std::vector<std::string> names;  // of the runs
  std::vector<std::vector<Point>> runs;
  std::vector<Point> dots;  // episodes of runs that have few
  Band band;                // of those that are counted
};

std::vector<Curves> curves_of(const Comparison& comparison, double steps, std::size_t run_count) {
  const std::size_t count = std::clamp<std::size_t>(30000 / run_count, 20, 200);
  std::vector<Curves> all;
  for (std::size_t i = 0; i < comparison.groups.size(); ++i) {
    const AlikeRuns& group = comparison.groups[i];
    Curves curves;
    curves.colour = colour_class(i, comparison.groups.size());
    curves.label = group.label;
    std::vector<std::vector<std::optional<double>>> counted;
    for (const ReportedRun* run : group.runs) {
      const auto means = running_mean(*run, steps, count);
      curves.runs.push_back(known(means, steps));
      curves.names.push_back(run->name);
      if (run->returns.size() <= kFewEpisodes) {
        curves.dots.insert(curves.dots.end(), run->returns.begin(), run->returns.end());
      }
      if (std::find(group.counted.begin(), group.counted.end(), run) != group.counted.end()) {
        counted.push_back(means);
      }
    }
    if (!counted.empty()) curves.band = band_over(counted, steps);
    all.push_back(std::move(curves));
  }
  return all;
}

// Areas below, lines of single runs above them, means on top. A run without another is drawn like a
// mean.
std::string curve_marks(const Chart& chart, std::span<const Curves> all) {
  std::string areas;
  std::string runs;
  std::string means;
  for (const Curves& curves : all) {
    const std::string& colour = curves.colour;
    std::vector<Point> outline = curves.band.high;
    outline.insert(outline.end(), curves.band.low.rbegin(), curves.band.low.rend());
    areas += path_mark(concat({"band ", colour}), line_path(chart, outline));
    for (const std::vector<Point>& run : curves.runs) {
      runs += path_mark(concat({curves.runs.size() == 1 ? "line " : "thin ", colour}),
                        line_path(chart, run));
    }
    runs += path_mark(concat({"dots ", colour}), dots_path(chart, curves.dots));
    means += path_mark(concat({"line ", colour}), line_path(chart, curves.band.mean));
  }
  return areas + runs + means;
}

// Where there are groups their names, at the end of their mean or of their longest run; of a
// single group the names of the runs, and its mean.
std::vector<LineEnd> line_ends(std::span<const Curves> all) {
  std::vector<LineEnd> ends;
  for (const Curves& curves : all) {
    const bool is_single = all.size() == 1;
    if (!curves.band.mean.empty()) {
      ends.push_back({curves.band.mean.back(), is_single ? "mean" : curves.label, curves.colour});
      if (!is_single) continue;
    }
    const std::size_t begin = ends.size();
    for (std::size_t i = 0; i < curves.runs.size(); ++i) {
      if (curves.runs[i].empty()) continue;
      ends.push_back(
          {curves.runs[i].back(), is_single ? curves.names[i] : curves.label, curves.colour});
    }
    if (is_single || ends.size() == begin) continue;
    // One name tells a colour: at the run that goes furthest.
    const auto last =
        std::max_element(ends.begin() + static_cast<std::ptrdiff_t>(begin), ends.end(),
                         [](const LineEnd& a, const LineEnd& b) { return a.at.step < b.at.step; });
    ends[begin] = LineEnd(*last);
    ends.resize(begin + 1);
  }
  return ends;
}

std::string curves_caption(const Comparison& comparison, std::span<const Curves> all,
                           std::size_t run_count) {
  const auto any = [&](const auto& what) { return std::any_of(all.begin(), all.end(), what); };
  std::string caption =
      run_count == 1
          ? "The mean of the episodes that ended in the last 5 % of the steps."
          : "Thin: each run, as the mean of its episodes that ended in the last 5 % of the steps.";
  if (any([](const Curves& curves) { return !curves.band.mean.empty(); })) {
    caption +=
        concat({" Thick: the mean over ",
                all.size() == 1
                    ? concat({"the ", count_text(comparison.groups[0].counted.size()), " runs"})
                    : std::string("the runs of a kind"),
                ". Shaded: its 95 % interval (Student\u2019s t), as far as the chart goes."});
  }
  if (any([](const Curves& curves) { return !curves.dots.empty(); })) {
    caption += " Dots: single episodes of runs that have few.";
  }
  if (all.size() == 1) return caption;
  for (std::size_t i = 0; i < all.size(); ++i) {
    caption += concat({i == 0 ? " " : "; ", "<i class=\"swatch ", all[i].colour, "\"></i>\u00a0",
                       escape(all[i].label)});
  }
  return caption + ".";
}

// What the chart's height is made for: the runs, and as much of the intervals as does not make them
// flat. Two runs can have an interval twelve times as wide as what lies between them.
std::vector<Point> shown_points(std::span<const Curves> all) {
  std::vector<Point> shown;
  for (const Curves& curves : all) {
    for (const std::vector<Point>& run : curves.runs) {
      shown.insert(shown.end(), run.begin(), run.end());
    }
    shown.insert(shown.end(), curves.dots.begin(), curves.dots.end());
  }
  if (shown.empty()) return shown;
  const auto by_value = [](const Point& a, const Point& b) { return a.value < b.value; };
  const auto [low, high] = std::minmax_element(shown.begin(), shown.end(), by_value);
  const double room = (high->value - low->value) / 2;
  const double lowest = low->value - room;
  const double highest = high->value + room;
  for (const Curves& curves : all) {
    for (const auto* edge : {&curves.band.low, &curves.band.high}) {
      for (const Point& point : *edge) {
        shown.push_back({point.step, std::clamp(point.value, lowest, highest)});
      }
    }
  }
  return shown;
}

// The changes of the world, and the step at which runs of different length are compared.
std::vector<EventMark> events_of(const RunGroup& runs, const Comparison& comparison) {
  std::map<std::string, double> changes;
  for (const ReportedRun* run : runs) {
    const double step = static_cast<double>(run->record->change_step);
    if (!run->record->change.empty() && step > 0) changes.emplace(run->record->change, step);
  }
  std::vector<EventMark> events;
  for (const auto& [change, step] : changes) events.push_back({step, change});
  if (comparison.has_different_lengths()) events.push_back({comparison.step, "compared here"});
  return events;
}

std::string curves_figure(const RunGroup& runs, const Comparison& comparison,
                          const std::string& title) {
  double steps = 0;
  for (const ReportedRun* run : runs) steps = std::max(steps, run->steps);
  const std::vector<Curves> all = curves_of(comparison, steps, runs.size());
  const std::vector<Point> shown = shown_points(all);
  if (shown.empty()) {
    return "<p class=\"note\">No episode has ended yet, so there is no learning curve.</p>\n";
  }
  Chart chart;
  chart.title = title;
  chart.description = "Running mean of the return of each run over its steps";
  chart.x_label = "steps";
  chart.y_label = "return of an episode, running mean";
  chart.x = step_axis(steps);
  chart.y = axis_around(shown, 5);
  chart.marks = curve_marks(chart, all);
  chart.caption = curves_caption(comparison, all, runs.size());
  chart.ends = line_ends(all);
  chart.events = events_of(runs, comparison);
  return render_chart(chart);
}

// ---- What came out of the runs of one task ----

// "5 runs", or "one run".
std::string runs_text(std::size_t count) {
  return count == 1 ? "one run" : count_text(count) + " runs";
}

// "<b>76.50</b>, 95 % interval 74.02 to 78.98" of one group; nothing where no run has a number.
std::string finals_text(const AlikeRuns& group, double step) {
  std::vector<double> finals;
  for (const ReportedRun* run : group.counted) {
    if (const auto value = run->eighth_before(step)) finals.push_back(*value);
  }
  if (finals.empty()) return "";
  if (finals.size() == 1) return concat({"<b>", number_text(finals[0]), "</b>"});
  const auto interval = mean_interval_95(finals);
  return concat({"<b>", number_text(interval->mean), "</b>, 95 % interval ",
                 number_text(interval->mean - interval->half_width), " to ",
                 number_text(interval->mean + interval->half_width)});
}

// What one group came to, in its place among the others.
std::string group_text(const AlikeRuns& group, double step, bool is_alone) {
  const std::string finals = finals_text(group, step);
  const std::size_t with_number = static_cast<std::size_t>(
      std::count_if(group.counted.begin(), group.counted.end(),
                    [&](const ReportedRun* run) { return run->eighth_before(step).has_value(); }));
  std::string text = finals.empty() ? "unknown, as no episode ended there" : finals;
  if (with_number > 0 && with_number < group.counted.size()) {
    text += concat({", from ", runs_text(with_number), " of ", count_text(group.counted.size()),
                    " that ", with_number == 1 ? "has" : "have", " one"});
  }
  if (is_alone) return with_number == 1 ? text + ": no interval" : text;
  return concat({text, " (", escape(group.label), ", ", runs_text(group.counted.size()), ")"});
}

// "2 of 5 runs of hopper are done, 800 steps each".
std::string task_start(const RunGroup& runs, const Comparison& comparison) {
  std::string start = concat({count_text(runs.size()), " runs of ", task_text(*runs[0])});
  if (!comparison.left_out.empty()) {
    const std::size_t done = runs.size() - comparison.left_out.size();
    start = concat({count_text(done), " of ", start, done == 1 ? " is done" : " are done"});
  }
  if (comparison.is_none_done) start += ", none of which is done";
  if (!comparison.has_different_lengths()) {
    const bool is_one = runs.size() - comparison.left_out.size() == 1;
    return concat({start, ", ", fixed(comparison.step, 0), is_one ? " steps" : " steps each"});
  }
  return concat({start, ", ", fixed(comparison.step, 0), " to ", fixed(comparison.step_most, 0),
                 " steps each, compared at step ", fixed(comparison.step, 0),
                 ", which all of them have"});
}

// One sentence about the runs of a task.
std::string task_headline(const RunGroup& runs, const Comparison& comparison) {
  if (runs.size() == 1) return headline(*runs[0]);
  const std::string start = task_start(runs, comparison);
  std::string finals;
  bool has_number = false;
  bool is_each_alone = comparison.groups.size() > 1;
  for (const AlikeRuns& group : comparison.groups) {
    if (group.counted.empty()) continue;
    has_number = has_number || !finals_text(group, comparison.step).empty();
    is_each_alone = is_each_alone && group.counted.size() == 1;
    finals += concat({finals.empty() ? "" : "; ",
                      group_text(group, comparison.step, comparison.groups.size() == 1)});
  }
  if (!has_number) return concat({start, ": too few episodes have ended to compare them."});
  return concat({start, ": the mean return of the ",
                 comparison.has_different_lengths() ? "eighth before it" : "last eighth", " is ",
                 finals, is_each_alone ? "; one run of each: no interval." : "."});
}

// How far a run that is not done has come.
std::string half_done_text(const ReportedRun& run) {
  std::string text = concat({"<b>", escape(run.name), "</b>, ", fixed(run.steps, 0)});
  if (run.steps_planned > 0) text += concat({" of ", fixed(run.steps_planned, 0)});
  const std::string& ended = run.summary().ended;
  return concat({text, " steps, ",
                 ended.empty()     ? "no summary: it still goes on, or was killed"
                 : ended == "done" ? "done before --steps was raised"
                                   : escape(ended)});
}

// What the reader must know before taking a mean for one of equals.
std::string comparison_notes(const Comparison& comparison) {
  std::string notes;
  if (!comparison.left_out.empty()) {
    std::string names;
    for (const ReportedRun* run : comparison.left_out) {
      names += concat({names.empty() ? "" : "; ", half_done_text(*run)});
    }
    notes += concat({"<p class=\"note\">Half-done, and left out of means: ", names, ".</p>\n"});
  }
  if (!comparison.differing.empty()) {
    std::string names;
    for (const std::string& name : comparison.differing) {
      names += concat({names.empty() ? "" : ", ", escape(name)});
    }
    notes += concat({"<p class=\"note\">The runs differ in: ", names,
                     ". Means are of runs that do not.</p>\n"});
  }
  return notes;
}

// An interval over runs takes them for independent, which two runs of one seed are not.
std::string seeds_note(const Comparison& comparison) {
  bool repeated = false;
  for (const AlikeRuns& group : comparison.groups) {
    std::set<std::string> seeds;
    for (const ReportedRun* run : group.counted) {
      if (!run->seed.empty()) repeated |= !seeds.insert(run->seed).second;
    }
  }
  if (!repeated) return "";
  return "<p class=\"note\">Some of these runs have the same seed. They are not independent, and "
         "the interval is narrower than it should be.</p>\n";
}

// ---- All runs ----

std::string cell(std::string_view label, std::string_view value) {
  return concat({"<td data-label=\"", label, "\">", value.empty() ? "\u2013" : value, "</td>"});
}

std::string run_cells(const ReportedRun& run) {
  const RunSummary& summary = run.summary();
  const std::optional<Percentiles>& update = summary.update_us;
  return concat(
      {cell("seed", escape(run.seed)), cell("steps", fixed(run.steps, 0)),
       cell("last eighth", optional_text(run.last_eighth)),
       cell("steps/s", summary.steps_per_second > 0
                           ? optional_text(usable(std::optional(summary.steps_per_second)))
                           : ""),
       cell("p99, \u00b5s", update ? optional_text(usable(std::optional(update->p99))) : ""),
       cell("ended", summary.ended.empty() ? "no summary" : escape(summary.ended))});
}

// The runs of a task with how they are compared.
struct TaskRuns {
  RunGroup runs;
  Comparison comparison;
};

// A row for each run, those of a task and of a group together, as in the charts above.
std::string runs_table(std::span<const TaskRuns> tasks) {
  const bool one_kind = tasks.size() == 1 && tasks[0].comparison.groups.size() == 1;
  std::string rows;
  for (const TaskRuns& task : tasks) {
    const std::vector<AlikeRuns>& groups = task.comparison.groups;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const std::string colour = colour_class(i, groups.size());
      for (const ReportedRun* run : groups[i].runs) {
        rows += "<tr><th scope=\"row\">";
        if (!colour.empty()) rows += concat({"<i class=\"swatch ", colour, "\"></i> "});
        rows += escape(run->name) + "</th>";
        const std::string& kind = groups[i].label.empty() ? run->algo : groups[i].label;
        const std::string_view comma = kind.empty() ? "" : ", ";
        if (!one_kind) rows += cell("task", escape(concat({run->task, comma, kind})));
        rows += run_cells(*run) + "</tr>\n";
      }
    }
  }
  std::string head;
  for (const std::string_view name :
       {"run", "task", "seed", "steps", "last eighth", "steps/s", "p99, \u00b5s", "ended"}) {
    if (one_kind && name == "task") continue;
    head += concat({"<th scope=\"col\">", name, "</th>"});
  }
  constexpr std::string_view kNote =
      "<p class=\"note\">Last eighth: mean return of the episodes that ended in the last eighth of "
      "the run\u2019s steps. p99: all but one in a hundred updates took no longer.</p>\n";
  return concat({"<section>\n<h2>Runs</h2>\n<table class=\"runs\">\n<thead><tr>", head,
                 "</tr></thead>\n<tbody>\n", rows, "</tbody>\n</table>\n", kNote, "</section>\n"});
}

// "5 runs of 2 tasks: hopper and ant."
std::string tasks_headline(std::size_t run_count, std::span<const TaskRuns> tasks) {
  std::string names;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string_view between = i == 0 ? "" : i + 1 == tasks.size() ? " and " : ", ";
    names += concat({between, task_text(*tasks[i].runs[0])});
  }
  return concat({count_text(run_count), " runs of ", count_text(tasks.size()), " tasks: ", names,
                 ", each with axes of its own."});
}

std::string task_section(const TaskRuns& task) {
  const std::string_view title = task.runs.size() == 1 ? "Learning curve: " : "Learning curves: ";
  const std::string name = task.runs[0]->task.empty() ? "one task" : escape(task.runs[0]->task);
  return concat({curves_figure(task.runs, task.comparison, concat({title, name})), "<p>",
                 task_headline(task.runs, task.comparison), "</p>\n",
                 comparison_notes(task.comparison), seeds_note(task.comparison)});
}

std::string all_settings_blocks(std::span<const ReportedRun> runs) {
  std::string blocks;
  for (const ReportedRun& run : runs) {
    const std::string block = origin_table(run) + settings_block(run);
    if (block.empty()) continue;
    blocks +=
        concat({"<details><summary>", escape(run.name), "</summary>\n", block, "</details>\n"});
  }
  return blocks.empty()
             ? ""
             : concat({"<section>\n<h2>How each was made</h2>\n", blocks, "</section>\n"});
}

}  // namespace

std::string several_runs_body(std::span<const ReportedRun> runs) {
  std::vector<TaskRuns> tasks;
  for (const RunGroup& group : grouped_by_task(runs)) tasks.push_back({group, compare_runs(group)});
  std::string body;
  if (tasks.size() == 1) {
    const TaskRuns& task = tasks[0];
    body = concat({"<h1>", task_headline(task.runs, task.comparison), "</h1>\n",
                   comparison_notes(task.comparison), seeds_note(task.comparison),
                   curves_figure(task.runs, task.comparison, "Learning curves")});
  } else {
    body = concat({"<h1>", tasks_headline(runs.size(), tasks), "</h1>\n"});
    for (const TaskRuns& task : tasks) body += task_section(task);
  }
  std::string problems;
  for (const ReportedRun& run : runs) problems += problems_note(run);
  return concat({body, problems, runs_table(tasks), all_settings_blocks(runs)});
}

}  // namespace instep

#include "tools/library/report/several_runs.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "tools/library/report/one_run.h"
#include "tools/library/report/statistics.h"
#include "tools/library/report/text.h"

namespace instep {
namespace {

std::vector<RunGroup> grouped_by(const RunGroup& runs, std::string ReportedRun::*property) {
  std::vector<RunGroup> groups;
  for (const ReportedRun* run : runs) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const RunGroup& each) {
      return each[0]->*property == run->*property;
    });
    if (group == groups.end()) {
      groups.push_back({run});
    } else {
      group->push_back(run);
    }
  }
  return groups;
}

std::vector<RunGroup> grouped_by_algorithm(const RunGroup& runs) {
  return grouped_by(runs, &ReportedRun::algo);
}

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

// Classes of colours, one for each algorithm where there are several.
constexpr std::size_t kColours = 6;

std::string colour_class(std::size_t algorithm, std::size_t algorithm_count) {
  return algorithm_count == 1 ? "" : "c" + std::to_string(algorithm % kColours);
}

// The runs of one algorithm, as they are drawn.
struct Curves {
  std::string colour;
  std::vector<std::vector<Point>> runs;
  Band band;
};

std::vector<Curves> curves_of(const RunGroup& runs, double steps) {
  const std::size_t count = std::clamp<std::size_t>(30000 / runs.size(), 20, 200);
  const std::vector<RunGroup> algorithms = grouped_by_algorithm(runs);
  std::vector<Curves> all;
  for (std::size_t i = 0; i < algorithms.size(); ++i) {
    Curves curves;
    curves.colour = colour_class(i, algorithms.size());
    std::vector<std::vector<std::optional<double>>> means;
    for (const ReportedRun* run : algorithms[i]) {
      means.push_back(running_mean(*run, steps, count));
      curves.runs.push_back(known(means.back(), steps));
    }
    curves.band = band_over(means, steps);
    all.push_back(std::move(curves));
  }
  return all;
}

// Areas below, lines of single runs above them, means on top. A run without another is drawn like a
// mean.
std::string curve_marks(const Chart& chart, std::span<const Curves> all) {
  const bool is_alone = all.size() == 1 && all[0].runs.size() == 1;
  std::string areas;
  std::string runs;
  std::string means;
  for (const Curves& curves : all) {
    const std::string& colour = curves.colour;
    std::vector<Point> outline = curves.band.high;
    outline.insert(outline.end(), curves.band.low.rbegin(), curves.band.low.rend());
    areas += path_mark(concat({"band ", colour}), line_path(chart, outline));
    for (const std::vector<Point>& run : curves.runs) {
      runs += path_mark(concat({is_alone ? "line " : "thin ", colour}), line_path(chart, run));
    }
    means += path_mark(concat({"line ", colour}), line_path(chart, curves.band.mean));
  }
  return areas + runs + means;
}

std::string curves_caption(const RunGroup& runs, std::span<const Curves> all) {
  if (runs.size() == 1) {
    return "The mean of the episodes that ended in the last 5 % of the steps.";
  }
  std::string caption =
      "Thin: each run, as the mean of its episodes that ended in the last 5 % of the steps.";
  const bool has_mean = std::any_of(all.begin(), all.end(),
                                    [](const Curves& curves) { return !curves.band.mean.empty(); });
  const bool one_algorithm = all.size() == 1;
  if (has_mean) {
    const std::string over = one_algorithm ? concat({"the ", count_text(runs.size()), " runs"})
                                           : std::string("the runs of an algorithm");
    caption +=
        concat({" Thick: the mean over ", over,
                ". Shaded: its 95 % interval (Student\u2019s t), as far as the chart goes."});
  }
  if (one_algorithm) return caption;
  const std::vector<RunGroup> algorithms = grouped_by_algorithm(runs);
  for (std::size_t i = 0; i < algorithms.size(); ++i) {
    const std::string& algo = algorithms[i][0]->algo;
    caption += concat({i == 0 ? " " : ", ", "<i class=\"swatch ", all[i].colour, "\"></i>\u00a0",
                       algo.empty() ? "unknown" : escape(algo)});
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

std::string curves_figure(const RunGroup& runs, const std::string& title) {
  double steps = 0;
  for (const ReportedRun* run : runs) steps = std::max(steps, run->steps);
  const std::vector<Curves> all = curves_of(runs, steps);
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
  chart.caption = curves_caption(runs, all);
  return render_chart(chart);
}

// ---- What came out of the runs of one task ----

// "<b>76.50</b>, 95 % interval 74.02 to 78.98" of one algorithm's runs; nothing for fewer than two.
std::string finals_text(const RunGroup& runs) {
  std::vector<double> finals;
  for (const ReportedRun* run : runs) {
    if (run->last_eighth) finals.push_back(*run->last_eighth);
  }
  const auto interval = mean_interval_95(finals);
  if (!interval) return "";
  return concat({"<b>", number_text(interval->mean), "</b>, 95 % interval ",
                 number_text(interval->mean - interval->half_width), " to ",
                 number_text(interval->mean + interval->half_width),
                 finals.size() == runs.size()
                     ? ""
                     : concat({", from the ", count_text(finals.size()), " runs that have one"})});
}

// One sentence about the runs of a task.
std::string task_headline(const RunGroup& runs) {
  if (runs.size() == 1) return headline(*runs[0]);
  double fewest = runs[0]->steps;
  double most = fewest;
  for (const ReportedRun* run : runs) {
    fewest = std::min(fewest, run->steps);
    most = std::max(most, run->steps);
  }
  const std::string steps =
      fewest == most ? fixed(most, 0) : concat({fixed(fewest, 0), " to ", fixed(most, 0)});
  const std::string start = concat(
      {count_text(runs.size()), " runs of ", task_text(*runs[0]), ", ", steps, " steps each: "});
  const std::vector<RunGroup> algorithms = grouped_by_algorithm(runs);
  std::string finals;
  for (const RunGroup& algorithm : algorithms) {
    const std::string text = finals_text(algorithm);
    if (text.empty()) continue;
    if (!finals.empty()) finals += "; ";
    finals += text;
    if (algorithms.size() > 1) {
      finals +=
          concat({" (", escape(algorithm[0]->algo), ", ", count_text(algorithm.size()), " runs)"});
    }
  }
  if (finals.empty()) return concat({start, "too few episodes have ended to compare them."});
  return concat({start, "the mean return of the last eighth is ", finals, "."});
}

// An interval over runs takes them for independent, which two runs of one seed are not.
std::string seeds_note(const RunGroup& runs) {
  bool repeated = false;
  for (const RunGroup& algorithm : grouped_by_algorithm(runs)) {
    std::set<std::string> seeds;
    for (const ReportedRun* run : algorithm) {
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

// A row for each run, those of a task and of an algorithm together, as in the charts above.
std::string runs_table(std::span<const RunGroup> tasks) {
  const bool one_kind = tasks.size() == 1 && grouped_by_algorithm(tasks[0]).size() == 1;
  std::string rows;
  for (const RunGroup& task : tasks) {
    const std::vector<RunGroup> algorithms = grouped_by_algorithm(task);
    for (std::size_t i = 0; i < algorithms.size(); ++i) {
      const std::string colour = colour_class(i, algorithms.size());
      for (const ReportedRun* run : algorithms[i]) {
        rows += "<tr><th scope=\"row\">";
        if (!colour.empty()) rows += concat({"<i class=\"swatch ", colour, "\"></i> "});
        rows += escape(run->name) + "</th>";
        const std::string_view comma = run->algo.empty() ? "" : ", ";
        if (!one_kind) rows += cell("task", escape(concat({run->task, comma, run->algo})));
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
std::string tasks_headline(std::size_t run_count, std::span<const RunGroup> tasks) {
  std::string names;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string_view between = i == 0 ? "" : i + 1 == tasks.size() ? " and " : ", ";
    names += concat({between, task_text(*tasks[i][0])});
  }
  return concat({count_text(run_count), " runs of ", count_text(tasks.size()), " tasks: ", names,
                 ", each with axes of its own."});
}

std::string task_section(const RunGroup& runs) {
  const std::string_view title = runs.size() == 1 ? "Learning curve: " : "Learning curves: ";
  const std::string task = runs[0]->task.empty() ? "one task" : escape(runs[0]->task);
  return concat({curves_figure(runs, concat({title, task})), "<p>", task_headline(runs), "</p>\n",
                 seeds_note(runs)});
}

std::string all_settings_blocks(std::span<const ReportedRun> runs) {
  std::string blocks;
  for (const ReportedRun& run : runs) {
    const std::string block = settings_block(run);
    if (block.empty()) continue;
    blocks +=
        concat({"<details><summary>", escape(run.name), "</summary>\n", block, "</details>\n"});
  }
  return blocks.empty() ? "" : concat({"<section>\n<h2>Settings</h2>\n", blocks, "</section>\n"});
}

}  // namespace

std::vector<RunGroup> grouped_by_task(std::span<const ReportedRun> runs) {
  RunGroup all;
  for (const ReportedRun& run : runs) all.push_back(&run);
  return grouped_by(all, &ReportedRun::task);
}

std::string several_runs_body(std::span<const ReportedRun> runs) {
  const std::vector<RunGroup> tasks = grouped_by_task(runs);
  std::string body;
  if (tasks.size() == 1) {
    body = concat({"<h1>", task_headline(tasks[0]), "</h1>\n",
                   curves_figure(tasks[0], "Learning curves"), seeds_note(tasks[0])});
  } else {
    body = concat({"<h1>", tasks_headline(runs.size(), tasks), "</h1>\n"});
    for (const RunGroup& task : tasks) body += task_section(task);
  }
  return concat({body, runs_table(tasks), all_settings_blocks(runs)});
}

}  // namespace instep

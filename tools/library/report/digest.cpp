#include "tools/library/report/digest.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <span>
#include <string_view>

#include "tools/library/report/text.h"

namespace instep {
namespace {

std::string value_text(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto is_true = node.value_exact<bool>()) return *is_true ? "true" : "false";
  const auto real = node.value_exact<double>();
  return real ? shortest_text(*real) : "";
}

void add_values(const toml::table& table, std::map<std::string, std::string>& values) {
  for (const auto& [key, node] : table) {
    if (const toml::table* inner = node.as_table()) {
      add_values(*inner, values);
    } else {
      values.emplace(std::string(key.str()), value_text(node));
    }
  }
}

// What does not decide how a run learns: which one it is, how long it is, what computed it.
constexpr std::array<std::string_view, 8> kNoConditions = {
    "task", "seed", "steps", "schedule", "backend", "path", "arithmetic", "checkpoint_every"};

std::map<std::string, std::string> conditions_of(const RunRecord& record,
                                                 std::map<std::string, std::string> values) {
  for (const std::string_view key : kNoConditions) values.erase(std::string(key));
  if (record.summary) {
    if (!record.summary->algo.empty()) values["algo"] = record.summary->algo;
    if (record.summary->real_time) values["world"] = "robot";
  }
  if (!record.change.empty()) values["change"] = record.change;
  return values;
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

}  // namespace

// That a config.toml is damaged is no reason to show nothing: the report shows its text as it is.
std::map<std::string, std::string> config_values(const std::string& config) {
  std::map<std::string, std::string> values;
  try {
    add_values(toml::parse(config), values);
  } catch (const toml::parse_error&) {
    values.clear();
  }
  return values;
}

const RunSummary& ReportedRun::summary() const {
  static const RunSummary kNone;
  return record->summary ? *record->summary : kNone;
}

bool ReportedRun::is_done() const {
  return summary().ended == "done" && steps >= steps_planned;
}

std::optional<double> ReportedRun::eighth_before(double at) const {
  return mean_of(between(returns, at - at / 8, at));
}

namespace {

// The last `depth` parts of a path.
std::string path_end(const std::string& path, std::size_t depth) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(path, error);
  const std::filesystem::path& used = error ? std::filesystem::path(path) : whole;
  std::vector<std::string> parts;
  for (const auto& part : used) {
    if (!part.empty() && part != "/") parts.push_back(part.string());
  }
  std::string end;
  for (std::size_t i = parts.size() - std::min(depth, parts.size()); i < parts.size(); ++i) {
    end += (end.empty() ? "" : "/") + parts[i];
  }
  return end;
}

}  // namespace

ReportedRun digest(const RunRecord& record) {
  ReportedRun run;
  run.record = &record;
  run.name = path_end(record.path, 1);
  std::map<std::string, std::string> values = config_values(record.config_text);
  run.task = values["task"];
  run.algo = values["algo"];
  run.seed = values["seed"];
  std::from_chars(values["steps"].data(), values["steps"].data() + values["steps"].size(),
                  run.steps_planned);
  run.conditions = conditions_of(record, values);
  if (record.summary) {
    const RunSummary& summary = *record.summary;
    if (!summary.task.empty()) run.task = summary.task;
    if (!summary.algo.empty()) run.algo = summary.algo;
    run.seed = std::to_string(summary.seed);
    run.steps = std::max(0.0, static_cast<double>(summary.steps));
    const auto planned = static_cast<double>(summary.steps_planned);
    if (run.steps_planned == 0) run.steps_planned = std::max(0.0, planned);
  }
  for (const Episode& episode : record.episodes) {
    const auto step = static_cast<double>(episode.step);
    run.steps = std::max(run.steps, step);
    if (usable(episode.return_sum)) run.returns.push_back({step, episode.return_sum});
  }
  run.left_out_count = record.episodes.size() - run.returns.size();
  run.first_eighth = mean_of(between(run.returns, 0, run.steps / 8));
  run.last_eighth = run.eighth_before(run.steps);
  return run;
}

void name_apart(std::span<ReportedRun> runs) {
  std::vector<std::size_t> depths(runs.size(), 1);
  constexpr std::size_t kDepthMax = 64;
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    std::map<std::string, int> uses;
    for (const ReportedRun& run : runs) ++uses[run.name];
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (uses[runs[i].name] < 2 || depths[i] == kDepthMax) continue;
      const std::string longer = path_end(runs[i].record->path, ++depths[i]);
      has_changed = has_changed || longer != runs[i].name;
      runs[i].name = longer;
    }
  }
}

std::vector<std::optional<double>> running_mean(const ReportedRun& run, double steps,
                                                std::size_t count) {
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

}  // namespace instep

#include "tools/library/report/digest.h"

#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "tools/library/report/text.h"

namespace instep {
namespace {

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

const RunSummary& ReportedRun::summary() const {
  static const RunSummary kNone;
  return record->summary ? *record->summary : kNone;
}

ReportedRun digest(const RunRecord& record) {
  ReportedRun run;
  run.record = &record;
  std::filesystem::path folder(record.path);
  if (!folder.has_filename()) folder = folder.parent_path();
  run.name = folder.filename().string();
  run.task = config_value(record.config_text, "task");
  run.algo = config_value(record.config_text, "algo");
  run.seed = config_value(record.config_text, "seed");
  if (record.summary) {
    const RunSummary& summary = *record.summary;
    if (!summary.task.empty()) run.task = summary.task;
    if (!summary.algo.empty()) run.algo = summary.algo;
    run.seed = std::to_string(summary.seed);
    run.steps = std::max(0.0, static_cast<double>(summary.steps));
  }
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

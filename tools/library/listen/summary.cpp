#include "tools/library/listen/summary.h"

#include <algorithm>
#include <cmath>

#include "runtime/block_table.h"
#include "runtime/cuda/cuda_learner.h"
#include "runtime/health.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
#include "tools/library/report/statistics.h"

namespace instep {

void SpeedRecord::start(std::int64_t step, std::int64_t now_ns) {
  interval_ = std::max<std::int64_t>(1, (steps_ - step) / 40);
  last_step_ = step;
  last_ns_ = now_ns;
  next_step_ = step + interval_;
}

void SpeedRecord::add_point(std::int64_t step, std::int64_t now_ns) {
  if (count_ == points_.size() || now_ns <= last_ns_) return;
  points_[count_++] = {
      step, static_cast<double>(step - last_step_) * 1e9 / static_cast<double>(now_ns - last_ns_)};
  last_step_ = step;
  last_ns_ = now_ns;
  next_step_ = step + interval_;
}

nlohmann::json SpeedRecord::to_json() const {
  nlohmann::json points = nlohmann::json::array();
  for (std::size_t i = 0; i < count_; ++i) {
    points.push_back(
        {{"step", points_[i].step}, {"steps_per_second", std::round(points_[i].steps_per_second)}});
  }
  return points;
}

std::string json_text(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json percentiles_us(const LatencyHistogram& histogram) {
  if (histogram.total() == 0) return nullptr;
  const auto us = [](std::int64_t ns) { return static_cast<double>(ns) / 1000.0; };
  return {{"p50", us(histogram.quantile_ns(0.5))},
          {"p99", us(histogram.quantile_ns(0.99))},
          {"p999", us(histogram.quantile_ns(0.999))},
          {"max", us(histogram.max_ns())}};
}

namespace {

nlohmann::json histogram_rows(const LatencyHistogram& histogram) {
  nlohmann::json rows = nlohmann::json::array();
  for (int i = 0; i < LatencyHistogram::kBuckets; ++i) {
    if (histogram.count(i) == 0) continue;
    const double us = static_cast<double>(LatencyHistogram::lower_edge_ns(i)) / 1000.0;
    rows.push_back({{"us", us}, {"count", histogram.count(i)}});
  }
  return rows;
}

nlohmann::json warning_names(std::uint32_t warnings) {
  nlohmann::json names = nlohmann::json::array();
  for (std::uint32_t bit = 1; bit < (1U << kHealthWarnings); bit <<= 1) {
    if ((warnings & bit) != 0)
      names.push_back(health_warning_name(static_cast<HealthWarning>(bit)));
  }
  return names;
}

nlohmann::json number_or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

// What became of the GPU; null for other backends.
nlohmann::json gpu_json(const std::string& backend) {
  if (backend != "cuda") return nullptr;
  const CudaHealth& health = cuda_health();
  return {{"device", health.device},
          {"fallbacks", health.fallbacks},
          {"updates_lost", health.updates_lost},
          {"seconds_lost", health.seconds_lost},
          {"problem", health.last_problem}};
}

}  // namespace

nlohmann::json memory_rows(const Layout& layout, std::size_t snapshot_bytes) {
  nlohmann::json rows = nlohmann::json::array();
  for (const BlockPart& part : block_parts(layout)) {
    rows.push_back(
        {{"name", part.name}, {"bytes", part.bytes}, {"padding_bytes", part.padding_bytes}});
  }
  if (snapshot_bytes > 0) {
    rows.push_back(
        {{"name", "checkpoint snapshot"}, {"bytes", snapshot_bytes}, {"padding_bytes", 0}});
  }
  return rows;
}

nlohmann::json to_json(const RunSummary& summary) {
  const std::vector<Episode> episodes = read_episodes(summary.folder + "/episodes.csv");
  const auto steps = static_cast<std::uint64_t>(summary.steps);
  const LearnerState& state = summary.learner->state();
  return {{"ended", summary.ended},
          {"task", summary.config.task},
          {"algo", algorithm_name(summary.config.settings.learner.algorithm)},
          {"seed", summary.config.seed},
          {"steps", summary.steps},
          {"episodes", summary.episodes},
          {"mean_return_last_eighth",
           number_or_null(mean_return_between(episodes, steps - steps / 8, steps))},
          {"mean_return", number_or_null(mean_return_between(episodes, 0, steps))},
          {"steps_per_second", summary.steps_per_second},
          {"dropped_updates", state.actor_updates_dropped + state.critic_updates_dropped},
          {"dropped_transitions", state.transitions_dropped},
          {"warnings", warning_names(summary.warnings)},
          {"missed_deadlines", 0},
          {"exact", true},
          {"backend", summary.config.backend},
          {"path", summary.config.path},
          {"gpu", gpu_json(summary.config.backend)},
          {"schedule", schedule_name(summary.config.schedule)},
          {"arithmetic", format_value(summary.config.settings, "arithmetic")},
          {"machine", machine_text()},
          {"update_us", percentiles_us(summary.latency->update)},
          {"observation_to_action_us", percentiles_us(summary.latency->observation_to_action)},
          {"update_histogram", histogram_rows(summary.latency->update)},
          {"memory", memory_rows(summary.learner->layout, summary.snapshot_bytes)},
          {"speed", summary.speed->to_json()},
          {"out", summary.folder}};
}

nlohmann::json short_summary(const nlohmann::json& summary) {
  nlohmann::json result;
  for (const char* key : {"task", "algo", "seed", "steps", "episodes", "mean_return_last_eighth",
                          "mean_return", "steps_per_second", "dropped_updates", "missed_deadlines",
                          "ended", "path", "schedule", "out"}) {
    result[key] = summary.at(key);
  }
  return result;
}

nlohmann::json summarize_seeds(std::span<const RunRecord> records, const RunConfig& config,
                               const std::string& parent) {
  nlohmann::json runs = nlohmann::json::array();
  std::vector<double> returns;
  std::int64_t episodes = 0;
  std::int64_t dropped_updates = 0;
  for (const RunRecord& record : records) {
    runs.push_back(short_summary(record.summary));
    episodes += record.summary.at("episodes").get<std::int64_t>();
    dropped_updates += record.summary.at("dropped_updates").get<std::int64_t>();
    const auto& value = record.summary.at("mean_return_last_eighth");
    if (value.is_number()) returns.push_back(value.get<double>());
  }
  const std::optional<MeanInterval> interval = mean_interval_95(returns);
  nlohmann::json mean;
  if (interval) mean = interval->mean;
  if (returns.size() == 1) mean = returns.front();
  return {{"task", config.task},
          {"algo", algorithm_name(config.settings.learner.algorithm)},
          {"seed", nullptr},
          {"steps", config.steps},
          {"episodes", episodes},
          {"mean_return_last_eighth", mean},
          {"steps_per_second", nullptr},
          {"dropped_updates", dropped_updates},
          {"missed_deadlines", 0},
          {"out", parent.empty() ? nlohmann::json() : nlohmann::json(parent)},
          {"interval95", interval ? nlohmann::json(interval->half_width) : nlohmann::json()},
          {"runs", runs}};
}

}  // namespace instep

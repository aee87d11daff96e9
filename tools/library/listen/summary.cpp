#include "tools/library/listen/summary.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "runtime/cuda/cuda_learner.h"
#include "runtime/health.h"
#include "tools/library/json_fields.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
#include "tools/library/report/run_record.h"

namespace instep {

void SpeedRecord::start(std::int64_t steps, std::int64_t step, std::int64_t now_ns) {
  interval_ = std::max<std::int64_t>(1, (steps - step) / 40);
  last_step_ = step;
  last_ns_ = now_ns;
  next_step_ = step + interval_;
}

void SpeedRecord::go_on(std::int64_t steps, std::int64_t now_ns) {
  interval_ = std::max({std::int64_t{1}, interval_, steps / 40});
  last_ns_ = now_ns - last_ns_;
  next_step_ = last_step_ + interval_;
}

SpeedRecord SpeedRecord::paused(std::int64_t now_ns) const {
  SpeedRecord result = *this;
  result.last_ns_ = now_ns - last_ns_;
  return result;
}

// A run that is gone on with again and again fills it: then every two points become one.
void SpeedRecord::add_point(std::int64_t step, std::int64_t now_ns) {
  if (now_ns <= last_ns_) return;
  if (count_ == points_.size()) {
    for (std::size_t i = 0; i < points_.size() / 2; ++i) {
      const Point& first = points_[2 * i];
      const Point& second = points_[2 * i + 1];
      points_[i] = {second.step, first.steps + second.steps, first.ns + second.ns};
    }
    count_ /= 2;
    interval_ *= 2;
  }
  points_[count_++] = {step, step - last_step_, now_ns - last_ns_};
  last_step_ = step;
  last_ns_ = now_ns;
  next_step_ = step + interval_;
}

std::vector<SpeedRow> SpeedRecord::rows() const {
  std::vector<SpeedRow> rows;
  for (std::size_t i = 0; i < count_; ++i) {
    const Point& point = points_[i];
    rows.push_back({point.step, std::round(static_cast<double>(point.steps) * 1e9 /
                                           static_cast<double>(point.ns))});
  }
  return rows;
}

std::string json_text(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

namespace {

std::vector<HistogramRow> histogram_rows(const LatencyHistogram& histogram) {
  std::vector<HistogramRow> rows;
  for (int i = 0; i < LatencyHistogram::kBuckets; ++i) {
    if (histogram.count(i) == 0) continue;
    rows.push_back(
        {static_cast<double>(LatencyHistogram::lower_edge_ns(i)) / 1000.0, histogram.count(i)});
  }
  return rows;
}

// Those that stood at the end: what passed is none. Features that vanished in a tenth of the run's
// samples are named all the same, for nothing is learnt meanwhile.
std::vector<WarningRow> warning_rows(const HealthMemory& health) {
  std::vector<WarningRow> rows;
  for (std::size_t i = 0; i < health.counts.size(); ++i) {
    const WarningCount& count = health.counts[i];
    const bool stands = count.last_step == health.newest_step;
    const auto warning = static_cast<HealthWarning>(1U << i);
    const bool is_frequent = warning == kFeaturesVanish && 10 * count.samples >= health.samples;
    if (count.samples == 0 || (!stands && !is_frequent)) continue;
    rows.push_back({std::string(health_warning_name(warning)), count.samples, health.samples,
                    count.first_step, count.last_step});
  }
  return rows;
}

// What became of the GPU; none for other backends, unless an earlier part of the run lost one.
std::optional<GpuSummary> gpu_summary(const std::string& backend, const GpuLosses& losses) {
  if (backend != "cuda" && losses.fallbacks == 0) return std::nullopt;
  const CudaHealth& health = cuda_health();
  return GpuSummary{health.device, losses.fallbacks, losses.updates_lost, losses.seconds_lost,
                    health.last_problem};
}

std::string local_time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &parts);
  return text;
}

}  // namespace

GpuLosses gpu_losses(const GpuLosses& earlier) {
  const CudaHealth& health = cuda_health();
  return {earlier.fallbacks + health.fallbacks, earlier.updates_lost + health.updates_lost,
          earlier.seconds_lost + health.seconds_lost};
}

std::vector<MemoryRow> memory_rows(const Agent& agent, std::size_t snapshot_bytes) {
  std::vector<MemoryRow> rows;
  for (const MemoryPart& part : agent.memory_parts()) {
    rows.push_back({std::string(part.name), part.bytes, part.padding_bytes});
  }
  if (snapshot_bytes > 0) rows.push_back({"checkpoint snapshot", snapshot_bytes, 0});
  return rows;
}

RunSummary summarize(const RunFacts& facts) {
  const std::vector<Episode> episodes = read_episodes(facts.folder + "/episodes.csv");
  const auto steps = static_cast<std::uint64_t>(facts.steps);
  const DropCounts drops = facts.agent->drop_counts();
  RunSummary summary;
  summary.ended = facts.ended;
  summary.task = facts.config.task;
  summary.algo = facts.config.settings.algorithm->name;
  summary.seed = facts.config.seed;
  summary.steps = facts.steps;
  summary.steps_planned = facts.config.steps;
  summary.episodes = facts.episodes;
  summary.mean_return_last_eighth = mean_return_between(episodes, steps - steps / 8, steps);
  summary.mean_return = mean_return_between(episodes, 0, steps);
  summary.measured_since_step = facts.measured_since_step;
  summary.seconds = facts.seconds;
  summary.steps_per_second = facts.steps_per_second;
  summary.dropped_updates = static_cast<std::uint64_t>(drops.updates);
  summary.dropped_transitions = static_cast<std::uint64_t>(drops.transitions);
  summary.warnings_seen = warning_rows(facts.health);
  for (const WarningRow& row : summary.warnings_seen) summary.warnings.push_back(row.warning);
  summary.backend = facts.config.backend;
  summary.path = facts.config.path;
  summary.gpu = gpu_summary(facts.config.backend, facts.gpu);
  summary.schedule = schedule_name(facts.config.schedule);
  summary.arithmetic = format_value(facts.config.settings, "arithmetic");
  summary.machine = machine_text();
  summary.version = INSTEP_VERSION;
  summary.command = facts.command;
  summary.ended_at = local_time_text();
  summary.update_us = percentiles_of(facts.latency->update);
  summary.observation_to_action_us = percentiles_of(facts.latency->observation_to_action);
  summary.update_histogram = histogram_rows(facts.latency->update);
  summary.memory = memory_rows(*facts.agent, facts.snapshot_bytes);
  summary.speed = facts.speed->rows();
  summary.out = facts.folder;
  summary.real_time = facts.real_time;
  if (summary.real_time) summary.missed_deadlines = summary.real_time->missed_deadlines;
  summary.losses = losses_of(summary);
  summary.exact = summary.losses.empty();
  return summary;
}

nlohmann::json short_summary(const RunSummary& summary) {
  return {{"task", summary.task},
          {"algo", summary.algo},
          {"seed", summary.seed},
          {"steps", summary.steps},
          {"episodes", summary.episodes},
          {"mean_return_last_eighth", encode_fields(summary.mean_return_last_eighth)},
          {"mean_return", encode_fields(summary.mean_return)},
          {"steps_per_second", summary.steps_per_second},
          {"dropped_updates", summary.dropped_updates},
          {"missed_deadlines", summary.missed_deadlines},
          {"exact", summary.exact},
          {"ended", summary.ended},
          {"path", summary.path},
          {"schedule", summary.schedule},
          {"out", summary.out}};
}

}  // namespace instep

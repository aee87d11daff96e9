#include "tools/library/report/run_summary.h"

#include <algorithm>

#include "runtime/health.h"
#include "tools/library/json_fields.h"
#include "tools/library/report/run_summary_json.h"
#include "tools/library/report/text.h"

namespace instep {

// The one list of keys; see json_fields.h.

template <Is<Percentiles> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("p50", s.p50);
  visit("p99", s.p99);
  visit("p999", s.p999);
  visit("max", s.max);
}

template <Is<HistogramRow> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("us", s.us);
  visit("count", s.count);
}

template <Is<MemoryRow> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("name", s.name);
  visit("bytes", s.bytes);
  visit("padding_bytes", s.padding_bytes);
}

template <Is<SpeedRow> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("step", s.step);
  visit("steps_per_second", s.steps_per_second);
}

template <Is<WarningRow> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("warning", s.warning);
  visit("samples", s.samples);
  visit("of", s.of);
  visit("first_step", s.first_step);
  visit("last_step", s.last_step);
}

template <Is<GpuSummary> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("device", s.device);
  visit("fallbacks", s.fallbacks);
  visit("updates_lost", s.updates_lost);
  visit("seconds_lost", s.seconds_lost);
  visit("problem", s.problem);
}

template <Is<OverrunRow> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("step", s.step);
  visit("late_us", s.late_us);
  visit("packet_age_us", s.packet_age_us);
  visit("steal_ms", s.steal_ms);
  visit("causes", s.causes);
}

template <Is<OverrunSummary> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("overrun_ticks", s.overrun_ticks);
  visit("overruns", s.overruns);
  visit("overruns_listed", s.overruns_listed);
  visit("overruns_unlisted", s.overruns_unlisted);
  visit("steal_ms", s.steal_ms);
}

template <Is<RealTimeSummary> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("trouble", s.trouble);
  visit("ended_while", s.ended_while);
  visit("rights_refused", s.rights_refused);
  visit("wakeup_us", s.wakeup_us);
  visit("packet_age_us", s.packet_age_us);
  visit("packet_to_wire_us", s.packet_to_wire_us);
  visit("command_to_wire_us", s.command_to_wire_us);
  visit("missed_deadlines", s.missed_deadlines);
  visit("late_ticks", s.late_ticks);
  visit("transitions_dropped_late", s.transitions_dropped_late);
  visit("learner_tasks_lost", s.learner_tasks_lost);
  visit("packets_lost", s.packets_lost);
  visit("record_ticks_lost", s.record_ticks_lost);
  visit("episodes_lost", s.episodes_lost);
  visit("holds", s.holds);
  visit("faults", s.faults);
  visit("running_ticks", s.running_ticks);
  visit("homing_ticks", s.homing_ticks);
  visit("held_ticks", s.held_ticks);
  visit("faulted_ticks", s.faulted_ticks);
  visit("commands_limited_range", s.commands_limited_range);
  visit("commands_limited_rate", s.commands_limited_rate);
  visit("commands_not_finite", s.commands_not_finite);
  visit("packets", s.packets);
  visit("checksum_errors", s.checksum_errors);
  visit("frames_impossible", s.frames_impossible);
  visit("bytes_skipped", s.bytes_skipped);
  visit("reconnects", s.reconnects);
  visit("commands_sent", s.commands_sent);
  visit("dead_man_stops", s.dead_man_stops);
  visit("port_resets", s.port_resets);
  visit("guardian_stops", s.guardian_stops);
  visit("stood", s.stood);
  each_field(s.overruns, visit);
}

template <Is<RunSummary> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("ended", s.ended);
  visit("task", s.task);
  visit("algo", s.algo);
  visit("seed", s.seed);
  visit("steps", s.steps);
  visit("steps_planned", s.steps_planned);
  visit("episodes", s.episodes);
  visit("mean_return_last_eighth", s.mean_return_last_eighth);
  visit("mean_return", s.mean_return);
  visit("measured_since_step", s.measured_since_step);
  visit("seconds", s.seconds);
  visit("steps_per_second", s.steps_per_second);
  visit("dropped_updates", s.dropped_updates);
  visit("dropped_transitions", s.dropped_transitions);
  visit("warnings", s.warnings);
  visit("warnings_seen", s.warnings_seen);
  visit("missed_deadlines", s.missed_deadlines);
  visit("losses", s.losses);
  visit("exact", s.exact);
  visit("left_out", s.left_out);
  visit("backend", s.backend);
  visit("path", s.path);
  visit("gpu", s.gpu);
  visit("schedule", s.schedule);
  visit("arithmetic", s.arithmetic);
  visit("machine", s.machine);
  visit("version", s.version);
  visit("command", s.command);
  visit("ended_at", s.ended_at);
  visit("update_us", s.update_us);
  visit("observation_to_action_us", s.observation_to_action_us);
  visit("update_histogram", s.update_histogram);
  visit("memory", s.memory);
  visit("speed", s.speed);
  visit("out", s.out);
  visit("real_time", s.real_time);
}

std::optional<Percentiles> percentiles_of(const LatencyHistogram& histogram) {
  if (histogram.total() == 0) return std::nullopt;
  const auto us = [](std::int64_t ns) { return static_cast<double>(ns) / 1000.0; };
  return Percentiles{us(histogram.quantile_ns(0.5)), us(histogram.quantile_ns(0.99)),
                     us(histogram.quantile_ns(0.999)), us(histogram.max_ns())};
}

nlohmann::json to_json(const std::optional<Percentiles>& percentiles) {
  return encode_fields(percentiles);
}

nlohmann::json to_json(const std::vector<MemoryRow>& rows) {
  return encode_fields(rows);
}

nlohmann::json to_json(const OverrunSummary& overruns) {
  return encode_fields(overruns);
}

nlohmann::json to_json(const RunSummary& summary) {
  nlohmann::json json = encode_fields(summary);
  if (!summary.real_time) json.erase("real_time");
  return json;
}

namespace {

void require_possible(const char* name, double value) {
  constexpr double kMax = 9e15;  // what is counted and measured here stays exact below
  if (value >= 0.0 && value <= kMax) return;
  throw DataError(std::string(name) + " cannot be " + shortest_text(value));
}

void require_possible(const char* name, const std::optional<Percentiles>& percentiles) {
  if (!percentiles) return;
  for (const double value :
       {percentiles->p50, percentiles->p99, percentiles->p999, percentiles->max}) {
    require_possible(name, value);
  }
}

// Somebody may have edited the file.
void require_possible(const RunSummary& summary) {
  const auto& ended = summary.ended;
  if (!ended.empty() && ended != "done" && ended != "interrupted" && ended != "faulted") {
    throw DataError("ended is none of done, interrupted, faulted");
  }
  require_possible("steps", static_cast<double>(summary.steps));
  require_possible("steps_planned", static_cast<double>(summary.steps_planned));
  require_possible("episodes", static_cast<double>(summary.episodes));
  require_possible("measured_since_step", static_cast<double>(summary.measured_since_step));
  require_possible("seconds", summary.seconds);
  require_possible("steps_per_second", summary.steps_per_second);
  require_possible("update_us", summary.update_us);
  require_possible("observation_to_action_us", summary.observation_to_action_us);
  if (summary.steps_planned > 0 && summary.steps > summary.steps_planned) {
    throw DataError("steps is more than steps_planned");
  }
  for (const SpeedRow& row : summary.speed) {
    require_possible("speed", static_cast<double>(row.step));
    require_possible("speed", row.steps_per_second);
  }
  for (const HistogramRow& row : summary.update_histogram) {
    require_possible("update_histogram", row.us);
  }
  if (!summary.real_time) return;
  require_possible("real_time.wakeup_us", summary.real_time->wakeup_us);
  require_possible("real_time.packet_age_us", summary.real_time->packet_age_us);
  require_possible("real_time.packet_to_wire_us", summary.real_time->packet_to_wire_us);
  require_possible("real_time.command_to_wire_us", summary.real_time->command_to_wire_us);
}

}  // namespace

RunSummary summary_from_json(const nlohmann::json& json) {
  if (!json.is_object()) throw DataError("not a JSON object");
  RunSummary summary;
  decode_fields(json, "", summary);
  for (const char* key : {"ended", "steps"}) {  // every version has written these
    if (!json.contains(key)) throw DataError(std::string(key) + " is missing");
  }
  require_possible(summary);
  return summary;
}

std::vector<std::string> warning_texts(const RunSummary& summary) {
  std::vector<std::string> texts;
  for (std::uint32_t bit = 1; bit < (1U << kHealthWarnings); bit <<= 1) {
    const auto warning = static_cast<HealthWarning>(bit);
    const std::string name(health_warning_name(warning));
    if (std::find(summary.warnings.begin(), summary.warnings.end(), name) ==
        summary.warnings.end()) {
      continue;
    }
    std::string text(health_warning_text(warning));
    for (const WarningRow& row : summary.warnings_seen) {
      if (row.warning != name) continue;
      text += " (in " + std::to_string(row.samples) + " of " + std::to_string(row.of) +
              " samples, from step " + std::to_string(row.first_step) + " to " +
              std::to_string(row.last_step) + ")";
    }
    texts.push_back(text);
  }
  return texts;
}

std::vector<std::string> losses_of(const RunSummary& summary) {
  std::vector<std::string> losses;
  const auto add = [&](std::uint64_t count, const char* one, const char* many) {
    if (count > 0) losses.push_back(std::to_string(count) + ' ' + (count == 1 ? one : many));
  };
  add(summary.dropped_transitions, "transition was dropped (held, lost or not finite)",
      "transitions were dropped (held, lost or not finite)");
  add(summary.dropped_updates, "update was not finite", "updates were not finite");
  const bool may_have_lost = summary.gpu || summary.real_time;
  if (summary.measured_since_step > 0 && may_have_lost) {
    losses.push_back("what was lost before step " + std::to_string(summary.measured_since_step) +
                     " is not known: the counters of that part are gone");
  }
  if (summary.gpu) {
    add(summary.gpu->fallbacks, "learner lost its GPU", "learners lost their GPU");
    add(summary.gpu->updates_lost, "update was lost with the GPU",
        "updates were lost with the GPU");
  }
  if (!summary.real_time) return losses;
  const RealTimeSummary& real = *summary.real_time;
  add(real.late_ticks, "tick found the learner at work", "ticks found the learner at work");
  add(real.transitions_dropped_late, "transition was dropped for it",
      "transitions were dropped for it");
  add(real.learner_tasks_lost, "tick never reached the learner", "ticks never reached the learner");
  add(real.packets_lost, "packet was not taken in time", "packets were not taken in time");
  return losses;
}

}  // namespace instep

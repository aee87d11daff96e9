#include "tools/instep/measure_commands.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>

#include "tasks/registry.h"
#include "tools/instep/find_run.h"
#include "tools/instep/output.h"
#include "tools/instep/stop_signals.h"
#include "tools/library/error.h"
#include "tools/library/listen/voice.h"
#include "tools/library/measure/info.h"
#include "tools/library/measure/profile_agents.h"
#include "tools/library/measure/real_time_profile.h"
#include "tools/library/report/run_summary_json.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

// ------------------------------------------------------------------------------------------------
// What there is

nlohmann::json to_json(const CheckpointInfo& checkpoint) {
  nlohmann::json result = {{"step", checkpoint.step},
                           {"episodes", checkpoint.episodes},
                           {"format_version", checkpoint.format_version},
                           {"snapshot_bytes", checkpoint.snapshot_bytes},
                           {"dropped_updates", checkpoint.drops.updates},
                           {"dropped_transitions", checkpoint.drops.transitions}};
  for (const NamedNumber& number : checkpoint.numbers) {
    std::visit([&](auto value) { result[std::string(number.name)] = value; }, number.value);
  }
  return result;
}

void print_memory(const std::vector<MemoryRow>& rows) {
  std::size_t total = 0;
  std::printf("%-36s %12s %12s\n", "memory", "bytes", "padding");
  for (const MemoryRow& row : rows) {
    std::printf("%-36s %12zu %12zu\n", row.name.c_str(), static_cast<std::size_t>(row.bytes),
                static_cast<std::size_t>(row.padding_bytes));
    total += row.bytes;
  }
  std::printf("%-36s %12zu\n", "total", total);
}

void print_info(const Info& info, const nlohmann::json& checkpoint) {
  std::printf("instep %s, compiled by %s\n%s\npaths of backend cpu, best first: %s\n",
              info.version.c_str(), info.compiler.c_str(), info.machine.c_str(),
              nlohmann::json(info.cpu_paths).dump().c_str());
  std::string paths;
  for (const std::string& path : info.cuda_paths) paths += path + " ";
  std::printf("backend cuda: %s%s\n", paths.empty() ? "not here: " : "paths, best first: ",
              paths.empty() ? info.cuda_problem.c_str() : paths.c_str());
  std::printf("task %s: %d observations, %d actions, %s\n", info.task.c_str(), info.observation_dim,
              info.action_dim, info.sizes.c_str());
  print_memory(info.memory);
  if (checkpoint.is_null()) return;
  std::printf("checkpoint\n");
  for (const auto& [key, value] : checkpoint.items()) {
    std::printf("  %-24s %s\n", key.c_str(), value.dump().c_str());
  }
}

}  // namespace

int run_info(const std::string& run_or_task, const std::string& task, bool json) {
  const bool is_task = find_task(run_or_task) != nullptr;
  std::error_code error;
  if (!is_task && !run_or_task.empty() && !std::filesystem::exists(run_or_task, error)) {
    const TaskInfo* const meant = task_called(run_or_task);
    std::vector<std::string_view> names;
    for (const TaskInfo& known : all_tasks()) names.push_back(known.name);
    throw UsageError(printable(run_or_task) + ": is neither a run here nor a task" +
                     (meant == nullptr ? did_you_mean(run_or_task, names, "")
                                       : "; did you mean '" + std::string(meant->name) + "'?"));
  }
  const std::string run = is_task || run_or_task.empty() ? "" : find_run(run_or_task);
  const std::string& named = is_task ? run_or_task : task;
  const Info info = named.empty() ? inspect(run) : inspect(run, named);
  const nlohmann::json checkpoint = info.checkpoint ? to_json(*info.checkpoint) : nlohmann::json();
  print_info(info, checkpoint);
  if (!json) return kDone;
  print_json({{"version", info.version},
              {"compiler", info.compiler},
              {"machine", info.machine},
              {"backends", info.backends},
              {"paths", info.cpu_paths},
              {"mujoco", info.has_mujoco},
              {"static_block_bytes", info.static_block_bytes},
              {"task", info.task},
              {"algo", info.algorithm},
              {"shape", {info.observation_dim, info.action_dim, info.hidden_dim}},
              {"memory", to_json(info.memory)},
              {"checkpoint", checkpoint}});
  return kDone;
}

int run_tasks(bool json) {
  nlohmann::json tasks = nlohmann::json::array();
  std::printf("%-14s %5s %5s %9s %7s %12s  %s\n", "task", "obs", "act", "period s", "limit",
              "steps", "");
  for (const TaskInfo& task : all_tasks()) {
    const bool is_available = task.make != nullptr;
    char numbers[96];
    std::snprintf(numbers, sizeof numbers, "%-14s %5d %5d %9.3f %7.2f %12lld  ",
                  std::string(task.name).c_str(), task.observation_dim, task.action_dim,
                  task.period_s, task.action_limit, static_cast<long long>(task.default_steps));
    print_wrapped(numbers + std::string(is_available ? task.summary : task.missing), 15);
    RunSettings settings;
    apply_task_defaults(settings, task);
    nlohmann::json values;
    for (const Setting* setting : all_settings(*settings.algorithm)) {
      values[std::string(setting->name)] = format_value(settings, setting->name);
    }
    tasks.push_back({{"name", task.name},
                     {"summary", task.summary},
                     {"observation_dim", task.observation_dim},
                     {"action_dim", task.action_dim},
                     {"period_s", task.period_s},
                     {"action_limit", task.action_limit},
                     {"episode_steps_max", task.episode_steps_max},
                     {"steps", task.default_steps},
                     {"settings", values},
                     {"available", is_available}});
  }
  if (json) print_json({{"tasks", tasks}});
  return kDone;
}

int run_settings(const std::string& task, const std::string& algorithm, bool json) {
  RunSettings settings;
  if (!algorithm.empty()) settings.choose(*find_algorithm(algorithm));
  if (find_task(task) == nullptr && find_algorithm(task) != nullptr) {
    throw UsageError(task + ": is a learner, no task; did you mean `instep settings --algo " +
                     task + "`?");
  }
  if (!task.empty()) apply_task_defaults(settings, require_task(task));
  const AlgorithmInfo& info = *settings.algorithm;
  print_wrapped(std::string(info.name) + ": " + std::string(info.summary) +
                    (task.empty() ? "" : "; defaults of " + task),
                0);
  char heading[96];
  std::snprintf(heading, sizeof heading, "%-25s %-9s %s", "key", "default",
                "meaning (what is allowed)");
  print_wrapped(heading, 36);
  nlohmann::json rows = nlohmann::json::array();
  for (const Setting* setting : all_settings(info)) {
    const std::string name(setting->name);
    const std::string value = format_value(settings, name);
    const std::string unit = setting->unit.empty() ? "" : "; " + std::string(setting->unit);
    char key[64];
    std::snprintf(key, sizeof key, "%-25s %-9s ", name.c_str(), value.c_str());
    print_wrapped(key + std::string(setting->help) + " (" + allowed_values(*setting) + unit + ")",
                  36);
    rows.push_back({{"key", name},
                    {"default", value},
                    {"allowed", allowed_values(*setting)},
                    {"unit", setting->unit},
                    {"meaning", setting->help}});
  }
  const std::string_view changes = task.empty() ? "" : find_task(task)->changes;
  if (!changes.empty()) {
    print_wrapped("what can change in its world, by `train --change 'at=STEP NAME=VALUE'`: " +
                      std::string(changes),
                  0);
  }
  if (json) {
    const nlohmann::json result = {{"algo", info.name},
                                   {"task", task.empty() ? nlohmann::json() : nlohmann::json(task)},
                                   {"settings", rows},
                                   {"changes", changes}};
    print_json(result);
  }
  return kDone;
}

// ------------------------------------------------------------------------------------------------
// Doctor

nlohmann::json findings_json(const std::vector<Finding>& findings) {
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings) {
    nlohmann::json entry = {{"check", finding.check},
                            {"level", level_name(finding.level)},
                            {"text", finding.text},
                            {"mend", nullptr}};
    if (!finding.mend.empty()) entry["mend"] = finding.mend;
    list.push_back(entry);
  }
  return {{"real_time", real_time_can_be_promised(findings)}, {"findings", list}};
}

namespace {

// What the findings come to, in a sentence.
std::string verdict(const std::vector<Finding>& findings, const TaskInfo* task) {
  std::set<std::string> names;
  bool are_all_of_short_periods = true;
  for (const Finding& finding : findings) {
    if (finding.level != Finding::Level::kBad) continue;
    names.insert(finding.check);
    are_all_of_short_periods = are_all_of_short_periods && finding.matters_below_s <= kLongPeriodS;
  }
  std::string bad;
  for (const std::string& name : names) bad += (bad.empty() ? "" : ", ") + name;
  char period[64] = "";
  if (task != nullptr) {
    std::snprintf(period, sizeof period, " with %s's period of %.0f ms",
                  std::string(task->name).c_str(), task->period_s * 1e3);
  }
  if (bad.empty()) return std::string("Nothing found that stands against real time") + period + ".";
  const std::string cannot = std::string("Real time cannot be promised") + period;
  if (task != nullptr || !are_all_of_short_periods) return cannot + ": " + bad + ".";
  char longer[128];
  std::snprintf(longer, sizeof longer,
                " below a period of %.0f ms: %s. Longer ones bear it; `instep doctor TASK` judges "
                "by a task's.",
                kLongPeriodS * 1e3, bad.c_str());
  return cannot + longer;
}

}  // namespace

int run_doctor(const std::string& root, const std::string& task, bool json) {
  const std::vector<Finding> findings = examine(root, task);
  for (const Finding& finding : findings) {
    char start[48];
    std::snprintf(start, sizeof start, "%-7s %-15s ", level_name(finding.level),
                  finding.check.c_str());
    print_wrapped(start + finding.text, 24);
    // Not wrapped: it is there to be copied.
    if (!finding.mend.empty()) std::printf("%-7s %-15s -> %s\n", "", "", finding.mend.c_str());
  }
  print_wrapped(verdict(findings, find_task(task)), 0);
  if (json) print_json(findings_json(findings));
  return real_time_can_be_promised(findings) ? kDone : kCheckFailed;
}

// ------------------------------------------------------------------------------------------------
// Profile

namespace {

void print_row(const char* name, const std::optional<Percentiles>& us, int decimals = 2) {
  if (!us) return;
  std::printf("%-24s %9.*f %9.*f %9.*f %9.*f\n", name, decimals, us->p50, decimals, us->p99,
              decimals, us->p999, decimals, us->max);
}

void print_rows_heading() {
  std::printf("%-24s %9s %9s %9s %9s\n", "microseconds", "p50", "p99", "p99.9", "max");
}

void print(const Profile& profile) {
  std::printf("%s, %lld updates, path %s, schedule %s, %zu bytes of state, %s\n",
              profile.task.c_str(), static_cast<long long>(profile.updates), profile.path.c_str(),
              profile.schedule.c_str(), profile.state_bytes, profile.machine.c_str());
  print_rows_heading();
  print_row("update", profile.update_us);
  print_row("observation to action", profile.observation_to_action_us);
  for (const PhaseProfile& phase : profile.phases) print_row(("  " + phase.name).c_str(), phase.us);
  print_row("world", profile.world_us);
  std::printf("%-24s %9.2f on average, world and update together\n", "processor time a step",
              profile.step_cpu_us);
  if (profile.bound) {
    std::printf("bound: memory %.2f, square roots %.2f; the update takes %.2f times the larger\n",
                profile.bound->memory_us, profile.bound->square_root_us, profile.bound->ratio);
  }
  if (const std::string text = disturbance_text(profile.disturbance); !text.empty()) {
    std::printf("%s: p99.9 and max are theirs as much as the program's\n", text.c_str());
  }
}

nlohmann::json to_json(const Profile& profile, std::int64_t updates_wanted) {
  nlohmann::json phases = nlohmann::json::object();
  for (const PhaseProfile& phase : profile.phases) phases[phase.name] = to_json(phase.us);
  nlohmann::json result = {{"task", profile.task},
                           {"updates", profile.updates},
                           {"is_partial", profile.updates < updates_wanted},
                           {"update_us", to_json(profile.update_us)},
                           {"observation_to_action_us", to_json(profile.observation_to_action_us)},
                           {"world_us", to_json(profile.world_us)},
                           {"step_cpu_us", profile.step_cpu_us},
                           {"wakeup_us", nullptr},
                           {"phases_us", phases},
                           {"bound_us", nullptr},
                           {"state_bytes", profile.state_bytes},
                           {"backend", profile.backend},
                           {"path", profile.path},
                           {"schedule", profile.schedule},
                           {"preemptions", profile.disturbance.preemptions},
                           {"steal_share", profile.disturbance.steal_share},
                           {"load", profile.disturbance.load},
                           {"arithmetic", profile.arithmetic},
                           {"machine", profile.machine},
                           {"doctor", findings_json(profile.findings)}};
  if (!profile.bound) return result;
  const BoundProfile& bound = *profile.bound;
  nlohmann::json bytes = {{"update", bound.bytes}};
  nlohmann::json rates = {{"update", bound.gb_per_s}};
  for (const PhaseProfile& phase : profile.phases) {
    if (phase.bytes == 0) continue;
    bytes[phase.name] = phase.bytes;
    rates[phase.name] = phase.gb_per_s;
  }
  result.update({{"bound_us", bound.largest_us},
                 {"memory_bound_us", bound.memory_us},
                 {"square_root_bound_us", bound.square_root_us},
                 {"bound_ratio", bound.ratio},
                 {"bytes_touched", bytes},
                 {"gb_per_s", rates}});
  return result;
}

// "computed_late 3, old_packet 1", or "none of any cause".
std::string causes_text(const OverrunSummary& overruns) {
  std::string text;
  for (const auto& [cause, count] : overruns.overruns) {
    if (count == 0) continue;
    text += (text.empty() ? "" : ", ") + cause + ' ' + std::to_string(count);
  }
  return text.empty() ? "none of any cause" : text;
}

void print(const RealTimeProfile& profile) {
  const OverrunSummary& overruns = profile.overruns;
  std::printf("%s at %g Hz, %zu windows of %g s, %s, %s\n", profile.task.c_str(), profile.rate_hz,
              profile.windows, profile.window_s, profile.sizes.c_str(), profile.machine.c_str());
  print_rows_heading();
  print_row("wake-up", profile.wakeup_us, 1);
  print_row("wake-up, bare system", profile.baseline_wakeup_us, 1);
  print_row("age of the packet", profile.packet_age_us, 1);
  print_row("packet to wire", profile.packet_to_wire_us, 1);
  print_row("command to wire", profile.command_to_wire_us, 1);
  std::printf("p99 of the wake-up, median over windows: %.1f, bare system %.1f: %.2f times\n",
              profile.wakeup_p99_median_us, profile.baseline_p99_median_us,
              profile.wakeup_over_baseline());
  std::printf("%llu of %llu ticks were not as they should be (%s); %.0f ms of steal time\n",
              static_cast<unsigned long long>(overruns.overrun_ticks),
              static_cast<unsigned long long>(profile.ticks), causes_text(overruns).c_str(),
              overruns.steal_ms);
  std::printf(
      "old packets: %lld when the device's thread had sent none, %lld on the way; the bare system "
      "woke a period late %lld times\n",
      static_cast<long long>(profile.old_of_device), static_cast<long long>(profile.old_of_link),
      static_cast<long long>(profile.baseline_late_ticks));
}

nlohmann::json to_json(const RealTimeProfile& profile) {
  nlohmann::json result = {
      {"ticks", profile.ticks},
      {"windows", profile.windows},
      {"wakeup_us", to_json(profile.wakeup_us)},
      {"baseline_wakeup_us", to_json(profile.baseline_wakeup_us)},
      {"wakeup_p99_median_us", profile.wakeup_p99_median_us},
      {"baseline_p99_median_us", profile.baseline_p99_median_us},
      {"wakeup_over_baseline", profile.wakeup_over_baseline()},
      {"packet_age_us", to_json(profile.packet_age_us)},
      {"packet_to_wire_us", to_json(profile.packet_to_wire_us)},
      {"command_to_wire_us", to_json(profile.command_to_wire_us)},
      {"old_packets_of", {{"device", profile.old_of_device}, {"link", profile.old_of_link}}},
      {"baseline_late_ticks", profile.baseline_late_ticks},
      {"preempted", profile.preempted},
      {"exact", profile.late_ticks == 0},
      {"late_ticks", profile.late_ticks},
      {"transitions_dropped_late", profile.transitions_dropped_late},
      {"priority", profile.has_priority ? "fifo" : "ordinary"},
      {"core", profile.core}};
  result.update(to_json(profile.overruns));
  return result;
}

int run_profile_agents(const ProfileOptions& options, bool json) {
  const std::optional<AgentsProfile> profile = profile_agents(options);
  if (!profile) {
    std::printf("stopped before all was measured\n");
    return kDone;
  }
  const bool is_gpu = profile->agents_at_once.has_value();
  std::printf("%s, %d agents at once, path %s, %u steps of each, %s\n", profile->task.c_str(),
              profile->agents, profile->path.c_str(), profile->updates, profile->machine.c_str());
  std::printf("%s a step: one agent %.2f us, all %.2f us (%.2f times as long)\n",
              is_gpu ? "on the GPU" : "emulated", profile->step_us, profile->step_us_all,
              profile->step_us_all / profile->step_us);
  std::printf("%s\n", profile->has_same_bits ? "each has the bits that it has alone"
                                             : "FAIL: an agent has other bits than alone");
  if (json) {
    const auto on_gpu = [&](auto value) {
      return is_gpu ? nlohmann::json(value) : nlohmann::json();
    };
    print_json({{"task", profile->task},
                {"backend", profile->backend},
                {"path", profile->path},
                {"agents", profile->agents},
                {"agents_at_once", on_gpu(profile->agents_at_once.value_or(0))},
                {"updates", profile->updates},
                {"device_step_us", on_gpu(profile->step_us)},
                {"device_step_us_all", on_gpu(profile->step_us_all)},
                {"same_bits", profile->has_same_bits},
                {"machine", profile->machine}});
  }
  return profile->has_same_bits ? kDone : kCheckFailed;
}

// On a terminal, how far the measurement has come.
void show_progress(int tenths) {
  if (terminal_columns(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, tenths < 10 ? "\rmeasuring: %d %%" : "\r\x1b[K", 10 * tenths);
}

}  // namespace

int run_profile(const ProfileOptions& given, bool json) {
  ProfileOptions options = given;
  options.stop = &install_stop_handler();
  const bool is_task = find_task(options.task) != nullptr;
  if (!is_task) options.task = find_run(options.task);
  if (options.agents > 0) return run_profile_agents(options, json);
  const std::optional<Profile> measured = profile(options, show_progress);
  if (!measured) {
    std::printf("stopped before anything was measured\n");
    return kDone;
  }
  if (measured->updates < options.updates) {
    std::printf("stopped: of %lld updates these are the first\n",
                static_cast<long long>(options.updates));
  }
  print(*measured);
  nlohmann::json result = to_json(*measured, options.updates);
  if (options.rate_hz > 0.0 && !options.stop->is_asked()) {
    const std::optional<RealTimeProfile> real = profile_in_real_time(options);
    if (real) {
      print(*real);
      result.update(to_json(*real));
    } else {
      std::printf("stopped before the first window was whole: nothing was measured on real time\n");
    }
  }
  if (json) print_json(result);
  return kDone;
}

}  // namespace instep

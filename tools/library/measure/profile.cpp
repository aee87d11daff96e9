#include "tools/library/measure/profile.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/library/error.h"
#include "tools/library/listen/summary.h"
#include "tools/library/measure/bound.h"
#include "tools/library/measure/doctor.h"
#include "tools/library/measure/machine.h"
#include "tools/library/measure/profile_agents.h"
#include "tools/library/measure/real_time_profile.h"
#include "tools/library/names.h"
#include "tools/library/output.h"
#include "tools/library/run/backend.h"
#include "tools/library/run/find_run.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/stop_request.h"

namespace instep {
namespace {

std::int64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Answers how many were made: all, unless a stop was asked for.
std::int64_t run_ticks(RunSession& session, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (is_stop_requested()) return i;
    if (session.loop().tick() == ControlLoop::Status::kFaulted) {
      throw DataError("the learner's numbers are no longer finite after " +
                      std::to_string(session.loop().steps()) + " steps; check the settings");
    }
  }
  return count;
}

// On a terminal, how far the measurement has come; written between two turns, so that it disturbs
// nothing that is measured.
void show_progress(int turn, int turns) {
  if (terminal_columns(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, turn < turns ? "\rmeasuring: %d %%" : "\r\x1b[K", 100 * turn / turns);
}

// What is measured: a task with its defaults, or what a run was started with.
RunConfig config_of(const ProfileOptions& options) {
  RunConfig config;
  if (find_task(options.task) != nullptr) {
    config.task = options.task;
    apply_task_defaults(config.settings, require_task(options.task));
  } else {
    std::error_code error;
    const std::string run = find_run(options.task);
    if (!std::filesystem::exists(run + "/config.toml", error)) require_task(options.task);
    config = read_config_toml(run + "/config.toml");
  }
  apply_set_options(config.settings, options.set);
  config.seed = options.seed;
  config.schedule = options.schedule.value_or(Schedule::kActFirst);
  return config;
}

// The bound and the updates take turns, so that they meet the same machine.
constexpr int kTurns = 10;
constexpr int kBoundRepetitions = 40;

nlohmann::json phases_json(const std::vector<Phase>& phases) {
  nlohmann::json result = nlohmann::json::object();
  for (const Phase& phase : phases) {
    result[std::string(phase.name)] = to_json(percentiles_of(phase.latency));
  }
  return result;
}

// What the weights' share of memory traffic came to, and how near the update is to its bound.
nlohmann::json bound_json(const std::vector<Phase>& phases, const Bound& bound,
                          const LoopLatency& latency) {
  const auto gb_per_s = [](std::size_t count, const LatencyHistogram& histogram) {
    return static_cast<double>(count) / static_cast<double>(histogram.quantile_ns(0.5));
  };
  const double memory_us = bound.memory_us();
  const double roots_us = bound.square_root_us();
  const double largest_us = std::max(memory_us, roots_us);
  const double update_us = static_cast<double>(latency.update.quantile_ns(0.5)) / 1e3;
  nlohmann::json bytes;
  nlohmann::json rates;
  std::size_t total = 0;
  for (const Phase& phase : phases) {
    if (phase.bytes == 0) continue;
    bytes[std::string(phase.name)] = phase.bytes;
    rates[std::string(phase.name)] = gb_per_s(phase.bytes, phase.latency);
    total += phase.bytes;
  }
  bytes["update"] = total;
  rates["update"] = gb_per_s(total, latency.update);
  return {{"bound_us", largest_us},           {"memory_bound_us", memory_us},
          {"square_root_bound_us", roots_us}, {"bound_ratio", update_us / largest_us},
          {"bytes_touched", bytes},           {"gb_per_s", rates}};
}

void print_row(const char* name, const nlohmann::json& us) {
  if (us.is_null()) return;
  std::printf("%-24s %9.2f %9.2f %9.2f %9.2f\n", name, us.at("p50").get<double>(),
              us.at("p99").get<double>(), us.at("p999").get<double>(), us.at("max").get<double>());
}

void print_profile(const nlohmann::json& result, const std::vector<Phase>& phases) {
  const auto text = [&](const char* key) { return result.at(key).get<std::string>(); };
  std::printf("%s, %lld updates, path %s, schedule %s, %lld bytes of state, %s\n",
              text("task").c_str(), result.at("updates").get<long long>(), text("path").c_str(),
              text("schedule").c_str(), result.at("state_bytes").get<long long>(),
              text("machine").c_str());
  std::printf("%-24s %9s %9s %9s %9s\n", "microseconds", "p50", "p99", "p99.9", "max");
  print_row("update", result.at("update_us"));
  print_row("observation to action", result.at("observation_to_action_us"));
  for (const Phase& phase : phases) {
    const std::string name(phase.name);
    print_row(("  " + name).c_str(), result.at("phases_us").at(name));
  }
  print_row("world", result.at("world_us"));
  std::printf("%-24s %9.2f on average, world and update together\n", "processor time a step",
              result.at("step_cpu_us").get<double>());
  if (result.at("bound_us").is_null()) return;
  std::printf("bound: memory %.2f, square roots %.2f; the update takes %.2f times the larger\n",
              result.at("memory_bound_us").get<double>(),
              result.at("square_root_bound_us").get<double>(),
              result.at("bound_ratio").get<double>());
}

}  // namespace

int run_profile(const ProfileOptions& options) {
  if (options.rate_hz > 0.0 && options.schedule == Schedule::kThroughput) {
    throw UsageError("--schedule throughput is for simulated time; leave it out with --rate");
  }
  const bool is_real = options.rate_hz > 0.0;
  if (is_real) require_core(options.core);
  if (is_real && options.backend != "auto" && options.backend != "cpu") {
    throw UsageError("--backend " + options.backend +
                     ": with --rate the CPU learns beside the loop; leave one of them out");
  }
  install_stop_handler();
  RunConfig config = config_of(options);
  if (is_real && !config.settings.algorithm->can_learn_apart) {
    throw UsageError("--rate: " + std::string(config.settings.algorithm->name) +
                     " cannot learn apart from the loop; leave it out");
  }
  const double period_s = is_real ? 1.0 / options.rate_hz : require_task(config.task).period_s;
  const BackendChoice choice =
      choose_backend(is_real ? "cpu" : options.backend, options.path, config.settings);
  config.path = choice.path;
  if (options.agents > 0) return profile_agents(options, config, choice);

  std::vector<Phase> phases;
  RunSession session(config, &phases);
  if (!session.loop().start()) throw DataError("the first action is not finite");
  constexpr std::int64_t kWarmUpTicks = 1000;
  run_ticks(session, kWarmUpTicks);
  for (Phase& phase : phases) phase.latency = {};
  session.loop().clear_latency();
  std::optional<Bound> bound;
  if (auto work = session.agent().least_work()) bound.emplace(std::move(*work));
  const Disturbance disturbance;
  std::int64_t cpu_ns = 0;
  std::int64_t updates = 0;
  for (int turn = 0; turn < kTurns && !is_stop_requested(); ++turn) {
    const std::int64_t began_ns = thread_cpu_ns();
    updates +=
        run_ticks(session, options.updates * (turn + 1) / kTurns - options.updates * turn / kTurns);
    cpu_ns += thread_cpu_ns() - began_ns;
    if (bound) bound->measure(kBoundRepetitions);
    show_progress(turn + 1, kTurns);
  }
  const Disturbance::Result taken = disturbance.result();
  if (updates == 0) {
    std::printf("stopped before anything was measured\n");
    return kDone;
  }

  const LoopLatency& latency = session.loop().latency();
  nlohmann::json result = {
      {"task", config.task},
      {"updates", updates},
      {"is_partial", updates < options.updates},
      {"update_us", to_json(percentiles_of(latency.update))},
      {"observation_to_action_us", to_json(percentiles_of(latency.observation_to_action))},
      {"world_us", to_json(percentiles_of(latency.world))},
      {"step_cpu_us", static_cast<double>(cpu_ns) / 1e3 / static_cast<double>(updates)},
      {"wakeup_us", nullptr},
      {"phases_us", phases_json(phases)},
      {"bound_us", nullptr},
      {"state_bytes", session.agent().state_bytes()},
      {"backend", choice.backend},
      {"path", choice.path},
      {"schedule", schedule_name(config.schedule)},
      {"preemptions", taken.preemptions},
      {"steal_share", taken.steal_share},
      {"load", taken.load},
      {"arithmetic", format_value(config.settings, "arithmetic")},
      {"machine", machine_text()},
      {"doctor", findings_json(judged_by(examine_this_machine(), period_s))}};
  if (bound) result.update(bound_json(phases, *bound, latency));
  if (updates < options.updates) {
    std::printf("stopped: of %lld updates these are the first\n",
                static_cast<long long>(options.updates));
  }
  print_profile(result, phases);
  if (const std::string text = disturbance_text(taken); !text.empty()) {
    std::printf("%s: p99.9 and max are theirs as much as the program's\n", text.c_str());
  }
  if (is_real && !is_stop_requested()) {
    result.update(profile_in_real_time(config, {options.rate_hz, options.seconds, options.core}));
  }
  if (options.json) print_json(result);
  return kDone;
}

}  // namespace instep

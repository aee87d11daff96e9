#include "tools/library/measure/profile.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <optional>

#include "tools/library/error.h"
#include "tools/library/measure/bound.h"
#include "tools/library/measure/profiled_run.h"
#include "tools/library/names.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

std::int64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Answers how many were made: all, unless a stop was asked for.
std::int64_t run_ticks(RunSession& session, std::int64_t count, const StopRequest* stop) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (is_asked(stop)) return i;
    if (session.loop().tick() == ControlLoop::Status::kFaulted) {
      throw DataError("the learner's numbers are no longer finite after " +
                      std::to_string(session.loop().steps()) + " steps; check the settings");
    }
  }
  return count;
}

// What is measured: a task with its defaults, or what a run was started with.
RunConfig config_of(const ProfileOptions& options) {
  RunConfig config;
  if (find_task(options.task) != nullptr) {
    config.task = options.task;
    apply_task_defaults(config.settings, require_task(options.task));
  } else {
    std::error_code error;
    const std::string file = options.task + "/config.toml";
    if (!std::filesystem::exists(file, error)) require_task(options.task);
    config = read_config_toml(file);
  }
  apply_set_options(config.settings, options.set);
  config.seed = options.seed;
  config.schedule = options.schedule.value_or(Schedule::kActFirst);
  return config;
}

// The bound and the updates take turns, so that they meet the same machine.
constexpr int kTurns = 10;
constexpr int kBoundRepetitions = 40;

double gb_per_s(std::size_t bytes, const LatencyHistogram& histogram) {
  return static_cast<double>(bytes) / static_cast<double>(histogram.quantile_ns(0.5));
}

// What the weights' share of memory traffic came to.
std::vector<PhaseProfile> phase_profiles(const std::vector<Phase>& phases) {
  std::vector<PhaseProfile> result;
  for (const Phase& phase : phases) {
    result.push_back({.name = std::string(phase.name),
                      .us = percentiles_of(phase.latency),
                      .bytes = phase.bytes,
                      .gb_per_s = phase.bytes > 0 ? gb_per_s(phase.bytes, phase.latency) : 0.0});
  }
  return result;
}

// How near the update is to its bound.
BoundProfile bound_profile(const std::vector<Phase>& phases, const Bound& bound,
                           const LatencyHistogram& update) {
  BoundProfile result{.memory_us = bound.memory_us(), .square_root_us = bound.square_root_us()};
  result.largest_us = std::max(result.memory_us, result.square_root_us);
  result.ratio = static_cast<double>(update.quantile_ns(0.5)) / 1e3 / result.largest_us;
  for (const Phase& phase : phases) result.bytes += phase.bytes;
  result.gb_per_s = gb_per_s(result.bytes, update);
  return result;
}

}  // namespace

ProfiledRun profiled_run(const ProfileOptions& options) {
  const bool is_real = options.rate_hz > 0.0;
  if (is_real && options.schedule == Schedule::kThroughput) {
    throw UsageError("--schedule throughput is for simulated time; leave it out with --rate");
  }
  if (is_real) require_core(options.core);
  if (is_real && options.backend != "auto" && options.backend != "cpu") {
    throw UsageError("--backend " + options.backend +
                     ": with --rate the CPU learns beside the loop; leave one of them out");
  }
  RunConfig config = config_of(options);
  if (is_real && !config.settings.algorithm->can_learn_apart) {
    throw UsageError("--rate: " + std::string(config.settings.algorithm->name) +
                     " cannot learn apart from the loop; leave it out");
  }
  const BackendChoice choice =
      choose_backend(is_real ? "cpu" : options.backend, options.path, config.settings);
  config.path = choice.path;
  return {config, choice};
}

std::optional<Profile> profile(const ProfileOptions& options, const ProfileTold& told) {
  if (options.updates < 1) throw UsageError("--updates must be at least 1");
  const auto [config, choice] = profiled_run(options);
  const double period_s =
      options.rate_hz > 0.0 ? 1.0 / options.rate_hz : require_task(config.task).period_s;
  std::vector<Phase> phases;
  RunSession session(config, &phases);
  if (!session.loop().start()) throw DataError("the first action is not finite");
  constexpr std::int64_t kWarmUpTicks = 1000;
  run_ticks(session, kWarmUpTicks, options.stop);
  for (Phase& phase : phases) phase.latency = {};
  session.loop().clear_latency();
  std::optional<Bound> bound;
  if (auto work = session.agent().least_work()) bound.emplace(std::move(*work));
  const Disturbance disturbance;
  std::int64_t cpu_ns = 0;
  std::int64_t updates = 0;
  for (int turn = 0; turn < kTurns && !is_asked(options.stop); ++turn) {
    const std::int64_t began_ns = thread_cpu_ns();
    updates +=
        run_ticks(session, options.updates * (turn + 1) / kTurns - options.updates * turn / kTurns,
                  options.stop);
    cpu_ns += thread_cpu_ns() - began_ns;
    if (bound) bound->measure(kBoundRepetitions);
    if (told) told(turn + 1);
  }
  const Disturbance::Result taken = disturbance.result();
  if (updates == 0) return std::nullopt;
  const LoopLatency& latency = session.loop().latency();
  Profile result{.task = config.task,
                 .updates = updates,
                 .update_us = percentiles_of(latency.update),
                 .observation_to_action_us = percentiles_of(latency.observation_to_action),
                 .world_us = percentiles_of(latency.world),
                 .step_cpu_us = static_cast<double>(cpu_ns) / 1e3 / static_cast<double>(updates),
                 .phases = phase_profiles(phases),
                 .state_bytes = session.agent().state_bytes(),
                 .backend = std::string(choice.backend),
                 .path = std::string(choice.path),
                 .schedule = std::string(schedule_name(config.schedule)),
                 .arithmetic = format_value(config.settings, "arithmetic"),
                 .disturbance = taken,
                 .machine = machine_text(),
                 .findings = judged_by(examine_this_machine(), period_s)};
  if (bound) result.bound = bound_profile(phases, *bound, latency.update);
  return result;
}

}  // namespace instep

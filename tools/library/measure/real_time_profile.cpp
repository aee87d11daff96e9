#include "tools/library/measure/real_time_profile.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>

#include "drivers/loopback/driver.h"
#include "drivers/loopback/loopback.h"
#include "runtime/memory.h"
#include "runtime/realtime/learner_thread.h"
#include "tools/library/error.h"
#include "tools/library/listen/summary.h"
#include "tools/library/measure/machine.h"
#include "tools/library/names.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/session.h"
#include "tools/library/run/stop_request.h"

namespace instep {
namespace {

constexpr double kWindowS = 2.0;
constexpr std::int64_t kWarmUpTicks = 100;

// One window's wake-up latencies: of the loop, then of a thread that only sleeps.
struct Window {
  LatencyHistogram loop;
  LatencyHistogram baseline;
};

RealTimeTask loopback_task(const TaskInfo& task, std::int64_t period_ns) {
  RealTimeTask result;
  result.driver = &kPatientLoopbackDriver;
  result.robot_task = std::make_unique<LoopbackTask>(
      task.observation_dim, task.action_dim, std::max<std::int64_t>(20 * period_ns, 500'000'000));
  result.observation_dim = task.observation_dim;
  result.action_dim = task.action_dim;
  result.period_ns = period_ns;
  return result;
}

// Everything of one measurement. The loop's thread runs run().
class RateProfile {
 public:
  RateProfile(const RunConfig& config, const TaskInfo& task, std::int64_t period_ns,
              const RateOptions& options)
      : period_ns_(period_ns),
        device_(period_ns, LoopbackLine::kSocket),
        robot_(loopback_task(task, period_ns), {.device = device_.path()}),
        session_(config, robot_.recording()),
        learner_(session_.agent()),
        monitor_(period_ns),
        window_ticks_(std::max<std::int64_t>(
            50, std::llround(kWindowS * 1e9 / static_cast<double>(period_ns)))),
        windows_(static_cast<std::size_t>(
            std::max<double>(1.0, std::round(options.seconds / (2.0 * kWindowS))))),
        core_(options.core) {
    robot_.recording().set_agent(session_.agent());
    session_.agent().set_hooks({.self = &learner_, .posted = [](void* self) {
                                  static_cast<LearnerThread*>(self)->wake();
                                }});
  }

  nlohmann::json measure();

 private:
  void run();
  void run_window(Window& window);
  void run_baseline(Window& window);
  bool tick();
  nlohmann::json result();

  std::int64_t period_ns_;
  LoopbackDevice device_;
  RealTimeDevice robot_;
  RunSession session_;
  LearnerThread learner_;
  TickMonitor monitor_;
  MonotonicClock clock_;
  std::int64_t window_ticks_;
  std::vector<Window> windows_;
  OverrunTable overruns_;
  std::atomic<bool> is_over_{false};
  bool has_failed_ = false;
  int core_ = -1;
  std::atomic<int> priority_error_{kNotTriedYet};
  std::int64_t tick_end_ns_ = 0;
  std::int64_t preempted_ = 0;
  // Of the old packets: the device, which is but a thread here, had sent none; or it had.
  std::int64_t device_late_ = 0;
  std::int64_t link_late_ = 0;
  std::int64_t baseline_late_ = 0;  // that the bare system woke a period late or more
};

bool RateProfile::tick() {
  if (session_.loop().tick() == ControlLoop::Status::kFaulted) has_failed_ = true;
  tick_end_ns_ = clock_.now_ns();
  return !has_failed_;
}

void RateProfile::run_window(Window& window) {
  // The first tick finds deadlines that passed while nobody was to meet them.
  if (!tick()) return;
  for (std::int64_t i = 0; i < window_ticks_ && !is_stop_requested(); ++i) {
    const std::int64_t before_ns = tick_end_ns_;
    if (!tick()) return;
    const RobotWorld& world = robot_.world();
    window.loop.record(world.tick_ns() - world.tick_deadline_ns());
    monitor_.add(world, session_.agent().was_late(), session_.loop().steps(), before_ns);
    const std::int64_t oldest_ns = world.tick_deadline_ns() - period_ns_;
    if (world.packet_ns() >= oldest_ns) continue;
    const std::int64_t sent_ns = device_.sent_ns();
    ++(sent_ns < oldest_ns || sent_ns >= world.tick_ns() ? device_late_ : link_late_);
  }
}

void RateProfile::run_baseline(Window& window) {
  Packet packet;
  std::int64_t deadline_ns = clock_.now_ns() + period_ns_;
  for (std::int64_t i = 0; i < window_ticks_ && !is_stop_requested(); ++i) {
    sleep_until(deadline_ns);
    const std::int64_t late_ns = clock_.now_ns() - deadline_ns;
    window.baseline.record(late_ns);
    if (late_ns >= period_ns_) ++baseline_late_;
    deadline_ns += period_ns_ * (1 + late_ns / period_ns_);
    while (robot_.link().next_packet(&packet)) continue;
  }
}

void RateProfile::run() {
  priority_error_ = become_realtime("instep-loop", kLoopPriority);
  if (core_ < 0) core_ = sched_getcpu();
  if (pin_to_core(core_) != 0) core_ = -1;
  has_failed_ = !session_.loop().start();
  for (std::int64_t i = 0; i < kWarmUpTicks && !has_failed_; ++i) tick();
  session_.loop().clear_latency();
  std::size_t whole = 0;
  while (whole < windows_.size() && !is_stop_requested()) {
    if (!has_failed_) run_window(windows_[whole]);
    run_baseline(windows_[whole]);
    if (!is_stop_requested()) ++whole;
  }
  windows_.resize(whole);
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  preempted_ = usage.ru_nivcsw;
  robot_.world().stop();
  is_over_ = true;
}

nlohmann::json RateProfile::measure() {
  Voice voice(STDERR_FILENO);
  RightsTeller rights(voice);
  overruns_.start();
  robot_.link().start();
  learner_.start();
  seal();
  std::thread loop = start_thread("the control loop's thread", [this] { run(); });
  constexpr std::int64_t kPollNs = 50'000'000;
  while (!is_over_) {
    sleep_until(clock_.now_ns() + kPollNs);
    rights.tell({robot_.link().priority_error(), learner_.priority_error(), priority_error_});
    overruns_.take(monitor_);
    while (!robot_.ticks().front().empty()) robot_.ticks().pop();
  }
  loop.join();
  overruns_.take(monitor_);
  learner_.stop();
  robot_.link().stop();
  unseal();
  if (has_failed_) throw DataError("the learner's numbers are no longer finite");
  return windows_.empty() ? nlohmann::json(nullptr) : result();
}

// "computed_late 3, old_packet 1", or "none of any cause".
std::string causes_text(const nlohmann::json& overruns) {
  std::string text;
  for (const auto& [cause, count] : overruns.items()) {
    if (count.get<std::uint64_t>() == 0) continue;
    text += (text.empty() ? "" : ", ") + cause + ' ' + count.dump();
  }
  return text.empty() ? "none of any cause" : text;
}

double median_p99_us(const std::vector<Window>& windows, LatencyHistogram Window::*which) {
  std::vector<double> values;
  values.reserve(windows.size());
  for (const Window& window : windows) {
    values.push_back(static_cast<double>((window.*which).quantile_ns(0.99)) * 1e-3);
  }
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

LatencyHistogram all_of(const std::vector<Window>& windows, LatencyHistogram Window::*which) {
  LatencyHistogram sum;
  for (const Window& window : windows) sum.add(window.*which);
  return sum;
}

nlohmann::json RateProfile::result() {
  const RealtimeCounters& counters = monitor_.counters();
  const double loop_us = median_p99_us(windows_, &Window::loop);
  const double baseline_us = median_p99_us(windows_, &Window::baseline);
  const LateLearning late = session_.agent().late_learning();
  nlohmann::json result = {
      {"ticks", counters.ticks},
      {"windows", windows_.size()},
      {"wakeup_us", to_json(percentiles_of(all_of(windows_, &Window::loop)))},
      {"baseline_wakeup_us", to_json(percentiles_of(all_of(windows_, &Window::baseline)))},
      {"wakeup_p99_median_us", loop_us},
      {"baseline_p99_median_us", baseline_us},
      {"wakeup_over_baseline", loop_us / baseline_us},
      {"packet_age_us", to_json(percentiles_of(counters.packet_age))},
      {"packet_to_wire_us", to_json(percentiles_of(robot_.link().latency().packet_to_wire))},
      {"command_to_wire_us", to_json(percentiles_of(robot_.link().latency().command_to_wire))},
      {"old_packets_of", {{"device", device_late_}, {"link", link_late_}}},
      {"baseline_late_ticks", baseline_late_},
      {"preempted", preempted_},
      {"exact", late.ticks == 0},
      {"late_ticks", late.ticks},
      {"transitions_dropped_late", late.transitions_dropped},
      {"priority", priority_error_ == 0 ? "fifo" : "ordinary"},
      {"core", core_}};
  result.update(to_json(overruns_.summary(counters)));
  return result;
}

void print_row(const char* name, const nlohmann::json& us) {
  if (us.is_null()) return;
  std::printf("%-24s %9.1f %9.1f %9.1f %9.1f\n", name, us.at("p50").get<double>(),
              us.at("p99").get<double>(), us.at("p999").get<double>(), us.at("max").get<double>());
}

}  // namespace

nlohmann::json profile_in_real_time(const RunConfig& config, const RateOptions& options) {
  const TaskInfo& task = require_task(config.task);
  const AlgorithmInfo& algorithm = *config.settings.algorithm;
  if (!algorithm.can_learn_apart) {
    throw UsageError("--rate: " + std::string(algorithm.name) +
                     " cannot learn apart from the loop" + std::string(algorithm.why_not_apart));
  }
  const std::int64_t period_ns = std::llround(1e9 / options.rate_hz);
  RateProfile profile(config, task, period_ns, options);
  nlohmann::json result = profile.measure();
  if (result.is_null()) {
    std::printf("stopped before the first window was whole: nothing was measured on real time\n");
    return nlohmann::json::object();
  }
  std::printf("%s at %g Hz, %zu windows of %g s, %s, %s\n", config.task.c_str(), options.rate_hz,
              result.at("windows").get<std::size_t>(), kWindowS,
              sizes_text(config.settings).c_str(), machine_text().c_str());
  std::printf("%-24s %9s %9s %9s %9s\n", "microseconds", "p50", "p99", "p99.9", "max");
  print_row("wake-up", result.at("wakeup_us"));
  print_row("wake-up, bare system", result.at("baseline_wakeup_us"));
  print_row("age of the packet", result.at("packet_age_us"));
  print_row("packet to wire", result.at("packet_to_wire_us"));
  print_row("command to wire", result.at("command_to_wire_us"));
  std::printf("p99 of the wake-up, median over windows: %.1f, bare system %.1f: %.2f times\n",
              result.at("wakeup_p99_median_us").get<double>(),
              result.at("baseline_p99_median_us").get<double>(),
              result.at("wakeup_over_baseline").get<double>());
  std::printf("%llu of %llu ticks were not as they should be (%s); %.0f ms of steal time\n",
              static_cast<unsigned long long>(result.at("overrun_ticks").get<std::uint64_t>()),
              static_cast<unsigned long long>(result.at("ticks").get<std::uint64_t>()),
              causes_text(result.at("overruns")).c_str(), result.at("steal_ms").get<double>());
  std::printf(
      "old packets: %lld when the device's thread had sent none, %lld on the way; the bare system "
      "woke a period late %lld times\n",
      static_cast<long long>(result.at("old_packets_of").at("device").get<std::int64_t>()),
      static_cast<long long>(result.at("old_packets_of").at("link").get<std::int64_t>()),
      static_cast<long long>(result.at("baseline_late_ticks").get<std::int64_t>()));
  return result;
}

}  // namespace instep

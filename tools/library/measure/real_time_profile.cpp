#include "tools/library/measure/real_time_profile.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "drivers/loopback/driver.h"
#include "drivers/loopback/loopback.h"
#include "kernels/seal.h"
#include "runtime/realtime/learner_thread.h"
#include "tools/library/error.h"
#include "tools/library/measure/machine.h"
#include "tools/library/measure/profiled_run.h"
#include "tools/library/names.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/session.h"

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
              const ProfileOptions& options)
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
        rate_hz_(options.rate_hz),
        config_(config),
        core_(options.core),
        stop_(options.stop) {
    robot_.recording().set_agent(session_.agent());
    session_.agent().set_hooks({.self = &learner_, .posted = [](void* self) {
                                  static_cast<LearnerThread*>(self)->wake();
                                }});
  }

  std::optional<RealTimeProfile> measure();

 private:
  void run();
  void run_window(Window& window);
  void run_baseline(Window& window);
  bool tick();
  RealTimeProfile result();

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
  double rate_hz_;
  const RunConfig& config_;
  int core_ = -1;
  const StopRequest* stop_;
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
  for (std::int64_t i = 0; i < window_ticks_ && !is_asked(stop_); ++i) {
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
  for (std::int64_t i = 0; i < window_ticks_ && !is_asked(stop_); ++i) {
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
  const Seal seal;
  has_failed_ = !session_.loop().start();
  for (std::int64_t i = 0; i < kWarmUpTicks && !has_failed_; ++i) tick();
  session_.loop().clear_latency();
  std::size_t whole = 0;
  while (whole < windows_.size() && !is_asked(stop_)) {
    if (!has_failed_) run_window(windows_[whole]);
    run_baseline(windows_[whole]);
    if (!is_asked(stop_)) ++whole;
  }
  windows_.resize(whole);
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  preempted_ = usage.ru_nivcsw;
  robot_.world().stop();
  is_over_ = true;
}

std::optional<RealTimeProfile> RateProfile::measure() {
  Voice voice(STDERR_FILENO);
  RightsTeller rights(voice);
  overruns_.start();
  robot_.link().start();
  learner_.start();
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
  if (has_failed_) throw DataError("the learner's numbers are no longer finite");
  if (windows_.empty()) return std::nullopt;
  return result();
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

RealTimeProfile RateProfile::result() {
  const RealtimeCounters& counters = monitor_.counters();
  const LateLearning late = session_.agent().late_learning();
  return {.task = config_.task,
          .rate_hz = rate_hz_,
          .windows = windows_.size(),
          .window_s = kWindowS,
          .ticks = counters.ticks,
          .wakeup_us = percentiles_of(all_of(windows_, &Window::loop)),
          .baseline_wakeup_us = percentiles_of(all_of(windows_, &Window::baseline)),
          .wakeup_p99_median_us = median_p99_us(windows_, &Window::loop),
          .baseline_p99_median_us = median_p99_us(windows_, &Window::baseline),
          .packet_age_us = percentiles_of(counters.packet_age),
          .packet_to_wire_us = percentiles_of(robot_.link().latency().packet_to_wire),
          .command_to_wire_us = percentiles_of(robot_.link().latency().command_to_wire),
          .old_of_device = device_late_,
          .old_of_link = link_late_,
          .baseline_late_ticks = baseline_late_,
          .preempted = preempted_,
          .late_ticks = late.ticks,
          .transitions_dropped_late = late.transitions_dropped,
          .has_priority = priority_error_ == 0,
          .core = core_,
          .overruns = overruns_.summary(counters),
          .sizes = sizes_text(config_.settings),
          .machine = machine_text()};
}

}  // namespace

std::optional<RealTimeProfile> profile_in_real_time(const ProfileOptions& options) {
  if (!(options.rate_hz > 0.0)) throw UsageError("--rate must be above 0");
  const RunConfig config = profiled_run(options).config;
  const TaskInfo& task = require_task(config.task);
  const std::int64_t period_ns = std::llround(1e9 / options.rate_hz);
  return RateProfile(config, task, period_ns, options).measure();
}

}  // namespace instep

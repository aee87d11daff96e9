#include "tools/library/listen/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "runtime/health.h"
#include "tools/library/run/measured.h"

namespace instep {

Progress::Progress(const RunStage& stage)
    : voice_(stage.voice),
      steps_(stage.config.steps),
      period_ns_(voice_.is_on_terminal() ? 200'000'000 : 10'000'000'000) {
  std::snprintf(name_.data(), name_.size(), "%s, seed %llu", stage.config.task.c_str(),
                static_cast<unsigned long long>(stage.config.seed));
}

// The steps of earlier parts were made, and measured, before now.
void Progress::begin(const RunMoment& now, const Measured& earlier) {
  first_step_ = earlier.since_step;
  begin_ns_ = now.now_ns - std::llround(earlier.seconds * 1e9);
  next_ns_ = now.now_ns + period_ns_;
}

void Progress::add_return(double episode_return) {
  returns_[static_cast<std::size_t>(return_count_++ % returns_.size())] = episode_return;
}

void Progress::print(std::int64_t step, std::int64_t now_ns) {
  next_ns_ = now_ns + period_ns_;
  const double seconds = std::max(1e-9, static_cast<double>(now_ns - begin_ns_) * 1e-9);
  const double rate = static_cast<double>(step - first_step_) / seconds;
  const auto count = std::min<std::uint64_t>(return_count_, returns_.size());
  char mean[48] = "no episode yet";
  if (count > 0) {
    double sum = 0.0;
    for (std::uint64_t i = 0; i < count; ++i) sum += returns_[static_cast<std::size_t>(i)];
    std::snprintf(mean, sizeof mean, "return %.1f (last %d)", sum / static_cast<double>(count),
                  static_cast<int>(count));
  }
  char left[48] = "";
  if (step < steps_ && rate > 0.0) {
    const double seconds_left = static_cast<double>(steps_ - step) / rate;
    if (seconds_left < 120.0) {
      std::snprintf(left, sizeof left, ", %.0f s left", seconds_left);
    } else if (seconds_left < 120.0 * 60.0) {
      std::snprintf(left, sizeof left, ", %.0f min left", seconds_left / 60.0);
    } else if (seconds_left < 72.0 * 3600.0) {
      std::snprintf(left, sizeof left, ", %.0f h left", seconds_left / 3600.0);
    } else {
      std::snprintf(left, sizeof left, ", %.0f days left", seconds_left / 86400.0);
    }
  }
  char warnings[128] = "";
  for (std::uint32_t bit = 1; bit < (1U << kHealthWarnings); bit <<= 1) {
    if ((status_.warnings & bit) == 0) continue;
    const std::size_t used = std::strlen(warnings);
    std::snprintf(warnings + used, sizeof warnings - used, " | %s",
                  health_warning_name(static_cast<HealthWarning>(bit)).data());
  }
  char line[384];
  std::snprintf(line, sizeof line, "%s: %lld of %lld steps, %.0f steps/s, %s%s%s%s%s", name_.data(),
                static_cast<long long>(step), static_cast<long long>(steps_), rate, mean, left,
                warnings, *status_.robot == '\0' ? "" : " | ", status_.robot);
  voice_.show(line);
}

void Progress::end(const RunMoment& now) {
  if (now.step == first_step_ && now.step >= steps_) {
    char line[384];
    std::snprintf(line, sizeof line,
                  "%s: all of its %lld steps were made before; --steps with more goes on",
                  name_.data(), static_cast<long long>(now.step));
    voice_.say(line);
  } else {
    print(now.step, now.now_ns);
  }
}

}  // namespace instep

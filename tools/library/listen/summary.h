// What a run came to: summary.json and the last line of --json.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "kernels/learner.h"
#include "runtime/control_loop.h"
#include "runtime/settings.h"
#include "tools/library/report/run_record.h"

namespace instep {

// How fast a run went, at some forty points of it. Adding a point allocates nothing.
class SpeedRecord {
 public:
  explicit SpeedRecord(std::int64_t steps) : steps_(steps) {}
  void start(std::int64_t step, std::int64_t now_ns);
  void add(std::int64_t step, std::int64_t now_ns) {
    if (step >= next_step_) add_point(step, now_ns);
  }
  nlohmann::json to_json() const;

 private:
  struct Point {
    std::int64_t step = 0;
    double steps_per_second = 0.0;
  };
  void add_point(std::int64_t step, std::int64_t now_ns);

  std::int64_t steps_;
  std::int64_t interval_ = 1;
  std::int64_t next_step_ = 0;
  std::int64_t last_step_ = 0;
  std::int64_t last_ns_ = 0;
  std::array<Point, 64> points_{};
  std::size_t count_ = 0;
};

// The parts of a summary.
struct RunSummary {
  RunConfig config;
  std::string ended;  // done, interrupted, faulted
  std::int64_t steps = 0;
  std::int64_t episodes = 0;
  double steps_per_second = 0.0;  // of the loop alone, in this process
  const Learner* learner = nullptr;
  const LoopLatency* latency = nullptr;
  std::size_t snapshot_bytes = 0;
  const SpeedRecord* speed = nullptr;
  std::uint32_t warnings = 0;  // HealthWarning bits, of the whole run
  std::string folder;          // its episodes.csv is read for the mean return
};

// The whole summary, as written to summary.json.
nlohmann::json to_json(const RunSummary& summary);

// The keys that `train --json` promises, of a whole summary.
nlohmann::json short_summary(const nlohmann::json& summary);

// One summary of several seeds: the mean of their mean_return_last_eighth, its 95 % interval (half
// its width, null below two runs), and each run's own.
nlohmann::json summarize_seeds(std::span<const RunRecord> records, const RunConfig& config,
                               const std::string& parent);

// JSON as text, on one line unless indented. File names may hold bytes that are no UTF-8, which
// JSON cannot: they are replaced.
std::string json_text(const nlohmann::json& value, int indent = -1);

// p50, p99, p999 and max in microseconds; null when nothing was recorded.
nlohmann::json percentiles_us(const LatencyHistogram& histogram);

// Name and bytes of everything a learner of that layout keeps in memory.
nlohmann::json memory_rows(const Layout& layout, std::size_t snapshot_bytes);

}  // namespace instep

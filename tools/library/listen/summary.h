// What a run came to: summary.json and the last line of --json.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/control_loop.h"
#include "runtime/health.h"
#include "runtime/settings.h"
#include "tools/library/report/run_summary.h"

namespace instep {

// How fast a run went, at some forty points of it. Plain data; adding a point allocates nothing.
class SpeedRecord {
 public:
  // `steps`: of the whole run.
  void start(std::int64_t steps, std::int64_t step, std::int64_t now_ns);
  // Goes on with what paused() has left.
  void go_on(std::int64_t steps, std::int64_t now_ns);
  // As it is, with the time since its last point in place of that point's.
  SpeedRecord paused(std::int64_t now_ns) const;
  void add(std::int64_t step, std::int64_t now_ns) {
    if (step >= next_step_) add_point(step, now_ns);
  }
  std::vector<SpeedRow> rows() const;

 private:
  struct Point {
    std::int64_t step = 0;   // at its end
    std::int64_t steps = 0;  // since the point before
    std::int64_t ns = 0;
  };
  void add_point(std::int64_t step, std::int64_t now_ns);

  std::int64_t interval_ = 1;
  std::int64_t next_step_ = 0;
  std::int64_t last_step_ = 0;
  std::int64_t last_ns_ = 0;
  std::array<Point, 64> points_{};
  std::size_t count_ = 0;
};

// Of learning, with a GPU.
struct GpuLosses {
  std::uint64_t fallbacks = 0;
  std::uint64_t updates_lost = 0;
  double seconds_lost = 0.0;
};

// This process's, after `earlier` ones of the run.
GpuLosses gpu_losses(const GpuLosses& earlier);

// What a summary is made from.
struct RunFacts {
  RunConfig config;
  std::string ended;  // done, interrupted, faulted
  std::int64_t steps = 0;
  std::int64_t episodes = 0;
  std::int64_t measured_since_step = 0;
  double seconds = 0.0;           // of the loop
  double steps_per_second = 0.0;  // of the loop alone
  GpuLosses gpu;
  const Agent* agent = nullptr;
  const LoopLatency* latency = nullptr;
  std::size_t snapshot_bytes = 0;
  const SpeedRecord* speed = nullptr;
  HealthMemory health;  // of the whole run
  std::string folder;   // its episodes.csv is read for the mean return
  std::string command;  // as it was typed
  std::optional<RealTimeSummary> real_time;
};

// The whole summary. Throws CommandError when episodes.csv cannot be read.
RunSummary summarize(const RunFacts& facts);

// The keys that `train --json` promises.
nlohmann::json short_summary(const RunSummary& summary);

// JSON as text, on one line unless indented. File names may hold bytes that are no UTF-8, which
// JSON cannot: they are replaced.
std::string json_text(const nlohmann::json& value, int indent = -1);

// Name and bytes of everything an agent keeps in memory.
std::vector<MemoryRow> memory_rows(const Agent& agent, std::size_t snapshot_bytes);

}  // namespace instep

// What a run came to: the contents of summary.json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/latency_histogram.h"

namespace instep {

// Of a latency, in microseconds.
struct Percentiles {
  double p50 = 0.0;
  double p99 = 0.0;
  double p999 = 0.0;
  double max = 0.0;
};

// None when nothing was recorded.
std::optional<Percentiles> percentiles_of(const LatencyHistogram& histogram);

struct HistogramRow {
  double us = 0.0;  // where the bucket begins
  std::uint64_t count = 0;
};
struct MemoryRow {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t padding_bytes = 0;
};
struct SpeedRow {
  std::int64_t step = 0;
  double steps_per_second = 0.0;  // since the row before
};

// A warning of Health's, how often it stood, and when.
struct WarningRow {
  std::string warning;
  std::int64_t samples = 0;  // in which it stood
  std::int64_t of = 0;       // in all
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
};

// What became of the GPU.
struct GpuSummary {
  std::string device;
  std::uint64_t fallbacks = 0;     // learners that went on on the CPU
  std::uint64_t updates_lost = 0;  // after the last copy
  double seconds_lost = 0.0;
  std::string problem;
};

// A tick that was late or faulty, and the time that was taken from this machine around it.
struct OverrunRow {
  std::int64_t step = 0;
  double late_us = 0.0;
  double packet_age_us = 0.0;
  double steal_ms = 0.0;
  std::vector<std::string> causes;
};
struct OverrunSummary {
  std::uint64_t overrun_ticks = 0;
  std::map<std::string, std::uint64_t> overruns;  // by cause
  std::vector<OverrunRow> overruns_listed;
  std::uint64_t overruns_unlisted = 0;  // overrun_ticks beyond those
  double steal_ms = 0.0;
};

// Of a run on a robot. Each counter is of the whole run, resumed or not; what was listed, and how
// it ended, is of its last part.
struct RealTimeSummary {
  std::optional<std::string> trouble;      // why it could not go on
  std::optional<std::string> ended_while;  // what kept it from learning at the end
  // Who wanted a real-time priority, or locked memory, and what the system answered; empty when all
  // got it.
  std::map<std::string, std::string> rights_refused;
  std::optional<Percentiles> wakeup_us;
  std::optional<Percentiles> packet_age_us;
  std::optional<Percentiles> packet_to_wire_us;
  std::optional<Percentiles> command_to_wire_us;
  std::uint64_t missed_deadlines = 0;
  std::uint64_t late_ticks = 0;                // that found the learner at work
  std::uint64_t transitions_dropped_late = 0;  // for it
  std::uint64_t learner_tasks_lost = 0;        // the learner could not even be told
  std::uint64_t packets_lost = 0;              // the loop did not take them in time
  std::uint64_t record_ticks_lost = 0;         // the writer did not: the record has gaps
  std::uint64_t episodes_lost = 0;             // likewise: episodes.csv has nan for them
  std::map<std::string, std::uint64_t> holds;  // by cause
  std::uint64_t faults = 0;
  std::uint64_t running_ticks = 0;
  std::uint64_t homing_ticks = 0;
  std::uint64_t held_ticks = 0;
  std::uint64_t faulted_ticks = 0;
  std::uint64_t commands_limited_range = 0;
  std::uint64_t commands_limited_rate = 0;
  std::uint64_t commands_not_finite = 0;
  std::uint64_t packets = 0;
  std::uint64_t checksum_errors = 0;
  std::uint64_t frames_impossible = 0;
  std::uint64_t bytes_skipped = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t commands_sent = 0;
  std::uint64_t dead_man_stops = 0;
  std::uint64_t port_resets = 0;     // somebody else had changed the port's settings
  std::uint64_t guardian_stops = 0;  // this process stood still, and its guardian stopped the robot
  std::optional<bool> stood;         // its own frames showed it at the end; nothing: it never moved
  OverrunSummary overruns;
};

// summary.json. The keys are the names of the fields; those of `real_time.overruns` stand in
// `real_time` itself.
struct RunSummary {
  std::string ended;  // done, interrupted, faulted
  std::string task;
  std::string algo;
  std::uint64_t seed = 0;
  std::int64_t steps = 0;
  std::int64_t steps_planned = 0;
  std::int64_t episodes = 0;
  std::optional<double> mean_return_last_eighth;
  std::optional<double> mean_return;
  // Times and counters are of the run from this step on: 0, unless what had been measured before
  // was lost.
  std::int64_t measured_since_step = 0;
  double seconds = 0.0;           // of the loop, in all parts of the run
  double steps_per_second = 0.0;  // of the loop alone
  std::uint64_t dropped_updates = 0;
  std::uint64_t dropped_transitions = 0;
  std::vector<std::string> warnings;  // names
  std::vector<WarningRow> warnings_seen;
  std::uint64_t missed_deadlines = 0;
  // What was lost of learning, in words; empty when every transition was learnt from as the
  // algorithm has it.
  std::vector<std::string> losses;
  bool exact = true;  // no losses
  // Optional files that could not be written to their end.
  std::vector<std::string> left_out;
  std::string backend;
  std::string path;
  std::optional<GpuSummary> gpu;
  std::string schedule;
  std::string arithmetic;
  std::string machine;
  std::string version;   // of the program
  std::string command;   // as typed; of a resumed run the last one
  std::string ended_at;  // local time
  std::optional<Percentiles> update_us;
  std::optional<Percentiles> observation_to_action_us;
  std::vector<HistogramRow> update_histogram;
  std::vector<MemoryRow> memory;
  std::vector<SpeedRow> speed;
  std::string out;  // the run's folder
  std::optional<RealTimeSummary> real_time;
};

// "TEXT (in 12 of 100 samples, from step 34000 to 90000)" for each warning; of a summary of an
// earlier version without how often.
std::vector<std::string> warning_texts(const RunSummary& summary);

// What was lost of learning, from the summary's counters.
std::vector<std::string> losses_of(const RunSummary& summary);

}  // namespace instep

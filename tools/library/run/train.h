// Training: a run from its start, or from where it was left.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/settings.h"
#include "runtime/settings.h"
#include "tools/library/report/run_summary.h"
#include "tools/library/run/stop_request.h"

namespace instep {

// From the first to the last of them.
struct SeedRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// Empty and absent mean: the task's default, or on resume what the run was started with. Messages
// name the options of `instep train`, which are these.
struct TrainOptions {
  std::string task{};
  std::optional<std::int64_t> steps{};  // in all
  std::optional<std::uint64_t> seed{};
  std::optional<SeedRange> seeds{};  // of train_seeds()
  std::optional<int> jobs{};         // runs at a time, of several seeds (default 1)
  std::string algorithm{};
  std::string backend = "auto";
  std::string path{};
  std::optional<Schedule> schedule{};
  bool is_real = false;  // on a robot, behind `device`; else on simulated time
  std::string device{};
  bool is_dry_run = false;
  bool has_record = false;
  bool is_phase_locked = true;
  int core = -1;  // that the loop on the robot stays on
  std::string config_file{};
  std::vector<std::string> set{};  // key=value
  std::string out{};               // folder of the run; empty: runs/TASK/TIME-sSEED
  std::string resume{};
  std::string change{};  // "at=N what=value ...": what happens to the world on the way
  std::string init{};    // run folder whose weights and normaliser a new run starts from
  bool allow_different_arithmetic = false;
  bool allow_other_task = false;  // --config of another task than TASK
  std::string command{};          // as it was typed, for the summary
  const StopRequest* stop = nullptr;
};

// Told of what is found before a run begins, in the calling thread.
struct TrainTold {
  std::function<void(const std::string& text)> warning{};
  std::function<void(const std::string& text)> word{};  // what was measured to choose a backend
  std::function<void(const RunConfig& config)> begins{};
};

struct Trained {
  RunSummary summary;
  bool was_finished = false;  // before: nothing was done, and the summary is that of then
};

// Trains to the last step or until it is asked to stop, and writes the run's folder. Shows on
// stderr how it is going. On a robot it takes the process's signals and its terminal's keys
// meanwhile. Throws CommandError.
Trained train(const TrainOptions& options, const TrainTold& told = {});

// The exit code that a run's end means.
int exit_code(const RunSummary& summary);

// Throws UsageError where options contradict each other.
void require_possible(const TrainOptions& options);

// What a new run is started with: the task's defaults, the configuration file, and the options.
// Throws CommandError.
RunConfig new_config(const TrainOptions& options, const TrainTold& told);

// The configuration of the run in the folder `resume`, with what may change on resume: the number
// of steps, and how it is computed, which needs allow_different_arithmetic where that changes
// bits. Throws CommandError.
RunConfig resumed_config(const TrainOptions& options);

// Throws UsageError where an option would change what a resumed run was started with.
void refuse_new_settings(const TrainOptions& options);

}  // namespace instep

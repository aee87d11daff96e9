// The train command: a run from its start, or from where it was left.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/learner.h"
#include "runtime/settings.h"
#include "tools/library/report/run_summary.h"

namespace instep {

// What was typed. Empty and absent mean: the task's default, or on resume what the run was started
// with.
struct TrainOptions {
  std::string task;
  std::optional<std::int64_t> steps;  // in all
  std::optional<std::uint64_t> seed;
  std::string seeds;        // as parse_seeds() takes them
  std::optional<int> jobs;  // runs at a time, of several seeds (default 1)
  std::string algorithm;
  std::string backend = "auto";
  std::string path;
  std::optional<Schedule> schedule;
  std::string time = "sim";
  std::string device;
  bool is_dry_run = false;
  bool has_record = false;
  std::string phase = "locked";
  int core = -1;  // that the loop on the robot stays on
  std::string config_file;
  std::vector<std::string> set;  // key=value
  std::string out;
  std::string resume;
  std::string change;  // "at=N what=value ...": what happens to the world on the way
  std::string init;    // run folder whose weights and normaliser a new run starts from
  bool allow_different_arithmetic = false;
  bool allow_other_task = false;  // --config of another task than TASK
  bool json = false;
  std::vector<std::string> words;  // the whole command line, the program's name first
};

// Trains, writes the run folder and prints where it is. Answers an exit code; throws CommandError.
int run_train(const TrainOptions& options);

// What a new run is started with: the task's defaults, --config, and what was typed. Throws
// CommandError.
RunConfig new_config(const TrainOptions& options);

// The configuration of the run in the folder --resume, with what may change on resume: the number
// of steps, and how it is computed, which needs --allow-different-arithmetic where that changes
// bits. Throws CommandError.
RunConfig resumed_config(const TrainOptions& options);

// Throws UsageError where an option would change what a resumed run was started with.
void refuse_new_settings(const TrainOptions& options);

// The exit code that a run's end means.
int exit_code(const RunSummary& summary);

// "-12.3"; "none yet" for none.
std::string number_text(const std::optional<double>& value);

// The words as a shell takes them.
std::string shell_text(const std::vector<std::string>& words);

}  // namespace instep

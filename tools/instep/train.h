// The train command: a run from its start, or from where it was left.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/learner.h"

namespace instep {

// What was typed. Empty and absent mean: the task's default, or on resume what the run was started
// with.
struct TrainOptions {
  std::string task;
  std::optional<std::int64_t> steps;  // in all
  std::optional<std::uint64_t> seed;
  std::string seeds;  // "A..B"
  int jobs = 1;       // runs at a time, with seeds
  std::string algorithm;
  std::string backend = "auto";
  std::string path;
  std::optional<Schedule> schedule;
  std::string time = "sim";
  std::string device;
  bool is_dry_run = false;
  bool has_record = false;
  std::string phase = "locked";
  std::string config_file;
  std::vector<std::string> set;  // key=value
  std::string out;
  std::string resume;
  std::string change;  // "at=N what=value ...": what happens to the world on the way
  std::string init;    // run folder whose weights and normaliser a new run starts from
  bool allow_different_arithmetic = false;
  bool json = false;
};

// Trains, writes the run folder and prints where it is. Answers an exit code; throws CommandError.
int run_train(const TrainOptions& options);

}  // namespace instep

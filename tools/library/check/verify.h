// Comparing the learner and the tasks with golden files: independent truth and its tolerances.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/learner.h"

namespace instep {

// What to verify and with which executor.
struct VerifyOptions {
  std::vector<std::string> files{};
  std::optional<Schedule> schedule{};  // both, and their equality bit for bit, when not given
  Arithmetic arithmetic = Arithmetic::kFast;
  std::string backend = "auto";
  std::string path{};  // best of this machine when empty
};

// How close one file came. worst is error / tolerance; above 1 fails.
struct VerifyResult {
  std::string file;
  std::string kind;      // "avg", "iac", "rac" or "mujoco"
  std::string schedule;  // empty where there is none
  std::string backend;
  std::string path;
  double worst = 0.0;
  std::string tensor;  // where it was; empty when nothing could be compared
  std::int64_t step = 0;
  std::int64_t compared = 0;  // how many numbers
  std::string problem;        // why the file could not be compared; empty when it was
  bool pass = false;

  bool was_compared() const { return !tensor.empty(); }
};

// Replays one golden file; one result a schedule. Never throws for a bad file: the result says why.
std::vector<VerifyResult> verify_file(const std::string& file, const VerifyOptions& options);

// Told of each result as soon as it is there.
using VerifyTold = std::function<void(const VerifyResult& result)>;

// Replays all the files. Throws UsageError for one that is not there, or a backend or path that
// this machine has not.
std::vector<VerifyResult> verify(const VerifyOptions& options, const VerifyTold& told = {});

}  // namespace instep

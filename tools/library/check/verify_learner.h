// Replays of learner golden files ("avg-golden-1").
#pragma once

#include <vector>

#include "tools/library/check/safetensors.h"
#include "tools/library/check/verify.h"

namespace instep {

// Keeps the worst error / tolerance of a comparison and where it was.
class WorstError {
 public:
  // Compares one number; anything but a finite error within a tolerance above 0 fails.
  void compare(double ours, double truth, double tolerance, const std::string& tensor,
               std::int64_t step);
  std::int64_t count() const { return count_; }
  double ratio() const { return ratio_; }
  const std::string& tensor() const { return tensor_; }
  std::int64_t step() const { return step_; }

 private:
  std::int64_t count_ = 0;
  double ratio_ = 0.0;
  std::string tensor_ = "-";
  std::int64_t step_ = 0;
};

// Runs the file's transitions through an agent of the given schedule, and answers the learner's
// whole block at the end, so that schedules can be compared. Throws DataError for an inconsistent
// file.
std::vector<std::uint8_t> replay_learner(const TensorFile& file, Schedule schedule,
                                         const Executor& executor, WorstError& worst);

}  // namespace instep

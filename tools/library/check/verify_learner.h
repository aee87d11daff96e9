// Replays of learner golden files ("avg-golden-1").
#pragma once

#include <map>
#include <vector>

#include "tools/library/check/golden_tensors.h"
#include "tools/library/check/safetensors.h"
#include "tools/library/check/verify.h"

namespace instep {

// Keeps the worst error / tolerance of a comparison and where it was, and how much was compared.
class WorstError {
 public:
  // Compares one number; anything but a finite error within a tolerance above 0 fails.
  void compare(double ours, double truth, double tolerance, const std::string& tensor,
               std::int64_t step);
  std::int64_t count() const { return count_; }
  // Of one tensor.
  std::int64_t count(const std::string& tensor) const;
  double ratio() const { return ratio_; }
  const std::string& tensor() const { return tensor_; }
  std::int64_t step() const { return step_; }

 private:
  std::int64_t count_ = 0;
  std::map<std::string, std::int64_t> counts_;
  double ratio_ = 0.0;
  std::string tensor_ = "-";
  std::int64_t step_ = 0;
};

// Throws DataError when one of the tensors that are to be compared was not compared whole.
void require_compared(const std::vector<GoldenTensor>& tensors, const TensorFile& file,
                      const WorstError& worst);

// Runs the file's transitions through an agent of the given schedule, and answers the learner's
// whole block at the end, so that schedules can be compared. Throws DataError for an inconsistent
// file.
std::vector<std::uint8_t> replay_learner(const TensorFile& file, Schedule schedule,
                                         const Executor& executor, WorstError& worst);

}  // namespace instep

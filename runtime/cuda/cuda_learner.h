// A learner on a GPU: its memory there, the requests of each tick, and what happens when the GPU
// fails.
//
// Two ways to drive it. Launched: each request is a kernel (two a tick: observe and act, then learn
// and prepare). Resident: a kernel stays for a lease of 100 ms at most and takes requests from
// mapped memory; it leaves by itself, and is launched again with the next request.
//
// Whatever the GPU or its driver does, a learner goes on: when a call fails or an answer does not
// come within two seconds, a message says so, and from then on the CPU computes, starting from the
// last copy of the learner's block. A copy is taken at least once a second, so no more than a
// second of learning is lost, and the open transition.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/learner.h"

namespace instep {

// What became of the GPU, over all learners of this process.
struct CudaHealth {
  std::uint64_t fallbacks = 0;     // learners that went on on the CPU
  std::uint64_t updates_lost = 0;  // updates after the last copy
  double seconds_lost = 0.0;       // of learning, by the learner that lost most
  std::string last_problem;        // of the last one
  std::string device;              // the GPU's name, empty before one was opened
};
const CudaHealth& cuda_health();

// Executors of backend "cuda" on this machine, best first: paths "cuda_block", "cuda_grid",
// "cuda_cluster", each launched, and "_resident" where kernels may stay. Empty where there is no
// GPU or this build has no kernels; `problem` says why. Opens the driver.
std::span<const Executor* const> cuda_executors(Arithmetic arithmetic, std::string& problem);

}  // namespace instep

// A device that runs the CUDA learner's source on the host, for tests and as the backend
// "cuda-emulated".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/job.h"
#include "kernels/learner.h"
#include "runtime/cuda/emulator.h"

namespace instep {

// The three ways a learner is spread over a GPU: one block (a GPU of one multiprocessor), a grid of
// blocks that meet at a barrier in global memory, and a cluster of blocks that reach each other's
// shared memory, where all weights stay.
enum class TeamKind { kBlock, kGrid, kCluster };

struct TeamShape {
  TeamKind kind = TeamKind::kBlock;
  int blocks = 1;
  int threads = 32;  // of each block, a multiple of 32
};

class EmulatedDevice {
 public:
  // Throws std::bad_alloc.
  EmulatedDevice(const TeamShape& shape, const Layout& layout);
  ~EmulatedDevice();

  Emulator& emulator() { return emulator_; }

  // Runs one kernel that does a request on a learner's block. False when it came to a standstill;
  // see emulator().problem().
  [[nodiscard]] bool run(const Learner& learner, const cuda::Request& request,
                         cuda::Reply* reply = nullptr);

  // Memory of another device than `learner.block`'s owner: as a driver's launch hands it over.
  [[nodiscard]] bool run(const cuda::DeviceLearner& learner, const cuda::Request& request,
                         cuda::Reply* reply);

  struct Memory;  // what the blocks share, and what each has for itself

 private:
  Emulator emulator_;
  TeamShape shape_;
  std::unique_ptr<Memory> memory_;
};

// The device's view of a learner whose block is at `block`.
cuda::DeviceLearner make_device_learner(const Learner& learner, std::uint8_t* block);

// Executors of the backend "cuda-emulated": paths "emulated_block", "emulated_grid4" and
// "emulated_cluster8". Both arithmetics mean the same on a device.
std::span<const Executor* const> emulated_executors(Arithmetic arithmetic);

}  // namespace instep

// A device that runs the CUDA learner's source on the host, for tests and as the backend
// "cuda-emulated".
#pragma once

#include <functional>
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

// Which of the two kernels: one that does a request, or one that stays and takes requests.
enum class KernelKind { kLaunched, kResident };

class EmulatedDevice {
 public:
  // For that many learners of the layout, each with a team of its own. Throws std::bad_alloc.
  EmulatedDevice(const TeamShape& shape, const Layout& layout, int agents = 1);
  ~EmulatedDevice();

  Emulator& emulator() { return emulator_; }

  // Runs a kernel on memory that a driver's launch would hand over. False when it came to a
  // standstill; see emulator().problem().
  [[nodiscard]] bool launch(const cuda::Parameters& parameters, KernelKind kind);

  // Launches a request on one learner.
  [[nodiscard]] bool run(const Learner& learner, const cuda::Request& request);

  // Called when a kernel signals the host, as the host could then look.
  void on_signal(std::function<void()> hook);

  struct Memory;  // what the blocks share, and what each has for itself

 private:
  Emulator emulator_;
  TeamShape shape_;
  std::unique_ptr<Memory> memory_;
};

// The device's view of a learner whose block is at `block`; `is_on_chip` keeps the weights in the
// shared memory of a cluster.
cuda::DeviceLearner make_device_learner(const Learner& learner, std::uint8_t* block,
                                        bool is_on_chip);

// How the backend "cuda-emulated" spreads a learner.
TeamShape emulated_team(TeamKind kind);

// Executors of the backend "cuda-emulated": paths "emulated_block", "emulated_grid4" and
// "emulated_cluster8". Both arithmetics mean the same on a device.
std::span<const Executor* const> emulated_executors(Arithmetic arithmetic);

}  // namespace instep

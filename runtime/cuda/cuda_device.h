// The CUDA learner's kernels and memory on a GPU, for one learner or for several of one shape that
// share it, each with a block, a grid or a cluster of its own.
//
// Where a function answers bool, false means that the driver refused or failed; problem() then says
// what and why, and nothing but close() may follow. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/cuda/job.h"
#include "kernels/learner.h"
#include "runtime/cuda/emulated_device.h"
#include "runtime/cuda/libcuda.h"

namespace instep {

// A device attribute of the GPU, 0 where the driver does not know it.
int cuda_attribute(const Libcuda& cuda, CudaAttribute which);

class CudaDevice {
 public:
  CudaDevice(TeamKind team, KernelKind kind) : team_(team), kind_(kind) {}
  ~CudaDevice() { close(); }
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  // Opens the driver, compiles the kernel and takes memory for that many learners like this one,
  // whose blocks are then to be uploaded.
  [[nodiscard]] bool open(const Learner& like, int agents);
  // Gives everything back, unless a kernel hangs: then every call that frees would wait for it.
  void close();

  // Copies a learner's block [layout.bytes] to the GPU or back, while no kernel runs.
  [[nodiscard]] bool upload(int agent, const std::uint8_t* block);
  [[nodiscard]] bool download(int agent, std::uint8_t* block);

  // What an agent is asked for next, and what it answered: memory that the GPU reaches, too.
  cuda::Request& request(int agent) { return requests_[agent]; }
  cuda::Reply& reply(int agent) { return replies_[agent]; }

  // Starts the kernel for all agents. A launched kernel does the request `repeats` times; for a
  // resident one `sequence` is that of the request done last.
  [[nodiscard]] bool launch(std::uint32_t sequence, std::uint32_t repeats = 1);
  // Waits until the kernel has ended, for two seconds at most.
  [[nodiscard]] bool wait();
  // False when the kernel has failed.
  [[nodiscard]] bool is_alive();
  // Whether a kernel was launched whose end is not known yet.
  bool is_running() const { return is_running_; }
  // Waiting for something else than the kernel's end took too long.
  void set_timed_out();

  // launch() and wait(); answers how long the GPU took from the kernel's start to its end.
  [[nodiscard]] bool time_launch(std::uint32_t repeats, double& microseconds);
  // How many agents fit on the GPU at once, by the driver's own reckoning; 0 where it has none.
  int agents_at_once() const;

  const std::string& name() const { return name_; }  // of the GPU
  const std::string& problem() const { return problem_; }

 private:
  bool check(CudaResult result, const char* what);
  bool open_memory(const Learner& like);
  bool open_kernel();
  bool take(CudaPointer& memory, std::size_t bytes);

  const Libcuda* cuda_ = nullptr;
  TeamKind team_;
  KernelKind kind_;
  int agents_ = 0;
  std::size_t block_bytes_ = 0;  // of each learner
  unsigned threads_ = 0;         // of each block
  unsigned shared_bytes_ = 0;
  void* context_ = nullptr;
  void* stream_ = nullptr;
  void* module_ = nullptr;
  void* function_ = nullptr;
  void* begin_ = nullptr;  // events
  void* end_ = nullptr;
  CudaPointer blocks_ = 0;
  CudaPointer learners_ = 0;
  CudaPointer exchanges_ = 0;
  CudaPointer meetings_ = 0;
  void* mapped_ = nullptr;
  cuda::Request* requests_ = nullptr;  // both in what is mapped
  cuda::Reply* replies_ = nullptr;
  cuda::Parameters parameters_;
  bool is_running_ = false;  // a kernel, as far as is known
  std::string name_;
  std::string problem_;
};

}  // namespace instep

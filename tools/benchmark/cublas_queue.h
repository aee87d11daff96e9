// A GPU's stream that takes GraphLearner's calls, with the matrix products by cuBLAS. Both
// libraries are opened at run time: INSTEP_LIBCUDA and INSTEP_LIBCUBLAS may name others than the
// usual.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/cuda/libcuda.h"
#include "tools/benchmark/graph_kernels.h"

namespace instep {

class CublasQueue {
 public:
  // Throws IoError where there is no GPU, no cuBLAS or a driver older than CUDA 11.4; so does
  // everything else when a call fails.
  CublasQueue();
  ~CublasQueue();
  CublasQueue(const CublasQueue&) = delete;
  CublasQueue& operator=(const CublasQueue&) = delete;

  // Zeroed memory of the GPU, or of the host where the GPU copies fastest; kept to the end.
  template <typename T>
  T* take(std::size_t count) {
    return static_cast<T*>(take_bytes(count * sizeof(T)));
  }
  template <typename T>
  T* take_host(std::size_t count) {
    return static_cast<T*>(take_host_bytes(count * sizeof(T)));
  }

  // Each call is done after those before it, or becomes a part of the graph that is being recorded.
  void upload(void* to, const void* from, std::size_t bytes);
  void download(void* to, const void* from, std::size_t bytes);
  // y [rows] = matrix [rows, columns] x [columns]
  void multiply(const float* matrix, int rows, int columns, const float* x, float* y);
  // y [columns] = transposed matrix [rows, columns, rows `stride` apart] x [rows]
  void multiply_transposed(const float* matrix, int rows, int columns, int stride, const float* x,
                           float* y);
  // out [rows, columns] = d [rows] x [columns]
  void outer(int rows, int columns, const float* d, const float* x, float* out);
  void launch(int blocks, const graph::Arguments& arguments);

  // Answers the number of the graph made of what `calls` calls.
  int record(const std::function<void()>& calls);
  void replay(int graph);
  void wait();
  // Microseconds on the GPU of what lies between the two calls; the second one waits.
  void begin_timing();
  double end_timing_us();

 private:
  struct Functions;
  void* take_bytes(std::size_t bytes);
  void* take_host_bytes(std::size_t bytes);
  void open_driver();
  void open_cublas();

  const Libcuda* cuda_ = nullptr;
  std::unique_ptr<Functions> functions_;
  void* context_ = nullptr;
  void* stream_ = nullptr;
  void* module_ = nullptr;
  void* kernel_ = nullptr;
  void* cublas_ = nullptr;
  void* begin_ = nullptr;
  void* end_ = nullptr;
  std::vector<CudaPointer> memory_;
  std::vector<void*> host_memory_;
  std::vector<void*> graphs_;
};

}  // namespace instep

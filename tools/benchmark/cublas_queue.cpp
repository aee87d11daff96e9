#include "tools/benchmark/cublas_queue.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "tools/library/error.h"

#if defined(INSTEP_GRAPH_PTX)
asm(".section .rodata\n.balign 16\n.local instep_graph_ptx\ninstep_graph_ptx:\n"
    ".incbin \"" INSTEP_GRAPH_PTX "\"\n.byte 0\n.previous");
extern "C" const char instep_graph_ptx[];
#else
constexpr const char* instep_graph_ptx = "";
#endif

namespace instep {
namespace {

constexpr std::size_t kWorkspaceBytes = 32 << 20;
enum CublasOperation : int { kAsIs = 0, kTransposed = 1 };
constexpr float kOne = 1.0F;
constexpr float kZero = 0.0F;

void require(int result, const char* what) {
  if (result != kCudaSuccess) throw IoError(std::string(what) + ": " + cuda_result_text(result));
}

void require_cublas(int status, const char* what) {
  if (status != 0) throw IoError(std::string(what) + ": status " + std::to_string(status));
}

void* open_library(const char* variable, std::initializer_list<const char*> names) {
  if (const char* wanted = std::getenv(variable); wanted != nullptr && *wanted != '\0') {
    return dlopen(wanted, RTLD_NOW | RTLD_LOCAL);
  }
  for (const char* name : names) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

template <typename Function>
void find(void* library, Function& function, const char* name) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw IoError(std::string("the library lacks ") + name);
}

}  // namespace

struct CublasQueue::Functions {
  CudaResult (*copy_to_device)(CudaPointer to, const void* from, std::size_t bytes, void* stream);
  CudaResult (*copy_to_host)(void* to, CudaPointer from, std::size_t bytes, void* stream);
  CudaResult (*stream_wait)(void* stream);
  CudaResult (*begin_capture)(void* stream, int mode);
  CudaResult (*end_capture)(void* stream, void** graph);
  CudaResult (*make_graph)(void** executable, void* graph, unsigned long long flags);
  CudaResult (*launch_graph)(void* executable, void* stream);
  CudaResult (*destroy_graph)(void* executable);
  int (*create)(void** handle);
  int (*destroy)(void* handle);
  int (*set_stream)(void* handle, void* stream);
  int (*set_workspace)(void* handle, void* workspace, std::size_t bytes);
  int (*gemv)(void* handle, int operation, int m, int n, const float* alpha, const float* a,
              int lda, const float* x, int incx, const float* beta, float* y, int incy);
  int (*gemm)(void* handle, int operation_a, int operation_b, int m, int n, int k,
              const float* alpha, const float* a, int lda, const float* b, int ldb,
              const float* beta, float* c, int ldc);
};

CublasQueue::CublasQueue() : functions_(std::make_unique<Functions>()) {
  open_driver();
  open_cublas();
}

void CublasQueue::open_driver() {
  std::string problem;
  cuda_ = open_libcuda(problem);
  if (cuda_ == nullptr) throw IoError(problem);
  void* library = open_library("INSTEP_LIBCUDA", {"libcuda.so.1"});
  Functions& f = *functions_;
  find(library, f.copy_to_device, "cuMemcpyHtoDAsync_v2");
  find(library, f.copy_to_host, "cuMemcpyDtoHAsync_v2");
  find(library, f.stream_wait, "cuStreamSynchronize");
  find(library, f.begin_capture, "cuStreamBeginCapture_v2");
  find(library, f.end_capture, "cuStreamEndCapture");
  find(library, f.make_graph, "cuGraphInstantiateWithFlags");
  find(library, f.launch_graph, "cuGraphLaunch");
  find(library, f.destroy_graph, "cuGraphExecDestroy");
  require(cuda_->context_retain(&context_, 0), "opening the GPU");
  require(cuda_->context_set(context_), "opening the GPU");
  require(cuda_->stream_create(&stream_, 0), "opening the GPU");
  require(cuda_->event_create(&begin_, 0), "opening the GPU");
  require(cuda_->event_create(&end_, 0), "opening the GPU");
  if (*instep_graph_ptx == '\0') throw IoError("this build has no PTX (it was made without clang)");
  require(cuda_->module_load(&module_, instep_graph_ptx, 0, nullptr, nullptr),
          "compiling the kernels");
  require(cuda_->module_function(&kernel_, module_, "instep_graph_kernel"),
          "compiling the kernels");
}

void CublasQueue::open_cublas() {
  void* library = open_library("INSTEP_LIBCUBLAS", {"libcublas.so.13", "libcublas.so.12",
                                                    "libcublas.so.11", "libcublas.so"});
  if (library == nullptr) throw IoError("libcublas.so cannot be opened: cuBLAS is not installed");
  Functions& f = *functions_;
  find(library, f.create, "cublasCreate_v2");
  find(library, f.destroy, "cublasDestroy_v2");
  find(library, f.set_stream, "cublasSetStream_v2");
  find(library, f.set_workspace, "cublasSetWorkspace_v2");
  find(library, f.gemv, "cublasSgemv_v2");
  find(library, f.gemm, "cublasSgemm_v2");
  require_cublas(f.create(&cublas_), "opening cuBLAS");
  require_cublas(f.set_stream(cublas_, stream_), "opening cuBLAS");
  // What cuBLAS took for itself while a graph is recorded would not be there when it is replayed.
  require_cublas(f.set_workspace(cublas_, take_bytes(kWorkspaceBytes), kWorkspaceBytes),
                 "opening cuBLAS");
}

CublasQueue::~CublasQueue() {
  for (void* graph : graphs_) functions_->destroy_graph(graph);
  if (cublas_ != nullptr) functions_->destroy(cublas_);
  for (const CudaPointer memory : memory_) cuda_->memory_free(memory);
  for (void* memory : host_memory_) cuda_->host_free(memory);
  if (context_ != nullptr) cuda_->context_release(0);
}

void* CublasQueue::take_bytes(std::size_t bytes) {
  memory_.push_back(0);
  require(cuda_->memory_take(&memory_.back(), bytes), "taking memory");
  require(cuda_->memory_set(memory_.back(), 0, bytes), "clearing memory");
  return reinterpret_cast<void*>(memory_.back());
}

void* CublasQueue::take_host_bytes(std::size_t bytes) {
  host_memory_.push_back(nullptr);
  require(cuda_->host_take(&host_memory_.back(), bytes, 0), "taking memory");
  return std::memset(host_memory_.back(), 0, bytes);
}

void CublasQueue::upload(void* to, const void* from, std::size_t bytes) {
  require(functions_->copy_to_device(reinterpret_cast<CudaPointer>(to), from, bytes, stream_),
          "copying");
}

void CublasQueue::download(void* to, const void* from, std::size_t bytes) {
  require(functions_->copy_to_host(to, reinterpret_cast<CudaPointer>(from), bytes, stream_),
          "copying");
}

// cuBLAS takes matrices column by column: ours, which lie row by row, are transposed ones to it.

void CublasQueue::multiply(const float* matrix, int rows, int columns, const float* x, float* y) {
  require_cublas(functions_->gemv(cublas_, kTransposed, columns, rows, &kOne, matrix, columns, x, 1,
                                  &kZero, y, 1),
                 "cublasSgemv");
}

void CublasQueue::multiply_transposed(const float* matrix, int rows, int columns, int stride,
                                      const float* x, float* y) {
  require_cublas(
      functions_->gemv(cublas_, kAsIs, columns, rows, &kOne, matrix, stride, x, 1, &kZero, y, 1),
      "cublasSgemv");
}

void CublasQueue::outer(int rows, int columns, const float* d, const float* x, float* out) {
  require_cublas(functions_->gemm(cublas_, kAsIs, kAsIs, columns, rows, 1, &kOne, x, columns, d, 1,
                                  &kZero, out, columns),
                 "cublasSgemm");
}

void CublasQueue::launch(int blocks, const graph::Arguments& arguments) {
  graph::Arguments copy = arguments;
  void* parameters[] = {&copy};
  require(cuda_->launch(kernel_, static_cast<unsigned>(blocks), 1, 1, graph::kThreads, 1, 1, 0,
                        stream_, parameters, nullptr),
          "launching a kernel");
}

int CublasQueue::record(const std::function<void()>& calls) {
  constexpr int kRelaxed = 2;
  void* graph = nullptr;
  require(functions_->begin_capture(stream_, kRelaxed), "recording a graph");
  calls();
  require(functions_->end_capture(stream_, &graph), "recording a graph");
  graphs_.push_back(nullptr);
  require(functions_->make_graph(&graphs_.back(), graph, 0), "recording a graph");
  return static_cast<int>(graphs_.size()) - 1;
}

void CublasQueue::replay(int graph) {
  require(functions_->launch_graph(graphs_[static_cast<std::size_t>(graph)], stream_),
          "replaying a graph");
}

void CublasQueue::wait() {
  require(functions_->stream_wait(stream_), "waiting for the GPU");
}

void CublasQueue::begin_timing() {
  require(cuda_->event_record(begin_, stream_), "timing");
}

double CublasQueue::end_timing_us() {
  float milliseconds = 0.0F;
  require(cuda_->event_record(end_, stream_), "timing");
  wait();
  require(cuda_->event_elapsed(&milliseconds, begin_, end_), "timing");
  return static_cast<double>(milliseconds) * 1e3;
}

}  // namespace instep

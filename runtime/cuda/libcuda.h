// The CUDA driver's library, opened at run time: one binary serves machines with and without a GPU.
// Only what runtime/cuda/cuda_device.cpp needs, declared by hand as the driver API documents it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace instep {

using CudaResult = int;
using CudaPointer = std::uint64_t;

// What a launch would be, as the driver's CUlaunchConfig has it.
struct CudaLaunchConfig {
  unsigned grid_x = 1, grid_y = 1, grid_z = 1;
  unsigned block_x = 1, block_y = 1, block_z = 1;
  unsigned shared_bytes = 0;
  void* stream = nullptr;
  void* attributes = nullptr;
  unsigned attribute_count = 0;
};

inline constexpr CudaResult kCudaSuccess = 0;
inline constexpr CudaResult kCudaNotReady = 600;

// Every function of the library that is used; null until open_libcuda().
struct Libcuda {
  CudaResult (*init)(unsigned flags) = nullptr;
  CudaResult (*driver_version)(int* version) = nullptr;
  CudaResult (*device_count)(int* count) = nullptr;
  CudaResult (*device_name)(char* name, int length, int device) = nullptr;
  CudaResult (*device_attribute)(int* value, int attribute, int device) = nullptr;
  CudaResult (*context_retain)(void** context, int device) = nullptr;
  CudaResult (*context_release)(int device) = nullptr;
  CudaResult (*context_set)(void* context) = nullptr;
  CudaResult (*stream_create)(void** stream, unsigned flags) = nullptr;
  CudaResult (*stream_destroy)(void* stream) = nullptr;
  CudaResult (*stream_query)(void* stream) = nullptr;
  CudaResult (*module_load)(void** module, const void* image, unsigned count, int* options,
                            void** values) = nullptr;
  CudaResult (*module_unload)(void* module) = nullptr;
  CudaResult (*module_function)(void** function, void* module, const char* name) = nullptr;
  CudaResult (*function_attribute)(void* function, int attribute, int value) = nullptr;
  CudaResult (*memory_take)(CudaPointer* memory, std::size_t bytes) = nullptr;
  CudaResult (*memory_free)(CudaPointer memory) = nullptr;
  CudaResult (*memory_set)(CudaPointer memory, unsigned char value, std::size_t bytes) = nullptr;
  CudaResult (*host_take)(void** memory, std::size_t bytes, unsigned flags) = nullptr;
  CudaResult (*host_free)(void* memory) = nullptr;
  CudaResult (*host_pointer)(CudaPointer* device, void* host, unsigned flags) = nullptr;
  CudaResult (*copy_to_device)(CudaPointer to, const void* from, std::size_t bytes) = nullptr;
  CudaResult (*copy_to_host)(void* to, CudaPointer from, std::size_t bytes) = nullptr;
  CudaResult (*launch)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                       void* stream, void** parameters, void** extra) = nullptr;
  CudaResult (*event_create)(void** event, unsigned flags) = nullptr;
  CudaResult (*event_destroy)(void* event) = nullptr;
  CudaResult (*event_record)(void* event, void* stream) = nullptr;
  CudaResult (*event_elapsed)(float* milliseconds, void* begin, void* end) = nullptr;
  CudaResult (*blocks_at_once)(int* count, void* function, int threads,
                               std::size_t shared_bytes) = nullptr;  // on one multiprocessor
  // Null in drivers older than clusters.
  CudaResult (*clusters_at_once)(int* count, void* function,
                                 const CudaLaunchConfig* config) = nullptr;
};

// Device attributes, by the driver API's numbers.
enum CudaAttribute : int {
  kMultiprocessors = 16,
  kKernelTimeLimit = 17,  // kernels are ended after seconds: a display hangs on the GPU
  kIsIntegrated = 18,
  kCanMapHostMemory = 19,
  kComputeMajor = 75,
  kComputeMinor = 76,
  kSharedBytesOptIn = 97,
};

// Opens libcuda.so.1, or what the environment variable INSTEP_LIBCUDA names, once; later calls
// answer the same. Null when there is none, or it lacks a function or a GPU or is older than
// CUDA 10.1, or the GPU is older than Maxwell's second generation; `problem` says which. Allocates.
const Libcuda* open_libcuda(std::string& problem);

// Whether open_libcuda() failed for the one reason that needs no word: no driver is installed.
bool is_libcuda_absent();

// "out of memory (2)": what a result means; where the user can mend it, how: "the driver was
// updated since the start (803): restart the machine".
std::string cuda_result_text(CudaResult result);

}  // namespace instep

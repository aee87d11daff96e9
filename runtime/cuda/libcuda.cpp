#include "runtime/cuda/libcuda.h"

#include <dlfcn.h>

#include <cstdlib>

namespace instep {
namespace {

constexpr int kVersionMin = 10010;  // CUDA 10.1 is the first to take PTX ISA 6.4
constexpr int kCapabilityMin = 53;  // what the PTX is made for

template <typename Function>
bool find(void* library, Function& function, const char* name, std::string& problem) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) problem = std::string("the CUDA driver lacks ") + name + "; update it";
  return function != nullptr;
}

bool find_all(void* l, Libcuda& cuda, std::string& p) {
  return find(l, cuda.init, "cuInit", p) && find(l, cuda.driver_version, "cuDriverGetVersion", p) &&
         find(l, cuda.device_count, "cuDeviceGetCount", p) &&
         find(l, cuda.device_name, "cuDeviceGetName", p) &&
         find(l, cuda.device_attribute, "cuDeviceGetAttribute", p) &&
         find(l, cuda.context_retain, "cuDevicePrimaryCtxRetain", p) &&
         find(l, cuda.context_release, "cuDevicePrimaryCtxRelease", p) &&
         find(l, cuda.context_set, "cuCtxSetCurrent", p) &&
         find(l, cuda.stream_create, "cuStreamCreate", p) &&
         find(l, cuda.stream_destroy, "cuStreamDestroy_v2", p) &&
         find(l, cuda.stream_query, "cuStreamQuery", p) &&
         find(l, cuda.module_load, "cuModuleLoadDataEx", p) &&
         find(l, cuda.module_unload, "cuModuleUnload", p) &&
         find(l, cuda.module_function, "cuModuleGetFunction", p) &&
         find(l, cuda.function_attribute, "cuFuncSetAttribute", p) &&
         find(l, cuda.memory_take, "cuMemAlloc_v2", p) &&
         find(l, cuda.memory_free, "cuMemFree_v2", p) &&
         find(l, cuda.memory_set, "cuMemsetD8_v2", p) &&
         find(l, cuda.host_take, "cuMemHostAlloc", p) &&
         find(l, cuda.host_free, "cuMemFreeHost", p) &&
         find(l, cuda.host_pointer, "cuMemHostGetDevicePointer_v2", p) &&
         find(l, cuda.copy_to_device, "cuMemcpyHtoD_v2", p) &&
         find(l, cuda.copy_to_host, "cuMemcpyDtoH_v2", p) &&
         find(l, cuda.launch, "cuLaunchKernel", p) &&
         find(l, cuda.event_create, "cuEventCreate", p) &&
         find(l, cuda.event_destroy, "cuEventDestroy_v2", p) &&
         find(l, cuda.event_record, "cuEventRecord", p) &&
         find(l, cuda.event_elapsed, "cuEventElapsedTime", p) &&
         find(l, cuda.blocks_at_once, "cuOccupancyMaxActiveBlocksPerMultiprocessor", p);
}

std::string open_problem(Libcuda& cuda) {
  const char* wanted = std::getenv("INSTEP_LIBCUDA");
  const std::string name = wanted != nullptr && *wanted != '\0' ? wanted : "libcuda.so.1";
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return name + " cannot be opened: no NVIDIA driver is installed here";
  std::string problem;
  if (!find_all(library, cuda, problem)) return problem;
  find(library, cuda.clusters_at_once, "cuOccupancyMaxActiveClusters", problem);
  if (const CudaResult result = cuda.init(0); result != kCudaSuccess) {
    return "the CUDA driver does not start: " + cuda_result_text(result);
  }
  int version = 0;
  cuda.driver_version(&version);
  if (version < kVersionMin) {
    return "the CUDA driver is of CUDA " + std::to_string(version / 1000) + "." +
           std::to_string(version % 1000 / 10) + "; 10.1 or newer is needed";
  }
  int count = 0;
  if (cuda.device_count(&count) != kCudaSuccess || count == 0) return "the CUDA driver has no GPU";
  int major = 0, minor = 0;
  cuda.device_attribute(&major, kComputeMajor, 0);
  cuda.device_attribute(&minor, kComputeMinor, 0);
  if (10 * major + minor < kCapabilityMin) {
    return "the GPU has compute capability " + std::to_string(major) + "." + std::to_string(minor) +
           "; 5.3 or newer is needed";
  }
  return "";
}

}  // namespace

const Libcuda* open_libcuda(std::string& problem) {
  static Libcuda cuda;
  static const std::string found = open_problem(cuda);
  problem = found;
  return found.empty() ? &cuda : nullptr;
}

std::string cuda_result_text(CudaResult result) {
  const char* text = "error";
  switch (result) {
    case 2:
      text = "out of memory";
      break;
    case 34:
      text = "this is a stub of the driver";
      break;
    case 100:
      text = "no device";
      break;
    case 209:
      text = "the kernels are not for this GPU";
      break;
    case 218:
      text = "the driver cannot compile the kernels";
      break;
    case 222:
      text = "the driver is too old for the kernels";
      break;
    case 600:
      text = "no answer in time";
      break;
    case 700:
      text = "illegal address";
      break;
    case 702:
      text = "the driver ended a kernel that ran too long";
      break;
    case 719:
      text = "launch failure";
      break;
    case 999:
      text = "device lost";
      break;
    default:
      break;
  }
  return std::string(text) + " (" + std::to_string(result) + ")";
}

}  // namespace instep

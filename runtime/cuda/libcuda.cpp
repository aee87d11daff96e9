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

bool g_is_absent = false;

std::string open_problem(Libcuda& cuda) {
  const char* wanted = std::getenv("INSTEP_LIBCUDA");
  const std::string name = wanted != nullptr && *wanted != '\0' ? wanted : "libcuda.so.1";
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    const std::string text = reason != nullptr ? reason : "unknown error";
    // "libcuda.so.1: cannot open shared object file: No such file or directory"; one of another
    // library that it needs begins with that one's name.
    g_is_absent = text.starts_with(name + ": ") && text.ends_with("No such file or directory");
    return name + " cannot be opened: " +
           (g_is_absent ? "no NVIDIA driver is installed here"
                        : text + "; install NVIDIA's driver (on a Jetson JetPack's) again");
  }
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

bool is_libcuda_absent() {
  std::string ignored;
  return open_libcuda(ignored) == nullptr && g_is_absent;
}

std::string cuda_result_text(CudaResult result) {
  struct Text {
    CudaResult result;
    const char* what;
    const char* mend;
  };
  static constexpr Text kTexts[] = {
      {1, "invalid value", ""},
      {2, "out of memory", ""},
      {3, "the driver is not started", "restart the machine"},
      {4, "the driver is being shut down", ""},
      {34, "this is a stub of the driver", "take the toolkit's stubs out of LD_LIBRARY_PATH"},
      {46, "the GPU is taken by another program, or not for use",
       "end that program (nvidia-smi names it), or sudo nvidia-smi --compute-mode=0"},
      {100, "no device", "a user needs the groups video and render, where they exist"},
      {101, "no such device", "see CUDA_VISIBLE_DEVICES"},
      {200, "the kernels are damaged", ""},
      {201, "the GPU was not opened", ""},
      {209, "the kernels are not for this GPU", ""},
      {214, "memory of the GPU is damaged", "restart the machine; if it stays, the GPU is bad"},
      {218, "the driver cannot compile the kernels", ""},
      {220, "too many programs use the GPU", ""},
      {221, "the driver's compiler is missing", "install the whole of NVIDIA's driver"},
      {222, "the driver is too old for the kernels", "update it"},
      {304, "the operating system refused", "see dmesg"},
      {400, "invalid handle", ""},
      {500, "not found", ""},
      {600, "no answer in time", ""},
      {700, "illegal address", ""},
      {701, "a kernel needs more than the GPU has", ""},
      {702, "the driver ended a kernel that ran too long", ""},
      {710, "a check in a kernel failed", ""},
      {716, "misaligned address", ""},
      {719, "launch failure", ""},
      {720, "too many blocks for a cooperative launch", ""},
      {800, "not permitted", "a user needs the groups video and render, where they exist"},
      {801, "not supported by this GPU or driver", ""},
      {802, "the GPUs' fabric is not ready yet",
       "wait, then see systemctl status nvidia-fabricmanager"},
      {803, "the driver in the kernel and its library are of different versions",
       "restart the machine; if it stays, install the driver again"},
      {804, "the library of another CUDA version (cuda-compat) is not for this GPU",
       "remove the package cuda-compat, or its folder from LD_LIBRARY_PATH"},
      {999, "device lost", "unknown to the driver as well: see dmesg, then restart the machine"},
  };
  const std::string number = " (" + std::to_string(result) + ")";
  for (const Text& text : kTexts) {
    if (text.result != result) continue;
    const std::string mend = *text.mend != '\0' ? std::string(": ") + text.mend : "";
    return text.what + number + mend;
  }
  return "an error that is not known here" + number + ": see CUresult in NVIDIA's driver API";
}

}  // namespace instep

// A CUDA driver without a GPU: its device memory is memory of the host that nothing else knows, its
// kernels run over fibres on a thread of their own, and it fails as INSTEP_MOCK_FAULT says:
//
//   slow:N        the kernels take N seconds to compile
//   init:N        the driver does not start, and answers N
//   no_device, old_driver, old_gpu, no_memory, no_compile    at once
//   lost:N        from the N-th launch on, every call answers "device lost"
//   silent:N      the N-th kernel never ends, and who waits for it by freeing memory waits for ever
//   killed:N      the N-th kernel is ended by the driver, as one that ran for over two seconds
//   time_limit    the driver ends long kernels: it must be given none that stay
//   wrong:N       from the N-th launch on, a kernel leaves another lowest bit in one weight
//   stuck:FILE    the launch that finds that file, and takes it away, never returns
//   dies:FILE     likewise, the process ends in it
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "runtime/cuda/emulated_device.h"
#include "runtime/cuda/libcuda.h"

namespace {

using instep::CudaPointer;
using instep::CudaResult;
namespace cuda = instep::cuda;

constexpr CudaResult kOk = 0, kOutOfMemory = 2, kNotInitialized = 3, kNoDevice = 100,
                     kNoCompile = 218, kTimedOut = 702, kLost = 999;

struct Fault {
  std::string kind;
  int launch = 0;
  std::string file = {};
};

Fault read_fault() {
  const char* text = std::getenv("INSTEP_MOCK_FAULT");
  const std::string all = text == nullptr ? "" : text;
  const std::size_t colon = all.find(':');
  if (colon == std::string::npos) return {all, 0};
  return {all.substr(0, colon), std::atoi(all.c_str() + colon + 1), all.substr(colon + 1)};
}

const Fault& fault() {
  static const Fault value = read_fault();
  return value;
}

// The team that a PTX text is for, and whether its kernel stays. Kernels of other texts do nothing
// but what their names say.
struct Function {
  instep::TeamKind team;
  instep::KernelKind kind;
  std::string name = {};
};

std::atomic<int> launches{0};
std::atomic<CudaResult> stream_result{kOk};
std::thread worker;
pid_t process = 0;  // that has begun; those that it forks later cannot go on with it
bool is_lost() {
  return fault().kind == "lost" && launches >= fault().launch;
}

bool is_silent() {
  return fault().kind == "silent" && launches >= fault().launch;
}

// As the driver, which cannot free what a kernel may be using.
void wait_for_kernels() {
  while (is_silent()) std::this_thread::sleep_for(std::chrono::seconds(1));
  if (worker.joinable()) worker.join();
}

void run_kernel(Function function, cuda::Parameters parameters, int agents) {
  const instep::TeamShape shape{function.team, static_cast<int>(parameters.blocks), 32};
  instep::EmulatedDevice device(shape, parameters.learners->layout, agents);
  constexpr CudaResult kFailed = 719;
  const bool is_done = device.launch(parameters, function.kind);
  if (fault().kind == "wrong" && launches >= fault().launch) {
    parameters.learners->block[parameters.learners->layout.critic_weights] ^= 1U;
  }
  stream_result = is_done ? kOk : kFailed;
}

void run_other(const std::string& name) {
  constexpr CudaResult kTrapped = 719;
  stream_result = name == "instep_trap" ? kTrapped : instep::kCudaNotReady;
}

void meet_fault_of_file() {
  if (fault().kind != "stuck" && fault().kind != "dies") return;
  if (unlink(fault().file.c_str()) != 0) return;
  if (fault().kind == "dies") std::abort();
  for (;;) pause();
}

}  // namespace

extern "C" {

CudaResult cuInit(unsigned) {
  process = getpid();
  return fault().kind == "init" ? fault().launch : kOk;
}
CudaResult cuDriverGetVersion(int* version) {
  *version = fault().kind == "old_driver" ? 9020 : 10020;
  return kOk;
}
CudaResult cuDeviceGetCount(int* count) {
  *count = fault().kind == "no_device" ? 0 : 1;
  return fault().kind == "no_device" ? kNoDevice : kOk;
}
CudaResult cuDeviceGetName(char* name, int length, int) {
  std::strncpy(name, "a mock of a GPU", static_cast<std::size_t>(length));
  return kOk;
}
CudaResult cuDeviceGetAttribute(int* value, int which, int) {
  switch (which) {
    case instep::kMultiprocessors:
      *value = 4;
      break;
    case instep::kKernelTimeLimit:
      *value = fault().kind == "time_limit" ? 1 : 0;
      break;
    case instep::kComputeMajor:
      *value = fault().kind == "old_gpu" ? 3 : 9;
      break;
    case instep::kSharedBytesOptIn:
      *value = 232448;
      break;
    default:
      *value = 0;
  }
  return kOk;
}
CudaResult cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &launches;
  return process == getpid() ? kOk : kNotInitialized;
}
CudaResult cuDevicePrimaryCtxRelease(int) {
  wait_for_kernels();
  return kOk;
}
CudaResult cuCtxSetCurrent(void*) {
  return kOk;
}
CudaResult cuStreamCreate(void** stream, unsigned) {
  *stream = &stream_result;
  return kOk;
}
CudaResult cuStreamDestroy_v2(void*) {
  return kOk;
}
CudaResult cuStreamQuery(void*) {
  return is_lost() ? kLost : stream_result.load();
}
CudaResult cuModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) {
  if (fault().kind == "no_compile" ||
      std::strncmp(static_cast<const char*>(image), ".version ", 9) != 0) {
    return kNoCompile;
  }
  if (fault().kind == "slow") std::this_thread::sleep_for(std::chrono::seconds(fault().launch));
  // Only a cluster's text names one, and only a grid's meets in memory.
  const std::string text = static_cast<const char*>(image);
  const bool is_cluster = text.find(".reqnctapercluster") != std::string::npos;
  const bool is_grid = text.find("atom.add") != std::string::npos;
  *module = new Function{is_cluster ? instep::TeamKind::kCluster
                         : is_grid  ? instep::TeamKind::kGrid
                                    : instep::TeamKind::kBlock,
                         instep::KernelKind::kLaunched};
  return kOk;
}
CudaResult cuModuleUnload(void* module) {
  delete static_cast<Function*>(module);
  return kOk;
}
CudaResult cuModuleGetFunction(void** function, void* module, const char* name) {
  if (std::strcmp(name, "instep_resident") == 0) {
    static_cast<Function*>(module)->kind = instep::KernelKind::kResident;
  }
  static_cast<Function*>(module)->name = name;
  *function = module;
  return kOk;
}
CudaResult cuFuncSetAttribute(void*, int, int) {
  return kOk;
}
CudaResult cuMemAlloc_v2(CudaPointer* memory, std::size_t bytes) {
  if (fault().kind == "no_memory") return kOutOfMemory;
  void* taken = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(taken, 0xFF, bytes);
  *memory = reinterpret_cast<CudaPointer>(taken);
  return kOk;
}
CudaResult cuMemFree_v2(CudaPointer memory) {
  wait_for_kernels();
  std::free(reinterpret_cast<void*>(memory));
  return kOk;
}
CudaResult cuMemsetD8_v2(CudaPointer memory, unsigned char value, std::size_t bytes) {
  std::memset(reinterpret_cast<void*>(memory), value, bytes);
  return kOk;
}
CudaResult cuMemHostAlloc(void** memory, std::size_t bytes, unsigned) {
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return kOk;
}
CudaResult cuMemFreeHost(void* memory) {
  wait_for_kernels();
  std::free(memory);
  return kOk;
}
CudaResult cuMemHostGetDevicePointer_v2(CudaPointer* device, void* host, unsigned) {
  *device = reinterpret_cast<CudaPointer>(host);
  return kOk;
}
CudaResult cuMemcpyHtoD_v2(CudaPointer to, const void* from, std::size_t bytes) {
  if (is_lost()) return kLost;
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return kOk;
}
CudaResult cuMemcpyDtoH_v2(void* to, CudaPointer from, std::size_t bytes) {
  if (is_lost()) return kLost;
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return kOk;
}
CudaResult cuEventCreate(void** event, unsigned) {
  *event = new std::chrono::steady_clock::time_point;
  return kOk;
}
CudaResult cuEventDestroy_v2(void* event) {
  delete static_cast<std::chrono::steady_clock::time_point*>(event);
  return kOk;
}
CudaResult cuEventRecord(void* event, void*) {
  if (worker.joinable()) worker.join();
  *static_cast<std::chrono::steady_clock::time_point*>(event) = std::chrono::steady_clock::now();
  return kOk;
}
CudaResult cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
  *milliseconds = std::chrono::duration<float, std::milli>(
                      *static_cast<std::chrono::steady_clock::time_point*>(end) -
                      *static_cast<std::chrono::steady_clock::time_point*>(begin))
                      .count();
  return kOk;
}
CudaResult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* count, void*, int, std::size_t) {
  *count = 1;
  return kOk;
}
CudaResult cuOccupancyMaxActiveClusters(int* count, void*, const instep::CudaLaunchConfig*) {
  *count = 2;
  return kOk;
}
CudaResult cuLaunchKernel(void* function, unsigned blocks, unsigned, unsigned, unsigned, unsigned,
                          unsigned, unsigned, void*, void** arguments, void**) {
  ++launches;
  if (is_lost()) return kLost;
  if (worker.joinable()) worker.join();
  meet_fault_of_file();
  if (arguments == nullptr) {
    run_other(static_cast<const Function*>(function)->name);
    return kOk;
  }
  const bool is_it = launches == fault().launch;
  if (is_it && (fault().kind == "silent" || fault().kind == "killed")) {
    stream_result = fault().kind == "silent" ? instep::kCudaNotReady : kTimedOut;
    return kOk;
  }
  stream_result = instep::kCudaNotReady;
  const cuda::Parameters& parameters = **reinterpret_cast<cuda::Parameters**>(arguments);
  worker = std::thread(run_kernel, *static_cast<const Function*>(function), parameters,
                       static_cast<int>(blocks / parameters.blocks));
  return kOk;
}
}

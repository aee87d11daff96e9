// A library to put before the CUDA driver (INSTEP_LIBCUDA): everything goes to libcuda.so.1, but
// for one launch. What that does to the context is real. INSTEP_CUDA_FAULT says which, and what
// runs in its place:
//
//   trap:N    the N-th launch ends in an error that the context does not survive
//   spin:N    the N-th launch goes on for five seconds
#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

using Result = int;

constexpr const char* kKernels = R"(.version 6.4
.target sm_53
.address_size 64
.visible .entry instep_trap()
{
  trap;
  ret;
}
.visible .entry instep_spin()
{
  .reg .b64 %end;
  .reg .b64 %now;
  .reg .pred %is_early;
  mov.u64 %end, %globaltimer;
  add.u64 %end, %end, 5000000000;
again:
  mov.u64 %now, %globaltimer;
  setp.lt.u64 %is_early, %now, %end;
  @%is_early bra again;
  ret;
}
)";

// The driver's own function of that name.
template <typename Function>
Function real(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  return reinterpret_cast<Function>(dlsym(library, name));
}

// The kernel that INSTEP_CUDA_FAULT wants in place of this launch, or null.
const char* kernel_in_place() {
  static std::atomic<int> launches{0};
  const char* text = std::getenv("INSTEP_CUDA_FAULT");
  const std::string fault = text == nullptr ? "" : text;
  const std::size_t colon = fault.find(':');
  if (colon == std::string::npos || ++launches != std::atoi(fault.c_str() + colon + 1)) {
    return nullptr;
  }
  return fault.compare(0, colon, "trap") == 0 ? "instep_trap" : "instep_spin";
}

}  // namespace

extern "C" Result cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                 unsigned block_x, unsigned block_y, unsigned block_z,
                                 unsigned shared_bytes, void* stream, void** parameters,
                                 void** extra) {
  const auto launch = real<decltype(&cuLaunchKernel)>("cuLaunchKernel");
  const char* name = kernel_in_place();
  if (name == nullptr) {
    return launch(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream,
                  parameters, extra);
  }
  using Load = Result (*)(void**, const void*, unsigned, int*, void**);
  using Find = Result (*)(void**, void*, const char*);
  void* module = nullptr;
  void* other = nullptr;
  Result result = real<Load>("cuModuleLoadDataEx")(&module, kKernels, 0, nullptr, nullptr);
  if (result == 0) result = real<Find>("cuModuleGetFunction")(&other, module, name);
  if (result != 0) return result;
  return launch(other, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, nullptr);
}

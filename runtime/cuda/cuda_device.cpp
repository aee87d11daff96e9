#include "runtime/cuda/cuda_device.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <vector>

#include "runtime/cuda/embedded_ptx.h"

namespace instep {
namespace {

constexpr std::chrono::seconds kAnswerTimeout{2};
constexpr std::uint32_t kLeaseMs = 100;
constexpr unsigned kClusterBlocks = 8;  // as the kernel's text has it
// A stream whose kernels wait for copies that the driver still has under way.
constexpr unsigned kAfterCopies = 0;

}  // namespace

int cuda_attribute(const Libcuda& cuda, CudaAttribute which) {
  int value = 0;
  return cuda.device_attribute(&value, which, 0) == kCudaSuccess ? value : 0;
}

bool CudaDevice::check(CudaResult result, const char* what) {
  if (result == kCudaSuccess) return true;
  problem_ = std::string(what) + ": " + cuda_result_text(result);
  return false;
}

bool CudaDevice::take(CudaPointer& memory, std::size_t bytes) {
  return check(cuda_->memory_take(&memory, bytes), "taking memory");
}

bool CudaDevice::open(const Learner& like, int agents) {
  agents_ = agents;
  cuda_ = open_libcuda(problem_);
  if (cuda_ == nullptr) return false;
  char name[128] = "";
  cuda_->device_name(name, sizeof name - 1, 0);
  name_ = name;
  return check(cuda_->context_retain(&context_, 0), "opening the GPU") &&
         check(cuda_->context_set(context_), "opening the GPU") &&
         check(cuda_->stream_create(&stream_, kAfterCopies), "opening the GPU") &&
         check(cuda_->event_create(&begin_, 0), "opening the GPU") &&
         check(cuda_->event_create(&end_, 0), "opening the GPU") && open_memory(like) &&
         open_kernel();
}

bool CudaDevice::open_kernel() {
  const char* ptx = kEmbeddedPtx[static_cast<std::size_t>(team_)];
  const char* name = kind_ == KernelKind::kResident ? "instep_resident" : "instep_launched";
  constexpr int kMaxDynamicSharedBytes = 8;
  return check(cuda_->module_load(&module_, ptx, 0, nullptr, nullptr), "compiling the kernels") &&
         check(cuda_->module_function(&function_, module_, name), "compiling the kernels") &&
         (shared_bytes_ == 0 || check(cuda_->function_attribute(function_, kMaxDynamicSharedBytes,
                                                                static_cast<int>(shared_bytes_)),
                                      "taking shared memory"));
}

bool CudaDevice::open_memory(const Learner& like) {
  const Layout& layout = like.layout;
  const auto agents = static_cast<std::size_t>(agents_);
  const auto exchange_floats = static_cast<std::size_t>(cuda::make_exchange_layout(layout).floats);
  bool is_on_chip = false;
  threads_ = team_ == TeamKind::kBlock ? 192 : 256;
  if (team_ == TeamKind::kGrid) {
    // A power of two: the count of arrivals at a barrier wraps at the end of a round.
    parameters_.blocks = std::bit_floor(
        static_cast<std::uint32_t>(std::clamp(cuda_attribute(*cuda_, kMultiprocessors), 2, 8)));
  } else if (team_ == TeamKind::kCluster) {
    parameters_.blocks = kClusterBlocks;
    shared_bytes_ = static_cast<unsigned>(exchange_floats * sizeof(float));
    const auto weights = static_cast<unsigned>(cuda::on_chip_floats(layout, kClusterBlocks)) *
                         static_cast<unsigned>(sizeof(float));
    // What a block has of its own besides: its own memory and a kilobyte of the system's.
    constexpr unsigned kOwnBytes = 17 * 1024;
    const auto limit = static_cast<unsigned>(cuda_attribute(*cuda_, kSharedBytesOptIn));
    is_on_chip = shared_bytes_ + weights + kOwnBytes <= limit;
    if (is_on_chip) shared_bytes_ += weights;
  }
  block_bytes_ = layout.bytes;
  constexpr unsigned kMapped = 2;
  CudaPointer mapped_device = 0;
  const std::size_t replies_at = agents * sizeof(cuda::Request);
  if (!(take(blocks_, agents * block_bytes_) &&
        take(learners_, agents * sizeof(cuda::DeviceLearner)) &&
        take(exchanges_, agents * exchange_floats * sizeof(float)) &&
        take(meetings_, agents * sizeof(cuda::Meeting)) &&
        check(cuda_->memory_set(meetings_, 0, agents * sizeof(cuda::Meeting)), "clearing memory") &&
        check(cuda_->host_take(&mapped_, replies_at + agents * sizeof(cuda::Reply), kMapped),
              "taking mapped memory") &&
        check(cuda_->host_pointer(&mapped_device, mapped_, 0), "taking mapped memory"))) {
    return false;
  }
  requests_ = static_cast<cuda::Request*>(mapped_);
  replies_ = reinterpret_cast<cuda::Reply*>(static_cast<std::uint8_t*>(mapped_) + replies_at);
  std::uninitialized_value_construct_n(requests_, agents);
  std::uninitialized_value_construct_n(replies_, agents);
  std::vector<cuda::DeviceLearner> learners;
  for (std::size_t agent = 0; agent < agents; ++agent) {
    auto* block = reinterpret_cast<std::uint8_t*>(blocks_ + agent * block_bytes_);
    learners.push_back(make_device_learner(like, block, is_on_chip));
    learners.back().exchange = reinterpret_cast<float*>(exchanges_) + agent * exchange_floats;
  }
  parameters_.learners = reinterpret_cast<const cuda::DeviceLearner*>(learners_);
  parameters_.requests = reinterpret_cast<const cuda::Request*>(mapped_device);
  parameters_.replies = reinterpret_cast<cuda::Reply*>(mapped_device + replies_at);
  parameters_.meetings = reinterpret_cast<cuda::Meeting*>(meetings_);
  parameters_.exchange_floats = static_cast<std::uint32_t>(exchange_floats);
  parameters_.lease_ms = kLeaseMs;
  return check(
      cuda_->copy_to_device(learners_, learners.data(), agents * sizeof(cuda::DeviceLearner)),
      "copying");
}

void CudaDevice::close() {
  if (context_ == nullptr || is_running_) return;
  if (module_ != nullptr) cuda_->module_unload(module_);
  for (const CudaPointer memory : {blocks_, learners_, exchanges_, meetings_}) {
    if (memory != 0) cuda_->memory_free(memory);
  }
  if (mapped_ != nullptr) cuda_->host_free(mapped_);
  for (void* event : {begin_, end_}) {
    if (event != nullptr) cuda_->event_destroy(event);
  }
  if (stream_ != nullptr) cuda_->stream_destroy(stream_);
  cuda_->context_release(0);
  context_ = nullptr;
}

bool CudaDevice::upload(int agent, const std::uint8_t* block) {
  const CudaPointer to = blocks_ + static_cast<std::size_t>(agent) * block_bytes_;
  return check(cuda_->copy_to_device(to, block, block_bytes_), "copying");
}

bool CudaDevice::download(int agent, std::uint8_t* block) {
  const CudaPointer from = blocks_ + static_cast<std::size_t>(agent) * block_bytes_;
  return check(cuda_->copy_to_host(block, from, block_bytes_), "copying");
}

bool CudaDevice::launch(std::uint32_t sequence, std::uint32_t repeats) {
  parameters_.sequence = sequence;
  parameters_.repeats = repeats;
  for (int agent = 0; agent < agents_; ++agent) {
    __atomic_store_n(&reply(agent).has_left, 0U, __ATOMIC_RELEASE);
  }
  void* arguments[] = {&parameters_};
  const unsigned blocks = parameters_.blocks * static_cast<unsigned>(agents_);
  is_running_ = check(cuda_->launch(function_, blocks, 1, 1, threads_, 1, 1, shared_bytes_, stream_,
                                    arguments, nullptr),
                      "launching a kernel");
  return is_running_;
}

bool CudaDevice::wait() {
  const auto end = std::chrono::steady_clock::now() + kAnswerTimeout;
  CudaResult result = kCudaNotReady;
  while (result == kCudaNotReady && std::chrono::steady_clock::now() < end) {
    result = cuda_->stream_query(stream_);
  }
  is_running_ = result == kCudaNotReady;
  return check(result, "waiting for a kernel");
}

bool CudaDevice::is_alive() {
  const CudaResult result = cuda_->stream_query(stream_);
  is_running_ = result == kCudaNotReady;
  return is_running_ || check(result, "waiting for a kernel");
}

void CudaDevice::set_timed_out() {
  check(kCudaNotReady, "waiting for a kernel");
}

bool CudaDevice::time_launch(std::uint32_t repeats, double& microseconds) {
  float milliseconds = 0.0F;
  const bool is_done = check(cuda_->event_record(begin_, stream_), "timing a kernel") &&
                       launch(0, repeats) &&
                       check(cuda_->event_record(end_, stream_), "timing a kernel") && wait() &&
                       check(cuda_->event_elapsed(&milliseconds, begin_, end_), "timing a kernel");
  microseconds = static_cast<double>(milliseconds) * 1e3;
  return is_done;
}

int CudaDevice::agents_at_once() const {
  int count = 0;
  if (team_ == TeamKind::kCluster) {
    CudaLaunchConfig config;
    config.grid_x = parameters_.blocks;
    config.block_x = threads_;
    config.shared_bytes = shared_bytes_;
    const bool is_known = cuda_->clusters_at_once != nullptr &&
                          cuda_->clusters_at_once(&count, function_, &config) == kCudaSuccess;
    return is_known ? count : 0;
  }
  if (cuda_->blocks_at_once(&count, function_, static_cast<int>(threads_), shared_bytes_) !=
      kCudaSuccess) {
    return 0;
  }
  return count * cuda_attribute(*cuda_, kMultiprocessors) / static_cast<int>(parameters_.blocks);
}

}  // namespace instep

#include "runtime/cuda/cuda_learner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/check.h"
#include "kernels/cuda/device.h"
#include "runtime/cuda/embedded_ptx.h"

namespace instep {
namespace {

constexpr std::int64_t kAnswerTimeout_ns = 2'000'000'000;
constexpr std::int64_t kCopyPeriod_ns = 900'000'000;
constexpr std::uint32_t kLease_ms = 100;
constexpr std::size_t kBlockAlignment = 256;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

CudaHealth& health() {
  static CudaHealth value;
  return value;
}

int attribute(const Libcuda& cuda, int which) {
  int value = 0;
  cuda.device_attribute(&value, which, 0);
  return value;
}

struct Team {
  TeamKind kind = TeamKind::kBlock;
  bool is_resident = false;
};

class CudaLearner {
 public:
  CudaLearner(const Learner& learner, const Team& team)
      : block_(learner.block), layout_(learner.layout), copy_(learner.layout.bytes), team_(team) {
    cpu_ = executors(learner.settings.arithmetic).front();
    std::string problem;
    cuda_ = open_libcuda(problem);
    if (cuda_ == nullptr || !open(learner)) fall_back(learner, problem);
  }
  ~CudaLearner() { close(); }
  CudaLearner(const CudaLearner&) = delete;
  CudaLearner& operator=(const CudaLearner&) = delete;

  const std::uint8_t* block() const { return block_; }

  void observe(const Learner& learner, const double* observation);
  void act(const Learner& learner, const float* noise);
  void learn(const Learner& learner, double reward, bool terminated, bool truncated,
             const float* next_noise);
  void prepare(const Learner& learner);
  void flush(const Learner& learner);
  void drop(const Learner& learner);
  void fetch(const Learner& learner);

 private:
  bool check(CudaResult result, const char* what);
  bool open(const Learner& learner);
  bool open_kernel();
  bool open_memory(const Learner& learner);
  void close();
  bool submit(const Learner& learner, std::uint32_t operations);
  bool upload();
  bool launch();
  bool wait_for_answer();
  bool wait_for_stream();
  bool leave();
  void take_reply();
  void copy_if_due();
  void fall_back(const Learner& learner, const std::string& problem);
  void run_on_cpu(const Learner& learner, std::uint32_t operations);

  const Libcuda* cuda_ = nullptr;
  std::uint8_t* block_;
  Layout layout_;
  const Executor* cpu_ = nullptr;
  std::vector<std::uint8_t> copy_;  // of the block, between two ticks
  Team team_;
  unsigned blocks_ = 1;
  unsigned threads_ = 192;
  unsigned shared_bytes_ = 0;
  void* context_ = nullptr;
  void* stream_ = nullptr;
  void* module_ = nullptr;
  void* function_ = nullptr;
  CudaPointer device_block_ = 0;
  CudaPointer device_learner_ = 0;
  CudaPointer device_exchange_ = 0;
  CudaPointer device_meeting_ = 0;
  struct Mapped {
    cuda::Request request;
    alignas(64) cuda::Reply reply;
  };
  Mapped* mapped_ = nullptr;
  cuda::Parameters parameters_;
  std::string problem_;
  std::uint32_t staged_ = 0;
  std::uint32_t sequence_ = 0;
  bool is_on_cpu_ = false;
  bool is_host_current_ = true;
  bool is_running_ = false;  // a resident kernel
  std::int64_t copy_ns_ = 0;
  std::int64_t updates_ = 0;
  std::int64_t copied_updates_ = 0;
};

bool CudaLearner::check(CudaResult result, const char* what) {
  if (result == kCudaSuccess) return true;
  problem_ = std::string(what) + ": " + cuda_result_text(result);
  return false;
}

bool CudaLearner::open(const Learner& learner) {
  char name[128] = "";
  cuda_->device_name(name, sizeof name - 1, 0);
  health().device = name;
  return check(cuda_->context_retain(&context_, 0), "opening the GPU") &&
         check(cuda_->context_set(context_), "opening the GPU") &&
         check(cuda_->stream_create(&stream_, 1), "opening the GPU") && open_memory(learner) &&
         open_kernel();
}

bool CudaLearner::open_kernel() {
  const char* ptx = kEmbeddedPtx[static_cast<std::size_t>(team_.kind)];
  const char* name = team_.is_resident ? "instep_resident" : "instep_launched";
  constexpr int kMaxDynamicSharedBytes = 8;
  return check(cuda_->module_load(&module_, ptx, 0, nullptr, nullptr), "compiling the kernels") &&
         check(cuda_->module_function(&function_, module_, name), "finding the kernel") &&
         (shared_bytes_ == 0 || check(cuda_->function_attribute(function_, kMaxDynamicSharedBytes,
                                                                static_cast<int>(shared_bytes_)),
                                      "asking for shared memory"));
}

bool CudaLearner::open_memory(const Learner& learner) {
  const auto exchange_floats = cuda::make_exchange_layout(layout_).floats;
  cuda::DeviceLearner device = make_device_learner(learner, nullptr);
  if (team_.kind == TeamKind::kGrid) {
    blocks_ = static_cast<unsigned>(std::clamp(attribute(*cuda_, kMultiprocessors), 2, 8));
    threads_ = 256;
  } else if (team_.kind == TeamKind::kCluster) {
    blocks_ = 8;
    threads_ = 256;
    shared_bytes_ = static_cast<unsigned>(exchange_floats) * sizeof(float);
    const auto resident = shared_bytes_ + static_cast<unsigned>(cuda::resident_floats(layout_, 8)) *
                                              static_cast<unsigned>(sizeof(float));
    // What a block has of its own besides: its scratch memory and a kilobyte of the system's.
    constexpr unsigned kOwnBytes = 17 * 1024;
    if (resident + kOwnBytes <= static_cast<unsigned>(attribute(*cuda_, kSharedBytesOptIn))) {
      device.is_resident = 1;
      shared_bytes_ = resident;
    }
  }
  void* mapped = nullptr;
  constexpr unsigned kMapped = 2;
  CudaPointer mapped_device = 0;
  if (!(check(cuda_->memory_take(&device_block_, layout_.bytes), "taking memory") &&
        check(cuda_->memory_take(&device_learner_, sizeof device), "taking memory") &&
        check(cuda_->memory_take(&device_exchange_,
                                 static_cast<std::size_t>(exchange_floats) * sizeof(float)),
              "taking memory") &&
        check(cuda_->memory_take(&device_meeting_, kBlockAlignment), "taking memory") &&
        check(cuda_->memory_set(device_meeting_, 0, kBlockAlignment), "clearing memory") &&
        check(cuda_->host_take(&mapped, sizeof(Mapped), kMapped), "taking mapped memory") &&
        check(cuda_->host_pointer(&mapped_device, mapped, 0), "taking mapped memory"))) {
    return false;
  }
  mapped_ = new (mapped) Mapped;
  device.block = reinterpret_cast<std::uint8_t*>(device_block_);
  device.exchange = reinterpret_cast<float*>(device_exchange_);
  parameters_.learners = reinterpret_cast<const cuda::DeviceLearner*>(device_learner_);
  parameters_.requests = reinterpret_cast<const cuda::Request*>(mapped_device);
  parameters_.replies = reinterpret_cast<cuda::Reply*>(mapped_device + offsetof(Mapped, reply));
  parameters_.meetings = reinterpret_cast<cuda::Meeting*>(device_meeting_);
  parameters_.blocks = blocks_;
  parameters_.exchange_floats = static_cast<std::uint32_t>(exchange_floats);
  parameters_.lease_ms = kLease_ms;
  return check(cuda_->copy_to_device(device_learner_, &device, sizeof device), "copying");
}

void CudaLearner::close() {
  if (cuda_ == nullptr || context_ == nullptr) return;
  if (is_running_ && !is_on_cpu_) leave();
  if (module_ != nullptr) cuda_->module_unload(module_);
  for (const CudaPointer memory :
       {device_block_, device_learner_, device_exchange_, device_meeting_}) {
    if (memory != 0) cuda_->memory_free(memory);
  }
  // A kernel that hangs may still read what is mapped.
  if (mapped_ != nullptr && !is_running_) cuda_->host_free(mapped_);
  if (stream_ != nullptr) cuda_->stream_destroy(stream_);
  cuda_->context_release(0);
  context_ = nullptr;
}

bool CudaLearner::upload() {
  if (!is_host_current_) return true;
  if (!leave()) return false;
  if (!check(cuda_->copy_to_device(device_block_, block_, layout_.bytes), "copying")) return false;
  std::memcpy(copy_.data(), block_, copy_.size());
  copied_updates_ = updates_;
  is_host_current_ = false;
  return true;
}

bool CudaLearner::launch() {
  parameters_.sequence = sequence_;
  __atomic_store_n(&mapped_->reply.has_left, 0U, __ATOMIC_RELEASE);
  void* arguments[] = {&parameters_};
  return check(cuda_->launch(function_, blocks_, 1, 1, threads_, 1, 1, shared_bytes_, stream_,
                             arguments, nullptr),
               "launching a kernel");
}

bool CudaLearner::wait_for_stream() {
  const std::int64_t end_ns = now_ns() + kAnswerTimeout_ns;
  CudaResult result = kCudaNotReady;
  while (result == kCudaNotReady && now_ns() < end_ns) result = cuda_->stream_query(stream_);
  return check(result, "waiting for a kernel");
}

// The resident kernel answers, or has left before it took the request, or fails, or is silent.
bool CudaLearner::wait_for_answer() {
  const std::int64_t end_ns = now_ns() + kAnswerTimeout_ns;
  for (std::int64_t polls = 1; now_ns() < end_ns; ++polls) {
    if (cuda::load_system(&mapped_->reply.sequence) == sequence_) return true;
    if (cuda::load_system(&mapped_->reply.has_left) != 0) {
      if (!wait_for_stream()) return false;
      if (cuda::load_system(&mapped_->reply.sequence) == sequence_) {
        is_running_ = false;
        return true;
      }
      --sequence_;
      const bool is_launched = launch();
      ++sequence_;
      if (!is_launched) return false;
    }
    if (polls % 4096 == 0) {
      const CudaResult result = cuda_->stream_query(stream_);
      if (result != kCudaNotReady && !check(result, "waiting for a kernel")) return false;
    }
  }
  return check(kCudaNotReady, "waiting for a kernel");
}

// Asks a resident kernel to end, so that the block of memory is whole.
bool CudaLearner::leave() {
  if (!is_running_) return true;
  mapped_->request.operations = cuda::kLeave;
  cuda::store_system(&mapped_->request.sequence, sequence_ + 1);
  if (!wait_for_stream()) return false;
  cuda::store_system(&mapped_->request.sequence, sequence_);
  is_running_ = false;
  return true;
}

void CudaLearner::take_reply() {
  auto& state = *reinterpret_cast<LearnerState*>(block_);
  state = mapped_->reply.state;
  const std::uint32_t tape = state.has_action != 0 ? 1 - state.open_tape : state.open_tape;
  const auto copy = [&](std::size_t offset, const TapeLayout& layout, const float* from) {
    std::memcpy(block_ + offset + layout.d_head * sizeof(float), from,
                cuda::reply_floats(layout) * sizeof(float));
  };
  copy(layout_.actor_tapes[tape], layout_.actor_tape, mapped_->reply.actor_tape);
  copy(layout_.critic_tapes[tape], layout_.critic_tape, mapped_->reply.critic_tape);
}

bool CudaLearner::submit(const Learner& learner, std::uint32_t operations) {
  if (is_on_cpu_) {
    run_on_cpu(learner, operations);
    return true;
  }
  if (!upload()) {
    fall_back(learner, problem_);
    run_on_cpu(learner, operations);
    return false;
  }
  mapped_->request.operations = operations;
  bool is_done = false;
  if (team_.is_resident) {
    const std::uint32_t before = sequence_++;
    cuda::store_system(&mapped_->request.sequence, sequence_);
    bool is_launched = is_running_;
    if (!is_running_) {
      sequence_ = before;
      is_launched = is_running_ = launch();
      sequence_ = before + 1;
    }
    is_done = is_launched && wait_for_answer();
  } else {
    is_done = launch() && wait_for_stream();
  }
  if (!is_done) {
    fall_back(learner, problem_);
    run_on_cpu(learner, operations);
    return false;
  }
  take_reply();
  if ((operations & cuda::kLearn) != 0) ++updates_;
  if ((operations & cuda::kPrepare) != 0) copy_if_due();
  return true;
}

void CudaLearner::copy_if_due() {
  const std::int64_t now = now_ns();
  if (now - copy_ns_ < kCopyPeriod_ns) return;
  copy_ns_ = now;
  // A failure shows with the next request.
  if (!leave()) return;
  if (cuda_->copy_to_host(copy_.data(), device_block_, layout_.bytes) == kCudaSuccess) {
    copied_updates_ = updates_;
  }
}

void CudaLearner::fall_back(const Learner& learner, const std::string& problem) {
  if (!problem.empty()) problem_ = problem;
  is_on_cpu_ = true;
  const auto lost = static_cast<std::uint64_t>(updates_ - copied_updates_);
  ++health().fallbacks;
  health().updates_lost += lost;
  health().last_problem = problem_;
  std::fprintf(
      stderr,
      "instep: warning: the GPU cannot be used (%s): going on on the CPU, path %s, from the "
      "last copy; %llu updates are lost\n",
      problem_.c_str(), std::string(cpu_->path).c_str(), static_cast<unsigned long long>(lost));
  if (is_host_current_) return;  // nothing has been computed elsewhere since
  std::memcpy(block_, copy_.data(), copy_.size());
  is_host_current_ = true;
  // What came after the open transition of the copy is not known any more.
  cpu_->drop(learner);
}

void CudaLearner::run_on_cpu(const Learner& learner, std::uint32_t operations) {
  const cuda::Request& request = mapped_ != nullptr ? mapped_->request : cuda::Request{};
  const LearnerState& state = learner.state();
  if ((operations & cuda::kDrop) != 0) cpu_->drop(learner);
  if ((operations & cuda::kFlush) != 0) cpu_->flush(learner);
  if ((operations & cuda::kObserve) != 0) cpu_->observe(learner, request.observation);
  if ((operations & cuda::kLearn) != 0 && state.is_open != 0) {
    cpu_->learn(learner, request.reward, request.terminated != 0, request.truncated != 0,
                request.next_noise);
  }
  if ((operations & cuda::kAct) != 0) cpu_->act(learner, request.noise);
  if ((operations & cuda::kPrepare) != 0 && state.has_action != 0) cpu_->prepare(learner);
}

// ---------------------------------------------------------------------------------------------------
// The operations: observe waits for what follows it, and learn for prepare where that follows.

void CudaLearner::observe(const Learner& learner, const double* observation) {
  if (is_on_cpu_) return cpu_->observe(learner, observation);
  if (staged_ != 0) submit(learner, std::exchange(staged_, 0));
  if (is_on_cpu_) return cpu_->observe(learner, observation);
  std::copy_n(observation, layout_.shape.observation_dim, mapped_->request.observation);
  staged_ = cuda::kObserve;
  learner.state().has_action = 0;
}

void CudaLearner::act(const Learner& learner, const float* noise) {
  if (is_on_cpu_) return cpu_->act(learner, noise);
  std::copy_n(noise, layout_.shape.action_dim, mapped_->request.noise);
  submit(learner, std::exchange(staged_, 0) | cuda::kAct);
}

void CudaLearner::learn(const Learner& learner, double reward, bool terminated, bool truncated,
                        const float* next_noise) {
  if (is_on_cpu_) {
    if (learner.state().is_open != 0) {
      cpu_->learn(learner, reward, terminated, truncated, next_noise);
    }
    return;
  }
  INSTEP_CHECK(learner.state().is_open != 0);
  cuda::Request& request = mapped_->request;
  request.reward = reward;
  request.terminated = terminated ? 1 : 0;
  request.truncated = truncated ? 1 : 0;
  std::copy_n(next_noise, layout_.shape.action_dim, request.next_noise);
  staged_ |= cuda::kLearn;
  const bool is_avg = layout_.algorithm == Algorithm::kAvg;
  if (is_avg && learner.state().has_action == 0) submit(learner, std::exchange(staged_, 0));
}

void CudaLearner::prepare(const Learner& learner) {
  if (is_on_cpu_) {
    if (learner.state().has_action != 0) cpu_->prepare(learner);
    return;
  }
  submit(learner, std::exchange(staged_, 0) | cuda::kPrepare);
}

void CudaLearner::flush(const Learner& learner) {
  if (is_on_cpu_) return cpu_->flush(learner);
  if (is_host_current_) return cpu_->flush(learner);
  submit(learner, std::exchange(staged_, 0) | cuda::kFlush);
  fetch(learner);
}

void CudaLearner::drop(const Learner& learner) {
  if (is_on_cpu_) return cpu_->drop(learner);
  if (staged_ != 0) submit(learner, std::exchange(staged_, 0));
  submit(learner, cuda::kDrop);
}

void CudaLearner::fetch(const Learner& learner) {
  if (!is_on_cpu_ && staged_ != 0) submit(learner, std::exchange(staged_, 0));
  if (is_on_cpu_ || is_host_current_) return;
  if (!leave() || !check(cuda_->copy_to_host(block_, device_block_, layout_.bytes), "copying")) {
    fall_back(learner, problem_);
    return;
  }
  is_host_current_ = true;
  std::memcpy(copy_.data(), block_, copy_.size());
  copy_ns_ = now_ns();
  copied_updates_ = updates_;
}

// ---------------------------------------------------------------------------------------------------
// Executors

// The learners on a GPU, by their blocks. Few, and opened before the loop starts.
std::vector<std::unique_ptr<CudaLearner>>& open_learners() {
  thread_local std::vector<std::unique_ptr<CudaLearner>> learners;
  return learners;
}

CudaLearner& learner_of(const Learner& learner) {
  for (const auto& open : open_learners()) {
    if (open->block() == learner.block) return *open;
  }
  check_failed("the learner is attached", __FILE__, __LINE__);
}

template <TeamKind kKind, bool kResident>
Executor make_executor(std::string_view path, Arithmetic arithmetic) {
  Executor executor;
  executor.path = path;
  executor.arithmetic = arithmetic;
  executor.observe = [](const Learner& l, const double* o) { learner_of(l).observe(l, o); };
  executor.act = [](const Learner& l, const float* noise) { learner_of(l).act(l, noise); };
  executor.learn = [](const Learner& l, double reward, bool terminated, bool truncated,
                      const float* noise) {
    learner_of(l).learn(l, reward, terminated, truncated, noise);
  };
  executor.prepare = [](const Learner& l) { learner_of(l).prepare(l); };
  executor.flush = [](const Learner& l) { learner_of(l).flush(l); };
  executor.drop = [](const Learner& l) { learner_of(l).drop(l); };
  executor.attach = [](const Learner& l) {
    open_learners().push_back(std::make_unique<CudaLearner>(l, Team{kKind, kResident}));
  };
  executor.fetch = [](const Learner& l) { learner_of(l).fetch(l); };
  executor.detach = [](const Learner& l) {
    std::erase_if(open_learners(), [&](const auto& open) { return open->block() == l.block; });
  };
  return executor;
}

struct CudaPaths {
  std::array<Executor, 6> executors;
  std::array<const Executor*, 6> list{};
  std::size_t count = 0;
  void add(const Executor& executor) {
    executors[count] = executor;
    list[count] = &executors[count];
    ++count;
  }
};

CudaPaths list_paths(const Libcuda& cuda, Arithmetic arithmetic) {
  CudaPaths paths;
  const bool may_stay = attribute(cuda, kKernelTimeLimit) == 0;
  const bool is_integrated = attribute(cuda, kIsIntegrated) != 0;
  const auto add = [&](const Executor& launched, const Executor& resident) {
    if (may_stay && !is_integrated) paths.add(resident);
    paths.add(launched);
    if (may_stay && is_integrated) paths.add(resident);
  };
  if (attribute(cuda, kComputeMajor) >= 9) {
    add(make_executor<TeamKind::kCluster, false>("cuda_cluster", arithmetic),
        make_executor<TeamKind::kCluster, true>("cuda_cluster_resident", arithmetic));
  }
  if (attribute(cuda, kMultiprocessors) > 1) {
    add(make_executor<TeamKind::kGrid, false>("cuda_grid", arithmetic),
        make_executor<TeamKind::kGrid, true>("cuda_grid_resident", arithmetic));
  }
  add(make_executor<TeamKind::kBlock, false>("cuda_block", arithmetic),
      make_executor<TeamKind::kBlock, true>("cuda_block_resident", arithmetic));
  return paths;
}

}  // namespace

const CudaHealth& cuda_health() {
  return health();
}

std::span<const Executor* const> cuda_executors(Arithmetic arithmetic, std::string& problem) {
  const Libcuda* cuda = open_libcuda(problem);
  if (cuda == nullptr) return {};
  if (kEmbeddedPtx[0] == nullptr) {
    problem = "this build has no CUDA kernels (it was made without clang)";
    return {};
  }
  static CudaPaths paths[2];
  CudaPaths& mine = paths[static_cast<std::size_t>(arithmetic)];
  if (mine.count == 0) {
    mine = list_paths(*cuda, arithmetic);
    for (std::size_t i = 0; i < mine.count; ++i) mine.list[i] = &mine.executors[i];
  }
  return {mine.list.data(), mine.count};
}

}  // namespace instep

#include "runtime/cuda/emulated_device.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "kernels/check.h"
#include "kernels/cuda/kernels.h"

namespace instep {
namespace {

template <bool kCluster>
struct EmulatedTeam {
  using SharedMemory = cuda::Shared<cuda::kGroupsMax>;
  static constexpr bool kHasExchangeCopies = kCluster;
  static constexpr bool kHasOnChip = kCluster;

  Emulator* emulator;
  EmulatedDevice::Memory* memory;
  int block_of_all;
  int thread_index;

  int agent() const { return block_of_all / blocks(); }
  int block() const { return block_of_all % blocks(); }
  int blocks() const { return emulator->blocks(); }
  int thread() const { return thread_index; }
  int threads() const { return emulator->threads(); }
  SharedMemory& shared() const;
  float* exchange(int block) const;
  float* on_chip() const;
  std::uint64_t now_ns() const {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
  }
  void signal(std::uint32_t* word, std::uint32_t value) const;
  template <cuda::Barrier kBarrier>
  void block_barrier() const {
    emulator->block_barrier(kBarrier);
  }
  template <cuda::Barrier kBarrier>
  void team_barrier() const {
    emulator->team_barrier(kBarrier);
  }
};

// What every thread of a launch gets.
struct Launch {
  Emulator* emulator;
  EmulatedDevice::Memory* memory;
  const cuda::Parameters* parameters;
};

template <bool kCluster, KernelKind kKind>
void run_thread(void* argument, int block, int thread) {
  const auto& launch = *static_cast<const Launch*>(argument);
  const EmulatedTeam<kCluster> team{launch.emulator, launch.memory, block, thread};
  if (kKind == KernelKind::kLaunched) {
    cuda::run_launched(team, *launch.parameters);
  } else {
    cuda::run_resident(team, *launch.parameters);
  }
}

}  // namespace

// Blocks of a grid share one exchange; blocks of a cluster have one each.
struct EmulatedDevice::Memory {
  std::vector<cuda::Shared<cuda::kGroupsMax>> blocks;
  std::vector<std::vector<float>> exchanges;
  std::vector<std::vector<float>> on_chip;
  std::function<void()> on_signal;
};

namespace {

template <bool kCluster>
typename EmulatedTeam<kCluster>::SharedMemory& EmulatedTeam<kCluster>::shared() const {
  return memory->blocks[static_cast<std::size_t>(block_of_all)];
}

template <bool kCluster>
float* EmulatedTeam<kCluster>::exchange(int block) const {
  return memory
      ->exchanges[static_cast<std::size_t>(kCluster ? agent() * blocks() + block : agent())]
      .data();
}

template <bool kCluster>
float* EmulatedTeam<kCluster>::on_chip() const {
  return kCluster ? memory->on_chip[static_cast<std::size_t>(block_of_all)].data() : nullptr;
}

template <bool kCluster>
void EmulatedTeam<kCluster>::signal(std::uint32_t* word, std::uint32_t value) const {
  cuda::store_system(word, value);
  if (memory->on_signal) memory->on_signal();
}

}  // namespace

EmulatedDevice::EmulatedDevice(const TeamShape& shape, const Layout& layout, int agents)
    : emulator_(agents, shape.blocks, shape.threads),
      shape_(shape),
      memory_(std::make_unique<Memory>()) {
  INSTEP_CHECK(shape.threads % cuda::kGroup == 0);
  const bool is_cluster = shape.kind == TeamKind::kCluster;
  const auto teams = static_cast<std::size_t>(agents);
  const auto blocks = teams * static_cast<std::size_t>(shape.blocks);
  memory_->blocks.resize(blocks);
  const auto exchange_floats = static_cast<std::size_t>(cuda::make_exchange_layout(layout).floats);
  memory_->exchanges.resize(is_cluster ? blocks : teams, std::vector<float>(exchange_floats));
  const auto on_chip_floats = static_cast<std::size_t>(cuda::on_chip_floats(layout, shape.blocks));
  memory_->on_chip.resize(is_cluster ? blocks : 0, std::vector<float>(on_chip_floats));
}

EmulatedDevice::~EmulatedDevice() = default;

void EmulatedDevice::on_signal(std::function<void()> hook) {
  memory_->on_signal = std::move(hook);
}

cuda::DeviceLearner make_device_learner(const Learner& learner, std::uint8_t* block,
                                        bool is_on_chip) {
  cuda::DeviceLearner device;
  device.settings = learner.settings;
  device.is_throughput = learner.schedule == Schedule::kThroughput ? 1 : 0;
  device.is_on_chip = is_on_chip ? 1 : 0;
  device.layout = learner.layout;
  device.block = block;
  return device;
}

bool EmulatedDevice::run(const Learner& learner, const cuda::Request& request) {
  const cuda::DeviceLearner device =
      make_device_learner(learner, learner.block, shape_.kind == TeamKind::kCluster);
  cuda::Reply reply;
  cuda::Parameters parameters;
  parameters.learners = &device;
  parameters.requests = &request;
  parameters.replies = &reply;
  return launch(parameters, KernelKind::kLaunched);
}

bool EmulatedDevice::launch(const cuda::Parameters& parameters, KernelKind kind) {
  // On a device this memory holds whatever was there before: all bits set are NaNs.
  for (auto& block : memory_->blocks) {
    std::memset(static_cast<void*>(&block), 0xFF, sizeof block);
  }
  for (auto* parts : {&memory_->exchanges, &memory_->on_chip}) {
    for (std::vector<float>& part : *parts) {
      std::memset(part.data(), 0xFF, part.size() * sizeof(float));
    }
  }
  Launch launch{&emulator_, memory_.get(), &parameters};
  const bool is_cluster = shape_.kind == TeamKind::kCluster;
  if (kind == KernelKind::kLaunched) {
    return emulator_.launch(is_cluster ? run_thread<true, KernelKind::kLaunched>
                                       : run_thread<false, KernelKind::kLaunched>,
                            &launch);
  }
  return emulator_.launch(is_cluster ? run_thread<true, KernelKind::kResident>
                                     : run_thread<false, KernelKind::kResident>,
                          &launch);
}

// ---------------------------------------------------------------------------------------------------
// Executors

namespace {

constexpr TeamShape kBlockTeam{TeamKind::kBlock, 1, 64};
constexpr TeamShape kGridTeam{TeamKind::kGrid, 4, 64};
constexpr TeamShape kClusterTeam{TeamKind::kCluster, 8, 32};

// The device of this thread for that team and layout; made anew when another layout comes.
template <const TeamShape& kShape>
EmulatedDevice& device_for(const Layout& layout) {
  struct Slot {
    std::unique_ptr<EmulatedDevice> device;
    std::size_t bytes = 0;
    Shape shape;
  };
  thread_local Slot slot;
  if (slot.device == nullptr || slot.bytes != layout.bytes || !(slot.shape == layout.shape)) {
    slot = {std::make_unique<EmulatedDevice>(kShape, layout), layout.bytes, layout.shape};
  }
  return *slot.device;
}

template <const TeamShape& kShape>
void run_operation(const Learner& learner, cuda::Request& request) {
  EmulatedDevice& device = device_for<kShape>(learner.layout);
  if (device.run(learner, request)) return;
  std::fprintf(stderr, "instep: internal error: the CUDA kernel stands still: %s\n",
               device.emulator().problem().c_str());
  std::abort();
}

template <const TeamShape& kShape>
struct Emulated {
  static void observe(const Learner& learner, const double* observation) {
    cuda::Request request;
    request.operations = cuda::kObserve;
    std::copy_n(observation, learner.layout.shape.observation_dim, request.observation);
    run_operation<kShape>(learner, request);
  }
  static void act(const Learner& learner, const float* noise) {
    cuda::Request request;
    request.operations = cuda::kAct;
    std::copy_n(noise, learner.layout.shape.action_dim, request.noise);
    run_operation<kShape>(learner, request);
  }
  static void learn(const Learner& learner, double reward, bool terminated, bool truncated,
                    const float* next_noise) {
    INSTEP_CHECK(learner.state().is_open != 0);
    cuda::Request request;
    request.operations = cuda::kLearn;
    request.reward = reward;
    request.terminated = terminated ? 1 : 0;
    request.truncated = truncated ? 1 : 0;
    std::copy_n(next_noise, learner.layout.shape.action_dim, request.next_noise);
    run_operation<kShape>(learner, request);
  }
  // A loop that does not wait for its GPU acts on the CPU meanwhile.
  static const Executor& host(const Learner& learner) {
    return *find_executor("scalar", learner.settings.arithmetic);
  }
  static void normalize(const Learner& learner, const double* observation, float* out) {
    host(learner).normalize(learner, observation, out);
  }
  static void act_apart(const Learner& learner, std::uint32_t buffer, float* tape,
                        const float* noise) {
    host(learner).act_apart(learner, buffer, tape, noise);
  }
  static void account(const Learner& learner, double reward, float log_prob, bool terminated,
                      bool truncated) {
    host(learner).account(learner, reward, log_prob, terminated, truncated);
  }
  template <std::uint32_t kOperation>
  static void plain(const Learner& learner) {
    cuda::Request request;
    request.operations = kOperation;
    run_operation<kShape>(learner, request);
  }
  static constexpr Executor executor(std::string_view path, Arithmetic arithmetic) {
    Executor result;
    result.path = path;
    result.arithmetic = arithmetic;
    result.observe = observe;
    result.act = act;
    result.learn = learn;
    result.prepare = plain<cuda::kPrepare>;
    result.flush = plain<cuda::kFlush>;
    result.drop = plain<cuda::kDrop>;
    result.normalize = normalize;
    result.act_apart = act_apart;
    result.account = account;
    return result;
  }
};

constexpr Executor kExecutors[2][3] = {
    {Emulated<kBlockTeam>::executor("emulated_block", Arithmetic::kFast),
     Emulated<kGridTeam>::executor("emulated_grid4", Arithmetic::kFast),
     Emulated<kClusterTeam>::executor("emulated_cluster8", Arithmetic::kFast)},
    {Emulated<kBlockTeam>::executor("emulated_block", Arithmetic::kPortable),
     Emulated<kGridTeam>::executor("emulated_grid4", Arithmetic::kPortable),
     Emulated<kClusterTeam>::executor("emulated_cluster8", Arithmetic::kPortable)}};
constexpr std::array<const Executor*, 3> kLists[2] = {
    {&kExecutors[0][0], &kExecutors[0][1], &kExecutors[0][2]},
    {&kExecutors[1][0], &kExecutors[1][1], &kExecutors[1][2]}};

}  // namespace

TeamShape emulated_team(TeamKind kind) {
  if (kind == TeamKind::kBlock) return kBlockTeam;
  return kind == TeamKind::kGrid ? kGridTeam : kClusterTeam;
}

std::span<const Executor* const> emulated_executors(Arithmetic arithmetic) {
  return kLists[static_cast<std::size_t>(arithmetic)];
}

}  // namespace instep

#include "runtime/cuda/cuda_learner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/check.h"
#include "kernels/cuda/device.h"
#include "runtime/cuda/cuda_device.h"
#include "runtime/cuda/embedded_ptx.h"

namespace instep {
namespace {

constexpr std::int64_t kAnswerTimeoutNs = 2'000'000'000;
constexpr std::int64_t kCopyPeriodNs = 900'000'000;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

CudaHealth& health() {
  static CudaHealth value;
  return value;
}

class CudaLearner {
 public:
  CudaLearner(const Learner& learner, TeamKind team, KernelKind kind)
      : block_(learner.block),
        layout_(learner.layout),
        cpu_(*executors(learner.settings.arithmetic).front()),
        copy_(learner.layout.bytes),
        kind_(kind),
        device_(team, kind) {
    const bool is_open = device_.open(learner, 1);
    health().device = device_.name();
    if (!is_open) fall_back(learner);
  }
  ~CudaLearner() { (void)leave(); }
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
  void submit(const Learner& learner, std::uint32_t operations);
  bool upload();
  bool run_request();
  bool wait_for_answer();
  bool leave();
  void take_reply();
  void set_copied();
  void copy_if_due();
  void fall_back(const Learner& learner);
  void run_on_cpu(const Learner& learner, std::uint32_t operations);

  std::uint8_t* block_;
  Layout layout_;
  const Executor& cpu_;
  std::vector<std::uint8_t> copy_;  // of the block, between two ticks
  KernelKind kind_;
  CudaDevice device_;
  std::uint32_t staged_ = 0;    // operations that wait for those that follow them
  std::uint32_t sequence_ = 0;  // of the newest request of a resident kernel
  bool is_on_cpu_ = false;
  bool is_host_current_ = true;  // the block holds what the learner is
  std::int64_t copy_ns_ = 0;     // when the copy was taken
  std::int64_t tick_ns_ = 0;     // when a tick was finished last
  std::int64_t updates_ = 0;
  std::int64_t copied_updates_ = 0;
};

void CudaLearner::set_copied() {
  copy_ns_ = tick_ns_ = now_ns();
  copied_updates_ = updates_;
}

bool CudaLearner::upload() {
  if (!is_host_current_) return true;
  if (!leave() || !device_.upload(0, block_)) return false;
  std::memcpy(copy_.data(), block_, copy_.size());
  set_copied();
  is_host_current_ = false;
  return true;
}

// The resident kernel answers, or has left before it took the request, or fails, or is silent.
bool CudaLearner::wait_for_answer() {
  const std::int64_t end_ns = now_ns() + kAnswerTimeoutNs;
  const cuda::Reply& reply = device_.reply(0);
  for (std::int64_t polls = 1; now_ns() < end_ns; ++polls) {
    if (cuda::load_system(&reply.sequence) == sequence_) return true;
    if (cuda::load_system(&reply.has_left) != 0) {
      if (!device_.wait()) return false;
      if (cuda::load_system(&reply.sequence) == sequence_) return true;
      if (!device_.launch(sequence_ - 1)) return false;
    }
    if (polls % 4096 == 0 && !device_.is_alive()) return false;
  }
  device_.set_timed_out();
  return false;
}

// Asks a resident kernel to end, so that the block on the GPU is whole.
bool CudaLearner::leave() {
  if (is_on_cpu_ || !device_.is_running()) return true;
  device_.request(0).operations = cuda::kLeave;
  cuda::store_system(&device_.request(0).sequence, sequence_ + 1);
  if (!device_.wait()) return false;
  cuda::store_system(&device_.request(0).sequence, sequence_);
  return true;
}

void CudaLearner::take_reply() {
  const cuda::Reply& reply = device_.reply(0);
  auto& state = *reinterpret_cast<LearnerState*>(block_);
  state = reply.state;
  const std::uint32_t tape = state.has_action != 0 ? 1 - state.open_tape : state.open_tape;
  const auto copy = [&](std::size_t offset, const TapeLayout& layout, const float* from) {
    std::memcpy(block_ + offset + layout.d_head * sizeof(float), from,
                cuda::reply_floats(layout) * sizeof(float));
  };
  copy(layout_.actor_tapes[tape], layout_.actor_tape, reply.actor_tape);
  copy(layout_.critic_tapes[tape], layout_.critic_tape, reply.critic_tape);
}

bool CudaLearner::run_request() {
  if (kind_ == KernelKind::kLaunched) return device_.launch(0) && device_.wait();
  cuda::store_system(&device_.request(0).sequence, ++sequence_);
  return (device_.is_running() || device_.launch(sequence_ - 1)) && wait_for_answer();
}

void CudaLearner::submit(const Learner& learner, std::uint32_t operations) {
  if (is_on_cpu_) return run_on_cpu(learner, operations);
  bool is_done = upload();
  if (is_done) {
    device_.request(0).operations = operations;
    is_done = run_request();
  }
  if (!is_done) {
    fall_back(learner);
    return run_on_cpu(learner, operations);
  }
  take_reply();
  if ((operations & cuda::kLearn) != 0) ++updates_;
  if ((operations & cuda::kPrepare) != 0) copy_if_due();
}

void CudaLearner::copy_if_due() {
  const std::int64_t now = now_ns();
  if (now - copy_ns_ < kCopyPeriodNs) {
    tick_ns_ = now;
    return;
  }
  // A failure shows with the next request.
  if (leave() && device_.download(0, copy_.data())) set_copied();
}

void CudaLearner::fall_back(const Learner& learner) {
  is_on_cpu_ = true;
  const auto lost = static_cast<std::uint64_t>(updates_ - copied_updates_);
  const double lost_s = static_cast<double>(tick_ns_ - copy_ns_) * 1e-9;
  CudaHealth& all = health();
  ++all.fallbacks;
  all.updates_lost += lost;
  all.seconds_lost = std::max(all.seconds_lost, lost_s);
  all.last_problem = device_.problem();
  std::fprintf(stderr,
               "instep: warning: the GPU cannot be used (%s): going on on the CPU, path %s, from "
               "the last copy; %llu updates of %.2f s are lost\n",
               device_.problem().c_str(), std::string(cpu_.path).c_str(),
               static_cast<unsigned long long>(lost), lost_s);
  if (is_host_current_) return;  // nothing has been computed elsewhere since
  std::memcpy(block_, copy_.data(), copy_.size());
  is_host_current_ = true;
  // What came after the open transition of the copy is not known any more.
  cpu_.drop(learner);
}

void CudaLearner::run_on_cpu(const Learner& learner, std::uint32_t operations) {
  const cuda::Request& request = device_.request(0);
  const LearnerState& state = learner.state();
  if ((operations & cuda::kDrop) != 0) cpu_.drop(learner);
  if ((operations & cuda::kFlush) != 0) cpu_.flush(learner);
  if ((operations & cuda::kObserve) != 0) cpu_.observe(learner, request.observation);
  if ((operations & cuda::kLearn) != 0 && state.is_open != 0) {
    cpu_.learn(learner, request.reward, request.terminated != 0, request.truncated != 0,
               request.next_noise);
  }
  if ((operations & cuda::kAct) != 0) cpu_.act(learner, request.noise);
  if ((operations & cuda::kPrepare) != 0 && state.has_action != 0) cpu_.prepare(learner);
}

// ---------------------------------------------------------------------------------------------------
// The operations: observe waits for what follows it, and learn for prepare where that follows.

void CudaLearner::observe(const Learner& learner, const double* observation) {
  if (is_on_cpu_) return cpu_.observe(learner, observation);
  if (staged_ != 0) submit(learner, std::exchange(staged_, 0));
  if (is_on_cpu_) return cpu_.observe(learner, observation);
  std::copy_n(observation, layout_.shape.observation_dim, device_.request(0).observation);
  staged_ = cuda::kObserve;
  learner.state().has_action = 0;
}

void CudaLearner::act(const Learner& learner, const float* noise) {
  if (is_on_cpu_) return cpu_.act(learner, noise);
  std::copy_n(noise, layout_.shape.action_dim, device_.request(0).noise);
  submit(learner, std::exchange(staged_, 0) | cuda::kAct);
}

void CudaLearner::learn(const Learner& learner, double reward, bool terminated, bool truncated,
                        const float* next_noise) {
  if (is_on_cpu_) {
    if (learner.state().is_open != 0) {
      cpu_.learn(learner, reward, terminated, truncated, next_noise);
    }
    return;
  }
  INSTEP_CHECK(learner.state().is_open != 0);
  cuda::Request& request = device_.request(0);
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
    if (learner.state().has_action != 0) cpu_.prepare(learner);
    return;
  }
  submit(learner, std::exchange(staged_, 0) | cuda::kPrepare);
}

void CudaLearner::flush(const Learner& learner) {
  if (is_on_cpu_) return cpu_.flush(learner);
  if (is_host_current_) return cpu_.flush(learner);
  submit(learner, std::exchange(staged_, 0) | cuda::kFlush);
  fetch(learner);
}

void CudaLearner::drop(const Learner& learner) {
  if (is_on_cpu_) return cpu_.drop(learner);
  if (staged_ != 0) submit(learner, std::exchange(staged_, 0));
  submit(learner, cuda::kDrop);
}

void CudaLearner::fetch(const Learner& learner) {
  if (!is_on_cpu_ && staged_ != 0) submit(learner, std::exchange(staged_, 0));
  if (is_on_cpu_ || is_host_current_) return;
  if (!leave() || !device_.download(0, block_)) return fall_back(learner);
  is_host_current_ = true;
  std::memcpy(copy_.data(), block_, copy_.size());
  set_copied();
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

template <TeamKind kTeam, KernelKind kKind>
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
    open_learners().push_back(std::make_unique<CudaLearner>(l, kTeam, kKind));
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

// Both ways to drive a team: the better one first, a kernel that stays only where it may.
template <TeamKind kTeam>
void add_paths(const Libcuda& cuda, Arithmetic arithmetic, std::string_view launched,
               std::string_view resident, CudaPaths& paths) {
  const bool may_stay = cuda_attribute(cuda, kKernelTimeLimit) == 0;
  const bool launches_first = cuda_attribute(cuda, kIsIntegrated) != 0;
  const auto add_resident = [&] {
    if (may_stay) paths.add(make_executor<kTeam, KernelKind::kResident>(resident, arithmetic));
  };
  if (!launches_first) add_resident();
  paths.add(make_executor<kTeam, KernelKind::kLaunched>(launched, arithmetic));
  if (launches_first) add_resident();
}

void list_paths(const Libcuda& cuda, Arithmetic arithmetic, CudaPaths& paths) {
  if (cuda_attribute(cuda, kComputeMajor) >= 9) {
    add_paths<TeamKind::kCluster>(cuda, arithmetic, "cuda_cluster", "cuda_cluster_resident", paths);
  }
  if (cuda_attribute(cuda, kMultiprocessors) > 1) {
    add_paths<TeamKind::kGrid>(cuda, arithmetic, "cuda_grid", "cuda_grid_resident", paths);
  }
  add_paths<TeamKind::kBlock>(cuda, arithmetic, "cuda_block", "cuda_block_resident", paths);
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
  if (mine.count == 0) list_paths(*cuda, arithmetic, mine);
  return {mine.list.data(), mine.count};
}

}  // namespace instep

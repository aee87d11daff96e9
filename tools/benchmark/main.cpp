// instep_bench PEER: one peer of the benchmark, driven by tools/benchmark/bench.py.
//
// Reads requests from standard input, a line each, and answers each with a line of JSON:
//   verify FILE               {"worst": error / tolerance, "tensor": NAME, "step": STEP}
//   time N M H UPDATES        {"samples": {NAME: [nanoseconds of each update]}}
// An error is {"error": TEXT}. Learners are kept between requests.
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <tuple>

#include "kernels/philox.h"
#include "runtime/algorithms/actor_critic/actor_critic.h"
#include "runtime/algorithms/actor_critic/agent.h"
#include "runtime/clock.h"
#include "runtime/cuda/cuda_learner.h"
#include "tools/benchmark/cublas_queue.h"
#include "tools/benchmark/eigen_learner.h"
#include "tools/benchmark/graph_learner.h"
#include "tools/benchmark/peer_golden.h"
#include "tools/library/check/verify_learner.h"
#include "tools/library/error.h"
#include "tools/library/measure/bound.h"
#include "tools/library/run/backend.h"

namespace instep {
namespace {

// Nanoseconds of each update by what was timed.
using Samples = std::map<std::string, std::vector<std::int64_t>>;

// Hopper's step sizes for every shape: they do not change the arithmetic, and keep the weights of a
// learner that is fed random numbers near their start however long it runs.
LearnerSettings timed_settings(const Shape& shape) {
  LearnerSettings settings;
  settings.hidden = shape.hidden_dim;
  settings.actor_lr = 1.1e-5;
  settings.critic_lr = 7.7e-5;
  settings.entropy_coef = 0.3;
  return settings;
}

const Executor& best_executor() {
  return *executors(Arithmetic::kFast).front();
}

const Executor& cuda_executor() {
  const std::string_view path = choose_backend("cuda", "", RunSettings()).path;
  return *find_executor_anywhere(path, Arithmetic::kFast);
}

void require_gpu() {
  if (cuda_health().fallbacks > 0) throw IoError(cuda_health().last_problem);
}

// Raw observations and rewards for any number of updates: a ring of random numbers.
class Transitions {
 public:
  explicit Transitions(int observation_dim)
      : observation_dim_(observation_dim),
        observations_(static_cast<std::size_t>(kCount * observation_dim)),
        rewards_(kCount) {
    const Random random{1, static_cast<std::uint32_t>(Stream::kTaskReset)};
    random.normal(0, observations_.data(), kCount * observation_dim);
    random.normal(1, rewards_.data(), kCount);
  }
  void advance() { at_ = (at_ + 1) % kCount; }
  const double* observation() const { return observations_.data() + at_ * observation_dim_; }
  double reward() const { return rewards_[static_cast<std::size_t>(at_)]; }

 private:
  static constexpr int kCount = 256;
  int observation_dim_;
  int at_ = 0;
  std::vector<double> observations_;
  std::vector<double> rewards_;
};

// Something that can be timed at one shape: does one update, and adds to the samples when given.
using Update = std::function<void(Samples*)>;

Update fused_update(const Shape& shape, Schedule schedule, const Executor& executor) {
  struct Fused {
    Fused(const Shape& s, Schedule schedule, const Executor& executor)
        : agent({s, timed_settings(s), schedule, &executor}), data(s.observation_dim) {}
    ActorCriticAgent agent;
    Transitions data;
    MonotonicClock clock;
  };
  const auto fused = std::make_shared<Fused>(shape, schedule, executor);
  fused->agent.begin_episode(fused->data.observation());
  fused->agent.update();
  return [fused](Samples* samples) {
    fused->data.advance();
    const std::int64_t begin_ns = fused->clock.now_ns();
    fused->agent.sense(fused->data.observation(), fused->data.reward(), false, false);
    const std::int64_t acted_ns = fused->clock.now_ns();
    fused->agent.update();
    const std::int64_t end_ns = fused->clock.now_ns();
    if (fused->agent.was_dropped()) throw DataError("an update was not finite");
    if (samples == nullptr) return;
    (*samples)["step"].push_back(end_ns - begin_ns);
    (*samples)["observation_to_action"].push_back(acted_ns - begin_ns);
  };
}

// A learner that is no Executor, with the data that it is timed by.
template <typename PeerLearner>
struct TimedPeer {
  // `queue`: where its calls go, if it takes one.
  template <typename... Queue>
  explicit TimedPeer(const Shape& shape, Queue&... queue)
      : learner(queue..., shape, timed_settings(shape)),
        data(shape.observation_dim),
        action_dim(shape.action_dim) {
    learner.begin_episode(data.observation());
  }

  // Makes one step of its data; answers how long that took.
  std::int64_t step_ns() {
    data.advance();
    const std::int64_t begin_ns = clock.now_ns();
    float noise[kActionDimMax];
    const auto draw = [&](Stream stream) {
      Random{0, static_cast<std::uint32_t>(stream)}.normal(step, noise, action_dim);
    };
    draw(Stream::kExploration);
    learner.act(noise);
    draw(Stream::kNextAction);
    learner.update(data.observation(), data.reward(), false, noise);
    ++step;
    return clock.now_ns() - begin_ns;
  }

  PeerLearner learner;
  Transitions data;
  MonotonicClock clock;
  int action_dim;
  std::uint64_t step = 0;
};

Update eigen_update(const Shape& shape) {
  const auto eigen = std::make_shared<TimedPeer<EigenLearner>>(shape);
  return [eigen](Samples* samples) {
    const std::int64_t step_ns = eigen->step_ns();
    if (samples != nullptr) (*samples)["step"].push_back(step_ns);
  };
}

// The best path of the GPU; refuses to time the CPU in its place.
Update cuda_update(const Shape& shape) {
  const Update update = fused_update(shape, Schedule::kActFirst, cuda_executor());
  return [update](Samples* samples) {
    update(samples);
    require_gpu();
  };
}

Update cublas_update(const Shape& shape) {
  const auto queue = std::make_shared<CublasQueue>();
  const auto gpu = std::make_shared<TimedPeer<GraphLearner<CublasQueue>>>(shape, *queue);
  return [queue, gpu](Samples* samples) {
    const std::int64_t step_ns = gpu->step_ns();
    if (samples == nullptr) return;
    (*samples)["step"].push_back(step_ns);
    // Both graphs once more, with nothing of the host in between.
    queue->begin_timing();
    gpu->learner.replay_step();
    (*samples)["device"].push_back(static_cast<std::int64_t>(queue->end_timing_us() * 1e3));
  };
}

Update bound_update(const Shape& shape) {
  struct Measured {
    explicit Measured(const Shape& s) : bound(least_work(s)) {}
    static LeastWork least_work(const Shape& s) {
      const ActorCriticAgent agent({s, timed_settings(s), Schedule::kThroughput, &best_executor()});
      return agent.least_work().value();
    }
    Bound bound;
    MonotonicClock clock;
  };
  const auto measured = std::make_shared<Measured>(shape);
  return [measured](Samples* samples) {
    const std::int64_t begin_ns = measured->clock.now_ns();
    measured->bound.stream();
    const std::int64_t streamed_ns = measured->clock.now_ns();
    measured->bound.take_roots();
    const std::int64_t end_ns = measured->clock.now_ns();
    if (samples == nullptr) return;
    (*samples)["memory"].push_back(streamed_ns - begin_ns);
    (*samples)["sqrt"].push_back(end_ns - streamed_ns);
  };
}

Update make_update(const std::string& peer, const Shape& shape) {
  if (peer == "fused") return fused_update(shape, Schedule::kThroughput, best_executor());
  if (peer == "act_first") return fused_update(shape, Schedule::kActFirst, best_executor());
  if (peer == "cuda") return cuda_update(shape);
  if (peer == "cublas_graph") return cublas_update(shape);
  if (peer == "eigen") return eigen_update(shape);
  if (peer == "bound") return bound_update(shape);
  throw UsageError("no peer is called " + peer);
}

nlohmann::json verify(const std::string& peer, const std::string& path) {
  const TensorFile file = read_safetensors(path);
  WorstError worst;
  if (peer == "eigen") {
    const auto make = [](const Shape& shape, const LearnerSettings& settings) {
      return std::make_unique<EigenLearner>(shape, settings);
    };
    replay_peer(file, make, worst);
  } else if (peer == "cublas_graph") {
    CublasQueue queue;
    const auto make = [&](const Shape& shape, const LearnerSettings& settings) {
      return std::make_unique<GraphLearner<CublasQueue>>(queue, shape, settings);
    };
    replay_peer(file, make, worst);
  } else if (peer == "cuda") {
    replay_learner(file, Schedule::kActFirst, cuda_executor(), worst);
    require_gpu();
  } else {
    const Schedule schedule = peer == "fused" ? Schedule::kThroughput : Schedule::kActFirst;
    replay_learner(file, schedule, best_executor(), worst);
  }
  return {{"worst", worst.ratio()}, {"tensor", worst.tensor()}, {"step", worst.step()}};
}

// Runs that many updates; the quarter before them, which refills the caches, is not counted.
Samples time_updates(const Update& update, int count) {
  Samples samples;
  for (int i = 0; i < count / 4 + 1; ++i) update(nullptr);
  for (int i = 0; i < count; ++i) update(&samples);
  return samples;
}

class Peer {
 public:
  explicit Peer(const std::string& name) : name_(name) {}

  nlohmann::json answer(const std::string& request) {
    std::istringstream words(request);
    std::string verb;
    words >> verb;
    if (verb == "verify") {
      std::string path;
      std::getline(words >> std::ws, path);
      return verify(name_, path);
    }
    Shape shape;
    int count = 0;
    words >> shape.observation_dim >> shape.action_dim >> shape.hidden_dim >> count;
    if (verb != "time" || !words || !is_valid(shape) || count < 1) {
      throw UsageError("cannot be understood: " + request);
    }
    auto& update = updates_[{shape.observation_dim, shape.action_dim, shape.hidden_dim}];
    if (!update) update = make_update(name_, shape);
    return {{"samples", time_updates(update, count)}};
  }

 private:
  std::string name_;
  std::map<std::tuple<int, int, int>, Update> updates_;
};

int run(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: instep_bench fused|act_first|eigen|bound|cuda|cublas_graph\n";
    return kWrongUse;
  }
  Peer peer(argv[1]);
  for (std::string request; std::getline(std::cin, request);) {
    nlohmann::json answer;
    try {
      answer = peer.answer(request);
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
  return kDone;
}

}  // namespace
}  // namespace instep

int main(int argc, char** argv) {
  try {
    return instep::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "instep_bench: %s\n", error.what());
    return instep::kCheckFailed;
  }
}

#include "tools/library/measure/profile_agents.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

#include "kernels/philox.h"
#include "runtime/algorithms/actor_critic/actor_critic.h"
#include "runtime/algorithms/actor_critic/agent.h"
#include "runtime/clock.h"
#include "runtime/cuda/cuda_device.h"
#include "tools/library/error.h"
#include "tools/library/measure/machine.h"
#include "tools/library/measure/profiled_run.h"
#include "tools/library/run/session.h"

namespace instep {
namespace {

// Each with other requests. A kernel must end well before a driver would end it.
constexpr int kRounds = 10;
constexpr std::int64_t kRepeatsMax = 2000;
// An emulated step takes milliseconds; Ctrl-C is looked for after so many of them.
constexpr std::uint32_t kEmulatedStepsAtOnce = 32;

TeamKind team_of(std::string_view path) {
  if (path.find("cluster") != path.npos) return TeamKind::kCluster;
  return path.find("grid") != path.npos ? TeamKind::kGrid : TeamKind::kBlock;
}

// Learners with their memory, each with an open transition.
class Learners {
 public:
  Learners(const ActorCriticConfig& config, std::uint64_t first_seed, int count) {
    for (int i = 0; i < count; ++i) {
      ActorCriticConfig mine = config;
      mine.seed = first_seed + static_cast<std::uint64_t>(i);
      agents_.push_back(std::make_unique<ActorCriticAgent>(mine));
      const Random random{mine.seed, static_cast<std::uint32_t>(Stream::kTaskReset)};
      std::vector<double> observation(static_cast<std::size_t>(config.shape.observation_dim));
      random.normal(0, observation.data(), config.shape.observation_dim);
      agents_.back()->begin_episode(observation.data());
      agents_.back()->update();
    }
  }
  int count() const { return static_cast<int>(agents_.size()); }
  const Learner& learner(int i) const { return agents_[static_cast<std::size_t>(i)]->learner(); }
  std::uint64_t seed(int i) const { return agents_[static_cast<std::size_t>(i)]->config().seed; }
  bool has_bits_of(const Learners& other, int ours, int theirs) const {
    const Learner& a = learner(ours);
    return std::memcmp(a.block, other.learner(theirs).block, a.layout.bytes) == 0;
  }

 private:
  std::vector<std::unique_ptr<ActorCriticAgent>> agents_;
};

// A whole tick of one agent from random numbers.
void fill_request(cuda::Request& request, std::uint64_t seed, int round, const Shape& shape) {
  const auto index = static_cast<std::uint64_t>(round);
  const auto draw = [&](Stream stream, auto* out, int count) {
    Random{seed, static_cast<std::uint32_t>(stream)}.normal(index, out, count);
  };
  request.operations = cuda::kObserve | cuda::kAct | cuda::kLearn | cuda::kPrepare;
  draw(Stream::kTaskEvents, request.observation, shape.observation_dim);
  draw(Stream::kFaults, &request.reward, 1);
  draw(Stream::kExploration, request.noise, shape.action_dim);
  draw(Stream::kNextAction, request.next_noise, shape.action_dim);
}

// What runs learners: microseconds that one step of all took, each round. Fewer rounds than asked
// for where a stop was requested.
struct Measured {
  std::vector<double> step_us;
  int agents_at_once = 0;  // 0: not known
};

Measured run_emulated(const Learners& learners, TeamKind team, std::uint32_t repeats,
                      const StopRequest* stop) {
  const TeamShape shape = emulated_team(team);
  const auto count = static_cast<std::size_t>(learners.count());
  std::vector<cuda::DeviceLearner> on_device;
  for (int i = 0; i < learners.count(); ++i) {
    const Learner& learner = learners.learner(i);
    on_device.push_back(make_device_learner(learner, learner.block, team == TeamKind::kCluster));
  }
  std::vector<cuda::Request> requests(count);
  std::vector<cuda::Reply> replies(count);
  cuda::Parameters parameters;
  parameters.learners = on_device.data();
  parameters.requests = requests.data();
  parameters.replies = replies.data();
  const auto at_once = std::max(1U, kEmulatedStepsAtOnce / static_cast<std::uint32_t>(count));
  EmulatedDevice device(shape, learners.learner(0).layout, learners.count());
  const MonotonicClock clock;
  Measured measured;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < learners.count(); ++i) {
      fill_request(requests[static_cast<std::size_t>(i)], learners.seed(i), round,
                   learners.learner(i).layout.shape);
    }
    const std::int64_t begin_ns = clock.now_ns();
    for (std::uint32_t done = 0; done < repeats; done += parameters.repeats) {
      if (is_asked(stop)) return measured;
      parameters.repeats = std::min(at_once, repeats - done);
      if (!device.launch(parameters, KernelKind::kLaunched)) {
        throw DataError("the kernel stands still: " + device.emulator().problem());
      }
    }
    const auto time_ns = static_cast<double>(clock.now_ns() - begin_ns);
    measured.step_us.push_back(time_ns * 1e-3 / repeats);
  }
  return measured;
}

Measured run_on_gpu(const Learners& learners, TeamKind team, std::uint32_t repeats,
                    const StopRequest* stop) {
  CudaDevice device(team, KernelKind::kLaunched);
  const auto require = [&](bool is_done) {
    if (!is_done) throw IoError("the GPU cannot be used: " + device.problem());
  };
  require(device.open(learners.learner(0), learners.count()));
  Measured measured;
  measured.agents_at_once = device.agents_at_once();
  // A grid whose blocks are not all there at once would wait for ever.
  if (learners.count() > std::max(1, measured.agents_at_once)) {
    throw UsageError("--agents: this GPU takes " + std::to_string(measured.agents_at_once) +
                     " at once on that path");
  }
  for (int i = 0; i < learners.count(); ++i) require(device.upload(i, learners.learner(i).block));
  for (int round = 0; round < kRounds && !is_asked(stop); ++round) {
    for (int i = 0; i < learners.count(); ++i) {
      fill_request(device.request(i), learners.seed(i), round, learners.learner(i).layout.shape);
    }
    // What a kernel needs beside its steps is not theirs.
    double empty_us = 0.0;
    double all_us = 0.0;
    require(device.time_launch(0, empty_us) && device.time_launch(repeats, all_us));
    measured.step_us.push_back((all_us - empty_us) / repeats);
  }
  for (int i = 0; i < learners.count(); ++i) require(device.download(i, learners.learner(i).block));
  return measured;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

std::optional<AgentsProfile> profile_agents(const ProfileOptions& options) {
  if (options.agents < 1) throw UsageError("--agents must be at least 1");
  const auto [config, choice] = profiled_run(options);
  if (choice.backend == "cpu") {
    throw UsageError("--agents is for agents that share a GPU: --backend cuda or cuda-emulated");
  }
  const bool is_gpu = choice.backend == "cuda";
  const auto run = is_gpu ? run_on_gpu : run_emulated;
  const TeamKind team = team_of(choice.path);
  const auto repeats = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(options.updates / kRounds, 1, kRepeatsMax));
  ActorCriticConfig agent;
  const TaskInfo& task = require_task(config.task);
  const Arithmetic arithmetic = config.settings.arithmetic;
  agent.settings = learner_settings(Algorithm::kAvg, config.settings.values, arithmetic);
  agent.shape = {task.observation_dim, task.action_dim, agent.settings.hidden};
  agent.schedule = config.schedule;
  agent.executor = executors(arithmetic).front();

  const Learners together(agent, options.seed, options.agents);
  const Measured all = run(together, team, repeats, options.stop);
  std::vector<double> alone_us;
  bool same_bits = true;
  for (int i = 0; i < options.agents && !is_asked(options.stop); ++i) {
    const Learners alone(agent, together.seed(i), 1);
    const Measured one = run(alone, team, repeats, options.stop);
    alone_us.insert(alone_us.end(), one.step_us.begin(), one.step_us.end());
    same_bits = same_bits && together.has_bits_of(alone, i, 0);
  }
  if (is_asked(options.stop)) return std::nullopt;
  AgentsProfile result{.task = config.task,
                       .backend = std::string(choice.backend),
                       .path = std::string(choice.path),
                       .agents = options.agents,
                       .updates = repeats * kRounds,
                       .step_us = median(alone_us),
                       .step_us_all = median(all.step_us),
                       .has_same_bits = same_bits,
                       .machine = machine_text()};
  if (is_gpu) result.agents_at_once = all.agents_at_once;
  return result;
}

}  // namespace instep

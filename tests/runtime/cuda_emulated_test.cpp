// The CUDA learner's source over fibres: the same bits whatever the team and the order of its
// threads, near the CPU's, and no barrier that could be left out.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/adam.h"
#include "kernels/cuda/kernels.h"
#include "runtime/cuda/emulated_device.h"
#include "test_learner.h"

namespace instep {
namespace {

constexpr TeamShape kTeams[] = {{TeamKind::kBlock, 1, 64},
                                {TeamKind::kGrid, 4, 32},
                                {TeamKind::kCluster, 8, 32},
                                {TeamKind::kGrid, 3, 64}};

struct RunCase {
  Shape shape;
  LearnerSettings settings;
};

std::vector<RunCase> all_cases() {
  const Shape shapes[] = {{5, 2, 64}, {17, 6, 132}, {3, 1, 4}};
  std::vector<RunCase> cases;
  for (const Shape& shape : shapes) {
    for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
      LearnerSettings settings;
      settings.algorithm = algorithm;
      settings.actor_lr = 1e-3;
      settings.critic_lr = 2e-3;
      settings.beta1 = cases.size() % 3 == 1 ? 0.9 : 0.0;
      settings.feature_norm = cases.size() % 4 != 3;
      cases.push_back({shape, settings});
    }
  }
  return cases;
}

// How a tick is divided among requests: an operation each; what a robot needs at once, then the
// rest; or the whole of it.
enum class Grouping { kSingle, kHalves, kTick };

// A learner on a device of its own. False from any operation: the kernel stood still, or told the
// host of something that was not done yet.
class DeviceRun {
 public:
  DeviceRun(const RunCase& c, const TeamShape& team, Schedule schedule, std::uint64_t seed,
            KernelKind kind = KernelKind::kLaunched)
      : test_(c.shape, c.settings, *find_executor("scalar", Arithmetic::kFast), schedule),
        device_(team, test_.layout()),
        draws_(seed),
        kind_(kind),
        device_learner_(make_device_learner(test_.learner(), test_.learner().block,
                                            team.kind == TeamKind::kCluster)) {
    draw_weights(draws_, test_);
    device_.on_signal([this] { look(); });
  }
  DeviceRun(const DeviceRun&) = delete;
  Emulator& emulator() { return device_.emulator(); }
  const TestLearner& test() const { return test_; }

  bool begin() {
    const auto n = test_.layout().shape.observation_dim;
    return observe(draws_.normals<double>(n)) && begin_transition();
  }
  bool step(Grouping grouping = Grouping::kSingle) {
    const Transition t = draw_transition(draws_, test_.layout().shape);
    const bool is_ended = t.terminated || t.truncated;
    const bool is_avg = test_.layout().algorithm == Algorithm::kAvg;
    cuda::Request request;
    request.reward = t.reward;
    request.terminated = t.terminated;
    request.truncated = t.truncated;
    std::copy(t.observation.begin(), t.observation.end(), request.observation);
    std::copy(t.noise.begin(), t.noise.end(), request.noise);
    std::copy(t.next_noise.begin(), t.next_noise.end(), request.next_noise);
    std::vector<std::uint32_t> operations = {cuda::kObserve};
    if (is_avg && !is_ended) operations.push_back(cuda::kAct);
    operations.push_back(cuda::kLearn);
    if (!is_avg && !is_ended) operations.push_back(cuda::kAct);
    if (!is_ended) operations.push_back(cuda::kPrepare);
    if (!run(request, operations, grouping)) return false;
    if (!is_ended) return true;
    std::copy(t.reset_observation.begin(), t.reset_observation.end(), request.observation);
    return run(request, {cuda::kObserve, cuda::kAct, cuda::kPrepare}, grouping);
  }
  // The same tick several times in one launch; a resident kernel takes requests instead.
  bool repeat_tick(std::uint32_t repeats) {
    if (kind_ == KernelKind::kResident) return true;
    const Transition t = draw_transition(draws_, test_.layout().shape);
    cuda::Request request;
    request.operations = cuda::kObserve | cuda::kAct | cuda::kLearn | cuda::kPrepare;
    std::copy(t.observation.begin(), t.observation.end(), request.observation);
    std::copy(t.noise.begin(), t.noise.end(), request.noise);
    std::copy(t.next_noise.begin(), t.next_noise.end(), request.next_noise);
    return run(request, repeats);
  }
  bool plain(std::uint32_t operations) {
    cuda::Request request;
    request.operations = operations;
    return run(request);
  }

 private:
  bool run(cuda::Request& request, const std::vector<std::uint32_t>& operations,
           Grouping grouping) {
    request.operations = 0;
    for (const std::uint32_t operation : operations) {
      const bool begins_half = operation == cuda::kLearn || operation == cuda::kPrepare;
      const bool begins =
          grouping == Grouping::kSingle || (grouping == Grouping::kHalves && begins_half &&
                                            (request.operations & cuda::kLearn) == 0);
      if (begins && request.operations != 0) {
        if (!run(request)) return false;
        request.operations = 0;
      }
      request.operations |= operation;
    }
    return run(request);
  }
  // A lease of 0: the resident kernel does the one request that is there, and leaves.
  bool run(const cuda::Request& request, std::uint32_t repeats = 1) {
    request_ = request;
    request_.sequence = reply_.sequence + 1;
    cuda::Parameters parameters;
    parameters.learners = &device_learner_;
    parameters.requests = &request_;
    parameters.replies = &reply_;
    parameters.sequence = reply_.sequence;
    parameters.repeats = repeats;
    seen_replies_.clear();
    seen_block_.clear();
    if (!device_.launch(parameters, kind_)) return false;
    if (kind_ == KernelKind::kLaunched) return true;
    const std::uint8_t* block = test_.learner().block;
    return seen_replies_.size() == 1 && reply_.sequence == request_.sequence &&
           std::memcmp(seen_replies_.data(), &reply_, kReplyBytes) == 0 &&
           seen_block_ == std::vector<std::uint8_t>(block, block + test_.layout().bytes);
  }
  // What the host finds when the kernel signals.
  void look() {
    if (reply_.has_left == 0) {
      seen_replies_.push_back(reply_);
    } else {
      const std::uint8_t* block = test_.learner().block;
      seen_block_.assign(block, block + test_.layout().bytes);
    }
    reply_.has_left = 0;
  }
  bool observe(const std::vector<double>& observation) {
    cuda::Request request;
    request.operations = cuda::kObserve;
    std::copy(observation.begin(), observation.end(), request.observation);
    return run(request);
  }
  bool act(const std::vector<float>& noise) {
    cuda::Request request;
    request.operations = cuda::kAct;
    std::copy(noise.begin(), noise.end(), request.noise);
    return run(request);
  }
  bool begin_transition() {
    return act(draws_.normals<float>(test_.layout().shape.action_dim)) && plain(cuda::kPrepare);
  }

  static constexpr std::size_t kReplyBytes = offsetof(cuda::Reply, sequence);
  TestLearner test_;
  EmulatedDevice device_;
  Draws draws_;
  KernelKind kind_;
  cuda::DeviceLearner device_learner_;
  cuda::Request request_;
  cuda::Reply reply_;
  std::vector<cuda::Reply> seen_replies_;
  std::vector<std::uint8_t> seen_block_;
};

TEST(CudaEmulated, EveryTeamOrderAndScheduleGivesTheSameBits) {
  for (const RunCase& c : all_cases()) {
    std::vector<std::unique_ptr<DeviceRun>> runs;
    for (const TeamShape& team : kTeams) {
      for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
        const KernelKind kind = runs.size() % 4 < 2 ? KernelKind::kLaunched : KernelKind::kResident;
        runs.push_back(std::make_unique<DeviceRun>(c, team, schedule, 3, kind));
        const FiberOrder orders[] = {FiberOrder::kForward, FiberOrder::kBackward,
                                     FiberOrder::kShuffled};
        runs.back()->emulator().set_order(orders[runs.size() % 3], runs.size());
        ASSERT_TRUE(runs.back()->begin());
      }
    }
    for (int step = 0; step < 12; ++step) {
      for (std::size_t i = 0; i < runs.size(); ++i) {
        const auto grouping = static_cast<Grouping>((i + static_cast<std::size_t>(step)) % 3);
        ASSERT_TRUE(runs[i]->step(grouping)) << runs[i]->emulator().problem();
      }
    }
    for (const auto& run : runs) {
      ASSERT_TRUE(run->plain(cuda::kFlush));
      ASSERT_TRUE(run->test().has_block_of(runs.front()->test()));
    }
    EXPECT_EQ(runs.front()->test().state().critic_updates, 12);
    EXPECT_EQ(runs.front()->test().state().critic_updates_dropped, 0);
  }
}

TEST(CudaEmulated, TenThousandStepsRepeatBitForBit) {
  const RunCase c = {{5, 2, 32}, all_cases()[0].settings};
  DeviceRun one(c, {TeamKind::kGrid, 2, 32}, Schedule::kActFirst, 9);
  DeviceRun two(c, {TeamKind::kGrid, 2, 32}, Schedule::kActFirst, 9);
  two.emulator().set_order(FiberOrder::kShuffled, 4);
  ASSERT_TRUE(one.begin() && two.begin());
  for (int step = 0; step < 10'000; ++step) {
    ASSERT_TRUE(one.step() && two.step());
    if (step % 1000 == 999) {
      ASSERT_TRUE(one.test().has_block_of(two.test())) << step;
    }
  }
  EXPECT_EQ(one.test().state().actor_updates, 10'001);
}

// From equal states, one tick on the device and one on the CPU: both are within the tolerance that
// tests/kernels/learner_test.cpp derives of the definition, so within two of it of each other. The
// length of its chains is below 12 h + 2 (n + 2 m), so a tolerance is 2 sqrt(length) 2^-24 of an
// array's largest entry.
TEST(CudaEmulated, IsNearTheCpuFromEqualStates) {
  for (const RunCase& c : all_cases()) {
    DeviceRun device(c, kTeams[1], Schedule::kActFirst, 21);
    ASSERT_TRUE(device.begin());
    const Executor& cpu = *find_executor("scalar", Arithmetic::kFast);
    TestLearner host(c.shape, c.settings, cpu);
    Draws draws(21);
    {
      TestLearner weights(c.shape, c.settings, cpu);
      draw_weights(draws, weights);
      draws.normals<double>(c.shape.observation_dim);
      draws.normals<float>(c.shape.action_dim);
    }
    const double length =
        12.0 * c.shape.hidden_dim + 2.0 * (c.shape.observation_dim + 2 * c.shape.action_dim);
    for (int step = 0; step < 20; ++step) {
      host.copy_block(device.test());
      take_step(host, draw_transition(draws, c.shape));
      ASSERT_TRUE(device.step());
      const Layout& layout = host.layout();
      const auto compare = [&](std::size_t offset, std::size_t count, const char* what) {
        const float* ours = device.test().learner().floats(offset);
        const float* theirs = host.learner().floats(offset);
        double largest = 1.0;
        for (std::size_t i = 0; i < count; ++i) {
          largest = std::max(largest, std::abs(static_cast<double>(theirs[i])));
        }
        for (std::size_t i = 0; i < count; ++i) {
          ASSERT_NEAR(static_cast<double>(ours[i]), static_cast<double>(theirs[i]),
                      2.0 * 2.0 * std::sqrt(length) * 0x1p-24 * largest)
              << what << " step " << step << " at " << i;
        }
      };
      const std::uint32_t newest = host.state().actor_newest;
      ASSERT_EQ(device.test().state().actor_newest, newest);
      compare(layout.actor_weights[newest], layout.actor.floats, "actor");
      compare(layout.critic_weights, layout.critic.floats, "critic");
      compare(layout.critic_optimizer[kSecondMoment], layout.critic.floats, "second moments");
      ASSERT_NEAR(static_cast<double>(device.test().state().td_error),
                  static_cast<double>(host.state().td_error),
                  4.0 * std::sqrt(length) * 0x1p-24 * 20.0);
    }
  }
}

// Runs enough of everything to pass every barrier: after some steps the critic's update must be
// dropped, and from then on the actor's, because of one unit that the last block owns.
bool run_everything(DeviceRun& run) {
  constexpr int kUnit = 60;  // of 64
  bool is_running = run.begin();
  for (int step = 0; step < 60 && is_running; ++step) {
    const Learner& learner = run.test().learner();
    const Layout& layout = learner.layout;
    if (step == 52) {
      learner.open_critic_tape()[layout.critic_tape.d_hidden2] =
          std::numeric_limits<float>::infinity();
    }
    if (step == 56) {
      is_running = run.plain(cuda::kFlush);
      // Nothing comes from this unit, so no output shows what its gradient becomes.
      for (const std::size_t array : layout.actor_weights) {
        float* weights = learner.floats(array);
        for (int j = 0; j < layout.actor.inputs; ++j) {
          weights[layout.actor.w1 + hidden_weight_index(layout.actor.inputs, kUnit, j)] = 0.0F;
        }
        weights[layout.actor.b1 + kUnit] = 0.0F;
        for (int i = 0; i < layout.shape.hidden_dim; ++i) {
          weights[layout.actor.w2 + hidden_weight_index(layout.shape.hidden_dim, i, kUnit)] = 1e25F;
        }
      }
      // The first tick's gradient is what the second one must not use.
      is_running = is_running && run.repeat_tick(3);
    }
    is_running = is_running && run.step(static_cast<Grouping>(step % 3));
  }
  return is_running;
}

// Whether any of some orders shows a difference from `expected`, or a standstill.
bool is_noticed(const RunCase& c, const TeamShape& team, Schedule schedule, KernelKind kind,
                int barrier, const std::vector<std::uint8_t>& expected) {
  const std::pair<FiberOrder, std::uint64_t> orders[] = {{FiberOrder::kForward, 0},
                                                         {FiberOrder::kBackward, 0},
                                                         {FiberOrder::kShuffled, 1},
                                                         {FiberOrder::kShuffled, 2}};
  for (const auto& [order, seed] : orders) {
    // Without its barrier the kernel may as well run through wild addresses.
    const pid_t child = fork();
    if (child == 0) {
      DeviceRun run(c, team, schedule, 5, kind);
      run.emulator().set_order(order, seed);
      run.emulator().set_removed_barrier(barrier);
      const bool has_ended = run_everything(run);
      const std::uint8_t* block = run.test().learner().block;
      _exit(has_ended && std::equal(expected.begin(), expected.end(), block) ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) return true;
  }
  return false;
}

// What a tick of a launch's many costs in barriers: of the team, and of a block for itself beside
// those. They are most of its time on a GPU; kernels/cuda/team_learner.h says what each waits for.
struct BarrierCount {
  int team = 0;
  int block = 0;
};

BarrierCount count_barriers(const RunCase& c, Schedule schedule, std::uint32_t repeats) {
  TestLearner learner(c.shape, c.settings, *find_executor("scalar", Arithmetic::kFast), schedule);
  Draws draws(8);
  draw_weights(draws, learner);
  learner.observe(draws.normals<double>(c.shape.observation_dim));
  learner.act(draws.normals<float>(c.shape.action_dim));
  learner.prepare();
  const Transition t = draw_transition(draws, c.shape);
  cuda::Request request;
  request.operations = cuda::kObserve | cuda::kAct | cuda::kLearn | cuda::kPrepare;
  std::copy(t.observation.begin(), t.observation.end(), request.observation);
  cuda::Reply reply;
  const cuda::DeviceLearner on_device =
      make_device_learner(learner.learner(), learner.learner().block, true);
  cuda::Parameters parameters;
  parameters.learners = &on_device;
  parameters.requests = &request;
  parameters.replies = &reply;
  parameters.repeats = repeats;
  EmulatedDevice device(kTeams[2], learner.layout());
  EXPECT_TRUE(device.launch(parameters, KernelKind::kLaunched)) << device.emulator().problem();
  BarrierCount count;
  const std::int64_t threads = kTeams[2].blocks * kTeams[2].threads;
  for (int barrier = 0; barrier < cuda::kBarriers; ++barrier) {
    const std::int64_t passes = device.emulator().passes()[static_cast<std::size_t>(barrier)];
    (barrier < cuda::kTeamBarriers ? count.team : count.block) +=
        static_cast<int>(passes / threads);
  }
  return count;
}

TEST(CudaEmulated, ATickHasNoMoreBarriersThanItNeeds) {
  struct Expected {
    std::size_t which;
    Schedule schedule;
    int team;
    int block;
  };
  const Expected all[] = {{0, Schedule::kThroughput, 9, 32},
                          {0, Schedule::kActFirst, 12, 41},
                          {1, Schedule::kActFirst, 10, 36}};
  for (const Expected& expected : all) {
    const RunCase c = all_cases()[expected.which];
    const BarrierCount one = count_barriers(c, expected.schedule, 1);
    const BarrierCount two = count_barriers(c, expected.schedule, 2);
    // Between two ticks of a launch the team meets once more.
    EXPECT_EQ(two.team - one.team - 1, expected.team) << "case " << expected.which;
    EXPECT_EQ(two.block - one.block, expected.block) << "case " << expected.which;
  }
}

TEST(CudaEmulated, EveryBarrierIsNeeded) {
  std::vector<bool> noticed(cuda::kBarriers);
  std::vector<bool> passed(cuda::kBarriers);
  const auto cases = all_cases();
  for (const std::size_t which : {0U, 1U}) {
    for (const TeamShape& team : {kTeams[1], kTeams[2]}) {
      for (const Schedule schedule : {Schedule::kActFirst, Schedule::kThroughput}) {
        const KernelKind kind =
            schedule == Schedule::kActFirst ? KernelKind::kResident : KernelKind::kLaunched;
        DeviceRun run(cases[which], team, schedule, 5, kind);
        ASSERT_TRUE(run_everything(run)) << run.emulator().problem();
        EXPECT_EQ(run.test().state().critic_updates_dropped, 1);
        EXPECT_GE(run.test().state().actor_updates_dropped, 1);
        const std::uint8_t* block = run.test().learner().block;
        const std::vector<std::uint8_t> expected(block, block + run.test().layout().bytes);
        for (std::size_t barrier = 0; barrier < cuda::kBarriers; ++barrier) {
          if (run.emulator().passes()[barrier] == 0) continue;
          passed[barrier] = true;
          if (noticed[barrier]) continue;
          noticed[barrier] =
              is_noticed(cases[which], team, schedule, kind, static_cast<int>(barrier), expected);
        }
      }
    }
  }
  for (std::size_t barrier = 0; barrier < cuda::kBarriers; ++barrier) {
    EXPECT_TRUE(passed[barrier]) << "barrier " << barrier << " was never passed";
    EXPECT_TRUE(noticed[barrier]) << "nobody notices that barrier " << barrier << " is gone";
  }
}

// Several learners of one launch, each a full tick a request, and the same learners one by one.
TEST(CudaEmulated, AgentsThatShareADeviceHaveTheBitsOfEachAlone) {
  constexpr int kAgents = 3;
  const RunCase c = all_cases()[0];
  for (const TeamShape& team : {kTeams[0], kTeams[1], kTeams[2]}) {
    std::vector<TestLearner> learners;
    std::vector<cuda::DeviceLearner> on_device;
    std::vector<cuda::Request> requests(kAgents);
    std::vector<cuda::Reply> replies(kAgents);
    Draws draws(31);
    learners.reserve(2 * kAgents);
    for (int agent = 0; agent < kAgents; ++agent) {
      learners.emplace_back(c.shape, c.settings, *find_executor("scalar", Arithmetic::kFast));
      TestLearner& learner = learners.back();
      draw_weights(draws, learner);
      learner.observe(draws.normals<double>(c.shape.observation_dim));
      learner.act(draws.normals<float>(c.shape.action_dim));
      learner.prepare();
    }
    for (int agent = 0; agent < kAgents; ++agent) {
      const auto i = static_cast<std::size_t>(agent);
      learners.push_back(learners[i]);
      const Learner& learner = learners[i].learner();
      on_device.push_back(
          make_device_learner(learner, learner.block, team.kind == TeamKind::kCluster));
      cuda::Request& request = requests[i];
      request.operations = cuda::kObserve | cuda::kAct | cuda::kLearn | cuda::kPrepare;
      const Transition t = draw_transition(draws, c.shape);
      request.reward = t.reward;
      std::copy(t.observation.begin(), t.observation.end(), request.observation);
      std::copy(t.noise.begin(), t.noise.end(), request.noise);
      std::copy(t.next_noise.begin(), t.next_noise.end(), request.next_noise);
    }
    cuda::Parameters parameters;
    parameters.learners = on_device.data();
    parameters.requests = requests.data();
    parameters.replies = replies.data();
    parameters.repeats = 4;
    EmulatedDevice together(team, learners[0].layout(), kAgents);
    together.emulator().set_order(FiberOrder::kShuffled, 1);
    ASSERT_TRUE(together.launch(parameters, KernelKind::kLaunched))
        << together.emulator().problem();
    EmulatedDevice alone(team, learners[0].layout());
    for (std::size_t i = 0; i < kAgents; ++i) {
      const TestLearner& twin = learners[kAgents + i];
      for (int repeat = 0; repeat < 4; ++repeat) {
        ASSERT_TRUE(alone.run(twin.learner(), requests[i]));
      }
      EXPECT_TRUE(learners[i].has_block_of(twin)) << "agent " << i;
      EXPECT_EQ(replies[i].state.critic_updates, 4);
    }
    EXPECT_FALSE(learners[0].has_block_of(learners[1]));
  }
}

// The host puts the next request where the resident kernel finds it, as soon as it is told of the
// last one; nothing is launched in between.
TEST(CudaEmulated, AResidentKernelTakesRequestAfterRequest) {
  const RunCase c = all_cases()[0];
  const TestLearner begun = [&] {
    TestLearner learner(c.shape, c.settings, *find_executor("scalar", Arithmetic::kFast));
    Draws draws(8);
    draw_weights(draws, learner);
    learner.observe(draws.normals<double>(c.shape.observation_dim));
    learner.act(draws.normals<float>(c.shape.action_dim));
    learner.prepare();
    return learner;
  }();
  Draws draws(9);
  std::vector<cuda::Request> requests(5);
  for (cuda::Request& request : requests) {
    const Transition t = draw_transition(draws, c.shape);
    request.operations = cuda::kObserve | cuda::kAct | cuda::kLearn | cuda::kPrepare;
    request.reward = t.reward;
    std::copy(t.observation.begin(), t.observation.end(), request.observation);
    std::copy(t.noise.begin(), t.noise.end(), request.noise);
    std::copy(t.next_noise.begin(), t.next_noise.end(), request.next_noise);
  }
  for (const TeamShape& team : {kTeams[0], kTeams[1], kTeams[2]}) {
    TestLearner launched = begun;
    TestLearner resident = begun;
    EmulatedDevice device(team, begun.layout());
    for (const cuda::Request& request : requests) {
      ASSERT_TRUE(device.run(launched.learner(), request));
    }
    const cuda::DeviceLearner on_device = make_device_learner(
        resident.learner(), resident.learner().block, team.kind == TeamKind::kCluster);
    cuda::Request mailbox = requests[0];
    mailbox.sequence = 1;
    cuda::Reply reply;
    cuda::Parameters parameters;
    parameters.learners = &on_device;
    parameters.requests = &mailbox;
    parameters.replies = &reply;
    parameters.lease_ms = 60'000;
    device.on_signal([&] {
      if (reply.has_left != 0) return;
      EXPECT_EQ(reply.state.critic_updates, reply.sequence);
      const bool is_last = reply.sequence == requests.size();
      if (is_last) {
        mailbox.operations = cuda::kLeave;
      } else {
        mailbox = requests[reply.sequence];
      }
      mailbox.sequence = reply.sequence + 1;
    });
    ASSERT_TRUE(device.launch(parameters, KernelKind::kResident)) << device.emulator().problem();
    EXPECT_EQ(reply.sequence, requests.size());
    EXPECT_EQ(reply.has_left, 1U);
    EXPECT_TRUE(resident.has_block_of(launched));
  }
}

struct Divergent {
  Emulator* emulator;
};

TEST(Emulator, ReportsThreadsThatStandAtDifferentBarriers) {
  Emulator emulator(1, 1, 32);
  Divergent argument{&emulator};
  const auto kernel = [](void* data, int, int thread) {
    static_cast<Divergent*>(data)->emulator->block_barrier(thread < 16 ? 3 : 4);
  };
  EXPECT_FALSE(emulator.launch(kernel, &argument));
  EXPECT_NE(emulator.problem().find("different barriers, 3 and 4"), std::string::npos)
      << emulator.problem();
}

TEST(Emulator, ReportsThreadsThatDoNotCome) {
  Emulator emulator(1, 2, 32);
  Divergent argument{&emulator};
  const auto kernel = [](void* data, int block, int) {
    if (block == 1) static_cast<Divergent*>(data)->emulator->team_barrier(7);
  };
  EXPECT_FALSE(emulator.launch(kernel, &argument));
  EXPECT_NE(emulator.problem().find("thread 0 of block 1 waits at barrier 7"), std::string::npos)
      << emulator.problem();
}

TEST(Emulator, RunsAgainAfterAStandstill) {
  Emulator emulator(1, 1, 32);
  Divergent argument{&emulator};
  const auto stands = [](void* data, int, int thread) {
    static_cast<Divergent*>(data)->emulator->block_barrier(thread < 16 ? 3 : 4);
  };
  const auto passes = [](void* data, int, int) {
    static_cast<Divergent*>(data)->emulator->block_barrier(5);
  };
  EXPECT_FALSE(emulator.launch(stands, &argument));
  EXPECT_TRUE(emulator.launch(passes, &argument)) << emulator.problem();
  EXPECT_TRUE(emulator.launch(passes, &argument)) << emulator.problem();
  EXPECT_EQ(emulator.passes()[5], 64);
}

int fill_stack(int depth) {
  volatile char bytes[1024] = {};
  bytes[depth % 1024] = 1;
  return depth == 0 ? bytes[0] : fill_stack(depth - 1) + bytes[depth % 1024];
}

TEST(EmulatorDeathTest, AFibreThatRunsOverItsStackTouchesNoOtherFibre) {
  Emulator emulator(1, 1, 32);
  int neighbour = 0;
  const auto kernel = [](void* data, int, int thread) {
    if (thread == 1) *static_cast<int*>(data) = fill_stack(1000);
  };
  EXPECT_DEATH(std::ignore = emulator.launch(kernel, &neighbour), "");
}

TEST(EmulatedExecutors, AreNamedAfterTheirTeams) {
  const auto list = emulated_executors(Arithmetic::kPortable);
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0]->path, "emulated_block");
  EXPECT_EQ(list[1]->path, "emulated_grid4");
  EXPECT_EQ(list[2]->path, "emulated_cluster8");
  for (const Executor* executor : list) EXPECT_EQ(executor->arithmetic, Arithmetic::kPortable);
}

}  // namespace
}  // namespace instep

#include "runtime/control_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/seal.h"
#include "runtime/algorithms/actor_critic/agent.h"
#include "scripted_world.h"

namespace instep {
namespace {

using testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kObservationDim = 3;
constexpr Outcome kGoesOn{.reward = 1.0};
constexpr Outcome kTerminates{.reward = 10.0, .terminated = true};
constexpr Outcome kIsCut{.reward = 100.0, .truncated = true};

ActorCriticConfig agent_config(Algorithm algorithm, Schedule schedule) {
  ActorCriticConfig config;
  config.shape = {kObservationDim, 2, 8};
  config.settings.algorithm = algorithm;
  config.settings.hidden = config.shape.hidden_dim;
  config.schedule = schedule;
  config.executor = executors(Arithmetic::kFast).front();
  config.seed = 5;
  return config;
}

// An agent in a scripted world.
struct Rig {
  explicit Rig(std::vector<Outcome> script, Algorithm algorithm = Algorithm::kAvg,
               Schedule schedule = Schedule::kActFirst)
      : Rig(std::move(script), agent_config(algorithm, schedule)) {}
  Rig(std::vector<Outcome> script, const ActorCriticConfig& config)
      : world(kObservationDim, std::move(script)),
        agent(config),
        loop(agent, world, clock, Random{5, static_cast<std::uint32_t>(Stream::kTaskReset)}) {}

  std::vector<std::uint8_t> snapshot() {
    std::vector<std::uint8_t> bytes(loop.snapshot_bytes());
    loop.save_snapshot(bytes);
    return bytes;
  }
  const LearnerState& state() const { return agent.learner().state(); }
  // Of the actor's two buffers only the newest, in the first one's place: which one it is, and what
  // the other holds, is the executor's business once no transition is open.
  std::vector<std::uint8_t> arrays() {
    agent.flush();
    const Learner& learner = agent.learner();
    const Layout& layout = learner.layout;
    const std::size_t bytes = layout.actor.floats * sizeof(float);
    std::vector<std::uint8_t> block(learner.block, learner.block + layout.bytes);
    const std::uint8_t* newest = learner.block + layout.actor_weights[state().actor_newest];
    std::copy_n(newest, bytes,
                block.begin() + static_cast<std::ptrdiff_t>(layout.actor_weights[0]));
    std::fill_n(block.begin() + static_cast<std::ptrdiff_t>(layout.actor_weights[1]), bytes,
                std::uint8_t{0});
    block.erase(block.begin(), block.begin() + sizeof(LearnerState));
    return block;
  }

  ScriptedWorld world;
  FakeClock clock;
  ActorCriticAgent agent;
  ControlLoop loop;
};

// An executor that notes what is called. A table of plain functions finds its notes only here.
std::vector<std::string>* notes = nullptr;
const Executor* noted = nullptr;

Executor noting_executor() {
  Executor executor = *noted;
  executor.observe = [](const Learner& learner, const double* observation) {
    notes->emplace_back("observe");
    noted->observe(learner, observation);
  };
  executor.act = [](const Learner& learner, const float* noise) {
    notes->emplace_back("act");
    noted->act(learner, noise);
  };
  executor.learn = [](const Learner& learner, double reward, bool terminated, bool truncated,
                      const float* noise) {
    notes->emplace_back("learn");
    noted->learn(learner, reward, terminated, truncated, noise);
  };
  executor.prepare = [](const Learner& learner) {
    notes->emplace_back("prepare");
    noted->prepare(learner);
  };
  executor.drop = [](const Learner& learner) {
    notes->emplace_back("drop");
    noted->drop(learner);
  };
  return executor;
}

// What one tick calls, in order, after a start that went well.
std::vector<std::string> calls_of_a_tick(Algorithm algorithm, const Outcome& outcome) {
  std::vector<std::string> calls;
  ActorCriticConfig config = agent_config(algorithm, Schedule::kActFirst);
  noted = config.executor;
  const Executor executor = noting_executor();
  config.executor = &executor;
  Rig rig({outcome}, config);
  notes = &calls;
  rig.world.calls = &calls;
  rig.clock.calls = &calls;
  EXPECT_TRUE(rig.loop.start());
  EXPECT_THAT(calls, ElementsAre("reset", "observe", "act", "prepare"));
  calls.clear();
  rig.loop.tick();
  return calls;
}

TEST(ControlLoop, ActsBeforeItLearns) {
  EXPECT_THAT(calls_of_a_tick(Algorithm::kAvg, kGoesOn),
              ElementsAre("clock", "step", "clock", "observe", "act", "clock", "learn", "prepare",
                          "clock"));
}

TEST(ControlLoop, LetsIacLearnFirst) {
  EXPECT_THAT(calls_of_a_tick(Algorithm::kIac, kGoesOn),
              ElementsAre("clock", "step", "clock", "observe", "learn", "act", "clock", "prepare",
                          "clock"));
}

TEST(ControlLoop, DrawsNoActionWhereAnEpisodeEndedAndOpensTheNext) {
  for (const Outcome& outcome : {kTerminates, kIsCut}) {
    EXPECT_THAT(calls_of_a_tick(Algorithm::kAvg, outcome),
                ElementsAre("clock", "step", "clock", "observe", "clock", "learn", "clock", "reset",
                            "observe", "act", "prepare"));
  }
}

TEST(ControlLoop, DropsWhatIsNotFiniteBeforeAnythingSeesIt) {
  EXPECT_THAT(calls_of_a_tick(Algorithm::kAvg, {.reward = kNan}),
              ElementsAre("clock", "step", "clock", "drop", "clock", "clock", "reset", "observe",
                          "act", "prepare"));
}

TEST(ControlLoop, CountsNoStepWhereNoneWasMade) {
  Rig rig({kGoesOn, kGoesOn, {.carries_no_step = true}, {.carries_no_step = true}});
  ASSERT_TRUE(rig.loop.start());
  EXPECT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  EXPECT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kEpisodeFinished);
  EXPECT_EQ(rig.loop.last_episode().length, 2);
  EXPECT_EQ(rig.loop.last_episode().episode_return, 2.0);
  EXPECT_FALSE(rig.loop.last_episode().terminated);
  ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kEpisodeFinished);
  EXPECT_EQ(rig.loop.last_episode().length, 0);
  EXPECT_THAT(rig.world.reset_steps, ElementsAre(0, 3, 4)) << "each has its own randomness";
}

TEST(ControlLoop, SumsReturnsAndCountsSteps) {
  Rig rig({kGoesOn, kGoesOn, kTerminates, kGoesOn, kIsCut, kGoesOn});
  ASSERT_TRUE(rig.loop.start());
  EXPECT_EQ(rig.loop.steps(), 0);
  EXPECT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  EXPECT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  EXPECT_EQ(rig.loop.state().episode_return, 2.0);
  EXPECT_EQ(rig.loop.state().episode_length, 2);
  ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kEpisodeFinished);
  EXPECT_EQ(rig.loop.last_episode().episode, 1);
  EXPECT_EQ(rig.loop.last_episode().step, 3);
  EXPECT_EQ(rig.loop.last_episode().episode_return, 12.0);
  EXPECT_EQ(rig.loop.last_episode().length, 3);
  EXPECT_TRUE(rig.loop.last_episode().terminated);
  EXPECT_EQ(rig.loop.state().episode_return, 0.0);

  EXPECT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kEpisodeFinished);
  EXPECT_EQ(rig.loop.last_episode().episode, 2);
  EXPECT_EQ(rig.loop.last_episode().step, 5);
  EXPECT_EQ(rig.loop.last_episode().episode_return, 101.0);
  EXPECT_EQ(rig.loop.last_episode().length, 2);
  EXPECT_FALSE(rig.loop.last_episode().terminated);
  EXPECT_EQ(rig.loop.state().episodes, 2);

  // An episode's start is a function of the seed and the step alone.
  EXPECT_EQ(rig.world.reset_seed, 5U);
  EXPECT_EQ(rig.world.reset_stream, static_cast<std::uint32_t>(Stream::kTaskReset));
  EXPECT_THAT(rig.world.reset_steps, ElementsAre(0, 3, 5));
}

TEST(ControlLoop, BothEndsAtOnceCountAsTermination) {
  Rig rig({{.reward = 1.0, .terminated = true, .truncated = true}});
  ASSERT_TRUE(rig.loop.start());
  ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kEpisodeFinished);
  EXPECT_TRUE(rig.loop.last_episode().terminated);
}

// The learner is told which end it was: at a termination the target holds no next value.
TEST(ControlLoop, TellsTheLearnerTerminationFromTruncation) {
  Rig terminated({{.reward = 1.0, .terminated = true}});
  Rig truncated({{.reward = 1.0, .truncated = true}});
  ASSERT_TRUE(terminated.loop.start() && truncated.loop.start());
  terminated.loop.tick();
  truncated.loop.tick();
  EXPECT_NE(terminated.state().td_error, truncated.state().td_error);
}

TEST(ControlLoop, SendsTheActionThatTheAgentChose) {
  Rig rig({kGoesOn});
  ASSERT_TRUE(rig.loop.start());
  for (int i = 0; i < 5; ++i) {
    const Learner& learner = rig.agent.learner();
    const float chosen = learner.open_actor_tape()[learner.layout.actor_tape.action];
    rig.loop.tick();
    EXPECT_EQ(rig.world.first_actions.back(), chosen);
    EXPECT_LE(std::fabs(chosen), 1.0F);
  }
}

TEST(ControlLoop, MeasuresBothHalvesOfATick) {
  Rig rig({kGoesOn});
  ASSERT_TRUE(rig.loop.start());
  for (int i = 0; i < 7; ++i) rig.loop.tick();
  const LoopLatency& latency = rig.loop.latency();
  EXPECT_EQ(latency.observation_to_action.total(), 7U);
  EXPECT_EQ(latency.observation_to_action.max_ns(), 1000);
  EXPECT_EQ(latency.update.total(), 7U);
  EXPECT_EQ(latency.update.max_ns(), 2000);
  rig.loop.clear_latency();
  EXPECT_EQ(rig.loop.latency().update.total(), 0U);
}

// What is not finite, and where.
struct BadNumber {
  double value;
  bool is_reward;
};

class ControlLoopWithBadNumber
    : public testing::TestWithParam<std::tuple<BadNumber, Schedule, Algorithm>> {};

// Half of the contract: with no fresh episode either, nothing at all has changed but the counters.
TEST_P(ControlLoopWithBadNumber, TouchesNoStatisticAndNoWeight) {
  const auto& [bad, schedule, algorithm] = GetParam();
  std::vector<Outcome> script(20, kGoesOn);
  if (bad.is_reward) script.push_back({.reward = bad.value});
  Rig rig(script, algorithm, schedule);
  rig.world.bad_value = bad.value;
  rig.world.bad_step = bad.is_reward ? -1 : 20;
  rig.world.bad_reset_from = 1;
  if (bad.is_reward) rig.world.bad_value = kNan;
  ASSERT_TRUE(rig.loop.start());
  for (int i = 0; i < 20; ++i) ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  const std::vector<std::uint8_t> arrays = rig.arrays();
  const LearnerState before = rig.state();

  EXPECT_EQ(rig.loop.tick(), ControlLoop::Status::kFaulted);
  EXPECT_EQ(rig.arrays(), arrays);
  const LearnerState& after = rig.state();
  EXPECT_EQ(after.transitions_dropped, before.transitions_dropped + 1);
  EXPECT_EQ(after.normalizer_count, before.normalizer_count);
  EXPECT_EQ(after.running_return, before.running_return);
  EXPECT_EQ(after.reward_moments.count, before.reward_moments.count);
  EXPECT_EQ(after.reward_moments.mean, before.reward_moments.mean);
  EXPECT_EQ(after.discount_moments.count, before.discount_moments.count);
  EXPECT_EQ(after.return_moments.count, before.return_moments.count);
  EXPECT_EQ(after.return_square_moments.count, before.return_square_moments.count);
  EXPECT_EQ(after.critic_updates, before.critic_updates);
  EXPECT_EQ(after.actor_updates, before.actor_updates);
  EXPECT_EQ(rig.loop.last_episode().length, 21);
  EXPECT_EQ(rig.loop.last_episode().episode_return, 20.0);
  EXPECT_FALSE(rig.loop.last_episode().terminated);
}

// The other half: the episode ends truncated, the next one opens, and learning goes on.
TEST_P(ControlLoopWithBadNumber, EndsTheEpisodeAndGoesOn) {
  const auto& [bad, schedule, algorithm] = GetParam();
  std::vector<Outcome> script(20, kGoesOn);
  if (bad.is_reward) script.push_back({.reward = bad.value, .terminated = true});
  script.push_back(kGoesOn);
  Rig rig(script, algorithm, schedule);
  rig.world.bad_value = bad.value;
  rig.world.bad_step = bad.is_reward ? -1 : 20;
  ASSERT_TRUE(rig.loop.start());
  for (int i = 0; i < 20; ++i) ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kEpisodeFinished);
  EXPECT_FALSE(rig.loop.last_episode().terminated) << "what was sensed cannot be believed";
  EXPECT_EQ(rig.loop.last_episode().episode_return, 20.0);
  EXPECT_EQ(rig.loop.steps(), 21);
  const double observed = rig.state().normalizer_count;
  const double rewarded = rig.state().reward_moments.count;
  const std::int64_t critic_updates = rig.state().critic_updates;
  for (int i = 0; i < 30; ++i) ASSERT_EQ(rig.loop.tick(), ControlLoop::Status::kRunning);
  EXPECT_EQ(rig.state().normalizer_count, observed + 30.0);
  EXPECT_EQ(rig.state().reward_moments.count, rewarded + 30.0);
  EXPECT_EQ(rig.state().critic_updates, critic_updates + 30);
  EXPECT_TRUE(std::isfinite(rig.state().td_error));
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, ControlLoopWithBadNumber,
    testing::Combine(testing::Values(BadNumber{kNan, true}, BadNumber{kInfinity, true},
                                     BadNumber{-kInfinity, true}, BadNumber{kNan, false},
                                     BadNumber{kInfinity, false}, BadNumber{-kInfinity, false}),
                     testing::Values(Schedule::kActFirst, Schedule::kThroughput),
                     testing::Values(Algorithm::kAvg, Algorithm::kIac)));

TEST(ControlLoop, CannotStartFromAnObservationThatIsNotFinite) {
  Rig rig({kGoesOn});
  rig.world.bad_value = kNan;
  rig.world.bad_reset_from = 0;
  EXPECT_FALSE(rig.loop.start());
  EXPECT_EQ(rig.state().normalizer_count, 1e-4);
}

TEST(ControlLoop, CannotStartWithWeightsThatAreNotFinite) {
  Rig rig({kGoesOn});
  const Learner& learner = rig.agent.learner();
  for (const std::size_t weights : learner.layout.actor_weights) {
    learner.floats(weights)[learner.layout.actor.w1] = static_cast<float>(kNan);
  }
  EXPECT_FALSE(rig.loop.start());
}

class ControlLoopSnapshot : public testing::TestWithParam<std::tuple<Schedule, Algorithm>> {};

// Cut in the middle of an episode, and once right behind an episode's end.
TEST_P(ControlLoopSnapshot, GoesOnBitForBit) {
  const auto& [schedule, algorithm] = GetParam();
  const std::vector<Outcome> script = {kGoesOn, kGoesOn, kTerminates, kGoesOn,
                                       kGoesOn, kIsCut,  kGoesOn,     kTerminates,
                                       kGoesOn, kGoesOn, kIsCut,      kGoesOn};
  for (int cut = 0; cut <= 10; ++cut) {
    Rig whole(script, algorithm, schedule);
    ASSERT_TRUE(whole.loop.start());
    for (int i = 0; i < cut; ++i) whole.loop.tick();
    const std::vector<std::uint8_t> saved = whole.snapshot();

    Rig other(script, algorithm, schedule);
    ASSERT_TRUE(other.loop.load_snapshot(saved, cut));
    EXPECT_EQ(other.snapshot(), saved);
    EXPECT_EQ(other.loop.steps(), cut);
    for (int i = 0; i < 40; ++i) {
      ASSERT_EQ(other.loop.tick(), whole.loop.tick()) << "cut " << cut << ", tick " << i;
    }
    EXPECT_EQ(other.snapshot(), whole.snapshot()) << "cut " << cut;
    EXPECT_EQ(other.loop.last_episode().step, whole.loop.last_episode().step);
    EXPECT_EQ(other.loop.last_episode().episode, whole.loop.last_episode().episode);
    EXPECT_EQ(other.loop.last_episode().episode_return, whole.loop.last_episode().episode_return);
  }
}

// Taking a snapshot completes what the throughput schedule put off, and must leave no trace.
TEST_P(ControlLoopSnapshot, ChangesNothingByBeingTaken) {
  const auto& [schedule, algorithm] = GetParam();
  const std::vector<Outcome> script = {kGoesOn, kGoesOn, kTerminates, kGoesOn};
  Rig quiet(script, algorithm, schedule);
  Rig watched(script, algorithm, schedule);
  ASSERT_TRUE(quiet.loop.start() && watched.loop.start());
  for (int i = 0; i < 50; ++i) {
    quiet.loop.tick();
    watched.loop.tick();
    watched.snapshot();
  }
  EXPECT_EQ(watched.snapshot(), quiet.snapshot());
}

INSTANTIATE_TEST_SUITE_P(Everywhere, ControlLoopSnapshot,
                         testing::Combine(testing::Values(Schedule::kActFirst,
                                                          Schedule::kThroughput),
                                          testing::Values(Algorithm::kAvg, Algorithm::kIac)));

TEST(ControlLoop, SnapshotsDoNotTellTheSchedules) {
  const std::vector<Outcome> script = {kGoesOn, kGoesOn, kTerminates, kGoesOn, kIsCut, kGoesOn};
  Rig act_first(script, Algorithm::kAvg, Schedule::kActFirst);
  Rig throughput(script, Algorithm::kAvg, Schedule::kThroughput);
  ASSERT_TRUE(act_first.loop.start() && throughput.loop.start());
  for (int i = 0; i < 30; ++i) {
    act_first.loop.tick();
    throughput.loop.tick();
    if (i % 7 != 0) continue;
    ASSERT_EQ(act_first.snapshot(), throughput.snapshot()) << "tick " << i;
  }
  EXPECT_EQ(act_first.snapshot(), throughput.snapshot());
}

TEST(ControlLoopDeathTest, TicksOnlyWhereAnActionIsOpen) {
  Rig rig({kGoesOn});
  EXPECT_THAT([&] { rig.loop.tick(); }, testing::ThrowsMessage<std::logic_error>(testing::HasSubstr(
                                            "internal error: action_ != nullptr does not hold")));
  const Seal seal;
  EXPECT_DEATH(rig.loop.tick(), "internal error: action_ != nullptr does not hold");
}

TEST(ControlLoop, RefusesASnapshotThatDoesNotFit) {
  Rig rig({kGoesOn});
  ASSERT_TRUE(rig.loop.start());
  rig.loop.tick();
  std::vector<std::uint8_t> saved = rig.snapshot();
  EXPECT_TRUE(rig.loop.load_snapshot(saved, 1));
  EXPECT_FALSE(rig.loop.load_snapshot(saved, -1));
  EXPECT_FALSE(rig.loop.load_snapshot(std::span(saved).first(saved.size() - 1), 1));
  std::vector<std::uint8_t> longer = saved;
  longer.push_back(0);
  EXPECT_FALSE(rig.loop.load_snapshot(longer, 1));
  // The learner alone fits any world.
  const auto world_end =
      saved.end() - static_cast<std::ptrdiff_t>(rig.agent.learner().layout.bytes);
  std::vector<std::uint8_t> other_world(saved.begin(), world_end);
  other_world.resize(other_world.size() + 24);
  other_world.insert(other_world.end(), world_end, saved.end());
  EXPECT_TRUE(rig.loop.load_learner(other_world, 1));
  EXPECT_FALSE(
      rig.loop.load_learner(std::span(saved).first(rig.loop.bytes_without_world() - 1), 1));
  rig.world.refuses_state = true;
  EXPECT_FALSE(rig.loop.load_snapshot(saved, 1));
  rig.world.refuses_state = false;
  const std::size_t block_start = saved.size() - rig.agent.learner().layout.bytes;
  // An action that no policy can have drawn moves nothing.
  const Layout& layout = rig.agent.learner().layout;
  for (const float value : {1.5F, -1.5F, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<std::uint8_t> lying = saved;
    const std::size_t tape = layout.actor_tapes[rig.state().open_tape];
    std::memcpy(lying.data() + block_start + tape + layout.actor_tape.action * sizeof value, &value,
                sizeof value);
    EXPECT_FALSE(rig.loop.load_snapshot(lying, 1)) << value;
  }
  // The numbers of buffers must be 0 or 1, or they would lead out of the block.
  for (const std::size_t offset :
       {offsetof(LearnerState, actor_acted), offsetof(LearnerState, actor_newest),
        offsetof(LearnerState, open_tape)}) {
    std::vector<std::uint8_t> lying = saved;
    lying[block_start + offset] = 2;
    EXPECT_FALSE(rig.loop.load_snapshot(lying, 1)) << offset;
  }
}

}  // namespace
}  // namespace instep

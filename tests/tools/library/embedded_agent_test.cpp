// The learner in a loop of one's own, through what others include.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <instep/instep.h>

#include <array>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "command.h"
#include "kernels/philox.h"
#include "run_files.h"
#include "tasks/registry.h"
#include "temporary_folder.h"

namespace instep {
namespace {

constexpr int kObservations = 3;
constexpr int kActions = 2;

EmbeddedAgentOptions options_of(std::uint64_t seed = 1) {
  return {.observation_dim = kObservations,
          .action_dim = kActions,
          .seed = seed,
          .settings = {"hidden=16"}};
}

std::vector<double> observation_at(std::uint64_t step) {
  std::vector<double> observation(kObservations);
  Random{9, 0}.normal(step, observation.data(), kObservations);
  return observation;
}

// Steps first + 1 .. last; episodes of ten. Answers the actions, one after the other.
std::vector<float> run(EmbeddedAgent& agent, std::uint64_t first, std::uint64_t last) {
  std::vector<float> actions;
  std::span<const float> action;
  for (std::uint64_t step = first + 1; step <= last; ++step) {
    if (action.empty()) action = agent.begin(observation_at(1000 + step));
    actions.insert(actions.end(), action.begin(), action.end());
    action = agent.step(observation_at(step), 0.1 * static_cast<double>(step % 7), false,
                        step % 10 == 0);
  }
  return actions;
}

template <typename Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(EmbeddedAgent, TwoInOneProcessGiveTheBitsThatEachGivesAlone) {
  EmbeddedAgent alone(options_of(1));
  const auto expected = run(alone, 0, 200);
  EmbeddedAgent one(options_of(1));
  EmbeddedAgent other(options_of(2));
  std::vector<float> actions;
  for (std::uint64_t begin = 0; begin < 200; begin += 20) {
    const auto part = run(one, begin, begin + 20);
    actions.insert(actions.end(), part.begin(), part.end());
    run(other, begin, begin + 20);
  }
  EXPECT_EQ(actions, expected);
  EXPECT_NE(run(other, 200, 220), run(one, 200, 220));
}

TEST(EmbeddedAgent, SenseAndUpdateAreStep) {
  EmbeddedAgent whole(options_of());
  EmbeddedAgent halves(options_of());
  whole.begin(observation_at(0));
  halves.begin(observation_at(0));
  for (std::uint64_t step = 1; step < 50; ++step) {
    const auto expected = whole.step(observation_at(step), 1.0, false, false);
    const auto action = halves.sense(observation_at(step), 1.0, false, false);
    ASSERT_THAT(action, testing::ElementsAreArray(expected));
    halves.update();
  }
}

TEST(EmbeddedAgent, GoesOnFromWhatWasSaved) {
  const TemporaryFolder folder;
  EmbeddedAgent agent(options_of());
  run(agent, 0, 100);  // the last step ends an episode
  agent.save(folder / "agent");
  const auto expected = run(agent, 100, 150);
  EmbeddedAgent loaded = EmbeddedAgent::load(folder / "agent");
  EXPECT_EQ(loaded.steps(), 100U);
  EXPECT_EQ(run(loaded, 100, 150), expected);
  loaded.save(folder / "agent");
  EXPECT_EQ(EmbeddedAgent::load(folder / "agent").steps(), 150U);
}

TEST(EmbeddedAgent, SavesWhatTheCommandReads) {
  const TemporaryFolder folder;
  const TaskInfo& task = *find_task("dot_reacher");
  EmbeddedAgent agent({.observation_dim = task.observation_dim,
                       .action_dim = task.action_dim,
                       .settings = {"hidden=16"},
                       .task = "dot_reacher"});
  std::vector<double> observation(static_cast<std::size_t>(task.observation_dim), 0.5);
  agent.begin(observation);
  for (int i = 0; i < 20; ++i) agent.step(observation, -1.0, false, false);
  agent.save(folder / "agent");
  const CommandResult info = run_command({"info", folder / "agent"});
  EXPECT_EQ(info.exit_code, 0) << info;
  EXPECT_THAT(info.out, testing::ContainsRegex("step +20\n"));
  const CommandResult eval = run_command({"eval", folder / "agent", "--episodes", "1"});
  EXPECT_EQ(eval.exit_code, 0) << eval;
}

TEST(EmbeddedAgent, SaysWhatCannotBeAskedFor) {
  const auto make = [](EmbeddedAgentOptions options) {
    return message_of([&] { EmbeddedAgent agent(options); });
  };
  EXPECT_EQ(make({.observation_dim = 0, .action_dim = 1}),
            "instep: observation_dim is 0; it must be 1 to 512");
  EXPECT_THAT(make({.observation_dim = 1, .action_dim = -2}),
              testing::HasSubstr("action_dim is -2"));
  auto options = options_of();
  options.algorithm = "dqn";
  EXPECT_THAT(make(options), testing::HasSubstr("there is no algorithm 'dqn', but avg"));
  options = options_of();
  options.settings = {"actor_lr=2"};
  EXPECT_THAT(make(options), testing::HasSubstr("actor_lr"));
  options = options_of();
  options.task = "hoper";
  EXPECT_THAT(make(options), testing::HasSubstr("there is no task 'hoper'"));
  options.task = "dot_reacher";
  EXPECT_THAT(make(options), testing::HasSubstr("task dot_reacher has"));
}

TEST(EmbeddedAgent, SaysWhichCallIsNext) {
  EmbeddedAgent agent(options_of());
  const auto observation = observation_at(0);
  EXPECT_EQ(message_of([&] { agent.step(observation, 0.0, false, false); }),
            "instep: sense() was called, but begin() is next");
  agent.begin(observation);
  EXPECT_EQ(message_of([&] { agent.begin(observation); }),
            "instep: begin() was called, but sense() or step() is next");
  agent.sense(observation, 0.0, false, false);
  EXPECT_EQ(message_of([&] { agent.sense(observation, 0.0, false, false); }),
            "instep: sense() was called, but update() is next");
  EXPECT_EQ(message_of([&] { agent.save("/nowhere"); }),
            "instep: save() was called, but update() is next");
  agent.update();
  EXPECT_EQ(message_of([&] { agent.step(std::array{1.0}, 0.0, false, false); }),
            "instep: the observation has 1 values; this agent has 3");
  EXPECT_FALSE(agent.step(observation, 0.0, false, false).empty());  // nothing had changed
}

TEST(EmbeddedAgent, SaysThatItWasMoved) {
  EmbeddedAgent agent(options_of());
  EmbeddedAgent other = std::move(agent);
  EXPECT_FALSE(other.begin(observation_at(0)).empty());
  EXPECT_EQ(message_of([&] { agent.begin(observation_at(0)); }),  // NOLINT(bugprone-use-after-move)
            "instep: this agent was moved to another one");
  EXPECT_THROW(agent.steps(), std::logic_error);
}

TEST(EmbeddedAgent, AnEpisodeEndsWhereANumberIsNotFinite) {
  EmbeddedAgent agent(options_of());
  agent.begin(observation_at(0));
  auto broken = observation_at(1);
  broken[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(agent.step(broken, 0.0, false, false).empty());
  EXPECT_EQ(agent.dropped_steps(), 1U);
  EXPECT_FALSE(agent.begin(observation_at(2)).empty());
}

TEST(EmbeddedAgent, ClosesAnEpisodeWhoseLastActionHadNoOutcome) {
  EmbeddedAgent agent(options_of());
  agent.end_episode();
  agent.begin(observation_at(0));
  agent.step(observation_at(1), 1.0, false, false);
  agent.end_episode();
  EXPECT_EQ(message_of([&] { agent.sense(observation_at(2), 1.0, false, false); }),
            "instep: sense() was called, but begin() is next");
  agent.begin(observation_at(3));
  agent.sense(observation_at(4), 1.0, false, false);
  EXPECT_EQ(message_of([&] { agent.end_episode(); }),
            "instep: end_episode() was called, but update() is next");
  agent.update();
  EXPECT_EQ(agent.steps(), 2U);
  EXPECT_EQ(agent.dropped_steps(), 1U);
}

TEST(EmbeddedAgent, SavesOnlyWhereNothingElseIs) {
  const TemporaryFolder folder;
  EmbeddedAgent agent(options_of());
  write_bytes(folder / "notes", "mine");
  EXPECT_THAT(message_of([&] { agent.save(folder.path()); }), testing::HasSubstr("is not empty"));
  agent.save(folder / "agent");
  EmbeddedAgent other(options_of(2));
  EXPECT_THAT(message_of([&] { other.save(folder / "agent"); }), testing::HasSubstr("belongs to"));
}

}  // namespace
}  // namespace instep

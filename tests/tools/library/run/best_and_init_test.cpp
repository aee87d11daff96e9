// best/, which holds the weights of the best hundred episodes, and --init, which starts from a
// run's weights.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "kernels/adam.h"
#include "learner_of.h"
#include "runtime/algorithms/actor_critic/initial_weights.h"
#include "tasks/registry.h"
#include "temporary_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/run/training_run.h"

namespace instep {
namespace {

constexpr const char* kSmall = "hidden=32";

// A run folder's newest checkpoint, in a session of its own.
struct Loaded {
  explicit Loaded(const std::string& folder)
      : config(read_config_toml(folder + "/config.toml")),
        checkpoint(config.settings.checkpoint_every),
        session(config) {
    open_checkpoint(checkpoint, folder, false);
    session.load(checkpoint, folder + "/checkpoint");
  }
  const Learner& learner() { return learner_of(session.agent()); }

  RunConfig config;
  CheckpointFile checkpoint;
  RunSession session;
};

// Trains hopper, whose first episodes are short, with a small learner; answers what the command
// said.
CommandResult train(const std::string& out, std::vector<std::string> options) {
  std::vector<std::string> words = {"train", "hopper", "--out", out};
  words.insert(words.end(), options.begin(), options.end());
  return run_command(words);
}

template <typename Number>
std::vector<Number> copy_of(const Number* from, std::size_t count) {
  return {from, from + count};
}

std::vector<float> critic_weights(const Learner& learner) {
  return copy_of(learner.floats(learner.layout.critic_weights), learner.layout.critic.floats);
}

std::vector<float> actor_weights(const Learner& learner, std::uint32_t buffer) {
  return copy_of(learner.floats(learner.layout.actor_weights[buffer]), learner.layout.actor.floats);
}

std::vector<double> normalizer(const Learner& learner, std::size_t offset) {
  return copy_of(learner.doubles(offset),
                 static_cast<std::size_t>(learner.layout.shape.observation_dim));
}

class Init : public testing::Test {
 protected:
  void SetUp() override {
    if (find_task("hopper")->make == nullptr) GTEST_SKIP() << find_task("hopper")->missing;
  }
};
using Best = Init;

TEST_F(Init, CopiesWeightsAndNormaliserAndNothingElse) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "source", {"--steps", "3000", "--set", kSmall}).exit_code, 0);
  Loaded source(folder / "source");
  RunConfig config = source.config;
  config.seed = 9;
  RunSession session(config);
  const Learner& to = learner_of(session.agent());
  const Learner& from = source.learner();
  const LearnerState before = to.state();
  copy_weights(from, to);

  const std::vector<float> newest = actor_weights(from, from.state().actor_newest);
  EXPECT_EQ(actor_weights(to, 0), newest);
  EXPECT_EQ(actor_weights(to, 1), newest);
  EXPECT_EQ(critic_weights(to), critic_weights(from));
  EXPECT_EQ(normalizer(to, to.layout.normalizer_mean),
            normalizer(from, from.layout.normalizer_mean));
  EXPECT_EQ(normalizer(to, to.layout.normalizer_variance),
            normalizer(from, from.layout.normalizer_variance));
  LearnerState expected = before;
  expected.normalizer_count = from.state().normalizer_count;
  EXPECT_EQ(std::memcmp(&to.state(), &expected, sizeof expected), 0);
  const auto is_zero = [&to](std::size_t offset, std::size_t floats) {
    return copy_of(to.floats(offset), floats) == std::vector<float>(floats, 0.0F);
  };
  EXPECT_TRUE(is_zero(to.layout.actor_optimizer[kSecondMoment], to.layout.actor.floats));
  EXPECT_TRUE(is_zero(to.layout.critic_optimizer[kSecondMoment], to.layout.critic.floats));
  EXPECT_FALSE(copy_of(from.floats(from.layout.critic_optimizer[kSecondMoment]),
                       from.layout.critic.floats) ==
               std::vector<float>(from.layout.critic.floats, 0.0F));
}

// At step 0 a run has seen one observation and acted once, with the weights it started from.
TEST_F(Init, ANewRunActsWithTheWeightsOfTheOther) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "source", {"--steps", "3000", "--set", kSmall}).exit_code, 0);
  Loaded source(folder / "source");
  RunConfig config = source.config;
  config.seed = 9;
  std::filesystem::create_directory(folder / "new");
  { const TrainingRun only_started(config, folder / "new", {.init = folder / "source"}); }
  Loaded made(folder / "new");
  const LearnerState& state = made.learner().state();
  EXPECT_EQ(made.checkpoint.step(), 0);
  EXPECT_EQ(actor_weights(made.learner(), state.actor_acted),
            actor_weights(source.learner(), source.learner().state().actor_newest));
  EXPECT_EQ(critic_weights(made.learner()), critic_weights(source.learner()));
  EXPECT_EQ(state.normalizer_count, source.learner().state().normalizer_count + 1.0);
  EXPECT_LE(state.actor_updates, 1);
  EXPECT_EQ(state.critic_updates, 0);
  EXPECT_EQ(state.reward_moments.count, 0.0);
}

TEST_F(Init, TheCommandTakesARunAndItsBest) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "source", {"--steps", "4000", "--set", kSmall}).exit_code, 0);
  for (const std::string from : {"source", "source/best"}) {
    const CommandResult result =
        train(folder / ("from_" + from.substr(from.size() - 4)),
              {"--steps", "2000", "--set", kSmall, "--seed", "3", "--init", folder / from});
    EXPECT_EQ(result.exit_code, 0) << result;
  }
}

TEST_F(Init, SaysWhatDoesNotFit) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "source", {"--steps", "100", "--set", kSmall}).exit_code, 0);
  const CommandResult sizes = train(
      folder / "sizes", {"--steps", "100", "--set", "hidden=64", "--init", folder / "source"});
  EXPECT_EQ(sizes.exit_code, 2) << sizes;
  EXPECT_NE(sizes.error.find("other sizes or another algorithm"), std::string::npos) << sizes;
  const CommandResult algorithm =
      train(folder / "algorithm",
            {"--steps", "100", "--set", kSmall, "--algo", "iac", "--init", folder / "source"});
  EXPECT_EQ(algorithm.exit_code, 2) << algorithm;
  const CommandResult missing =
      train(folder / "missing", {"--steps", "100", "--init", folder / "nowhere"});
  EXPECT_EQ(missing.exit_code, 2) << missing;
  EXPECT_NE(missing.error.find("nowhere"), std::string::npos) << missing;
}

TEST_F(Best, IsARunOfItsOwnForEval) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run", {"--steps", "4000", "--set", kSmall}).exit_code, 0);
  const CommandResult result =
      run_command({"eval", folder / "run/best", "--episodes", "3", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto summary = nlohmann::json::parse(result.last_line());
  EXPECT_EQ(summary.at("episodes"), 3);
  EXPECT_GT(summary.at("step"), 0);
  EXPECT_LE(summary.at("step"), 4000);
}

TEST_F(Best, IsNotMadeBeforeTenEpisodes) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run", {"--steps", "9", "--set", kSmall}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder / "run/best"));
}

// A resumed run knows from episodes.csv what the best has been: it keeps what the run in one go
// keeps.
TEST_F(Best, IsTheSameAfterAResume) {
  const TemporaryFolder folder;
  const std::vector<std::string> common = {"--set", kSmall, "--set", "checkpoint_every=1000"};
  std::vector<std::string> whole = {"--steps", "8000"};
  std::vector<std::string> half = {"--steps", "4000"};
  whole.insert(whole.end(), common.begin(), common.end());
  half.insert(half.end(), common.begin(), common.end());
  ASSERT_EQ(train(folder / "whole", whole).exit_code, 0);
  ASSERT_EQ(train(folder / "parts", half).exit_code, 0);
  ASSERT_TRUE(std::filesystem::exists(folder / "parts/best"));
  const CommandResult resumed =
      run_command({"train", "--resume", folder / "parts", "--steps", "8000"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed;
  Loaded expected(folder / "whole/best");
  Loaded found(folder / "parts/best");
  EXPECT_EQ(found.checkpoint.step(), expected.checkpoint.step());
  const std::size_t bytes = expected.learner().layout.bytes;
  EXPECT_EQ(std::memcmp(found.learner().block, expected.learner().block, bytes), 0);
}

}  // namespace
}  // namespace instep

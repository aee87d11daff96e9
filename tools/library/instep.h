// The learner for control loops of your own: `#include <instep/instep.h>`, target instep::instep.
//
//   instep::EmbeddedAgent agent({.observation_dim = 3, .action_dim = 1, .seed = 0});
//   std::span<const float> action = agent.begin(observation);
//   while (true) {
//     ...                                          // apply the action, wait, sense
//     action = agent.step(observation, reward, terminated, truncated);
//     if (action.empty()) action = agent.begin(observation_of_a_new_episode);
//   }
//   agent.save("runs/mine");
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace instep {

struct EmbeddedAgentOptions {
  int observation_dim = 0;
  int action_dim = 0;
  std::uint64_t seed = 0;
  std::string algorithm = "avg";  // one of `instep settings`
  // "key=value", as behind --set; `instep settings --algo ALGORITHM` lists them.
  std::vector<std::string> settings = {};
  // A task of `instep tasks` with these sizes, if the loop is for one: its settings are the initial
  // ones, and `instep info` and `instep eval` take what was saved. Empty: a world of your own.
  std::string task = {};
};

// One agent with its memory, on the best instruction set of this machine. Several may live in one
// process; each gives the bits that it gives alone. One thread at a time. Only the constructor,
// load() and save() allocate.
//
// Throws std::invalid_argument for what cannot be asked for, std::logic_error for calls out of
// order or spans of other sizes (and nothing has changed), std::runtime_error for files, and
// std::bad_alloc.
class EmbeddedAgent {
 public:
  explicit EmbeddedAgent(const EmbeddedAgentOptions& options);
  // Goes on with what save() has left in a folder. An episode that was open then is over: begin()
  // is next.
  static EmbeddedAgent load(const std::string& folder);
  EmbeddedAgent(EmbeddedAgent&&) noexcept;
  EmbeddedAgent& operator=(EmbeddedAgent&&) noexcept;
  ~EmbeddedAgent();

  // Opens an episode with its first observation [observation_dim]. Answers the action [action_dim],
  // each in [-1, 1], valid until the next call; empty when a number was not finite.
  std::span<const float> begin(std::span<const double> observation);

  // What followed the last action. Answers the next action, or an empty span when the episode is
  // over (terminated, truncated, or a number was not finite): begin() is next. `terminated`: the
  // task itself has ended; `truncated`: a time limit has cut it. Learning is left to update(), so
  // that the command can leave first.
  std::span<const float> sense(std::span<const double> observation, double reward, bool terminated,
                               bool truncated);
  // Learns from what sense() has closed. Once after each sense().
  void update();
  // sense() and update() in one.
  std::span<const float> step(std::span<const double> observation, double reward, bool terminated,
                              bool truncated);

  // Closes an open episode whose last action will have no outcome: nothing is learnt of that step,
  // which dropped_steps() counts, and begin() is next. Does nothing between episodes. After
  // update().
  void end_episode();

  int observation_dim() const;
  int action_dim() const;
  std::uint64_t steps() const;  // closed transitions so far
  std::uint64_t dropped_steps()
      const;  // not learnt from: a number was not finite, or end_episode()

  // Writes config.toml and a checkpoint, of which one of two slots is always whole, into a folder
  // that is new, empty, or this agent's. After update() or between episodes.
  void save(const std::string& folder);

 private:
  struct State;
  explicit EmbeddedAgent(std::unique_ptr<State> state);
  State& state() const;

  std::unique_ptr<State> state_;
};

}  // namespace instep

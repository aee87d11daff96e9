// The agent of the incremental actor-critics (kernels/learner.h): AVG, IAC and RAC.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/learner.h"
#include "kernels/philox.h"
#include "runtime/agent.h"
#include "runtime/algorithms/actor_critic/health_sampler.h"
#include "runtime/memory.h"

namespace instep {

// Everything that decides the agent's bits.
struct ActorCriticConfig {
  Shape shape;
  LearnerSettings settings;  // settings.hidden == shape.hidden_dim
  Schedule schedule = Schedule::kActFirst;
  const Executor* executor = nullptr;
  std::uint64_t seed = 0;
  std::vector<Phase>* phases = nullptr;  // as in AgentConfig; of one agent at a time
};

// Where the standard normal draws of a step come from. The agent's own source is Philox;
// verification plugs in recorded draws. Overwrites out [action_dim] for kExploration or
// kNextAction.
struct NoiseSource {
  void* self = nullptr;
  void (*fill)(void* self, Stream stream, std::uint64_t step, float* out, int count) = nullptr;
};

// Learns in the loop's thread. ApartAgent is the one that does not.
class ActorCriticAgent : public Agent {
 public:
  // Starts from clear statistics and the seed's initial weights. Throws std::bad_alloc.
  explicit ActorCriticAgent(const ActorCriticConfig& config);
  ~ActorCriticAgent() override;

  int observation_dim() const final { return config_.shape.observation_dim; }
  int action_dim() const final { return config_.shape.action_dim; }

  const float* begin_episode(const double* observation) override;
  const float* sense(const double* observation, double reward, bool terminated,
                     bool truncated) override;
  void update() override;
  void interrupt() override;
  bool was_dropped() const final { return was_dropped_; }
  std::uint64_t step() const final { return step_; }

  std::size_t state_bytes() const final { return learner_.layout.bytes; }
  void save_state(std::span<std::uint8_t> out) final;
  bool load_state(std::span<const std::uint8_t> in, std::uint64_t step) override;
  const float* open_action() const final;
  void drop_open() override;
  bool take_weights(const Agent& other) final;

  std::unique_ptr<Policy> make_policy(bool adapts_normalizer) final;

  std::vector<MemoryPart> memory_parts() const final;
  DropCounts drop_counts() const final;
  std::vector<NamedNumber> numbers() const final;
  void gather_health() final { sampler_.add_tick(learner_); }
  std::int64_t health_ticks() const final { return sampler_.ticks(); }
  HealthSample take_health() final;
  HealthSample peek_health() const final { return sampler_.peek(learner_); }
  std::optional<LeastWork> least_work() const final;

  // As sense() and update() for a transition after which nothing more happens: learns from it,
  // draws no action. Verification compares the learner here.
  void close(const double* observation, double reward, bool terminated, bool truncated);

  // Completes what the throughput schedule put off, so that the learner's block is the same under
  // both schedules; brings it up to date where the executor keeps it in another memory.
  void flush() { executor().flush(learner_); }
  void fetch() {
    if (executor().fetch != nullptr) executor().fetch(learner_);
  }

  const ActorCriticConfig& config() const { return config_; }
  const Learner& learner() const { return learner_; }
  void set_noise_source(const NoiseSource& source) { noise_ = source; }

 protected:
  // A closed transition to learn from.
  struct Transition {
    bool terminated = false;
    bool truncated = false;
    double reward = 0.0;
    std::uint64_t step = 0;
  };

  const Executor& executor() const { return *config_.executor; }
  void begin_call();
  void count_step() { ++step_; }
  bool is_usable(const double* observation, double reward) const;
  const float* act();
  // The noise of this step's action.
  void draw_exploration(float* noise) const;
  // The action in a tape, or null when it may not be sent.
  const float* checked_action(const float* tape);
  void learn(const Transition& transition);
  void tell_updated() const {
    if (hooks_.updated != nullptr) hooks_.updated(hooks_.self);
  }
  void set_dropped() { was_dropped_ = true; }

  // What sense() or begin_episode() leaves for update().
  Transition closed_;
  bool must_learn_ = false;
  bool must_prepare_ = false;

 private:
  ActorCriticConfig config_;
  Executor timed_;  // in the place of the configured one where its phases are timed
  MemoryBlock memory_;
  Learner learner_;
  NoiseSource noise_;
  HealthSampler sampler_;
  std::uint64_t step_ = 0;
  bool was_dropped_ = false;
};

}  // namespace instep

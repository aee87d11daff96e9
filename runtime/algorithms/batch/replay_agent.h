// What SAC and TD3 have in common: every transition goes into a replay buffer, and each step two
// critics learn from a batch drawn from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "runtime/algorithms/batch/batch_agent.h"

namespace instep {

struct ReplayConfig {
  int actor_outputs = 0;
  int hidden = 256;
  int batch = 256;
  std::int64_t buffer = 1'000'000;   // transitions
  std::int64_t learning_starts = 0;  // steps of random actions before the first update
  int actor_every = 2;               // critic updates
  double discount = 0.99;
  double target_share = 0.005;  // of the critics' weights that enters their targets each time
  double actor_lr = 3e-4;
  double critic_lr = 3e-4;
  bool has_target_actor = false;
};

// Everything but acting and what the actor learns. The replay buffer is part of the state, so that
// a checkpoint resumes exactly.
class ReplayAgent : public BatchAgent {
 public:
  bool take_weights(const Agent& other) final;
  std::vector<NamedNumber> numbers() const override;
  void act(const double* observation, const float* noise, float* action) final;

 protected:
  // Members of eight bytes, so that no padding makes equal states differ.
  struct State {
    std::int64_t stored = 0;  // transitions in the buffer
    std::int64_t next = 0;    // where the next one goes
    std::int64_t critic_updates = 0;
    AdamCounters critic;
    AdamCounters actor;
    // Of SAC's entropy weight, as its logarithm.
    AdamCounters entropy;
    double log_entropy_coef = 0.0;
    double entropy_first_moment = 0.0;
    double entropy_second_moment = 0.0;
  };

  // One batch: a column for each sample.
  struct Batch {
    float* observation;       // [observation_dim, batch]
    float* next_observation;  // [observation_dim, batch]
    float* critic_input;      // [observation_dim + action_dim, batch]
    float* next_input;        // the same of what follows; learn() fills in the observations
    float* reward;            // [batch]
    float* continues;         // [batch], 0 after a termination
    float* next_bonus;        // [batch], added to what the next step is worth
  };

  ReplayAgent(const AgentConfig& agent, const ReplayConfig& config);

  // The action for the actor's output [actor_outputs]: overwrites action [action_dim].
  virtual void squash_output(const float* output, const float* noise, float* action) const = 0;
  // The next action of each sample into batch().next_input, and next_bonus.
  virtual void act_next() = 0;
  // What the actor learns, once every actor_every updates of the critics.
  virtual void learn_actor() = 0;

  const ReplayConfig& config() const { return config_; }
  State& state() { return *at<State>(state_at_); }
  const State& state() const { return *at<const State>(state_at_); }
  float* actor() const { return at<float>(actor_at_); }
  float* target_actor() const { return at<float>(target_actor_at_); }
  const Batch& batch() const { return batch_; }
  const float* output() const { return actor_tape_.output; }               // [actor_outputs, batch]
  const float* q(std::size_t k) const { return critic_tapes_[k].output; }  // [batch]
  // Scratch.
  float* noise() const { return noise_; }        // [action_dim, batch]
  float* d_q() const { return d_q_; }            // [batch]
  float* d_output() const { return d_output_; }  // [actor_outputs, batch]
  float* d_input() const { return d_input_; }    // [observation_dim + action_dim, batch]

  // Fills the noise of a batch; blocks are draws of their own.
  void draw_noise(Stream stream, int block);
  // Observations of a batch into the input of a critic.
  void set_observations(const float* observations, float* input) const;
  // The output() of an actor for a batch of observations.
  void run_actor(const float* weights, const float* observations);
  // Both critics' q(), or their targets', for an input.
  void run_critics(const float* input, bool are_targets);
  // Of critic k, after run_critics(input): overwrites d_input() with its output's gradient by the
  // input, each sample weighted by d_q [batch].
  void critic_input_gradient(std::size_t k, const float* input, const float* d_q);
  // The actor's step from d_output(), after run_actor() with these observations.
  void step_actor(const float* observations);

  void note_entropy(double entropy);

 private:
  void open(const double* observation, float* action) final;
  void close(const double* observation, double reward, bool terminated, bool truncated) final;
  void learn() final;
  bool is_valid_state(std::span<const std::uint8_t> in) const final;
  void fill_health(HealthSample& sample) const final;
  void forget_health() final { health_ = {}; }

  void plan_state();
  std::vector<std::pair<float**, std::size_t>> scratch_arrays();
  void initialize();
  NetworkShape actor_shape() const { return {observation_dim(), hidden(), config_.actor_outputs}; }
  NetworkShape critic_shape() const { return {observation_dim() + action_dim(), hidden(), 1}; }
  void draw_batch();
  void learn_critics();
  void follow(bool is_actors_turn);

  ReplayConfig config_;
  // Offsets in the block.
  std::size_t state_at_ = 0, open_observation_at_ = 0;
  std::size_t actor_at_ = 0, actor_moments_at_ = 0, target_actor_at_ = 0;
  std::size_t critics_at_ = 0, critic_moments_at_ = 0, target_critics_at_ = 0;
  std::size_t replay_at_[5] = {};

  Batch batch_{};
  NetworkTape actor_tape_, acting_tape_, critic_tapes_[2];
  NetworkScratch scratch_;
  float* acting_input_ = nullptr;
  float* noise_ = nullptr;
  float* d_q_ = nullptr;
  float* d_output_ = nullptr;
  float* d_input_ = nullptr;
  float* gradient_ = nullptr;
  double* draws_ = nullptr;

  struct HealthSums {
    std::int64_t updates = 0;
    double td_error_squares = 0.0;
    double q = 0.0;
    std::int64_t entropies = 0;
    double entropy = 0.0;
  };
  HealthSums health_;
};

}  // namespace instep

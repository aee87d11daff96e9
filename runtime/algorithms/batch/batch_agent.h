// What the algorithms with batches have in common: one block of memory, the state first, and the
// order of a tick.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/philox.h"
#include "runtime/agent.h"
#include "runtime/algorithm.h"
#include "runtime/algorithms/batch/block_plan.h"
#include "runtime/algorithms/batch/network.h"
#include "runtime/memory.h"

namespace instep {

class BatchAgent : public Agent {
 public:
  int observation_dim() const final { return observation_dim_; }
  int action_dim() const final { return action_dim_; }

  const float* begin_episode(const double* observation) final;
  const float* sense(const double* observation, double reward, bool terminated,
                     bool truncated) final;
  void update() final;
  void interrupt() final;
  bool was_dropped() const final { return was_dropped_; }
  std::uint64_t step() const final { return step_; }

  std::size_t state_bytes() const final { return state_bytes_; }
  void save_state(std::span<std::uint8_t> out) final;
  bool load_state(std::span<const std::uint8_t> in, std::uint64_t step) final;
  const float* open_action() const final;
  void drop_open() final;
  std::unique_ptr<Policy> make_policy(bool adapts_normalizer) final;

  std::vector<MemoryPart> memory_parts() const final { return plan_.parts(); }
  DropCounts drop_counts() const final { return {0, tick().transitions_dropped}; }
  void gather_health() final { ++health_ticks_; }
  std::int64_t health_ticks() const final { return health_ticks_; }
  HealthSample take_health() final;
  HealthSample peek_health() const final;

  // The policy's action for an observation [observation_dim] as it is, drawn by standard normal
  // noise [action_dim]: overwrites action [action_dim]. What evaluation acts by.
  virtual void act(const double* observation, const float* noise, float* action) = 0;

 protected:
  BatchAgent(const AgentConfig& config, int hidden);

  // The first of the state. Members of eight bytes, so that no padding makes equal states differ.
  struct Tick {
    std::int64_t is_open = 0;
    std::int64_t transitions_dropped = 0;
  };

  // Plans an array of the state, or of what lives for one call only; all of the state first.
  std::size_t plan(std::string_view name, std::size_t bytes) { return plan_.add(name, bytes); }
  std::size_t plan_floats(std::string_view name, std::size_t count) {
    return plan_.add_floats(name, count);
  }
  void end_state() { state_bytes_ = plan_.bytes(); }
  // Takes what was planned. The last act of a constructor, but for initial values.
  void allocate() { memory_ = std::make_unique<MemoryBlock>(plan_.bytes()); }
  template <typename T>
  T* at(std::size_t offset) const {
    return reinterpret_cast<T*>(memory_->data() + offset);
  }

  // Takes an observation that opens a transition: overwrites action [action_dim].
  virtual void open(const double* observation, float* action) = 0;
  // Takes what followed the open transition.
  virtual void close(const double* observation, double reward, bool terminated, bool truncated) = 0;
  // The open transition will not be closed.
  virtual void lose() {}
  // Learns, if it is time to.
  virtual void learn() = 0;
  // Whether the state's counters may be believed.
  virtual bool is_valid_state(std::span<const std::uint8_t> in) const = 0;
  // Means over what was gathered since forget_health().
  virtual void fill_health(HealthSample& sample) const = 0;
  virtual void forget_health() = 0;

  const MatrixPath& path() const { return *path_; }
  std::uint64_t seed() const { return seed_; }
  int hidden() const { return hidden_; }
  Random random(Stream stream) const { return {seed_, static_cast<std::uint32_t>(stream)}; }
  Tick& tick() { return *at<Tick>(tick_at_); }
  const Tick& tick() const { return *at<const Tick>(tick_at_); }
  float* action() const { return at<float>(action_at_); }

 private:
  const float* open_next(const double* observation);

  int observation_dim_;
  int action_dim_;
  int hidden_;
  const MatrixPath* path_;
  std::uint64_t seed_;
  BlockPlan plan_;
  std::size_t state_bytes_ = 0;
  std::size_t tick_at_;
  std::size_t action_at_;
  std::unique_ptr<MemoryBlock> memory_;
  std::uint64_t step_ = 0;
  bool must_learn_ = false;
  bool was_dropped_ = false;
  std::int64_t health_ticks_ = 0;
};

// Names of the paths that algorithms with batches can take.
std::vector<std::string_view> batch_paths(std::string_view backend, Arithmetic arithmetic,
                                          std::string& problem);

// Euclidean length.
double length_of(const float* values, std::size_t count);

constexpr std::size_t area(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
}

}  // namespace instep

// The learner as the control loop sees it, whatever its algorithm: an observation goes in, an
// action comes out at once, and the learning is done afterwards while the robot moves.
//
// An algorithm is a class that implements Agent, and one entry of the table (runtime/algorithm.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/bound.h"
#include "runtime/health.h"
#include "runtime/latency_histogram.h"
#include "runtime/policy.h"

namespace instep {

// Calls by which an agent that learns apart reports to its owner; null ones are skipped. The loop's
// side calls `posted`, from update() and request_state(), when the learner has something to do. The
// learner's side calls the others.
struct LearnerHooks {
  void* self = nullptr;
  void (*posted)(void* self) = nullptr;
  void (*updated)(void* self) = nullptr;  // the agent's health may be gathered
  void (*state_taken)(void* self, std::uint64_t step) = nullptr;
};

// Counts the ticks at which a learner in another thread was not done yet.
struct LateLearning {
  std::uint64_t ticks = 0;
  std::uint64_t transitions_dropped = 0;  // never begun
  std::uint64_t tasks_lost = 0;           // the learner was so late that it could not even be told
};

// One array of an agent's memory. Its bytes, padding included, reach to the next array.
struct MemoryPart {
  std::string_view name;
  std::size_t offset = 0;
  std::size_t bytes = 0;          // with padding
  std::size_t padding_bytes = 0;  // of them, what holds no number
};

// A number that an agent tells about itself, for `instep info`.
struct NamedNumber {
  std::string_view name;
  std::variant<std::int64_t, double> value;
};

// Counts what the agent did not learn because a number was not finite.
struct DropCounts {
  std::int64_t updates = 0;
  std::int64_t transitions = 0;
};

// How long one phase of a tick took, and how many bytes it must move between memory and processor,
// such as weights (0: not known).
struct Phase {
  std::string_view name;
  LatencyHistogram latency;
  std::size_t bytes = 0;
};

// One of the passes over memory that every update needs; together they bound an update's time from
// below. A pass reads, or reads and writes, numbers [first, first + count) of an array, and of a
// second array of the same size where it updates.
struct LeastWork {
  struct Pass {
    bool is_update = false;
    std::size_t first = 0;
    std::size_t count = 0;
  };
  const BoundLoops* loops = nullptr;
  std::size_t floats = 0;  // of each array
  std::vector<Pass> passes;
};

// One learner with its memory, its noise and its step counter. The constructor allocates; later
// only functions that return a vector or a new object do. One thread uses it, or two where it
// learns apart: the learner's thread calls run_next_task() and asks for the health, the loop's
// thread calls everything else.
class Agent {
 public:
  virtual ~Agent() = default;
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  virtual int observation_dim() const = 0;
  virtual int action_dim() const = 0;

  // ---- The tick

  // Opens an episode with its first observation [observation_dim]. Answers the action [action_dim],
  // valid until the next call, or null when nothing may be sent: the observation or the action is
  // not finite.
  virtual const float* begin_episode(const double* observation) = 0;

  // Takes what followed the last action: the next observation, the reward, and whether the episode
  // ended. Answers the next action, or null when there is none: the episode ended, or
  // (was_dropped()) something was not finite; then no statistic has seen it, and the episode cannot
  // go on.
  virtual const float* sense(const double* observation, double reward, bool terminated,
                             bool truncated) = 0;

  // The rest of the tick: learns from the transition that sense() closed and opens the next one.
  // Call it once after every begin_episode() or sense(), when the command has been sent.
  virtual void update() = 0;

  // Drops the open transition. Call it instead of sense() where a tick carries no step. step()
  // still counts it, because the noise of its action is used up.
  virtual void interrupt() = 0;

  // True when the last call met a number that is not finite, or is beyond a float's range.
  virtual bool was_dropped() const = 0;

  // Closed transitions so far, dropped ones included: the clock of the random streams.
  virtual std::uint64_t step() const = 0;

  // ---- State

  // Everything that decides what the agent does next, step() aside. save_state() first does what a
  // schedule has put off, so that the bytes are the same under all of them.
  virtual std::size_t state_bytes() const = 0;
  virtual void save_state(std::span<std::uint8_t> out) = 0;

  // Goes on with a state that was saved after `step` steps. False, and nothing has changed, when
  // the bytes cannot be a state of this agent; then where they end in the middle of an episode
  // (has_open_action()), open_action() is what was done last.
  [[nodiscard]] virtual bool load_state(std::span<const std::uint8_t> in, std::uint64_t step) = 0;
  // The last action [action_dim], whose outcome is still to come; null when there is none.
  virtual const float* open_action() const = 0;
  // Drops the open transition without a step: the world that it belonged to is gone.
  virtual void drop_open() = 0;

  // Takes weights and normaliser of another agent of the same algorithm; everything else stays.
  // False, and nothing has changed, when its sizes are others.
  [[nodiscard]] virtual bool take_weights(const Agent& other) = 0;

  // ---- Acting, without learning

  // The policy with its weights and statistics as they are. With `adapts_normalizer` the normaliser
  // alone goes on. It borrows this agent's memory, so that learning cannot go on afterwards.
  virtual std::unique_ptr<Policy> make_policy(bool adapts_normalizer) = 0;

  // ---- What it tells of itself

  // Every array in memory, in order. The first state_bytes() bytes are what save_state() writes.
  virtual std::vector<MemoryPart> memory_parts() const = 0;
  virtual DropCounts drop_counts() const { return {}; }
  virtual std::vector<NamedNumber> numbers() const { return {}; }

  // Gathers what the tick that has just been made says of the learning; take_health() answers means
  // since its last call. Where it learns apart, both belong into LearnerHooks::updated.
  virtual void gather_health() {}
  virtual std::int64_t health_ticks() const { return 0; }  // gathered since
  virtual HealthSample take_health() { return {}; }
  // The same, but everything is kept.
  virtual HealthSample peek_health() const { return {}; }

  // Null where nothing is known of what an update must at least do.
  virtual std::optional<LeastWork> least_work() const { return std::nullopt; }

  // ---- Learning apart from the loop, in a thread of its own (AgentConfig::learns_apart)

  // Does the oldest task; false when there is none.
  virtual bool run_next_task() { return false; }
  virtual std::uint32_t tasks_left() const { return 0; }
  // Whether the last call found the learner at work.
  virtual bool was_late() const { return false; }
  virtual LateLearning late_learning() const { return {}; }
  // Asks for the state as it will be after all tasks given so far. out [state_bytes()] must stay
  // until the hook is called. False when the learner could not be told.
  [[nodiscard]] virtual bool request_state(std::span<std::uint8_t> out) {
    save_state(out);
    if (hooks_.state_taken != nullptr) hooks_.state_taken(hooks_.self, step());
    return true;
  }
  void set_hooks(const LearnerHooks& hooks) { hooks_ = hooks; }

 protected:
  Agent() = default;

  LearnerHooks hooks_;
};

}  // namespace instep

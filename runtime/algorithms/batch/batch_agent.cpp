#include "runtime/algorithms/batch/batch_agent.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/check.h"
#include "runtime/algorithms/finite.h"
#include "runtime/plain_state.h"

namespace instep {
namespace {

const MatrixPath* find_matrix_path(std::string_view name, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kPortable) return matrix_paths().back();
  for (const MatrixPath* path : matrix_paths()) {
    if (name.empty() || name == path->name) return path;
  }
  return nullptr;
}

// Acts with an agent's actor as it is.
class BatchPolicy final : public Policy {
 public:
  explicit BatchPolicy(BatchAgent& agent)
      : agent_(agent), action_(static_cast<std::size_t>(agent.action_dim())) {}

  const float* act(const double* observation, const float* noise) override {
    agent_.act(observation, noise, action_.data());
    return action_.data();
  }

 private:
  BatchAgent& agent_;
  std::vector<float> action_;
};

}  // namespace

BatchAgent::BatchAgent(const AgentConfig& config, int hidden)
    : observation_dim_(config.observation_dim),
      action_dim_(config.action_dim),
      hidden_(hidden),
      path_(find_matrix_path(config.path, config.arithmetic)),
      seed_(config.seed),
      tick_at_(plan("tick", sizeof(Tick))),
      action_at_(plan_floats("open action", area(config.action_dim, 1))) {
  INSTEP_CHECK(path_ != nullptr && !config.learns_apart);
}

// ---------------------------------------------------------------------------------------------------
// The tick

const float* BatchAgent::open_next(const double* observation) {
  open(observation, action());
  // A network whose weights are no numbers must not move anything.
  was_dropped_ = !all_finite(action(), action_dim_);
  tick().is_open = was_dropped_ ? 0 : 1;
  return was_dropped_ ? nullptr : action();
}

const float* BatchAgent::begin_episode(const double* observation) {
  INSTEP_CHECK(!must_learn_);
  was_dropped_ = !all_finite(observation, observation_dim_);
  return was_dropped_ ? nullptr : open_next(observation);
}

const float* BatchAgent::sense(const double* observation, double reward, bool terminated,
                               bool truncated) {
  INSTEP_CHECK(!must_learn_);
  ++step_;
  was_dropped_ = !all_finite(observation, observation_dim_) || !all_finite(&reward, 1);
  if (was_dropped_) {
    drop_open();
    return nullptr;
  }
  if (std::exchange(tick().is_open, 0) != 0) close(observation, reward, terminated, truncated);
  must_learn_ = true;
  return terminated || truncated ? nullptr : open_next(observation);
}

void BatchAgent::update() {
  if (std::exchange(must_learn_, false)) learn();
  if (!was_dropped_ && hooks_.updated != nullptr) hooks_.updated(hooks_.self);
}

void BatchAgent::interrupt() {
  INSTEP_CHECK(!must_learn_);
  ++step_;
  was_dropped_ = true;
  drop_open();
}

void BatchAgent::drop_open() {
  if (std::exchange(tick().is_open, 0) == 0) return;
  ++tick().transitions_dropped;
  lose();
}

// ---------------------------------------------------------------------------------------------------
// State

void BatchAgent::save_state(std::span<std::uint8_t> out) {
  INSTEP_CHECK(out.size() == state_bytes_);
  std::memcpy(out.data(), memory_->data(), state_bytes_);
}

bool BatchAgent::load_state(std::span<const std::uint8_t> in, std::uint64_t step) {
  if (in.size() != state_bytes_) return false;
  const auto read = read_plain<Tick>(in.subspan(tick_at_));
  if (read.is_open < 0 || read.is_open > 1 || !is_valid_state(in)) return false;
  std::memcpy(memory_->data(), in.data(), state_bytes_);
  step_ = step;
  return true;
}

const float* BatchAgent::open_action() const {
  return tick().is_open != 0 ? action() : nullptr;
}

std::unique_ptr<Policy> BatchAgent::make_policy(bool /*adapts_normalizer*/) {
  return std::make_unique<BatchPolicy>(*this);
}

HealthSample BatchAgent::take_health() {
  const HealthSample sample = peek_health();
  health_ticks_ = 0;
  forget_health();
  return sample;
}

HealthSample BatchAgent::peek_health() const {
  HealthSample sample;
  sample.ticks = health_ticks_;
  fill_health(sample);
  return sample;
}

std::vector<std::string_view> batch_paths(std::string_view backend, Arithmetic arithmetic,
                                          std::string& problem) {
  if (backend != "cpu") {
    problem = "algorithms with batches run on the CPU alone: --backend cpu";
    return {};
  }
  std::vector<std::string_view> names;
  for (const MatrixPath* path : matrix_paths()) names.emplace_back(path->name);
  // The last one is the same on every processor.
  if (arithmetic == Arithmetic::kPortable) return {names.back()};
  return names;
}

double length_of(const float* values, std::size_t count) {
  double squares = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    squares += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return std::sqrt(squares);
}

}  // namespace instep

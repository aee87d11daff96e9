// A learner in memory of its own, for tests, and its arrays in the order of kernels/definition.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "draws.h"
#include "kernels/definition.h"
#include "kernels/learner.h"

namespace instep {

// A cleared learner with its block. A copy has a block of its own with the same bytes.
class TestLearner {
 public:
  TestLearner(const Shape& shape, const LearnerSettings& settings, const Executor& executor,
              Schedule schedule = Schedule::kActFirst)
      : executor_(&executor) {
    learner_.settings = settings;
    learner_.settings.hidden = shape.hidden_dim;
    learner_.schedule = schedule;
    learner_.layout = learner_layout(shape, learner_.settings);
    take_block();
    clear(learner_);
  }
  TestLearner(const TestLearner& other) : executor_(other.executor_), learner_(other.learner_) {
    take_block();
    copy_block(other);
  }
  TestLearner& operator=(const TestLearner&) = delete;

  void copy_block(const TestLearner& other) {
    std::memcpy(learner_.block, other.learner_.block, learner_.layout.bytes);
  }
  bool has_block_of(const TestLearner& other) const {
    return std::memcmp(learner_.block, other.learner_.block, learner_.layout.bytes) == 0;
  }

  const Learner& learner() const { return learner_; }
  const Layout& layout() const { return learner_.layout; }
  LearnerState& state() const { return learner_.state(); }
  void set_schedule(Schedule schedule) { learner_.schedule = schedule; }

  void observe(const std::vector<double>& observation) const {
    executor_->observe(learner_, observation.data());
  }
  void act(const std::vector<float>& noise) const { executor_->act(learner_, noise.data()); }
  void learn(double reward, bool terminated, bool truncated,
             const std::vector<float>& noise) const {
    executor_->learn(learner_, reward, terminated, truncated, noise.data());
  }
  void prepare() const { executor_->prepare(learner_); }
  void flush() const { executor_->flush(learner_); }
  void drop() const { executor_->drop(learner_); }

 private:
  void take_block() {
    memory_.resize(learner_.layout.bytes + 64);
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    learner_.block = memory_.data() + (64 - address % 64) % 64;
  }

  const Executor* executor_;
  Learner learner_;
  std::vector<std::uint8_t> memory_;
};

inline definition::NetworkShape definition_shape(const NetworkLayout& network, int hidden_dim) {
  return {network.inputs, hidden_dim, network.rows};
}

// Calls visit(index in the flat array of the definition, index in the network's array) for each
// parameter.
template <typename Visit>
void for_each_parameter(const NetworkLayout& network, int hidden_dim, Visit visit) {
  std::size_t flat = 0;
  const auto hidden = [&](std::size_t start, int inputs) {
    for (int i = 0; i < hidden_dim; ++i) {
      for (int j = 0; j < inputs; ++j) visit(flat++, start + hidden_weight_index(inputs, i, j));
    }
  };
  const auto plain = [&](std::size_t start, int count) {
    for (int i = 0; i < count; ++i) visit(flat++, start + static_cast<std::size_t>(i));
  };
  hidden(network.w1, network.inputs);
  plain(network.b1, hidden_dim);
  hidden(network.w2, hidden_dim);
  plain(network.b2, hidden_dim);
  for (int row = 0; row < network.rows; ++row) {
    plain(network.w_head + static_cast<std::size_t>(row * network.width), hidden_dim);
  }
  plain(network.b_head, network.rows);
}

inline std::vector<double> unpack(const NetworkLayout& network, int hidden_dim,
                                  const float* array) {
  std::vector<double> flat(definition::parameter_count(definition_shape(network, hidden_dim)));
  for_each_parameter(network, hidden_dim, [&](std::size_t to, std::size_t from) {
    flat[to] = static_cast<double>(array[from]);
  });
  return flat;
}

// Random weights of ordinary size: outputs of order 1, biases a third of that.
inline void draw_weights(Draws& draws, const NetworkLayout& network, int hidden_dim, float* array) {
  const auto end_of_w1 = static_cast<std::size_t>(hidden_dim * network.inputs);
  const auto end_of_w2 = end_of_w1 + static_cast<std::size_t>(hidden_dim * (hidden_dim + 1));
  for_each_parameter(network, hidden_dim, [&](std::size_t flat, std::size_t at) {
    double scale = 0.3;
    if (flat < end_of_w1) {
      scale = 1.0 / std::sqrt(network.inputs);
    } else if (flat >= end_of_w1 + static_cast<std::size_t>(hidden_dim)) {
      scale = flat < end_of_w2 ? 1.0 / std::sqrt(hidden_dim) : 0.7;
    }
    array[at] = static_cast<float>(scale * draws.normal());
  });
}

inline void draw_weights(Draws& draws, const TestLearner& test) {
  const Layout& layout = test.layout();
  const int h = layout.shape.hidden_dim;
  float* actor = test.learner().floats(layout.actor_weights[0]);
  draw_weights(draws, layout.actor, h, actor);
  std::memcpy(test.learner().floats(layout.actor_weights[1]), actor,
              layout.actor.floats * sizeof(float));
  draw_weights(draws, layout.critic, h, test.learner().floats(layout.critic_weights));
}

// One control step: what the world answers, and the draws for it.
struct Transition {
  std::vector<double> observation;
  std::vector<double> reset_observation;  // used when the episode ends
  double reward = 0.0;
  bool terminated = false;
  bool truncated = false;
  std::vector<float> next_noise;
  std::vector<float> noise;
};

// Ends come alone, twice in a row and mixed.
inline Transition draw_transition(Draws& draws, const Shape& shape) {
  Transition t;
  t.observation = draws.normals<double>(shape.observation_dim, 2.0);
  t.reset_observation = draws.normals<double>(shape.observation_dim, 2.0);
  t.reward = draws.normal();
  const double end = draws.uniform(0.0, 1.0);
  t.terminated = end < 0.12;
  t.truncated = end > 0.06 && end < 0.2;
  t.next_noise = draws.normals<float>(shape.action_dim);
  t.noise = draws.normals<float>(shape.action_dim);
  return t;
}

inline void begin_episode(const TestLearner& test, const std::vector<double>& observation,
                          const std::vector<float>& noise) {
  test.observe(observation);
  test.act(noise);
  test.prepare();
}

// A whole tick in the order of kernels/learner.h, with the next episode's beginning after an end.
inline void take_step(const TestLearner& test, const Transition& t) {
  test.observe(t.observation);
  const bool ended = t.terminated || t.truncated;
  const bool acts_first = has_q_critic(test.layout().algorithm);
  if (acts_first && !ended) test.act(t.noise);
  test.learn(t.reward, t.terminated, t.truncated, t.next_noise);
  if (ended) {
    begin_episode(test, t.reset_observation, t.noise);
    return;
  }
  if (!acts_first) test.act(t.noise);
  test.prepare();
}

inline std::string name_of(const Executor& executor) {
  return std::string(executor.path) +
         (executor.arithmetic == Arithmetic::kPortable ? "_portable" : "_fast");
}

// Every executor of both arithmetics that this machine can run.
inline std::vector<const Executor*> all_executors() {
  std::vector<const Executor*> all;
  for (const Arithmetic arithmetic : {Arithmetic::kFast, Arithmetic::kPortable}) {
    for (const Executor* executor : executors(arithmetic)) all.push_back(executor);
  }
  return all;
}

}  // namespace instep

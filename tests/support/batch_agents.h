// What the tests of algorithms with batches share: a made-up world, an agent's arrays by name, and
// a network as loops in double precision.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/philox.h"
#include "runtime/agent.h"

namespace instep {

// What follows a step: the same for the same step.
struct MadeUpStep {
  double reward = 0.0;
  bool terminated = false;
  bool truncated = false;
};

inline std::vector<double> observation_at(const Agent& agent, std::uint64_t step) {
  std::vector<double> observation(static_cast<std::size_t>(agent.observation_dim()));
  Random{3, static_cast<std::uint32_t>(Stream::kTaskEvents)}.normal(step, observation.data(),
                                                                    agent.observation_dim());
  return observation;
}

// Makes the steps after `first` up to `last`, with what follow(step) says.
template <typename Follow>
void run_steps(Agent& agent, std::uint64_t first, std::uint64_t last, const Follow& follow) {
  for (std::uint64_t step = first + 1; step <= last; ++step) {
    if (agent.open_action() == nullptr) {
      ASSERT_NE(agent.begin_episode(observation_at(agent, 1000 + step).data()), nullptr);
      agent.update();
    }
    const MadeUpStep made = follow(step);
    agent.sense(observation_at(agent, step).data(), made.reward, made.terminated, made.truncated);
    agent.update();
  }
}

// The state's arrays by name.
class StateArrays {
 public:
  explicit StateArrays(Agent& agent) : parts_(agent.memory_parts()), bytes_(agent.state_bytes()) {
    agent.save_state(bytes_);
  }

  template <typename T = float>
  std::vector<double> numbers(std::string_view name) const {
    for (const MemoryPart& part : parts_) {
      if (part.name != name) continue;
      std::vector<T> values((part.bytes - part.padding_bytes) / sizeof(T));
      std::memcpy(values.data(), bytes_.data() + part.offset, values.size() * sizeof(T));
      return {values.begin(), values.end()};
    }
    ADD_FAILURE() << "no part " << name;
    return {};
  }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<MemoryPart> parts_;
  std::vector<std::uint8_t> bytes_;
};

// The output of a network of two hidden layers. Weights: columns of [outputs, inputs], then biases,
// layer after layer.
template <typename Activate>
std::vector<double> run_layers(const double* w, int inputs, int hidden, int outputs,
                               std::vector<double> x, const Activate& activate) {
  const int sizes[] = {inputs, hidden, hidden, outputs};
  for (int layer = 0; layer < 3; ++layer) {
    const int in = sizes[layer];
    const int out = sizes[layer + 1];
    std::vector<double> y(static_cast<std::size_t>(out));
    for (int i = 0; i < out; ++i) {
      double sum = w[in * out + i];
      for (int j = 0; j < in; ++j) sum += w[j * out + i] * x[static_cast<std::size_t>(j)];
      y[static_cast<std::size_t>(i)] = layer < 2 ? activate(sum) : sum;
    }
    w += (in + 1) * out;
    x = std::move(y);
  }
  return x;
}

}  // namespace instep

// A world that does what a script says, and a clock that moves only when it is read.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "runtime/clock.h"
#include "runtime/environment.h"

namespace instep {

// Observations are a function of the number of calls, outcomes are the script's, in order; after
// its end the last one repeats. Every call is noted in `calls` when it is given.
class ScriptedWorld final : public Environment {
 public:
  ScriptedWorld(int observation_dim, std::vector<Outcome> script)
      : observation_dim_(observation_dim), script_(std::move(script)) {}

  void reset(const Random& random, std::uint64_t step, double* observation) override {
    note("reset");
    reset_steps.push_back(step);
    reset_seed = random.seed;
    reset_stream = random.stream;
    fill(observation);
    if (state_.resets++ >= bad_reset_from) observation[observation_dim_ - 1] = bad_value;
  }

  Outcome step(const float* action, double* observation) override {
    note("step");
    first_actions.push_back(action[0]);
    fill(observation);
    if (state_.steps == bad_step) observation[0] = bad_value;
    const auto last = static_cast<std::int64_t>(script_.size()) - 1;
    return script_[static_cast<std::size_t>(std::min(state_.steps++, last))];
  }

  std::size_t state_bytes() const override { return sizeof state_; }
  void save_state(std::span<std::uint8_t> out) const override {
    std::memcpy(out.data(), &state_, sizeof state_);
  }
  bool load_state(std::span<const std::uint8_t> in) override {
    if (refuses_state) return false;
    std::memcpy(&state_, in.data(), sizeof state_);
    return true;
  }

  std::vector<std::string>* calls = nullptr;
  std::vector<std::uint64_t> reset_steps;
  std::uint64_t reset_seed = 0;
  std::uint32_t reset_stream = 0;
  std::vector<float> first_actions;
  // Where a number that is not finite stands: in the observation of that step, and of every reset
  // from that one on.
  std::int64_t bad_step = -1;
  std::int64_t bad_reset_from = 1'000'000'000;
  double bad_value = 0.0;
  bool refuses_state = false;

 private:
  struct State {
    std::int64_t steps = 0;
    std::int64_t resets = 0;
    std::int64_t filled = 0;
  };

  void note(const char* name) const {
    if (calls != nullptr) calls->emplace_back(name);
  }
  void fill(double* observation) {
    std::vector<double> draws(static_cast<std::size_t>(observation_dim_));
    Random{77, 0}.normal(static_cast<std::uint64_t>(state_.filled++), draws.data(),
                         observation_dim_);
    std::copy(draws.begin(), draws.end(), observation);
  }

  int observation_dim_;
  std::vector<Outcome> script_;
  State state_;
};

// Each reading is `tick_ns` later than the one before.
class FakeClock final : public Clock {
 public:
  std::int64_t now_ns() const override {
    if (calls != nullptr) calls->emplace_back("clock");
    return now_ns_ += tick_ns;
  }

  std::vector<std::string>* calls = nullptr;
  std::int64_t tick_ns = 1000;

 private:
  mutable std::int64_t now_ns_ = 0;
};

}  // namespace instep

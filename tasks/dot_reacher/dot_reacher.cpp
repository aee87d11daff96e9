#include "tasks/dot_reacher/dot_reacher.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/plain_state.h"

namespace instep {
namespace {

constexpr double kPositionTolerance = 0.25;
constexpr double kVelocityTolerance = 0.1;
constexpr double kBounce = -0.1;  // factor of the velocity at a wall
constexpr double kDrift = 0.02;   // half the period squared: how far an acceleration of 1 moves

class DotReacher final : public Environment {
 public:
  void reset(const Random& random, std::uint64_t step, double* observation) override {
    random.uniform(step, dot_.position.data(), 2);
    for (double& p : dot_.position) {
      p = 2.0 * p - 1.0;
    }
    dot_.velocity = {0.0, 0.0};
    dot_.steps = 0.0;
    observe(observation);
  }

  Outcome step(const float* action, double* observation) override {
    bool reached = true;
    for (std::size_t i = 0; i < dot_.position.size(); ++i) {
      const double acceleration = std::clamp(static_cast<double>(action[i]), -1.0, 1.0);
      double& p = dot_.position[i];
      double& v = dot_.velocity[i];
      p += kDotReacherPeriodS * v + kDrift * acceleration;
      if (p < -1.0 || p > 1.0) {
        v *= kBounce;
      }
      p = std::clamp(p, -1.0, 1.0);
      v += kDotReacherPeriodS * acceleration;
      reached = reached && std::abs(p) <= kPositionTolerance && std::abs(v) <= kVelocityTolerance;
    }
    dot_.steps += 1.0;
    observe(observation);
    const bool out_of_time = dot_.steps >= kDotReacherStepsMax;
    return {.reward = -1.0, .terminated = reached || out_of_time, .truncated = out_of_time};
  }

  std::size_t state_bytes() const override { return sizeof(Dot); }

  void save_state(std::span<std::uint8_t> out) const override { save_plain(dot_, out); }

  bool load_state(std::span<const std::uint8_t> in) override {
    // Written so that a NaN fails.
    const auto inside = [](double p) { return p >= -1.0 && p <= 1.0; };
    const auto finite = [](double v) { return std::isfinite(v); };
    return load_plain(in, dot_, [&](const Dot& dot) {
      return std::all_of(dot.position.begin(), dot.position.end(), inside) &&
             std::all_of(dot.velocity.begin(), dot.velocity.end(), finite) && dot.steps >= 0.0 &&
             dot.steps <= kDotReacherStepsMax && dot.steps == std::floor(dot.steps);
    });
  }

 private:
  // The whole state, in the form in which it is saved.
  struct Dot {
    std::array<double, 2> position{};
    std::array<double, 2> velocity{};
    double steps = 0.0;  // of this episode
  };
  static_assert(sizeof(Dot) == 5 * sizeof(double));

  void observe(double* observation) const {
    double* next = std::copy(dot_.position.begin(), dot_.position.end(), observation);
    std::copy(dot_.velocity.begin(), dot_.velocity.end(), next);
  }

  Dot dot_;
};

}  // namespace

std::unique_ptr<Environment> make_dot_reacher() {
  return std::make_unique<DotReacher>();
}

}  // namespace instep

// A learner in a control loop of one's own: a cart on a rail is to come to rest in the middle.
#include <instep/instep.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>

namespace {

// The world, in place of sensors and motors.
struct Cart {
  double position = 0.0;  // m
  double speed = 0.0;     // m/s

  std::array<double, 2> observation() const { return {position, speed}; }

  void push(double force) {
    constexpr double kPeriodS = 0.05;
    speed = std::clamp(speed + kPeriodS * 2.0 * force, -2.0, 2.0);
    position = std::clamp(position + kPeriodS * speed, -1.0, 1.0);
  }
};

constexpr int kEpisodes = 400;
constexpr int kStepsPerEpisode = 100;

void learn(const char* folder) {
  instep::EmbeddedAgent agent({.observation_dim = 2,
                               .action_dim = 1,
                               .seed = 1,
                               .settings = {"actor_lr=1e-3", "critic_lr=1e-2", "hidden=64"}});
  double mean = 0.0;  // return of forty episodes
  for (int episode = 0; episode < kEpisodes; ++episode) {
    Cart cart{.position = episode % 2 == 0 ? 0.8 : -0.8};
    auto action = agent.begin(cart.observation());
    double episode_return = 0.0;
    for (int step = 1; !action.empty(); ++step) {
      cart.push(action[0]);
      const double reward = -std::abs(cart.position) - 0.1 * std::abs(cart.speed);
      episode_return += reward;
      action = agent.step(cart.observation(), reward, false, step == kStepsPerEpisode);
    }
    mean += episode_return / 40.0;
    if (episode % 40 == 39) {
      std::printf("episodes %3d to %3d: mean return %7.2f\n", episode - 38, episode + 1, mean);
      mean = 0.0;
    }
  }
  agent.save(folder);
  std::printf("%llu steps; saved in %s\n", static_cast<unsigned long long>(agent.steps()), folder);
}

}  // namespace

int main(int count, char** words) {
  try {
    learn(count > 1 ? words[1] : "own_loop_agent");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "own_loop: %s\n", error.what());
    return 1;
  }
}

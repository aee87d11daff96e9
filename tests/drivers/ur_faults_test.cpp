// A thousand random schedules of everything that can happen to a UR5, to its network and beside it.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "drivers/ur/fault_schedule.h"
#include "kernels/philox.h"
#include "ur_on_simulator.h"

namespace instep {
namespace {

constexpr double kSpeed = 0.3;
// What the arm may still move after the last move that the loop asked for: the dead-man, two
// packages and ticks, the delay that a fault brings, and braking.
constexpr std::int64_t kStandsAfterNs = 80'000'000 + 32'000'000 + 60'000'000 + 75'000'000;
// And after the last bytes that reached the controller: its watchdog, and braking.
constexpr double kStandsAfterBytesS = 0.04 + kSpeed / 4.0 + 1e-9;

Command random_move(const Random& random, std::uint64_t step) {
  std::array<double, 8> draws{};
  random.uniform(step, draws.data(), 8);
  Command command;
  if (draws[6] < 0.2) return command;  // stand
  command.kind = Command::kMove;
  command.count = kUrJoints;
  // Never far from where it began.
  for (std::size_t i = 0; i < kUrJoints; ++i) {
    command.values[i] = kSpeed * (step % 2 == 0 ? 1.0 : -1.0) * (0.5 + 0.5 * draws[i]);
  }
  return command;
}

class Life {
 public:
  explicit Life(std::uint64_t seed)
      : random_{seed, 77},
        faults_(seed),
        host_({.frequency_hz = seed % 3 == 0 ? 500.0 : 125.0,
               .unlocks_max = seed % 2 == 0 ? 10 : 0,
               .retry_ns_max = 1'000'000'000},
              {.model = seed % 3 == 0 ? UrModel::kESeries : UrModel::kCb3,
               .seed = seed,
               .speed_limit_rad_s = kSpeed + 1e-9}) {}

  void live(int ms) {
    for (int i = 0; i < ms; ++i) {
      if (i % 20 == 0) faults_.advance(host_.now_ns(), *host_.simulator);
      if (i % 40 == 0) post();
      host_.run(1);
      look();
      if (testing::Test::HasFailure()) return;
    }
  }

  // All faults over: it moves again.
  void end() {
    faults_.finish(*host_.simulator);
    live(40'000);
    ASSERT_EQ(host_.session->state(), LinkState::kReady)
        << host_.session->error() << host_.robot().program_name();
    Command command;
    command.kind = Command::kMove;
    command.count = kUrJoints;
    command.values[5] = kSpeed;
    host_.acknowledged = acknowledged_;
    host_.keep_posting(command, 1000);
    EXPECT_NEAR(host_.speed(), kSpeed, 1e-9);
    EXPECT_EQ(host_.robot().counters().limit_violations, 0);
  }

 private:
  // A loop that is late now and then, and once in a while does not say anything for long.
  void post() {
    double draw = 0.0;
    random_.uniform(++step_ + 1'000'000, &draw, 1);
    if (quiet_ > 0) {
      --quiet_;
      return;
    }
    if (draw < 0.005) quiet_ = 25;
    Command command = random_move(random_, step_ / 25);
    command.acknowledged = acknowledged_;
    if (command.kind == Command::kMove) moved_ns_ = host_.now_ns();
    host_.session->on_command(command, host_.now_ns());
  }

  // Somebody's doing holds the arm until a key is pressed, and nothing else does.
  void press_key() {
    if (is_by_hand(faults_.fault())) touched_ns_ = host_.now_ns();
    const std::uint64_t takeovers = host_.session->ur_counters().takeovers;
    if (takeovers != takeovers_) {
      EXPECT_LT(host_.now_ns() - touched_ns_, 8'000'000'000) << "nobody has touched the robot";
    }
    takeovers_ = takeovers;
    if (host_.session->state() != LinkState::kTakenOver) {
      taken_ns_ = -1;
    } else if (taken_ns_ < 0) {
      taken_ns_ = host_.now_ns();
    } else if (host_.now_ns() - taken_ns_ > 1'500'000'000) {
      EXPECT_FALSE(ur_moves(host_.robot().arm()));
      ++acknowledged_;
      taken_ns_ = -1;
    }
  }

  void look() {
    press_key();
    const UrController& robot = host_.robot();
    if (!ur_moves(robot.arm()) || !host_.simulator->is_listening()) return;
    EXPECT_LE(host_.now_ns() - moved_ns_, kStandsAfterNs) << host_.now_s();
    const double silent_s =
        static_cast<double>(robot.ticks() - robot.input_tick()) * robot.period_s();
    EXPECT_LE(silent_s, kStandsAfterBytesS) << host_.now_s();
    EXPECT_LE(host_.speed(), kSpeed + 1e-9);
  }

  Random random_;
  UrFaultSchedule faults_;
  UrOnSimulator host_;
  std::uint64_t step_ = 0;
  int quiet_ = 0;
  std::int32_t acknowledged_ = 0;
  std::uint64_t takeovers_ = 0;
  std::int64_t taken_ns_ = -1;
  std::int64_t touched_ns_ = -kStandsAfterNs;
  std::int64_t moved_ns_ = -kStandsAfterNs;
};

class UrFaultsTest : public testing::TestWithParam<int> {};

// Sanitizers need twenty times as long for a life, and find in few of them what is wrong.
#ifdef INSTEP_SANITIZED
constexpr int kLives = 10;
#else
constexpr int kLives = 100;
#endif

TEST_P(UrFaultsTest, StandsAfterEveryLossAndMovesAfterEveryRecovery) {
  for (int seed = 100 * GetParam(); seed < 100 * GetParam() + kLives; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(static_cast<std::uint64_t>(seed));
    life.live(40'000);
    life.end();
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, UrFaultsTest, testing::Range(0, 10));

}  // namespace
}  // namespace instep

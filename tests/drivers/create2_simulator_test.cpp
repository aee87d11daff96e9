// The simulated Create 2 against what the specification and reports of real ones say.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <new>
#include <numbers>
#include <string>
#include <vector>

#include "drivers/create2/fields.h"
#include "drivers/create2/simulator.h"

namespace instep {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::int64_t kMs = 1'000'000;

// A robot in the middle of nowhere, and time.
class Robot : public testing::Test {
 protected:
  void tell(const Bytes& bytes) {
    simulator_.on_bytes(0, bytes, now_ns_);
    run(5);
  }

  // Answers everything it sent meanwhile.
  Bytes run(std::int64_t ms) {
    Bytes all;
    for (std::int64_t end = now_ns_ + ms * kMs; now_ns_ < end;) {
      now_ns_ += kMs / 4;
      simulator_.advance(now_ns_);
      std::uint8_t bytes[512];
      const std::size_t count = simulator_.read(0, bytes);
      all.insert(all.end(), bytes, bytes + count);
    }
    return all;
  }

  Bytes ask(const Bytes& command) {
    run(5);
    simulator_.on_bytes(0, command, now_ns_);
    return run(10);
  }

  void drive(int left, int right) {
    const auto bytes = encode_create2_drive_direct(left, right);
    tell({bytes.begin(), bytes.end()});
  }

  double speed_over(std::int64_t ms) {
    const Arena before = simulator_.arena();
    run(ms);
    return (simulator_.arena().left_counts - before.left_counts) * kCreate2MmPerCount * 1000.0 /
           static_cast<double>(ms);
  }

  Create2Simulator simulator_{{.seed = 5, .speed_limit_mm_s = 150.0}};
  std::int64_t now_ns_ = 0;
};

TEST_F(Robot, HearsOnlyStartWhenOff) {
  EXPECT_TRUE(ask({131, 142, 35}).empty());
  EXPECT_EQ(simulator_.mode(), Create2Mode::kOff);
  tell({128});
  EXPECT_EQ(simulator_.mode(), Create2Mode::kPassive);
  EXPECT_EQ(ask({142, 35}), (Bytes{1}));
  tell({131});
  EXPECT_EQ(ask({142, 35}), (Bytes{2}));
  tell({132});
  EXPECT_EQ(ask({142, 35}), (Bytes{3}));
  tell({128});
  EXPECT_EQ(ask({142, 35}), (Bytes{1}));
  tell({173});
  EXPECT_EQ(simulator_.mode(), Create2Mode::kOff);
}

TEST_F(Robot, AnswersQueriesWithBareData) {
  tell({128, 131});
  EXPECT_EQ(ask({142, 100}).size(), 80U);
  EXPECT_EQ(ask({142, 6}).size(), 52U);
  EXPECT_EQ(ask({142, 99}).size(), 0U);
  EXPECT_EQ(ask({149, 3, 35, 43, 34}), (Bytes{2, 0, 0, 0}));
  const Bytes charge = ask({142, 25});
  ASSERT_EQ(charge.size(), 2U);
  EXPECT_NEAR(charge[0] * 256 + charge[1], 2696, 2);
}

TEST_F(Robot, StreamsEveryFifteenMillisecondsAtThePaceOfTheLine) {
  const Bytes ids = {46, 47, 48, 49, 50, 51, 7, 20, 25, 34, 35, 58, 19, 9, 10, 11, 12};
  Bytes request = {128, 148, static_cast<std::uint8_t>(ids.size())};
  request.insert(request.end(), ids.begin(), ids.end());
  tell(request);
  run(10);
  std::vector<std::int64_t> ends;
  Create2StreamDecoder decoder(ids);
  std::int64_t first_byte = -1;
  for (int i = 0; i < 15'000; ++i) {
    now_ns_ += kMs / 100;
    simulator_.advance(now_ns_);
    std::uint8_t byte[16];
    const std::size_t count = simulator_.read(0, byte);
    EXPECT_LE(count, 1U);  // a byte takes 86.8 us
    if (count == 0) continue;
    if (first_byte < 0 && byte[0] == 19) first_byte = now_ns_;
    decoder.push({byte, count});
    if (!decoder.next().empty()) ends.push_back(now_ns_);
  }
  ASSERT_EQ(ends.size(), 10U);
  for (std::size_t i = 1; i < ends.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(ends[i] - ends[i - 1]), 15e6, 0.03e6);
  }
  EXPECT_EQ(decoder.bytes_skipped(), 0U);
  EXPECT_NEAR(static_cast<double>((ends[0] - first_byte) % (15 * kMs)), 45 * 86.8e3, 0.03e6);

  tell({150, 0});
  run(20);
  EXPECT_TRUE(run(50).empty());
  tell({150, 1});
  EXPECT_GE(run(50).size(), 3 * decoder.frame_bytes());
}

TEST_F(Robot, CutsOffStreamsThatDoNotFit) {
  tell({128, 148, 3, 100, 100, 100});
  const Bytes bytes = run(150);
  EXPECT_LE(bytes.size(), 11 * kCreate2FrameBytesMax);
  EXPECT_GT(bytes.size(), 9 * 100U);
}

TEST_F(Robot, DrivesInSafeModeInStepsOfItsSpeed) {
  simulator_.place(300, 300, 0.0);
  tell({128});
  drive(150, 150);
  EXPECT_EQ(speed_over(500), 0.0);  // Passive
  tell({131});
  EXPECT_EQ(speed_over(100), 0.0);  // Safe stops the motors
  drive(150, 150);
  run(300);
  EXPECT_NEAR(speed_over(1000), 142.5, 1.0);  // five steps of 28.5 mm/s
  drive(-100, -100);
  run(300);
  EXPECT_NEAR(speed_over(600), -114.0, 1.0);
  drive(10, 10);
  run(300);
  EXPECT_EQ(speed_over(500), 0.0);
  EXPECT_EQ(simulator_.counters().limit_violations, 0);
  drive(151, 0);
  EXPECT_EQ(simulator_.counters().limit_violations, 1);
}

TEST_F(Robot, TurnsAsItsGeometrySays) {
  simulator_.place(1000, 300, 0.0);
  tell({128, 132, 137, 0, 57, 0, 1});  // in place, counterclockwise, two steps
  run(500);
  const double before = simulator_.arena().heading;
  run(1000);
  EXPECT_NEAR(simulator_.arena().heading - before, 2 * 57.0 / 235.0, 0.01);
  tell({137, 0, 114, 0x03, 0xe8});  // a circle of a metre to the left
  run(500);
  const Arena from = simulator_.arena();
  run(1000);
  const double left = (simulator_.arena().left_counts - from.left_counts) * kCreate2MmPerCount;
  const double right = (simulator_.arena().right_counts - from.right_counts) * kCreate2MmPerCount;
  EXPECT_LT(left, right);
  EXPECT_NEAR(0.5 * (left + right), 114.0, 15.0);
}

TEST_F(Robot, KeepsItsRateAtACodeThatThereIsNot) {
  tell({128, 129, 255, 129, 12});
  EXPECT_EQ(simulator_.baud_code(), 11);
  tell({129, 5});
  EXPECT_EQ(simulator_.baud_code(), 5);
}

TEST_F(Robot, SwallowsWhatFollowsAnIncompleteCommand) {
  tell({128, 131, 145, 0, 100});  // the left wheel's speed is missing
  run(50);
  tell({128, 132});  // becomes it, instead of Passive and Full
  EXPECT_EQ(simulator_.mode(), Create2Mode::kSafe);
  EXPECT_EQ(simulator_.target_right_mm_s(), 100.0);
}

TEST_F(Robot, LetsGoOfTheWheelsInTheAirAndAtCliffs) {
  simulator_.place(1000, 300, 0.0);
  tell({128, 131});
  drive(100, 100);
  simulator_.set_lifted(true);
  run(30);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kPassive);
  EXPECT_EQ(simulator_.target_left_mm_s(), 0.0);
  EXPECT_EQ(ask({142, 7}), (Bytes{12}));
  tell({131});
  run(30);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kPassive);  // still in the air
  simulator_.set_lifted(false);

  tell({131});
  simulator_.set_cliffs(2);
  run(30);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kSafe);  // it does not move
  drive(-50, -50);
  run(60);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kSafe);  // straight back is allowed
  EXPECT_EQ(ask({142, 10}), (Bytes{1}));
  drive(50, 50);
  run(30);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kPassive);

  // Full mode has no such reflex.
  tell({132});
  drive(50, 50);
  run(60);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kFull);
}

TEST_F(Robot, FeelsWallsWithTheRightHalfOfItsBumper) {
  struct Case {
    double heading;
    int bumps;
  };
  // Against the upper wall: straight, from the left, from the right, backwards.
  const double up = std::numbers::pi / 2;
  for (const Case& c : {Case{up, 3}, Case{up - 0.6, 2}, Case{up + 0.6, 1}, Case{-up, 0}}) {
    SCOPED_TRACE(c.heading);
    simulator_.restart({6, static_cast<std::uint32_t>(Stream::kTaskReset)}, 0);
    now_ns_ = 0;
    simulator_.place(400, kArenaHeightMm - kCreate2RadiusMm - 40, c.heading);
    tell({128, 131});
    const int speed = c.bumps == 0 ? -140 : 140;
    drive(speed, speed);
    run(1000);
    EXPECT_EQ(ask({142, 7}), (Bytes{static_cast<std::uint8_t>(c.bumps)}));
    EXPECT_LE(simulator_.arena().robot.y, kArenaHeightMm - kCreate2RadiusMm + 1e-9);
    EXPECT_GT(simulator_.arena().robot.y, kArenaHeightMm - kCreate2RadiusMm - 5);
    EXPECT_EQ(simulator_.mode(), Create2Mode::kSafe);  // bumps do not stop it
  }
}

TEST_F(Robot, SeesWallsAndLittleInFreeAir) {
  tell({128});
  const auto light = [this](int sensor) {
    const Bytes bytes = ask({142, static_cast<std::uint8_t>(46 + sensor)});
    return bytes.at(0) * 256 + bytes.at(1);
  };
  simulator_.place(400, 750, std::numbers::pi / 2);
  for (int i = 0; i < 30; ++i) {
    for (const int sensor : {1, 2, 3, 4}) EXPECT_LT(light(sensor), 20);
  }
  simulator_.place(400, kArenaHeightMm - kCreate2RadiusMm - 5, std::numbers::pi / 2);
  EXPECT_GT(light(2), 1500);
  EXPECT_GT(light(3), 1500);
  EXPECT_LT(light(0), 200);
  // Beside it on the left: what the left sensors say grows to the left.
  simulator_.place(1000, kArenaHeightMm - kCreate2RadiusMm - 30, 0.0);
  EXPECT_GT(light(0), 100);
  EXPECT_GT(light(0), light(1));
  EXPECT_LT(light(5), 60);
  simulator_.set_changes({.are_sensors_swapped = 1.0});
  EXPECT_GT(light(5), 100);
  EXPECT_LT(light(0), 60);
}

TEST_F(Robot, CountsDistanceAndAngleSinceTheyWereAskedFor) {
  simulator_.place(300, 300, 0.0);
  tell({128, 131});
  drive(114, 114);
  run(500);
  ask({142, 19});
  run(985);
  const Bytes distance = ask({142, 19});
  EXPECT_NEAR(distance.at(0) * 256 + distance.at(1), 114, 4);
  drive(-57, 57);
  run(500);
  ask({142, 20});
  run(985);
  const Bytes angle = ask({142, 20});
  EXPECT_NEAR(angle.at(0) * 256 + angle.at(1), 114.0 / 235.0 * 57.2958, 2.0);
}

TEST_F(Robot, WrapsItsEncoders) {
  simulator_.place(1000, 300, 0.0);
  tell({128, 132});
  const auto fast = encode_create2_drive_direct(-500, 500);
  tell({fast.begin(), fast.end()});
  std::int64_t left = 0;
  std::int16_t last = 0;
  bool has_wrapped = false;
  for (int i = 0; i < 100; ++i) {
    run(1000);
    const Bytes bytes = ask({142, 43});
    const auto count =
        static_cast<std::int16_t>(static_cast<std::uint16_t>(bytes.at(0) << 8 | bytes.at(1)));
    has_wrapped = has_wrapped || count > last;
    left += create2_counts_between(last, count);
    last = count;
  }
  EXPECT_TRUE(has_wrapped);
  EXPECT_LT(left, -65536);
  EXPECT_NEAR(static_cast<double>(left), simulator_.arena().left_counts, 25.0);
}

TEST_F(Robot, DocksAndChargesAndSleepsThere) {
  simulator_.place(700, 400, 1.0);
  simulator_.set_charge_mah(1500);
  tell({128, 148, 1, 35, 143});
  run(30'000);
  ASSERT_EQ(ask({150, 0, 142, 34}).back(), 2);
  EXPECT_EQ(ask({142, 21}), (Bytes{2}));
  tell({150, 1});
  EXPECT_FALSE(run(100).empty());
  const double before = simulator_.charge_mah();
  run(61'000);
  EXPECT_TRUE(simulator_.is_asleep());
  EXPECT_TRUE(run(100).empty());
  EXPECT_GT(simulator_.charge_mah(), before + 15);
  EXPECT_TRUE(ask({128, 142, 35}).empty());  // deaf

  // A pulse wakes it for 0.3 s; a start within gives another minute.
  const auto pulse = [this] {
    simulator_.set_wake_line(true, now_ns_);
    run(500);
    simulator_.set_wake_line(false, now_ns_);
  };
  pulse();
  EXPECT_FALSE(simulator_.is_asleep());
  run(200);
  tell({128, 148, 1, 35});
  run(50'000);
  EXPECT_FALSE(run(100).empty());
  run(11'000);
  EXPECT_TRUE(simulator_.is_asleep());
  pulse();
  tell({128});
  EXPECT_FALSE(simulator_.is_asleep());
}

TEST_F(Robot, GoesDeafInSafeModeOnItsDock) {
  simulator_.place(700, 750, std::numbers::pi);
  tell({128, 143});
  run(20'000);
  tell({148, 1, 35, 131});
  EXPECT_EQ(simulator_.mode(), Create2Mode::kSafe);
  run(62'000);
  drive(-100, -100);
  EXPECT_FALSE(run(100).empty());  // it streams on
  EXPECT_EQ(simulator_.target_left_mm_s(), 0.0);
  simulator_.set_wake_line(true, now_ns_);
  run(600);
  simulator_.set_wake_line(false, now_ns_);
  tell({131});
  drive(-100, -100);
  EXPECT_EQ(simulator_.target_left_mm_s(), -100.0);
}

TEST_F(Robot, SleepsAfterFiveMinutesInPassiveModeOnly) {
  tell({128});
  run(299'000);
  EXPECT_FALSE(simulator_.is_asleep());
  run(2'000);
  EXPECT_TRUE(simulator_.is_asleep());

  simulator_.restart({5, static_cast<std::uint32_t>(Stream::kTaskReset)}, 0);
  now_ns_ = 0;
  tell({128, 131});
  run(320'000);
  EXPECT_FALSE(simulator_.is_asleep());
}

TEST_F(Robot, PrintsABannerOnReset) {
  const Bytes bytes = ask({7});
  const Bytes more = run(100);
  std::string text(bytes.begin(), bytes.end());
  text.append(more.begin(), more.end());
  EXPECT_NE(text.find("r3_robot/tags/release-3.2.6"), std::string::npos);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kOff);
}

TEST_F(Robot, KeepsItsOwnTime) {
  Create2Simulator fast({.seed = 1, .clock_drift = 0.01});
  const Bytes bytes = {128, 148, 1, 35};
  fast.on_bytes(0, bytes, 0);
  std::uint8_t sink[4096];
  for (std::int64_t t = 0; t <= 15'000 * kMs; t += 50 * kMs) {
    fast.advance(t);
    fast.read(0, sink);
  }
  EXPECT_NEAR(static_cast<double>(fast.counters().frames), 1010.0, 1.0);
}

TEST_F(Robot, DelaysItsWheelsWhenTold) {
  simulator_.set_changes({.delay_s = 0.15});
  simulator_.place(400, 300, 0.0);
  tell({128, 131});
  drive(100, 100);
  run(130);
  EXPECT_EQ(simulator_.target_left_mm_s(), 0.0);
  run(40);
  EXPECT_EQ(simulator_.target_left_mm_s(), 100.0);
}

TEST_F(Robot, StartsFreeOfWallsAndObstaclesWithOneArenaPerSeed) {
  const Random random{9, static_cast<std::uint32_t>(Stream::kTaskReset)};
  simulator_.restart(random, 0);
  const auto obstacles = simulator_.arena().obstacles;
  double left_most = kArenaWidthMm;
  double right_most = 0.0;
  for (std::uint64_t step = 0; step < 300; ++step) {
    simulator_.restart(random, step);
    const Arena& arena = simulator_.arena();
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(arena.obstacles[i].x, obstacles[i].x);
      EXPECT_GE(std::hypot(arena.robot.x - obstacles[i].x, arena.robot.y - obstacles[i].y),
                kObstacleRadiusMm + kCreate2RadiusMm);
    }
    EXPECT_GE(arena.robot.x, kCreate2RadiusMm);
    EXPECT_LE(arena.robot.x, kArenaWidthMm - kCreate2RadiusMm);
    EXPECT_GE(arena.robot.y, kCreate2RadiusMm);
    EXPECT_LE(arena.robot.y, kArenaHeightMm - kCreate2RadiusMm);
    left_most = std::min(left_most, arena.robot.x);
    right_most = std::max(right_most, arena.robot.x);
  }
  EXPECT_LT(left_most, 300.0);
  EXPECT_GT(right_most, 1400.0);
}

// Bytes and state after a drive with noise, in memory that held something else before.
Bytes life(std::uint8_t garbage, Bytes* state) {
  alignas(Create2Simulator) static std::uint8_t memory[sizeof(Create2Simulator)];
  std::memset(memory, garbage, sizeof memory);
  auto* simulator = new (memory) Create2Simulator({.seed = 3});
  simulator->set_line_faults({.drop = 0.01, .duplicate = 0.01, .delay = 0.05, .text = 0.02});
  Bytes all;
  const Bytes begin = {128, 131, 148, 4, 46, 47, 43, 19, 145, 0, 100, 0, 90};
  simulator->on_bytes(0, begin, 0);
  for (std::int64_t t = 0; t < 5'000 * kMs; t += 7 * kMs) {
    simulator->advance(t);
    std::uint8_t bytes[512];
    const std::size_t count = simulator->read(0, bytes);
    all.insert(all.end(), bytes, bytes + count);
  }
  state->resize(Create2Simulator::state_bytes());
  simulator->save_state(*state);
  simulator->~Create2Simulator();
  return all;
}

TEST(Create2SimulatorState, IsTheSameWhateverWasInMemoryBefore) {
  Bytes first;
  Bytes second;
  EXPECT_EQ(life(0x00, &first), life(0xA5, &second));
  EXPECT_EQ(first, second);
  EXPECT_GT(first.size(), 1000U);
}

TEST(Create2SimulatorState, RefusesWhatCannotBeOne) {
  Bytes state;
  life(0, &state);
  Create2Simulator simulator({.seed = 3});
  EXPECT_TRUE(simulator.load_state(state));
  EXPECT_FALSE(simulator.load_state(Bytes(state.size(), 0xFF)));
  state.pop_back();
  EXPECT_FALSE(simulator.load_state(state));
}

}  // namespace
}  // namespace instep

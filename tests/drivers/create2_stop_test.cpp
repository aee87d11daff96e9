// Stopping a Create 2 of which nothing is known, on simulated time.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "drivers/create2/simulator.h"
#include "drivers/create2/stop.h"

namespace instep {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::int64_t kMs = 1'000'000;
const Bytes kDrive = {128, 131, 145, 0, 100, 0, 100};
const Bytes kStream = {148, 21, 46, 47, 48, 49, 50, 51, 7,  9,  10, 11,
                       12,  21, 25, 26, 34, 35, 41, 42, 43, 44, 58};

class Create2StopTest : public testing::Test {
 protected:
  Create2StopTest() {
    simulator_.place(400, 300, 0.0);
    hear(kDrive);
  }

  // Another program writes to the port.
  void hear(const Bytes& bytes) {
    simulator_.on_bytes(0, bytes, now_ns_);
    for (int i = 0; i < 300; ++i) pass();
  }
  bool moves() const {
    return simulator_.target_left_mm_s() != 0.0 || simulator_.target_right_mm_s() != 0.0;
  }
  void begin() {
    stop_.begin(now_ns_);
    is_stopping_ = true;
  }
  // A millisecond.
  void pass() {
    now_ns_ += kMs;
    std::array<std::uint8_t, 4096> bytes;
    simulator_.advance(now_ns_);
    const std::size_t count = simulator_.read(0, bytes);
    if (!is_stopping_) return;
    stop_.on_bytes({bytes.data(), count}, now_ns_);
    stop_.poll(now_ns_);
    simulator_.on_bytes(0, stop_.output(), now_ns_);
    stop_.consume(stop_.output().size());
  }
  // Milliseconds until that is so, 5000 at most.
  template <typename Condition>
  int until(const Condition& condition) {
    int ms = 0;
    for (; ms < 5'000 && !condition(); ++ms) pass();
    return ms;
  }

  Create2Simulator simulator_{{.seed = 5}};
  Create2Stop stop_;
  std::int64_t now_ns_ = 0;
  bool is_stopping_ = false;
};

TEST_F(Create2StopTest, SeesARobotStand) {
  ASSERT_TRUE(moves());
  begin();
  EXPECT_LE(until([&] { return !moves(); }), 6);
  EXPECT_LE(until([&] { return stop_.stillness() == Stillness::kStands; }), 500);
  EXPECT_EQ(simulator_.arena().left_mm_s, 0.0);
}

// Whoever began a list has died, and until it is complete the robot takes every byte for a part.
TEST_F(Create2StopTest, StopsARobotThatWaitsForTheRestOfALongList) {
  const Bytes lists[] = {{149, 255}, {148, 255}, {149}, {149, 200, 7}, {140, 0, 255}};
  for (const Bytes& begun : lists) {
    SCOPED_TRACE(testing::PrintToString(begun));
    is_stopping_ = false;
    hear(kDrive);
    hear(kStream);
    hear(begun);
    simulator_.place(400, 300, 0.0);
    ASSERT_TRUE(moves());
    begin();
    EXPECT_LE(until([&] { return !moves(); }), 30);
    EXPECT_LE(until([&] { return stop_.stillness() == Stillness::kStands; }), 500);
    EXPECT_EQ(simulator_.arena().left_mm_s, 0.0);
  }
}

}  // namespace
}  // namespace instep

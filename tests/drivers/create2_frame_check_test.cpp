// Frames whose checksum is right and which no robot can have sent.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "drivers/create2/frame_check.h"
#include "drivers/create2/session.h"
#include "kernels/philox.h"

namespace instep {
namespace {

constexpr std::int64_t kFrameNs = kCreate2FramePeriodNs;

using Values = std::map<int, std::uint32_t>;

std::vector<std::uint8_t> frame_of(const Values& values) {
  Create2FrameWriter writer;
  writer.begin();
  for (const std::uint8_t id : kCreate2StreamIds) {
    const auto found = values.find(id);
    writer.add(id, found != values.end() ? found->second : id == 25 || id == 26 ? 2600 : 0);
  }
  const auto frame = writer.finish();
  return {frame.begin(), frame.end()};
}

class FrameCheck : public testing::Test {
 protected:
  bool takes(const Values& values, std::int64_t elapsed_ns = kFrameNs) {
    now_ns_ += elapsed_ns;
    const auto frame = frame_of(values);
    Create2Readings readings;
    EXPECT_TRUE(decode_create2_frame(frame, &readings));
    const bool is_possible = check_.is_possible(frame, readings, now_ns_);
    EXPECT_TRUE(check_.is_valid());
    return is_possible;
  }

  Create2FrameCheck check_;
  std::int64_t now_ns_ = 0;
};

struct Limit {
  int id;
  std::uint32_t most;
};

// Every packet of the stream that cannot say everything.
TEST_F(FrameCheck, KnowsTheRangeOfEachPacket) {
  const Limit limits[] = {{7, 15},    {9, 1},     {10, 1},    {11, 1},    {12, 1},    {21, 5},
                          {34, 3},    {35, 4},    {41, 500},  {42, 500},  {46, 4095}, {47, 4095},
                          {48, 4095}, {49, 4095}, {50, 4095}, {51, 4095}, {58, 3}};
  for (const Limit& limit : limits) {
    EXPECT_TRUE(takes({{limit.id, limit.most}})) << limit.id;
    EXPECT_FALSE(takes({{limit.id, limit.most + 1}})) << limit.id;
    const std::uint32_t highest = limit.most > 255 ? 0x7FFF : 0xFF;
    EXPECT_FALSE(takes({{limit.id, highest}})) << limit.id;
    EXPECT_TRUE(takes({})) << limit.id;
  }
  for (const int id : {41, 42}) {
    EXPECT_TRUE(takes({{id, static_cast<std::uint16_t>(-500)}}));
    EXPECT_FALSE(takes({{id, static_cast<std::uint16_t>(-501)}}));
  }
  EXPECT_TRUE(takes({{25, 2800}})) << "a gauge a little above its capacity";
  EXPECT_FALSE(takes({{25, 65529}}));
  EXPECT_FALSE(takes({{26, 100}}));
}

TEST_F(FrameCheck, KnowsHowFarWheelsTurn) {
  EXPECT_TRUE(takes({{43, 65530}, {44, 3}}));
  EXPECT_TRUE(takes({{43, 4}, {44, 8}})) << "it wraps";
  EXPECT_TRUE(takes({{43, 21}, {44, 25}})) << "500 mm/s";
  EXPECT_FALSE(takes({{43, 21 + 256}, {44, 25}})) << "one bit";
  EXPECT_FALSE(takes({{43, 21}, {44, 25 + 0x8000}}));
  EXPECT_TRUE(takes({{43, 30}, {44, 30}})) << "it has not gone anywhere";
  // Frames are lost; the robot drives on.
  EXPECT_TRUE(takes({{43, 30 + 1124}, {44, 30 + 1124}}, 1'000'000'000));
  EXPECT_FALSE(takes({{43, 30 + 1124 + 2400}, {44, 30}}, 1'000'000'000));
}

TEST_F(FrameCheck, IsNotLockedOutByARobotThatWasCarried) {
  EXPECT_TRUE(takes({{43, 100}, {44, 100}}));
  EXPECT_FALSE(takes({{43, 9000}, {44, 7000}}));
  EXPECT_FALSE(takes({{43, 9002}, {44, 7002}}));
  EXPECT_TRUE(takes({{43, 9004}, {44, 7004}}));
  EXPECT_TRUE(takes({{43, 9006}, {44, 7006}}));
  EXPECT_FALSE(takes({{43, 100}, {44, 100}}));
  check_.restart();
  EXPECT_TRUE(takes({{43, 0}, {44, 0}})) << "its battery was out";
}

TEST_F(FrameCheck, KnowsThatAChargeDoesNotJump) {
  EXPECT_TRUE(takes({{25, 2000}}));
  EXPECT_TRUE(takes({{25, 2001}}));
  EXPECT_FALSE(takes({{25, 2001 - 1024}})) << "one bit";
  EXPECT_FALSE(takes({{25, 1500}}));
  EXPECT_TRUE(takes({{25, 2002}}));
  EXPECT_FALSE(takes({{25, 2002}, {26, 2600 + 512}}));
  EXPECT_TRUE(takes({{25, 2000 + 1000}, {26, 2900}}, 3600'000'000'000)) << "an hour on the dock";
  EXPECT_FALSE(takes({{25, 1200}, {26, 2100}})) << "another battery";
  EXPECT_FALSE(takes({{25, 1200}, {26, 2100}}));
  EXPECT_TRUE(takes({{25, 1200}, {26, 2100}}));
}

// Packets that this driver does not ask for, but other frames may hold.
TEST_F(FrameCheck, KnowsTheRangeOfOtherPackets) {
  struct Case {
    std::uint8_t id;
    int least;
    int most;
  };
  const Case cases[] = {{8, 0, 1},
                        {13, 0, 1},
                        {14, 0, 31},
                        {22, 0, 25'000},
                        {23, -10'000, 10'000},
                        {24, -40, 100},
                        {26, 0, 10'000},
                        {27, 0, 1023},
                        {28, 0, 4095},
                        {31, 0, 4095},
                        {36, 0, 15},
                        {37, 0, 1},
                        {38, 0, 108},
                        {39, -500, 500},
                        {45, 0, 63},
                        {54, -10'000, 10'000},
                        {57, -10'000, 10'000}};
  const auto says = [](std::uint8_t id, int value) {
    Create2FrameWriter writer;
    writer.begin();
    writer.add(id, static_cast<std::uint32_t>(value));
    return create2_impossible_packets(writer.finish()) == 0;
  };
  for (const Case& each : cases) {
    EXPECT_TRUE(says(each.id, each.most)) << int{each.id};
    EXPECT_FALSE(says(each.id, each.most + 1)) << int{each.id};
    EXPECT_TRUE(says(each.id, each.least)) << int{each.id};
    EXPECT_FALSE(says(each.id, each.least - 1)) << int{each.id};
  }
}

// Some robot may have a stasis bit more, or a gauge that has wrapped below zero.
TEST_F(FrameCheck, IsNotLockedOutByARobotWithAWayOfItsOwn) {
  const Values own = {{58, 4}, {25, 65529}};
  std::int64_t refused = 0;
  while (refused < 100 && !takes(own)) ++refused;
  EXPECT_EQ(refused, Create2FrameCheck::kFramesOfAWay - 1);
  EXPECT_TRUE(takes(own));
  Values damaged = own;
  damaged[9] = 2;
  EXPECT_FALSE(takes(damaged)) << "the other packets are still looked at";
  EXPECT_TRUE(takes({}));
}

TEST_F(FrameCheck, IsNotTalkedIntoItByDamage) {
  const Random random{3, 0};
  int taken = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const PhiloxBlock block = random.bits(i, 0);
    // Each frame is damaged somewhere, in one of ten packets.
    constexpr int kIds[] = {7, 9, 10, 11, 12, 21, 34, 35, 46, 58};
    const int id = kIds[block[0] % 10];
    taken += takes({{id, id == 46 ? 0x4000U : 0x40U}}) ? 1 : 0;
  }
  EXPECT_EQ(taken, 0);
}

}  // namespace
}  // namespace instep

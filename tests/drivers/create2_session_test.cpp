// The Create 2's session against the simulated robot, and against devices that are none.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "drivers/create2/session.h"
#include "drivers/create2/simulator.h"
#include "runtime/simulated_link.h"

namespace instep {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::int64_t kMs = 1'000'000;

Command move(double left, double right) {
  Command command;
  command.kind = Command::kMove;
  command.count = 2;
  command.values[0] = left;
  command.values[1] = right;
  return command;
}

class CollectingSink final : public PacketSink {
 public:
  void take(const Packet& packet) override { packets.push_back(packet); }
  std::vector<Packet> packets;
};

// A session on a simulated robot. Obstacles are out of the way.
class Create2SessionTest : public testing::Test {
 protected:
  Create2SessionTest() {
    simulator_.place(400, 300, 0.0);
    link_.restart();
  }

  void run(std::int64_t ms) { link_.wait_until(link_.now_ns() + ms * kMs); }

  // Commands at the period of a control loop.
  void keep_posting(const Command& command, std::int64_t ms) {
    for (std::int64_t end = link_.now_ns() + ms * kMs; link_.now_ns() < end;) {
      link_.post(command);
      run(150);
    }
  }

  std::vector<Packet> packets() {
    std::vector<Packet> all;
    for (Packet packet; link_.next_packet(&packet);) all.push_back(packet);
    return all;
  }

  bool wheels_are_told(double left, double right) const {
    return simulator_.target_left_mm_s() == left && simulator_.target_right_mm_s() == right;
  }

  Create2Simulator simulator_{{.seed = 5, .speed_limit_mm_s = 150.0}};
  Create2Session session_;
  SimulatedLink link_{session_, simulator_};
};

TEST_F(Create2SessionTest, HasPacketsSoonAndLeavesTheRobotInPassiveMode) {
  EXPECT_EQ(link_.state(), LinkState::kConnecting);
  run(250);
  EXPECT_EQ(link_.state(), LinkState::kReady);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kPassive);
  EXPECT_STREQ(session_.error(), "");
  packets();
  run(150);
  const auto all = packets();
  ASSERT_EQ(all.size(), 10U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].size, 54U);
    if (i == 0) continue;
    EXPECT_EQ(all[i].sequence, all[i - 1].sequence + 1);
    EXPECT_NEAR(static_cast<double>(all[i].time_ns - all[i - 1].time_ns), 15e6, 1e3);
  }
  EXPECT_EQ(session_.counters().bytes_skipped, 0U);
}

TEST_F(Create2SessionTest, DrivesInSafeMode) {
  run(300);
  link_.post(move(100.9, -57.9));
  run(60);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kSafe);
  EXPECT_TRUE(wheels_are_told(100, -57));  // towards zero
  link_.post(Command{});
  run(5);
  EXPECT_TRUE(wheels_are_told(0, 0));
  link_.post(move(std::nan(""), 100));
  run(5);
  EXPECT_TRUE(wheels_are_told(0, 100));
}

TEST_F(Create2SessionTest, SendsTheWorkedBytes) {
  run(300);
  link_.post(move(10, 10));
  run(60);
  session_.on_command(move(200, -100), link_.now_ns());
  const auto output = session_.output();
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{0x91, 0xff, 0x9c, 0x00, 0xc8}));
}

TEST_F(Create2SessionTest, SendsTheNewestCommandOnly) {
  run(300);
  link_.post(move(10, 10));
  run(60);
  session_.on_command(move(20, 20), link_.now_ns());
  session_.consume(2);  // the port took two bytes
  session_.on_command(move(30, 30), link_.now_ns());
  session_.on_command(move(40, 40), link_.now_ns());
  auto output = session_.output();
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{20, 0, 20}));
  session_.consume(3);
  output = session_.output();
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{0x91, 0, 40, 0, 40}));
  session_.consume(5);
  EXPECT_TRUE(session_.output().empty());
}

TEST_F(Create2SessionTest, StopsWithoutCommands) {
  run(300);
  keep_posting(move(100, 100), 600);
  const std::int64_t posted = link_.now_ns();
  link_.post(move(100, 100));
  run(295);
  EXPECT_TRUE(wheels_are_told(100, 100));
  run(10);
  EXPECT_TRUE(wheels_are_told(0, 0)) << link_.now_ns() - posted;
  EXPECT_EQ(session_.counters().dead_man_stops, 1U);
  run(1000);
  EXPECT_EQ(session_.counters().dead_man_stops, 1U);
  link_.post(move(90, 90));
  run(20);
  EXPECT_TRUE(wheels_are_told(90, 90));
}

TEST_F(Create2SessionTest, StopsTheRobotThatItDoesNotHear) {
  run(300);
  keep_posting(move(100, 100), 300);
  simulator_.set_line_faults({.drop = 1.0});
  run(90);
  EXPECT_TRUE(wheels_are_told(100, 100));
  run(30);
  EXPECT_TRUE(wheels_are_told(0, 0));
  EXPECT_EQ(link_.state(), LinkState::kLost);
  EXPECT_STRNE(session_.error(), "");
  simulator_.set_line_faults({});
  run(5000);
  EXPECT_EQ(link_.state(), LinkState::kReady);
  EXPECT_EQ(session_.counters().reconnects, 1U);
  keep_posting(move(100, 100), 600);
  EXPECT_TRUE(wheels_are_told(100, 100));
}

TEST_F(Create2SessionTest, StopsTheRobotWhenTheCableIsBack) {
  run(300);
  keep_posting(move(100, 100), 300);
  simulator_.set_plugged(false);
  run(2000);
  EXPECT_EQ(link_.state(), LinkState::kLost);
  EXPECT_TRUE(wheels_are_told(100, 100));  // nothing reaches it
  simulator_.set_plugged(true);
  run(25);
  EXPECT_TRUE(wheels_are_told(0, 0));
  run(500);
  EXPECT_EQ(link_.state(), LinkState::kReady);
  keep_posting(move(100, 100), 600);
  EXPECT_TRUE(wheels_are_told(100, 100));
}

TEST_F(Create2SessionTest, CompletesACommandThatWasCutOff) {
  for (const Bytes& begin : {Bytes{145}, Bytes{145, 0, 100}, Bytes{140, 0, 16, 60}, Bytes{148}}) {
    simulator_.set_plugged(false);
    run(10);
    simulator_.set_plugged(true);
    simulator_.on_bytes(begin, link_.now_ns());
    run(500);
    EXPECT_EQ(link_.state(), LinkState::kReady) << int{begin[0]};
    keep_posting(move(50, 50), 600);
    EXPECT_TRUE(wheels_are_told(50, 50));
    keep_posting(Command{}, 150);
  }
}

TEST_F(Create2SessionTest, SendsAgainWhatTheRobotDidNotUnderstand) {
  run(300);
  keep_posting(move(100, 100), 300);
  // A stray opcode swallows the next command's begin.
  const Bytes stray = {145, 0};
  simulator_.on_bytes(stray, link_.now_ns());
  link_.post(move(60, 60));
  run(10);
  EXPECT_FALSE(wheels_are_told(60, 60));
  run(110);
  EXPECT_TRUE(wheels_are_told(60, 60));
}

TEST_F(Create2SessionTest, ReturnsToSafeModeButNotIntoTheAirOrOverACliff) {
  run(300);
  keep_posting(move(100, 100), 450);
  simulator_.set_lifted(true);
  keep_posting(move(100, 100), 900);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kPassive);
  EXPECT_TRUE(wheels_are_told(0, 0));
  simulator_.set_lifted(false);
  keep_posting(move(100, 100), 900);
  EXPECT_TRUE(wheels_are_told(100, 100));

  simulator_.set_cliffs(4);
  keep_posting(move(100, 100), 900);
  EXPECT_EQ(simulator_.mode(), Create2Mode::kPassive);
  keep_posting(move(-100, -100), 900);
  EXPECT_TRUE(wheels_are_told(-100, -100));
}

TEST_F(Create2SessionTest, WakesARobotThatSleeps) {
  run(302'000);  // never driven: five minutes of Passive mode
  EXPECT_TRUE(simulator_.is_asleep() || link_.state() == LinkState::kReady);
  run(5'000);
  EXPECT_EQ(link_.state(), LinkState::kReady);
  EXPECT_GE(session_.counters().reconnects, 1U);
}

TEST_F(Create2SessionTest, KeepsARobotOnItsDockAwake) {
  run(300);
  simulator_.set_charge_mah(1500);
  Command seek;
  seek.kind = kCreate2SeekDock;
  keep_posting(seek, 40'000);
  ASSERT_TRUE(is_on_dock(simulator_.arena()));
  Command rest;
  rest.kind = kCreate2Rest;
  std::int64_t ready_ms = 0;
  for (std::int64_t ms = 0; ms < 300'000; ms += 150) {
    link_.post(rest);
    run(150);
    if (link_.state() == LinkState::kReady) ready_ms += 150;
  }
  EXPECT_GT(ready_ms, 250'000);
  EXPECT_GT(simulator_.charge_mah(), 1500 + 80);
  EXPECT_GE(session_.counters().reconnects, 4U);
  keep_posting(move(-100, -100), 3'000);
  EXPECT_FALSE(is_on_dock(simulator_.arena()));
}

TEST_F(Create2SessionTest, WakesARobotThatWentDeaf) {
  run(300);
  simulator_.place(kCreate2RadiusMm, kDockYMm, std::numbers::pi);
  run(100);
  // Driven against the dock again and again it stays in Safe mode until it hears nothing.
  keep_posting(move(1, 1), 75'000);
  keep_posting(move(-100, -100), 5'000);
  EXPECT_FALSE(is_on_dock(simulator_.arena()));
}

TEST_F(Create2SessionTest, StopsTheSearchForTheDock) {
  run(300);
  simulator_.place(1000, 300, 0.0);
  Command seek;
  seek.kind = kCreate2SeekDock;
  keep_posting(seek, 2'000);
  EXPECT_NE(simulator_.target_left_mm_s(), 0.0);
  keep_posting(Command{}, 300);
  EXPECT_TRUE(wheels_are_told(0, 0));
}

TEST_F(Create2SessionTest, GoesOnBitForBitFromASavedState) {
  simulator_.set_line_faults({.drop = 0.002, .duplicate = 0.002, .delay = 0.02, .text = 0.01});
  run(700);
  keep_posting(move(80, 60), 1'000);
  const auto save = [](auto& part) {
    Bytes bytes(part.state_bytes());
    part.save_state(bytes);
    return bytes;
  };
  const Bytes session = save(session_);
  const Bytes simulator = save(simulator_);
  const Bytes link = save(link_);
  const auto go_on = [&](SimulatedLink& a_link, Create2Session& a_session) {
    for (int i = 0; i < 20; ++i) {
      a_link.post(move(100 - i, i));
      a_link.wait_until(a_link.now_ns() + 150 * kMs);
    }
    return save(a_session);
  };
  const Bytes expected = go_on(link_, session_);

  Create2Simulator other_simulator({.seed = 77});
  other_simulator.set_line_faults({.drop = 0.002, .duplicate = 0.002, .delay = 0.02, .text = 0.01});
  Create2Session other_session;
  SimulatedLink other_link(other_session, other_simulator);
  ASSERT_TRUE(other_simulator.load_state(simulator));
  ASSERT_TRUE(other_session.load_state(session));
  ASSERT_TRUE(other_link.load_state(link));
  EXPECT_EQ(go_on(other_link, other_session), expected);
  EXPECT_EQ(save(other_simulator), save(simulator_));

  EXPECT_FALSE(other_session.load_state(Bytes(session.size(), 0xFF)));
  EXPECT_FALSE(other_link.load_state(Bytes(link.size(), 0xFF)));
}

// ------------------------------------------------------------------------------------------------
// Bytes by hand

class Create2SessionBytes : public testing::Test {
 protected:
  Create2SessionBytes() {
    session_.on_connect(0);
    pass(150);
    pass(10);
  }

  void pass(std::int64_t ms) {
    now_ns_ += ms * kMs;
    session_.poll(now_ns_);
    session_.consume(session_.output().size());
  }

  Bytes frame(std::uint32_t mode, std::uint32_t encoder = 0) {
    Create2FrameWriter writer;
    writer.begin();
    for (const std::uint8_t id : kCreate2StreamIds) {
      writer.add(id, id == 35 ? mode : id == 43 ? encoder : 0);
    }
    const auto bytes = writer.finish();
    return {bytes.begin(), bytes.end()};
  }

  void feed(const Bytes& bytes) { session_.on_bytes(bytes, now_ns_, sink_); }

  Create2Session session_;
  CollectingSink sink_;
  std::int64_t now_ns_ = 0;
};

TEST_F(Create2SessionBytes, KnowsTheStopOfAStranger) {
  const auto stop = create2_stop_bytes();
  const Bytes bytes(stop.begin(), stop.end());
  EXPECT_EQ(Bytes(bytes.end() - 6, bytes.end()), (Bytes{145, 0, 0, 0, 0, 128}));
  EXPECT_EQ(bytes.size(), 46U);
}

TEST_F(Create2SessionBytes, DatesFramesOfOneReadBack) {
  feed(frame(1));
  pass(45);
  Bytes three;
  for (std::uint32_t i = 1; i <= 3; ++i) {
    const Bytes one = frame(1, i);
    three.insert(three.end(), one.begin(), one.end());
  }
  feed(three);
  ASSERT_EQ(sink_.packets.size(), 4U);
  EXPECT_EQ(sink_.packets[3].time_ns, now_ns_);
  EXPECT_EQ(sink_.packets[2].time_ns, now_ns_ - 15 * kMs);
  EXPECT_EQ(sink_.packets[1].time_ns, now_ns_ - 30 * kMs);
}

TEST_F(Create2SessionBytes, KeepsTheNewestOfABacklog) {
  feed(frame(1));
  now_ns_ += 3'000 * kMs;  // the host stood still for three seconds
  Bytes backlog;
  for (std::uint32_t i = 1; i <= 70; ++i) {
    const Bytes one = frame(1, i);
    backlog.insert(backlog.end(), one.begin(), one.end());
  }
  feed(backlog);
  ASSERT_EQ(sink_.packets.size(), 1 + Create2Session::kBacklogFramesMax);
  Create2Readings newest;
  ASSERT_TRUE(decode_create2_frame(sink_.packets.back().view(), &newest));
  EXPECT_EQ(newest.encoder_left, 70);
  EXPECT_EQ(sink_.packets.back().time_ns, now_ns_);
  EXPECT_EQ(sink_.packets.back().sequence, 70U);  // the gap shows
  EXPECT_GT(sink_.packets[1].time_ns, now_ns_ - 16 * 15 * kMs);
}

TEST_F(Create2SessionBytes, IgnoresWhatItDidNotAskFor) {
  Bytes other = {0x13, 0x0e, 0x07, 0x00, 0x08, 0x00, 0x09, 0x00, 0x0a,
                 0x00, 0x0b, 0x00, 0x0c, 0x00, 0x23, 0x02, 0x81};
  feed(other);
  EXPECT_TRUE(sink_.packets.empty());
  EXPECT_EQ(session_.state(), LinkState::kConnecting);
  feed(frame(1));
  EXPECT_EQ(sink_.packets.size(), 1U);
  EXPECT_GE(session_.counters().bytes_skipped, other.size() - 1);
}

TEST_F(Create2SessionBytes, StartsTwiceWhenTheFirstStartWasLost) {
  feed(frame(2));  // still in Safe mode
  EXPECT_EQ(session_.state(), LinkState::kConnecting);
  pass(150);
  pass(10);
  feed(frame(1));
  EXPECT_EQ(session_.state(), LinkState::kReady);
}

// Some robots report every mode as the next one.
TEST_F(Create2SessionBytes, UnderstandsARobotThatReportsModesOffByOne) {
  for (int i = 0; i < 3; ++i) {
    feed(frame(2));
    pass(150);
    pass(10);
  }
  feed(frame(2));
  ASSERT_EQ(session_.state(), LinkState::kReady);
  for (int i = 0; i < 20; ++i) {
    pass(15);
    feed(frame(2));
  }
  session_.on_command(move(50, 50), now_ns_);
  auto output = session_.output();
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{131}));
  session_.consume(output.size());
  pass(15);
  feed(frame(3));
  output = session_.output();
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{145, 0, 50, 0, 50}));
}

// The thread that polls must sleep meanwhile, though the wheels still turn.
TEST_F(Create2SessionBytes, WaitsForAPortThatTakesNoBytes) {
  feed(frame(1));
  session_.on_command(move(50, 50), now_ns_);
  session_.consume(session_.output().size());
  for (int i = 0; i < 10; ++i) {
    pass(15);
    feed(frame(2));
  }
  session_.on_command(move(60, 60), now_ns_);
  ASSERT_FALSE(session_.output().empty());
  for (int i = 0; i < 40; ++i) {  // 600 ms
    now_ns_ += 15 * kMs;
    feed(frame(2));
    EXPECT_GT(session_.poll(now_ns_), now_ns_) << i;
  }
  EXPECT_EQ(session_.state(), LinkState::kReady);
  EXPECT_EQ(session_.counters().dead_man_stops, 1U);
  session_.consume(session_.output().size());
  const auto output = session_.output();
  ASSERT_GE(output.size(), 5U);
  EXPECT_EQ(Bytes(output.end() - 5, output.end()), (Bytes{145, 0, 0, 0, 0}));
}

TEST(Create2SessionWithoutARobot, SaysThatNothingAnswers) {
  Create2Session session;
  session.on_connect(0);
  bool was_woken = false;
  std::int64_t now = 0;
  for (; now < 60'000 * kMs && session.state() == LinkState::kConnecting; now += 10 * kMs) {
    session.poll(now);
    session.consume(session.output().size());
    was_woken = was_woken || session.wake_line();
  }
  EXPECT_EQ(session.state(), LinkState::kFailed);
  EXPECT_TRUE(was_woken);
  EXPECT_LT(now, 20'000 * kMs);
  const std::string error = session.error();
  EXPECT_NE(error.find("nothing answers"), std::string::npos);
  EXPECT_NE(error.find("switched on"), std::string::npos);
}

TEST(Create2SessionWithoutARobot, SaysThatItIsNotACreate2) {
  Create2Session session;
  CollectingSink sink;
  session.on_connect(0);
  const std::string chatter = "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M*47\r\n";
  const Bytes bytes(chatter.begin(), chatter.end());
  for (std::int64_t now = 0; now < 60'000 * kMs; now += 100 * kMs) {
    session.poll(now);
    session.consume(session.output().size());
    session.on_bytes(bytes, now, sink);
  }
  EXPECT_EQ(session.state(), LinkState::kFailed);
  EXPECT_TRUE(sink.packets.empty());
  const std::string error = session.error();
  EXPECT_NE(error.find("not a Create 2"), std::string::npos);
  EXPECT_NE(error.find("/dev/serial/by-id"), std::string::npos);
}

}  // namespace
}  // namespace instep

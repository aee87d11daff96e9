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
    EXPECT_EQ(all[i].size, 57U);
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
  const auto output = session_.output(0);
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{0x91, 0xff, 0x9c, 0x00, 0xc8}));
}

TEST_F(Create2SessionTest, SendsTheNewestCommandOnly) {
  run(300);
  link_.post(move(10, 10));
  run(60);
  session_.on_command(move(20, 20), link_.now_ns());
  session_.consume(0, 2);  // the port took two bytes
  session_.on_command(move(30, 30), link_.now_ns());
  session_.on_command(move(40, 40), link_.now_ns());
  auto output = session_.output(0);
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{20, 0, 20}));
  session_.consume(0, 3);
  output = session_.output(0);
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{0x91, 0, 40, 0, 40}));
  session_.consume(0, 5);
  EXPECT_TRUE(session_.output(0).empty());
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

// Of a port that is there nobody is told to look after its cable.
TEST_F(Create2SessionTest, SaysWhetherTheCableIsOutOrThePortWasChanged) {
  const auto says = [this](const char* text) {
    return std::string(session_.error()).find(text) != std::string::npos;
  };
  keep_posting(move(100, 100), 2000);
  session_.on_interruption(0, link_.now_ns());
  EXPECT_EQ(session_.state(), LinkState::kLost);
  EXPECT_TRUE(says("the port's settings")) << session_.error();
  EXPECT_FALSE(says("cable")) << session_.error();
  keep_posting(move(100, 100), 2000);
  EXPECT_EQ(session_.state(), LinkState::kReady);
  EXPECT_STREQ(session_.error(), "");
  simulator_.set_plugged(false);
  run(100);
  EXPECT_TRUE(says("cable")) << session_.error();
}

TEST_F(Create2SessionTest, CompletesACommandThatWasCutOff) {
  for (const Bytes& begin : {Bytes{145}, Bytes{145, 0, 100}, Bytes{140, 0, 16, 60}, Bytes{148}}) {
    simulator_.set_plugged(false);
    run(10);
    simulator_.set_plugged(true);
    simulator_.on_bytes(0, begin, link_.now_ns());
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
  simulator_.on_bytes(0, stray, link_.now_ns());
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
// Other hands

class Create2TakenOver : public Create2SessionTest {
 protected:
  // Drives, and has somebody else write these bytes to the port `after_ms` behind a command.
  void drive_and_hear(const Bytes& foreign, std::int64_t after_ms) {
    run(300);
    simulator_.place(400, 300, 0.0);
    keep_posting(move(90, 100), 1'500);
    ASSERT_EQ(link_.state(), LinkState::kReady);
    link_.post(move(100, 90));
    run(after_ms);
    simulator_.on_bytes(0, foreign, link_.now_ns());
    run(150 - after_ms);
  }
  // The loop goes on asking for motion; answers whether the robot is moved.
  bool moves_within(std::int64_t ms) {
    for (std::int64_t end = link_.now_ns() + ms * kMs; link_.now_ns() < end;) {
      Command command = move(80, 100);
      command.acknowledged = acknowledged_;
      link_.post(command);
      for (int i = 0; i < 15; ++i) {
        run(10);
        if (!wheels_are_told(0, 0)) return true;
      }
    }
    return false;
  }
  void expect_taken_over(const std::string& what) {
    EXPECT_EQ(link_.state(), LinkState::kTakenOver) << what;
    const Create2Mode mode = simulator_.mode();
    EXPECT_FALSE(moves_within(20'000)) << what;
    EXPECT_EQ(link_.state(), LinkState::kTakenOver) << what;
    EXPECT_TRUE(mode > Create2Mode::kPassive || simulator_.mode() == mode) << what;
    ++acknowledged_;
    EXPECT_TRUE(moves_within(2'000)) << what;
    EXPECT_EQ(link_.state(), LinkState::kReady) << what;
    moves_within(1);
  }

  std::int32_t acknowledged_ = 0;
};

// Start, Power, Spot, Clean, Max, Seek Dock, Full, and speeds.
TEST_F(Create2TakenOver, IsWhatNobodyHereHasAskedFor) {
  const Bytes stranger[] = {{128}, {133}, {134}, {135}, {136}, {143}, {132}, {145, 0, 0, 0, 0}};
  for (const Bytes& bytes : stranger) {
    for (std::int64_t after_ms = 0; after_ms < 150; after_ms += 7) {
      SCOPED_TRACE("opcode " + std::to_string(bytes[0]) + " after " + std::to_string(after_ms));
      drive_and_hear(bytes, after_ms);
      run(400);
      expect_taken_over("");
      if (HasFailure()) return;
    }
  }
}

// Off: the frames stop, and come back at the first Start.
TEST_F(Create2TakenOver, IsARobotThatIsSwitchedOff) {
  for (std::int64_t after_ms = 0; after_ms < 150; after_ms += 29) {
    drive_and_hear({173}, after_ms);
    run(3'000);
    expect_taken_over("Stop after " + std::to_string(after_ms));
  }
}

// Speeds that come soon after a command of ours may be that command, damaged: it is sent again. A
// program that drives is seen all the same.
TEST_F(Create2TakenOver, IsARobotThatAnotherProgramDrives) {
  drive_and_hear({145, 0, 33, 0, 44}, 100);
  run(60);
  expect_taken_over("one command");
  for (std::int64_t after_ms = 0; after_ms < 30; after_ms += 5) {
    drive_and_hear({145, 0, 33, 0, 44}, after_ms);
    EXPECT_EQ(link_.state(), LinkState::kReady);
    EXPECT_TRUE(moves_within(300));
    EXPECT_EQ(link_.state(), LinkState::kReady);
  }
  for (int i = 0; i < 40 && link_.state() == LinkState::kReady; ++i) {
    const Bytes drive = {145, 0, 33, 0, static_cast<std::uint8_t>(40 + i)};
    link_.post(move(90, 90));
    run(47);
    simulator_.on_bytes(0, drive, link_.now_ns());
    run(53);
  }
  EXPECT_EQ(link_.state(), LinkState::kTakenOver);
  run(50);
  EXPECT_TRUE(wheels_are_told(0, 0)) << "it stands, whoever drives it";
}

TEST_F(Create2TakenOver, IsNotARobotsOwnReflex) {
  run(300);
  for (int i = 0; i < 30; ++i) {
    keep_posting(move(100, 100), 450 + 10 * i);
    simulator_.set_lifted(true);
    keep_posting(move(100, 100), 300);
    simulator_.set_lifted(false);
    keep_posting(move(100, 100), 900);
    simulator_.set_cliffs(4);
    keep_posting(move(100, 100), 150);
    simulator_.set_cliffs(0);
    keep_posting(move(100, 100), 900);
    ASSERT_EQ(link_.state(), LinkState::kReady) << i;
    simulator_.place(400, 300, 0.0);
  }
  simulator_.place(kCreate2RadiusMm + 100, kDockYMm, std::numbers::pi);
  keep_posting(move(100, 100), 3'000);
  EXPECT_NE(simulator_.mode(), Create2Mode::kOff);
  EXPECT_EQ(link_.state(), LinkState::kReady) << "on its dock";
}

TEST_F(Create2TakenOver, IsNothingThatWeDidOurselves) {
  run(300);
  Command seek;
  seek.kind = kCreate2SeekDock;
  Command rest;
  rest.kind = kCreate2Rest;
  for (int i = 0; i < 40; ++i) {
    for (const Command& command :
         {move(100, 50), seek, move(-50, 50), rest, move(30, 30), Command{}}) {
      link_.post(command);
      run(10 + 37 * i % 400);
      ASSERT_NE(link_.state(), LinkState::kTakenOver) << i;
    }
    simulator_.place(400, 300, 0.0);
  }
}

TEST_F(Create2TakenOver, IsNoRobotThatStartsByItself) {
  for (std::int64_t after_ms = 0; after_ms < 150; after_ms += 13) {
    drive_and_hear({7}, after_ms);
    run(4'000);
    EXPECT_EQ(link_.state(), LinkState::kReady) << "reset";
    drive_and_hear({}, 0);
    simulator_.take_battery_out();
    run(4'000);
    EXPECT_EQ(link_.state(), LinkState::kReady) << "battery";
  }
}

// Frames that are lost for any time: only where they come back with the first Start, when a robot
// that was off would, it cannot be told from one.
TEST_F(Create2TakenOver, IsSeldomALineThatWasSilent) {
  int taken_over = 0;
  int silences = 0;
  for (std::int64_t silent_ms = 20; silent_ms < 6'000; silent_ms += 30) {
    drive_and_hear({}, 0);
    simulator_.set_line_faults({.drop = 1.0});
    run(silent_ms);
    simulator_.set_line_faults({});
    run(4'000);
    ++silences;
    if (link_.state() != LinkState::kTakenOver) {
      EXPECT_EQ(link_.state(), LinkState::kReady);
      continue;
    }
    ++taken_over;
    expect_taken_over("silence");
  }
  EXPECT_LE(taken_over, 4) << "of " << silences;
}

// A cable that is pulled, and a process that stood still while its guardian stopped the robot.
TEST_F(Create2TakenOver, IsNoCableAndNoGuardian) {
  drive_and_hear({}, 0);
  simulator_.set_plugged(false);
  run(1'000);
  simulator_.set_plugged(true);
  run(500);
  EXPECT_EQ(link_.state(), LinkState::kReady);
  EXPECT_TRUE(moves_within(1'000));

  // From here on without the link, which would not stand still.
  std::int64_t now_ns = link_.now_ns();
  CollectingSink sink;
  const auto exchange = [&](const Command& command) {
    now_ns += 15 * kMs;
    simulator_.advance(now_ns);
    Bytes bytes(4096);
    session_.on_bytes(0, {bytes.data(), simulator_.read(0, bytes)}, now_ns, sink);
    session_.on_command(command, now_ns);
    session_.poll(now_ns);
    simulator_.on_bytes(0, session_.output(0), now_ns);
    session_.consume(0, session_.output(0).size());
  };
  for (int i = 0; i < 40; ++i) exchange(move(100, 100));
  ASSERT_FALSE(wheels_are_told(0, 0));
  now_ns += 500 * kMs;
  simulator_.advance(now_ns);
  simulator_.on_bytes(0, create2_stop_bytes(), now_ns);
  now_ns += 300 * kMs;
  for (int i = 0; i < 100; ++i) {
    exchange(move(100, 100));
    EXPECT_NE(session_.state(), LinkState::kTakenOver) << i;
  }
  EXPECT_FALSE(wheels_are_told(0, 0));
}

TEST_F(Create2TakenOver, IsNotForgottenWhenTheLinkIsLost) {
  drive_and_hear({135}, 50);
  run(200);
  ASSERT_EQ(link_.state(), LinkState::kTakenOver);
  simulator_.set_plugged(false);
  run(1'000);
  EXPECT_EQ(link_.state(), LinkState::kLost);
  simulator_.set_plugged(true);
  run(1'000);
  expect_taken_over("after the cable was out");
}

// Stops are repeated while nothing tells whether the robot stands.
TEST_F(Create2SessionTest, TellsARobotThatItDoesNotHearToStopAgainAndAgain) {
  run(300);
  keep_posting(move(100, 100), 300);
  simulator_.set_line_faults({.drop = 1.0});
  run(400);
  EXPECT_TRUE(wheels_are_told(0, 0));
  for (int i = 0; i < 100; ++i) {  // ten seconds, in which it is started again and again
    const Bytes drive = {131, 145, 0, 100, 0, 100};
    simulator_.on_bytes(0, drive, link_.now_ns());
    run(180);
    EXPECT_TRUE(wheels_are_told(0, 0)) << i;
  }
}

// What another program has begun to write: a list says how long it will be, and until then the
// robot takes every byte for a part of it.
const Bytes kBegunLists[] = {{149, 255}, {148, 255}, {149}, {149, 200, 7}, {140, 0, 255}};

TEST_F(Create2SessionTest, StopsARobotThatWaitsForTheRestOfALongList) {
  for (const Bytes& begun : kBegunLists) {
    SCOPED_TRACE(testing::PrintToString(begun));
    run(3'000);
    simulator_.place(400, 300, 0.0);
    keep_posting(move(100, 90), 600);
    ASSERT_TRUE(wheels_are_told(100, 90));
    simulator_.on_bytes(0, begun, link_.now_ns());
    link_.post(Command{});
    std::int64_t ms = 0;
    for (; ms < 5'000 && !wheels_are_told(0, 0); ++ms) run(1);
    EXPECT_LE(ms, 150);
    keep_posting(Command{}, 3'000);
    EXPECT_EQ(link_.state(), LinkState::kReady) << "frames come again";
  }
}

TEST_F(Create2SessionTest, DrivesARobotThatWaitedForTheRestOfALongList) {
  for (const Bytes& begun : kBegunLists) {
    SCOPED_TRACE(testing::PrintToString(begun));
    run(3'000);
    simulator_.place(400, 300, 0.0);
    keep_posting(move(40, 40), 300);
    simulator_.on_bytes(0, begun, link_.now_ns());
    for (int i = 0; i < 20; ++i) keep_posting(move(40 + i, 40), 150);
    EXPECT_EQ(link_.state(), LinkState::kReady);
    EXPECT_TRUE(wheels_are_told(59, 40));
    keep_posting(Command{}, 300);
  }
}

TEST_F(Create2SessionTest, StopsARobotUnheardThatWaitsForTheRestOfALongList) {
  run(300);
  keep_posting(move(100, 100), 300);
  simulator_.set_line_faults({.drop = 1.0});
  run(400);
  for (int i = 0; i < 100; ++i) {
    const Bytes drive = {131, 145, 0, 100, 0, 100, 149, 255};
    simulator_.on_bytes(0, drive, link_.now_ns());
    run(200);
    EXPECT_TRUE(wheels_are_told(0, 0)) << i;
  }
}

// ------------------------------------------------------------------------------------------------
// Bytes by hand

class Create2SessionBytes : public testing::Test {
 protected:
  Create2SessionBytes() {
    session_.on_connect(0, 0);
    pass(150);
    pass(10);
  }

  void pass(std::int64_t ms) {
    now_ns_ += ms * kMs;
    session_.poll(now_ns_);
    session_.consume(0, session_.output(0).size());
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

  void feed(const Bytes& bytes) { session_.on_bytes(0, bytes, now_ns_, sink_); }
  void stream(std::uint32_t mode, int frames) {
    for (int i = 0; i < frames; ++i) {
      feed(frame(mode));
      pass(15);
    }
  }

  Create2Session session_;
  CollectingSink sink_;
  std::int64_t now_ns_ = 0;
};

TEST_F(Create2SessionBytes, KnowsTheStopOfAStranger) {
  const auto stop = create2_stop_bytes();
  const Bytes bytes(stop.begin(), stop.end());
  EXPECT_EQ(Bytes(bytes.end() - 6, bytes.end()), (Bytes{145, 0, 0, 0, 0, 128}));
  const Bytes first(bytes.begin() + 40, bytes.begin() + 46);
  EXPECT_EQ(first, (Bytes{145, 0, 0, 0, 0, 128})) << "heard within 4 ms";
  EXPECT_EQ(bytes.size(), 46U + 256U + 6U) << "behind the longest list";
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

// A robot that reports modes as they are knows no mode 4.
TEST_F(Create2SessionBytes, DropsAModeThatThereIsNot) {
  feed(frame(1));
  feed(frame(4));
  EXPECT_EQ(sink_.packets.size(), 1U);
  EXPECT_EQ(session_.counters().frames_impossible, 1U);
  feed(frame(3));
  EXPECT_EQ(sink_.packets.size(), 2U);
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
  auto output = session_.output(0);
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{131}));
  session_.consume(0, output.size());
  pass(15);
  feed(frame(3));
  output = session_.output(0);
  EXPECT_EQ(Bytes(output.begin(), output.end()), (Bytes{145, 0, 50, 0, 50}));
}

// The thread that polls must sleep meanwhile, though the wheels still turn.
TEST_F(Create2SessionBytes, WaitsForAPortThatTakesNoBytes) {
  stream(1, 10);
  session_.on_command(move(50, 50), now_ns_);
  session_.consume(0, session_.output(0).size());
  for (int i = 0; i < 10; ++i) {
    pass(15);
    feed(frame(2));
  }
  session_.on_command(move(60, 60), now_ns_);
  ASSERT_FALSE(session_.output(0).empty());
  for (int i = 0; i < 40; ++i) {  // 600 ms
    now_ns_ += 15 * kMs;
    feed(frame(2));
    EXPECT_GT(session_.poll(now_ns_), now_ns_) << i;
  }
  EXPECT_EQ(session_.state(), LinkState::kReady);
  EXPECT_EQ(session_.counters().dead_man_stops, 1U);
  const auto output = session_.output(0);
  ASSERT_GE(output.size(), 5U);
  EXPECT_EQ(Bytes(output.end() - 5, output.end()), (Bytes{145, 0, 0, 0, 0}));
}

// A stop goes before what waits, whoever asks for it: the loop, the dead man, missing frames.
TEST_F(Create2SessionBytes, SendsAStopBeforeWhatWaits) {
  enum Reason { kCommand, kDeadMan, kSilence };
  for (const Reason reason : {kCommand, kDeadMan, kSilence}) {
    for (std::size_t taken = 0; taken < 5; ++taken) {
      session_.on_disconnect(0, now_ns_);
      session_.on_connect(0, now_ns_);
      pass(150);
      pass(10);
      stream(1, 20);
      session_.on_command(move(50, 50), now_ns_);
      session_.consume(0, session_.output(0).size());
      stream(2, 1);
      session_.on_command(move(60, 60), now_ns_);
      Create2CommandParser robot;
      std::vector<int> speeds;
      const auto hear = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
          if (!robot.take(session_.output(0)[i]) || robot.command().opcode != 145) continue;
          speeds.push_back(robot.command().word(0));
        }
        session_.consume(0, count);
      };
      hear(session_.output(0).size());  // at first it drives
      session_.on_command(move(70, 70), now_ns_);
      hear(taken);
      ASSERT_FALSE(session_.output(0).empty());
      speeds.clear();
      const std::int64_t begin_ns = now_ns_;
      while (now_ns_ - begin_ns <= (reason == kDeadMan   ? 300
                                    : reason == kSilence ? 100
                                                         : 0) *
                                       kMs) {
        if (reason == kDeadMan) feed(frame(2));
        session_.poll(now_ns_);
        now_ns_ += 5 * kMs;
      }
      if (reason == kCommand) session_.on_command(Command{}, now_ns_);
      session_.poll(now_ns_);
      // Now the port takes bytes again. What was cut off is completed with zeros.
      hear(session_.output(0).size());
      ASSERT_FALSE(speeds.empty()) << reason << taken;
      EXPECT_EQ(speeds.back(), 0) << reason << taken;
      for (const int speed : speeds) EXPECT_TRUE(speed == 0 || (taken > 2 && speed == 70));
      EXPECT_LE(speeds.size(), 2U);
    }
  }
}

TEST(Create2SessionWithoutARobot, SaysThatNothingAnswers) {
  Create2Session session;
  session.on_connect(0, 0);
  bool was_woken = false;
  std::int64_t now = 0;
  for (; now < 60'000 * kMs && session.state() == LinkState::kConnecting; now += 10 * kMs) {
    session.poll(now);
    session.consume(0, session.output(0).size());
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
  session.on_connect(0, 0);
  const std::string chatter = "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M*47\r\n";
  const Bytes bytes(chatter.begin(), chatter.end());
  for (std::int64_t now = 0; now < 60'000 * kMs; now += 100 * kMs) {
    session.poll(now);
    session.consume(0, session.output(0).size());
    session.on_bytes(0, bytes, now, sink);
  }
  EXPECT_EQ(session.state(), LinkState::kFailed);
  EXPECT_TRUE(sink.packets.empty());
  const std::string error = session.error();
  EXPECT_NE(error.find("not a Create 2"), std::string::npos);
  EXPECT_NE(error.find("/dev/serial/by-id"), std::string::npos);
}

}  // namespace
}  // namespace instep

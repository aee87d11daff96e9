// The UR session against the simulated controller, on simulated time. The first half is named after
// what others reported of their drivers.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "allocation_count.h"
#include "drivers/ur/fault_schedule.h"
#include "ur_client.h"
#include "ur_on_simulator.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr const char* kForeign = "def foreign():\n  while True:\n    sync()\n  end\nend\n";

Command speeds(double shoulder, double elbow) {
  Command command;
  command.kind = Command::kMove;
  command.count = kUrJoints;
  command.values[1] = shoulder;
  command.values[2] = elbow;
  return command;
}
const Command kMoving = speeds(0.0, 0.3);

bool says(const UrOnSimulator& host, const std::string& text) {
  return std::string(host.session->error()).find(text) != std::string::npos;
}

// Ready and at 0.3 rad/s.
void begin_to_move(UrOnSimulator& host) {
  ASSERT_TRUE(host.becomes_ready()) << host.session->error();
  host.keep_posting(kMoving, 400);
  ASSERT_NEAR(host.speed(), 0.3, 1e-9);
}

// ----- reports of others

TEST(UrSessionTest, SocketBackButNoDataEver) {
  // Cut at every moment of the handshake: all of it is done again.
  for (int ms = 1; ms < 60; ++ms) {
    UrOnSimulator host;
    host.run(ms);
    host.simulator->reset_connections(0);
    EXPECT_TRUE(host.becomes_ready()) << ms;
    host.keep_posting(kMoving, 400);
    EXPECT_NEAR(host.speed(), 0.3, 1e-9) << ms;
  }
}

TEST(UrSessionTest, OldPackagesArriveAfterAStall) {
  UrOnSimulator host;
  begin_to_move(host);
  host.keeps_packets = true;
  host.simulator->set_link_faults({.is_stalled = true});
  host.keep_posting(kMoving, 800);
  EXPECT_EQ(host.session->state(), LinkState::kLost);
  EXPECT_TRUE(host.packets.empty());
  host.simulator->set_link_faults({});
  host.run(8);
  ASSERT_GE(host.packets.size(), 1U);
  ASSERT_LE(host.packets.size(), 3U);
  UrReadings first;
  ASSERT_TRUE(decode_ur_packet(host.packets[0].view(), &first));
  EXPECT_NEAR(first.timestamp_s, host.robot().timestamp_s(), 0.02);
  EXPECT_GT(host.session->rtde().counters().dropped, 80U);
  EXPECT_EQ(host.speed(), 0.0);  // its program had stopped it
  EXPECT_TRUE(host.becomes_ready());
  EXPECT_EQ(host.speed(), 0.0);  // and nothing moves without a new command
  host.keep_posting(kMoving, 400);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

TEST(UrSessionTest, ClosedByTheControllerBecauseItWasNotRead) {
  UrOnSimulator host;
  begin_to_move(host);
  host.simulator->set_link_faults({.is_stalled = true});
  host.run(20'000);
  EXPECT_GE(host.simulator->cut_off(), 1);
  host.simulator->set_link_faults({});
  EXPECT_TRUE(host.becomes_ready(20'000)) << host.session->error();
}

TEST(UrSessionTest, InputPackagesThatCannotBeSentAreDroppedAndCounted) {
  UrOnSimulator host;
  begin_to_move(host);
  host.takes_output = false;
  host.keep_posting(kMoving, 200);
  EXPECT_LE(host.session->output(UrChannel::kRtde).size(), 80U);
  EXPECT_GT(host.session->rtde().counters().commands_late, 10U);
  EXPECT_EQ(host.speed(), 0.0);
  host.takes_output = true;
  EXPECT_TRUE(host.becomes_ready());
}

TEST(UrSessionTest, ASlowConsumerGetsTheNewestAndNoFloodOfMessages) {
  // Its host looks twice a second for half a minute, with an emergency stop on the way.
  UrOnSimulator host;
  begin_to_move(host);
  host.keeps_packets = true;
  std::string last;
  int texts = 0;
  for (int i = 0; i < 60; ++i) {
    host.is_host_alive = false;
    host.run(500);
    host.is_host_alive = true;
    if (i == 20) host.robot().emergency_stop(true);
    host.packets.clear();
    host.run(2);
    EXPECT_LE(host.packets.size(), UrRtdeLink::kBatchMax);
    if (!host.packets.empty()) {
      UrReadings readings;
      ASSERT_TRUE(decode_ur_packet(host.packets.back().view(), &readings));
      EXPECT_NEAR(readings.timestamp_s, host.robot().timestamp_s(), 0.02);
    }
    texts += host.session->error() != last ? 1 : 0;
    last = host.session->error();
  }
  EXPECT_GT(host.session->rtde().counters().dropped, 1000U);
  EXPECT_LT(texts, 30);
}

TEST(UrSessionTest, APackageIsNotParsedCompletely) {
  // One of another size than the recipe's is counted and nobody sees it.
  UrReadings readings;
  std::array<std::uint8_t, kUrPacketBytes> bytes{};
  encode_ur_packet(readings, bytes);
  constexpr std::uint32_t kAll = (1U << kUrPacketFields) - 1U;
  EXPECT_TRUE(decode_ur_package(bytes, kAll, &readings));
  EXPECT_FALSE(decode_ur_package(std::span(bytes).first(bytes.size() - 1), kAll, &readings));
  EXPECT_FALSE(decode_ur_package(bytes, kAll - 1U, &readings));
}

TEST(UrSessionTest, ReportsMissingTimestampNeverBecauseItAlwaysAsks) {
  UrOnSimulator host;
  ASSERT_TRUE(host.becomes_ready());
  EXPECT_EQ(host.session->lacks(), 0U);
  EXPECT_EQ(ur_packet_fields()[0].name, "timestamp");
  EXPECT_TRUE(ur_packet_fields()[0].is_required);
  EXPECT_EQ(host.session->rtde().counters().damaged, 0U);
}

// A controller of our own making, for what the simulator never says.
class Controller {
 public:
  explicit Controller(const UrSessionOptions& options = {}) : session(options) {
    session.on_connect(UrChannel::kRtde, 0);
  }
  // What the session asks now, by type; consumed.
  std::string asked() {
    const auto output = session.output(UrChannel::kRtde);
    std::string types;
    last.assign(output.begin(), output.end());
    RtdeParser parser;
    parser.push(output);
    for (RtdeMessage message; parser.next(&message);) types += static_cast<char>(message.type);
    session.consume(UrChannel::kRtde, output.size());
    return types;
  }
  void say(RtdeWriter& writer) {
    now_ns += 8 * kMs;
    session.on_bytes(UrChannel::kRtde, writer.finish(), now_ns, sink);
  }
  void say_version(std::uint32_t major, std::uint32_t minor) {
    asked();
    RtdeWriter writer;
    say(writer.begin(RtdeMessageType::kProtocolVersion).u8(1));
    asked();
    say(writer.begin(RtdeMessageType::kControllerVersion).u32(major).u32(minor).u32(0).u32(0));
  }
  std::string types_without(const std::string& unknown) const {
    std::string types;
    for (const UrPacketField& field : ur_packet_fields()) {
      const std::string asked_text = std::string(last.begin(), last.end()) + ",";
      if (asked_text.find(std::string(field.name) + ",") == std::string::npos) continue;
      if (!types.empty()) types += ",";
      types += field.name == unknown ? "NOT_FOUND" : std::string(rtde_type_name(field.type));
    }
    return types;
  }

  struct Sink final : PacketSink {
    void take(const Packet& packet) override { packets.push_back(packet); }
    std::vector<Packet> packets;
  };
  UrSession session;
  Sink sink;
  std::vector<std::uint8_t> last;
  std::int64_t now_ns = 0;
};

TEST(UrSessionTest, OlderFirmwareDoesNotKnowAnOutput) {
  Controller controller;
  controller.say_version(3, 9);
  EXPECT_EQ(controller.asked(), "O");
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupOutputs)
      .u8(0)
      .text(controller.types_without("safety_status"));
  controller.say(writer);
  // At once, without the name.
  EXPECT_EQ(controller.asked(), "O");
  const std::string again(controller.last.begin(), controller.last.end());
  EXPECT_EQ(again.find("safety_status,"), std::string::npos);
  EXPECT_NE(again.find("timestamp,"), std::string::npos);
  writer.begin(RtdeMessageType::kSetupOutputs).u8(1).text(controller.types_without(""));
  controller.say(writer);
  EXPECT_EQ(controller.asked(), "I");
  // It is told when packages come.
  EXPECT_EQ(controller.session.lacks(), 0U);
  controller.say(writer.begin(RtdeMessageType::kSetupInputs).u8(1).text("INT32"));
  controller.asked();
  controller.say(writer.begin(RtdeMessageType::kSetupInputs).u8(2).text("UINT32,DOUBLE"));
  EXPECT_EQ(controller.asked(), "S");
  controller.say(writer.begin(RtdeMessageType::kStart).u8(1));
  std::array<std::uint8_t, kUrPacketBytes> bytes{};
  UrReadings readings;
  readings.timestamp_s = 1.0;
  encode_ur_packet(readings, bytes);
  writer.begin(RtdeMessageType::kData).u8(1);
  // Without the four bytes of safety_status, behind a double, five vectors and two whole numbers.
  constexpr std::size_t kBefore = 8 + 5 * 48 + 2 * 4;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i < kBefore || i >= kBefore + 4) writer.u8(bytes[i]);
  }
  controller.say(writer);
  ASSERT_EQ(controller.sink.packets.size(), 1U);
  EXPECT_EQ(controller.session.lacks(), 1U << 8);
  EXPECT_EQ(ur_lacks_text(controller.session.lacks()),
            "the controller's software does not know safety_status; where they are shown they are "
            "0");
}

TEST(UrSessionTest, AsksAControllerForNoMorePackagesThanItCanSend) {
  for (const std::uint32_t major : {3U, 5U}) {
    Controller controller({.frequency_hz = 500.0});
    controller.say_version(major, 10);
    EXPECT_EQ(controller.asked(), "O");
    RtdeReader reader(std::span<const std::uint8_t>(controller.last).subspan(kRtdeHeaderBytes));
    EXPECT_EQ(reader.f64(), major == 3 ? 125.0 : 500.0);
    EXPECT_EQ(controller.session.rtde().period_ns(), major == 3 ? 8 * kMs : 2 * kMs);
  }
}

TEST(UrSessionTest, TooOldFirmwareIsSaidAndNotTriedForEver) {
  Controller controller;
  controller.say_version(3, 4);
  controller.asked();
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupOutputs)
      .u8(0)
      .text(controller.types_without("output_int_register_24"));
  controller.say(writer);
  EXPECT_EQ(controller.session.state(), LinkState::kFailed);
  EXPECT_NE(std::string(controller.session.error()).find("3.9 or later"), std::string::npos);
  EXPECT_FALSE(controller.session.wants(UrChannel::kRtde));
  controller.session.poll(controller.now_ns);
  EXPECT_NE(ur_lacks_text(controller.session.lacks()).find("output_int_register_24"),
            std::string::npos);
}

TEST(UrSessionTest, PolyScopeXIsRefusedInOneSentence) {
  Controller controller;
  controller.say_version(10, 7);
  EXPECT_EQ(controller.session.state(), LinkState::kFailed);
  EXPECT_NE(std::string(controller.session.error()).find("PolyScope X"), std::string::npos);
}

TEST(UrSessionTest, AMessageMayComeBeforeTheAnswer) {
  Controller controller;
  controller.asked();
  RtdeWriter writer;
  write_rtde_text(writer, {"Safety setup is not confirmed", "RTDE", RtdeTextLevel::kWarning});
  controller.say(writer);
  EXPECT_EQ(controller.asked(), "");
  controller.say(writer.begin(RtdeMessageType::kProtocolVersion).u8(1));
  EXPECT_EQ(controller.asked(), "v");
  ASSERT_EQ(controller.session.rtde().message_count(), 1U);
  EXPECT_STREQ(controller.session.rtde().message(0).text.data(), "Safety setup is not confirmed");
}

TEST(UrSessionTest, StartedBeforeTheArmHasBooted) {
  UrOnSimulator host;
  host.simulator->restart_controller();
  host.run(4'000);
  EXPECT_NE(host.session->state(), LinkState::kReady);
  EXPECT_TRUE(says(host, "the arm does not run yet")) << host.session->error();
  host.run(3'000);
  host.robot().power_on();
  host.run(1'500);
  host.robot().release_brakes();
  EXPECT_TRUE(host.becomes_ready());
}

TEST(UrSessionTest, SettingsAreKeptOverReconnects) {
  for (const double frequency : {125.0, 500.0}) {
    UrOnSimulator host({.frequency_hz = frequency}, {.model = UrModel::kESeries});
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(host.becomes_ready());
      const std::uint64_t before = host.session->rtde().counters().packages;
      host.run(1000);
      EXPECT_NEAR(static_cast<double>(host.session->rtde().counters().packages - before), frequency,
                  0.01 * frequency + 1);
      host.simulator->reset_connections(kUrRtdePort);
      host.run(50);
    }
  }
}

// From the first byte to an arm that moves, and once more after a loss, no memory is asked for;
// what is left of the loss names the software.
TEST(UrSessionTest, TheLoopOverrunsAtActivation) {
  for (const UrModel model : {UrModel::kCb3, UrModel::kESeries}) {
    UrOnSimulator host({}, {.model = model});
    allocation_count = 0;
    counting_condition = [] { return is_ur_session_at_work; };
    begin_to_move(host);
    host.simulator->reset_connections(0);
    host.run(500);
    begin_to_move(host);
    counting_condition = nullptr;
    EXPECT_EQ(allocation_count, 0);
    LinkLoss loss;
    host.session->save_loss(&loss);
    const std::string version = model == UrModel::kCb3 ? "3.15.8." : "5.12.";
    EXPECT_NE(ur_loss_text({loss.bytes.data(), loss.size}).find("controller software " + version),
              std::string::npos);
  }
}

// It is the driver that comes back, by itself, at the pace of its settings; the arm stands
// meanwhile.
TEST(UrSessionTest, ALostLinkKillsTheProgramAndAttemptsAreFixed) {
  UrOnSimulator host({.retry_ns = 50 * kMs, .retry_ns_max = 200 * kMs});
  begin_to_move(host);
  host.simulator->reset_connections(0);
  std::vector<std::int64_t> pauses_ms;
  std::int64_t cut_ns = host.now_ns();
  while (pauses_ms.size() < 5) {
    host.keep_posting(kMoving, 1);
    ASSERT_LT(host.now_ns() - cut_ns, 1000 * kMs);
    if (host.client(UrChannel::kRtde) < 0 || host.now_ns() - cut_ns < 5 * kMs) continue;
    pauses_ms.push_back((host.now_ns() - cut_ns) / kMs);
    host.simulator->reset_connections(0);
    cut_ns = host.now_ns();
  }
  const std::vector<std::int64_t> expected = {50, 100, 200, 200, 200};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(pauses_ms[i]), static_cast<double>(expected[i]), 3.0) << i;
  }
  EXPECT_EQ(host.speed(), 0.0);
  ASSERT_TRUE(host.becomes_ready()) << host.session->error();
  host.keep_posting(kMoving, 400);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

TEST(UrSessionTest, TheSliderBelongsToAFieldBus) {
  UrOnSimulator host;
  host.robot().set_fieldbus(true, true);
  ASSERT_TRUE(host.becomes_ready()) << host.session->error();
  EXPECT_FALSE(host.session->rtde().has_slider());
  EXPECT_TRUE(
      says(host, "the speed slider belongs to somebody else, most likely to an EtherNet/IP"))
      << host.session->error();
  host.keep_posting(kMoving, 400);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

TEST(UrSessionTest, AnotherRtdeClientHasTheRegisters) {
  UrOnSimulator host;
  {
    UrRtdePeer peer(*host.simulator);
    peer.ask_version(2);
    peer.set_up_inputs("input_int_register_24");
    EXPECT_FALSE(host.becomes_ready(3000));
    EXPECT_TRUE(says(host, "belong to another RTDE client")) << host.session->error();
  }
  EXPECT_TRUE(host.becomes_ready());
}

// In both orders: who reads claims nothing.
TEST(UrSessionTest, AListenerReadsBesideWhoeverHasTheRegisters) {
  for (const bool is_first : {false, true}) {
    UrOnSimulator host({.is_listener = true});
    if (is_first) host.becomes_ready();
    EXPECT_EQ(host.session->state() == LinkState::kReady, is_first) << host.session->error();
    UrRtdePeer peer(*host.simulator);
    peer.ask_version(2);
    const auto inputs = peer.set_up_inputs("input_int_register_24,speed_slider_mask");
    EXPECT_NE(inputs[0], 0) << "the recipe is refused";
    EXPECT_TRUE(host.becomes_ready(3000)) << host.session->error();
    EXPECT_STREQ(host.session->error(), "");
    host.keeps_packets = true;
    host.keep_posting(kMoving, 400);
    EXPECT_EQ(host.session->state(), LinkState::kReady);
    EXPECT_GT(host.packets.size(), 20U);
    EXPECT_EQ(host.session->rtde().counters().commands, 0U);
    EXPECT_EQ(host.session->ur_counters().programs_sent, 0U);
    EXPECT_EQ(host.speed(), 0.0);
  }
}

TEST(UrSessionTest, OnlyARefusalOfTheVersionIsOldSoftware) {
  const auto trouble_after = [](std::vector<std::uint8_t> answer) {
    UrRtdeLink link(125.0);
    link.on_connect(kMs);
    // Empty: what was asked, as an echo sends it back.
    if (answer.empty()) answer.assign(link.output().begin(), link.output().end());
    link.on_bytes(answer, 2 * kMs);
    return link.trouble();
  };
  EXPECT_EQ(trouble_after({0, 4, 'V', 0}), UrRtdeTrouble::kVersion);
  EXPECT_EQ(trouble_after({}), UrRtdeTrouble::kBroken);
  EXPECT_EQ(trouble_after({0, 4, 'V', 2}), UrRtdeTrouble::kBroken);
  EXPECT_EQ(trouble_after({0, 4, 'V', 1}), UrRtdeTrouble::kNone);
}

TEST(UrSessionTest, SaysWhatHoldsAnArmThatIsReached) {
  struct Case {
    const char* says;
    void (*happens)(UrController&);
  };
  for (const Case& one : {
           Case{"protective stop", [](UrController& robot) { robot.protective_stop("test"); }},
           Case{"safeguard stop", [](UrController& robot) { robot.safeguard_stop(true); }},
           Case{"emergency stop", [](UrController& robot) { robot.emergency_stop(true); }},
           Case{"safety fault", [](UrController& robot) { robot.fault(); }},
           Case{"the speed slider", [](UrController& robot) { robot.set_slider(0.0); }},
       }) {
    UrOnSimulator host;
    begin_to_move(host);
    EXPECT_STREQ(host.session->hold_reason(), "");
    host.keep_posting({}, 1000);
    one.happens(host.robot());
    host.keep_posting({}, 2000);
    EXPECT_EQ(std::string(host.session->hold_reason()).find(one.says), 0U)
        << one.says << ": " << host.session->hold_reason();
    host.simulator->set_link_faults({.is_stalled = true});
    host.run(500);
    EXPECT_STREQ(host.session->hold_reason(), "") << "the link is what is wrong now";
  }
}

TEST(UrSessionTest, AnyProgramStartGivesAProtectiveStop) {
  UrOnSimulator host;
  host.robot().set_fieldbus(true, false);
  host.run(3000);
  EXPECT_TRUE(says(host, "EtherNet/IP")) << host.session->error();
  host.robot().set_fieldbus(true, true);
  host.run(3000);
  EXPECT_EQ(host.robot().unlock_protective_stop(), nullptr);
  EXPECT_TRUE(host.becomes_ready());
}

TEST(UrSessionTest, TheSliderIsNeverSetToZero) {
  UrOnSimulator host;
  ASSERT_TRUE(host.becomes_ready());
  Command command;
  command.kind = kUrSetSlider;
  command.count = 1;
  for (const double fraction : {0.0, 0.5, -3.0, 1.0}) {
    command.values[0] = fraction;
    host.session->on_command(command, host.now_ns());
    host.keep_posting(kMoving, 400);
    EXPECT_GE(host.robot().slider(), 0.01);
    if (fraction == 0.5) {
      EXPECT_EQ(host.robot().slider(), 0.5);
      EXPECT_FALSE(host.session->has_full_speed());
      EXPECT_TRUE(says(host, "slider stands below 100 %")) << host.session->error();
    }
  }
  EXPECT_EQ(host.robot().slider(), 1.0);
  EXPECT_TRUE(host.session->has_full_speed());
  EXPECT_STREQ(host.session->error(), "");
  EXPECT_EQ(host.robot().counters().protective_stops, 0);
}

TEST(UrSessionTest, TheScriptRunsOnAfterItsClientIsGone) {
  for (const auto model : {UrModel::kCb3, UrModel::kESeries}) {
    UrOnSimulator host({}, {.model = model});
    begin_to_move(host);
    host.keep_posting(kMoving, 137);
    const std::int64_t last = host.robot().input_tick();
    host.kill_host();
    host.run(1000);
    const double period_s = host.robot().period_s();
    const double moved_s = static_cast<double>(host.robot().moved_tick() - last) * period_s;
    // Braking begins 40 ms after the last command at the latest, and takes v / a.
    EXPECT_LE(moved_s, 0.04 + 0.3 / 4.0 + 1e-9);
    EXPECT_GE(moved_s, 0.3 / 4.0);
    EXPECT_EQ(host.robot().runtime(), UrRuntime::kStopped);
  }
}

TEST(UrSessionTest, TheAgentStopsInADebugger) {
  UrOnSimulator host;
  begin_to_move(host);
  const std::int64_t last = host.robot().input_tick();
  host.is_host_alive = false;  // its sockets stay open
  host.run(2000);
  EXPECT_LE(static_cast<double>(host.robot().moved_tick() - last) * 0.008, 0.115 + 1e-9);
  host.is_host_alive = true;
  EXPECT_TRUE(host.becomes_ready());
  EXPECT_EQ(host.speed(), 0.0);
}

TEST(UrSessionTest, TheCommandLinkIsCut) {
  UrOnSimulator host;
  begin_to_move(host);
  const std::int64_t last = host.robot().input_tick();
  host.simulator->set_link_faults({.to_robot_ns = 3600'000 * kMs});
  host.keep_posting(kMoving, 2000);
  EXPECT_LE(static_cast<double>(host.robot().moved_tick() - last) * 0.008, 0.115 + 1e-9);
}

TEST(UrSessionTest, LossOfCommandsHaltsTheProgramAndNothingMovesByItself) {
  UrOnSimulator host;
  begin_to_move(host);
  host.simulator->set_link_faults({.is_stalled = true});
  host.keep_posting(kMoving, 300);
  EXPECT_EQ(host.robot().runtime(), UrRuntime::kStopped);
  host.simulator->set_link_faults({});
  host.run(3000);
  EXPECT_EQ(host.session->state(), LinkState::kReady);
  EXPECT_EQ(host.speed(), 0.0);
  EXPECT_EQ(host.session->ur_counters().programs_sent, 2U);
}

TEST(UrSessionTest, NoSpeedIsKeptBeyondItsBound) {
  // The loop falls silent while the process lives: the dead-man.
  UrOnSimulator host;
  begin_to_move(host);
  const double before = host.robot().arm().target_q[2];
  host.run(1000);
  EXPECT_EQ(host.speed(), 0.0);
  EXPECT_EQ(host.session->counters().dead_man_stops, 1U);
  EXPECT_EQ(host.session->state(), LinkState::kReady);  // the program lives
  // v (T + braking): 80 ms, a package and a tick, and v / 2a.
  EXPECT_LE(host.robot().arm().target_q[2] - before, 0.3 * (0.08 + 0.024) + 0.3 * 0.3 / 8.0);
}

TEST(UrSessionTest, LivesIdlyThroughALongReset) {
  UrOnSimulator host;
  begin_to_move(host);
  host.keep_posting(Command{}, 3500);
  EXPECT_EQ(host.speed(), 0.0);
  EXPECT_EQ(host.session->state(), LinkState::kReady);
  host.run(5000);  // without any command
  EXPECT_EQ(host.session->state(), LinkState::kReady);
  EXPECT_EQ(host.session->ur_counters().programs_sent, 1U);
  host.keep_posting(kMoving, 400);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

// What another RTDE client sends with the registers of ours, once they are free.
void write_registers_as_another_client(UrOnSimulator& host, int ms) {
  UrRtdePeer peer(*host.simulator);
  peer.ask_version(2);
  peer.set_up_inputs(
      "input_int_register_24,input_int_register_25,input_double_register_24,"
      "input_double_register_25,input_double_register_26,input_double_register_27,"
      "input_double_register_28,input_double_register_29,input_double_register_30");
  peer.start();
  for (std::int32_t i = 0; i < ms; ++i) {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kData).u8(1).i32(1).i32(1'000'000 + i);
    for (int k = 0; k < kUrJoints; ++k) writer.f64(0.3);
    peer.send(writer.f64(1.4).finish());
    host.run(1);
  }
}

// An arm that stands, held by a key or between two episodes, when nothing reaches it any more.
TEST(UrSessionTest, ItsProgramEndsWhileItStandsSoThatNobodyElseMovesTheArm) {
  for (const auto model : {UrModel::kCb3, UrModel::kESeries}) {
    UrOnSimulator host({}, {.model = model});
    ASSERT_TRUE(host.becomes_ready());
    host.keep_posting(Command{}, 1000);
    host.kill_host();
    host.run(450);
    EXPECT_EQ(host.robot().runtime(), UrRuntime::kPlaying);
    host.run(100);
    EXPECT_EQ(host.robot().runtime(), UrRuntime::kStopped);
    write_registers_as_another_client(host, 1000);
    EXPECT_EQ(host.speed(), 0.0);
  }
}

TEST(UrSessionTest, ItsProgramIsBackByItselfAfterASilenceWhileItStood) {
  for (const bool is_frozen : {false, true}) {
    UrOnSimulator host;
    begin_to_move(host);
    host.keep_posting(Command{}, 1000);
    host.is_host_alive = !is_frozen;
    host.simulator->set_link_faults({.is_stalled = !is_frozen});
    host.keep_posting(Command{}, 400);
    EXPECT_EQ(host.robot().runtime(), UrRuntime::kPlaying);  // a short one ends nothing
    host.keep_posting(Command{}, 2600);
    EXPECT_EQ(host.robot().runtime(), UrRuntime::kStopped);
    host.is_host_alive = true;
    host.simulator->set_link_faults({});
    std::string said;
    for (int i = 0; i < 3000; ++i) {
      host.keep_posting(Command{}, 1);
      if (says(host, "because no command reached it")) said = host.session->error();
    }
    EXPECT_FALSE(said.empty());
    EXPECT_EQ(host.session->state(), LinkState::kReady) << host.session->error();
    EXPECT_EQ(host.session->ur_counters().takeovers, 0U);
    EXPECT_EQ(host.session->ur_counters().programs_sent, 2U);
    EXPECT_EQ(host.speed(), 0.0);
    host.keep_posting(kMoving, 400);
    EXPECT_NEAR(host.speed(), 0.3, 1e-9);
  }
}

TEST(UrSessionTest, ScriptPortIsDeadAfterASafetyRestart) {
  UrOnSimulator host;
  begin_to_move(host);
  host.robot().fault();
  host.simulator->reset_connections(30002);
  host.run(500);
  EXPECT_TRUE(says(host, "safety fault")) << host.session->error();
  host.robot().restart_safety();
  host.run(100);
  host.robot().power_on();
  host.run(1500);
  host.robot().release_brakes();
  host.keep_posting(kMoving, 3000);
  EXPECT_EQ(host.session->state(), LinkState::kTakenOver)
      << "whoever resets a fault starts nothing";
  ++host.acknowledged;
  host.keep_posting(kMoving, 1000);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

TEST(UrSessionTest, TheProgramNeverStartsAfterAReleasedProtectiveStop) {
  UrOnSimulator host;
  begin_to_move(host);
  host.robot().protective_stop("the test");
  host.keep_posting(kMoving, 6000);
  EXPECT_TRUE(says(host, "protective stop")) << host.session->error();
  EXPECT_EQ(host.speed(), 0.0);
  EXPECT_EQ(host.robot().unlock_protective_stop(), nullptr);
  EXPECT_TRUE(host.becomes_ready());
  EXPECT_EQ(host.session->ur_counters().programs_sent, 2U);
  EXPECT_EQ(host.speed(), 0.0);
  host.keep_posting(kMoving, 400);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

TEST(UrSessionTest, UnlocksByItselfOnlyWhenAskedTo) {
  UrOnSimulator host;
  begin_to_move(host);
  host.robot().protective_stop("the test");
  host.keep_posting(kMoving, 20'000);
  EXPECT_EQ(host.robot().safety_mode(), UrSafetyMode::kProtectiveStop);

  UrOnSimulator recovering({.unlocks_max = 3});
  begin_to_move(recovering);
  for (int i = 0; i < 3; ++i) {
    recovering.robot().protective_stop("the test");
    recovering.run(4500);
    EXPECT_EQ(recovering.robot().safety_mode(), UrSafetyMode::kProtectiveStop);
    EXPECT_TRUE(recovering.becomes_ready()) << recovering.session->error();
    EXPECT_EQ(recovering.session->ur_counters().unlocks, static_cast<std::uint64_t>(i + 1));
    EXPECT_EQ(recovering.speed(), 0.0);
    recovering.run(2000);
  }
  recovering.robot().protective_stop("the test");
  recovering.run(30'000);
  EXPECT_EQ(recovering.robot().safety_mode(), UrSafetyMode::kProtectiveStop);
  EXPECT_TRUE(says(recovering, "too many protective stops")) << recovering.session->error();
}

TEST(UrSessionTest, ARefusedUnlockIsTriedAgain) {
  UrOnSimulator host({.unlocks_max = 10});
  begin_to_move(host);
  host.robot().refuse_unlocks(2);
  host.robot().protective_stop("the test");
  host.run(14'000);
  EXPECT_NE(host.session->state(), LinkState::kReady);
  EXPECT_TRUE(host.becomes_ready(5'000)) << host.session->error();
  EXPECT_EQ(host.session->ur_counters().unlocks, 3U);
}

TEST(UrSessionTest, EveryWayThroughTheResidentProgramWaits) {
  // A thousand rounds in each mode: none takes more than its period.
  UrOnSimulator host;
  begin_to_move(host);
  host.keep_posting(kMoving, 4000);
  host.keep_posting(Command{}, 4000);
  host.keep_posting(kMoving, 400);
  EXPECT_EQ(host.session->state(), LinkState::kReady);
  EXPECT_EQ(host.session->ur_counters().programs_sent, 1U);
  EXPECT_NEAR(host.session->newest().beat, 8900 / 8, 100);
}

TEST(UrSessionTest, AForeignProgramIsNamedAndNotFought) {
  UrOnSimulator host;
  begin_to_move(host);
  host.robot().run_script(kForeign);
  host.keep_posting(kMoving, 3000);
  EXPECT_EQ(host.session->state(), LinkState::kTakenOver);
  EXPECT_TRUE(says(host, "another program")) << host.session->error();
  EXPECT_EQ(host.robot().program_name(), "foreign");
  EXPECT_EQ(host.session->ur_counters().takeovers, 1U);
  EXPECT_EQ(host.speed(), 0.0);
  // A key does not make it fight, either.
  ++host.acknowledged;
  host.keep_posting(kMoving, 3000);
  EXPECT_EQ(host.session->state(), LinkState::kTakenOver);
  EXPECT_EQ(host.robot().program_name(), "foreign");
  host.robot().stop_program("the test");
  host.keep_posting(kMoving, 3000);
  EXPECT_EQ(host.session->state(), LinkState::kTakenOver);
  EXPECT_EQ(host.speed(), 0.0);
  ++host.acknowledged;
  host.keep_posting(kMoving, 1000);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

TEST(UrSessionTest, AForeignProgramIsLeftAloneFromTheBeginning) {
  UrOnSimulator host;
  host.robot().run_script(kForeign);
  EXPECT_FALSE(host.becomes_ready(3000));
  EXPECT_TRUE(says(host, "another program")) << host.session->error();
  EXPECT_EQ(host.robot().program_name(), "foreign");
}

TEST(UrSessionTest, OurOwnProgramOfAnEarlierLifeIsReplaced) {
  UrOnSimulator first;
  begin_to_move(first);
  first.keep_posting(Command{}, 400);
  // The same controller, another process.
  UrOnSimulator second;
  second.simulator = std::move(first.simulator);
  second.run(0);
  EXPECT_EQ(second.robot().program_name(), "instep");
  second.simulator->reset_connections(0);
  EXPECT_TRUE(second.becomes_ready(20'000)) << second.session->error();
}

TEST(UrSessionTest, MeasuresTheWayThereAndBack) {
  UrOnSimulator host;
  begin_to_move(host);
  host.keep_posting(kMoving, 4000);
  const LatencyHistogram& trip = host.session->round_trip();
  EXPECT_GT(trip.total(), 400U);
  // Sent with one package, seen by the program at the next tick, said with that package.
  EXPECT_LE(trip.quantile_ns(0.99), 17 * kMs);
}

TEST(UrSessionTest, AStreamOfSpeedsDoesNotStutterOnAnESeries) {
  // The host commands every 40 ms and late now and then; the arm is instructed each 2 ms.
  UrOnSimulator host({}, {.model = UrModel::kESeries});
  begin_to_move(host);
  for (int i = 0; i < 50; ++i) {
    const int period_ms = i % 7 == 0 ? 55 : 40;
    host.session->on_command(kMoving, host.now_ns());
    for (int ms = 0; ms < period_ms; ++ms) {
      host.run(1);
      ASSERT_NEAR(host.speed(), 0.3, 1e-9) << i;
    }
  }
}

TEST(UrSessionTest, ADashboardThatIsSlowKeepsItsConnection) {
  UrDashboardLink dashboard;
  dashboard.on_connect();
  const auto hear = [&](const std::string& text) {
    dashboard.on_bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  };
  EXPECT_FALSE(dashboard.send("power on", 0));  // not greeted yet
  hear("Connected: Universal Robots Dashboard Server\n");
  EXPECT_TRUE(dashboard.send("power on", 0));
  EXPECT_FALSE(dashboard.send("brake release", 9'000 * kMs));
  EXPECT_TRUE(dashboard.send("brake release", 10'000 * kMs));
  hear("Powering on\n");  // the first one's answer, late
  EXPECT_FALSE(dashboard.is_free(10'001 * kMs));
  EXPECT_EQ(dashboard.answer(), "");
  hear("Brake rel");
  hear("easing\n");
  EXPECT_TRUE(dashboard.is_free(10'002 * kMs));
  EXPECT_EQ(dashboard.answer(), "Brake releasing");
}

TEST(UrSessionTest, ConnectFailsWhileTheRobotIsStopped) {
  UrOnSimulator host;
  host.robot().emergency_stop(true);
  EXPECT_FALSE(host.becomes_ready(5000));
  EXPECT_TRUE(says(host, "emergency stop")) << host.session->error();
  host.robot().emergency_stop(false);
  host.run(100);
  host.robot().power_on();
  host.run(1500);
  host.robot().release_brakes();
  EXPECT_TRUE(host.becomes_ready());
}

TEST(UrSessionTest, LocalControlIsSaidAndTriedAgainThreeTimesAndThenSeldom) {
  UrOnSimulator host({}, {.model = UrModel::kESeries});
  host.robot().set_remote_control(false);
  EXPECT_FALSE(host.becomes_ready(8000));
  EXPECT_TRUE(says(host, "remote control")) << host.session->error();
  EXPECT_EQ(host.session->ur_counters().programs_sent, 3U);
  host.robot().set_remote_control(true);
  EXPECT_TRUE(host.becomes_ready(15'000));
}

TEST(UrSessionTest, ALossLeavesItsGapsAndMessages) {
  UrOnSimulator host;
  begin_to_move(host);
  host.run(3000);
  host.robot().protective_stop("a wall");
  host.run(100);
  const auto report = [&] {
    LinkLoss loss;
    host.session->save_loss(&loss);
    return ur_loss_text({loss.bytes.data(), loss.size});
  };
  EXPECT_EQ(host.session->loss_number(), 1U);
  const std::string first = report();
  EXPECT_NE(first.find("protective stop: look for its cause"), std::string::npos) << first;
  EXPECT_NE(first.find("controller software 3.15.8.106339"), std::string::npos);
  EXPECT_NE(first.find("level 1: protective stop: a wall"), std::string::npos) << first;
  EXPECT_NE(first.find("the last 200 gaps"), std::string::npos);
  EXPECT_NEAR(static_cast<double>(host.session->rtde().gap(100).gap_ns), 8e6, 1e6);
  // What comes after the loss does not drive out what led to it.
  host.run(20'000);
  EXPECT_EQ(report(), first);
  EXPECT_EQ(host.session->loss_number(), 1U);
  EXPECT_EQ(host.robot().unlock_protective_stop(), nullptr);
  ASSERT_TRUE(host.becomes_ready());
  host.run(1000);
  host.simulator->set_link_faults({.is_stalled = true});
  host.run(300);
  EXPECT_EQ(host.session->loss_number(), 2U);
  EXPECT_NE(report().find("does not answer on port 30004"), std::string::npos) << report();
  host.simulator->set_link_faults({});
  ASSERT_TRUE(host.becomes_ready());
  host.run(1000);
  host.simulator->reset_connections(0);
  host.run(100);
  EXPECT_EQ(host.session->loss_number(), 3U);
  EXPECT_NE(report().find("has closed the connection"), std::string::npos) << report();
}

// ----- other hands

// What somebody does to an arm that moves.
struct Hand {
  const char* name;
  void (*act)(UrOnSimulator& host);
  void (*undo)(UrOnSimulator& host) = [](UrOnSimulator&) {};
};

void say_to_dashboard(UrOnSimulator& host, const std::string& line) {
  const int client = host.simulator->connect(29999);
  host.simulator->on_bytes(
      client, {reinterpret_cast<const std::uint8_t*>(line.data()), line.size()}, host.now_ns());
  host.simulator->disconnect(client);
}

void say_to_script(UrOnSimulator& host, const std::string& text) {
  UrClient other(*host.simulator, 30001);
  other.send(text);
}

void help_up(UrOnSimulator& host) {
  for (int i = 0; i < 500; ++i) {
    ur_help_up(*host.simulator);
    host.run(20);
  }
}

const Hand kHands[] = {
    {"stop on the dashboard", [](UrOnSimulator& host) { say_to_dashboard(host, "stop\n"); }},
    {"pause on the dashboard", [](UrOnSimulator& host) { say_to_dashboard(host, "pause\n"); }},
    {"stop on the teach pendant", [](UrOnSimulator& host) { host.robot().stop_program("a hand"); }},
    {"`instep stop`, or a line of another client",
     [](UrOnSimulator& host) { say_to_script(host, std::string(ur_stop_text())); }},
    {"a line that moves nothing",
     [](UrOnSimulator& host) { say_to_script(host, ur_foreign_line()); }},
    {"a program of another client that does not compile",
     [](UrOnSimulator& host) { say_to_script(host, "def nonsense(:\nend\n"); }},
    {"a program of another client that ends soon",
     [](UrOnSimulator& host) { say_to_script(host, "def soon():\n  sleep(0.05)\nend\n"); }},
    {"local control, and stop",
     [](UrOnSimulator& host) {
       host.robot().set_remote_control(false);
       host.robot().stop_program("a hand");
     },
     [](UrOnSimulator& host) { host.robot().set_remote_control(true); }},
    {"emergency stop", [](UrOnSimulator& host) { host.robot().emergency_stop(true); },
     [](UrOnSimulator& host) {
       host.robot().emergency_stop(false);
       help_up(host);
     }},
    {"power off", [](UrOnSimulator& host) { say_to_dashboard(host, "power off\n"); }, help_up},
    {"the controller is switched off and on",
     [](UrOnSimulator& host) { host.simulator->restart_controller(); }, help_up},
    {"stop, with the link lost at the same time",
     [](UrOnSimulator& host) {
       host.robot().stop_program("a hand");
       host.simulator->reset_connections(0);
     }},
};

TEST(UrTakenOver, HoldsUntilAKeyWhateverAHandHasDone) {
  for (const Hand& hand : kHands) {
    for (const auto model : {UrModel::kCb3, UrModel::kESeries}) {
      for (int after_ms = 1; after_ms < 40; after_ms += 9) {
        SCOPED_TRACE(std::string(hand.name) + " after " + std::to_string(after_ms));
        UrOnSimulator host({}, {.model = model});
        begin_to_move(host);
        host.keep_posting(kMoving, after_ms);
        hand.act(host);
        host.keep_posting(kMoving, 1000);
        hand.undo(host);
        for (int i = 0; i < 100; ++i) {
          host.keep_posting(kMoving, 100);
          ASSERT_EQ(host.speed(), 0.0) << host.now_s();
        }
        ASSERT_EQ(host.session->state(), LinkState::kTakenOver) << host.session->error();
        EXPECT_EQ(host.session->ur_counters().takeovers, 1U);
        EXPECT_NE(*host.session->error(), '\0');
        EXPECT_EQ(host.session->ur_counters().programs_sent, 1U);
        ++host.acknowledged;
        host.keep_posting(kMoving, 1000);
        ASSERT_EQ(host.session->state(), LinkState::kReady) << host.session->error();
        EXPECT_NEAR(host.speed(), 0.3, 1e-9);
      }
    }
  }
}

// What is nobody's doing, and what this process has done itself.
const Hand kNoHands[] = {
    {"commands stay away", [](UrOnSimulator& host) { host.takes_output = false; },
     [](UrOnSimulator& host) { host.takes_output = true; }},
    {"nothing passes",
     [](UrOnSimulator& host) { host.simulator->set_link_faults({.is_stalled = true}); },
     [](UrOnSimulator& host) { host.simulator->set_link_faults({}); }},
    {"connections break", [](UrOnSimulator& host) { host.simulator->reset_connections(0); }},
    {"the process stands still", [](UrOnSimulator& host) { host.is_host_alive = false; },
     [](UrOnSimulator& host) { host.is_host_alive = true; }},
    {"the guardian stops the arm meanwhile",
     [](UrOnSimulator& host) {
       host.is_host_alive = false;
       say_to_script(host, std::string(ur_stop_text()));
     },
     [](UrOnSimulator& host) {
       host.is_host_alive = true;
       say_to_script(host, std::string(ur_stop_text()));
       for (const int channel : {UrChannel::kRtde, UrChannel::kScript}) {
         host.session->on_interruption(channel, host.now_ns());
       }
     }},
    {"protective stop", [](UrOnSimulator& host) { host.robot().protective_stop("the test"); },
     [](UrOnSimulator& host) {
       host.run(5000);
       host.robot().unlock_protective_stop();
     }},
    {"safeguard stop", [](UrOnSimulator& host) { host.robot().safeguard_stop(true); },
     [](UrOnSimulator& host) { host.robot().safeguard_stop(false); }},
    {"slider at 0", [](UrOnSimulator& host) { host.robot().set_slider(0.0); },
     [](UrOnSimulator& host) { host.robot().set_slider(1.0); }},
    {"the field bus takes the slider",
     [](UrOnSimulator& host) {
       host.robot().set_fieldbus(true, true);
       host.simulator->reset_connections(kUrRtdePort);
     }},
};

TEST(UrTakenOver, IsNothingThatNobodyHasDone) {
  for (const Hand& fault : kNoHands) {
    for (int after_ms = 1; after_ms < 40; after_ms += 9) {
      SCOPED_TRACE(std::string(fault.name) + " after " + std::to_string(after_ms));
      UrOnSimulator host;
      begin_to_move(host);
      host.keep_posting(kMoving, after_ms);
      fault.act(host);
      host.keep_posting(kMoving, 1000);
      fault.undo(host);
      host.keep_posting(kMoving, 3000);
      EXPECT_EQ(host.session->ur_counters().takeovers, 0U);
      ASSERT_EQ(host.session->state(), LinkState::kReady) << host.session->error();
      EXPECT_NEAR(host.speed(), 0.3, 1e-9);
      EXPECT_LE(host.robot().counters().protective_stops, 1);
    }
  }
}

TEST(UrTakenOver, ASliderAtZeroEndsTheProgramSoThatItCanBeRaised) {
  UrOnSimulator host;
  begin_to_move(host);
  host.robot().set_slider(0.0);
  host.keep_posting(kMoving, 1000);
  EXPECT_EQ(host.robot().runtime(), UrRuntime::kStopped);
  EXPECT_TRUE(says(host, "slider stands at 0")) << host.session->error();
  host.robot().set_slider(0.7);
  host.keep_posting(kMoving, 1000);
  EXPECT_EQ(host.robot().counters().protective_stops, 0);
  EXPECT_EQ(host.session->state(), LinkState::kReady);
}

TEST(UrTakenOver, APausedProgramThatIsPlayedAgainStandsUntilAKey) {
  UrOnSimulator host;
  begin_to_move(host);
  say_to_dashboard(host, "pause\n");
  host.keep_posting(kMoving, 1000);
  say_to_dashboard(host, "play\n");
  host.keep_posting(kMoving, 3000);
  EXPECT_EQ(host.session->state(), LinkState::kTakenOver);
  EXPECT_EQ(host.speed(), 0.0);
  ++host.acknowledged;
  host.keep_posting(kMoving, 1000);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

// A number that an earlier run's program has left behind does not make another program ours.
TEST(UrTakenOver, AForeignProgramBehindAnEarlierRunIsLeftAlone) {
  UrOnSimulator first;
  begin_to_move(first);
  first.kill_host();
  first.robot().run_script(kForeign);
  UrOnSimulator second;
  second.simulator = std::move(first.simulator);
  second.run(3000);
  EXPECT_EQ(second.robot().program_name(), "foreign");
  EXPECT_TRUE(says(second, "another program")) << second.session->error();
}

// ----- more

TEST(UrSessionTest, SendsItsRegistersAsBytes) {
  UrOnSimulator host;
  ASSERT_TRUE(host.becomes_ready());
  host.takes_output = false;
  host.session->on_command(speeds(-0.5, 5.0), host.now_ns());
  const auto output = host.session->output(UrChannel::kRtde);
  ASSERT_EQ(output.size(), 3U + 1 + 4 + 4 + 7 * 8);
  RtdeReader reader(output.subspan(3));
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.i32(), 1);  // speeds
  EXPECT_GT(reader.i32(), 0);
  EXPECT_EQ(reader.f64(), 0.0);
  EXPECT_EQ(reader.f64(), -0.5);
  EXPECT_EQ(reader.f64(), kUrJointSpeedMaxRadS);
}

TEST(UrSessionTest, WhatIsNoNumberStops) {
  UrOnSimulator host;
  begin_to_move(host);
  host.keep_posting(speeds(0.1, std::nan("")), 400);
  EXPECT_EQ(host.speed(), 0.0);
}

TEST(UrSessionTest, StaleTimestampsAreALoss) {
  UrOnSimulator host;
  begin_to_move(host);
  host.simulator->set_link_faults({.is_stale = true});
  host.keep_posting(kMoving, 300);
  EXPECT_EQ(host.session->state(), LinkState::kLost);
  EXPECT_TRUE(says(host, "clock stands")) << host.session->error();
  EXPECT_EQ(host.speed(), 0.0);
  host.simulator->set_link_faults({});
  EXPECT_TRUE(host.becomes_ready());
}

TEST(UrSessionTest, ReleasesTheProgramAndStartsItAgain) {
  UrOnSimulator host;
  begin_to_move(host);
  Command release;
  release.kind = kUrRelease;
  host.keep_posting(release, 1000);
  EXPECT_EQ(host.robot().runtime(), UrRuntime::kStopped);
  EXPECT_EQ(host.speed(), 0.0);
  host.keep_posting(kMoving, 2000);
  EXPECT_NEAR(host.speed(), 0.3, 1e-9);
}

TEST(UrSessionTest, PacketsAreTypedAndDated) {
  UrOnSimulator host({.frequency_hz = 500.0}, {.model = UrModel::kESeries});
  host.keeps_packets = true;
  begin_to_move(host);
  ASSERT_GT(host.packets.size(), 100U);
  UrReadings before;
  for (std::size_t i = 0; i < host.packets.size(); ++i) {
    UrReadings readings;
    ASSERT_EQ(host.packets[i].size, kUrPacketBytes);
    ASSERT_TRUE(decode_ur_packet(host.packets[i].view(), &readings));
    if (i > 0) {
      EXPECT_EQ(host.packets[i].sequence, host.packets[i - 1].sequence + 1);
      EXPECT_GT(readings.timestamp_s, before.timestamp_s);
      EXPECT_GE(host.packets[i].time_ns, host.packets[i - 1].time_ns);
    }
    before = readings;
  }
  EXPECT_EQ(before.robot_mode, 7);
  EXPECT_NEAR(before.qd[2], 0.3, 0.01);
  EXPECT_NEAR(before.tcp_pose[2], host.robot().tcp_pose(host.robot().measured_q())[2], 1e-3);
}

TEST(UrSessionTest, StopTextStopsWhateverRuns) {
  UrOnSimulator host;
  begin_to_move(host);
  UrClient other(*host.simulator, 30002);
  other.send(std::string(ur_stop_text()));
  host.keep_posting(kMoving, 90);
  EXPECT_EQ(host.speed(), 0.0);
}

}  // namespace
}  // namespace instep

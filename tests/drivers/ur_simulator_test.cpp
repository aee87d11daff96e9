// The ports of the simulated controller as clients see them, and what its faults do.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>
#include <string>

#include "drivers/ur/fault_schedule.h"
#include "drivers/ur/simulator.h"
#include "ur_client.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr const char* kEndless =
    "def mover():\n  while True:\n    speedj([0, 0, 0.3, 0, 0, 0], 1.4, 0.008)\n  end\nend\n";

std::string id(char number, const std::string& types) {
  return std::string(1, number) + types;
}

class UrSimulatorTest : public testing::Test {
 protected:
  void make(UrModel model) {
    simulator_ = std::make_unique<UrSimulator>(UrControllerOptions{model});
  }
  void run(std::int64_t ms) { simulator_->advance(simulator_->now_ns() + ms * kMs); }
  std::string ask(UrClient& dashboard, const std::string& line) {
    dashboard.read();
    dashboard.send(line + "\n");
    std::string answer = dashboard.read_text();
    if (!answer.empty()) answer.pop_back();
    return answer;
  }
  bool log_has(const std::string& text) const {
    const UrController& controller = simulator_->controller();
    const std::int64_t count = controller.log_count();
    for (std::int64_t i = std::max<std::int64_t>(0, count - 32); i < count; ++i) {
      if (std::string(controller.log_line(i).text.data()).find(text) != std::string::npos) {
        return true;
      }
    }
    return false;
  }

  std::unique_ptr<UrSimulator> simulator_ = std::make_unique<UrSimulator>();
};

// ----- RTDE

TEST_F(UrSimulatorTest, SendsWhatWasAskedForAtItsOwnRate) {
  UrRtdePeer peer(*simulator_);
  EXPECT_EQ(peer.ask_version(2), "\1");
  EXPECT_EQ(peer.set_up_outputs(125.0, "timestamp,actual_q,safety_mode"),
            id(1, "DOUBLE,VECTOR6D,INT32"));
  EXPECT_EQ(peer.start(), "\1");
  run(1000);
  const auto packages = peer.packages();
  ASSERT_EQ(packages.size(), 125U);
  double before = 0.0;
  for (const auto& package : packages) {
    EXPECT_EQ(package.payload.size(), 61U);
    RtdeReader reader = package.reader();
    EXPECT_EQ(reader.u8(), 1);
    const double timestamp = reader.f64();
    if (before > 0.0) {
      EXPECT_NEAR(timestamp - before, 0.008, 1e-12);
    }
    before = timestamp;
  }
  EXPECT_EQ(peer.pause(), "\1");
  run(100);
  EXPECT_TRUE(peer.packages().empty());
  EXPECT_EQ(peer.start(), "\1");
  run(80);
  EXPECT_EQ(peer.packages().size(), 10U);
}

TEST_F(UrSimulatorTest, RoundsFrequenciesToWholePeriods) {
  const auto count = [this](double frequency) {
    UrRtdePeer peer(*simulator_);
    peer.ask_version(2);
    peer.set_up_outputs(frequency, "timestamp");
    peer.start();
    run(1000);
    return peer.packages().size();
  };
  EXPECT_EQ(count(125.0), 125U);
  EXPECT_EQ(count(100.0), 125U);  // decimation 1
  EXPECT_NEAR(static_cast<double>(count(60.0)), 62.5, 1.0);
  EXPECT_EQ(count(25.0), 25U);
  EXPECT_EQ(count(500.0), 125U);
  make(UrModel::kESeries);
  EXPECT_EQ(count(500.0), 500U);
  EXPECT_EQ(count(125.0), 125U);
}

TEST_F(UrSimulatorTest, RefusesVersionsThatItDoesNotSpeakAndStaysOpen) {
  UrRtdePeer peer(*simulator_);
  EXPECT_EQ(peer.ask_version(3), std::string(1, '\0'));
  EXPECT_EQ(peer.ask_version(1), std::string(1, '\0'));
  EXPECT_TRUE(peer.is_connected());
  EXPECT_EQ(peer.start(), "nothing");
  EXPECT_EQ(peer.ask_version(2), "\1");
}

TEST_F(UrSimulatorTest, UnknownNamesMakeARecipeOfNoUse) {
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  EXPECT_EQ(peer.set_up_outputs(125.0, "timestamp,actual_x,safety_mode"),
            id(0, "DOUBLE,NOT_FOUND,INT32"));
  EXPECT_EQ(peer.start(), std::string(1, '\0'));
  run(100);
  EXPECT_TRUE(peer.packages().empty());
  EXPECT_EQ(peer.set_up_outputs(125.0, "timestamp,safety_mode,"), id(1, "DOUBLE,INT32"));
  EXPECT_EQ(peer.start(), "\1");
  EXPECT_EQ(peer.set_up_outputs(0.0, "timestamp"), id(0, "DOUBLE"));
  EXPECT_EQ(peer.set_up_outputs(std::nan(""), "timestamp"), id(0, "DOUBLE"));
  EXPECT_EQ(peer.set_up_outputs(125.0, ""), id(0, ""));
  EXPECT_EQ(peer.set_up_inputs("input_int_register_48"), id(0, "NOT_FOUND"));
}

TEST_F(UrSimulatorTest, InputsBelongToOneClientUntilItGoes) {
  auto first = std::make_unique<UrRtdePeer>(*simulator_);
  UrRtdePeer second(*simulator_);
  first->ask_version(2);
  second.ask_version(2);
  EXPECT_EQ(first->set_up_inputs("input_int_register_24,input_double_register_24"),
            id(1, "INT32,DOUBLE"));
  // Recipes of one client may share.
  EXPECT_EQ(first->set_up_inputs("input_int_register_24,input_double_register_25,"),
            id(2, "INT32,DOUBLE"));
  EXPECT_EQ(second.set_up_inputs("input_int_register_24,input_double_register_26"),
            id(0, "IN_USE,DOUBLE"));
  EXPECT_EQ(second.set_up_inputs("input_double_register_26"), id(1, "DOUBLE"));
  first.reset();
  EXPECT_EQ(second.set_up_inputs("input_int_register_24"), id(2, "INT32"));
}

// Symptom: speed_slider_mask "controlled by another RTDE client", EtherNet/IP is on.
TEST_F(UrSimulatorTest, AFieldBusHasItsInputsToItself) {
  simulator_->controller().set_fieldbus(true, true);
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  EXPECT_EQ(peer.set_up_inputs("speed_slider_mask,speed_slider_fraction"), id(0, "IN_USE,IN_USE"));
  EXPECT_EQ(peer.set_up_inputs("input_int_register_23"), id(0, "IN_USE"));
  EXPECT_EQ(peer.set_up_inputs("input_int_register_24"), id(1, "INT32"));
}

// Symptom: any program start gives a protective stop, EtherNet/IP is on without a scanner.
TEST_F(UrSimulatorTest, AFieldBusWithoutScannerStopsEveryProgram) {
  simulator_->controller().set_fieldbus(true, false);
  simulator_->controller().run_script(kEndless);
  run(20);
  EXPECT_EQ(simulator_->controller().safety_mode(), UrSafetyMode::kProtectiveStop);
}

TEST_F(UrSimulatorTest, TakesInputsAndGivesThemBack) {
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  peer.set_up_inputs("input_int_register_24,input_double_register_24,input_bit_register_64");
  peer.set_up_outputs(125.0, "input_int_register_24,input_double_register_24");
  peer.start();
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kData).u8(1).i32(-9).f64(0.3).u8(1);
  peer.send(writer.finish());
  run(8);
  const auto packages = peer.packages();
  ASSERT_EQ(packages.size(), 1U);
  RtdeReader reader = packages[0].reader();
  reader.u8();
  EXPECT_EQ(reader.i32(), -9);
  EXPECT_EQ(reader.f64(), 0.3);
  EXPECT_EQ(simulator_->controller().registers().input_bits[1], 1U);
  // Too short, too long, of no recipe: a complaint, and nothing is taken.
  for (const int size : {0, 1, 12, 14}) {
    writer.begin(RtdeMessageType::kData).u8(1);
    for (int i = 0; i < size; ++i) writer.u8(7);
    peer.send(writer.finish());
    const auto answers = peer.messages();
    ASSERT_EQ(answers.size(), 1U) << size;
    EXPECT_EQ(answers[0].type, RtdeMessageType::kTextMessage);
  }
  writer.begin(RtdeMessageType::kData).u8(2).i32(5);
  peer.send(writer.finish());
  EXPECT_EQ(peer.messages().size(), 1U);
  EXPECT_EQ(simulator_->controller().registers().input_ints[24], -9);
}

TEST_F(UrSimulatorTest, SetsThePinsOfItsThreeKinds) {
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  peer.set_up_inputs(
      "standard_digital_output_mask,standard_digital_output,configurable_digital_output_mask,"
      "configurable_digital_output,tool_digital_output_mask,tool_digital_output");
  peer.set_up_outputs(125.0, "actual_digital_output_bits");
  peer.start();
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kData).u8(1).u8(3).u8(0xFF).u8(4).u8(0xFF).u8(2).u8(0xFF);
  peer.send(writer.finish());
  writer.begin(RtdeMessageType::kData).u8(1).u8(1).u8(0).u8(0).u8(0).u8(1).u8(1);
  peer.send(writer.finish());
  run(8);
  const auto packages = peer.packages();
  ASSERT_EQ(packages.size(), 1U);
  RtdeReader reader = packages[0].reader();
  reader.u8();
  EXPECT_EQ(reader.u64(), 0x30402U);
}

TEST_F(UrSimulatorTest, HasRoomFor255RecipesAndNotMore) {
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  for (int i = 1; i <= 255; ++i) {
    EXPECT_EQ(peer.set_up_inputs("input_int_register_24"), id(static_cast<char>(i), "INT32"));
  }
  EXPECT_EQ(peer.set_up_inputs("input_int_register_24"), id(0, "INT32"));
}

// Symptom: a client that does not read finds its connection closed, with old packages before the
// end.
TEST_F(UrSimulatorTest, CutsOffAClientThatDoesNotRead) {
  UrRtdePeer slow(*simulator_);
  UrRtdePeer quick(*simulator_);
  for (UrRtdePeer* peer : {&slow, &quick}) {
    peer->ask_version(2);
    peer->set_up_outputs(125.0, "timestamp,actual_q,actual_qd,target_q,target_qd");
    peer->start();
  }
  for (int i = 0; i < 100; ++i) {
    run(80);
    EXPECT_EQ(quick.packages().size(), 10U);
  }
  EXPECT_EQ(simulator_->cut_off(), 1);
  EXPECT_TRUE(quick.is_connected());
  EXPECT_TRUE(slow.is_connected());  // what was sent can still be read
  EXPECT_FALSE(slow.packages().empty());
  EXPECT_FALSE(slow.is_connected());
}

TEST_F(UrSimulatorTest, AWrongSizeClosesTheConnection) {
  UrRtdePeer peer(*simulator_);
  const std::array<std::uint8_t, 3> bytes = {0, 1, 'V'};
  peer.send(bytes);
  EXPECT_FALSE(peer.is_connected());
}

TEST_F(UrSimulatorTest, RefusesMoreClientsThanItHasRoomFor) {
  std::vector<std::unique_ptr<UrRtdePeer>> peers;
  for (int i = 0; i < UrSimulator::kRtdeClientsMax; ++i) {
    peers.push_back(std::make_unique<UrRtdePeer>(*simulator_));
    EXPECT_FALSE(peers.back()->is_refused());
  }
  EXPECT_TRUE(UrRtdePeer(*simulator_).is_refused());
  peers.pop_back();
  EXPECT_FALSE(UrRtdePeer(*simulator_).is_refused());
}

TEST_F(UrSimulatorTest, TellsRtdeClientsOfErrors) {
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  simulator_->controller().run_script("nonsense()\n");
  run(8);
  const auto messages = peer.messages();
  ASSERT_EQ(messages.size(), 1U);
  RtdeText text;
  ASSERT_TRUE(decode_rtde_text(messages[0].payload, &text));
  EXPECT_EQ(text.level, RtdeTextLevel::kError);
  EXPECT_NE(text.message.find("nonsense"), std::string::npos);
}

// ----- scripts

TEST_F(UrSimulatorTest, TakesProgramsInPieces) {
  UrClient script(*simulator_, 30002);
  const std::string program = kEndless;
  for (std::size_t i = 0; i < program.size(); ++i) {
    EXPECT_EQ(simulator_->controller().runtime(), UrRuntime::kStopped) << i;
    script.send(program.substr(i, 1));
  }
  run(400);
  EXPECT_EQ(simulator_->controller().program_name(), "mover");
  EXPECT_NEAR(simulator_->controller().arm().qd[2], 0.3, 1e-3);
  script.send("stopj(4)\n");
  run(200);
  EXPECT_FALSE(ur_moves(simulator_->controller().arm()));
}

// As SenseAct does: a line for every packet.
TEST_F(UrSimulatorTest, MovesByLinesOfSpeedj) {
  UrClient script(*simulator_, 30003);
  for (int i = 0; i < 125; ++i) {
    script.send("speedj([0.0, 0.1, -0.1, 0.0, 0.0, 0.0], 1.4, 0.008)\n");
    run(8);
  }
  EXPECT_NEAR(simulator_->controller().arm().target_qd[1], 0.1, 0.02);
  run(200);  // the line has ended, and nobody sends another
  EXPECT_FALSE(ur_moves(simulator_->controller().arm()));
}

TEST_F(UrSimulatorTest, SendsRealTimePacketsOfTheirSize) {
  for (const auto model : {UrModel::kCb3, UrModel::kESeries}) {
    make(model);
    const std::size_t size = model == UrModel::kCb3 ? 1108 : 1220;
    UrClient client(*simulator_, 30003);
    run(8);
    auto bytes = client.read();
    ASSERT_EQ(bytes.size(), size * (model == UrModel::kCb3 ? 1 : 4));
    RtdeReader reader({bytes.data() + bytes.size() - size, size});
    EXPECT_EQ(reader.u32(), size);
    EXPECT_NEAR(reader.f64(), 0.008, 1e-9);
    reader.text(252 - 12);
    for (const double q : simulator_->controller().measured_q()) EXPECT_EQ(reader.f64(), q);
    reader.text(756 - 300);
    EXPECT_EQ(reader.f64(), 7.0);  // robot mode
    reader.text(812 - 764);
    EXPECT_EQ(reader.f64(), 1.0);  // safety mode
    reader.text(1052 - 820);
    EXPECT_EQ(reader.f64(), 1.0);  // no program
  }
}

TEST_F(UrSimulatorTest, SendsStateTenTimesASecond) {
  UrClient client(*simulator_, 30001);
  auto bytes = client.read();
  ASSERT_GT(bytes.size(), 15U);
  EXPECT_EQ(bytes[4], 20);  // first of all its version
  EXPECT_EQ(bytes[14], 3);
  run(1000);
  bytes = client.read();
  int states = 0;
  for (std::span<const std::uint8_t> rest(bytes); !rest.empty();) {
    RtdeReader reader(rest);
    const std::uint32_t size = reader.u32();
    ASSERT_LE(size, rest.size());
    EXPECT_EQ(reader.u8(), 16);
    // Its parts fill it.
    for (auto parts = rest.subspan(5, size - 5); !parts.empty();) {
      RtdeReader part(parts);
      const std::uint32_t part_size = part.u32();
      ASSERT_GE(part_size, 5U);
      ASSERT_LE(part_size, parts.size());
      parts = parts.subspan(part_size);
    }
    rest = rest.subspan(size);
    ++states;
  }
  EXPECT_NEAR(states, 10, 1);
}

TEST_F(UrSimulatorTest, DiscontinuesSendingButTakesPrograms) {
  UrClient client(*simulator_, 30003);
  run(2000);
  EXPECT_TRUE(log_has("discontinued"));
  EXPECT_TRUE(client.is_connected());
  client.send(kEndless);
  run(100);
  EXPECT_EQ(simulator_->controller().runtime(), UrRuntime::kPlaying);
}

TEST_F(UrSimulatorTest, SaysOfAProgramThatDidNotEnd) {
  for (const char* text : {"def a():\n  sync()\n", "stopj(4)"}) {
    make(UrModel::kCb3);
    { UrClient(*simulator_, 30002).send(text); }
    run(100);
    EXPECT_TRUE(log_has("syntax_error_on_line:")) << text;
  }
  make(UrModel::kCb3);
  { UrClient(*simulator_, 30002).send("def a():\n  sync()\nend\n \n"); }
  run(100);
  EXPECT_FALSE(log_has("syntax_error_on_line:"));
}

TEST_F(UrSimulatorTest, EndsAConnectionWhoseProgramNeverEnds) {
  UrClient client(*simulator_, 30002);
  const std::string line(1000, 'x');
  client.send("def a():\n");
  for (int i = 0; i < 70; ++i) client.send(line);
  client.read();
  EXPECT_FALSE(client.is_connected());
}

TEST_F(UrSimulatorTest, TakesScriptsInRemoteControlOnly) {
  make(UrModel::kESeries);
  UrClient script(*simulator_, 30002);
  UrClient dashboard(*simulator_, 29999);
  EXPECT_EQ(ask(dashboard, "is in remote control"), "true");
  simulator_->controller().set_remote_control(false);
  EXPECT_EQ(ask(dashboard, "is in remote control"), "false");
  script.send(kEndless);
  run(20);
  EXPECT_EQ(simulator_->controller().runtime(), UrRuntime::kStopped);
  EXPECT_TRUE(log_has("not in remote control"));
}

// ----- dashboard

TEST_F(UrSimulatorTest, DashboardAnswers) {
  UrClient dashboard(*simulator_, 29999);
  EXPECT_EQ(dashboard.read_text(), "Connected: Universal Robots Dashboard Server\n");
  EXPECT_EQ(ask(dashboard, "robotmode"), "Robotmode: RUNNING");
  EXPECT_EQ(ask(dashboard, "safetymode"), "Safetymode: NORMAL");
  EXPECT_EQ(ask(dashboard, "safetystatus\r"), "Safetystatus: NORMAL");
  EXPECT_EQ(ask(dashboard, "running"), "Program running: false");
  EXPECT_EQ(ask(dashboard, "programState"), "STOPPED unnamed");
  EXPECT_EQ(ask(dashboard, "play"), "Failed to execute: play");
  EXPECT_EQ(ask(dashboard, "stop"), "Failed to execute: stop");
  EXPECT_EQ(ask(dashboard, "get loaded program"), "No program loaded");
  EXPECT_EQ(ask(dashboard, "load x.urp"), "File not found: x.urp");
  EXPECT_EQ(ask(dashboard, "PolyscopeVersion").substr(0, 18), "URSoftware 3.15.8.");
  EXPECT_EQ(ask(dashboard, "popup Hello"), "showing popup");
  EXPECT_EQ(ask(dashboard, "addToLog Hello"), "Added log message");
  EXPECT_TRUE(log_has("Hello"));
  EXPECT_EQ(ask(dashboard, "dance"), "could not understand: \"dance\"");
  EXPECT_EQ(ask(dashboard, "is in remote control"),
            "could not understand: \"is in remote control\"");  // not a CB3's
  dashboard.send("robotmode\nsafety");
  EXPECT_EQ(dashboard.read_text(), "Robotmode: RUNNING\n");
  dashboard.send("mode\n");
  EXPECT_EQ(dashboard.read_text(), "Safetymode: NORMAL\n");
  EXPECT_EQ(ask(dashboard, "quit"), "Disconnected");
  EXPECT_FALSE(dashboard.is_connected());
}

TEST_F(UrSimulatorTest, DashboardPausesPlaysAndStops) {
  UrClient dashboard(*simulator_, 29999);
  simulator_->controller().run_script(kEndless);
  run(300);
  EXPECT_EQ(ask(dashboard, "programState"), "PLAYING mover");
  EXPECT_EQ(ask(dashboard, "pause"), "Pausing program");
  run(200);
  EXPECT_FALSE(ur_moves(simulator_->controller().arm()));
  EXPECT_EQ(ask(dashboard, "play"), "Starting program");
  run(300);
  EXPECT_TRUE(ur_moves(simulator_->controller().arm()));
  EXPECT_EQ(ask(dashboard, "stop"), "Stopped");
  run(200);
  EXPECT_FALSE(ur_moves(simulator_->controller().arm()));
}

TEST_F(UrSimulatorTest, PowersUpStepByStep) {
  UrClient dashboard(*simulator_, 29999);
  EXPECT_EQ(ask(dashboard, "power off"), "Powering off");
  EXPECT_EQ(ask(dashboard, "robotmode"), "Robotmode: POWER_OFF");
  EXPECT_EQ(ask(dashboard, "brake release"), "Brake releasing");
  run(3000);
  EXPECT_EQ(ask(dashboard, "robotmode"), "Robotmode: POWER_OFF");
  EXPECT_EQ(ask(dashboard, "power on"), "Powering on");
  run(1500);
  EXPECT_EQ(ask(dashboard, "robotmode"), "Robotmode: IDLE");
  ask(dashboard, "brake release");
  run(1500);
  EXPECT_EQ(ask(dashboard, "robotmode"), "Robotmode: RUNNING");
}

TEST_F(UrSimulatorTest, UnlocksAProtectiveStopAfterFiveSeconds) {
  UrClient dashboard(*simulator_, 29999);
  simulator_->controller().run_script(kEndless);
  run(400);
  simulator_->controller().protective_stop("the test");
  run(100);
  EXPECT_FALSE(ur_moves(simulator_->controller().arm()));
  EXPECT_EQ(ask(dashboard, "safetymode"), "Safetymode: PROTECTIVE_STOP");
  const std::string refusal =
      "Cannot unlock protective stop until 5s after occurrence. Always inspect cause of protective "
      "stop before unlocking";
  EXPECT_EQ(ask(dashboard, "unlock protective stop"), refusal);
  run(4800);
  EXPECT_EQ(ask(dashboard, "unlock protective stop"), refusal);
  run(200);
  simulator_->controller().refuse_unlocks(1);
  EXPECT_EQ(ask(dashboard, "unlock protective stop"), refusal);
  EXPECT_EQ(ask(dashboard, "close safety popup"), "closing safety popup");
  EXPECT_EQ(ask(dashboard, "unlock protective stop"), "Protective stop releasing");
  // Nothing moves by itself: the program is paused.
  run(1000);
  EXPECT_EQ(simulator_->controller().runtime(), UrRuntime::kPaused);
  EXPECT_FALSE(ur_moves(simulator_->controller().arm()));
}

// ----- faults

// Symptom: the slider at 0 and then up again gives a protective stop.
TEST_F(UrSimulatorTest, SliderFromZeroUpDuringAMotionStopsProtectively) {
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  peer.set_up_inputs("speed_slider_mask,speed_slider_fraction");
  const auto slide = [&](double fraction) {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kData).u8(1).u32(1).f64(fraction);
    peer.send(writer.finish());
    run(100);
  };
  simulator_->controller().run_script(kEndless);
  slide(0.01);
  slide(1.0);
  EXPECT_EQ(simulator_->controller().safety_mode(), UrSafetyMode::kNormal);
  slide(0.0);
  slide(0.5);
  EXPECT_EQ(simulator_->controller().safety_mode(), UrSafetyMode::kProtectiveStop);
}

TEST_F(UrSimulatorTest, AnEmergencyStopBrakesAndTakesThePower) {
  simulator_->controller().run_script(kEndless);
  run(400);
  simulator_->controller().emergency_stop(true);
  run(8);
  EXPECT_TRUE(ur_moves(simulator_->controller().arm()));  // it brakes, it does not vanish
  run(100);
  const UrController& controller = simulator_->controller();
  EXPECT_EQ(controller.robot_mode(), UrRobotMode::kPowerOff);
  EXPECT_EQ(controller.safety_mode(), UrSafetyMode::kRobotEmergencyStop);
  EXPECT_EQ(controller.arm().is_powered, 0);
  EXPECT_FALSE(simulator_->controller().power_on());
  simulator_->controller().emergency_stop(false);
  for (int i = 0; i < 400; ++i) {
    ur_help_up(*simulator_);
    run(10);
  }
  EXPECT_TRUE(controller.is_running_normally());
}

// Symptom: started before the arm has booted: the port is open, but there is no life.
TEST_F(UrSimulatorTest, ARestartClosesAllPortsAndBoots) {
  UrRtdePeer peer(*simulator_);
  simulator_->restart_controller();
  EXPECT_FALSE(peer.is_connected());
  run(1900);
  EXPECT_TRUE(UrRtdePeer(*simulator_).is_refused());
  run(300);
  UrRtdePeer again(*simulator_);
  EXPECT_FALSE(again.is_refused());
  EXPECT_LT(simulator_->controller().timestamp_s(), 0.3);
  EXPECT_EQ(simulator_->controller().robot_mode(), UrRobotMode::kBooting);
  run(5000);
  EXPECT_EQ(simulator_->controller().robot_mode(), UrRobotMode::kPowerOff);
}

TEST_F(UrSimulatorTest, StallsDelaysAndStaleTimestamps) {
  UrRtdePeer peer(*simulator_);
  peer.ask_version(2);
  peer.set_up_outputs(125.0, "timestamp");
  peer.start();
  run(80);
  EXPECT_EQ(peer.packages().size(), 10U);
  simulator_->set_link_faults({.is_stalled = true});
  run(160);
  EXPECT_TRUE(peer.packages().empty());
  simulator_->set_link_faults({});
  EXPECT_EQ(peer.packages().size(), 20U);  // all at once
  simulator_->set_link_faults({.is_stale = true});
  run(80);
  std::set<std::string> different;
  for (const auto& package : peer.packages()) {
    different.emplace(package.payload.begin(), package.payload.end());
  }
  EXPECT_EQ(different.size(), 1U);
  simulator_->set_link_faults({.delay_ns = 50 * kMs});
  run(8);
  EXPECT_TRUE(peer.packages().empty());
  run(48);
  EXPECT_TRUE(peer.packages().empty());
  run(8);
  EXPECT_GE(peer.packages().size(), 7U);
}

TEST_F(UrSimulatorTest, DelaysCommands) {
  UrClient script(*simulator_, 30002);
  simulator_->set_link_faults({.to_robot_ns = 50 * kMs});
  script.send(kEndless);
  run(40);
  EXPECT_EQ(simulator_->controller().runtime(), UrRuntime::kStopped);
  run(16);
  EXPECT_EQ(simulator_->controller().runtime(), UrRuntime::kPlaying);
}

TEST_F(UrSimulatorTest, ItsClockDrifts) {
  simulator_->set_clock_drift(0.01);
  run(10'000);
  EXPECT_NEAR(simulator_->controller().timestamp_s(), 10.1, 0.01);
  simulator_->set_clock_drift(0.0);
  run(10'000);
  EXPECT_NEAR(simulator_->controller().timestamp_s(), 20.1, 0.02);
}

TEST_F(UrSimulatorTest, TheSameSeedGivesTheSameBytes) {
  const auto all_bytes = [this](std::uint64_t seed) {
    simulator_ = std::make_unique<UrSimulator>(UrControllerOptions{.seed = 3});
    UrFaultSchedule faults(seed);
    std::vector<std::uint8_t> all;
    std::unique_ptr<UrRtdePeer> peer;
    for (int i = 0; i < 3000; ++i) {
      faults.advance(simulator_->now_ns(), *simulator_);
      run(10);
      if ((!peer || !peer->is_connected()) && simulator_->is_listening()) {
        peer = std::make_unique<UrRtdePeer>(*simulator_);
        peer->ask_version(2);
        peer->set_up_outputs(25.0, "timestamp,actual_q,robot_mode,safety_mode");
        peer->start();
      }
      if (!peer || peer->is_refused()) continue;
      const auto bytes = peer->read();
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  };
  const auto first = all_bytes(5);
  EXPECT_EQ(first, all_bytes(5));
  EXPECT_NE(first, all_bytes(6));
}

TEST_F(UrSimulatorTest, EveryFaultOfTheScheduleComesAndPasses) {
  std::set<UrFault> seen;
  UrFaultSchedule faults(1);
  for (int i = 0; i < 60'000; ++i) {
    faults.advance(simulator_->now_ns(), *simulator_);
    seen.insert(faults.fault());
    run(20);
  }
  EXPECT_EQ(static_cast<int>(seen.size()), kUrFaults);
  faults.finish(*simulator_);
  for (int i = 0; i < 1000; ++i) {
    faults.advance(simulator_->now_ns(), *simulator_);
    run(20);
  }
  EXPECT_TRUE(simulator_->controller().is_running_normally());
  EXPECT_EQ(simulator_->controller().slider(), 1.0);
}

}  // namespace
}  // namespace instep

// The strict port: what a program meets that opens a USB adapter's device file.
#include "drivers/simulated_serial_port.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <optional>

#include "drivers/create2/simulator_on_port.h"
#include "temporary_folder.h"

namespace instep {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::int64_t kMs = 1'000'000;

Bytes heard(const Bytes& sent, int sender_baud, int receiver_baud) {
  Bytes bytes;
  hear_bytes(sent, sender_baud, receiver_baud, &bytes);
  return bytes;
}

TEST(SerialLine, CarriesBytesBetweenEndsThatAgree) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::uint8_t>(i));
  EXPECT_EQ(heard(all, 115200, 115200), all);
  EXPECT_EQ(heard(all, 9600, 9600), all);
}

TEST(SerialLine, MakesOtherBytesOfThemWhereTheyDoNot) {
  // A bit at 9600 baud is twelve at 115200: a start bit alone fills a byte with zeros.
  const Bytes stop = {145, 0, 0, 0, 0, 128};
  for (const std::uint8_t byte : heard(stop, 9600, 115200)) EXPECT_EQ(byte, 0);
  EXPECT_FALSE(heard(stop, 9600, 115200).empty());
  // Half as fast: every bit is seen twice, the first of them is the start bit's second half.
  EXPECT_EQ(heard({0x0F}, 57600, 115200).front(), 0b11111110);
  EXPECT_LT(heard(stop, 115200, 9600).size(), stop.size());
  EXPECT_TRUE(heard(stop, 0, 115200).empty());
  EXPECT_TRUE(heard(stop, 115200, 0).empty());
}

// A strict robot and one client.
class StrictPort : public testing::Test {
 protected:
  ~StrictPort() override { hang_up(); }

  void open_port(const std::string& path) {
    client_ = open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    ASSERT_GE(client_, 0) << path;
  }
  void hang_up() {
    if (client_ >= 0) close(client_);
    client_ = -1;
  }
  termios settings() const {
    termios now{};
    EXPECT_EQ(tcgetattr(client_, &now), 0);
    return now;
  }
  void set_up(const std::function<void(termios&)>& more = {}) const {
    termios now = settings();
    cfmakeraw(&now);
    cfsetspeed(&now, B115200);
    if (more) more(now);
    ASSERT_EQ(tcsetattr(client_, TCSANOW, &now), 0);
  }
  void send(const Bytes& bytes) const {
    ASSERT_EQ(write(client_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void run(std::int64_t ms) {
    for (std::int64_t i = 0; i < ms; ++i) robot_.advance(now_ns_ += kMs);
  }
  Bytes received() const {
    Bytes bytes(4096);
    const ssize_t count = read(client_, bytes.data(), bytes.size());
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
  }
  Create2Mode mode_after_start() {
    send({7});
    run(50);
    send({128});
    run(50);
    return robot_.simulator().mode();
  }

  TemporaryFolder folder_;
  Create2OnPort robot_{{.path = folder_ / "ttyUSB0", .is_strict = true}};
  std::int64_t now_ns_ = 0;
  int client_ = -1;
};

TEST_F(StrictPort, BeginsAsATerminal) {
  open_port(folder_ / "ttyUSB0");
  const termios now = settings();
  EXPECT_EQ(cfgetospeed(&now), B9600);
  EXPECT_NE(now.c_lflag & ICANON, 0U);
  EXPECT_NE(now.c_lflag & ECHO, 0U);
  EXPECT_NE(now.c_iflag & IXON, 0U);
  EXPECT_EQ(mode_after_start(), Create2Mode::kOff) << "it hears no Start at 9600 baud";
  set_up();
  EXPECT_EQ(mode_after_start(), Create2Mode::kPassive);
}

TEST_F(StrictPort, IsHeardAtTheRobotsSettingsAlone) {
  open_port(folder_ / "ttyUSB0");
  const auto mode_with = [this](const std::function<void(termios&)>& change) {
    set_up();
    send({7});
    run(100);
    set_up(change);
    send({128});
    run(50);
    return robot_.simulator().mode();
  };
  EXPECT_EQ(mode_with({}), Create2Mode::kPassive);
  EXPECT_EQ(mode_with([](termios& now) { now.c_cflag |= CSTOPB; }), Create2Mode::kPassive);
  EXPECT_EQ(mode_with([](termios& now) { cfsetspeed(&now, B57600); }), Create2Mode::kOff);
  EXPECT_EQ(mode_with([](termios& now) { now.c_cflag |= CRTSCTS; }), Create2Mode::kOff);
}

TEST_F(StrictPort, IsResetByAnotherProgramUnderAClient) {
  open_port(folder_ / "ttyUSB0");
  set_up();
  ASSERT_EQ(mode_after_start(), Create2Mode::kPassive);
  robot_.port().reset_settings();
  send({131});
  run(50);
  EXPECT_EQ(robot_.simulator().mode(), Create2Mode::kPassive);
  set_up();
  send({131});
  run(50);
  EXPECT_EQ(robot_.simulator().mode(), Create2Mode::kSafe);
}

TEST_F(StrictPort, KeepsSettingsButNoBytesFromOneClientToTheNext) {
  open_port(folder_ / "ttyUSB0");
  set_up();
  run(5);
  send({7});  // answered by a banner
  run(50);
  hang_up();
  run(5);
  open_port(folder_ / "ttyUSB0");
  const termios now = settings();
  EXPECT_EQ(cfgetospeed(&now), B115200);
  EXPECT_TRUE(received().empty());
  // A second one that leaves takes nothing away from the first.
  run(5);
  const int second = open((folder_ / "ttyUSB0").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  send({7});
  run(50);
  close(second);
  run(5);
  EXPECT_FALSE(received().empty());
}

TEST_F(StrictPort, IsNewAfterAReplug) {
  open_port(folder_ / "ttyUSB0");
  set_up();
  hang_up();
  robot_.simulator().set_plugged(false);
  run(5);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ttyUSB0"));
  robot_.simulator().set_plugged(true);
  run(5);
  EXPECT_EQ(robot_.port().path(), folder_ / "ttyUSB0");
  open_port(folder_ / "ttyUSB0");
  const termios now = settings();
  EXPECT_EQ(cfgetospeed(&now), B9600);
}

// The system gives a terminal's name out again as soon as it is free. Whoever holds the next one of
// that name, hung up as well, does not hold the robot's.
TEST_F(StrictPort, IsNotHeldByWhoHasAnotherTerminalOfItsName) {
  const std::string terminal = std::filesystem::canonical(folder_ / "ttyUSB0");
  robot_.simulator().set_plugged(false);
  run(5);
  std::vector<int> masters;
  int slave = -1;
  while (slave < 0 && masters.size() < 64) {
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(master, 0);
    masters.push_back(master);
    ASSERT_EQ(unlockpt(master), 0);
    std::array<char, 64> name{};
    ASSERT_EQ(ptsname_r(master, name.data(), name.size()), 0);
    if (name.data() == terminal) slave = open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  for (const int master : masters) close(master);
  robot_.simulator().set_plugged(true);
  run(5);
  if (slave < 0) GTEST_SKIP() << "somebody else on this machine has " << terminal << " by now";
  close(slave);
  EXPECT_EQ(robot_.port().path(), folder_ / "ttyUSB0");
}

TEST_F(StrictPort, ComesBackUnderAnotherNameWhileTheOldOneIsHeld) {
  const auto replug = [this] {
    robot_.simulator().set_plugged(false);
    run(5);
    EXPECT_FALSE(
        std::filesystem::exists(std::filesystem::symlink_status(robot_.port().stable_path())));
    robot_.simulator().set_plugged(true);
    run(5);
    return robot_.port().path();
  };
  const std::string stable = robot_.port().stable_path();
  EXPECT_EQ(std::filesystem::path(stable).parent_path(), folder_ / "serial/by-id");
  open_port(stable);
  EXPECT_EQ(replug(), folder_ / "ttyUSB1");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ttyUSB0"));
  EXPECT_EQ(std::filesystem::canonical(stable), std::filesystem::canonical(folder_ / "ttyUSB1"));
  char byte = 0;
  EXPECT_LE(read(client_, &byte, 1), 0) << "the old one is hung up";
  hang_up();
  EXPECT_EQ(replug(), folder_ / "ttyUSB0") << "nobody holds it any more";
}

TEST(SimulatedPort, RemovesItsNames) {
  const TemporaryFolder folder;
  std::optional<Create2OnPort> robot;
  robot.emplace(Create2OnPortOptions{.path = folder / "ttyUSB3", .is_strict = true, .seed = 5});
  EXPECT_NE(robot->port().stable_path().find("Create_2_5"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(robot->port().stable_path()));
  EXPECT_THROW(
      SimulatedSerialPort({.path = folder / "ttyUSB3", .is_strict = true, .serial_number = "6"}),
      std::runtime_error);
  robot.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_THROW(SimulatedSerialPort({.path = folder / "port", .is_strict = true}),
               std::runtime_error);
}

}  // namespace
}  // namespace instep

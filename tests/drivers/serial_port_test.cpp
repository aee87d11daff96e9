// The serial port on pseudo-terminals, and what it says of ports that are none.
#include "drivers/serial_port.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "temporary_folder.h"

namespace instep {
namespace {

class Pty {
 public:
  Pty() {
    int slave = -1;
    EXPECT_EQ(openpty(&master_, &slave, name_.data(), nullptr, nullptr), 0);
    close(slave);
  }
  ~Pty() { hang_up(); }
  Pty(const Pty&) = delete;
  Pty& operator=(const Pty&) = delete;

  void hang_up() {
    if (master_ >= 0) close(master_);
    master_ = -1;
  }
  std::string path() const { return name_.data(); }
  int master() const { return master_; }

 private:
  std::array<char, 64> name_{};
  int master_ = -1;
};

bool is_readable(int descriptor) {
  pollfd event{descriptor, POLLIN, 0};
  return poll(&event, 1, 2000) == 1;
}

// What open() says to a user who is not the superuser, to whom nothing is forbidden.
std::string error_for_others(const std::string& path) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(1);
    SerialPort port(path);
    static_cast<void>(port.open());
    const bool done = write(ends[1], port.error().data(), port.error().size()) >= 0;
    _exit(done ? 0 : 1);
  }
  close(ends[1]);
  std::string text(1024, '\0');
  const ssize_t size = read(ends[0], text.data(), text.size());
  close(ends[0]);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return text;
}

TEST(SerialPort, PassesEveryByteBothWaysUnchanged) {
  Pty pty;
  SerialPort port(pty.path());
  ASSERT_TRUE(port.open()) << port.error();
  std::array<std::uint8_t, 256> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  std::array<std::uint8_t, 512> got{};

  ASSERT_EQ(port.write(bytes), 256);
  ASSERT_TRUE(is_readable(pty.master()));
  ASSERT_EQ(read(pty.master(), got.data(), got.size()), 256);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), got.begin()));

  EXPECT_EQ(port.read(got), 0);
  ASSERT_EQ(write(pty.master(), bytes.data(), bytes.size()), 256);
  ASSERT_TRUE(is_readable(port.descriptor()));
  got.fill(0);
  ASSERT_EQ(port.read(got), 256);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), got.begin()));
  port.set_wake_line(true);  // a pseudo-terminal has no such line
  port.set_wake_line(false);
  EXPECT_EQ(port.read(got), 0);
}

TEST(SerialPort, ForgetsWhatCameBeforeItWasOpened) {
  Pty pty;
  SerialPort port(pty.path());
  ASSERT_TRUE(port.open());
  ASSERT_EQ(write(pty.master(), "old", 3), 3);
  ASSERT_TRUE(is_readable(port.descriptor()));
  ASSERT_TRUE(port.open());
  std::array<std::uint8_t, 16> got{};
  EXPECT_EQ(port.read(got), 0);
}

TEST(SerialPort, KnowsWhenTheLineIsGone) {
  Pty pty;
  SerialPort port(pty.path());
  ASSERT_TRUE(port.open());
  pty.hang_up();
  std::array<std::uint8_t, 16> bytes{};
  EXPECT_EQ(port.read(bytes), Transport::kGone);
  EXPECT_EQ(port.write(bytes), Transport::kGone);
  port.close();
  EXPECT_FALSE(port.is_open());
  EXPECT_EQ(port.read(bytes), Transport::kGone);
}

TEST(SerialPort, SetsTheLineUp) {
  Pty pty;
  SerialPort port(pty.path());
  ASSERT_TRUE(port.open());
  termios settings{};
  ASSERT_EQ(tcgetattr(port.descriptor(), &settings), 0);
  EXPECT_EQ(cfgetispeed(&settings), static_cast<speed_t>(B115200));
  EXPECT_EQ(settings.c_cflag & CSIZE, static_cast<tcflag_t>(CS8));
  EXPECT_EQ(settings.c_cflag & (PARENB | CSTOPB | CRTSCTS), 0U);
  EXPECT_EQ(settings.c_lflag & (ICANON | ECHO | ISIG), 0U);
  EXPECT_EQ(settings.c_iflag & (IXON | ICRNL), 0U);
  EXPECT_EQ(settings.c_oflag & OPOST, 0U);
}

TEST(SerialPort, IsThisProgramsAlone) {
  Pty pty;
  ASSERT_EQ(chmod(pty.path().c_str(), 0666), 0);
  SerialPort port(pty.path());
  ASSERT_TRUE(port.open());
  const std::string error = error_for_others(pty.path());
  EXPECT_NE(error.find("another program has it"), std::string::npos) << error;
  port.close();
  EXPECT_EQ(error_for_others(pty.path()), "");
}

TEST(SerialPort, SaysWhatToDoWhenThereIsNoPort) {
  SerialPort port("/dev/no_such_robot");
  EXPECT_FALSE(port.open());
  EXPECT_NE(port.error().find("/dev/no_such_robot"), std::string::npos);
  EXPECT_NE(port.error().find("plugged in"), std::string::npos);
  EXPECT_NE(port.error().find("/dev/serial/by-id"), std::string::npos);
  EXPECT_FALSE(port.is_open());
}

TEST(SerialPort, SaysWhatToDoWithoutPermission) {
  Pty pty;
  ASSERT_EQ(chmod(pty.path().c_str(), 0), 0);
  const std::string error = error_for_others(pty.path());
  EXPECT_NE(error.find("dialout"), std::string::npos) << error;
}

TEST(SerialPort, RefusesWhatIsNoPort) {
  TemporaryFolder folder;
  write_bytes(folder / "file", "text");
  for (const std::string& path : {folder / "file", folder.path()}) {
    SerialPort port(path);
    EXPECT_FALSE(port.open());
    EXPECT_NE(port.error().find("is not a serial port"), std::string::npos) << port.error();
  }
}

}  // namespace
}  // namespace instep

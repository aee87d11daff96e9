// The serial port on pseudo-terminals, and what it says of ports that are none.
#include "drivers/serial_port.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

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
  const char* path() const { return name_.data(); }
  int master() const { return master_; }

 private:
  std::array<char, 64> name_{};
  int master_ = -1;
};

bool is_readable(int descriptor) {
  pollfd event{descriptor, POLLIN, 0};
  return poll(&event, 1, 2000) == 1;
}

// What opening the port says to a user who is not the superuser, to whom nothing is forbidden.
std::string trouble_of_others(const std::string& path) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(1);
    const int descriptor = open_serial_port(path.c_str());
    const std::string text = descriptor < 0 ? serial_port_trouble(path, -descriptor) : "";
    _exit(write(ends[1], text.data(), text.size()) >= 0 ? 0 : 1);
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
  const Pty pty;
  const int port = open_serial_port(pty.path());
  ASSERT_GE(port, 0);
  std::array<std::uint8_t, 256> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  std::array<std::uint8_t, 512> got{};

  ASSERT_EQ(write(port, bytes.data(), bytes.size()), 256);
  ASSERT_TRUE(is_readable(pty.master()));
  ASSERT_EQ(read(pty.master(), got.data(), got.size()), 256);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), got.begin()));

  EXPECT_EQ(read(port, got.data(), got.size()), -1);
  EXPECT_EQ(errno, EAGAIN);
  ASSERT_EQ(write(pty.master(), bytes.data(), bytes.size()), 256);
  ASSERT_TRUE(is_readable(port));
  got.fill(0);
  ASSERT_EQ(read(port, got.data(), got.size()), 256);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), got.begin()));
  set_serial_wake_line(port, true);  // a pseudo-terminal has no such line
  set_serial_wake_line(port, false);
  close(port);
}

TEST(SerialPort, ForgetsWhatCameBeforeItWasOpened) {
  const Pty pty;
  const int port = open_serial_port(pty.path());
  ASSERT_GE(port, 0);
  ASSERT_EQ(write(pty.master(), "old", 3), 3);
  ASSERT_TRUE(is_readable(port));
  const int again = open_serial_port(pty.path());
  if (again >= 0) close(again);  // the superuser may
  if (again < 0) GTEST_SKIP() << "a port that is open cannot be opened twice";
  std::array<std::uint8_t, 16> got{};
  EXPECT_EQ(read(port, got.data(), got.size()), -1);
  close(port);
}

TEST(SerialPort, EndsWhenItIsHungUp) {
  Pty pty;
  const int port = open_serial_port(pty.path());
  ASSERT_GE(port, 0);
  pty.hang_up();
  std::array<std::uint8_t, 16> bytes{};
  EXPECT_EQ(read(port, bytes.data(), bytes.size()), 0);
  EXPECT_EQ(write(port, bytes.data(), bytes.size()), -1);
  EXPECT_EQ(errno, EIO);
  close(port);
}

TEST(SerialPort, IsSetUpForTheRobot) {
  const Pty pty;
  const int port = open_serial_port(pty.path());
  ASSERT_GE(port, 0);
  termios settings{};
  ASSERT_EQ(tcgetattr(port, &settings), 0);
  // As the kernel has it, in the third word; headers and library may disagree about B115200.
  std::array<std::uint32_t, 16> kernel_settings{};
  ASSERT_EQ(ioctl(port, TCGETS, kernel_settings.data()), 0);
  EXPECT_EQ(kernel_settings[2] & 0010017U, 0010002U);
  EXPECT_EQ(settings.c_cflag & CSIZE, static_cast<tcflag_t>(CS8));
  EXPECT_EQ(settings.c_cflag & (PARENB | CSTOPB | CRTSCTS), 0U);
  EXPECT_EQ(settings.c_lflag & (ICANON | ECHO | ISIG), 0U);
  EXPECT_EQ(settings.c_iflag & (IXON | ICRNL), 0U);
  EXPECT_EQ(settings.c_oflag & OPOST, 0U);
  close(port);
}

TEST(SerialPort, IsThisProgramsAlone) {
  const Pty pty;
  ASSERT_EQ(chmod(pty.path(), 0666), 0);
  const int port = open_serial_port(pty.path());
  ASSERT_GE(port, 0);
  const std::string trouble = trouble_of_others(pty.path());
  EXPECT_NE(trouble.find("another program has it"), std::string::npos) << trouble;
  close(port);
}

TEST(SerialPort, SaysWhatToDoWhenThereIsNoPort) {
  EXPECT_EQ(open_serial_port("/dev/no_such_robot"), -ENOENT);
  const std::string trouble = serial_port_trouble("/dev/no_such_robot", ENOENT);
  EXPECT_NE(trouble.find("/dev/no_such_robot"), std::string::npos);
  EXPECT_NE(trouble.find("plugged in"), std::string::npos);
  EXPECT_NE(trouble.find("/dev/serial/by-id"), std::string::npos);
}

TEST(SerialPort, SaysWhatToDoWithoutPermission) {
  const Pty pty;
  ASSERT_EQ(chmod(pty.path(), 0), 0);
  const std::string trouble = trouble_of_others(pty.path());
  EXPECT_NE(trouble.find("dialout"), std::string::npos) << trouble;
}

TEST(SerialPort, RefusesWhatIsNoPort) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "text");
  for (const std::string& path : {folder / "file", folder.path()}) {
    const int error = -open_serial_port(path.c_str());
    EXPECT_GT(error, 0);
    const std::string trouble = serial_port_trouble(path, error);
    EXPECT_NE(trouble.find("is not a serial port"), std::string::npos) << trouble;
  }
}

}  // namespace
}  // namespace instep

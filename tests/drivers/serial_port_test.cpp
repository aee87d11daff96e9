// The serial port on pseudo-terminals, and what it says of ports that are none.
#include "drivers/serial_port.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/clock.h"
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

int open_port(const std::string& path) {
  PortAddress address = make_port_address(path);
  const int descriptor = open_serial_port(&address);
  if (descriptor < 0) return descriptor;
  const int error = claim_serial_port(descriptor);
  if (error == 0) return descriptor;
  close(descriptor);
  return -error;
}

// What opening the port says to a user who is not the superuser, to whom nothing is forbidden.
std::string trouble_of_others(const std::string& path) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(1);
    const int descriptor = open_port(path.c_str());
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
  const int port = open_port(pty.path());
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

TEST(SerialPort, ForgetsWhatCameBeforeItWasClaimed) {
  const Pty pty;
  PortAddress address = make_port_address(pty.path());
  const int port = open_serial_port(&address);
  ASSERT_GE(port, 0);
  ASSERT_EQ(write(pty.master(), "old", 3), 3);
  ASSERT_TRUE(is_readable(port));
  ASSERT_EQ(claim_serial_port(port), 0);
  std::array<std::uint8_t, 16> got{};
  EXPECT_EQ(read(port, got.data(), got.size()), -1);
  EXPECT_EQ(errno, EAGAIN);
  close(port);
}

TEST(SerialPort, EndsWhenItIsHungUp) {
  Pty pty;
  const int port = open_port(pty.path());
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
  const int port = open_port(pty.path());
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

// Whatever another program may have done to the port while it was open.
TEST(SerialPort, IsPutRight) {
  const Pty pty;
  const int port = open_port(pty.path());
  ASSERT_GE(port, 0);
  EXPECT_EQ(prepare_serial_port(port), kPortUnchanged);
  struct Change {
    const char* name;
    void (*make)(termios&);
    int look = kPortMended;
  };
  const std::vector<Change> changes = {
      {"speed", [](termios& t) { cfsetspeed(&t, B9600); }},
      {"lines", [](termios& t) { t.c_lflag |= ICANON; }},
      {"echo", [](termios& t) { t.c_lflag |= ECHO; }},
      {"signals", [](termios& t) { t.c_lflag |= ISIG; }},
      {"halting", [](termios& t) { t.c_iflag |= IXON; }},
      {"halting the other side", [](termios& t) { t.c_iflag |= IXOFF; }},
      {"seven bits", [](termios& t) { t.c_iflag |= ISTRIP; }},
      {"carriage returns", [](termios& t) { t.c_iflag |= ICRNL; }},
      {"new lines", [](termios& t) { t.c_oflag |= OPOST | ONLCR; }},
      {"hardware flow control", [](termios& t) { t.c_cflag |= CRTSCTS; }},
      {"two stop bits", [](termios& t) { t.c_cflag |= CSTOPB; }},
      {"hang-up on close", [](termios& t) { t.c_cflag |= HUPCL; }, kPortUnchanged},
      {"modem lines", [](termios& t) { t.c_cflag &= ~static_cast<tcflag_t>(CLOCAL); },
       kPortUnchanged},
      {"reads that answer 0", [](termios& t) { t.c_cc[VMIN] = 0; }},
  };
  for (const auto& [name, make, look] : changes) {
    termios settings{};
    ASSERT_EQ(tcgetattr(port, &settings), 0);
    const termios right = settings;
    make(settings);
    ASSERT_EQ(tcsetattr(port, TCSANOW, &settings), 0) << name;
    EXPECT_EQ(prepare_serial_port(port), look) << name;
    ASSERT_EQ(tcgetattr(port, &settings), 0);
    EXPECT_EQ(std::memcmp(&settings, &right, sizeof right), 0) << name;
    EXPECT_EQ(prepare_serial_port(port), kPortUnchanged) << name;
  }
  ASSERT_EQ(ioctl(port, TIOCEXCL), 0);
  EXPECT_EQ(prepare_serial_port(port), kPortUnchanged);
  int is_exclusive = 1;
  ASSERT_EQ(ioctl(port, TIOCGEXCL, &is_exclusive), 0);
  EXPECT_EQ(is_exclusive, 0) << "others could not stop the robot";
  ASSERT_EQ(tcflow(port, TCOOFF), 0);
  ASSERT_EQ(prepare_serial_port(port), kPortUnchanged);
  EXPECT_EQ(write(port, "x", 1), 1) << "output goes on";
  close(port);
}

// slattach and its like: with such a line discipline the port does not even say that it is one.
TEST(SerialPort, IsPutRightWhereSomebodyElseInterpretsItsBytes) {
  const Pty pty;
  const int port = open_port(pty.path());
  ASSERT_GE(port, 0);
  const int nobody = 27;  // N_NULL
  ASSERT_EQ(ioctl(port, TIOCSETD, &nobody), 0);
  ASSERT_EQ(isatty(port), 0);
  EXPECT_EQ(prepare_serial_port(port), kPortMended);
  EXPECT_EQ(write(port, "x", 1), 1);
  EXPECT_EQ(prepare_serial_port(port), kPortUnchanged);
  // And by who comes anew.
  ASSERT_EQ(ioctl(port, TIOCSETD, &nobody), 0);
  PortAddress address = make_port_address(pty.path());
  const int other = open_serial_port(&address);
  ASSERT_GE(other, 0);
  EXPECT_EQ(write(other, "x", 1), 1);
  close(other);
  close(port);
}

TEST(SerialPort, SaysThatItIsDeadWhenItIsLookedAt) {
  Pty pty;
  const int port = open_port(pty.path());
  ASSERT_GE(port, 0);
  pty.hang_up();
  EXPECT_EQ(prepare_serial_port(port), -EIO);
  close(port);
  EXPECT_EQ(prepare_serial_port(-1), -EBADF);
}

// A pseudo-terminal never empties by itself, as an adapter that is halted.
TEST(SerialPort, DrainsForASecondAtMost) {
  const Pty pty;
  const int port = open_port(pty.path());
  ASSERT_GE(port, 0);
  ASSERT_EQ(tcflow(port, TCOOFF), 0);
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  drain_serial_output(port);
  EXPECT_LT(clock.now_ns() - begin_ns, 10'000'000'000);
  close(port);
}

// ------------------------------------------------------------------------------------------------
// Finding a device again

// A /dev and a /sys in which pseudo-terminals are the ports of USB adapters.
class Machine {
 public:
  Machine() {
    namespace fs = std::filesystem;
    fs::create_directories(folder_ / "dev/serial/by-id");
    fs::create_directories(folder_ / "sys/dev/char");
    dev_ = folder_ / "dev";
    sys_ = folder_ / "sys";
  }

  struct Adapter {
    std::string vendor = "0403";
    std::string product = "6015";
    std::string serial = "DN012345";
    std::string socket = "1.2";
    std::string interface = "00";
  };

  // The name in dev/, of a port of that adapter; ttyUSB* and ttyACM* lie at other depths in sys/.
  void plug(const std::string& name, const Pty& pty, const Adapter& adapter) {
    namespace fs = std::filesystem;
    fs::create_symlink(pty.path(), dev_ + '/' + name);
    struct stat status {};
    ASSERT_EQ(stat(pty.path(), &status), 0);
    const std::string usb = sys_ + "/devices/usb" + adapter.socket + '-' + std::to_string(++count_);
    const std::string interface = usb + "/interface";
    const std::string device = name.starts_with("ttyUSB") ? interface + '/' + name : interface;
    const std::string tty = device + "/tty/" + name;
    fs::create_directories(tty);
    fs::create_symlink(device, tty + "/device");
    write_bytes(usb + "/idVendor", adapter.vendor + '\n');
    write_bytes(usb + "/idProduct", adapter.product + '\n');
    if (!adapter.serial.empty()) write_bytes(usb + "/serial", adapter.serial + '\n');
    write_bytes(usb + "/busnum", "1\n");
    write_bytes(usb + "/devpath", adapter.socket + '\n');
    write_bytes(interface + "/bInterfaceNumber", adapter.interface + '\n');
    const std::string number = sys_ + "/dev/char/" + std::to_string(major(status.st_rdev)) + ':' +
                               std::to_string(minor(status.st_rdev));
    fs::remove(number);
    fs::create_symlink(tty, number);
  }
  void unplug(const std::string& name) { std::filesystem::remove(dev_ + '/' + name); }
  // The stable name that points to it.
  std::string by_id(const std::string& id, const std::string& name) {
    const std::string link = dev_ + "/serial/by-id/" + id;
    std::filesystem::remove(link);
    std::filesystem::create_symlink("../../" + name, link);
    return link;
  }

  std::string dev(const std::string& name) const { return dev_ + '/' + name; }
  int open(PortAddress& address) const {
    return open_serial_port(&address, {.dev = dev_.c_str(), .sys = sys_.c_str()});
  }

 private:
  TemporaryFolder folder_;
  std::string dev_;
  std::string sys_;
  int count_ = 0;
};

std::string opened(const Machine& machine, PortAddress& address) {
  const int port = machine.open(address);
  if (port < 0) return std::strerror(-port);
  close(port);
  return std::filesystem::path(address.node.data()).filename();
}

TEST(SerialPort, IsFoundUnderAnotherNumberByItsSerialNumber) {
  for (const char* const kind : {"ttyUSB", "ttyACM"}) {
    Machine machine;
    const Pty robot;
    const Pty again;
    const Pty other;
    const std::string name = kind;
    machine.plug(name + "0", robot, {});
    PortAddress address = make_port_address(machine.dev(name + "0"));
    EXPECT_EQ(opened(machine, address), name + "0");
    machine.unplug(name + "0");
    EXPECT_EQ(opened(machine, address), std::strerror(ENOENT));
    // Another robot's adapter has got the old name by now.
    machine.plug(name + "0", other, {.serial = "DN099999", .socket = "1.3"});
    EXPECT_EQ(opened(machine, address), std::strerror(ENODEV));
    machine.plug(name + "3", again, {.socket = "1.4"});
    EXPECT_EQ(opened(machine, address), name + "3");
  }
}

TEST(SerialPort, IsAnotherWhenItIsAnotherOneOfTheSameAdapter) {
  Machine machine;
  const Pty first;
  const Pty second;
  machine.plug("ttyUSB0", first, {.interface = "00"});
  machine.plug("ttyUSB1", second, {.interface = "01"});
  PortAddress address = make_port_address(machine.dev("ttyUSB1"));
  EXPECT_EQ(opened(machine, address), "ttyUSB1");
  machine.unplug("ttyUSB1");
  EXPECT_EQ(opened(machine, address), std::strerror(ENOENT));
}

// Cheap adapters have no serial number, or all of them the same.
TEST(SerialPort, IsKnownByItsSocketWhereItsSerialNumberSaysTooLittle) {
  for (const char* const serial : {"", "0001"}) {
    Machine machine;
    const Pty robot;
    const Pty other;
    const Pty again;
    machine.plug("ttyUSB0", robot, {.serial = serial, .socket = "1.2"});
    machine.plug("ttyUSB1", other, {.serial = serial, .socket = "1.3"});
    PortAddress address = make_port_address(machine.dev("ttyUSB0"));
    EXPECT_EQ(opened(machine, address), "ttyUSB0");
    machine.unplug("ttyUSB0");
    EXPECT_EQ(opened(machine, address), std::strerror(ENOENT)) << "never another robot";
    machine.plug("ttyUSB2", again, {.serial = serial, .socket = "1.2"});
    EXPECT_EQ(opened(machine, address), "ttyUSB2");
  }
}

TEST(SerialPort, IsFoundByTheStableNameThatItHadAtFirst) {
  Machine machine;
  const Pty robot;
  const Pty again;
  machine.plug("ttyUSB0", robot, {});
  machine.by_id("usb-robot", "ttyUSB0");
  PortAddress address = make_port_address(machine.dev("ttyUSB0"));
  EXPECT_EQ(opened(machine, address), "ttyUSB0");
  EXPECT_EQ(std::string(address.stable.data()), machine.dev("serial/by-id/usb-robot"));
  machine.unplug("ttyUSB0");
  machine.plug("ttyUSB70", again, {});  // beyond the numbers that are tried
  machine.by_id("usb-robot", "ttyUSB70");
  EXPECT_EQ(opened(machine, address), "usb-robot");
}

// Without an adapter nothing tells one port from another: only the name that was given counts.
TEST(SerialPort, IsLookedForByItsNameAloneWhereItHasNoAdapter) {
  Machine machine;
  const Pty robot;
  const Pty stranger;
  std::filesystem::create_symlink(robot.path(), machine.dev("ttyTHS1"));
  PortAddress address = make_port_address(machine.dev("ttyTHS1"));
  EXPECT_EQ(opened(machine, address), "ttyTHS1");
  EXPECT_EQ(address.identity[0], '\0');
  machine.unplug("ttyTHS1");
  machine.plug("ttyUSB0", stranger, {});
  EXPECT_EQ(opened(machine, address), std::strerror(ENOENT));
}

TEST(SerialPort, RefusesANameThatIsTooLong) {
  EXPECT_THROW(make_port_address(std::string(600, 'x')), std::length_error);
}

// ------------------------------------------------------------------------------------------------
// Who may have it

TEST(SerialPort, IsThisProgramsAlone) {
  const Pty pty;
  ASSERT_EQ(chmod(pty.path(), 0666), 0);
  const int port = open_port(pty.path());
  ASSERT_GE(port, 0);
  const std::string trouble = trouble_of_others(pty.path());
  EXPECT_NE(trouble.find("another program has it"), std::string::npos) << trouble;
  close(port);
}

TEST(SerialPort, SaysWhatToDoWhenThereIsNoPort) {
  EXPECT_EQ(open_port("/dev/no_such_robot"), -ENOENT);
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
    const int error = -open_port(path.c_str());
    EXPECT_GT(error, 0);
    const std::string trouble = serial_port_trouble(path, error);
    EXPECT_NE(trouble.find("is not a serial port"), std::string::npos) << trouble;
  }
}

}  // namespace
}  // namespace instep

// Who has a port: on machines that are folders, and on this one.
#include "drivers/port_users.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "drivers/serial_port.h"
#include "temporary_folder.h"
#include "wait_for.h"

namespace instep {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using How = PortUser::How;

class Machine {
 public:
  Machine() {
    put("dev/ttyUSB0", "");
    put("dev/ttyUSB1", "");
    put("proc/cpuinfo", "no process\n");
  }

  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path whole = root() + '/' + path;
    std::filesystem::create_directories(whole.parent_path());
    write_bytes(whole, text);
  }
  // `words`: its command line, each ended by '|'.
  void run(const std::string& process, const std::string& name, std::string words) const {
    std::replace(words.begin(), words.end(), '|', '\0');
    put("proc/" + process + "/comm", name + '\n');
    put("proc/" + process + "/cmdline", words);
    put("proc/" + process + "/stat", process + " (" + name + ") S 1 1 1\n");
  }
  void open_port(const std::string& process, const std::string& port) const {
    std::filesystem::create_directories(root() + "/proc/" + process + "/fd");
    std::filesystem::create_symlink(root() + "/dev/" + port, root() + "/proc/" + process + "/fd/7");
  }

  std::string port() const { return root() + "/dev/ttyUSB0"; }
  std::vector<PortUser> users() const { return port_users(port(), root()); }
  std::vector<PortTrouble> troubles() const { return port_troubles(port(), root()); }
  const std::string& root() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST(PortUsers, AreThoseThatHaveItOpen) {
  const Machine machine;
  EXPECT_THAT(machine.users(), IsEmpty());
  machine.run("300", "minicom", "minicom|");
  machine.open_port("300", "ttyUSB0");
  machine.run("200", "screen", "screen|");
  machine.open_port("200", "ttyUSB1");
  machine.run("100", "cat", "cat|");
  ASSERT_THAT(machine.users(), SizeIs(1));
  EXPECT_EQ(machine.users()[0].process, 300);
  EXPECT_EQ(machine.users()[0].how, How::kHasItOpen);
  EXPECT_EQ(port_user_names(machine.users()), "process 300 (minicom)");
  ASSERT_THAT(machine.troubles(), SizeIs(1));
  EXPECT_THAT(machine.troubles()[0].text, HasSubstr("has it open, too"));
  EXPECT_EQ(machine.troubles()[0].mend, "sudo kill 300");
  EXPECT_TRUE(machine.troubles()[0].is_certain);
}

// Their files are not everybody's to see, their command line is.
TEST(PortUsers, AreLoginsThatNameIt) {
  const Machine machine;
  machine.run("612", "agetty", "/sbin/agetty|-o|-p -- \\u|--keep-baud|115200,9600|ttyUSB0|vt220|");
  ASSERT_THAT(machine.troubles(), SizeIs(1));
  EXPECT_EQ(machine.troubles()[0].text, "process 612 (agetty) may open it, too");
  EXPECT_EQ(machine.troubles()[0].mend, "sudo systemctl disable --now serial-getty@ttyUSB0");
  machine.run("612", "agetty", "/sbin/agetty|-o|-p -- \\u|--keep-baud|115200,9600|ttyUSB10|vt220|");
  EXPECT_THAT(machine.troubles(), IsEmpty());
}

// A pseudo-terminal is called by a number.
TEST(PortUsers, AreNoProgramsWithThatNumber) {
  const Machine machine;
  machine.put("dev/pts/2", "");
  machine.run("700", "ninja", "ninja|-j|2|");
  EXPECT_THAT(port_troubles(machine.root() + "/dev/pts/2", machine.root()), IsEmpty());
  machine.run("701", "minicom", "minicom|-D|/dev/pts/2|");
  EXPECT_THAT(port_troubles(machine.root() + "/dev/pts/2", machine.root()), SizeIs(1));
}

TEST(PortUsers, AreServicesThatTryEveryPort) {
  const Machine machine;
  machine.run("500", "ModemManager", "/usr/sbin/ModemManager|");
  ASSERT_THAT(machine.troubles(), SizeIs(1));
  EXPECT_FALSE(machine.troubles()[0].is_certain);
  EXPECT_THAT(machine.troubles()[0].mend, HasSubstr("stop ModemManager"));
  // As the package's udev rule has it.
  machine.put("run/udev/data/c0:0", "S:instep-create2\nE:ID_MM_DEVICE_IGNORE=1\n");
  EXPECT_THAT(machine.troubles(), IsEmpty());
  machine.run("501", "brltty", "/bin/brltty|");
  ASSERT_THAT(machine.troubles(), SizeIs(1));
  EXPECT_THAT(machine.troubles()[0].mend, HasSubstr("brltty"));
}

TEST(PortUsers, AreNotItsOwnKind) {
  const Machine machine;
  machine.run("700", "instep", "instep|train|create_mover|--device|/dev/ttyUSB0|");
  machine.open_port("700", "ttyUSB0");
  machine.run("701", "instep-guardian", "instep|train|create_mover|--device|/dev/ttyUSB0|");
  machine.open_port("701", "ttyUSB0");
  EXPECT_THAT(machine.users(), SizeIs(2));
  EXPECT_THAT(machine.troubles(), IsEmpty());
}

TEST(PortUsers, AreTheKernelItself) {
  const Machine machine;
  machine.put("sys/class/tty/console/active", "tty0 ttyUSB10\n");
  EXPECT_FALSE(is_console(machine.port(), machine.root()));
  machine.put("sys/class/tty/console/active", "tty0 ttyUSB0\n");
  EXPECT_TRUE(is_console(machine.port(), machine.root()));
  ASSERT_THAT(machine.troubles(), SizeIs(1));
  EXPECT_THAT(machine.troubles()[0].mend, HasSubstr("console=ttyUSB0"));
}

// A child of this process that has the port open, and its lock.
TEST(PortUsers, AreFoundOnThisMachine) {
  int far_end = -1;
  int near_end = -1;
  char name[64];
  ASSERT_EQ(openpty(&far_end, &near_end, name, nullptr, nullptr), 0);
  close(near_end);
  const pid_t child = fork();
  if (child == 0) {
    const int port = open(name, O_RDWR | O_NOCTTY);
    flock(port, LOCK_EX);
    while (true) pause();
  }
  const auto user = [&] {
    for (const PortUser& found : port_users(name)) {
      if (found.process == child) return found;
    }
    return PortUser{};
  };
  EXPECT_TRUE(wait_for([&] { return user().process == child; }));
  EXPECT_EQ(user().how, How::kHasItOpen);
  EXPECT_FALSE(user().is_halted);
  ASSERT_TRUE(wait_for([&] {
    const int again = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    const bool is_locked = flock(again, LOCK_EX | LOCK_NB) != 0;
    close(again);
    return is_locked;
  }));
  EXPECT_THAT(serial_port_trouble(name, EBUSY), HasSubstr("process " + std::to_string(child)));
  kill(child, SIGSTOP);
  EXPECT_TRUE(wait_for([&] { return user().is_halted; }));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(user().process, 0);
  close(far_end);
}

// A lock is known of every user's process, what a process has open is not.
TEST(PortUsers, AreThoseThatHaveTheLock) {
  const Machine machine;
  struct stat status {};
  ASSERT_EQ(stat(machine.port().c_str(), &status), 0);
  char line[128];
  std::snprintf(line, sizeof line, "1: FLOCK  ADVISORY  WRITE 800 %02x:%02x:%lu 0 EOF\n",
                major(status.st_dev), minor(status.st_dev),
                static_cast<unsigned long>(status.st_ino));
  machine.put("proc/locks", line);
  machine.run("800", "python3", "python3|robot.py|");
  ASSERT_THAT(machine.users(), SizeIs(1));
  EXPECT_EQ(machine.users()[0].how, How::kHasTheLock);
}

}  // namespace
}  // namespace instep

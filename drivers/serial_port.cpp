#include "drivers/serial_port.h"

#include <fcntl.h>
#include <linux/serial.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace instep {
namespace {

constexpr const char* kListPorts =
    "`ls -l /dev/serial/by-id /dev/ttyUSB*` lists the ports there are";

// Answers 0 or an errno value.
int configure(int descriptor) {
  if (isatty(descriptor) == 0) return ENOTTY;
  // A lock and not TIOCEXCL: the guardian, and `instep stop`, must be able to open it all the same.
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? EBUSY : errno;
  termios settings{};
  if (tcgetattr(descriptor, &settings) != 0) return errno;
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL | CREAD;
  settings.c_cflag &= ~static_cast<tcflag_t>(CSTOPB | CRTSCTS);
  // A silent port answers read() with EAGAIN, so that 0 means one thing only: it was hung up.
  settings.c_cc[VMIN] = 1;
  settings.c_cc[VTIME] = 0;
  // Not cfsetospeed(): headers of glibc 2.42 (zig has them) say 115200, of which older libraries
  // know by cfsetspeed() alone.
  if (cfsetspeed(&settings, B115200) != 0) return errno;
  if (tcsetattr(descriptor, TCSANOW, &settings) != 0) return errno;
  // FTDI adapters keep bytes for 16 ms unless they are asked not to. Others know no such thing.
  serial_struct serial{};
  if (ioctl(descriptor, TIOCGSERIAL, &serial) == 0) {
    serial.flags = static_cast<int>(static_cast<unsigned>(serial.flags) | ASYNC_LOW_LATENCY);
    static_cast<void>(ioctl(descriptor, TIOCSSERIAL, &serial));
  }
  return tcflush(descriptor, TCIOFLUSH) == 0 ? 0 : errno;
}

}  // namespace

int open_serial_port(const char* path) {
  const int descriptor = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  const int error = configure(descriptor);
  if (error == 0) return descriptor;
  close(descriptor);
  return -error;
}

void set_serial_wake_line(int descriptor, bool is_low) {
  int line = TIOCM_RTS;
  static_cast<void>(ioctl(descriptor, is_low ? TIOCMBIC : TIOCMBIS, &line));
}

void discard_serial_output(int descriptor) {
  static_cast<void>(tcflush(descriptor, TCOFLUSH));
}

std::string serial_port_trouble(const std::string& path, int error) {
  std::string trouble = path + ": cannot be opened: " + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return trouble + "; is the robot's cable plugged in? " + kListPorts;
    case EACCES:
    case EPERM:
      return trouble +
             "; ports belong to a group, on most systems dialout: `sudo usermod -a -G dialout "
             "$USER`, then log in again";
    case EBUSY:
      return trouble + "; another program has it, perhaps another run or a modem manager: `fuser " +
             path + "` says which";
    case ENOTTY:
    case EISDIR:
    case EINVAL:
      return path + ": is not a serial port; " + kListPorts;
    default:
      return trouble;
  }
}

}  // namespace instep

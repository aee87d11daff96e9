#include "drivers/serial_port.h"

#include <fcntl.h>
#include <linux/serial.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace instep {

SerialPort::SerialPort(std::string path) : path_(std::move(path)) {}

SerialPort::~SerialPort() {
  close();
}

// What went wrong and what to do about it.
bool SerialPort::fail(const char* what, int error) {
  error_ = path_ + ": " + what + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      error_ +=
          "; is the robot's cable plugged in? `ls -l /dev/serial/by-id /dev/ttyUSB*` lists "
          "the ports there are";
      break;
    case EACCES:
    case EPERM:
      error_ +=
          "; ports belong to a group, on most systems dialout: `sudo usermod -a -G dialout "
          "$USER`, then log in again";
      break;
    case EBUSY:
      error_ += "; another program has it, perhaps another run or a modem manager: `fuser " +
                path_ + "` says which";
      break;
    case ENOTTY:
    case EISDIR:
    case EINVAL:
      error_ = path_ +
               ": is not a serial port; `ls -l /dev/serial/by-id /dev/ttyUSB*` lists the "
               "ports there are";
      break;
    default:
      break;
  }
  close();
  return false;
}

bool SerialPort::open() {
  close();
  error_.clear();
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0) return fail("cannot be opened", errno);
  if (isatty(descriptor_) == 0) return fail("cannot be used", ENOTTY);
  return configure();
}

bool SerialPort::configure() {
  if (ioctl(descriptor_, TIOCEXCL) != 0) return fail("cannot be had alone", errno);
  termios settings{};
  if (tcgetattr(descriptor_, &settings) != 0) return fail("cannot be set up", errno);
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL | CREAD;
  settings.c_cflag &= ~static_cast<tcflag_t>(CSTOPB | CRTSCTS);
  settings.c_cc[VMIN] = 0;
  settings.c_cc[VTIME] = 0;
  if (cfsetspeed(&settings, B115200) != 0 || tcsetattr(descriptor_, TCSANOW, &settings) != 0) {
    return fail("cannot be set up", errno);
  }
  // FTDI adapters keep bytes for 16 ms unless they are asked not to. Others know no such thing.
  serial_struct serial{};
  if (ioctl(descriptor_, TIOCGSERIAL, &serial) == 0) {
    serial.flags = static_cast<int>(static_cast<unsigned>(serial.flags) | ASYNC_LOW_LATENCY);
    static_cast<void>(ioctl(descriptor_, TIOCSSERIAL, &serial));
  }
  if (tcflush(descriptor_, TCIOFLUSH) != 0) return fail("cannot be set up", errno);
  return true;
}

void SerialPort::close() {
  if (descriptor_ < 0) return;
  static_cast<void>(ioctl(descriptor_, TIOCNXCL));
  ::close(descriptor_);
  descriptor_ = -1;
}

// At the end of a line that was hung up read() answers 0 for ever; one that is only silent says
// EAGAIN.
int SerialPort::read(std::span<std::uint8_t> out) {
  if (descriptor_ < 0) return kGone;
  const ssize_t count = ::read(descriptor_, out.data(), out.size());
  if (count > 0) return static_cast<int>(count);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (count == 0 && !out.empty()) {
    // With VMIN 0 a silent port answers 0 as well; only a hung-up one has lost its settings.
    termios settings{};
    if (tcgetattr(descriptor_, &settings) == 0) return 0;
  }
  return kGone;
}

int SerialPort::write(std::span<const std::uint8_t> bytes) {
  if (descriptor_ < 0) return kGone;
  const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
  if (count >= 0) return static_cast<int>(count);
  return errno == EAGAIN || errno == EINTR ? 0 : kGone;
}

void SerialPort::set_wake_line(bool is_low) {
  int line = TIOCM_RTS;
  if (descriptor_ >= 0) {
    static_cast<void>(ioctl(descriptor_, is_low ? TIOCMBIC : TIOCMBIS, &line));
  }
}

}  // namespace instep

#include "drivers/simulated_serial_port.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace instep {
namespace {

namespace fs = std::filesystem;

std::runtime_error refused(const std::string& what) {
  return std::runtime_error(what + ": " + std::strerror(errno));
}

// A rate as the C library gives it back. Headers of glibc 2.42 (zig has them) say 115200 where an
// older library, which the program may run with, says 0010002.
speed_t as_given_back(speed_t rate) {
  termios settings{};
  return cfsetspeed(&settings, rate) == 0 ? cfgetospeed(&settings) : B0;
}

// 0 for a rate that the robot has not.
int baud_of(speed_t rate) {
  constexpr std::array<std::pair<speed_t, int>, 10> kRates = {{{B300, 300},
                                                               {B600, 600},
                                                               {B1200, 1200},
                                                               {B2400, 2400},
                                                               {B4800, 4800},
                                                               {B9600, 9600},
                                                               {B19200, 19200},
                                                               {B38400, 38400},
                                                               {B57600, 57600},
                                                               {B115200, 115200}}};
  for (const auto& [code, baud] : kRates) {
    if (as_given_back(code) == rate) return baud;
  }
  return 0;
}

// As Linux sets up a new USB adapter's port.
void make_default(termios* settings) {
  settings->c_iflag = ICRNL | IXON;
  settings->c_oflag = OPOST | ONLCR;
  settings->c_cflag = CS8 | CREAD | HUPCL | CLOCAL;
  settings->c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  cfsetspeed(settings, B9600);
}

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// When the terminal of that name was made, by the clock of file times, which moves in steps; 0:
// there is none.
std::int64_t made_at_ns(const std::string& terminal) {
  struct stat about {};
  return stat(terminal.c_str(), &about) == 0 ? nanoseconds(about.st_ctim) : 0;
}

// The system gives a terminal's name out again. Waits for at most one step of that clock, so that a
// terminal made afterwards has a later time.
void wait_until_after(std::int64_t made_ns) {
  timespec now{};
  for (int tries = 0; tries < 100; ++tries) {  // a clock that is set back must not hold the port
    if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0 || nanoseconds(now) > made_ns) return;
    usleep(500);
  }
}

// Whether some process has the terminal open of that name and time, whose other end is closed.
bool is_held(const std::string& terminal, std::int64_t made_ns) {
  std::error_code failed;
  for (const auto& process : fs::directory_iterator("/proc", failed)) {
    if (std::isdigit(static_cast<unsigned char>(process.path().filename().c_str()[0])) == 0) {
      continue;
    }
    std::error_code none;  // of processes that are others', or have ended
    for (fs::directory_iterator file(process.path() / "fd", none), end; !none && file != end;
         file.increment(none)) {
      std::error_code gone;
      if (fs::read_symlink(file->path(), gone) == terminal + " (deleted)" &&
          made_at_ns(file->path()) == made_ns) {
        return true;
      }
    }
  }
  return false;
}

// Whether a simulation that was killed has left the link. Its terminal is gone, or has become this
// one's: the system gives their numbers out again.
bool is_left_over(const std::string& link, const std::string& target) {
  std::error_code ignored;
  if (!fs::is_symlink(link, ignored)) return false;
  return fs::read_symlink(link, ignored) == target || !fs::exists(link, ignored);
}

void make_link(const std::string& target, const std::string& link) {
  if (is_left_over(link, target)) unlink(link.c_str());
  if (symlink(target.c_str(), link.c_str()) == 0) return;
  const int error = errno;
  throw std::runtime_error(link + ": cannot be made: " + std::strerror(error) +
                           (error == EEXIST   ? "; remove it, or choose another --link"
                            : error == ENOENT ? "; make its folder first, or choose another --link"
                                              : ""));
}

}  // namespace

void hear_bytes(std::span<const std::uint8_t> sent, int sender_baud, int receiver_baud,
                std::vector<std::uint8_t>* heard) {
  heard->clear();
  if (sender_baud == receiver_baud) {
    heard->assign(sent.begin(), sent.end());
    return;
  }
  if (sender_baud <= 0 || receiver_baud <= 0) return;
  std::vector<bool> levels;  // of the line, each for as long as one bit of the sender
  for (const std::uint8_t byte : sent) {
    levels.push_back(false);  // start
    for (int i = 0; i < 8; ++i) levels.push_back((byte >> i & 1) != 0);
    levels.push_back(true);  // stop
  }
  const auto is_high = [&](double at) {
    const auto index = static_cast<std::size_t>(at);
    return index >= levels.size() || levels[index];
  };
  const auto next_bit = [](double at) { return std::floor(at) + 1.0; };
  const double receiver_bit = static_cast<double>(sender_baud) / receiver_baud;
  double at = 0.0;
  while (at < static_cast<double>(levels.size())) {
    if (is_high(at)) {
      at = next_bit(at);
      continue;
    }
    std::uint8_t byte = 0;
    for (int i = 0; i < 8; ++i) {
      const bool bit = is_high(at + (1.5 + i) * receiver_bit);
      byte = static_cast<std::uint8_t>(byte | (bit ? 1U << i : 0U));
    }
    heard->push_back(byte);
    at += 9.5 * receiver_bit;
    // The next byte begins with a falling edge.
    while (!is_high(at)) at = next_bit(at);
  }
}

SimulatedSerialPort::SimulatedSerialPort(const SimulatedSerialPortOptions& options)
    : options_(options), path_(options.path) {
  if (options.is_strict) {
    const fs::path folder = fs::path(path_).parent_path() / "serial" / "by-id";
    stable_path_ = folder / ("usb-Simulated_Create_2_" + options.serial_number + "-if00-port0");
    const std::size_t digits = path_.size() - path_.find_last_not_of("0123456789") - 1;
    if (digits == 0 || digits > 6) {
      throw std::runtime_error(path_ + ": must end in a number, as ttyUSB0 does");
    }
    first_number_ = std::atoi(path_.c_str() + path_.size() - digits);
    options_.path.resize(path_.size() - digits);
  }
  plug();
}

SimulatedSerialPort::~SimulatedSerialPort() {
  unplug();
}

// The lowest number that is free, from the first one on.
void SimulatedSerialPort::choose_path() {
  if (!options_.is_strict) return;
  std::erase_if(old_terminals_,
                [](const OldTerminal& old) { return !is_held(old.name, old.made_ns); });
  const auto is_taken = [this](int number) {
    return std::any_of(old_terminals_.begin(), old_terminals_.end(),
                       [number](const OldTerminal& old) { return old.number == number; });
  };
  number_ = first_number_;
  while (is_taken(number_)) ++number_;
  path_ = options_.path + std::to_string(number_);
}

void SimulatedSerialPort::plug() {
  if (is_plugged()) return;
  choose_path();
  master_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  std::array<char, 128> name{};
  if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0 ||
      ptsname_r(master_, name.data(), name.size()) != 0) {
    throw refused("no pseudo-terminal can be had");
  }
  terminal_ = name.data();
  if (options_.is_strict) {
    reset_settings();
  } else {
    flush();
  }
  make_links(terminal_);
}

void SimulatedSerialPort::unplug() {
  if (!is_plugged()) return;
  remove_links();
  if (options_.is_strict) {
    old_terminals_.push_back({number_, terminal_, made_at_ns(terminal_)});
    wait_until_after(old_terminals_.back().made_ns);
  }
  close(master_);
  master_ = -1;
  has_client_ = false;
}

void SimulatedSerialPort::make_links(const std::string& terminal) {
  make_link(terminal, path_);
  is_linked_ = true;
  if (!options_.is_strict) return;
  const fs::path folder = fs::path(stable_path_).parent_path();
  for (const fs::path& made : {folder.parent_path(), folder}) {
    if (fs::create_directory(made)) folders_made_.push_back(made);
  }
  make_link("../../" + fs::path(path_).filename().string(), stable_path_);
}

void SimulatedSerialPort::remove_links() {
  if (!is_linked_) return;
  is_linked_ = false;
  unlink(path_.c_str());
  if (!options_.is_strict) return;
  unlink(stable_path_.c_str());
  for (; !folders_made_.empty(); folders_made_.pop_back()) rmdir(folders_made_.back().c_str());
}

void SimulatedSerialPort::follow_client() {
  pollfd wanted{master_, 0, 0};
  const bool has_client =
      is_plugged() && poll(&wanted, 1, 0) >= 0 && (wanted.revents & POLLHUP) == 0;
  if (has_client_ && !has_client && is_plugged()) flush();
  has_client_ = has_client;
}

// A port that nobody has open holds no received bytes. Not strict: nor anybody's settings.
void SimulatedSerialPort::flush() const {
  const int slave = open(terminal_.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (slave < 0) throw refused(terminal_);
  termios settings{};
  if (!options_.is_strict && tcgetattr(slave, &settings) == 0) {
    cfmakeraw(&settings);
    cfsetspeed(&settings, B115200);
    tcsetattr(slave, TCSANOW, &settings);
  }
  tcflush(slave, TCIFLUSH);
  close(slave);
}

void SimulatedSerialPort::reset_settings() {
  termios settings{};
  if (!is_plugged() || tcgetattr(master_, &settings) != 0) return;
  make_default(&settings);
  tcsetattr(master_, TCSANOW, &settings);
}

int SimulatedSerialPort::baud() const {
  termios settings{};
  return is_plugged() && tcgetattr(master_, &settings) == 0 ? baud_of(cfgetospeed(&settings)) : 0;
}

std::size_t SimulatedSerialPort::read(std::span<std::uint8_t> out) {
  if (!is_plugged()) return 0;
  const ssize_t count = ::read(master_, out.data(), out.size());
  termios settings{};
  const bool waits =
      options_.is_strict && tcgetattr(master_, &settings) == 0 && (settings.c_cflag & CRTSCTS) != 0;
  return count > 0 && !waits ? static_cast<std::size_t>(count) : 0;
}

void SimulatedSerialPort::write(std::span<const std::uint8_t> bytes) {
  if (!has_client_ || bytes.empty()) return;
  if (::write(master_, bytes.data(), bytes.size()) < 0 && errno != EAGAIN && errno != EIO &&
      errno != EINTR) {
    throw refused(path_);
  }
}

}  // namespace instep

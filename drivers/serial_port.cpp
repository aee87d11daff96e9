#include "drivers/serial_port.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "drivers/port_users.h"

namespace instep {
namespace {

constexpr const char* kListPorts =
    "`ls -l /dev/serial/by-id /dev/ttyUSB*` lists the ports there are";
constexpr int kNumbersMax = 64;  // of ttyUSB*, ttyACM*

using Path = std::array<char, PortAddress::kPathMax>;

// False where it does not fit.
template <std::size_t kSize>
[[gnu::format(printf, 2, 3)]] bool print(std::array<char, kSize>& text, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int size = std::vsnprintf(text.data(), text.size(), format, arguments);
  va_end(arguments);
  if (size >= 0 && static_cast<std::size_t>(size) < text.size()) return true;
  text[0] = '\0';
  return false;
}

// ------------------------------------------------------------------------------------------------
// Which device it is

// A small file's first line; empty where there is none.
struct Line {
  std::array<char, 128> text{};
};

Line read_line(const Path& folder, const char* name) {
  Line line;
  Path path;
  if (!print(path, "%s/%s", folder.data(), name)) return line;
  const int file = open(path.data(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return line;
  const ssize_t size = read(file, line.text.data(), line.text.size() - 1);
  close(file);
  line.text[static_cast<std::size_t>(std::max<ssize_t>(size, 0))] = '\0';
  line.text[std::strcspn(line.text.data(), "\n")] = '\0';
  return line;
}

bool is_terminal_device(const char* path, dev_t* device) {
  struct stat status {};
  if (stat(path, &status) != 0 || !S_ISCHR(status.st_mode)) return false;
  *device = status.st_rdev;
  return true;
}

// The adapter: what it is, and the socket that it is plugged into.
struct Adapter {
  std::array<char, 160> name{};  // empty: the port has none
  std::array<char, 64> socket{};
  bool has_serial = false;
};

// A port of ttyUSB lies two storeys above its USB device in sysfs, one of ttyACM one.
Adapter adapter_of(dev_t device, const SystemFolders& folders) {
  Adapter adapter;
  for (const char* storeys : {"..", "../.."}) {
    Path usb;
    Path interface;
    if (!print(usb, "%s/dev/char/%u:%u/device/%s", folders.sys, major(device), minor(device),
               storeys)) {
      continue;
    }
    if (!print(interface, "%s/dev/char/%u:%u/device/%s", folders.sys, major(device), minor(device),
               storeys[2] == '\0' ? "." : "..")) {
      continue;
    }
    const Line vendor = read_line(usb, "idVendor");
    if (vendor.text[0] == '\0') continue;
    const Line product = read_line(usb, "idProduct");
    const Line serial = read_line(usb, "serial");
    const Line number = read_line(interface, "bInterfaceNumber");
    Path port_folder;
    print(port_folder, "%s/dev/char/%u:%u/device", folders.sys, major(device), minor(device));
    const Line port = read_line(port_folder, "port_number");
    const Line bus = read_line(usb, "busnum");
    const Line socket = read_line(usb, "devpath");
    adapter.has_serial = serial.text[0] != '\0';
    if (!print(adapter.name, "%.8s:%.8s %.100s if%.8s port%.8s", vendor.text.data(),
               product.text.data(), serial.text.data(), number.text.data(), port.text.data()) ||
        !print(adapter.socket, "%.8s-%.40s", bus.text.data(), socket.text.data())) {
      adapter.name[0] = '\0';
    }
    break;
  }
  return adapter;
}

// Calls visit(path) for every name that a USB adapter's port may have, until it answers true.
template <typename Visit>
void visit_adapters(const SystemFolders& folders, const Visit& visit) {
  for (const char* kind : {"ttyUSB", "ttyACM"}) {
    for (int i = 0; i < kNumbersMax; ++i) {
      Path path;
      if (print(path, "%s/%s%d", folders.dev, kind, i) && visit(path)) return;
    }
  }
}

// What is kept of a device: its adapter, and the socket where the adapter alone leaves a doubt.
void identify(dev_t device, const SystemFolders& folders, std::array<char, 256>* identity) {
  const Adapter adapter = adapter_of(device, folders);
  identity->fill('\0');
  if (adapter.name[0] == '\0') return;
  int equal = 0;
  visit_adapters(folders, [&](const Path& path) {
    dev_t other{};
    if (is_terminal_device(path.data(), &other)) {
      equal += std::strcmp(adapter_of(other, folders).name.data(), adapter.name.data()) == 0;
    }
    return false;
  });
  const bool is_unique = adapter.has_serial && equal <= 1;
  print(*identity, "%s%s%s", adapter.name.data(), is_unique ? "" : " at ",
        is_unique ? "" : adapter.socket.data());
}

// Whether that is the device that the address was opened on before.
bool is_same(dev_t device, const PortAddress& address, const SystemFolders& folders) {
  if (address.identity[0] == '\0') return true;
  const Adapter adapter = adapter_of(device, folders);
  if (adapter.name[0] == '\0') return false;
  std::array<char, 256> with_socket;
  print(with_socket, "%s at %s", adapter.name.data(), adapter.socket.data());
  return std::strcmp(address.identity.data(), adapter.name.data()) == 0 ||
         std::strcmp(address.identity.data(), with_socket.data()) == 0;
}

// The name that udev gives the device for good: serial/by-id beside the name that was given.
void find_stable_name(dev_t device, PortAddress* address) {
  Path folder = address->given;
  char* const slash = std::strrchr(folder.data(), '/');
  if (slash == nullptr) return;
  *slash = '\0';
  Path by_id;
  if (!print(by_id, "%s/serial/by-id", folder.data())) return;
  DIR* const entries = opendir(by_id.data());
  if (entries == nullptr) return;
  while (const dirent* const entry = readdir(entries)) {
    Path path;
    dev_t found{};
    if (entry->d_name[0] == '.' || !print(path, "%s/%s", by_id.data(), entry->d_name)) continue;
    if (is_terminal_device(path.data(), &found) && found == device) address->stable = path;
  }
  closedir(entries);
}

// ------------------------------------------------------------------------------------------------
// By what names it is known

// `name`, which may be relative to `folder`, as an absolute path without "." and "..". False where
// it does not fit.
bool make_absolute(const char* folder, const char* name, Path* out) {
  std::array<char, 2 * PortAddress::kPathMax> joined;
  if (!print(joined, "%s/%s", name[0] == '/' ? "" : folder, name)) return false;
  std::size_t size = 0;
  char* rest = nullptr;
  for (const char* word = strtok_r(joined.data(), "/", &rest); word != nullptr;
       word = strtok_r(nullptr, "/", &rest)) {
    if (std::strcmp(word, ".") == 0) continue;
    if (std::strcmp(word, "..") == 0) {
      while (size > 0 && (*out)[--size] != '/') continue;
      continue;
    }
    const std::size_t length = std::strlen(word);
    if (size + 1 + length >= out->size()) return false;
    (*out)[size] = '/';
    std::copy_n(word, length, out->begin() + static_cast<std::ptrdiff_t>(size + 1));
    size += 1 + length;
  }
  (*out)[size] = '\0';
  return true;
}

// Where it is new and has room.
void add_name(const char* name, PortAddress* address) {
  const std::size_t length = std::strlen(name);
  const char* line = address->names.data();
  while (*line != '\0') {
    if (std::strncmp(line, name, length) == 0 && line[length] == '\n') return;
    line = std::strchr(line, '\n') + 1;
  }
  const auto at = static_cast<std::size_t>(line - address->names.data());
  if (at + length + 2 > address->names.size()) return;
  std::copy_n(name, length, address->names.begin() + static_cast<std::ptrdiff_t>(at));
  address->names[at + length] = '\n';
}

// The path, and all that it leads to as a link.
void add_path(const char* path, PortAddress* address) {
  constexpr int kLinksMax = 16;
  Path folder;
  Path name;
  if (getcwd(folder.data(), folder.size()) == nullptr) folder = {"/"};
  Path target;
  print(target, "%s", path);
  for (int i = 0; i < kLinksMax && make_absolute(folder.data(), target.data(), &name); ++i) {
    add_name(name.data(), address);
    const ssize_t size = readlink(name.data(), target.data(), target.size() - 1);
    if (size < 0) return;
    target[static_cast<std::size_t>(size)] = '\0';
    folder = name;
    *std::strrchr(folder.data(), '/') = '\0';
  }
}

// All links that lead to the device, as udev makes them beside its name.
void add_links(dev_t device, PortAddress* address) {
  const PortAddress known = *address;
  const char* end = nullptr;
  for (const char* line = known.names.data(); *line != '\0'; line = end + 1) {
    end = std::strchr(line, '\n');
    for (const char* below : {"", "/serial/by-id", "/serial/by-path"}) {
      Path folder;
      if (!print(folder, "%.*s", static_cast<int>(end - line), line)) continue;
      *std::strrchr(folder.data(), '/') = '\0';
      Path whole;
      if (!print(whole, "%s%s", folder.data(), below)) continue;
      DIR* const entries = opendir(whole.data());
      if (entries == nullptr) continue;
      while (const dirent* const entry = readdir(entries)) {
        Path path;
        dev_t found{};
        if (entry->d_type != DT_LNK || !print(path, "%s/%s", whole.data(), entry->d_name)) continue;
        if (is_terminal_device(path.data(), &found) && found == device) {
          add_name(path.data(), address);
        }
      }
      closedir(entries);
    }
  }
}

// ------------------------------------------------------------------------------------------------
// Settings

// FTDI adapters keep bytes for 16 ms unless they are asked not to. Others know no such thing.
void ask_for_low_latency(int descriptor) {
  serial_struct serial{};
  if (ioctl(descriptor, TIOCGSERIAL, &serial) != 0) return;
  const auto flags = static_cast<unsigned>(serial.flags);
  if ((flags & ASYNC_LOW_LATENCY) != 0) return;
  serial.flags = static_cast<int>(flags | ASYNC_LOW_LATENCY);
  static_cast<void>(ioctl(descriptor, TIOCSSERIAL, &serial));
}

// `settings` as the robot needs them. False where the library knows no such speed.
bool make_right(termios* settings) {
  settings->c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | INPCK | ISTRIP | INLCR |
                                              IGNCR | ICRNL | IUCLC | IXON | IXOFF | IXANY);
  settings->c_oflag &= ~static_cast<tcflag_t>(OPOST);
  settings->c_lflag &=
      ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN | EXTPROC | TOSTOP);
  // Closing the port must leave the lines DTR and RTS alone.
  settings->c_cflag &=
      ~static_cast<tcflag_t>(CSIZE | PARENB | CMSPAR | CSTOPB | CRTSCTS | HUPCL | CIBAUD);
  settings->c_cflag |= CS8 | CREAD | CLOCAL;
  // A silent port answers read() with EAGAIN, so that 0 means one thing only: it was hung up.
  settings->c_cc[VMIN] = 1;
  settings->c_cc[VTIME] = 0;
  // Not cfsetospeed(): headers of glibc 2.42 (zig has them) say 115200, of which older libraries
  // know by cfsetspeed() alone.
  return cfsetspeed(settings, B115200) == 0;
}

bool are_equal(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag &&
         a.c_lflag == b.c_lflag && a.c_cc[VMIN] == b.c_cc[VMIN] && a.c_cc[VTIME] == b.c_cc[VTIME] &&
         cfgetospeed(&a) == cfgetospeed(&b);
}

// Whether bytes pass both ways as they are; what else differs some port may not know.
bool passes_bytes(const termios& settings) {
  termios right = settings;
  if (!make_right(&right)) return false;
  constexpr tcflag_t kMayDiffer = HUPCL | CLOCAL;
  right.c_cflag = (right.c_cflag & ~kMayDiffer) | (settings.c_cflag & kMayDiffer);
  return are_equal(settings, right);
}

// Who interprets the port's bytes: with another line discipline than the usual one a port is not
// even a terminal to those who ask. Answers whether somebody else did.
bool mend_discipline(int descriptor) {
  int discipline = N_TTY;
  const int right = N_TTY;
  return ioctl(descriptor, TIOCGETD, &discipline) == 0 && discipline != N_TTY &&
         ioctl(descriptor, TIOCSETD, &right) == 0;
}

// Who may use the port, which no termios tells.
void mend_use(int descriptor) {
  int is_exclusive = 0;
  if (ioctl(descriptor, TIOCGEXCL, &is_exclusive) == 0 && is_exclusive != 0) {
    static_cast<void>(ioctl(descriptor, TIOCNXCL));
  }
  // Output that was halted goes on; nothing is lost of it.
  static_cast<void>(tcflow(descriptor, TCOON));
}

// A descriptor of the path where it leads to the device that was; else a negative errno value.
int open_same(const char* path, PortAddress* address, const SystemFolders& folders) {
  dev_t device{};
  if (!is_terminal_device(path, &device)) {
    struct stat status {};
    return stat(path, &status) != 0 ? -errno : -ENOTTY;
  }
  if (!is_same(device, *address, folders)) return -ENODEV;
  const int descriptor = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  struct stat status {};
  int error = 0;
  if (fstat(descriptor, &status) != 0) {
    error = errno;
  } else if (status.st_rdev != device) {
    error = ENODEV;  // the name has come to mean something else just now
  } else {
    error = std::max(0, -prepare_serial_port(descriptor));
  }
  if (error == 0) {
    ask_for_low_latency(descriptor);
    add_path(path, address);
    if (address->node[0] == '\0') {
      identify(device, folders, &address->identity);
      find_stable_name(device, address);
      add_links(device, address);
    }
    print(address->node, "%s", path);
    return descriptor;
  }
  close(descriptor);
  return -error;
}

}  // namespace

int open_serial_port(PortAddress* address, const SystemFolders& folders) {
  const int first = open_same(address->given.data(), address, folders);
  if (first >= 0 || address->node[0] == '\0') return first;
  if (address->stable[0] != '\0') {
    const Path stable = address->stable;
    const int descriptor = open_same(stable.data(), address, folders);
    if (descriptor >= 0) return descriptor;
  }
  if (address->identity[0] == '\0') return first;
  int descriptor = first;
  visit_adapters(folders, [&](const Path& path) {
    descriptor = open_same(path.data(), address, folders);
    return descriptor >= 0;
  });
  return descriptor >= 0 ? descriptor : first;
}

int claim_serial_port(int descriptor) {
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? EBUSY : errno;
  return tcflush(descriptor, TCIFLUSH) == 0 ? 0 : errno;
}

int prepare_serial_port(int descriptor) {
  const bool is_mended = mend_discipline(descriptor);
  termios settings{};
  if (tcgetattr(descriptor, &settings) != 0) return -errno;
  mend_use(descriptor);
  termios right = settings;
  if (!make_right(&right)) return -EINVAL;
  if (are_equal(settings, right)) return is_mended ? kPortMended : kPortUnchanged;
  if (tcsetattr(descriptor, TCSANOW, &right) != 0) return -errno;
  termios now{};
  if (tcgetattr(descriptor, &now) != 0) return -errno;
  if (!passes_bytes(now)) return -EINVAL;
  ask_for_low_latency(descriptor);
  return is_mended || !passes_bytes(settings) ? kPortMended : kPortUnchanged;
}

void set_serial_wake_line(int descriptor, bool is_low) {
  int line = TIOCM_RTS;
  static_cast<void>(ioctl(descriptor, is_low ? TIOCMBIC : TIOCMBIS, &line));
}

void discard_serial_output(int descriptor) {
  static_cast<void>(tcflush(descriptor, TCOFLUSH));
}

// tcdrain() alone would wait for ever for a port that is halted: it comes when only the hardware's
// own few bytes are left.
void drain_serial_output(int descriptor) {
  for (int i = 0; i < 100; ++i) {
    int waiting = 0;
    if (ioctl(descriptor, TIOCOUTQ, &waiting) != 0) return;
    if (waiting == 0) break;
    if (i == 99) return;
    poll(nullptr, 0, 10);
  }
  static_cast<void>(tcdrain(descriptor));
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
    case EBUSY: {
      std::vector<PortUser> users = port_users(path);
      std::erase_if(users, [](const PortUser& user) {
        return user.how != PortUser::How::kHasItOpen && user.how != PortUser::How::kHasTheLock;
      });
      return trouble + "; another program has it" +
             (users.empty()
                  ? ", perhaps another run or a modem manager: `sudo fuser " + path + "` says which"
                  : ": " + port_user_names(users));
    }
    case ENOTTY:
    case EISDIR:
    case EINVAL:
      return path + ": is not a serial port; " + kListPorts;
    default:
      return trouble;
  }
}

std::vector<std::string> serial_port_warnings(const std::string& path) {
  std::vector<std::string> warnings;
  for (const PortTrouble& trouble : port_troubles(path)) {
    warnings.push_back(path + ": " + trouble.text +
                       ": it may take the robot's bytes and change the port's settings; " +
                       trouble.mend);
  }
  return warnings;
}

}  // namespace instep

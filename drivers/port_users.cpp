#include "drivers/port_users.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "runtime/realtime/guardian.h"

namespace instep {
namespace {

namespace fs = std::filesystem;
using How = PortUser::How;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return "";
  return text.str();
}

// The port under all its names.
struct Port {
  fs::path file;  // links resolved
  struct stat status {};
  std::set<std::string> names;  // a word of a command line that means it
};

// The path, and all that it leads to as a link, though what it leads to is not there.
void add_links(const std::string& path, std::set<std::string>& names) {
  constexpr int kLinksMax = 16;
  std::error_code failed;
  fs::path link = fs::absolute(path, failed).lexically_normal();
  for (int i = 0; i < kLinksMax && !failed; ++i) {
    names.insert(link);
    const fs::path target = fs::read_symlink(link, failed);
    if (!failed) link = (link.parent_path() / target).lexically_normal();
  }
}

Port find_port(const std::string& path, const std::string& root) {
  Port port;
  std::error_code ignored;
  port.file = fs::canonical(path, ignored);
  if (port.file.empty()) port.file = path;
  static_cast<void>(stat(path.c_str(), &port.status));
  const std::string below_root = port.file.string().starts_with(root)
                                     ? port.file.string().substr(root.size())
                                     : port.file.string();
  port.names = {path, port.file.string(), below_root};
  // A pseudo-terminal's name is a number, which any command line may hold.
  const std::string name = port.file.filename().string();
  if (name.starts_with("tty")) port.names.insert(name);
  add_links(path, port.names);
  return port;
}

// Processes that hold a lock of the file: the system tells this of every user's.
std::set<pid_t> lock_holders(const Port& port, const std::string& root) {
  std::set<pid_t> processes;
  char file[64];
  std::snprintf(file, sizeof file, "%02x:%02x:%lu", major(port.status.st_dev),
                minor(port.status.st_dev), static_cast<unsigned long>(port.status.st_ino));
  std::istringstream lines(read_text(root + "/proc/locks"));
  // "1: FLOCK  ADVISORY  WRITE 612 00:05:1234 0 EOF"
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number;
    std::string kind;
    std::string rule;
    std::string access;
    pid_t process = 0;
    std::string what;
    words >> number >> kind >> rule >> access >> process >> what;
    if (what == file && process > 0) processes.insert(process);
  }
  return processes;
}

// Of this program's processes descriptors 0 to 2 do not count: they lead to a terminal or to
// /dev/null, which is no robot's port though somebody may name it as one.
bool has_it_open(const fs::path& process, const fs::path& file, bool is_ours = false) {
  std::error_code failed;
  for (fs::directory_iterator entry(process / "fd", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (is_ours && std::atoi(entry->path().filename().c_str()) <= STDERR_FILENO) continue;
    std::error_code ignored;
    if (fs::read_symlink(entry->path(), ignored) == file) return true;
  }
  return false;
}

// What a run says of its port (GuardianShared); whose files one may not see says nothing.
struct PortRecord {
  std::set<std::string> names;
  std::string open_now;  // which of them it has open; empty: none
};

PortRecord record_of(const fs::path& process) {
  PortRecord record;
  std::set<std::string> open;
  std::error_code failed;
  for (fs::directory_iterator entry(process / "fd", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code ignored;
    const std::string file = fs::read_symlink(entry->path(), ignored);
    open.insert(file);
    if (!file.starts_with(std::string("/memfd:") + kPortRecordName)) continue;
    std::istringstream text(read_text(entry->path()).c_str());  // to its first zero
    for (std::string name; std::getline(text, name);) record.names.insert(name);
  }
  for (const std::string& name : record.names) {
    if (open.contains(name)) record.open_now = name;
  }
  return record;
}

std::vector<std::string> words_of(const fs::path& process) {
  std::istringstream text(read_text(process / "cmdline"));
  std::vector<std::string> words;
  for (std::string word; std::getline(text, word, '\0');) words.push_back(word);
  return words;
}

// T or t in /proc/PID/stat, behind the name in brackets.
bool is_halted(const fs::path& process) {
  const std::string text = read_text(process / "stat");
  const std::size_t end = text.rfind(") ");
  return end != std::string::npos && end + 2 < text.size() &&
         (text[end + 2] == 'T' || text[end + 2] == 't');
}

// What udev has been told of the port.
bool has_property(const Port& port, const std::string& root, const std::string& property) {
  const std::string text =
      read_text(root + "/run/udev/data/c" + std::to_string(major(port.status.st_rdev)) + ":" +
                std::to_string(minor(port.status.st_rdev)));
  return text.find("E:" + property + "\n") != std::string::npos;
}

// brltty takes adapters of some braille displays, whose chips other cables have, too.
bool may_take(const std::string& name, const Port& port, const std::string& root) {
  if (name == "ModemManager") return !has_property(port, root, "ID_MM_DEVICE_IGNORE=1");
  return name == "brltty";
}

// The calling process's parents: a shell or sudo that has the port's name on its command line.
std::set<pid_t> parents_of_this_process() {
  std::set<pid_t> parents;
  for (pid_t process = getppid(); process > 0 && parents.insert(process).second;) {
    const std::string text = read_text("/proc/" + std::to_string(process) + "/stat");
    const std::size_t end = text.rfind(") ");
    if (end == std::string::npos) break;
    char state = 0;
    std::istringstream(text.substr(end + 2)) >> state >> process;
  }
  return parents;
}

bool is_instep(const PortUser& user) {
  const std::string program = user.command.empty() ? "" : fs::path(user.command[0]).filename();
  return user.name.starts_with("instep") || program.starts_with("instep");
}

// Whether a word of its command line is the port. Of this program's only the device is: a task or
// a folder may have a name that somebody takes for a port's.
bool names_it(const PortUser& user, const Port& port, bool is_ours) {
  constexpr std::string_view kDevice = "--device";
  for (std::size_t i = 1; i < user.command.size(); ++i) {
    const std::string& word = user.command[i];
    const bool is_device = user.command[i - 1] == kDevice || word.starts_with(kDevice);
    if (is_ours && !is_device) continue;
    if (port.names.contains(word.substr(word.find('=') + 1))) return true;  // npos + 1 is 0
  }
  return false;
}

std::string mend_of(const PortUser& user, const std::string& port) {
  if (user.name == "ModemManager") {
    return "sudo systemctl stop ModemManager (the package's udev rule keeps it off this port)";
  }
  if (user.name == "brltty") return "sudo systemctl disable --now brltty brltty-udev";
  if (user.name.find("getty") != std::string::npos || user.name == "login") {
    return "sudo systemctl disable --now serial-getty@" + port;
  }
  return "sudo kill " + std::to_string(user.process);
}

bool is_usb_port(const Port& port) {
  const std::string name = port.file.filename().string();
  return name.starts_with("ttyUSB") || name.starts_with("ttyACM");
}

}  // namespace

namespace {

// All processes but this one of which `how_of` answers true, which sets `how`.
template <class Judge>
std::vector<PortUser> processes_that(const std::string& root, const Judge& how_of) {
  std::vector<PortUser> users;
  std::error_code failed;
  for (fs::directory_iterator entry(root + "/proc", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    PortUser user;
    user.process = std::atoi(entry->path().filename().c_str());
    if (user.process <= 0 || (root.empty() && user.process == getpid())) continue;
    user.command = words_of(entry->path());
    std::istringstream(read_text(entry->path() / "comm")) >> user.name;
    if (!how_of(entry->path(), user)) continue;
    user.is_halted = is_halted(entry->path());
    users.push_back(std::move(user));
  }
  std::sort(users.begin(), users.end(),
            [](const PortUser& a, const PortUser& b) { return a.process < b.process; });
  return users;
}

}  // namespace

std::vector<PortUser> port_users(const std::string& path, const std::string& root) {
  const Port port = find_port(path, root);
  const std::set<pid_t> lockers = lock_holders(port, root);
  return processes_that(root, [&](const fs::path& process, PortUser& user) {
    user.has_lock = lockers.contains(user.process);
    const bool is_ours = is_instep(user);
    const PortRecord record = is_ours ? record_of(process) : PortRecord{};
    const auto is_its_name = [&](const std::string& name) { return port.names.contains(name); };
    user.knows_it = std::any_of(record.names.begin(), record.names.end(), is_its_name);
    user.port_now = record.open_now;
    if (has_it_open(process, port.file, is_ours)) {
      user.how = How::kHasItOpen;
    } else if (user.has_lock) {
      user.how = How::kHasTheLock;
    } else if (is_usb_port(port) && may_take(user.name, port, root)) {
      user.how = How::kMayTakeIt;
    } else if (user.knows_it) {
      user.how = How::kKnowsIt;
    } else if (names_it(user, port, is_ours)) {
      user.how = How::kNamesIt;
    } else {
      return false;
    }
    return true;
  });
}

std::vector<PortUser> lock_users(const std::string& name, const std::string& root) {
  // "0000000000000000: 00000002 00000000 00010000 0001 01 12345 @instep/127.0.0.1"
  std::istringstream lines(read_text(root + "/proc/net/unix"));
  std::string socket;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    std::string inode;
    for (int i = 0; i < 7; ++i) words >> inode;
    if (words >> word && word == '@' + name) socket = "socket:[" + inode + ']';
  }
  if (socket.empty()) return {};
  return processes_that(root, [&socket](const fs::path& process, PortUser& user) {
    user.how = How::kHasTheLock;
    user.has_lock = true;
    return has_it_open(process, socket);
  });
}

bool is_console(const std::string& path, const std::string& root) {
  std::istringstream names(read_text(root + "/sys/class/tty/console/active"));
  const std::string name = find_port(path, root).file.filename().string();
  for (std::string console; names >> console;) {
    if (console == name) return true;
  }
  return false;
}

std::vector<PortTrouble> port_troubles(const std::string& path, const std::string& root) {
  const std::string name = find_port(path, root).file.filename();
  const std::set<pid_t> parents = root.empty() ? parents_of_this_process() : std::set<pid_t>{};
  std::vector<PortTrouble> troubles;
  for (const PortUser& user : port_users(path, root)) {
    if (is_instep(user) || parents.contains(user.process)) continue;
    const bool is_certain = user.how == How::kHasItOpen || user.how == How::kHasTheLock;
    const std::string who = port_user_names({user});
    troubles.push_back({who + (is_certain ? " has it open, too" : " may open it, too"),
                        mend_of(user, name), is_certain});
  }
  if (is_console(path, root)) {
    troubles.push_back({"the kernel writes its messages to it",
                        "take console=" + name + " out of the kernel's command line, then restart",
                        true});
  }
  return troubles;
}

std::string port_user_names(const std::vector<PortUser>& users) {
  std::string text;
  for (const PortUser& user : users) {
    text += (text.empty() ? "process " : ", process ") + std::to_string(user.process) + " (" +
            user.name + ')';
  }
  return text;
}

}  // namespace instep

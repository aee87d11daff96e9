// Who else uses a port, as the system tells of it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace instep {

struct PortUser {
  enum class How {
    kHasItOpen,
    kHasTheLock,  // of the port, of a user whose files cannot be looked at; or of a host
    kNamesIt,     // on its command line
    kKnowsIt,     // see knows_it
    kMayTakeIt,   // a service that opens every port it finds, unless it is told not to
  };

  pid_t process = 0;
  std::string name;                  // as the system calls it, at most 15 bytes
  std::vector<std::string> command;  // its words
  How how = How::kHasItOpen;
  bool has_lock = false;   // of the file, as the system lists them, or of the host
  bool knows_it = false;   // a run of this user that has had it open, by any of its names
  bool is_halted = false;  // by SIGSTOP or a debugger
  std::string port_now;    // of a run that knows it: where it has it open; empty: nowhere
};

// The processes that have or may take the port, without the calling one, by their numbers. `root`:
// the folder of the system's files, "" for this machine. Leaves out what the system does not tell;
// never throws for a missing file.
std::vector<PortUser> port_users(const std::string& path, const std::string& root = "");

// The processes that hold a local socket of that name in no folder, without the calling one.
std::vector<PortUser> lock_users(const std::string& name, const std::string& root = "");

// Whether the kernel writes its messages to the port.
bool is_console(const std::string& path, const std::string& root = "");

// One reason against a run on the port, and what to do about it.
struct PortTrouble {
  std::string text;  // "process 612 (agetty) has it open, too"
  std::string mend;
  bool is_certain = true;  // false: it may happen
};

// Everybody but instep itself and the programs that have started this one; the console.
std::vector<PortTrouble> port_troubles(const std::string& path, const std::string& root = "");

// Names them for people: "process 612 (agetty)", joined by commas.
std::string port_user_names(const std::vector<PortUser>& users);

}  // namespace instep

// The rights that punctuality needs: judged by what the system did, explained by what it says.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace instep {

// What the system answered to who asked: 0 or errno values.
struct Rights {
  int priority_error = 0;  // a thread wanted a real-time priority
  int lock_error = 0;      // memory was to be locked
};

// Asks for both, with a thread that ends at once and memory that is given back. Throws
// std::system_error where no thread can be started.
Rights try_rights();

// What stands in a file of one value, without the end of line; nothing where it cannot be read.
std::optional<std::string> read_value(const std::string& path);
// The rest of the line that begins so, without blanks in front; nothing where there is none.
std::optional<std::string> rest_of_line(const std::string& text, const std::string& begin);

// Who this process is and what it may do, as the files below `root` tell; "" is this machine.
struct Identity {
  std::uint64_t capabilities = 0;
  std::uint64_t user = 0;
  std::set<std::uint64_t> groups;
  std::int64_t priority_max = 0;
  std::int64_t locked_bytes_max = 0;

  bool has(int capability) const { return (capabilities >> capability & 1U) != 0; }
};
inline constexpr int kCapDacOverride = 1;  // numbers of linux/capability.h
inline constexpr int kCapIpcLock = 14;
inline constexpr int kCapSysNice = 23;
Identity read_identity(const std::string& root);

// Whether this process lives in a container, where groups of users and limits are the host's
// matter.
bool is_in_container(const std::string& root);

// What the files say of it beforehand: whether a limit stands against either.
Rights expected_rights(const Identity& identity);

// The command that mends a refused priority, or a refused lock.
std::string priority_mend(const std::string& root);
std::string lock_mend(const std::string& root);

// What gives a control group time for real-time priorities.
inline constexpr const char* kRealTimeGroupMend =
    "sudo sysctl --write kernel.sched_rt_runtime_us=-1; to keep it: echo "
    "kernel.sched_rt_runtime_us=-1 | sudo tee /etc/sysctl.d/90-instep.conf";

// What is refused to a run, what that means, and what to do about it; empty where nothing is.
std::string rights_warning(const std::string& root, const Rights& rights);

}  // namespace instep

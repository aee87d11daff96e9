#include "tools/library/measure/rights.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/realtime/thread.h"

namespace instep {
namespace {

constexpr const char* kContainerMend =
    "start the container with --cap-add=SYS_NICE --ulimit rtprio=99 --ulimit memlock=-1";
constexpr const char* kContainerGroupMend =
    "give the container time for real-time priorities: start it with --cpu-rt-runtime=950000 and "
    "its daemon with as much, or on the host: sudo sysctl --write kernel.sched_rt_runtime_us=-1";
// The soft limit: the first number of the line, or "unlimited".
std::int64_t soft_limit(const std::string& limits, const std::string& name) {
  const std::string value = rest_of_line(limits, name).value_or("0");
  if (value.starts_with("unlimited")) return INT64_MAX;
  std::int64_t number = 0;
  std::istringstream(value) >> number;
  return number;
}

bool has_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

Rights try_rights() {
  Rights rights;
  start_thread("a thread that tries a real-time priority", [&rights] {
    rights.priority_error = become_realtime("instep-trial", kIoPriority);
  }).join();
  rights.lock_error = lock_memory();
  munlockall();
  return rights;
}

std::optional<std::string> read_value(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return std::nullopt;
  std::string value = text.str();
  // Files of the device tree end with a zero byte.
  const auto is_end = [](char c) { return c == '\0' || c == '\n' || c == ' '; };
  while (!value.empty() && is_end(value.back())) value.pop_back();
  return value;
}

std::optional<std::string> rest_of_line(const std::string& text, const std::string& begin) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(begin)) continue;
    const std::size_t at = line.find_first_not_of(" \t", begin.size());
    return at == std::string::npos ? "" : line.substr(at);
  }
  return std::nullopt;
}

Identity read_identity(const std::string& root) {
  Identity identity;
  const std::string status = read_value(root + "/proc/self/status").value_or("");
  const std::string limits = read_value(root + "/proc/self/limits").value_or("");
  std::istringstream(rest_of_line(status, "CapEff:").value_or("0")) >> std::hex >>
      identity.capabilities;
  // Real, effective, saved, file system: the second counts.
  std::uint64_t real = 0;
  std::uint64_t group = 0;
  std::istringstream(rest_of_line(status, "Uid:").value_or("0 0")) >> real >> identity.user;
  std::istringstream(rest_of_line(status, "Gid:").value_or("0 0")) >> real >> group;
  identity.groups.insert(group);
  std::istringstream groups(rest_of_line(status, "Groups:").value_or(""));
  while (groups >> group) identity.groups.insert(group);
  identity.priority_max = soft_limit(limits, "Max realtime priority");
  identity.locked_bytes_max = soft_limit(limits, "Max locked memory");
  return identity;
}

bool is_in_container(const std::string& root) {
  for (const char* mark : {"/.dockerenv", "/run/.containerenv", "/run/systemd/container"}) {
    if (has_file(root + mark)) return true;
  }
  const std::string groups = read_value(root + "/proc/1/cgroup").value_or("");
  for (const char* word : {"docker", "kubepods", "containerd", "libpod", "lxc", "podman"}) {
    if (groups.find(word) != std::string::npos) return true;
  }
  // Readable by root alone.
  const std::string environment = read_value(root + "/proc/1/environ").value_or("");
  return ('\0' + environment).find(std::string("\0container=", 11)) != std::string::npos;
}

Rights expected_rights(const Identity& identity) {
  const bool may_hurry = identity.has(kCapSysNice) || identity.priority_max >= kIoPriority;
  const bool may_lock =
      identity.has(kCapIpcLock) || identity.locked_bytes_max >= kLockedBytesWanted;
  return {.priority_error = may_hurry ? 0 : EPERM, .lock_error = may_lock ? 0 : ENOMEM};
}

std::string priority_mend(const std::string& root) {
  const bool is_container = is_in_container(root);
  // Where no limit stands against it, a control group does: in kernels with CONFIG_RT_GROUP_SCHED
  // one of cgroup v1 has no real-time budget until it is given one.
  if (expected_rights(read_identity(root)).priority_error == 0)
    return is_container ? kContainerGroupMend : kRealTimeGroupMend;
  return is_container ? kContainerMend : kRightsAdvice;
}

std::string lock_mend(const std::string& root) {
  return is_in_container(root) ? kContainerMend : kRightsAdvice;
}

std::string rights_warning(const std::string& root, const Rights& rights) {
  std::string text;
  const auto add = [&text](const char* what, int error, const std::string& mend) {
    if (error == 0) return;
    if (!text.empty()) text += '\n';
    text += std::string("instep: warning: ") + what + " (" + std::strerror(error) + "): " + mend;
  };
  add("a real-time priority was refused, so that ticks may be late under load",
      rights.priority_error, priority_mend(root));
  add("locking memory was refused, so that ticks may wait for pages", rights.lock_error,
      lock_mend(root));
  return text;
}

}  // namespace instep

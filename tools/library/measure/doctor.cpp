#include "tools/library/measure/doctor.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "drivers/port_users.h"
#include "runtime/cuda/libcuda.h"
#include "runtime/realtime/thread.h"
#include "tools/library/error.h"
#include "tools/library/measure/machine.h"
#include "tools/library/run/child_runs.h"
#include "tools/library/run/session.h"

namespace instep {
namespace {

namespace fs = std::filesystem;
using Level = Finding::Level;

bool has_file(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Names in a folder that begin with one of these, sorted; none where there is no such folder.
std::vector<std::string> names_in(const std::string& folder,
                                  const std::vector<std::string>& prefixes) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const auto begins = [&name](const std::string& prefix) { return name.starts_with(prefix); };
    if (std::any_of(prefixes.begin(), prefixes.end(), begins)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string joined(const std::set<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// Of "# R32 (release), REVISION: 7.1, ...", which is L4T 32.7.1.
struct TegraRelease {
  int major = 0;
  std::string revision;
};

std::optional<TegraRelease> parse_tegra_release(const std::string& text) {
  TegraRelease release;
  char revision[16] = "";
  if (std::sscanf(text.c_str(), "# R%d (release), REVISION: %15[0-9.]", &release.major, revision) !=
      2)
    return std::nullopt;
  release.revision = revision;
  return release;
}

// NVIDIA's own packages, with the drivers that are built for that kernel: without those neither GPU
// nor display works. They lie in a repository of their own, named by the minor release.
std::string jetson_kernel_advice(const std::string& text) {
  const auto release = parse_tegra_release(text);
  if (!release || release->major < 36) return "build NVIDIA's kernel with its real-time patches";
  const std::string name = "r" + std::to_string(release->major) + "." +
                           release->revision.substr(0, release->revision.find('.'));
  return "echo 'deb https://repo.download.nvidia.com/jetson/rt-kernel " + name +
         " main' | sudo tee /etc/apt/sources.list.d/nvidia-l4t-rt-kernel.list && sudo apt-get "
         "update && sudo apt-get install nvidia-l4t-rt-kernel nvidia-l4t-rt-kernel-headers "
         "nvidia-l4t-rt-kernel-oot-modules nvidia-l4t-display-rt-kernel" +
         (release->major >= 38 ? " (on Thor nvidia-l4t-rt-kernel-openrm as well)" : "") +
         ", then start it";
}

Finding check_kernel(const std::string& root) {
  const std::string version = read_value(root + "/proc/version").value_or("unknown kernel");
  const std::string name = version.substr(0, version.find(" ("));
  const auto says = [&version](const char* word) {
    return version.find(word) != std::string::npos;
  };
  if (read_value(root + "/sys/kernel/realtime") == "1" || says("PREEMPT_RT") || says("PREEMPT RT"))
    return {"kernel", Level::kGood, name + ", fully pre-emptible (PREEMPT_RT)", ""};
  const char* kind =
      says("PREEMPT") ? "pre-emptible, but without a bound (no PREEMPT_RT)" : "not pre-emptible";
  const auto release = read_value(root + "/etc/nv_tegra_release");
  return {"kernel", Level::kBad, name + ", " + kind,
          release
              ? jetson_kernel_advice(*release)
              : "sudo apt-get install linux-image-rt-$(dpkg --print-architecture), then start it",
          kLongPeriodS};
}

Finding check_priority(const std::string& root, const Rights& rights) {
  if (rights.priority_error == 0)
    return {"priority", Level::kGood,
            "a thread was given the real-time priority " + std::to_string(kIoPriority), ""};
  return {"priority", Level::kBad,
          "the real-time priority " + std::to_string(kIoPriority) +
              " is refused: " + std::strerror(rights.priority_error),
          priority_mend(root)};
}

// That of services beside that of this process, which check_priority() has tried.
void check_service_group(const std::string& root, std::vector<Finding>& findings) {
  if (read_value(root + "/sys/fs/cgroup/cpu/system.slice/cpu.rt_runtime_us") != "0") return;
  if (read_value(root + "/proc/sys/kernel/sched_rt_runtime_us") == "-1") return;
  findings.push_back({"service_group", Level::kBad,
                      "services (control group /system.slice) have no time for real-time "
                      "priorities",
                      kRealTimeGroupMend});
}

Finding check_memory_lock(const std::string& root, const Rights& rights) {
  const std::string bytes = std::to_string(kLockedBytesWanted >> 20) + " MiB of memory";
  if (rights.lock_error == 0) return {"memory_lock", Level::kGood, bytes + " could be locked", ""};
  return {"memory_lock", Level::kBad,
          "locking " + bytes + " is refused: " + std::strerror(rights.lock_error), lock_mend(root)};
}

// Whether the clocks of every core that has clocks stand still; as jetson_clocks leaves them.
bool are_clocks_pinned(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/cpu/";
  bool is_any = false;
  for (const std::string& core : names_in(folder, {"cpu"})) {
    const auto highest = read_value(folder + core + "/cpufreq/scaling_max_freq");
    if (!highest) continue;
    if (read_value(folder + core + "/cpufreq/scaling_min_freq") != highest) return false;
    is_any = true;
  }
  return is_any;
}

// The different values of one file of every processor core's frequency control.
std::set<std::string> frequency_values(const std::string& root, const std::string& file) {
  std::set<std::string> values;
  const std::string folder = root + "/sys/devices/system/cpu/";
  for (const std::string& core : names_in(folder, {"cpu"})) {
    if (const auto value = read_value(folder + core + "/cpufreq/" + file)) values.insert(*value);
  }
  return values;
}

Finding check_governor(const std::string& root) {
  const std::set<std::string> governors = frequency_values(root, "scaling_governor");
  if (governors.empty())
    return {"governor", Level::kGood, "none: the kernel does not change the clocks", ""};
  if (governors == std::set<std::string>{"performance"})
    return {"governor", Level::kGood, "performance on every core", ""};
  if (are_clocks_pinned(root))
    return {"governor", Level::kGood, joined(governors) + ", with nothing to choose: pinned", ""};
  return {"governor", Level::kBad, joined(governors) + ": clocks follow the load, late",
          "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
          kLongPeriodS};
}

Finding check_isolated_cores(const std::string& root) {
  const std::string cores = read_value(root + "/sys/devices/system/cpu/isolated").value_or("");
  if (!cores.empty()) {
    return {"isolated_cores", Level::kGood, cores + ": a run with --core takes one of them", ""};
  }
  // "0-3", or "0,2-3" where some are switched off.
  const std::string online = read_value(root + "/sys/devices/system/cpu/online").value_or("0");
  const std::size_t before_last = online.find_last_of(",-");
  if (before_last == std::string::npos) {
    return {"isolated_cores", Level::kAdvice, "none: other programs share the only core",
            "stop every program that the robot does not need, or take a machine of several cores"};
  }
  const std::string core = online.substr(before_last + 1);
  const std::string words = "add isolcpus=" + core + " nohz_full=" + core + " rcu_nocbs=" + core;
  return {"isolated_cores", Level::kAdvice, "none: other programs share every core",
          words +
              (has_file(root + "/boot/extlinux/extlinux.conf")
                   ? " to APPEND in /boot/extlinux/extlinux.conf, then restart"
                   : " to GRUB_CMDLINE_LINUX in /etc/default/grub, then sudo update-grub, then "
                     "restart") +
              ", and give each run --core " + core};
}

Finding check_clock_source(const std::string& root) {
  const auto source =
      read_value(root + "/sys/devices/system/clocksource/clocksource0/current_clocksource");
  if (!source) return {"clock_source", Level::kAdvice, "unknown", "mount -t sysfs sysfs /sys"};
  // Those that are read without entering the kernel.
  const std::set<std::string> fast = {"tsc", "arch_sys_counter", "kvm-clock"};
  if (fast.contains(*source)) return {"clock_source", Level::kGood, *source, ""};
  return {"clock_source", Level::kBad, *source + ": reading the time enters the kernel",
          "cat /sys/devices/system/clocksource/clocksource0/available_clocksource, then add "
          "clocksource=NAME to the kernel's command line"};
}

bool may_use(const struct stat& status, const Identity& identity) {
  if (identity.has(kCapDacOverride)) return true;
  constexpr mode_t kReadWrite = 06;
  mode_t mode = status.st_mode;
  if (status.st_uid == identity.user) {
    mode >>= 6;
  } else if (identity.groups.contains(status.st_gid)) {
    mode >>= 3;
  }
  return (mode & kReadWrite) == kReadWrite;
}

void check_serial_ports(const std::string& root, const Identity& identity,
                        std::vector<Finding>& findings) {
  const std::vector<std::string> ports =
      names_in(root + "/dev", {"ttyUSB", "ttyACM", "ttyTHS", "ttyAMA"});
  if (ports.empty())
    findings.push_back({"serial", Level::kGood, "no serial port of a robot is there", ""});
  for (const std::string& port : ports) {
    struct stat status {};
    const bool usable =
        stat((root + "/dev/" + port).c_str(), &status) == 0 && may_use(status, identity);
    findings.push_back({"serial", usable ? Level::kGood : Level::kBad,
                        "/dev/" + port + (usable ? " may be used" : " may not be read and written"),
                        usable ? "" : kRightsAdvice});
    for (const PortTrouble& trouble : port_troubles(root + "/dev/" + port, root)) {
      findings.push_back({"serial_user", trouble.is_certain ? Level::kBad : Level::kAdvice,
                          "/dev/" + port + ": " + trouble.text, trouble.mend});
    }
  }
  // FTDI's chips hold bytes back for so many milliseconds.
  const std::string folder = root + "/sys/bus/usb-serial/devices/";
  for (const std::string& port : names_in(folder, {"ttyUSB"})) {
    const auto milliseconds = read_value(folder + port + "/latency_timer");
    if (!milliseconds) continue;
    const bool short_enough = *milliseconds == "1";
    findings.push_back({"ftdi_latency", short_enough ? Level::kGood : Level::kBad,
                        "/dev/" + port + " holds bytes back for " + *milliseconds + " ms",
                        short_enough ? ""
                                     : "echo 1 | sudo tee /sys/bus/usb-serial/devices/" + port +
                                           "/latency_timer (the package's udev rule does it)"});
  }
}

// For robots with an address. Interfaces without hardware, as containers have, lead to none.
void check_network(const std::string& root, std::vector<Finding>& findings) {
  const std::string folder = root + "/sys/class/net/";
  std::vector<std::string> wired;
  std::vector<std::string> wireless;
  for (const std::string& name : names_in(folder, {""})) {
    const bool is_up = read_value(folder + name + "/operstate") == "up";
    if (!is_up || !has_file(folder + name + "/device")) continue;
    const bool is_radio =
        has_file(folder + name + "/wireless") || has_file(folder + name + "/phy80211");
    (is_radio ? wireless : wired).push_back(name);
  }
  for (const std::string& name : wired) {
    const bool is_half = read_value(folder + name + "/duplex") == "half";
    findings.push_back(
        {"network", is_half ? Level::kAdvice : Level::kGood,
         name + (is_half ? " sends or receives, and not both at once: a robot's packets come late"
                         : " is up, by cable"),
         is_half ? "sudo ethtool --change " + name + " autoneg on; then look at cable and switch"
                 : ""});
  }
  if (wired.empty() && !wireless.empty()) {
    findings.push_back({"network", Level::kAdvice,
                        wireless.front() +
                            " is the only network, by radio: a robot's packets may come "
                            "hundreds of milliseconds late",
                        "connect a robot that has an address by cable, or at least: sudo iw dev " +
                            wireless.front() + " set power_save off"});
  }
  if (wired.empty() && wireless.empty()) {
    findings.push_back({"network", Level::kGood, "no network of a robot is up", ""});
  }
}

std::string jetpack_text(const std::string& text) {
  const auto release = parse_tegra_release(text);
  if (!release) return "unknown release: " + text.substr(0, 40);
  const char* jetpack = release->major == 32                           ? "JetPack 4"
                        : release->major == 35                         ? "JetPack 5"
                        : release->major == 36                         ? "JetPack 6"
                        : release->major == 38 || release->major == 39 ? "JetPack 7"
                                                                       : "an unknown JetPack";
  return std::string(jetpack) + " (L4T " + std::to_string(release->major) + "." +
         release->revision + ")";
}

// The modes that /etc/nvpmodel.conf names: < POWER_MODEL ID=0 NAME=MAXN >
std::map<int, std::string> power_modes(const std::string& root) {
  std::map<int, std::string> modes;
  std::istringstream lines(read_value(root + "/etc/nvpmodel.conf").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    int id = 0;
    char name[64] = "";
    if (std::sscanf(line.c_str(), " < POWER_MODEL ID=%d NAME=%63[^ >]", &id, name) == 2)
      modes[id] = name;
  }
  return modes;
}

// The mode without a limit: MAXN_SUPER where there is one, else MAXN; its number differs between
// boards. Nothing where no mode is named so.
std::optional<int> full_power_mode(const std::map<int, std::string>& modes) {
  for (const char* begin : {"MAXN_SUPER", "MAXN"}) {
    for (const auto& [id, name] : modes)
      if (name.starts_with(begin)) return id;
  }
  return std::nullopt;
}

Finding check_power_mode(const std::string& root) {
  int mode = -1;
  const std::string status = read_value(root + "/var/lib/nvpmodel/status").value_or("");
  if (std::sscanf(status.c_str(), "pmode:%d", &mode) != 1)
    return {"power_mode", Level::kAdvice, "unknown", "sudo nvpmodel --query"};
  const std::map<int, std::string> modes = power_modes(root);
  const auto named = modes.find(mode);
  const std::string text =
      std::to_string(mode) + " (" + (named == modes.end() ? "unknown" : named->second) + ")";
  const std::optional<int> full = full_power_mode(modes);
  if (full == mode) return {"power_mode", Level::kGood, text, ""};
  return {"power_mode", Level::kAdvice, text,
          full ? "sudo nvpmodel --mode " + std::to_string(*full) + " (" + modes.at(*full) + ")"
               : "grep POWER_MODEL /etc/nvpmodel.conf, then sudo nvpmodel --mode ID"};
}

Finding check_clocks(const std::string& root) {
  const bool pinned = are_clocks_pinned(root);
  return {"clocks", pinned ? Level::kGood : Level::kBad,
          pinned ? "pinned at " + joined(frequency_values(root, "scaling_max_freq")) + " kHz"
                 : "not pinned",
          pinned ? "" : "sudo jetson_clocks", kLongPeriodS};
}

Finding check_throttling(const std::string& root) {
  std::set<std::string> active;
  const std::string folder = root + "/sys/class/thermal/";
  for (const std::string& device : names_in(folder, {"cooling_device"})) {
    const std::string type = read_value(folder + device + "/type").value_or("");
    const std::string state = read_value(folder + device + "/cur_state").value_or("0");
    // A fan that turns slows nothing down.
    if (state != "0" && type.find("fan") == std::string::npos) active.insert(type);
  }
  if (active.empty()) return {"throttling", Level::kGood, "none now", ""};
  return {"throttling", Level::kBad, "slowed down by heat: " + joined(active),
          "let it cool, fit a fan, and run it: sudo jetson_clocks --fan"};
}

// A GPU's device files are for the groups video and render; without them `auto` takes the CPU.
void check_gpu(const std::string& root, const Identity& identity, std::vector<Finding>& findings) {
  std::set<std::string> refused;
  const std::vector<std::string> files = gpu_files(root);
  for (const std::string& file : files) {
    struct stat status {};
    if (stat((root + file).c_str(), &status) != 0 || !may_use(status, identity))
      refused.insert(file);
  }
  if (files.empty()) return;
  if (!refused.empty()) {
    findings.push_back({"gpu", Level::kAdvice, joined(refused) + " may not be read and written",
                        "for group in video render; do getent group $group && sudo usermod "
                        "--append --groups $group $USER; done, then log in again"});
    return;
  }
  // The driver's library is this machine's; opened in a process of its own, it leaves no trace.
  const std::string problem = root.empty() ? answer_of_child([] {
    std::string found;
    open_libcuda(found);
    return found;
  })
                                           : "";
  if (problem.empty()) {
    findings.push_back({"gpu", Level::kGood, joined({files.begin(), files.end()}), ""});
  } else {
    findings.push_back({"gpu", Level::kAdvice, "cannot be used: " + problem,
                        "instep train runs on the processor until that is mended"});
  }
}

void check_jetson(const std::string& root, std::vector<Finding>& findings) {
  const auto release = read_value(root + "/etc/nv_tegra_release");
  if (!release) return;
  const std::string model = read_value(root + "/proc/device-tree/model").value_or("unknown model");
  findings.push_back({"jetson", Level::kGood, model, ""});
  findings.push_back({"jetpack", Level::kGood, jetpack_text(*release), ""});
  findings.push_back(check_power_mode(root));
  findings.push_back(check_clocks(root));
  findings.push_back(check_throttling(root));
}

}  // namespace

const char* level_name(Finding::Level level) {
  switch (level) {
    case Level::kGood:
      return "good";
    case Level::kAdvice:
      return "advice";
    case Level::kBad:
      return "bad";
  }
  return "bad";
}

std::vector<Finding> examine_machine(const std::string& root, const Rights& rights) {
  const Identity identity = read_identity(root);
  std::vector<Finding> findings = {
      check_kernel(root),   check_priority(root, rights), check_memory_lock(root, rights),
      check_governor(root), check_isolated_cores(root),   check_clock_source(root)};
  check_service_group(root, findings);
  check_serial_ports(root, identity, findings);
  check_network(root, findings);
  check_gpu(root, identity, findings);
  check_jetson(root, findings);
  return findings;
}

std::vector<Finding> judged_by(std::vector<Finding> findings, double period_s) {
  for (Finding& finding : findings) {
    if (finding.level != Level::kBad || period_s < finding.matters_below_s) continue;
    finding.level = Level::kAdvice;
    char text[64];
    std::snprintf(text, sizeof text, "; a period of %.0f ms bears it", period_s * 1e3);
    finding.text += text;
  }
  return findings;
}

std::vector<Finding> examine_this_machine() {
  return examine_machine("", try_rights());
}

bool real_time_can_be_promised(const std::vector<Finding>& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.level == Level::kBad; });
}

std::vector<Finding> examine(const std::string& root, const std::string& task) {
  const TaskInfo* const info = task.empty() ? nullptr : &require_task(task);
  std::error_code ignored;
  if (!root.empty() && !fs::is_directory(root, ignored)) throw UsageError(root + " is no folder");
  std::vector<Finding> findings = root.empty()
                                      ? examine_this_machine()
                                      : examine_machine(root, expected_rights(read_identity(root)));
  return info == nullptr ? findings : judged_by(std::move(findings), info->period_s);
}

}  // namespace instep

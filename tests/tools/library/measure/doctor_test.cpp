// The doctor on machines that are folders: what Linux shows below /proc, /sys and /dev on a machine
// that is fit for real time, with one thing changed at a time.
#include "tools/library/measure/doctor.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "command.h"
#include "slow_world.h"
#include "tasks/registry.h"
#include "tools/instep/measure_commands.h"

namespace instep {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Level = Finding::Level;

class Machine {
 public:
  Machine() {
    put("proc/version", "Linux version 6.1.0-18-rt-amd64 (x@y) #1 SMP PREEMPT_RT Debian 6.1.76\n");
    set_identity("1000", "1000 20", "0000000000000000");
    set_limits("80", "unlimited");
    for (const char* core : {"cpu0", "cpu1"}) {
      const std::string folder = "sys/devices/system/cpu/" + std::string(core) + "/cpufreq/";
      put(folder + "scaling_governor", "performance\n");
      put(folder + "scaling_min_freq", "1479000\n");
      put(folder + "scaling_max_freq", "1479000\n");
    }
    put("sys/devices/system/cpu/isolated", "3\n");
    put("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
  }

  void put(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root() + '/' + path).parent_path());
    write_bytes(root() + '/' + path, text);
  }
  void set_identity(const std::string& user, const std::string& groups,
                    const std::string& capabilities) const {
    put("proc/self/status", "Name:\tinstep\nUid:\t0\t" + user +
                                "\t0\t0\nGid:\t0\t1000\t0\t0\nGroups:\t" + groups + " \nCapEff:\t" +
                                capabilities + "\n");
  }
  void set_limits(const std::string& priority, const std::string& locked) const {
    put("proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max locked memory         " +
            locked +
            "              unlimited            bytes     \n"
            "Max realtime priority     " +
            priority + "                    99                            \n");
  }
  // A Jetson Nano with JetPack 4.6.1 in its full power mode.
  void become_jetson() const {
    put("etc/nv_tegra_release", "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref\n");
    put("proc/device-tree/model", std::string("NVIDIA Jetson Nano Developer Kit\0", 33));
    put("var/lib/nvpmodel/status", "pmode:0000 fmode:fanNull\n");
    put("etc/nvpmodel.conf",
        "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=5W >\n");
    put("sys/class/thermal/cooling_device0/type", "pwm-fan\n");
    put("sys/class/thermal/cooling_device0/cur_state", "2\n");
    put("sys/class/thermal/cooling_device1/type", "cpu-balanced\n");
    put("sys/class/thermal/cooling_device1/cur_state", "0\n");
  }

  // The one finding of this name.
  Finding find(const std::string& check) const {
    std::vector<Finding> found;
    for (const Finding& finding : findings())
      if (finding.check == check) found.push_back(finding);
    EXPECT_EQ(found.size(), 1U) << check;
    return found.empty() ? Finding{} : found.front();
  }
  // As its limits lead one to expect.
  std::vector<Finding> findings() const {
    return examine_machine(root(), expected_rights(read_identity(root())));
  }
  bool is_fit() const { return real_time_can_be_promised(findings()); }
  const std::string& root() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST(Doctor, PromisesRealTimeOnAFitMachine) {
  const Machine machine;
  for (const Finding& finding : machine.findings()) {
    EXPECT_EQ(finding.level, Level::kGood) << finding.check << ": " << finding.text;
    EXPECT_THAT(finding.mend, IsEmpty()) << finding.check;
  }
  EXPECT_EQ(machine.find("kernel").text,
            "Linux version 6.1.0-18-rt-amd64, fully pre-emptible (PREEMPT_RT)");
}

TEST(Doctor, EveryUnfitThingBreaksThePromiseAndHasACommand) {
  struct Case {
    const char* check;
    const char* path;
    const char* text;
    const char* mend;
  };
  const Case cases[] = {
      {"kernel", "proc/version", "Linux version 6.1.0 (a@b) #1 SMP PREEMPT_DYNAMIC",
       "linux-image-rt"},
      {"kernel", "proc/version", "Linux version 6.1.0 (a@b) #1 SMP", "linux-image-rt"},
      {"governor", "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n", "tee"},
      {"clock_source", "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n",
       "clocksource="},
  };
  for (const Case& bad : cases) {
    const Machine machine;
    machine.put("sys/devices/system/cpu/cpu1/cpufreq/scaling_min_freq", "102000\n");
    EXPECT_TRUE(machine.is_fit());
    machine.put(bad.path, bad.text);
    const Finding finding = machine.find(bad.check);
    EXPECT_EQ(finding.level, Level::kBad) << bad.path;
    EXPECT_THAT(finding.mend, HasSubstr(bad.mend));
    EXPECT_FALSE(machine.is_fit());
  }
}

TEST(Doctor, KernelOlderThanTheWordInItsVersion) {
  const Machine machine;
  machine.put("proc/version", "Linux version 4.9.253-rt168 (a@b) #1 SMP PREEMPT Mon\n");
  EXPECT_FALSE(machine.is_fit());
  machine.put("sys/kernel/realtime", "1\n");
  EXPECT_TRUE(machine.is_fit());
}

TEST(Doctor, RightsAreOfTheLimitsOrOfCapabilities) {
  const Machine machine;
  machine.set_limits("79", "unlimited");
  EXPECT_EQ(machine.find("priority").level, Level::kBad);
  EXPECT_EQ(machine.find("memory_lock").level, Level::kGood);
  EXPECT_THAT(machine.find("priority").mend, HasSubstr("usermod"));
  machine.set_limits("99", "268435455");
  EXPECT_EQ(machine.find("priority").level, Level::kGood);
  EXPECT_EQ(machine.find("memory_lock").level, Level::kBad);
  machine.set_limits("99", "268435456");
  EXPECT_TRUE(machine.is_fit());
  machine.set_limits("0", "65536");
  EXPECT_FALSE(machine.is_fit());
  machine.set_identity("1000", "1000", "0000000000804000");  // CAP_SYS_NICE and CAP_IPC_LOCK
  EXPECT_TRUE(machine.is_fit());
}

// What the system answered counts, whatever limits say.
TEST(Doctor, RightsAreWhatTheSystemAnswered) {
  const Machine machine;
  const auto find = [&](const std::string& check, const Rights& rights) {
    for (const Finding& finding : examine_machine(machine.root(), rights)) {
      if (finding.check == check) return finding;
    }
    ADD_FAILURE() << check;
    return Finding{};
  };
  // No limit stands against it: it is the control group.
  const Finding refused = find("priority", {.priority_error = EPERM});
  EXPECT_EQ(refused.level, Level::kBad);
  EXPECT_THAT(refused.text, HasSubstr("Operation not permitted"));
  EXPECT_THAT(refused.mend, HasSubstr("sched_rt_runtime_us=-1"));
  EXPECT_EQ(find("memory_lock", {.priority_error = EPERM}).level, Level::kGood);
  EXPECT_THAT(find("memory_lock", {.lock_error = ENOMEM}).mend, HasSubstr("usermod"));
  machine.set_limits("0", "65536");
  EXPECT_EQ(find("priority", {}).level, Level::kGood) << "it was given one all the same";
  EXPECT_EQ(find("memory_lock", {}).level, Level::kGood);
  EXPECT_THAT(find("priority", {.priority_error = EPERM}).mend, HasSubstr("usermod"));
}

TEST(Doctor, ContainersGetTheirOwnAdvice) {
  for (const auto& [path, text] : std::vector<std::pair<std::string, std::string>>{
           {".dockerenv", ""},
           {"run/.containerenv", ""},
           {"run/systemd/container", "systemd-nspawn"},
           {"proc/1/cgroup", "0::/system.slice/docker-0123.scope\n"},
           {"proc/1/environ", std::string("PATH=/bin\0container=lxc\0", 24)}}) {
    const Machine machine;
    EXPECT_FALSE(is_in_container(machine.root()));
    machine.put("proc/1/cgroup", "0::/init.scope\n");
    machine.put("proc/1/environ", std::string("PATH=/bin\0mycontainer=x\0", 25));
    EXPECT_FALSE(is_in_container(machine.root()));
    machine.put(path, text);
    EXPECT_TRUE(is_in_container(machine.root())) << path;
    machine.set_limits("0", "65536");
    for (const char* check : {"priority", "memory_lock"}) {
      EXPECT_THAT(machine.find(check).mend, HasSubstr("--cap-add=SYS_NICE")) << check;
      EXPECT_THAT(machine.find(check).mend, HasSubstr("--ulimit memlock=-1"));
    }
    machine.set_limits("99", "unlimited");
    EXPECT_THAT(priority_mend(machine.root()), HasSubstr("--cpu-rt-runtime"));
  }
}

TEST(Doctor, ServicesWithoutRealTimeBudget) {
  const Machine machine;
  machine.put("sys/fs/cgroup/cpu/system.slice/cpu.rt_runtime_us", "0\n");
  EXPECT_EQ(machine.find("service_group").level, Level::kBad);
  EXPECT_THAT(machine.find("service_group").mend, HasSubstr("sched_rt_runtime_us=-1"));
  machine.put("proc/sys/kernel/sched_rt_runtime_us", "-1\n");
  EXPECT_TRUE(machine.is_fit());
}

// By a system that refuses: the command tries it.
TEST(Doctor, TriesIt) {
  SKIP_WITHOUT_SLOW_WORLD();
  const Rights own = try_rights();
  const auto priority = [](const CommandResult& result) {
    const auto json = nlohmann::json::parse(result.last_line());
    for (const auto& finding : json.at("findings")) {
      if (finding.at("check") == "priority") return finding.at("level").get<std::string>();
    }
    return std::string();
  };
  EXPECT_EQ(priority(run_command({"doctor", "--json"})), own.priority_error == 0 ? "good" : "bad");
  SlowWorld world;
  world->fifo_error = EPERM;
  EXPECT_EQ(priority(run_command({"doctor", "--json"})), "bad");
}

TEST(Doctor, SharedCoresAreAdviceOnly) {
  const Machine machine;
  machine.put("sys/devices/system/cpu/isolated", "\n");
  EXPECT_EQ(machine.find("isolated_cores").level, Level::kAdvice);
  for (const auto& [online, last] : std::vector<std::pair<std::string, std::string>>{
           {"0-1", "1"}, {"0-3", "3"}, {"0-7,12-15", "15"}, {"0,2", "2"}}) {
    machine.put("sys/devices/system/cpu/online", online + "\n");
    EXPECT_THAT(
        machine.find("isolated_cores").mend,
        HasSubstr("isolcpus=" + last + " nohz_full=" + last + " rcu_nocbs=" + last + " to"));
    EXPECT_THAT(machine.find("isolated_cores").mend, HasSubstr("--core " + last));
  }
  EXPECT_THAT(machine.find("isolated_cores").mend, HasSubstr("/etc/default/grub"));
  machine.put("boot/extlinux/extlinux.conf", "APPEND quiet\n");
  EXPECT_THAT(machine.find("isolated_cores").mend, HasSubstr("extlinux.conf"));
  machine.put("sys/devices/system/cpu/online", "0\n");
  EXPECT_EQ(machine.find("isolated_cores").level, Level::kAdvice);
  EXPECT_THAT(machine.find("isolated_cores").mend, Not(HasSubstr("isolcpus")));
  EXPECT_TRUE(machine.is_fit());
}

TEST(Doctor, SerialPortsAreForTheirOwnersAndGroups) {
  const Machine machine;
  machine.put("dev/ttyUSB0", "");
  const std::string port = machine.root() + "/dev/ttyUSB0";
  struct stat status {};
  ASSERT_EQ(stat(port.c_str(), &status), 0);
  const std::string owner = std::to_string(status.st_uid);
  const std::string group = std::to_string(status.st_gid);
  const auto level_with = [&](mode_t mode, const std::string& user, const std::string& groups,
                              const std::string& capabilities) {
    EXPECT_EQ(chmod(port.c_str(), mode), 0);
    machine.set_identity(user, groups, capabilities);
    return machine.find("serial").level;
  };
  EXPECT_EQ(level_with(0660, "4000", "4000 4001", "0"), Level::kBad);
  EXPECT_EQ(level_with(0660, "4000", "4000 " + group, "0"), Level::kGood);
  EXPECT_EQ(level_with(0640, "4000", "4000 " + group, "0"), Level::kBad);
  EXPECT_EQ(level_with(0606, "4000", "4000 " + group, "0"), Level::kBad);
  EXPECT_EQ(level_with(0606, "4000", "4000", "0"), Level::kGood);
  EXPECT_EQ(level_with(0600, owner, "4000", "0"), Level::kGood);
  EXPECT_EQ(level_with(0066, owner, "4000", "0"), Level::kBad);
  EXPECT_EQ(level_with(0000, "4000", "4000", "2"), Level::kGood);  // CAP_DAC_OVERRIDE
  machine.set_identity("4000", "4000", "0");
  EXPECT_THAT(machine.find("serial").mend, HasSubstr("dialout"));
  EXPECT_THAT(machine.find("serial").text, HasSubstr("/dev/ttyUSB0"));
}

TEST(Doctor, NamesWhoElseMayTakeAPort) {
  const Machine machine;
  machine.put("dev/ttyUSB0", "");
  machine.put("proc/612/comm", "agetty\n");
  machine.put("proc/612/cmdline", std::string("agetty\0ttyUSB0\0", 15));
  EXPECT_EQ(machine.find("serial_user").level, Level::kAdvice);
  EXPECT_THAT(machine.find("serial_user").text, HasSubstr("/dev/ttyUSB0: process 612 (agetty)"));
  std::filesystem::create_directories(machine.root() + "/proc/612/fd");
  std::filesystem::create_symlink(machine.root() + "/dev/ttyUSB0",
                                  machine.root() + "/proc/612/fd/0");
  EXPECT_EQ(machine.find("serial_user").level, Level::kBad);
  EXPECT_THAT(machine.find("serial_user").mend, HasSubstr("serial-getty@ttyUSB0"));
}

TEST(Doctor, LatencyTimerOfEveryFtdiPort) {
  const Machine machine;
  machine.put("sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "1\n");
  EXPECT_EQ(machine.find("ftdi_latency").level, Level::kGood);
  machine.put("sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "16\n");
  EXPECT_EQ(machine.find("ftdi_latency").level, Level::kBad);
  EXPECT_THAT(machine.find("ftdi_latency").text, HasSubstr("16 ms"));
  EXPECT_THAT(machine.find("ftdi_latency").mend, HasSubstr("devices/ttyUSB0/latency_timer"));
}

TEST(Doctor, LooksForTheNetworkOfARobotWithAnAddress) {
  const Machine machine;
  EXPECT_EQ(machine.find("network").level, Level::kGood);
  machine.put("sys/class/net/lo/operstate", "up\n");
  machine.put("sys/class/net/docker0/operstate", "up\n");
  EXPECT_THAT(machine.find("network").text, HasSubstr("no network"));
  machine.put("sys/class/net/wlan0/operstate", "up\n");
  machine.put("sys/class/net/wlan0/device/vendor", "");
  machine.put("sys/class/net/wlan0/phy80211/name", "");
  EXPECT_EQ(machine.find("network").level, Level::kAdvice);
  EXPECT_THAT(machine.find("network").mend, HasSubstr("iw dev wlan0 set power_save off"));
  machine.put("sys/class/net/eth0/operstate", "down\n");
  machine.put("sys/class/net/eth0/device/vendor", "");
  machine.put("sys/class/net/eth0/duplex", "half\n");
  EXPECT_THAT(machine.find("network").text, HasSubstr("wlan0"));
  machine.put("sys/class/net/eth0/operstate", "up\n");
  EXPECT_EQ(machine.find("network").level, Level::kAdvice);
  EXPECT_THAT(machine.find("network").text, HasSubstr("eth0"));
  machine.put("sys/class/net/eth0/duplex", "full\n");
  EXPECT_EQ(machine.find("network").level, Level::kGood);
}

TEST(Doctor, TellsWhatJetsonItIs) {
  const Machine machine;
  machine.become_jetson();
  EXPECT_TRUE(machine.is_fit());
  EXPECT_EQ(machine.find("jetson").text, "NVIDIA Jetson Nano Developer Kit");
  EXPECT_EQ(machine.find("jetpack").text, "JetPack 4 (L4T 32.7.1)");
  EXPECT_EQ(machine.find("power_mode").text, "0 (MAXN)");
  EXPECT_EQ(machine.find("clocks").text, "pinned at 1479000 kHz");
  EXPECT_EQ(machine.find("throttling").level, Level::kGood);
  machine.put("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 1\n");
  EXPECT_EQ(machine.find("jetpack").text, "JetPack 6 (L4T 36.4.3)");
  for (const auto& [release, text] : std::vector<std::pair<std::string, std::string>>{
           {"R35 (release), REVISION: 4.1", "JetPack 5 (L4T 35.4.1)"},
           {"R38 (release), REVISION: 2.0", "JetPack 7 (L4T 38.2.0)"},
           {"R39 (release), REVISION: 1.0", "JetPack 7 (L4T 39.1.0)"},
           {"R41 (release), REVISION: 0.0", "an unknown JetPack (L4T 41.0.0)"},
           {"something else", "unknown release: # something else, GCID: 1"}}) {
    machine.put("etc/nv_tegra_release", "# " + release + ", GCID: 1\n");
    EXPECT_EQ(machine.find("jetpack").text, text);
  }
}

TEST(Doctor, RealTimeKernelOfAJetsonComesFromItsRepositoryWithItsDrivers) {
  const Machine machine;
  machine.become_jetson();
  machine.put("proc/version", "Linux version 5.15.148-tegra (a@b) #1 SMP PREEMPT\n");
  EXPECT_THAT(machine.find("kernel").mend, HasSubstr("build NVIDIA's kernel"));
  for (const auto& [release, repository] : std::vector<std::pair<std::string, std::string>>{
           {"R36 (release), REVISION: 4.3", "r36.4"}, {"R38 (release), REVISION: 2.0", "r38.2"}}) {
    machine.put("etc/nv_tegra_release", "# " + release + ", GCID: 1\n");
    const std::string mend = machine.find("kernel").mend;
    EXPECT_THAT(mend, HasSubstr("https://repo.download.nvidia.com/jetson/rt-kernel " + repository +
                                " main"));
    for (const char* package : {"nvidia-l4t-rt-kernel ", "nvidia-l4t-rt-kernel-oot-modules",
                                "nvidia-l4t-display-rt-kernel"})
      EXPECT_THAT(mend, HasSubstr(package));
    EXPECT_EQ(mend.find("openrm") != std::string::npos, repository == "r38.2");
  }
}

TEST(Doctor, PinnedClocksAreNoBadGovernor) {
  const Machine machine;
  const std::string cpu = "sys/devices/system/cpu/";
  for (const char* core : {"cpu0", "cpu1"})
    machine.put(cpu + core + "/cpufreq/scaling_governor", "schedutil\n");
  EXPECT_EQ(machine.find("governor").level, Level::kGood);
  EXPECT_THAT(machine.find("governor").text, HasSubstr("pinned"));
  // Two clusters, each with its own clock.
  machine.become_jetson();
  machine.put(cpu + "cpu1/cpufreq/scaling_min_freq", "2000000\n");
  machine.put(cpu + "cpu1/cpufreq/scaling_max_freq", "2000000\n");
  EXPECT_EQ(machine.find("governor").level, Level::kGood);
  EXPECT_EQ(machine.find("clocks").level, Level::kGood);
  // What one's lowest and the other's highest have in common pins neither.
  machine.put(cpu + "cpu0/cpufreq/scaling_max_freq", "2000000\n");
  machine.put(cpu + "cpu1/cpufreq/scaling_min_freq", "1479000\n");
  machine.put(cpu + "cpu0/cpufreq/scaling_min_freq", "2000000\n");
  EXPECT_EQ(machine.find("governor").level, Level::kBad);
  EXPECT_EQ(machine.find("clocks").level, Level::kBad);
}

TEST(Doctor, FullPowerHasAnotherNumberOnEachBoard) {
  const Machine machine;
  machine.become_jetson();
  machine.put("etc/nvpmodel.conf",
              "< POWER_MODEL ID=0 NAME=15W >\nA 1\n< POWER_MODEL ID=1 NAME=25W >\n"
              "  < POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n");
  machine.put("var/lib/nvpmodel/status", "pmode:0000");
  EXPECT_EQ(machine.find("power_mode").text, "0 (15W)");
  EXPECT_EQ(machine.find("power_mode").mend, "sudo nvpmodel --mode 2 (MAXN_SUPER)");
  machine.put("var/lib/nvpmodel/status", "pmode:0002");
  EXPECT_EQ(machine.find("power_mode").level, Level::kGood);
  // MAXN is not the most where there is MAXN_SUPER.
  machine.put("etc/nvpmodel.conf",
              "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=3 NAME=MAXN_SUPER>\n");
  machine.put("var/lib/nvpmodel/status", "pmode:0000");
  EXPECT_EQ(machine.find("power_mode").mend, "sudo nvpmodel --mode 3 (MAXN_SUPER)");
  machine.put("etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=MODE_15W >\n");
  EXPECT_EQ(machine.find("power_mode").level, Level::kAdvice);
  EXPECT_EQ(machine.find("power_mode").text, "0 (MODE_15W)");
}

TEST(Doctor, GpuIsForItsGroups) {
  const Machine machine;
  for (const char* file : {"dev/nvme0", "dev/nvidia-modeset", "dev/nvram"}) machine.put(file, "");
  for (const Finding& finding : examine_machine(machine.root(), {}))
    EXPECT_NE(finding.check, "gpu");
  for (const char* file : {"dev/nvmap", "dev/nvhost-ctrl-gpu", "dev/nvgpu/igpu0/ctrl",
                           "dev/nvidia0", "dev/nvidiactl"}) {
    const Machine jetson;
    jetson.put(file, "");
    const std::string path = jetson.root() + '/' + file;
    ASSERT_EQ(chmod(path.c_str(), 0660), 0);
    jetson.set_identity("4000", "4000", "0");
    EXPECT_EQ(jetson.find("gpu").level, Level::kAdvice) << file;
    EXPECT_THAT(jetson.find("gpu").text, HasSubstr("/" + std::string(file)));
    EXPECT_THAT(jetson.find("gpu").mend, HasSubstr("video render"));
    EXPECT_TRUE(jetson.is_fit());
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    jetson.set_identity("4000", std::to_string(status.st_gid), "0");
    EXPECT_EQ(jetson.find("gpu").level, Level::kGood) << file;
  }
}

TEST(Doctor, JetsonThatSavesPowerOrIsHot) {
  const Machine machine;
  machine.become_jetson();
  machine.put("var/lib/nvpmodel/status", "pmode:0001 fmode:fanNull\n");
  EXPECT_EQ(machine.find("power_mode").level, Level::kAdvice);
  EXPECT_EQ(machine.find("power_mode").text, "1 (5W)");
  EXPECT_TRUE(machine.is_fit());
  machine.put("sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq", "102000\n");
  EXPECT_EQ(machine.find("clocks").level, Level::kBad);
  EXPECT_EQ(machine.find("clocks").mend, "sudo jetson_clocks");
  machine.put("sys/class/thermal/cooling_device1/cur_state", "1\n");
  EXPECT_EQ(machine.find("throttling").level, Level::kBad);
  EXPECT_THAT(machine.find("throttling").text, HasSubstr("cpu-balanced"));
}

TEST(Doctor, CommandEndsWithOneWhereRealTimeCannotBePromised) {
  const Machine machine;
  const CommandResult fit = run_command({"doctor", "--json", "--sysroot", machine.root()});
  EXPECT_EQ(fit.exit_code, 0) << fit;
  EXPECT_EQ(nlohmann::json::parse(fit.last_line()).at("real_time"), true);
  machine.set_limits("0", "unlimited");
  const CommandResult unfit = run_command({"doctor", "--json", "--sysroot", machine.root()});
  EXPECT_EQ(unfit.exit_code, 1) << unfit;
  const auto json = nlohmann::json::parse(unfit.last_line());
  EXPECT_EQ(json.at("real_time"), false);
  for (const auto& finding : json.at("findings")) {
    EXPECT_EQ(finding.at("mend").is_null(), finding.at("level") == "good") << finding;
    EXPECT_EQ(finding.at("level") == "bad", finding.at("check") == "priority") << finding;
  }
  EXPECT_THAT(unfit.error, HasSubstr("Real time cannot be promised: priority.\n"));
  EXPECT_EQ(run_command({"doctor", "--sysroot", machine.root() + "/absent"}).exit_code, 2);
}

TEST(Doctor, NothingToReadIsNoFitMachineAndNoCrash) {
  const TemporaryFolder empty;
  EXPECT_FALSE(real_time_can_be_promised(examine_machine(empty.path(), {})));
}

// 150 ms bear what 2 ms do not: a kernel without a bound, and clocks that follow the load.
TEST(Doctor, JudgesByThePeriodOfTheTask) {
  const Machine machine;
  machine.put("proc/version", "Linux version 6.1.0-18-amd64 (x@y) #1 SMP PREEMPT_DYNAMIC\n");
  const CommandResult any = run_command({"doctor", "--sysroot", machine.root()});
  EXPECT_EQ(any.exit_code, 1) << any;
  EXPECT_THAT(any.out, HasSubstr("Real time cannot be promised below a period of 50 ms: kernel."));
  const CommandResult arm = run_command({"doctor", "ur_reacher2", "--sysroot", machine.root()});
  EXPECT_EQ(arm.exit_code, 1) << arm;
  EXPECT_THAT(arm.out, HasSubstr("ur_reacher2's period of 40 ms: kernel."));
  const CommandResult mover = run_command({"doctor", "create_mover", "--sysroot", machine.root()});
  EXPECT_EQ(mover.exit_code, 0) << mover;
  EXPECT_THAT(mover.out, HasSubstr("a period of 150 ms bears it"));
  EXPECT_THAT(mover.out, HasSubstr("Nothing found that stands against real time with "
                                   "create_mover's period of 150 ms."));
  machine.set_limits("0", "unlimited");  // rights are wanted however long the period
  EXPECT_EQ(run_command({"doctor", "create_mover", "--sysroot", machine.root()}).exit_code, 1);
}

TEST(Doctor, ProfileSaysOnWhatMachine) {
  const CommandResult result =
      run_command({"profile", "dot_reacher", "--updates", "10", "--set", "hidden=64", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto doctor = nlohmann::json::parse(result.last_line()).at("doctor");
  const double period_s = find_task("dot_reacher")->period_s;
  EXPECT_EQ(doctor, findings_json(judged_by(examine_this_machine(), period_s)));
}

}  // namespace
}  // namespace instep

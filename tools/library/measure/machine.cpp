#include "tools/library/measure/machine.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>
#include <tuple>

namespace instep {

std::string machine_text() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string line;
  std::string model = "unknown processor";
  while (std::getline(cpuinfo, line)) {
    if (!line.starts_with("model name") && !line.starts_with("Model")) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) model = line.substr(colon + 2);
    break;
  }
  return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores";
}

namespace {

std::int64_t preemptions_of_thread() {
  rusage usage{};
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

// Of all cores since the start, in ticks: stolen, and in all. Zeros where /proc does not tell.
std::pair<double, double> stolen_time() {
  std::ifstream stat("/proc/stat");
  std::string name;
  stat >> name;
  double all = 0.0;
  double steal = 0.0;
  constexpr int kSteal = 7;
  double value = 0.0;
  for (int i = 0; i <= kSteal && stat >> value; ++i) {
    all += value;
    if (i == kSteal) steal = value;
  }
  return {steal, all};
}

}  // namespace

Disturbance::Disturbance() : preemptions_(preemptions_of_thread()) {
  std::tie(steal_, all_) = stolen_time();
}

Disturbance::Result Disturbance::result() const {
  const auto [steal, all] = stolen_time();
  Result result;
  result.preemptions = preemptions_of_thread() - preemptions_;
  if (all > all_) result.steal_share = (steal - steal_) / (all - all_);
  std::ifstream("/proc/loadavg") >> result.load;
  result.cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return result;
}

std::string disturbance_text(const Disturbance::Result& result) {
  constexpr double kStealMin = 0.005;
  if (result.preemptions == 0 && result.steal_share < kStealMin) return "";
  char text[192];
  std::snprintf(text, sizeof text,
                "others had the processor %lld times meanwhile (load %.1f on %d cores, %.1f %% "
                "stolen by other virtual machines)",
                static_cast<long long>(result.preemptions), result.load, result.cores,
                100.0 * result.steal_share);
  return text;
}

bool is_on_flash_card(const std::string& path, const std::string& sysfs) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path place = fs::absolute(path, error);
  struct stat status {};
  while (stat(place.c_str(), &status) != 0) {
    if (!place.has_relative_path()) return false;
    place = place.parent_path();
  }
  const std::string device =
      std::to_string(major(status.st_dev)) + ':' + std::to_string(minor(status.st_dev));
  const fs::path link = fs::path(sysfs) / "dev" / "block" / device;
  return fs::read_symlink(link, error).string().find("/mmcblk") != std::string::npos;
}

std::vector<std::string> gpu_files(const std::string& root) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  std::error_code error;
  const auto look = [&](const std::string& folder, const auto& is_gpu) {
    for (fs::directory_iterator entry(root + folder, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (is_gpu(name)) files.push_back(folder + '/' + name);
    }
  };
  look("/dev", [](const std::string& name) {
    const bool is_number = name.size() > 6 && name[6] >= '0' && name[6] <= '9';
    return name == "nvmap" || (name.starts_with("nvhost-") && name.ends_with("gpu")) ||
           (name.starts_with("nvidia") && (is_number || name == "nvidiactl"));
  });
  look("/dev/nvgpu/igpu0", [](const std::string& name) { return name == "ctrl"; });
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace instep

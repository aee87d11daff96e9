#include "tools/library/measure/machine.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

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

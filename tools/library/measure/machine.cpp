#include "tools/library/measure/machine.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

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

}  // namespace instep

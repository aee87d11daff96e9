// What machine this is, in words.
#pragma once

#include <string>
#include <vector>

namespace instep {

// Processor model and number of cores, for summaries and reports; "unknown" where /proc does not
// tell.
std::string machine_text();

// Whether a file of that name would lie on an SD card or an eMMC chip, which wear out. `path` need
// not exist; `sysfs` is where the kernel tells of its devices.
bool is_on_flash_card(const std::string& path, const std::string& sysfs = "/sys");

// The device files of NVIDIA's GPUs: of a Jetson's (/dev/nvmap, /dev/nvhost-*gpu,
// /dev/nvgpu/*/ctrl) or a PC's (/dev/nvidia0), below `root`; without it in front, sorted.
std::vector<std::string> gpu_files(const std::string& root);

}  // namespace instep

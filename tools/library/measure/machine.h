// What machine this is, in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace instep {

// Processor model and number of cores, for summaries and reports; "unknown" where /proc does not
// tell.
std::string machine_text();

// What this machine and its other programs took from a thread, since it began to be watched.
class Disturbance {
 public:
  // Of the calling thread, from now on.
  Disturbance();

  struct Result {
    std::int64_t preemptions = 0;  // times that the thread had to make room for another
    double steal_share = 0.0;      // of the machine's time, given to other virtual machines; 0 .. 1
    double load = 0.0;             // programs that wanted a processor, over the last minute
    int cores = 1;
  };
  // The calling thread must be the one that is watched.
  Result result() const;

 private:
  std::int64_t preemptions_ = 0;
  double steal_ = 0.0;
  double all_ = 0.0;
};

// "others had the processor 12 times meanwhile (load 3.1 on 2 cores, 1.5 % stolen by other virtual
// machines)"; empty where nothing was taken.
std::string disturbance_text(const Disturbance::Result& result);

// Whether a file of that name would lie on an SD card or an eMMC chip, which wear out. `path` need
// not exist; `sysfs` is where the kernel tells of its devices.
bool is_on_flash_card(const std::string& path, const std::string& sysfs = "/sys");

// The device files of NVIDIA's GPUs: of a Jetson's (/dev/nvmap, /dev/nvhost-*gpu,
// /dev/nvgpu/*/ctrl) or a PC's (/dev/nvidia0), below `root`; without it in front, sorted.
std::vector<std::string> gpu_files(const std::string& root);

}  // namespace instep

// What is found out about the machine.
#include "tools/library/measure/machine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <string>

#include "temporary_folder.h"

namespace instep {
namespace {

TEST(FlashCard, IsKnownByItsDriver) {
  const TemporaryFolder folder;
  const std::string sysfs = folder / "sys";
  const std::string run = folder / "runs/of/tomorrow";
  EXPECT_FALSE(is_on_flash_card(run, sysfs)) << "nothing is known";
  struct stat status {};
  ASSERT_EQ(stat(folder.path().c_str(), &status), 0);
  const std::string link = sysfs + "/dev/block/" + std::to_string(major(status.st_dev)) + ':' +
                           std::to_string(minor(status.st_dev));
  std::filesystem::create_directories(sysfs + "/dev/block");
  std::filesystem::create_symlink("../../devices/pci0000:00/nvme/nvme0/nvme0n1/nvme0n1p1", link);
  EXPECT_FALSE(is_on_flash_card(run, sysfs));
  std::filesystem::remove(link);
  std::filesystem::create_symlink("../../devices/sdhci/mmc_host/mmc1/mmc1:aaaa/block/mmcblk1",
                                  link);
  EXPECT_TRUE(is_on_flash_card(run, sysfs));
  EXPECT_TRUE(is_on_flash_card(folder.path(), sysfs));
}

}  // namespace
}  // namespace instep

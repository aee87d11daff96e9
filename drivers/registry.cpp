#include "drivers/registry.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "drivers/create2/driver.h"
#include "drivers/ur/driver.h"
#include "runtime/table.h"

namespace instep {
namespace {

constexpr std::array kDrivers = {&kCreate2Driver, &kUrDriver};

Table<const DriverInfo*>& table() {
  static Table<const DriverInfo*> drivers("driver", kDrivers,
                                          [](const DriverInfo* const& info) { return info->name; });
  return drivers;
}

std::vector<std::string> names_of(const std::string& device) {
  std::vector<std::string> names;
  std::istringstream text(device);
  for (std::string name; std::getline(text, name, ',');) names.push_back(name);
  return names;
}

bool fits(const DriverInfo& driver, const std::string& device) {
  const std::vector<std::string> names = names_of(device);
  const auto count = static_cast<std::size_t>(driver.channel_count);
  const bool is_one_for_all =
      names.size() == 1 &&
      std::all_of(driver.channels.begin(), driver.channels.begin() + driver.channel_count,
                  [&](const DriverChannel& channel) {
                    return channel.transport == driver.channels[0].transport;
                  });
  if (!is_one_for_all && names.size() != count) return false;
  for (int i = 0; i < driver.channel_count; ++i) {
    const Transport& transport = *driver.channels[static_cast<std::size_t>(i)].transport;
    if (!transport.fits(channel_name(device, i))) return false;
  }
  return true;
}

}  // namespace

void add_driver(const DriverInfo& info) {
  table().add(&info);
}

std::span<const DriverInfo* const> all_drivers() {
  return table().lines();
}

const DriverInfo* find_driver(std::string_view name) {
  const auto all = all_drivers();
  const auto found = std::find_if(
      all.begin(), all.end(), [name](const DriverInfo* driver) { return driver->name == name; });
  return found == all.end() ? nullptr : *found;
}

std::vector<const DriverInfo*> drivers_of_device(const std::string& device) {
  std::vector<const DriverInfo*> found;
  for (const DriverInfo* driver : all_drivers()) {
    if (fits(*driver, device)) found.push_back(driver);
  }
  return found;
}

std::string channel_name(const std::string& device, int channel) {
  const std::vector<std::string> names = names_of(device);
  if (names.size() <= 1) return device;
  return names[std::min(static_cast<std::size_t>(channel), names.size() - 1)];
}

std::string stop_name(const DriverInfo& driver, const std::string& device) {
  return channel_name(device, std::max(driver.stop_channel, 0));
}

}  // namespace instep
